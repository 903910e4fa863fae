using System.Text;
using Tributary.Broker;
using Tributary.Broker.Groups;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Tests.Broker.Support;
using Xunit;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Broker.Gateway;

/// <summary>Static members (KIP-345, KIP-814) by raw requests.</summary>
public sealed class StaticMemberTests : IAsyncDisposable
{
    private static readonly BrokerOptions NoDelay = new() { Groups = new GroupOptions { InitialRebalanceDelay = TimeSpan.Zero } };
    private readonly TestBroker _broker = new(NoDelay);

    private GroupState State => _broker.Groups.Context.Directory.Find("g")?.State ?? GroupState.Dead;

    public ValueTask DisposeAsync() => _broker.DisposeAsync();

    [Theory]
    [EveryVersion<JoinGroupRequest>(Since = 5)]
    public async Task A_static_member_that_comes_back_goes_on_without_a_rebalance_and_whoever_has_its_old_id_is_fenced(short version)
    {
        (GroupTestMember first, GroupTestMember second) = await TwoAsync(version);
        GroupTestMember old = first.IsLeader ? second : first;
        await using GroupTestMember back = Member(version, old == first ? "a" : "b");
        JoinGroupResponse joined = await back.JoinAsync();
        Assert.Equal((ErrorCode.None, old.Generation, false), (joined.ErrorCode, joined.GenerationId, joined.SkipAssignment));
        Assert.NotEqual(old.Id, back.Id);
        Assert.Empty(joined.Members);
        SyncGroupResponse synced = await back.SyncAsync();
        Assert.Equal($"{old.Generation}/{old.Id}", Encoding.UTF8.GetString(synced.Assignment.Span)); // as it was
        Assert.Equal(ErrorCode.FencedInstanceId, await old.HeartbeatAsync());
        Assert.Equal(ErrorCode.FencedInstanceId, (await old.JoinAsync()).ErrorCode);
        Assert.Equal(ErrorCode.FencedInstanceId, (await old.SyncAsync()).ErrorCode);
        Assert.Equal(ErrorCode.FencedInstanceId, await old.CommitAsync(7));
        Assert.Equal(ErrorCode.None, await back.CommitAsync(7));
        Assert.Equal(GroupState.Stable, State);
    }

    [Theory]
    [EveryVersion<JoinGroupRequest>(Since = 5)]
    public async Task A_leader_that_comes_back_makes_no_assignment_that_nobody_would_get(short version)
    {
        (GroupTestMember first, GroupTestMember second) = await TwoAsync(version);
        GroupTestMember old = first.IsLeader ? first : second;
        await using GroupTestMember back = Member(version, old == first ? "a" : "b");
        JoinGroupResponse joined = await back.JoinAsync();
        Assert.Equal(old.Generation, joined.GenerationId);
        Assert.Equal(version >= 9, joined.SkipAssignment);
        Assert.Equal(version >= 9 ? back.Id : old.Id, joined.Leader);
        Assert.Equal(version >= 9 ? 2 : 0, joined.Members.Length);
        Assert.Equal($"{old.Generation}/{old.Id}", Encoding.UTF8.GetString((await back.SyncAsync()).Assignment.Span));
        Assert.Equal(GroupState.Stable, State);
    }

    [Theory]
    [EveryVersion<JoinGroupRequest>(Since = 5)]
    public async Task One_that_comes_back_with_other_topics_or_protocols_starts_a_rebalance(short version)
    {
        (GroupTestMember first, GroupTestMember second) = await TwoAsync(version);
        await using GroupTestMember back = Member(version, "a");
        back.Topics = ["t", "u"];
        Task<JoinGroupResponse> joining = back.JoinAsync();
        await Eventually.HoldsAsync(() => State == GroupState.PreparingRebalance);
        await Task.WhenAll(joining, second.JoinAsync());
        Assert.Equal(first.Generation + 1, (await joining).GenerationId);
    }

    [Theory]
    [EveryVersion<JoinGroupRequest>(Since = 5)]
    public async Task An_absent_one_keeps_its_place_until_its_session_is_over(short version)
    {
        (GroupTestMember first, GroupTestMember second) = await TwoAsync(version);
        int generation = first.Generation;
        _broker.Time.Advance(TimeSpan.FromSeconds(29));
        Assert.Equal(ErrorCode.None, await first.HeartbeatAsync());
        Assert.Equal(GroupState.Stable, State);
        _broker.Time.Advance(TimeSpan.FromSeconds(1));
        await Eventually.HoldsAsync(() => State == GroupState.PreparingRebalance);
        JoinGroupResponse joined = await first.JoinAsync();
        Assert.Equal((generation + 1, first.Id), (joined.GenerationId, joined.Members.Single().MemberId));
        Assert.Equal(ErrorCode.UnknownMemberId, await second.HeartbeatAsync());
    }

    [Theory]
    [EveryVersion<LeaveGroupRequest>(Since = 3)]
    public async Task An_administrator_takes_members_out_by_their_names_and_each_is_answered(short version)
    {
        (GroupTestMember first, GroupTestMember second) = await TwoAsync(5);
        await using TestClient admin = _broker.Connect();
        LeaveGroupResponse response = await admin.AskAsync(
            new LeaveGroupRequest
            {
                GroupId = "g",
                Members =
                [
                    new() { GroupInstanceId = "a" },
                    new() { GroupInstanceId = "nobody" },
                    new() { MemberId = "nobody" },
                    new() { MemberId = "wrong", GroupInstanceId = "b" },
                ],
            }, version);
        Assert.Equal(ErrorCode.None, response.ErrorCode);
        Assert.Equal(
            [ErrorCode.None, ErrorCode.UnknownMemberId, ErrorCode.UnknownMemberId, ErrorCode.FencedInstanceId],
            response.Members.Select(member => member.ErrorCode));
        Assert.Equal(["a", "nobody", null, "b"], response.Members.Select(member => member.GroupInstanceId));
        Assert.Equal(ErrorCode.UnknownMemberId, await first.HeartbeatAsync());
        Assert.Equal(ErrorCode.RebalanceInProgress, await second.HeartbeatAsync());
    }

    private GroupTestMember Member(short version, string instance) => new(_broker.Connect(), "g", version, instance);

    private async Task<(GroupTestMember First, GroupTestMember Second)> TwoAsync(short version)
    {
        await _broker.CreateTopicAsync("t");
        GroupTestMember first = Member(version, "a");
        GroupTestMember second = Member(version, "b");
        await first.JoinAsync();
        Task<JoinGroupResponse> joining = second.JoinAsync();
        await Eventually.HoldsAsync(() => State == GroupState.PreparingRebalance);
        await Task.WhenAll(joining, first.JoinAsync());
        await Task.WhenAll(first.SyncAsync(), second.SyncAsync());
        return (first, second);
    }
}
