using System.Text;
using Tributary.Broker;
using Tributary.Broker.Groups;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Tests.Broker.Support;
using Xunit;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Broker.Gateway;

/// <summary>Joining, syncing, living and leaving by raw requests.</summary>
public sealed class GroupTests : IAsyncDisposable
{
    private static readonly BrokerOptions NoDelay = new() { Groups = new GroupOptions { InitialRebalanceDelay = TimeSpan.Zero } };
    private readonly TestBroker _broker = new(NoDelay);

    public ValueTask DisposeAsync() => _broker.DisposeAsync();

    [Theory]
    [EveryVersion<JoinGroupRequest>]
    public async Task Every_version_joins_syncs_lives_and_leaves(short version)
    {
        await using GroupTestMember member = Member(version);
        JoinGroupResponse joined = await member.JoinAsync();
        Assert.Equal((ErrorCode.None, 1, "range"), (joined.ErrorCode, joined.GenerationId, joined.ProtocolName));
        Assert.Equal(version >= 7 ? "consumer" : null, joined.ProtocolType);
        Assert.True(member.IsLeader);
        Assert.Equal(GroupTestMember.Subscription("t"), Assert.Single(joined.Members).Metadata.ToArray());
        SyncGroupResponse synced = await member.SyncAsync();
        Assert.Equal((ErrorCode.None, $"1/{member.Id}"), (synced.ErrorCode, Encoding.UTF8.GetString(synced.Assignment.Span)));
        Assert.Equal(ErrorCode.None, await member.HeartbeatAsync());
        Assert.Equal(ErrorCode.None, await member.LeaveAsync());
        Assert.Equal(ErrorCode.UnknownMemberId, await member.HeartbeatAsync());
    }

    [Theory]
    [EveryVersion<JoinGroupRequest>]
    public async Task A_member_without_an_id_gets_one_first_from_version_4_on_and_joins_at_once_below(short version)
    {
        await using TestClient client = _broker.Connect();
        JoinGroupResponse response = await client.AskAsync(new GroupTestMember(client, "g", version).JoinRequest(), version);
        Assert.Equal(version >= 4 ? ErrorCode.MemberIdRequired : ErrorCode.None, response.ErrorCode);
        Assert.StartsWith("test-", response.MemberId, StringComparison.Ordinal);
        Assert.Equal(version >= 4 ? -1 : 1, response.GenerationId);
    }

    [Theory]
    [EveryVersion<JoinGroupRequest>]
    public async Task Every_version_tells_the_leader_of_all_members_and_each_its_own_assignment(short version)
    {
        await using GroupTestMember first = Member(version);
        await using GroupTestMember second = Member(version);
        await JoinAllAsync(first, second);
        GroupTestMember leader = first.IsLeader ? first : second;
        GroupTestMember other = first.IsLeader ? second : first;
        Assert.Equal(new[] { first.Id, second.Id }.Order(), leader.Joined!.Members.Select(member => member.MemberId).Order());
        Assert.Empty(other.Joined!.Members);
        SyncGroupResponse[] synced = await Task.WhenAll(other.SyncAsync(), leader.SyncAsync());
        Assert.Equal($"{leader.Generation}/{other.Id}", Encoding.UTF8.GetString(synced[0].Assignment.Span));
        Assert.Equal($"{leader.Generation}/{leader.Id}", Encoding.UTF8.GetString(synced[1].Assignment.Span));
    }

    [Theory]
    [EveryVersion<JoinGroupRequest>]
    public async Task An_id_that_nobody_has_is_unknown(short version)
    {
        await using GroupTestMember member = Member(version);
        member.Id = "stranger";
        Assert.Equal(ErrorCode.UnknownMemberId, (await member.JoinAsync()).ErrorCode);
        Assert.Equal(ErrorCode.UnknownMemberId, await member.HeartbeatAsync());
        Assert.Equal(ErrorCode.UnknownMemberId, await member.LeaveAsync());
        Assert.Empty(await _broker.Groups.Store.ListAsync(null, 10));
    }

    [Theory]
    [EveryVersion<JoinGroupRequest>]
    public async Task A_member_of_another_generation_is_told_so(short version)
    {
        await using GroupTestMember member = await StableAsync(version);
        member.Generation++;
        Assert.Equal(ErrorCode.IllegalGeneration, await member.HeartbeatAsync());
        Assert.Equal(ErrorCode.IllegalGeneration, (await member.SyncAsync()).ErrorCode);
        Assert.Equal(ErrorCode.IllegalGeneration, await member.CommitAsync(1));
    }

    [Theory]
    [EveryVersion<JoinGroupRequest>]
    public async Task Members_hear_of_a_rebalance_by_their_heartbeats(short version)
    {
        await using GroupTestMember first = await StableAsync(version);
        await using GroupTestMember second = Member(version);
        Task<JoinGroupResponse> joining = second.JoinAsync();
        await Eventually.HoldsAsync(() => StateOf("g") == GroupState.PreparingRebalance);
        Assert.Equal(ErrorCode.RebalanceInProgress, await first.HeartbeatAsync());
        Assert.Equal(ErrorCode.RebalanceInProgress, (await first.SyncAsync()).ErrorCode);
        Assert.Equal(ErrorCode.None, (await first.JoinAsync()).ErrorCode);
        Assert.Equal(2, (await joining).GenerationId);
        Assert.Equal(ErrorCode.None, await first.HeartbeatAsync()); // before it has synced
    }

    [Theory]
    [EveryVersion<JoinGroupRequest>]
    public async Task A_member_that_is_not_heard_of_is_gone_after_its_session_and_the_others_go_on(short version)
    {
        await using GroupTestMember first = Member(version);
        await using GroupTestMember second = Member(version);
        second.SessionTimeoutMs = 10_000;
        await JoinAllAsync(first, second);
        await Task.WhenAll(first.SyncAsync(), second.SyncAsync());
        _broker.Time.Advance(TimeSpan.FromSeconds(10));
        await Eventually.HoldsAsync(() => StateOf("g") == GroupState.PreparingRebalance);
        Assert.Equal(ErrorCode.RebalanceInProgress, await first.HeartbeatAsync());
        Assert.Equal(ErrorCode.UnknownMemberId, await second.HeartbeatAsync());
        JoinGroupResponse joined = await first.JoinAsync();
        Assert.Equal(first.Id, Assert.Single(joined.Members).MemberId);
    }

    [Theory]
    [EveryVersion<JoinGroupRequest>(Since = 1)]
    public async Task A_rebalance_does_not_wait_for_a_member_longer_than_its_rebalance_timeout(short version)
    {
        await using GroupTestMember first = Member(version);
        await using GroupTestMember second = Member(version);
        (first.RebalanceTimeoutMs, second.RebalanceTimeoutMs) = (20_000, 20_000);
        await JoinAllAsync(first, second);
        await Task.WhenAll(first.SyncAsync(), second.SyncAsync());
        GroupTestMember leader = first.IsLeader ? first : second;
        GroupTestMember other = first.IsLeader ? second : first;
        Task<JoinGroupResponse> rejoining = leader.JoinAsync(); // a leader that joins again wants a rebalance
        await Eventually.HoldsAsync(() => StateOf("g") == GroupState.PreparingRebalance);
        _broker.Time.Advance(TimeSpan.FromSeconds(19));
        Assert.Equal(ErrorCode.RebalanceInProgress, await other.HeartbeatAsync());
        Assert.False(rejoining.IsCompleted);
        _broker.Time.Advance(TimeSpan.FromSeconds(1));
        Assert.Single((await rejoining).Members);
        Assert.Equal(ErrorCode.UnknownMemberId, await other.HeartbeatAsync());
    }

    [Theory]
    [EveryVersion<JoinGroupRequest>]
    public async Task A_rejoin_without_news_starts_no_rebalance_and_one_with_other_metadata_does(short version)
    {
        await using GroupTestMember first = Member(version);
        await using GroupTestMember second = Member(version);
        await JoinAllAsync(first, second);
        await Task.WhenAll(first.SyncAsync(), second.SyncAsync());
        GroupTestMember other = first.IsLeader ? second : first;
        int generation = other.Generation;
        Assert.Equal(generation, (await other.JoinAsync()).GenerationId);
        Assert.Equal(GroupState.Stable, StateOf("g"));
        other.Topics = ["t", "u"];
        Task<JoinGroupResponse> rejoining = other.JoinAsync();
        await Eventually.HoldsAsync(() => StateOf("g") == GroupState.PreparingRebalance);
        await Task.WhenAll(rejoining, (first.IsLeader ? first : second).JoinAsync());
        Assert.Equal(generation + 1, (await rejoining).GenerationId);
    }

    [Theory]
    [EveryVersion<JoinGroupRequest>]
    public async Task A_member_that_leaves_starts_one_rebalance_and_the_last_one_leaves_the_group_empty(short version)
    {
        await using GroupTestMember first = Member(version);
        await using GroupTestMember second = Member(version);
        await JoinAllAsync(first, second);
        await Task.WhenAll(first.SyncAsync(), second.SyncAsync());
        int generation = first.Generation;
        Assert.Equal(ErrorCode.None, await second.LeaveAsync());
        Assert.Equal(generation + 1, (await first.JoinAsync()).GenerationId);
        await first.SyncAsync();
        Assert.Equal(ErrorCode.None, await first.HeartbeatAsync());
        Assert.Equal(ErrorCode.None, await first.LeaveAsync());
        Assert.Equal(GroupState.Empty, StateOf("g"));
    }

    [Theory]
    [EveryVersion<JoinGroupRequest>]
    public async Task Members_without_a_common_protocol_or_of_another_class_are_refused(short version)
    {
        await using GroupTestMember first = await StableAsync(version);
        await using GroupTestMember stranger = Member(version);
        stranger.Protocols = ["sticky"];
        Assert.Equal(ErrorCode.InconsistentGroupProtocol, (await stranger.JoinAsync()).ErrorCode);
        stranger.Protocols = ["sticky", "range"];
        stranger.ProtocolType = "connect";
        Assert.Equal(ErrorCode.InconsistentGroupProtocol, (await stranger.JoinAsync()).ErrorCode);
        stranger.Protocols = [];
        stranger.ProtocolType = "consumer";
        Assert.Equal(ErrorCode.InconsistentGroupProtocol, (await stranger.JoinAsync()).ErrorCode);
        Assert.Equal(ErrorCode.None, await first.HeartbeatAsync());
    }

    [Theory]
    [EveryVersion<JoinGroupRequest>]
    public async Task The_protocol_is_one_that_all_support_and_most_prefer(short version)
    {
        await using GroupTestMember first = Member(version);
        await using GroupTestMember second = Member(version);
        first.Protocols = ["a", "b", "c"];
        second.Protocols = ["c", "b"];
        await JoinAllAsync(first, second);
        Assert.Contains(first.Joined!.ProtocolName!, new[] { "b", "c" });
        await using GroupTestMember third = Member(version);
        third.Protocols = ["c", "b"];
        Task<JoinGroupResponse> joining = third.JoinAsync();
        await Eventually.HoldsAsync(() => StateOf("g") == GroupState.PreparingRebalance);
        await Task.WhenAll(joining, first.JoinAsync(), second.JoinAsync());
        Assert.Equal("c", third.Joined!.ProtocolName);
    }

    [Theory]
    [EveryVersion<JoinGroupRequest>(5_999)]
    [EveryVersion<JoinGroupRequest>(1_800_001)]
    public async Task A_session_timeout_out_of_range_is_refused(short version, int timeout)
    {
        await using GroupTestMember member = Member(version);
        member.SessionTimeoutMs = timeout;
        Assert.Equal(ErrorCode.InvalidSessionTimeout, (await member.JoinAsync()).ErrorCode);
    }

    [Theory]
    [EveryVersion<JoinGroupRequest>]
    public async Task A_group_needs_a_name_that_is_not_too_long(short version)
    {
        foreach (string name in new[] { "", new string('g', 1025) })
        {
            await using var member = new GroupTestMember(_broker.Connect(), name, version);
            Assert.Equal(ErrorCode.InvalidGroupId, (await member.JoinAsync()).ErrorCode);
            Assert.Equal(ErrorCode.InvalidGroupId, await member.HeartbeatAsync());
            Assert.Equal(ErrorCode.InvalidGroupId, await member.LeaveAsync());
        }
    }

    [Theory]
    [EveryVersion<JoinGroupRequest>]
    public async Task A_request_that_failed_is_answered_with_an_error_that_clients_try_again(short version)
    {
        await using GroupTestMember member = await StableAsync(version);
        _broker.Groups.Failure = new IOException("the store is away");
        Assert.Equal(ErrorCode.CoordinatorNotAvailable, await member.HeartbeatAsync());
        Assert.Equal(ErrorCode.CoordinatorNotAvailable, (await member.JoinAsync()).ErrorCode);
        Assert.Equal(ErrorCode.CoordinatorNotAvailable, (await member.SyncAsync()).ErrorCode);
        Assert.Equal(ErrorCode.CoordinatorNotAvailable, await member.LeaveAsync());
        Assert.Equal(ErrorCode.CoordinatorNotAvailable, await member.CommitAsync(1));
    }

    [Theory]
    [EveryVersion<JoinGroupRequest>]
    public async Task Members_that_all_join_at_once_come_together_and_none_is_ever_unknown(short version)
    {
        const int Count = 8;
        GroupTestMember[] members = [.. Enumerable.Range(0, Count).Select(_ => Member(version))];
        using var together = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        int[] joins = await Task.WhenAll(members.Select(member => Task.Run(() => LiveAsync(member))));
        Assert.Single(members.Select(member => member.Generation).Distinct());
        Assert.InRange(members[0].Generation, 1, Count); // each new member is one rebalance at most
        Assert.All(joins, count => Assert.InRange(count, 1, Count));
        foreach (GroupTestMember member in members)
        {
            await member.DisposeAsync();
        }

        async Task<int> LiveAsync(GroupTestMember member)
        {
            for (int joined = 1; ; joined++)
            {
                Assert.Equal(ErrorCode.None, (await member.JoinAsync()).ErrorCode);
                bool isWhole = member.Joined!.Members.Length == Count;
                ErrorCode error = (await member.SyncAsync()).ErrorCode;
                if (isWhole && error == ErrorCode.None)
                {
                    await together.CancelAsync();
                }
                while (error == ErrorCode.None && !together.IsCancellationRequested)
                {
                    error = await member.HeartbeatAsync();
                }
                if (error == ErrorCode.None)
                {
                    return joined;
                }
                Assert.Equal(ErrorCode.RebalanceInProgress, error);
            }
        }
    }

    private GroupTestMember Member(short version) => new(_broker.Connect(), "g", version);

    private GroupState StateOf(string group) => _broker.Groups.Context.Directory.Find(group)?.State ?? GroupState.Dead;

    private async Task<GroupTestMember> StableAsync(short version)
    {
        await _broker.CreateTopicAsync("t");
        GroupTestMember member = Member(version);
        await member.JoinAsync();
        await member.SyncAsync();
        return member;
    }

    /// <summary>Has members join one after the other, those that are there again with each new one.</summary>
    private async Task JoinAllAsync(params GroupTestMember[] members)
    {
        await members[0].JoinAsync();
        for (int i = 1; i < members.Length; i++)
        {
            Task<JoinGroupResponse> joining = members[i].JoinAsync();
            await Eventually.HoldsAsync(() => StateOf("g") == GroupState.PreparingRebalance);
            await Task.WhenAll([joining, .. members[..i].Select(member => member.JoinAsync())]);
        }
    }
}
