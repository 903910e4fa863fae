using Tributary.Broker;
using Tributary.Broker.Groups;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Tests.Broker.Support;
using Xunit;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Broker.Gateway;

/// <summary>What clients of the newer consumer protocol do wrong, or in an unlucky moment, harms no other member.</summary>
public sealed class ConsumerGroupMishapTests : IAsyncLifetime
{
    private static readonly GroupOptions Options = new() { InitialRebalanceDelay = TimeSpan.Zero, MaxMemberBytes = 20_000, MaxGroupBytes = 40_000 };
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

    private ConsumerTestMember Member(string? instance = null) => new(_broker.Connect(), "g", 1, instance);
}
