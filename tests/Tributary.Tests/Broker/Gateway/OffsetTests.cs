using Tributary.Broker;
using Tributary.Broker.Groups;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Tests.Broker.Support;
using Tributary.Tests.Log.Support;
using Xunit;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Broker.Gateway;

/// <summary>Committed offsets by raw requests.</summary>
public sealed class OffsetTests : IAsyncDisposable
{
    private static readonly BrokerOptions Small = new()
    {
        Groups = new GroupOptions { InitialRebalanceDelay = TimeSpan.Zero, MaxOffsetMetadata = 20, MaxOffsetBytes = 400 },
    };

    private readonly TestBroker _broker = new(Small);

    public ValueTask DisposeAsync() => _broker.DisposeAsync();

    [Theory]
    [EveryVersion<OffsetCommitRequest>]
    public async Task Every_version_commits_with_metadata_and_refuses_what_does_not_exist(short version)
    {
        await _broker.CreateTopicAsync("t", 2);
        await using TestClient client = _broker.Connect();
        OffsetCommitResponse response = await client.AskAsync(
            new OffsetCommitRequest
            {
                GroupId = "g",
                Topics =
                [
                    new()
                    {
                        Name = "t",
                        Partitions =
                        [
                            new() { PartitionIndex = 0, CommittedOffset = 42, CommittedLeaderEpoch = version >= 6 ? 3 : -1, CommittedMetadata = "m" },
                            new() { PartitionIndex = 1, CommittedOffset = 43, CommittedMetadata = new string('x', 21) },
                            new() { PartitionIndex = 2, CommittedOffset = 44 },
                        ],
                    },
                    new() { Name = "none", Partitions = [new() { PartitionIndex = 0, CommittedOffset = 1 }] },
                ],
            }, version);
        Assert.Equal(
            [ErrorCode.None, ErrorCode.OffsetMetadataTooLarge, ErrorCode.UnknownTopicOrPartition],
            response.Topics[0].Partitions.Select(partition => partition.ErrorCode));
        Assert.Equal(ErrorCode.UnknownTopicOrPartition, response.Topics[1].Partitions.Single().ErrorCode);
        OffsetFetchResponse.OffsetFetchResponsePartitions[] found = (await FetchAsync(client, "g")).Topics.Single().Partitions;
        Assert.Equal((0, 42L, version >= 6 ? 3 : -1, "m"), Values(Assert.Single(found)));
    }

    [Theory]
    [EveryVersion<OffsetFetchRequest>]
    public async Task Every_version_reads_offsets_and_says_minus_1_where_there_is_none(short version)
    {
        await _broker.CreateTopicAsync("t", 2);
        await using TestClient client = _broker.Connect();
        await CommitAsync(client, "g", 42);
        if (version >= 8)
        {
            OffsetFetchResponse many = await client.AskAsync(
                new OffsetFetchRequest
                {
                    Groups =
                    [
                        new() { GroupId = "g", Topics = [new() { Name = "t", PartitionIndexes = [0, 1] }] },
                        new() { GroupId = "g", Topics = null },
                        new() { GroupId = "none", Topics = null },
                        new() { GroupId = new string('g', 2000), Topics = null },
                    ],
                    RequireStable = true,
                }, version);
            Assert.Equal(["g", "g", "none", new string('g', 2000)], many.Groups.Select(group => group.GroupId));
            Assert.Equal(
                [(0, 42L, 5, "m"), (1, -1L, -1, "")], many.Groups[0].Topics.Single().Partitions.Select(Values));
            Assert.Equal((0, 42L, 5, "m"), Values(many.Groups[1].Topics.Single().Partitions.Single()));
            Assert.Empty(many.Groups[2].Topics);
            Assert.Equal([0, 0, 0, 24], many.Groups.Select(group => (int)group.ErrorCode));
            return;
        }
        var asked = new OffsetFetchRequest { GroupId = "g", Topics = [new() { Name = "t", PartitionIndexes = [0, 1] }] };
        OffsetFetchResponse response = await client.AskAsync(asked, version);
        Assert.Equal(ErrorCode.None, response.ErrorCode);
        Assert.Equal(
            [(42L, version >= 5 ? 5 : -1, "m"), (-1L, -1, "")],
            response.Topics.Single().Partitions.Select(one => (one.CommittedOffset, one.CommittedLeaderEpoch, one.Metadata!)));
        asked.GroupId = new string('g', 2000);
        response = await client.AskAsync(asked, version);
        Assert.Equal(
            ErrorCode.InvalidGroupId, version >= 2 ? response.ErrorCode : response.Topics.Single().Partitions[0].ErrorCode);
        if (version >= 2)
        {
            response = await client.AskAsync(new OffsetFetchRequest { GroupId = "g", Topics = null }, version);
            Assert.Equal(42, response.Topics.Single().Partitions.Single().CommittedOffset);
        }
    }

    [Theory]
    [EveryVersion<OffsetCommitRequest>]
    public async Task A_commit_is_taken_from_the_members_of_the_generation_only_and_not_while_it_is_completed(short version)
    {
        await _broker.CreateTopicAsync("t");
        await using GroupTestMember member = Member();
        await using TestClient simple = _broker.Connect();
        member.Generation = 0;
        Assert.Equal(ErrorCode.IllegalGeneration, await member.CommitAsync(1, version: version)); // of a group that isn't there
        await member.JoinAsync();
        Assert.Equal(ErrorCode.RebalanceInProgress, await member.CommitAsync(2, version: version));
        await member.SyncAsync();
        Assert.Equal(ErrorCode.None, await member.CommitAsync(3, version: version));
        Assert.Equal(ErrorCode.UnknownMemberId, await CommitAsync(simple, "g", 4, version: version));
        member.Generation--;
        Assert.Equal(ErrorCode.IllegalGeneration, await member.CommitAsync(5, version: version));
        member.Generation++;

        await using GroupTestMember second = Member();
        Task<JoinGroupResponse> joining = second.JoinAsync();
        await Eventually.HoldsAsync(() => _broker.Groups.Context.Directory.Find("g")?.State == GroupState.PreparingRebalance);
        Assert.Equal(ErrorCode.None, await member.CommitAsync(6, version: version)); // the current generation, while the next is prepared
        Assert.Equal(6, await member.CommittedAsync());
        Assert.Equal(ErrorCode.None, await member.LeaveAsync());
        await joining;
        Assert.Equal(ErrorCode.UnknownMemberId, await member.CommitAsync(7, version: version));
        Assert.Equal(6, await member.CommittedAsync());
    }

    [Fact]
    public async Task Offsets_outlive_the_members_and_a_consumer_without_a_group_may_commit_then()
    {
        await _broker.CreateTopicAsync("t");
        await using GroupTestMember member = Member();
        await using TestClient simple = _broker.Connect();
        await member.JoinAsync();
        await member.SyncAsync();
        await member.CommitAsync(3);
        await member.LeaveAsync();
        Assert.Equal(3, await member.CommittedAsync());
        Assert.Equal(ErrorCode.None, await CommitAsync(simple, "g", 4));
        Assert.Equal(4, await member.CommittedAsync());
    }

    [Fact]
    public async Task Offsets_of_a_topic_that_was_made_anew_are_not_shown_and_go_with_the_old_topic()
    {
        await _broker.CreateTopicAsync("t");
        await using TestClient client = _broker.Connect();
        await CommitAsync(client, "g", 42);
        await CommitAsync(client, "h", 42);
        await _broker.CreateTopicAsync("t");
        Assert.Empty((await FetchAsync(client, "g")).Topics);
        await CommitAsync(client, "h", 1);
        await _broker.Groups.ForgetTopicAsync("t", CancellationToken.None);
        Assert.Empty((await _broker.Groups.Store.LoadAsync("g"))!.Offsets);
        Assert.Equal(1, (await FetchAsync(client, "h")).Topics.Single().Partitions.Single().CommittedOffset);
    }

    [Fact]
    public async Task More_offsets_than_the_group_may_have_are_refused_and_those_that_it_has_go_on()
    {
        await _broker.CreateTopicAsync("t", 10);
        await using TestClient client = _broker.Connect();
        ErrorCode[] errors = new ErrorCode[10];
        for (int i = 0; i < errors.Length; i++)
        {
            errors[i] = await CommitAsync(client, "g", 1, partition: i);
        }
        Assert.Equal(ErrorCode.None, errors[0]);
        Assert.Equal(ErrorCode.InvalidCommitOffsetSize, errors[9]);
        Assert.Equal(ErrorCode.None, await CommitAsync(client, "g", 2));
    }

    [Fact]
    public async Task What_is_not_stored_yet_counts_to_the_limit_too()
    {
        await _broker.CreateTopicAsync("t", 10);
        await using TestClient first = _broker.Connect();
        await CommitAsync(first, "g", 0);
        TestClient[] clients = [.. Enumerable.Range(0, 9).Select(_ => _broker.Connect())];
        _broker.Groups.Store.Hold();
        Task<ErrorCode>[] commits = [.. clients.Select((client, i) => CommitAsync(client, "g", 1, partition: i + 1))];
        await Task.WhenAny(commits); // one that is refused waits for nothing
        _broker.Groups.Store.Release();
        ErrorCode[] errors = await Task.WhenAll(commits);
        Assert.Equal(5, errors.Count(error => error == ErrorCode.None)); // 66 bytes each, of 400 in all
        Assert.Equal(4, errors.Count(error => error == ErrorCode.InvalidCommitOffsetSize));
    }

    [Fact]
    public async Task Groups_beyond_the_limit_are_refused()
    {
        await _broker.CreateTopicAsync("t");
        _broker.Groups.Store.MaxGroups = 1;
        await using TestClient client = _broker.Connect();
        await using var member = new GroupTestMember(client, "h");
        Assert.Equal(ErrorCode.None, await CommitAsync(client, "g", 1));
        Assert.Equal(ErrorCode.PolicyViolation, await CommitAsync(client, "h", 1));
        Assert.Equal(ErrorCode.PolicyViolation, (await member.JoinAsync()).ErrorCode);
        Assert.Equal(ErrorCode.None, await CommitAsync(client, "g", 2));
    }

    [Fact]
    public async Task Commits_that_come_during_one_write_are_in_the_next_and_answered_when_it_is_done()
    {
        await _broker.CreateTopicAsync("t", 100);
        await using TestClient first = _broker.Connect();
        await CommitAsync(first, "g", 0);
        int before = _broker.Groups.Store.Writes;
        TestClient[] clients = [.. Enumerable.Range(0, 20).Select(_ => _broker.Connect())];
        _broker.Groups.Store.Hold();
        int called = _broker.Groups.Commits;
        Task<ErrorCode>[] commits = [.. clients.Select(client => CommitAsync(client, "g", 9))];
        await LogHarness.UntilAsync(() => _broker.Groups.Commits == called + clients.Length, "all commits to come");
        Assert.Equal(0, (await FetchAsync(first, "g")).Topics.Single().Partitions.Single().CommittedOffset);
        Assert.All(commits, commit => Assert.False(commit.IsCompleted));
        _broker.Groups.Store.Release();
        Assert.All(await Task.WhenAll(commits), error => Assert.Equal(ErrorCode.None, error));
        Assert.InRange(_broker.Groups.Store.Writes - before, 1, 5);
        Assert.Equal(9, (await FetchAsync(first, "g")).Topics.Single().Partitions.Single().CommittedOffset);
    }

    [Fact]
    public async Task A_commit_that_could_not_be_stored_is_not_acknowledged_and_the_group_goes_on_from_what_is_stored()
    {
        await _broker.CreateTopicAsync("t");
        await using TestClient client = _broker.Connect();
        await CommitAsync(client, "g", 1);
        _broker.Groups.Store.Failure = new IOException("disk full");
        Assert.Equal(ErrorCode.CoordinatorNotAvailable, await CommitAsync(client, "g", 2));
        Assert.Equal(1, (await FetchAsync(client, "g")).Topics.Single().Partitions.Single().CommittedOffset);
        _broker.Groups.Store.Failure = null;
        Assert.Equal(ErrorCode.None, await CommitAsync(client, "g", 3));
        Assert.Equal(3, (await FetchAsync(client, "g")).Topics.Single().Partitions.Single().CommittedOffset);
    }

    private static (int Partition, long Offset, int Epoch, string Metadata) Values(OffsetFetchResponse.OffsetFetchResponsePartitions one) =>
        (one.PartitionIndex, one.CommittedOffset, one.CommittedLeaderEpoch, one.Metadata!);

    private static async Task<OffsetFetchResponse.OffsetFetchResponseGroup> FetchAsync(TestClient client, string group) =>
        (await client.AskAsync(new OffsetFetchRequest { Groups = [new() { GroupId = group, Topics = null }] }, 8)).Groups.Single();

    private static async Task<ErrorCode> CommitAsync(TestClient client, string group, long offset, int partition = 0, short version = 8)
    {
        var request = new OffsetCommitRequest
        {
            GroupId = group,
            Topics =
            [
                new()
                {
                    Name = "t",
                    Partitions =
                    [
                        new() { PartitionIndex = partition, CommittedOffset = offset, CommittedLeaderEpoch = version >= 6 ? 5 : -1, CommittedMetadata = "m" },
                    ],
                },
            ],
        };
        return (await client.AskAsync(request, version)).Topics.Single().Partitions.Single().ErrorCode;
    }

    private GroupTestMember Member() => new(_broker.Connect(), "g");
}
