using System.Text;
using Microsoft.Extensions.Time.Testing;
using Tributary.Broker.Groups;
using Tributary.Cloud.Grains;
using Tributary.Cloud.Storage;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Tests.Broker.Support;
using Tributary.Tests.Cloud.Support;
using Xunit;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Cloud.Grains;

public sealed class GroupGrainTests : IDisposable
{
    private static readonly GroupCaller Caller = new("c", "/h", 9);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);
    private readonly TemporaryDirectory _directory = new();
    private readonly FakeTimeProvider _time = new();

    private string DatabaseFile => _directory.File(ControlDatabase.FileName);

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task After_a_crash_members_go_on_in_their_generation_and_acknowledged_offsets_are_there()
    {
        TestSilo silo = await StartAsync();
        JoinGroupResponse joined = await JoinAsync(silo, "g");
        SyncGroupResponse synced = await SyncAsync(silo, "g", joined);
        Assert.Equal(ErrorCode.None, await CommitAsync(silo, "g", 42, joined));
        await silo.KillAsync();

        await using TestSilo again = await StartAsync();
        Assert.Equal(("g", GroupState.Stable), Assert.Single(await ListAsync(again)));
        Assert.Equal(ErrorCode.None, await HeartbeatAsync(again, "g", joined));
        Assert.Equal(ErrorCode.None, await CommitAsync(again, "g", 43, joined));
        SyncGroupResponse asked = await SyncAsync(again, "g", joined);
        Assert.Equal(synced.Assignment.ToArray(), asked.Assignment.ToArray());
        Assert.Equal(43, await CommittedAsync(again, "g"));
        Assert.Equal(1, joined.GenerationId);
    }

    [Fact]
    public async Task A_join_that_waits_for_long_is_answered_and_holds_nobody_up()
    {
        await using TestSilo silo = await StartAsync();
        Task<JoinGroupResponse> joining = TryJoinAsync(silo, "g", (await TryJoinAsync(silo, "g", "")).MemberId);
        Assert.Equal(ErrorCode.UnknownMemberId, (await silo.Groups.HeartbeatAsync(
            new HeartbeatRequest { GroupId = "g", MemberId = "x" }, Caller with { Version = 4 }, CancellationToken.None)).ErrorCode);
        int tenths = 0;
        using var deadline = new CancellationTokenSource(Patience);
        while (!joining.IsCompleted)
        {
            _time.Advance(TimeSpan.FromMilliseconds(100));
            tenths++;
            await Task.Delay(1, deadline.Token);
        }
        Assert.Equal(ErrorCode.None, (await joining).ErrorCode);
        Assert.True(tenths >= 30, $"answered after {tenths} tenths of a second");
    }

    [Fact]
    public async Task An_answer_that_comes_when_the_wait_has_just_ended_is_there()
    {
        TaskScheduler turns = new ConcurrentExclusiveSchedulerPair().ExclusiveScheduler;
        var answer = new TaskCompletionSource();
        Task<bool> isThere = await Task.Factory.StartNew(
            () => GroupGrain.EndsWithinAsync(answer.Task, TimeSpan.FromSeconds(2), _time),
            CancellationToken.None, TaskCreationOptions.None, turns);
        using var begun = new ManualResetEventSlim();
        using var gate = new ManualResetEventSlim();
        Task turn = Task.Factory.StartNew(
            () =>
            {
                begun.Set();
                gate.Wait();
            },
            CancellationToken.None, TaskCreationOptions.None, turns);
        begun.Wait();
        _time.Advance(TimeSpan.FromSeconds(2)); // what waits goes on after this turn
        answer.SetResult();
        gate.Set();
        await turn;
        Assert.True(await isThere);
        Assert.False(await GroupGrain.EndsWithinAsync(new TaskCompletionSource().Task, TimeSpan.Zero, _time));
        Assert.True(await GroupGrain.EndsWithinAsync(Task.FromException(new IOException("the test fails it")), TimeSpan.FromSeconds(2), _time));
    }

    [Fact]
    public async Task Members_that_are_gone_after_a_restart_are_missed_once_the_groups_are_loaded()
    {
        TestSilo silo = await StartAsync();
        await SyncAsync(silo, "g", await JoinAsync(silo, "g"));
        await silo.KillAsync();

        await using TestSilo again = await StartAsync();
        await again.Groups.WakeAsync(CancellationToken.None);
        await Eventually.HoldsAsync(() =>
        {
            _time.Advance(TimeSpan.FromSeconds(1));
            return again.GroupDirectory.Find("g")?.State == GroupState.Empty;
        });
    }

    [Fact]
    public async Task A_commit_on_a_group_that_somebody_else_has_written_fails_and_the_next_starts_from_what_is_stored()
    {
        await using TestSilo silo = await StartAsync();
        await CommitAsync(silo, "g", 1, null);
        StoredGroup stored = (await silo.GroupStore.LoadAsync("g"))!;
        await silo.GroupStore.WriteAsync(new GroupWrite("g", stored.Version) { IsFirst = true });

        await Assert.ThrowsAnyAsync<Exception>(() => CommitAsync(silo, "g", 2, null));
        await Eventually.HoldsAsync(() => silo.GroupDirectory.Count == 0);
        using var deadline = new CancellationTokenSource(Patience);
        while (true)
        {
            try
            {
                Assert.Equal(ErrorCode.None, await CommitAsync(silo, "g", 3, null));
                break;
            }
            catch (InvalidOperationException) when (!deadline.IsCancellationRequested)
            {
                // The one that failed is still on its way out.
            }
        }
        Assert.Equal(3, await CommittedAsync(silo, "g"));
    }

    [Fact]
    public async Task Many_groups_are_listed_in_pages_and_expire_when_they_have_nothing()
    {
        await using TestSilo silo = await StartAsync();
        string[] names = [.. Enumerable.Range(0, 100).Select(i => $"g{i:D3}"), "ab", "AB", "00ab", "group/x", "ü"];
        await Task.WhenAll(names.Select((name, i) => CommitAsync(silo, name, i, null)));
        var found = new List<string>();
        while (await silo.Groups.ListAsync(found.LastOrDefault(), 17, CancellationToken.None) is { Count: > 0 } page)
        {
            found.AddRange(page.Select(group => group.Id));
        }
        Assert.Equal(names.Order(StringComparer.Ordinal), found);
        Assert.Equal(101, await CommittedAsync(silo, "AB"));

        _time.Advance(TimeSpan.FromDays(8));
        await silo.Groups.ExpireAsync(_time.GetUtcNow().ToUnixTimeMilliseconds() - 1, CancellationToken.None);
        Assert.Empty(await silo.GroupStore.ListAsync(null, 10));
    }

    [Fact]
    public async Task Offsets_of_a_topic_that_is_gone_go_from_every_group()
    {
        await using TestSilo silo = await StartAsync();
        await Task.WhenAll(CommitAsync(silo, "g", 1, null), CommitAsync(silo, "h", 1, null), CommitAsync(silo, "i", 1, null, "u"));
        await silo.Groups.ForgetTopicAsync("t", CancellationToken.None);
        Assert.Equal((-1, -1, 1), (await CommittedAsync(silo, "g"), await CommittedAsync(silo, "h"), await CommittedAsync(silo, "i", "u")));
    }

    private Task<TestSilo> StartAsync() => TestSilo.StartAsync(DatabaseFile, groupTime: _time);

    private static Task<JoinGroupResponse> TryJoinAsync(TestSilo silo, string group, string id) => silo.Groups.JoinAsync(
        new JoinGroupRequest
        {
            GroupId = group,
            SessionTimeoutMs = 30_000,
            RebalanceTimeoutMs = 60_000,
            MemberId = id,
            ProtocolType = "consumer",
            Protocols = [new() { Name = "range", Metadata = GroupTestMember.Subscription("t") }],
        }, Caller, CancellationToken.None);

    private async Task<JoinGroupResponse> JoinAsync(TestSilo silo, string group)
    {
        Task<JoinGroupResponse> joining = TryJoinAsync(silo, group, (await TryJoinAsync(silo, group, "")).MemberId);
        await Eventually.HoldsAsync(() =>
        {
            _time.Advance(TimeSpan.FromMilliseconds(100));
            return joining.IsCompleted;
        });
        JoinGroupResponse joined = await joining;
        Assert.Equal(ErrorCode.None, joined.ErrorCode);
        return joined;
    }

    private static async Task<SyncGroupResponse> SyncAsync(TestSilo silo, string group, JoinGroupResponse joined)
    {
        SyncGroupResponse synced = await silo.Groups.SyncAsync(
            new SyncGroupRequest
            {
                GroupId = group,
                GenerationId = joined.GenerationId,
                MemberId = joined.MemberId,
                ProtocolType = "consumer",
                ProtocolName = "range",
                Assignments = [new() { MemberId = joined.MemberId, Assignment = Encoding.UTF8.GetBytes("all") }],
            }, Caller with { Version = 5 }, CancellationToken.None);
        Assert.Equal(ErrorCode.None, synced.ErrorCode);
        return synced;
    }

    private static async Task<ErrorCode> HeartbeatAsync(TestSilo silo, string group, JoinGroupResponse joined) => (await silo.Groups.HeartbeatAsync(
        new HeartbeatRequest { GroupId = group, GenerationId = joined.GenerationId, MemberId = joined.MemberId },
        Caller with { Version = 4 }, CancellationToken.None)).ErrorCode;

    private static async Task<ErrorCode> CommitAsync(TestSilo silo, string group, long offset, JoinGroupResponse? joined, string topic = "t") =>
        (await silo.Groups.CommitAsync(
            new OffsetCommitRequest
            {
                GroupId = group,
                GenerationId = joined?.GenerationId ?? -1,
                MemberId = joined?.MemberId ?? "",
                Topics = [new() { Name = topic, Partitions = [new() { CommittedOffset = offset }] }],
            }, Caller, CancellationToken.None)).Topics.Single().Partitions.Single().ErrorCode;

    private static async Task<long> CommittedAsync(TestSilo silo, string group, string topic = "t") => (await silo.Groups.FetchOffsetsAsync(
        new OffsetFetchRequest { Groups = [new() { GroupId = group, Topics = [new() { Name = topic, PartitionIndexes = [0] }] }] },
        Caller, CancellationToken.None)).Groups.Single().Topics.Single().Partitions.Single().CommittedOffset;

    private static async Task<IEnumerable<(string, GroupState)>> ListAsync(TestSilo silo) =>
        (await silo.Groups.ListAsync(null, 10, CancellationToken.None)).Select(group => (group.Id, group.State));
}
