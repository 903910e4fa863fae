using Tributary.Broker;
using Tributary.Broker.Groups;
using Tributary.Broker.Groups.Modern;
using Tributary.Broker.Metadata;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Tests.Broker.Support;
using Xunit;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Broker.Gateway;

/// <summary>What clients of the newer consumer protocol do wrong, or in an unlucky moment, harms no other member.</summary>
public sealed class ConsumerGroupMishapTests : IAsyncLifetime
{
    private static readonly GroupOptions Options = new()
    {
        InitialRebalanceDelay = TimeSpan.Zero,
        MaxMemberBytes = 20_000,
        MaxGroupBytes = 40_000,
        ConsumerMaxExpressions = 2,
    };

    /// <summary>An assignment of no partitions: version, topics, user data.</summary>
    private static readonly byte[] Nothing = [0, 0, 0, 0, 0, 0, 255, 255, 255, 255];
    private readonly TestBroker _broker = new(new BrokerOptions { Groups = Options });

    public async ValueTask InitializeAsync() => await _broker.CreateTopicAsync("t", 4);

    public ValueTask DisposeAsync() => _broker.DisposeAsync();

    [Fact]
    public async Task A_static_member_that_is_refused_when_it_comes_back_may_come_again_or_is_removed_in_time()
    {
        await using ConsumerTestMember before = Member("i1");
        await before.JoinAsync();
        await before.LeaveAsync(epoch: -2);
        await using ConsumerTestMember large = Member("i1");
        large.Topics = [.. Enumerable.Range(0, 4000).Select(i => $"topic-{i}")];
        Assert.Equal(ErrorCode.PolicyViolation, await large.JoinAsync());
        await using ConsumerTestMember after = Member("i1");
        Assert.Equal(ErrorCode.None, await after.JoinAsync());
        Assert.Equal([0, 1, 2, 3], after.Partitions);
        await after.LeaveAsync(epoch: -2);
        Assert.Equal(ErrorCode.PolicyViolation, await large.JoinAsync());
        _broker.Time.Advance(Options.ConsumerSessionTimeout + TimeSpan.FromSeconds(1));
        await using ConsumerTestMember other = Member();
        await Eventually.HoldsAsync(() => _broker.Groups.Context.Metrics.ExpiredMembers == 1);
        await other.JoinAsync();
        Assert.Equal([0, 1, 2, 3], other.Partitions);
    }

    [Fact]
    public async Task Who_takes_the_id_of_one_member_and_the_name_of_another_is_refused_and_both_stay()
    {
        await using ConsumerTestMember named = Member("i1");
        await named.JoinAsync();
        await named.LeaveAsync(epoch: -2);
        await using ConsumerTestMember other = Member();
        await other.JoinAsync();
        await using ConsumerTestMember mixed = Member("i1");
        mixed.Id = other.Id;
        Assert.Equal(ErrorCode.FencedInstanceId, await mixed.JoinAsync());
        Assert.Equal(ErrorCode.None, await other.LiveAsync());
        await using ConsumerTestMember back = Member("i1");
        Assert.Equal(ErrorCode.None, await back.JoinAsync());
    }

    [Fact]
    public async Task Who_reads_by_an_expression_gets_its_share_of_a_topic_that_others_saw_first()
    {
        await using ConsumerTestMember byName = Member();
        byName.Topics = ["later"];
        await using ConsumerTestMember byPattern = Member();
        (byPattern.Topics, byPattern.Pattern) = ([], "l.*");
        await byName.JoinAsync();
        await byPattern.JoinAsync();
        await _broker.CreateTopicAsync("l", 1);
        await byPattern.TellAsync();
        await byName.TellAsync();
        await _broker.CreateTopicAsync("later", 4);
        await byName.TellAsync(); // before expressions are looked at again
        Assert.Equal(4, byName.Owned.Length);
        _broker.Time.Advance(TimeSpan.FromSeconds(6));
        await byPattern.TellAsync();
        await byName.TellAsync();
        Assert.Equal(3, byName.Owned.Length);
        await byName.TellAsync();
        await byPattern.TellAsync();
        Assert.Equal(2, byPattern.Owned.Length);
    }

    [Fact]
    public async Task An_expression_that_closes_what_it_has_not_opened_is_none()
    {
        await using ConsumerTestMember member = Member();
        (member.Topics, member.Pattern) = ([], "a)|(?:b");
        Assert.Equal(ErrorCode.InvalidRegularExpression, await member.JoinAsync());
    }

    [Fact]
    public async Task A_name_with_a_line_feed_is_not_taken_for_two()
    {
        await _broker.CreateTopicAsync("a", 2);
        await using ConsumerTestMember odd = Member();
        (odd.Id, odd.Topics) = ("0", ["a\nb"]);
        await odd.JoinAsync();
        await using ConsumerTestMember good = Member();
        (good.Id, good.Topics) = ("1", ["a", "b"]);
        await good.JoinAsync();
        Assert.Equal(2, good.Owned.Length);
    }

    [Fact]
    public async Task A_static_member_of_the_classic_protocol_that_missed_a_rebalance_comes_back_by_the_newer_one()
    {
        await using var away = new GroupTestMember(_broker.Connect(), "g", 5, "i1") { SessionTimeoutMs = 300_000, Assigned = Nothing };
        await using var there = new GroupTestMember(_broker.Connect(), "g") { SessionTimeoutMs = 300_000, Assigned = Nothing };
        await away.JoinAsync();
        await away.SyncAsync();
        Task<JoinGroupResponse> joined = there.JoinAsync();
        await Eventually.HoldsAsync(() => _broker.Groups.Context.Directory.Find("g")?.State == GroupState.PreparingRebalance);
        await Task.WhenAll(joined, away.JoinAsync());
        await Task.WhenAll(away.SyncAsync(), there.SyncAsync());
        there.Topics = ["t", "u"];
        joined = there.JoinAsync();
        await Eventually.HoldsAsync(() => _broker.Groups.Context.Directory.Find("g")?.State == GroupState.PreparingRebalance);
        _broker.Time.Advance(TimeSpan.FromMilliseconds(there.RebalanceTimeoutMs + 1));
        Assert.Equal(ErrorCode.None, (await joined).ErrorCode);
        await there.SyncAsync();
        await using ConsumerTestMember stranger = Member();
        Assert.Equal(ErrorCode.CoordinatorLoadInProgress, await stranger.JoinAsync());
        await using ConsumerTestMember back = Member("i1");
        Assert.Equal(ErrorCode.None, await back.JoinAsync());
    }

    [Fact]
    public async Task Different_expressions_are_limited_and_who_has_one_too_many_is_told_and_counted()
    {
        await using ConsumerTestMember first = Member("i1");
        await using ConsumerTestMember second = Member();
        await using ConsumerTestMember third = Member();
        (first.Pattern, second.Pattern, third.Pattern) = ("t.*", "u.*", "v.*");
        Assert.Equal((ErrorCode.None, ErrorCode.None), (await first.JoinAsync(), await second.JoinAsync()));
        Assert.Equal(ErrorCode.InvalidRegularExpression, await third.JoinAsync());
        Assert.Contains("groups:consumerMaxExpressions is 2", third.Last.ErrorMessage, StringComparison.Ordinal);
        Assert.Equal((1, 2), (Metrics.Refused(GroupRefusal.TooManyExpressions), Metrics.Members));
        third.Pattern = "t.*";
        Assert.Equal(ErrorCode.None, await third.JoinAsync());
        second.Pattern = "w.*"; // in the place of its own
        Assert.Equal(ErrorCode.None, await second.TellAsync());
        third.Pattern = "v.*"; // the first still has what it had
        Assert.Equal(ErrorCode.InvalidRegularExpression, await third.TellAsync());
        await first.LeaveAsync(epoch: -2);
        await using ConsumerTestMember back = Member("i1");
        back.Pattern = "x.*";
        Assert.Equal(ErrorCode.InvalidRegularExpression, await back.JoinAsync());
        Assert.Equal(3, Metrics.Members);
        back.Pattern = "w.*";
        Assert.Equal(ErrorCode.None, await back.JoinAsync());
        await second.LeaveAsync();
        await back.LeaveAsync();
        third.Pattern = "y.*";
        Assert.Equal(ErrorCode.None, await third.TellAsync());
    }

    [Fact]
    public async Task Members_that_are_refused_for_their_number_or_size_are_counted_by_the_limit()
    {
        await using ConsumerTestMember large = Member();
        large.Topics = [.. Enumerable.Range(0, 4000).Select(i => $"topic-{i}")];
        Assert.Equal(ErrorCode.PolicyViolation, await large.JoinAsync());
        Assert.Equal(1, Metrics.Refused(GroupRefusal.MembersTooLarge));
        using var full = new TestGroups(Options with { ConsumerMaxMembers = 0 }, _broker.Time);
        ConsumerGroupHeartbeatResponse told = await full.HeartbeatAsync(large.Whole(), new GroupCaller("c", "/h", 1), default);
        Assert.Equal(ErrorCode.GroupMaxSizeReached, told.ErrorCode);
        Assert.Equal(1, full.Context.Metrics.Refused(GroupRefusal.TooManyMembers));
    }

    [Fact]
    public async Task A_static_member_whose_longer_id_makes_it_too_large_is_refused_and_may_come_back()
    {
        await using ConsumerTestMember before = Member("i1");
        await before.JoinAsync();
        await before.LeaveAsync(epoch: -2);
        await using ConsumerTestMember large = Member("i1");
        large.Id = new string('x', 15_000);
        Assert.Equal(ErrorCode.PolicyViolation, await large.JoinAsync());
        await using ConsumerTestMember after = Member("i1");
        Assert.Equal(ErrorCode.None, await after.JoinAsync());
        Assert.Equal([0, 1, 2, 3], after.Partitions);
    }

    [Fact]
    public async Task A_static_member_of_the_classic_protocol_that_is_back_is_so_after_a_crash_too()
    {
        await using var away = new GroupTestMember(_broker.Connect(), "g", 5, "i1") { SessionTimeoutMs = 300_000, Assigned = Nothing };
        await using GroupTestMember there = await LeaveBehindAsync(away);
        away.Id = (await away.JoinAsync()).MemberId;
        await away.SyncAsync();
        _broker.Groups.Crash();
        await using ConsumerTestMember stranger = Member();
        Assert.Equal(ErrorCode.None, await stranger.JoinAsync());
    }

    [Fact]
    public async Task A_group_that_is_deleted_while_a_member_joins_is_made_anew()
    {
        await using ConsumerTestMember member = Member();
        await member.JoinAsync();
        await member.LeaveAsync();
        await using TestClient admin = _broker.Connect();
        _broker.Groups.Store.Hold();
        Task<DeleteGroupsResponse> deletion = admin.AskAsync(new DeleteGroupsRequest { GroupsNames = ["g"] }, 2);
        await using ConsumerTestMember other = Member();
        Task<ErrorCode> joining = other.JoinAsync();
        _broker.Groups.Store.Release();
        Assert.Contains((await deletion).Results.Single().ErrorCode, new[] { ErrorCode.None, ErrorCode.NonEmptyGroup }); // whoever came first
        Assert.Equal(ErrorCode.None, await joining);
        Assert.Equal([0, 1, 2, 3], other.Partitions);
    }

    [Fact]
    public async Task A_group_whose_work_fails_begins_again_with_what_is_stored()
    {
        bool fails = false;
        TopicInfo topic = TestControlPlane.Make("t", Guid.NewGuid(), 4);
        var topics = new Dictionary<string, TopicInfo> { ["t"] = topic };
        using var groups = new TestGroups(
            Options, _broker.Time, topics: () => fails ? throw new InvalidOperationException("the test fails it") : topics);
        var caller = new GroupCaller("c", "/h", 5);
        await using ConsumerTestMember member = Member();
        ConsumerGroupHeartbeatResponse joined = await groups.HeartbeatAsync(member.Whole(), caller, default);
        fails = true;
        await using var classic = new GroupTestMember(_broker.Connect(), "g");
        await Assert.ThrowsAsync<InvalidOperationException>(() => groups.JoinAsync(classic.JoinRequest(), caller, default));
        fails = false;
        Assert.Contains(groups.Logger.Lines, line => line.Text.Contains("Group g could not be stored", StringComparison.Ordinal));
        member.Epoch = joined.MemberEpoch;
        ConsumerGroupHeartbeatResponse goesOn = await groups.HeartbeatAsync(member.Whole(), caller, default);
        Assert.Equal((ErrorCode.None, joined.MemberEpoch), (goesOn.ErrorCode, goesOn.MemberEpoch));
        Assert.Equal([0, 1, 2, 3], goesOn.Assignment!.TopicPartitions.Single().Partitions);
    }

    [Fact]
    public async Task Partitions_that_can_not_be_are_left_out_when_a_group_is_upgraded()
    {
        await using var classic = new GroupTestMember(_broker.Connect(), "g") { Assigned = ConsumerAssignment.Write([("t", [-1, 0, 9])]) };
        await classic.JoinAsync();
        await classic.SyncAsync();
        await using ConsumerTestMember modern = Member();
        Assert.Equal(ErrorCode.None, await modern.JoinAsync());
        StoredGroup? stored = await _broker.Groups.Store.LoadAsync("g");
        ModernMemberRecord upgraded = stored!.Record.Modern!.Members.Single(member => member.Classic is not null);
        Assert.Equal([0], upgraded.Assigned.Single().Partitions);
    }

    private GroupMetrics Metrics => _broker.Groups.Context.Metrics;

    /// <summary>Brings a static member into a group with another one, and then has the group rebalance without it.</summary>
    private async Task<GroupTestMember> LeaveBehindAsync(GroupTestMember away)
    {
        var there = new GroupTestMember(_broker.Connect(), "g") { SessionTimeoutMs = 300_000, Assigned = Nothing };
        await there.JoinAsync(); // first, so it is the leader
        await there.SyncAsync();
        Task<JoinGroupResponse> joined = away.JoinAsync();
        await RebalancesAsync();
        await Task.WhenAll(joined, there.JoinAsync());
        await Task.WhenAll(away.SyncAsync(), there.SyncAsync());
        there.Topics = ["t", "u"];
        joined = there.JoinAsync();
        await RebalancesAsync();
        _broker.Time.Advance(TimeSpan.FromMilliseconds(there.RebalanceTimeoutMs + 1));
        await joined;
        await there.SyncAsync();
        return there;
    }

    private Task RebalancesAsync() =>
        Eventually.HoldsAsync(() => _broker.Groups.Context.Directory.Find("g")?.State == GroupState.PreparingRebalance);

    private ConsumerTestMember Member(string? instance = null) => new(_broker.Connect(), "g", 1, instance);
}
