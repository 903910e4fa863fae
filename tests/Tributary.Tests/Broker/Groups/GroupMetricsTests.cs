using Tributary.Broker;
using Tributary.Broker.Groups;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Tests.Broker.Support;
using Tributary.Tests.Support;
using Xunit;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Broker.Groups;

/// <summary>What is counted of groups, and what all of them together may hold.</summary>
public sealed class GroupMetricsTests
{
    private const int TotalBytes = 20_000;

    private static readonly BrokerOptions NoDelay = new()
    {
        Groups = new GroupOptions { InitialRebalanceDelay = TimeSpan.Zero, MaxMembers = 2, MaxOffsetMetadata = 20, MaxOffsetBytes = 400 },
    };

    private static readonly BrokerOptions Tight = new()
    {
        Groups = new GroupOptions { InitialRebalanceDelay = TimeSpan.Zero, MaxTotalBytes = TotalBytes },
    };

    [Fact]
    public async Task Rebalances_are_counted_by_what_began_them_and_members_while_they_are_there()
    {
        await using var broker = new TestBroker(NoDelay);
        GroupMetrics metrics = broker.Groups.Context.Metrics;
        await using var first = new GroupTestMember(broker.Connect(), "g");
        await using var second = new GroupTestMember(broker.Connect(), "g");
        await StabilizeAsync(first);
        Assert.Equal((1, 1, 1), (metrics.RebalancesStarted(RebalanceReason.MemberJoined), metrics.RebalancesCompleted, metrics.Members));
        Task<JoinGroupResponse> joins = second.JoinAsync();
        await Eventually.HoldsAsync(() => metrics.RebalancesStarted(RebalanceReason.MemberJoined) == 2);
        await Task.WhenAll(joins, first.JoinAsync());
        await Task.WhenAll(first.SyncAsync(), second.SyncAsync());
        Assert.Equal((2, 2), (metrics.RebalancesCompleted, metrics.Members));
        first.Topics = ["t", "u"];
        Task<JoinGroupResponse> changed = first.JoinAsync();
        await Eventually.HoldsAsync(() => metrics.RebalancesStarted(RebalanceReason.MemberChanged) == 1);
        await Task.WhenAll(changed, second.JoinAsync());
        await Task.WhenAll(first.SyncAsync(), second.SyncAsync());
        Assert.Equal((1, 3), (metrics.RebalancesStarted(RebalanceReason.MemberChanged), metrics.RebalancesCompleted));
        Assert.Equal(ErrorCode.None, await second.LeaveAsync());
        Assert.Equal((1, 1), (metrics.RebalancesStarted(RebalanceReason.MemberLeft), metrics.Members));
        await StabilizeAsync(first);
        broker.Time.Advance(TimeSpan.FromMilliseconds(first.SessionTimeoutMs + 1));
        await Eventually.HoldsAsync(() => metrics.RebalancesCompleted == 5);
        Assert.Equal((1, 1, 0), (metrics.RebalancesStarted(RebalanceReason.MemberExpired), metrics.ExpiredMembers, metrics.Members));
    }

    [Fact]
    public async Task Members_that_do_not_sync_in_time_are_counted()
    {
        await using var broker = new TestBroker(NoDelay);
        GroupMetrics metrics = broker.Groups.Context.Metrics;
        await using var member = new GroupTestMember(broker.Connect(), "g") { RebalanceTimeoutMs = 10_000 };
        await member.JoinAsync();
        broker.Time.Advance(TimeSpan.FromMilliseconds(10_001));
        await Eventually.HoldsAsync(() => metrics.RebalancesStarted(RebalanceReason.MembersUnsynced) == 1);
        await Eventually.HoldsAsync(() => metrics.ExpiredMembers == 1);
    }

    [Fact]
    public async Task Commits_are_counted_and_the_writes_that_stored_them_and_offsets_that_expired()
    {
        await using var broker = new TestBroker(NoDelay);
        GroupMetrics metrics = broker.Groups.Context.Metrics;
        await broker.CreateTopicAsync("t", 4);
        await using TestClient client = broker.Connect();
        long writes = metrics.Writes;
        Assert.All(await CommitAsync(client, "g", 0, 1, 2), error => Assert.Equal(ErrorCode.None, error));
        Assert.All(await CommitAsync(client, "g", 0), error => Assert.Equal(ErrorCode.None, error));
        Assert.Equal((2, 4, 2), (metrics.Commits, metrics.CommittedOffsets, metrics.Writes - writes));
        broker.Time.Advance(NoDelay.Groups.OffsetRetention + TimeSpan.FromSeconds(1));
        await broker.Groups.ExpireAsync("g");
        Assert.Equal(3, metrics.ExpiredOffsets);
        Assert.Equal(0, metrics.Memory.Held);
    }

    [Fact]
    public async Task Whatever_is_refused_is_counted_by_its_limit_and_told()
    {
        await using var broker = new TestBroker(NoDelay);
        GroupMetrics metrics = broker.Groups.Context.Metrics;
        await broker.CreateTopicAsync("t", 100);
        await using TestClient client = broker.Connect();
        Assert.Contains(ErrorCode.InvalidCommitOffsetSize, await CommitAsync(client, "g", [.. Enumerable.Range(0, 10)]));
        Assert.Equal(4, metrics.Refused(GroupRefusal.OffsetsTooLarge));
        OffsetCommitRequest request = new GroupTestMember(client, "g").CommitRequest(1);
        request.Topics[0].Partitions[0].CommittedMetadata = new string('x', 21);
        await client.AskAsync(request, 8);
        Assert.Equal(1, metrics.Refused(GroupRefusal.OffsetMetadataTooLarge));
        GroupTestMember[] members = [.. Enumerable.Range(0, 3).Select(_ => new GroupTestMember(broker.Connect(), "full", join: 3))];
        await StabilizeAsync(members[0]);
        Task<JoinGroupResponse> second = members[1].JoinAsync();
        await Eventually.HoldsAsync(() => metrics.Members == 2);
        Task<JoinGroupResponse> again = members[0].JoinAsync();
        await Task.WhenAll(second, again);
        Assert.Equal(ErrorCode.GroupMaxSizeReached, (await members[2].JoinAsync()).ErrorCode);
        Assert.Equal(1, metrics.Refused(GroupRefusal.TooManyMembers));
        string[] told = ["groups:maxOffsetBytes is 400", "groups:maxOffsetMetadata (20)", "groups:maxMembers is 2"];
        Assert.All(told, sentence => Assert.Contains(broker.Groups.Logger.Lines, line => line.Text.Contains(sentence, StringComparison.Ordinal)));
        foreach (GroupTestMember member in members)
        {
            await member.DisposeAsync();
        }
    }

    [Fact]
    public async Task Groups_that_hold_all_memory_may_go_on_but_not_grow_until_some_is_free_again()
    {
        await using var broker = new TestBroker(Tight);
        GroupMetrics metrics = broker.Groups.Context.Metrics;
        await broker.CreateTopicAsync("t", 1000);
        await using TestClient client = broker.Connect();
        await using var member = new GroupTestMember(broker.Connect(), "g");
        await StabilizeAsync(member);
        ErrorCode[] committed = await CommitAsync(client, "large", [.. Enumerable.Range(0, 200)]);
        Assert.Contains(ErrorCode.None, committed);
        Assert.Contains(ErrorCode.CoordinatorNotAvailable, committed);
        Assert.InRange(metrics.Memory.Held, TotalBytes / 2, TotalBytes);
        Assert.True(metrics.Refused(GroupRefusal.Memory) > 0);
        Assert.Contains(broker.Groups.Logger.Lines, line => line.Text.Contains("groups:maxTotalBytes", StringComparison.Ordinal));

        Assert.Equal(ErrorCode.None, await member.HeartbeatAsync());
        await StabilizeAsync(member);
        Assert.All(await CommitAsync(client, "large", 0, 1), error => Assert.Equal(ErrorCode.None, error));
        await using var large = new GroupTestMember(broker.Connect(), "g2") { Topics = [.. Enumerable.Range(0, 800).Select(i => $"topic-{i}")] };
        Assert.Equal(ErrorCode.CoordinatorNotAvailable, (await large.JoinAsync()).ErrorCode);
        Assert.InRange(metrics.Memory.Held, TotalBytes / 2, TotalBytes);

        Assert.Equal(ErrorCode.None, (await client.AskAsync(new DeleteGroupsRequest { GroupsNames = ["large"] }, 2)).Results.Single().ErrorCode);
        large.Topics = ["t"];
        Assert.Equal(ErrorCode.None, (await large.JoinAsync()).ErrorCode);
        Assert.Equal(ErrorCode.None, await large.LeaveAsync());
        Assert.Equal(ErrorCode.None, await member.LeaveAsync());
        await client.AskAsync(new DeleteGroupsRequest { GroupsNames = ["g", "g2"] }, 2);
        Assert.Equal(0, metrics.Memory.Held);
    }

    [Fact]
    public async Task An_assignment_that_finds_no_memory_is_refused_and_may_be_tried_again()
    {
        await using var broker = new TestBroker(Tight);
        await using TestClient client = broker.Connect();
        await using var member = new GroupTestMember(client, "g");
        await member.JoinAsync();
        SyncGroupResponse refused = await client.AskAsync(Sync(TotalBytes), 3);
        Assert.Equal(ErrorCode.CoordinatorNotAvailable, refused.ErrorCode);
        Assert.Equal(ErrorCode.None, (await client.AskAsync(Sync(100), 3)).ErrorCode);

        SyncGroupRequest Sync(int bytes) => new()
        {
            GroupId = "g",
            GenerationId = member.Generation,
            MemberId = member.Id,
            Assignments = [new() { MemberId = member.Id, Assignment = new byte[bytes] }],
        };
    }

    [Fact]
    public async Task Members_of_the_newer_protocol_are_counted_and_limited_too()
    {
        await using var broker = new TestBroker(Tight);
        GroupMetrics metrics = broker.Groups.Context.Metrics;
        await broker.CreateTopicAsync("t", 4);
        await using var member = new ConsumerTestMember(broker.Connect());
        Assert.Equal(ErrorCode.None, await member.JoinAsync());
        long held = metrics.Memory.Held;
        Assert.Equal((1, true), (metrics.Members, held > 0));
        await using var large = new ConsumerTestMember(broker.Connect()) { Topics = [.. Enumerable.Range(0, 2000).Select(i => $"topic-{i}")] };
        Assert.Equal(ErrorCode.CoordinatorNotAvailable, await large.JoinAsync());
        Assert.Contains("groups:maxTotalBytes", large.Last.ErrorMessage);
        Assert.Equal((1, 1, held), (metrics.Members, metrics.Refused(GroupRefusal.Memory), metrics.Memory.Held));
        large.Topics = ["t"];
        Assert.Equal(ErrorCode.None, await large.JoinAsync());
        Assert.Equal(ErrorCode.None, await large.LeaveAsync());
        Assert.Equal((1, held), (metrics.Members, metrics.Memory.Held));
        broker.Time.Advance(Tight.Groups.ConsumerSessionTimeout + TimeSpan.FromSeconds(1));
        await Eventually.HoldsAsync(() => metrics.ExpiredMembers == 1 && metrics.Members == 0);
    }

    [Fact]
    public async Task A_group_that_finds_no_memory_is_not_loaded_and_its_clients_ask_again()
    {
        await using var broker = new TestBroker(Tight);
        await broker.CreateTopicAsync("t", 1000);
        await using TestClient client = broker.Connect();
        await CommitAsync(client, "a", [.. Enumerable.Range(0, 40)]);
        broker.Groups.Crash();
        await CommitAsync(client, "b", [.. Enumerable.Range(0, 40)]);
        var fetch = new OffsetFetchRequest { Groups = [new() { GroupId = "a", Topics = null }] };
        Assert.Equal(ErrorCode.CoordinatorNotAvailable, (await client.AskAsync(fetch, 8)).Groups.Single().ErrorCode);
        Assert.Equal(1, broker.Groups.Context.Metrics.Refused(GroupRefusal.Memory));
    }

    [Fact]
    public async Task The_instruments_say_the_same()
    {
        var directory = new GroupDirectory();
        using GroupMetrics metrics = Measured.Watch(() => new GroupMetrics(directory, new GroupMemory(long.MaxValue)), out Measured measured);
        using (measured)
        {
            directory.Set(new GroupListing("a", "consumer", GroupState.Stable));
            directory.Set(new GroupListing("b", "consumer", GroupState.Stable));
            directory.Set(new GroupListing("c", "", GroupState.Empty));
            metrics.Count(new GroupEvent(GroupEventKind.RebalanceStarted, RebalanceReason.MemberLeft));
            metrics.Refuse(GroupRefusal.Memory);
            metrics.Refuse(GroupRefusal.Memory);
            Assert.Equal((2, 1, 0), (measured["tributary.broker.groups", "Stable"], measured["tributary.broker.groups", "Empty"],
                measured["tributary.broker.groups", "PreparingRebalance"]));
            Assert.Equal(1, measured["tributary.broker.group_rebalances_started", "MemberLeft"]);
            Assert.Equal(2, measured["tributary.broker.group_refusals", "Memory"]);
        }
    }

    private static async Task StabilizeAsync(GroupTestMember member)
    {
        Assert.Equal(ErrorCode.None, (await member.JoinAsync()).ErrorCode);
        Assert.Equal(ErrorCode.None, (await member.SyncAsync()).ErrorCode);
    }

    private static async Task<ErrorCode[]> CommitAsync(TestClient client, string group, params int[] partitions)
    {
        OffsetCommitResponse response = await client.AskAsync(
            new OffsetCommitRequest
            {
                GroupId = group,
                Topics =
                [
                    new()
                    {
                        Name = "t",
                        Partitions = [.. partitions.Select(partition => new OffsetCommitRequest.OffsetCommitRequestPartition
                        {
                            PartitionIndex = partition,
                            CommittedOffset = 1,
                            CommittedMetadata = "",
                        })],
                    },
                ],
            },
            8);
        return [.. response.Topics.Single().Partitions.Select(partition => partition.ErrorCode)];
    }
}
