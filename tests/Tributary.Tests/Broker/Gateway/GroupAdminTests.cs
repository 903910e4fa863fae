using System.Text;
using Tributary.Broker;
using Tributary.Broker.Groups;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Tests.Broker.Support;
using Xunit;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Broker.Gateway;

/// <summary>What administrators and bootstrapping clients ask of groups, by raw requests.</summary>
public sealed class GroupAdminTests : IAsyncDisposable
{
    private static readonly BrokerOptions Options = new()
    {
        Groups = new GroupOptions { InitialRebalanceDelay = TimeSpan.Zero, OffsetRetention = TimeSpan.FromHours(1) },
    };

    private readonly TestBroker _broker = new(Options);

    public ValueTask DisposeAsync() => _broker.DisposeAsync();

    [Theory]
    [EveryVersion<FindCoordinatorRequest>]
    public async Task This_broker_coordinates_every_group_and_transactional_id(short version)
    {
        await using TestClient client = _broker.Connect();
        foreach ((sbyte type, ErrorCode expected) in new[]
        {
            ((sbyte)0, ErrorCode.None), ((sbyte)1, ErrorCode.None), ((sbyte)7, ErrorCode.InvalidRequest),
        })
        {
            if (type > 0 && version == 0)
            {
                continue;
            }
            FindCoordinatorResponse response = await client.AskAsync(
                version >= 4
                    ? new FindCoordinatorRequest { CoordinatorKeys = ["g", "h"], KeyType = type }
                    : new FindCoordinatorRequest { Key = "g", KeyType = type },
                version);
            (string, ErrorCode, int, string, int)[] found = version >= 4
                ? [.. response.Coordinators.Select(one => (one.Key, one.ErrorCode, one.NodeId, one.Host, one.Port))]
                : [("g", response.ErrorCode, response.NodeId, response.Host, response.Port)];
            (int node, string host, int port) = expected == ErrorCode.None ? (1, "localhost", 9092) : (-1, "", -1);
            Assert.Equal(version >= 4 ? ["g", "h"] : ["g"], found.Select(one => one.Item1));
            Assert.All(found, one => Assert.Equal((expected, node, host, port), (one.Item2, one.Item3, one.Item4, one.Item5)));
            Assert.Equal(
                expected == ErrorCode.None || version == 0,
                string.IsNullOrEmpty(version >= 4 ? response.Coordinators[0].ErrorMessage : response.ErrorMessage));
        }
    }

    [Theory]
    [EveryVersion<DescribeGroupsRequest>]
    public async Task Every_version_describes_states_and_members(short version)
    {
        await using GroupTestMember member = await StableAsync(instance: "i");
        await using TestClient client = _broker.Connect();
        DescribeGroupsResponse.DescribedGroup[] groups = (await client.AskAsync(
            new DescribeGroupsRequest { Groups = ["g", "none"], IncludeAuthorizedOperations = version >= 3 }, version)).Groups;
        Assert.Equal((ErrorCode.None, "g", "Stable", "consumer", "range"),
            (groups[0].ErrorCode, groups[0].GroupId, groups[0].GroupState, groups[0].ProtocolType, groups[0].ProtocolData));
        Assert.Equal(version >= 3 ? 328 : int.MinValue, groups[0].AuthorizedOperations);
        DescribeGroupsResponse.DescribedGroupMember described = Assert.Single(groups[0].Members);
        Assert.Equal((member.Id, version >= 4 ? "i" : null, "test"), (described.MemberId, described.GroupInstanceId, described.ClientId));
        Assert.Equal(GroupTestMember.Subscription("t"), described.MemberMetadata.ToArray());
        Assert.Equal($"1/{member.Id}", Encoding.UTF8.GetString(described.MemberAssignment.Span));
        Assert.Equal((version >= 6 ? ErrorCode.GroupIdNotFound : ErrorCode.None, "Dead"), (groups[1].ErrorCode, groups[1].GroupState));
        Assert.Equal(version >= 6, groups[1].ErrorMessage is not null);
    }

    [Theory]
    [EveryVersion<ListGroupsRequest>]
    public async Task Every_version_lists_groups_and_filters_them_by_state_and_type(short version)
    {
        await using GroupTestMember member = await StableAsync();
        await using TestClient client = _broker.Connect();
        await using var simple = new GroupTestMember(client, "offsets");
        await simple.CommitAsync(1);
        Assert.Equal(["g", "offsets"], await ListAsync(client, version));
        if (version >= 4)
        {
            Assert.Equal(["g"], await ListAsync(client, version, states: ["stable"]));
            Assert.Equal(["offsets"], await ListAsync(client, version, states: ["Empty", "Dead"]));
        }
        if (version >= 5)
        {
            Assert.Equal(["g", "offsets"], await ListAsync(client, version, types: ["Classic"]));
            Assert.Empty(await ListAsync(client, version, types: ["consumer"]));
        }
        ListGroupsResponse.ListedGroup listed = (await client.AskAsync(new ListGroupsRequest(), version)).Groups[0];
        Assert.Equal(
            ("consumer", version >= 4 ? "Stable" : "", version >= 5 ? "classic" : ""),
            (listed.ProtocolType, listed.GroupState, listed.GroupType));
    }

    [Theory]
    [EveryVersion<DeleteGroupsRequest>]
    public async Task Every_version_deletes_groups_without_members_and_their_offsets(short version)
    {
        await using GroupTestMember member = await StableAsync();
        await using TestClient client = _broker.Connect();
        await member.CommitAsync(42);
        Assert.Equal([ErrorCode.NonEmptyGroup, ErrorCode.GroupIdNotFound], await DeleteAsync(client, version, "g", "none"));
        await member.LeaveAsync();
        Assert.Equal(42, await member.CommittedAsync());
        Assert.Equal([ErrorCode.None, ErrorCode.GroupIdNotFound], await DeleteAsync(client, version, "g", "g"));
        Assert.Equal(-1, await member.CommittedAsync());
        Assert.Empty(await ListAsync(client, 4));
        member.Id = "";
        Assert.Equal((ErrorCode.None, 1), ((await member.JoinAsync()).ErrorCode, member.Generation)); // it begins anew
    }

    [Fact]
    public async Task Offsets_are_deleted_of_topics_that_nobody_reads()
    {
        await _broker.CreateTopicAsync("u");
        await using GroupTestMember member = await StableAsync();
        await using TestClient client = _broker.Connect();
        await member.CommitAsync(1);
        await member.CommitAsync(2, "u");
        OffsetDeleteResponse response = await DeleteOffsetsAsync(client, "g");
        Assert.Equal(
            [("t", ErrorCode.GroupSubscribedToTopic), ("u", ErrorCode.None), ("none", ErrorCode.UnknownTopicOrPartition)],
            response.Topics.Select(topic => (topic.Name, topic.Partitions.Single().ErrorCode)));
        Assert.Equal((1, -1), (await member.CommittedAsync(), await member.CommittedAsync("u")));
        await member.LeaveAsync();
        Assert.Equal(ErrorCode.None, (await DeleteOffsetsAsync(client, "g")).Topics[0].Partitions.Single().ErrorCode);
        Assert.Equal(-1, await member.CommittedAsync());
        Assert.Equal(ErrorCode.GroupIdNotFound, (await DeleteOffsetsAsync(client, "none")).ErrorCode);
    }

    [Fact]
    public async Task Offsets_of_a_group_whose_members_are_no_consumers_are_not_deleted()
    {
        await using GroupTestMember member = await StableAsync(type: "connect");
        await using TestClient client = _broker.Connect();
        Assert.Equal(ErrorCode.NonEmptyGroup, (await DeleteOffsetsAsync(client, "g")).ErrorCode);
    }

    [Fact]
    public async Task Offsets_expire_when_the_group_has_been_empty_for_the_retention_and_then_the_group_is_gone()
    {
        await using GroupTestMember member = await StableAsync();
        await member.CommitAsync(42);
        for (int i = 0; i < 10; i++)
        {
            _broker.Time.Advance(TimeSpan.FromSeconds(20));
            Assert.Equal(ErrorCode.None, await member.HeartbeatAsync());
        }
        await member.LeaveAsync();
        _broker.Time.Advance(TimeSpan.FromMinutes(59));
        await _broker.Groups.ExpireAsync("g");
        Assert.Single((await _broker.Groups.Store.LoadAsync("g"))!.Offsets);
        _broker.Time.Advance(TimeSpan.FromMinutes(1));
        await _broker.Groups.ExpireAsync("g");
        Assert.Null(await _broker.Groups.Store.LoadAsync("g"));
    }

    [Fact]
    public async Task Offsets_of_topics_that_members_read_do_not_expire_and_those_of_others_do()
    {
        await _broker.CreateTopicAsync("u");
        await using GroupTestMember member = await StableAsync();
        await member.CommitAsync(1);
        await member.CommitAsync(2, "u");
        for (int i = 0; i < 181; i++)
        {
            _broker.Time.Advance(TimeSpan.FromSeconds(20));
            Assert.Equal(ErrorCode.None, await member.HeartbeatAsync());
        }
        await _broker.Groups.ExpireAsync("g");
        Assert.Equal((1, -1), (await member.CommittedAsync(), await member.CommittedAsync("u")));
    }

    [Fact]
    public async Task A_retention_that_the_client_wants_goes_before_the_brokers()
    {
        await _broker.CreateTopicAsync("t");
        await using TestClient client = _broker.Connect();
        await using var simple = new GroupTestMember(client, "g");
        OffsetCommitRequest request = simple.CommitRequest(42);
        request.RetentionTimeMs = 60_000;
        await client.AskAsync(request, 4);
        _broker.Time.Advance(TimeSpan.FromSeconds(59));
        await _broker.Groups.ExpireAsync("g");
        Assert.Equal(42, await simple.CommittedAsync());
        _broker.Time.Advance(TimeSpan.FromSeconds(1));
        await _broker.Groups.ExpireAsync("g");
        Assert.Equal(-1, await simple.CommittedAsync());
    }

    private static async Task<string[]> ListAsync(TestClient client, short version, string[]? states = null, string[]? types = null) =>
        [.. (await client.AskAsync(new ListGroupsRequest { StatesFilter = states ?? [], TypesFilter = types ?? [] }, version)).Groups
            .Select(group => group.GroupId)];

    private static async Task<ErrorCode[]> DeleteAsync(TestClient client, short version, params string[] groups) =>
        [.. (await client.AskAsync(new DeleteGroupsRequest { GroupsNames = groups }, version)).Results.Select(result => result.ErrorCode)];

    private static Task<OffsetDeleteResponse> DeleteOffsetsAsync(TestClient client, string group) => client.AskAsync(
        new OffsetDeleteRequest
        {
            GroupId = group,
            Topics =
            [
                .. new[] { "t", "u", "none" }.Select(topic => new OffsetDeleteRequest.OffsetDeleteRequestTopic
                {
                    Name = topic,
                    Partitions = [new() { PartitionIndex = 0 }],
                }),
            ],
        }, 0);

    private async Task<GroupTestMember> StableAsync(string? instance = null, string type = "consumer")
    {
        await _broker.CreateTopicAsync("t");
        var member = new GroupTestMember(_broker.Connect(), "g", 5, instance) { ProtocolType = type };
        await member.JoinAsync();
        await member.SyncAsync();
        return member;
    }
}
