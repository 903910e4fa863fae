using Tributary.Broker;
using Tributary.Broker.Groups;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Tests.Broker.Support;
using Xunit;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Broker.Gateway;

/// <summary>Members of the newer consumer protocol (KIP-848) by raw requests.</summary>
public sealed class ConsumerGroupHeartbeatTests : IAsyncLifetime
{
    private readonly TestBroker _broker = new(new BrokerOptions { Groups = new GroupOptions { ConsumerMaxMembers = 3 } });

    public async ValueTask InitializeAsync() => await _broker.CreateTopicAsync("t", 4);

    public ValueTask DisposeAsync() => _broker.DisposeAsync();

    [Theory]
    [EveryVersion<ConsumerGroupHeartbeatRequest>]
    public async Task A_member_joins_has_everything_lives_and_leaves(short version)
    {
        await using ConsumerTestMember member = Member(version);
        Assert.Equal(ErrorCode.None, await member.JoinAsync());
        Assert.Equal((1, 5000), (member.Epoch, member.Last.HeartbeatIntervalMs));
        Assert.Equal([0, 1, 2, 3], member.Partitions);
        Assert.Equal(ErrorCode.None, await member.LiveAsync());
        Assert.NotNull(member.Last.Assignment); // it has not said that it heard of it
        Assert.Equal(ErrorCode.None, await member.TellAsync());
        Assert.NotNull(member.Last.Assignment); // a whole request gets a whole answer
        Assert.Equal(ErrorCode.None, await member.LiveAsync());
        Assert.Null(member.Last.Assignment);
        Assert.Equal(ErrorCode.None, await member.LeaveAsync());
        Assert.Equal(-1, member.Last.MemberEpoch);
        (member.Epoch, member.Owned) = (1, []);
        Assert.Equal(ErrorCode.UnknownMemberId, await member.LiveAsync());
    }

    [Theory]
    [EveryVersion<ConsumerGroupHeartbeatRequest>]
    public async Task A_member_without_an_id_gets_one_in_version_0_and_must_have_one_since(short version)
    {
        await using ConsumerTestMember member = Member(version);
        member.Id = "";
        Assert.Equal(version == 0 ? ErrorCode.None : ErrorCode.InvalidRequest, await member.JoinAsync());
        Assert.Equal(version == 0, member.Id.Length > 0);
    }

    [Theory]
    [EveryVersion<ConsumerGroupHeartbeatRequest>("epoch")]
    [EveryVersion<ConsumerGroupHeartbeatRequest>("group")]
    [EveryVersion<ConsumerGroupHeartbeatRequest>("instance")]
    [EveryVersion<ConsumerGroupHeartbeatRequest>("rack")]
    [EveryVersion<ConsumerGroupHeartbeatRequest>("timeout")]
    [EveryVersion<ConsumerGroupHeartbeatRequest>("topics")]
    [EveryVersion<ConsumerGroupHeartbeatRequest>("owned")]
    [EveryVersion<ConsumerGroupHeartbeatRequest>("unknown owned")]
    [EveryVersion<ConsumerGroupHeartbeatRequest>("static leave")]
    [EveryVersion<ConsumerGroupHeartbeatRequest>("no id")]
    public async Task What_breaks_the_rules_is_refused_with_a_sentence(short version, string what)
    {
        await using ConsumerTestMember member = Member(version);
        ConsumerGroupHeartbeatRequest request = member.Whole();
        switch (what)
        {
            case "epoch": request.MemberEpoch = -3; break;
            case "group": request.GroupId = ""; break;
            case "instance": request.InstanceId = ""; break;
            case "rack": request.RackId = ""; break;
            case "timeout": request.RebalanceTimeoutMs = -1; break;
            case "topics": request.SubscribedTopicNames = null; break;
            case "owned": request.TopicPartitions = [new() { TopicId = Guid.NewGuid(), Partitions = [0] }]; break;
            case "unknown owned": request.TopicPartitions = null; break;
            case "static leave": request.MemberEpoch = -2; break;
            default: (request.MemberEpoch, request.MemberId) = (1, ""); break;
        }
        Assert.Equal(ErrorCode.InvalidRequest, await member.AskAsync(request));
        Assert.NotEmpty(member.Last.ErrorMessage!);
        Assert.Empty(await _broker.Groups.Store.ListAsync(null, 10));
    }

    [Theory]
    [EveryVersion<ConsumerGroupHeartbeatRequest>("uniform", ErrorCode.None)]
    [EveryVersion<ConsumerGroupHeartbeatRequest>("range", ErrorCode.None)]
    [EveryVersion<ConsumerGroupHeartbeatRequest>("sticky", ErrorCode.UnsupportedAssignor)]
    public async Task The_assignors_are_uniform_and_range(short version, string assignor, ErrorCode expected)
    {
        await using ConsumerTestMember member = Member(version);
        member.Assignor = assignor;
        Assert.Equal(expected, await member.JoinAsync());
        Assert.Equal(expected == ErrorCode.None ? 4 : 0, member.Owned.Length);
    }

    [Theory]
    [InlineData("t.*", 6)]
    [InlineData("(?P<first>t)", 4)]
    [InlineData("t[[:digit:]]", 2)]
    [InlineData("u", 0)]
    [InlineData("T", 0)]
    public async Task A_member_reads_the_topics_whose_whole_names_match_and_new_ones_too(string pattern, int expected)
    {
        await _broker.CreateTopicAsync("t2", 2);
        await using ConsumerTestMember member = Member();
        (member.Topics, member.Pattern) = (null, pattern);
        Assert.Equal(ErrorCode.None, await member.JoinAsync());
        Assert.Equal(expected, member.Owned.Length);
        await _broker.CreateTopicAsync("t3x", 1);
        _broker.Time.Advance(TimeSpan.FromSeconds(6));
        Assert.Equal(ErrorCode.None, await member.TellAsync());
        Assert.Equal(pattern == "t.*" ? 7 : expected, member.Owned.Length);
    }

    [Theory]
    [InlineData("(")]
    [InlineData(@"(a)\1")]
    [InlineData("(?=t)t")]
    [InlineData("((a{900}){900}){900}")]
    public async Task What_RE2_would_not_take_is_no_expression(string pattern)
    {
        await using ConsumerTestMember member = Member();
        (member.Topics, member.Pattern) = (null, pattern);
        Assert.Equal(ErrorCode.InvalidRegularExpression, await member.JoinAsync());
        Assert.NotEmpty(member.Last.ErrorMessage!);
    }

    [Theory]
    [EveryVersion<ConsumerGroupHeartbeatRequest>]
    public async Task What_one_gives_up_the_other_gets_only_then(short version)
    {
        await using ConsumerTestMember first = Member(version);
        await using ConsumerTestMember second = Member(version);
        await first.JoinAsync();
        await second.JoinAsync();
        Assert.Equal((2, 0), (second.Epoch, second.Owned.Length));
        (Guid, int)[] all = first.Owned;
        Assert.Equal(ErrorCode.None, await first.LiveAsync());
        Assert.Equal((1, 2), (first.Epoch, first.Owned.Length)); // it is to give up two, in its epoch
        (Guid, int)[] kept = first.Owned;
        first.Owned = all; // it has not yet
        await first.TellAsync();
        Assert.Equal(1, first.Epoch);
        await second.LiveAsync();
        Assert.Empty(second.Owned);
        first.Owned = kept;
        await first.TellAsync();
        Assert.Equal(2, first.Epoch);
        await second.LiveAsync();
        Assert.Equal([0, 1, 2, 3], first.Partitions.Concat(second.Partitions).Order());
        Assert.Equal("Stable", (await DescribeAsync()).GroupState);
    }

    [Theory]
    [EveryVersion<ConsumerGroupHeartbeatRequest>]
    public async Task A_member_in_another_epoch_is_fenced_but_for_one_that_did_not_hear_the_last_answer(short version)
    {
        await using ConsumerTestMember first = Member(version);
        await using ConsumerTestMember second = Member(version);
        await first.JoinAsync();
        await second.JoinAsync();
        await first.LiveAsync();
        await first.TellAsync();
        Assert.Equal(2, first.Epoch);
        first.Epoch = 1;
        Assert.Equal(ErrorCode.None, await first.TellAsync()); // as if it had not heard of 2
        Assert.Equal(2, first.Epoch);
        first.Epoch = 1;
        Assert.Equal(ErrorCode.FencedMemberEpoch, await first.LiveAsync()); // it does not say what it has
        (first.Epoch, first.Owned) = (1, [.. first.Owned, (Guid.NewGuid(), 0)]);
        Assert.Equal(ErrorCode.FencedMemberEpoch, await first.TellAsync()); // it has what it shall not have
        first.Epoch = 3;
        Assert.Equal(ErrorCode.FencedMemberEpoch, await first.TellAsync());
        Assert.Equal(ErrorCode.None, await first.JoinAsync());
        Assert.Equal(2, first.Owned.Length);
    }

    [Theory]
    [EveryVersion<ConsumerGroupHeartbeatRequest>]
    public async Task A_stranger_is_unknown_whether_there_is_a_group_or_not(short version)
    {
        await using ConsumerTestMember stranger = Member(version);
        stranger.Epoch = 1;
        Assert.Equal(ErrorCode.UnknownMemberId, await stranger.LiveAsync());
        Assert.Equal(ErrorCode.UnknownMemberId, await stranger.LeaveAsync());
        Assert.Empty(await _broker.Groups.Store.ListAsync(null, 10));
        await using ConsumerTestMember member = Member(version);
        await member.JoinAsync();
        stranger.Epoch = 1;
        Assert.Equal(ErrorCode.UnknownMemberId, await stranger.LiveAsync());
        Assert.Equal(ErrorCode.UnknownMemberId, await stranger.LeaveAsync());
    }

    [Fact]
    public async Task Who_is_not_heard_of_for_the_session_is_removed_and_the_other_gets_what_it_had()
    {
        await using ConsumerTestMember first = Member();
        await using ConsumerTestMember second = Member();
        await ShareAsync(first, second);
        _broker.Time.Advance(TimeSpan.FromSeconds(30));
        await second.LiveAsync();
        _broker.Time.Advance(TimeSpan.FromSeconds(15));
        await Eventually.HoldsAsync(() => _broker.Groups.Context.Directory.Find("g")?.State == GroupState.Assigning);
        Assert.Equal(ErrorCode.UnknownMemberId, await first.LiveAsync());
        await second.LiveAsync();
        Assert.Equal([0, 1, 2, 3], second.Partitions);
    }

    [Fact]
    public async Task Who_does_not_hear_what_it_shall_give_up_is_told_again_though_it_asks_for_nothing()
    {
        await using ConsumerTestMember first = Member();
        await using ConsumerTestMember second = Member();
        await first.JoinAsync();
        await first.TellAsync();
        await second.JoinAsync();
        (Guid, int)[] all = first.Owned;
        await first.LiveAsync();
        Assert.Equal(2, first.Owned.Length);
        first.Owned = all; // the answer was lost on its way
        await first.LiveAsync();
        Assert.Equal(2, first.Owned.Length);
        await first.TellAsync();
        Assert.Equal(2, first.Epoch);

        await second.LiveAsync();
        Assert.Equal((2, 2), (second.Epoch, second.Owned.Length));
        second.Owned = [];
        await second.LiveAsync(); // what it gets likewise
        Assert.Equal(2, second.Owned.Length);
        await second.TellAsync();
        await second.LiveAsync();
        Assert.Null(second.Last.Assignment);
    }

    [Fact]
    public async Task Who_does_not_give_up_in_its_rebalance_timeout_is_removed()
    {
        await using ConsumerTestMember first = Member();
        await using ConsumerTestMember second = Member();
        first.RebalanceTimeoutMs = 20_000;
        await first.JoinAsync();
        await second.JoinAsync();
        (Guid, int)[] all = first.Owned;
        await first.LiveAsync();
        first.Owned = all;
        _broker.Time.Advance(TimeSpan.FromSeconds(19));
        Assert.Equal(ErrorCode.None, await first.TellAsync());
        first.Owned = all;
        _broker.Time.Advance(TimeSpan.FromSeconds(1));
        await Eventually.HoldsAsync(() => _broker.Groups.Context.Directory.Find("g")?.State == GroupState.Assigning);
        Assert.Equal(ErrorCode.UnknownMemberId, await first.TellAsync());
        await second.LiveAsync();
        Assert.Equal([0, 1, 2, 3], second.Partitions);
    }

    [Theory]
    [EveryVersion<ConsumerGroupHeartbeatRequest>]
    public async Task A_static_member_that_comes_back_goes_on_where_it_was_and_the_others_notice_nothing(short version)
    {
        await using ConsumerTestMember first = Member(version, "i");
        await using ConsumerTestMember second = Member(version);
        await ShareAsync(first, second);
        int[] before = first.Partitions;
        Assert.Equal(ErrorCode.None, await first.LeaveAsync(-2));
        Assert.Equal(-2, first.Last.MemberEpoch);
        await second.LiveAsync();
        Assert.Null(second.Last.Assignment);
        await using ConsumerTestMember back = Member(version, "i");
        Assert.Equal(ErrorCode.None, await back.JoinAsync());
        Assert.Equal((2, string.Join(' ', before)), (back.Epoch, string.Join(' ', back.Partitions)));
        first.Epoch = 2;
        Assert.Equal(ErrorCode.FencedInstanceId, await first.LiveAsync());
        await second.LiveAsync();
        Assert.Equal((2, null), (second.Epoch, second.Last.Assignment));
    }

    [Theory]
    [EveryVersion<ConsumerGroupHeartbeatRequest>]
    public async Task The_name_of_a_static_member_is_not_given_away_before_it_has_left_or_its_session_is_over(short version)
    {
        await using ConsumerTestMember first = Member(version, "i");
        await first.JoinAsync();
        await using ConsumerTestMember other = Member(version, "i");
        Assert.Equal(ErrorCode.UnreleasedInstanceId, await other.JoinAsync());
        Assert.Equal(ErrorCode.None, await first.JoinAsync()); // itself it may
        _broker.Time.Advance(TimeSpan.FromSeconds(45));
        await Eventually.HoldsAsync(() => _broker.Groups.Context.Directory.Find("g")?.State == GroupState.Empty);
        Assert.Equal(ErrorCode.None, await other.JoinAsync());
    }

    [Fact]
    public async Task A_static_member_that_stays_away_is_removed_when_its_session_is_over()
    {
        await using ConsumerTestMember first = Member(1, "i");
        await using ConsumerTestMember second = Member();
        await ShareAsync(first, second);
        await first.LeaveAsync(-2);
        _broker.Time.Advance(TimeSpan.FromSeconds(40));
        await second.LiveAsync();
        Assert.Equal(2, second.Owned.Length);
        _broker.Time.Advance(TimeSpan.FromSeconds(5));
        await Eventually.HoldsAsync(() => _broker.Groups.Context.Directory.Find("g")?.State == GroupState.Assigning);
        await second.LiveAsync();
        Assert.Equal(4, second.Owned.Length);
    }

    [Theory]
    [EveryVersion<ConsumerGroupHeartbeatRequest>]
    public async Task A_group_has_a_limit(short version)
    {
        ConsumerTestMember[] members = [.. Enumerable.Range(0, 4).Select(_ => Member(version))];
        Assert.Equal(
            [ErrorCode.None, ErrorCode.None, ErrorCode.None, ErrorCode.GroupMaxSizeReached],
            [await members[0].JoinAsync(), await members[1].JoinAsync(), await members[2].JoinAsync(), await members[3].JoinAsync()]);
        Assert.Equal(ErrorCode.None, await members[2].JoinAsync());
        foreach (ConsumerTestMember member in members)
        {
            await member.DisposeAsync();
        }
    }

    [Fact]
    public async Task Topics_that_come_grow_and_go_make_a_new_epoch_and_others_do_not()
    {
        await using ConsumerTestMember member = Member();
        member.Topics = ["t", "later"];
        await member.JoinAsync();
        Assert.Equal((1, 4), (member.Epoch, member.Owned.Length));
        await _broker.CreateTopicAsync("unread", 3);
        await member.TellAsync();
        Assert.Equal(1, member.Epoch);
        await _broker.CreateTopicAsync("later", 2);
        await member.TellAsync();
        Assert.Equal((2, 6), (member.Epoch, member.Owned.Length));
        await _broker.Control.SetAsync(TestControlPlane.Make("t", _broker.Control.Snapshot.Topics["t"].Id, 5));
        await member.TellAsync();
        Assert.Equal((3, 7), (member.Epoch, member.Owned.Length));
        await _broker.Control.DeleteTopicAsync("later", _broker.Control.Snapshot.Topics["later"].Id, CancellationToken.None);
        await member.TellAsync();
        Assert.Equal((3, 5), (member.Epoch, member.Owned.Length)); // it gives up what is gone
        await member.TellAsync();
        Assert.Equal((4, 5), (member.Epoch, member.Owned.Length));
    }

    [Fact]
    public async Task Nobody_is_told_what_is_not_stored_and_after_a_crash_members_go_on_in_their_epoch()
    {
        await using ConsumerTestMember first = Member();
        await using ConsumerTestMember second = Member();
        await ShareAsync(first, second);
        _broker.Groups.Store.Hold();
        await using ConsumerTestMember third = Member();
        Task<ErrorCode> joining = third.JoinAsync();
        await Eventually.HoldsAsync(() => _broker.Groups.Context.Directory.Find("g")?.State == GroupState.Reconciling);
        Assert.False(joining.IsCompleted);
        _broker.Groups.Crash();
        Assert.Equal(ErrorCode.None, await second.LiveAsync());
        Assert.Equal((2, 2), (second.Epoch, second.Owned.Length));
        Assert.Equal(ErrorCode.None, await first.LiveAsync());
        Assert.Equal((2, 2), (first.Epoch, first.Owned.Length));
        _broker.Groups.Store.Release();
    }

    private ConsumerTestMember Member(short version = 1, string? instance = null) => new(_broker.Connect(), "g", version, instance);

    private static async Task ShareAsync(ConsumerTestMember first, ConsumerTestMember second)
    {
        await first.JoinAsync();
        await second.JoinAsync();
        await first.LiveAsync();
        await first.TellAsync();
        await second.LiveAsync();
        await second.TellAsync();
        Assert.Equal((2, 2), (first.Epoch, second.Epoch));
        Assert.Equal((2, 2), (first.Owned.Length, second.Owned.Length));
    }

    private async Task<ConsumerGroupDescribeResponse.DescribedGroup> DescribeAsync()
    {
        await using TestClient client = _broker.Connect();
        return (await client.AskAsync(new ConsumerGroupDescribeRequest { GroupIds = ["g"] }, 1)).Groups.Single();
    }
}
