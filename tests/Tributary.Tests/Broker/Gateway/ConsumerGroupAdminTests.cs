using Tributary.Broker;
using Tributary.Broker.Groups;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Tests.Broker.Support;
using Xunit;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Broker.Gateway;

/// <summary>Offsets and administration of groups of the newer consumer protocol, and the way from one protocol to the other.</summary>
public sealed class ConsumerGroupAdminTests : IAsyncLifetime
{
    private readonly TestBroker _broker = new(new BrokerOptions { Groups = new GroupOptions { InitialRebalanceDelay = TimeSpan.Zero } });

    public async ValueTask InitializeAsync() => await _broker.CreateTopicAsync("t", 4);

    public ValueTask DisposeAsync() => _broker.DisposeAsync();

    [Fact]
    public async Task A_commit_counts_in_the_epoch_of_the_member_only()
    {
        await using ConsumerTestMember member = Modern();
        await member.JoinAsync();
        Assert.Equal(ErrorCode.None, await member.CommitAsync(5));
        member.Epoch = 2;
        Assert.Equal(ErrorCode.StaleMemberEpoch, await member.CommitAsync(6));
        (member.Epoch, string id, member.Id) = (1, member.Id, "stranger");
        Assert.Equal(ErrorCode.UnknownMemberId, await member.CommitAsync(7));
        (member.Epoch, member.Id) = (-1, "");
        Assert.Equal(ErrorCode.UnknownMemberId, await member.CommitAsync(8)); // nobody may who is no member
        Assert.Equal((ErrorCode.None, 5), await member.CommittedAsync(null, -1));
        Assert.Equal((ErrorCode.None, 5), await member.CommittedAsync(id, 1));
        Assert.Equal((ErrorCode.StaleMemberEpoch, -1), await member.CommittedAsync(id, 0));
        Assert.Equal((ErrorCode.UnknownMemberId, -1), await member.CommittedAsync("stranger", 1));
    }

    [Theory]
    [EveryVersion<OffsetCommitRequest>(Until = 8)]
    public async Task A_member_must_commit_in_a_version_that_knows_epochs(short version)
    {
        await using ConsumerTestMember member = Modern();
        await member.JoinAsync();
        Assert.Equal(ErrorCode.UnsupportedVersion, await member.CommitAsync(5, version));
    }

    [Theory]
    [EveryVersion<ConsumerGroupDescribeRequest>]
    public async Task A_group_is_described_with_what_its_members_have_and_shall_have(short version)
    {
        await using ConsumerTestMember first = Modern();
        await using ConsumerTestMember second = Modern();
        (first.Id, second.Id, second.Assignor) = ("1", "2", "range");
        await first.JoinAsync();
        await second.JoinAsync();
        await using TestClient client = _broker.Connect();
        ConsumerGroupDescribeResponse.DescribedGroup group = (await client.AskAsync(
            new ConsumerGroupDescribeRequest { GroupIds = ["g"], IncludeAuthorizedOperations = true }, version)).Groups.Single();
        Assert.Equal(("Reconciling", 2, 2, "range"), (group.GroupState, group.GroupEpoch, group.AssignmentEpoch, group.AssignorName));
        Assert.NotEqual(int.MinValue, group.AuthorizedOperations);
        ConsumerGroupDescribeResponse.Member[] members = [.. group.Members.OrderBy(member => member.MemberId)];
        Assert.Equal(["1", "2"], members.Select(member => member.MemberId));
        Assert.Equal([0, 1, 2, 3], members[0].Assignment.TopicPartitions.Single().Partitions);
        Assert.Equal([0, 1], members[0].TargetAssignment.TopicPartitions.Single().Partitions);
        Assert.Empty(members[1].Assignment.TopicPartitions);
        Assert.Equal(("t", "2 3"), (members[1].TargetAssignment.TopicPartitions.Single().TopicName,
            string.Join(' ', members[1].TargetAssignment.TopicPartitions.Single().Partitions)));
        Assert.All(members, member => Assert.Equal(version >= 1 ? 1 : -1, member.MemberType));
        Assert.All(members, member => Assert.Equal(["t"], member.SubscribedTopicNames));
    }

    [Theory]
    [EveryVersion<ConsumerGroupDescribeRequest>]
    public async Task A_group_that_is_not_there_or_of_the_classic_protocol_is_not_found(short version)
    {
        await using GroupTestMember classic = Classic();
        await ClassicAsync(classic);
        await using TestClient client = _broker.Connect();
        ConsumerGroupDescribeResponse response = await client.AskAsync(new ConsumerGroupDescribeRequest { GroupIds = ["g", "none", ""] }, version);
        Assert.Equal(
            [ErrorCode.GroupIdNotFound, ErrorCode.GroupIdNotFound, ErrorCode.InvalidGroupId], response.Groups.Select(group => group.ErrorCode));
        Assert.Equal(["Group g is not a consumer group.", "Group none not found.", null], response.Groups.Select(group => group.ErrorMessage));
    }

    [Theory]
    [EveryVersion<DescribeGroupsRequest>]
    public async Task To_clients_of_the_classic_api_the_group_is_dead(short version)
    {
        await using ConsumerTestMember member = Modern();
        await member.JoinAsync();
        await using TestClient client = _broker.Connect();
        DescribeGroupsResponse.DescribedGroup group = (await client.AskAsync(new DescribeGroupsRequest { Groups = ["g"] }, version)).Groups.Single();
        Assert.Equal((version >= 6 ? ErrorCode.GroupIdNotFound : ErrorCode.None, "Dead"), (group.ErrorCode, group.GroupState));
        Assert.Equal(version >= 6 ? "Group g is not a classic group." : null, group.ErrorMessage);
    }

    [Theory]
    [InlineData("", "", "classic/Empty/classic modern/Stable/consumer")]
    [InlineData("consumer", "", "modern/Stable/consumer")]
    [InlineData("Classic", "", "classic/Empty/classic")]
    [InlineData("", "stable", "modern/Stable/consumer")]
    [InlineData("consumer", "Empty", "")]
    public async Task Groups_are_listed_by_type_and_state(string type, string state, string expected)
    {
        await using ConsumerTestMember member = Modern("modern");
        await member.JoinAsync();
        await using ConsumerTestMember reader = Modern("classic");
        (reader.Epoch, reader.Id) = (-1, "");
        await reader.CommitAsync(1);
        await using TestClient client = _broker.Connect();
        foreach (bool crashes in (bool[])[false, true])
        {
            ListGroupsResponse response = await client.AskAsync(
                new ListGroupsRequest { TypesFilter = type.Length > 0 ? [type] : [], StatesFilter = state.Length > 0 ? [state] : [] }, 5);
            Assert.Equal(
                expected, string.Join(' ', response.Groups.OrderBy(group => group.GroupId).Select(group => $"{group.GroupId}/{group.GroupState}/{group.GroupType}")));
            _broker.Groups.Crash();
            _broker.Groups.Context.Directory.Remove("modern"); // told from what is stored
        }
    }

    [Fact]
    public async Task A_group_with_members_is_not_deleted_and_one_without_is()
    {
        await using ConsumerTestMember member = Modern();
        await member.JoinAsync();
        await member.CommitAsync(5);
        Assert.Equal(ErrorCode.NonEmptyGroup, await DeleteAsync());
        await member.LeaveAsync();
        Assert.Equal(ErrorCode.None, await DeleteAsync());
        Assert.Equal((ErrorCode.None, -1), await member.CommittedAsync(null, -1));
        Assert.Equal(ErrorCode.None, await member.JoinAsync());
        Assert.Equal(4, member.Owned.Length);
    }

    [Fact]
    public async Task Offsets_of_topics_that_are_read_by_name_or_expression_are_not_deleted()
    {
        await _broker.CreateTopicAsync("u1");
        await _broker.CreateTopicAsync("v");
        await using ConsumerTestMember member = Modern();
        member.Pattern = "u.";
        await member.JoinAsync();
        Assert.Equal(ErrorCode.None, await member.CommitAsync(5, topic: "v"));
        await using TestClient client = _broker.Connect();
        OffsetDeleteResponse response = await client.AskAsync(new OffsetDeleteRequest
        {
            GroupId = "g",
            Topics = [.. ((string[])["t", "u1", "v"]).Select(name => new OffsetDeleteRequest.OffsetDeleteRequestTopic
            {
                Name = name,
                Partitions = [new() { PartitionIndex = 0 }],
            })],
        }, 0);
        Assert.Equal(
            [ErrorCode.GroupSubscribedToTopic, ErrorCode.GroupSubscribedToTopic, ErrorCode.None],
            response.Topics.Select(topic => topic.Partitions.Single().ErrorCode));
        Assert.Equal((ErrorCode.None, -1), await member.CommittedAsync(null, -1, "v"));
    }

    [Fact]
    public async Task Offsets_are_kept_while_there_are_readers_and_for_the_retention_after_the_last()
    {
        await using var broker = new TestBroker(new BrokerOptions { Groups = new GroupOptions { ConsumerSessionTimeout = TimeSpan.FromDays(1) } });
        await broker.CreateTopicAsync("t", 4);
        string id = Guid.NewGuid().ToString();
        ConsumerTestMember Member() => new(broker.Connect()) { Id = id, Epoch = 1 }; // on a connection that isn't idle for so long
        async Task<long> CommittedAsync()
        {
            await using ConsumerTestMember member = Member();
            (ErrorCode error, long offset) = await member.CommittedAsync(null, -1);
            return error == ErrorCode.None ? offset : throw new InvalidOperationException($"{error}");
        }

        await using (ConsumerTestMember member = Member())
        {
            await member.JoinAsync();
            await member.CommitAsync(5);
        }
        for (int day = 0; day < 10; day++)
        {
            broker.Time.Advance(TimeSpan.FromHours(23));
            await using ConsumerTestMember member = Member();
            Assert.Equal(ErrorCode.None, await member.LiveAsync());
        }
        await broker.Groups.ExpireAsync("g");
        Assert.Equal(5, await CommittedAsync());
        await using (ConsumerTestMember member = Member())
        {
            await member.LeaveAsync();
        }
        broker.Time.Advance(TimeSpan.FromDays(6));
        await broker.Groups.ExpireAsync("g");
        Assert.Equal(5, await CommittedAsync());
        broker.Time.Advance(TimeSpan.FromDays(1));
        await broker.Groups.ExpireAsync("g");
        Assert.Equal(-1, await CommittedAsync());
        Assert.Empty(await broker.Groups.Store.ListAsync(null, 10));
    }

    [Fact]
    public async Task A_classic_group_is_upgraded_by_a_member_and_its_members_follow_and_downgraded_when_it_leaves()
    {
        await using GroupTestMember classic = Classic();
        await ClassicAsync(classic);
        int generation = classic.Generation;
        Assert.Equal(ErrorCode.None, await classic.CommitAsync(3));
        await using ConsumerTestMember modern = Modern();
        Assert.Equal(ErrorCode.None, await modern.JoinAsync());
        Assert.Equal((generation + 1, 0), (modern.Epoch, modern.Owned.Length));
        Assert.Equal("consumer", (await ListAsync()).GroupType);
        Assert.Equal(ErrorCode.RebalanceInProgress, await classic.HeartbeatAsync());
        Assert.Equal(ErrorCode.None, await classic.CommitAsync(4)); // it may commit in its generation what it gives up
        Assert.Equal(ErrorCode.None, (await classic.JoinAsync()).ErrorCode);
        Assert.Equal((generation + 1, false), (classic.Generation, classic.IsLeader));
        SyncGroupResponse synced = await classic.SyncAsync();
        Assert.Equal(2, ConsumerAssignment.Parse(synced.Assignment.ToArray())!.Count);
        Assert.Equal(ErrorCode.None, await classic.HeartbeatAsync());
        await modern.LiveAsync();
        Assert.Equal(2, modern.Owned.Length);
        Assert.Equal(ErrorCode.None, await classic.CommitAsync(5));
        classic.Generation--;
        Assert.Equal(ErrorCode.IllegalGeneration, await classic.CommitAsync(6));
        classic.Generation++;
        Assert.Equal(ErrorCode.None, await modern.LeaveAsync());
        await Eventually.HoldsAsync(() => _broker.Groups.Context.Directory.Find("g") is { IsModern: false, State: GroupState.PreparingRebalance });
        _broker.Groups.Crash(); // it is told to join after a crash too
        classic.Generation++;
        Assert.Equal(ErrorCode.RebalanceInProgress, await classic.HeartbeatAsync());
        Assert.Equal(ErrorCode.None, (await classic.JoinAsync()).ErrorCode);
        Assert.True(classic.IsLeader);
        Assert.Equal(ErrorCode.None, (await classic.SyncAsync()).ErrorCode);
        Assert.Equal(5, await classic.CommittedAsync());
        Assert.Equal("classic", (await ListAsync()).GroupType);
    }

    [Fact]
    public async Task A_classic_group_is_not_upgraded_while_it_rebalances_nor_if_its_members_are_no_consumers()
    {
        await using GroupTestMember first = Classic();
        await ClassicAsync(first);
        await using GroupTestMember second = Classic();
        Task<JoinGroupResponse> joining = second.JoinAsync();
        await Eventually.HoldsAsync(() => _broker.Groups.Context.Directory.Find("g")?.State == GroupState.PreparingRebalance);
        await using ConsumerTestMember modern = Modern();
        Assert.Equal(ErrorCode.CoordinatorLoadInProgress, await modern.JoinAsync());
        await first.JoinAsync();
        await joining;

        await using var worker = new GroupTestMember(_broker.Connect(), "workers") { ProtocolType = "connect" };
        await worker.JoinAsync();
        await worker.SyncAsync();
        await using ConsumerTestMember reader = Modern("workers");
        Assert.Equal(ErrorCode.GroupIdNotFound, await reader.JoinAsync());
        Assert.Equal(ErrorCode.None, await worker.HeartbeatAsync());
    }

    [Theory]
    [EveryVersion<JoinGroupRequest>]
    public async Task Every_version_joins_and_syncs_and_lives_in_a_group_of_the_newer_protocol(short version)
    {
        await using ConsumerTestMember modern = Modern();
        await modern.JoinAsync();
        await using GroupTestMember classic = Classic(version);
        Assert.Equal(ErrorCode.None, (await classic.JoinAsync()).ErrorCode);
        Assert.Equal((2, "range", version >= 7 ? "consumer" : null), (classic.Generation, classic.Joined!.ProtocolName, classic.Joined.ProtocolType));
        SyncGroupResponse synced = await classic.SyncAsync();
        Assert.Equal((ErrorCode.None, 0), (synced.ErrorCode, ConsumerAssignment.Parse(synced.Assignment.ToArray())!.Count));
        Assert.Equal(ErrorCode.None, await classic.HeartbeatAsync()); // it waits for what the other has to give up
        await modern.LiveAsync();
        await modern.TellAsync();
        Assert.Equal(ErrorCode.RebalanceInProgress, await classic.HeartbeatAsync());
        await classic.JoinAsync();
        Assert.Equal(2, ConsumerAssignment.Parse((await classic.SyncAsync()).Assignment.ToArray())!.Count);
        Assert.Equal(ErrorCode.None, await classic.LeaveAsync());
        Assert.Equal(ErrorCode.UnknownMemberId, await classic.HeartbeatAsync());
        await modern.LiveAsync();
        Assert.Equal(4, modern.Owned.Length);
    }

    [Fact]
    public async Task A_classic_member_must_join_in_time_when_it_is_told_to_and_must_have_been_given_its_id()
    {
        await using ConsumerTestMember modern = Modern();
        await modern.JoinAsync();
        await using GroupTestMember classic = Classic();
        classic.Id = "made-up";
        Assert.Equal(ErrorCode.UnknownMemberId, (await classic.JoinAsync()).ErrorCode);
        classic.Id = "";
        (classic.RebalanceTimeoutMs, classic.SessionTimeoutMs) = (10_000, 30_000);
        await classic.JoinAsync();
        await classic.SyncAsync();
        classic.Protocols = ["roundrobin"];
        Assert.Equal(ErrorCode.None, (await classic.JoinAsync()).ErrorCode); // it is the only one of its protocol
        await using GroupTestMember other = Classic();
        other.Protocols = ["range"];
        Assert.Equal(ErrorCode.InconsistentGroupProtocol, (await other.JoinAsync()).ErrorCode);
        _broker.Time.Advance(TimeSpan.FromSeconds(10)); // it has not synced
        await Eventually.HoldsAsync(() => _broker.Groups.Context.Directory.Find("g")?.State == GroupState.Assigning);
        Assert.Equal(ErrorCode.UnknownMemberId, await classic.HeartbeatAsync());
    }

    [Fact]
    public async Task An_empty_group_is_of_the_protocol_of_whoever_comes_and_keeps_its_offsets_and_its_epochs()
    {
        await using ConsumerTestMember modern = Modern();
        await modern.JoinAsync();
        await modern.CommitAsync(9);
        await modern.LeaveAsync();
        await using GroupTestMember classic = Classic();
        await ClassicAsync(classic);
        Assert.Equal((3, 9L), (classic.Generation, await classic.CommittedAsync()));
        await classic.LeaveAsync();
        Assert.Equal(ErrorCode.None, await modern.JoinAsync());
        Assert.Equal((5, 4), (modern.Epoch, modern.Owned.Length));
        Assert.Equal((ErrorCode.None, 9), await modern.CommittedAsync(modern.Id, modern.Epoch));
    }

    private ConsumerTestMember Modern(string group = "g") => new(_broker.Connect(), group);

    private GroupTestMember Classic(short version = 5) => new(_broker.Connect(), "g", version);

    /// <summary>Makes a stable group of one classic member that has all partitions.</summary>
    private static async Task ClassicAsync(GroupTestMember member)
    {
        member.Assigned = ConsumerAssignment.Write([("t", [0, 1, 2, 3])]);
        Assert.Equal(ErrorCode.None, (await member.JoinAsync()).ErrorCode);
        Assert.Equal(ErrorCode.None, (await member.SyncAsync()).ErrorCode);
    }

    private async Task<ListGroupsResponse.ListedGroup> ListAsync()
    {
        await using TestClient client = _broker.Connect();
        return (await client.AskAsync(new ListGroupsRequest(), 5)).Groups.Single();
    }

    private async Task<ErrorCode> DeleteAsync()
    {
        await using TestClient client = _broker.Connect();
        return (await client.AskAsync(new DeleteGroupsRequest { GroupsNames = ["g"] }, 2)).Results.Single().ErrorCode;
    }
}
