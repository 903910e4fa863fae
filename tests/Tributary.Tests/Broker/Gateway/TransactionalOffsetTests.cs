using Tributary.Broker.Groups;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Log;
using Tributary.Tests.Broker.Support;
using Xunit;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Broker.Gateway;

/// <summary>Offsets that transactions commit.</summary>
public sealed class TransactionalOffsetTests : IAsyncDisposable
{
    private const short StableSince = 7;
    private readonly TestBroker _broker = new();
    private readonly TestClient _client;
    private readonly TransactionalClient _producer;

    public TransactionalOffsetTests()
    {
        _client = _broker.Connect();
        _producer = new TransactionalClient(_client, "x");
    }

    public async ValueTask DisposeAsync()
    {
        await _client.DisposeAsync();
        await _broker.DisposeAsync();
    }

    [Theory]
    [EveryVersion<TxnOffsetCommitRequest>(true)]
    [EveryVersion<TxnOffsetCommitRequest>(false)]
    public async Task An_offset_is_the_groups_when_the_transaction_commits_and_never_if_it_aborts(short version, bool commit)
    {
        await BeginAsync();
        Assert.Equal(ErrorCode.None, await _producer.CommitOffsetAsync("g", "t", 5, version));
        Assert.Equal((-1, ErrorCode.None), await FetchAsync());
        Assert.Equal(ErrorCode.None, await _producer.EndAsync(commit));
        await CompletedAsync();
        Assert.Equal((commit ? 5 : -1, ErrorCode.None), await FetchAsync());
    }

    [Theory]
    [EveryVersion<OffsetFetchRequest>(Since = StableSince)]
    public async Task Who_wants_a_stable_offset_is_told_to_wait_for_the_end_of_the_transaction(short version)
    {
        await BeginAsync();
        await _producer.CommitOffsetAsync("g", "t", 5);
        Assert.Equal((-1, ErrorCode.UnstableOffsetCommit), await FetchAsync(requireStable: true, version));
        await _producer.EndAsync(commit: true);
        await CompletedAsync();
        Assert.Equal((5, ErrorCode.None), await FetchAsync(requireStable: true, version));
    }

    [Theory]
    [EveryVersion<TxnOffsetCommitRequest>]
    public async Task A_group_must_belong_to_the_transaction(short version)
    {
        await _broker.CreateTopicAsync("t");
        await _producer.InitializeAsync();
        Assert.Equal(ErrorCode.InvalidTxnState, await _producer.CommitOffsetAsync("g", "t", 5, version));
        Assert.Equal(ErrorCode.None, await _producer.AddGroupAsync("other"));
        Assert.Equal(ErrorCode.InvalidTxnState, await _producer.CommitOffsetAsync("g", "t", 5, version));
    }

    [Theory]
    [EveryVersion<TxnOffsetCommitRequest>]
    public async Task A_topic_that_does_not_exist_has_no_offset_and_a_fenced_producer_commits_none(short version)
    {
        await BeginAsync();
        Assert.Equal(ErrorCode.UnknownTopicOrPartition, await _producer.CommitOffsetAsync("g", "none", 5, version));
        var successor = new TransactionalClient(_client, "x");
        while (await successor.InitializeAsync() == ErrorCode.ConcurrentTransactions)
        {
            // what the one before had begun is being aborted
        }
        Assert.Equal(ErrorCode.InvalidProducerEpoch, await _producer.CommitOffsetAsync("g", "t", 5, version));
    }

    [Theory]
    [EveryVersion<TxnOffsetCommitRequest>(Since = 3)]
    public async Task A_member_of_a_former_epoch_of_the_newer_protocol_is_told_so_in_words_that_producers_know(short version)
    {
        await BeginAsync();
        await using var member = new ConsumerTestMember(_broker.Connect());
        Assert.Equal(ErrorCode.None, await member.JoinAsync());
        Assert.Equal(ErrorCode.None, await CommitAsync(member.Epoch));
        Assert.Equal(ErrorCode.IllegalGeneration, await CommitAsync(member.Epoch + 1));

        Task<ErrorCode> CommitAsync(int epoch) => _producer.CommitOffsetAsync("g", "t", 5, version, (member.Id, epoch));
    }

    [Fact]
    public async Task Pending_offsets_survive_a_crash_and_are_committed_after_it()
    {
        await BeginAsync();
        await _producer.CommitOffsetAsync("g", "t", 5);
        _broker.Groups.Crash();
        Assert.Equal((-1, ErrorCode.UnstableOffsetCommit), await FetchAsync(requireStable: true));
        await _producer.EndAsync(commit: true);
        await CompletedAsync();
        _broker.Groups.Crash();
        Assert.Equal((5, ErrorCode.None), await FetchAsync(requireStable: true));
    }

    [Fact]
    public async Task A_late_marker_of_an_earlier_transaction_does_not_touch_what_the_next_one_is_to_commit()
    {
        await BeginAsync();
        await _producer.CommitOffsetAsync("g", "t", 5);
        await _producer.EndAsync(commit: true);
        await CompletedAsync();
        TransactionMarker late = _broker.Transactions.Marked.Single(marked => marked.Where == "g").Marker;
        Assert.Equal(ErrorCode.None, await _producer.AddGroupAsync("g"));
        Assert.Equal(ErrorCode.None, await _producer.CommitOffsetAsync("g", "t", 9));
        await _broker.Groups.EndTransactionAsync("g", late, CancellationToken.None);
        Assert.Equal((5, ErrorCode.None), await FetchAsync());
        Assert.Equal((-1, ErrorCode.UnstableOffsetCommit), await FetchAsync(requireStable: true));
        await _producer.EndAsync(commit: false);
        await CompletedAsync();
        Assert.Equal((5, ErrorCode.None), await FetchAsync(requireStable: true));
    }

    [Theory]
    [InlineData(10, false)]
    [InlineData(0, false)]
    [InlineData(-60_000, false)]
    [InlineData(-60_000, true)]
    public async Task A_commit_of_the_group_itself_that_came_later_stays_whatever_the_clock_says(int clockMs, bool crashed)
    {
        await BeginAsync();
        await _producer.CommitOffsetAsync("g", "t", 5);
        MoveClock(clockMs);
        if (crashed)
        {
            _broker.Groups.Crash();
        }
        var plain = new OffsetCommitRequest
        {
            GroupId = "g",
            MemberId = "",
            GenerationId = -1,
            Topics = [new() { Name = "t", Partitions = [new() { PartitionIndex = 0, CommittedOffset = 8 }] }],
        };
        Assert.Equal(ErrorCode.None, (await _client.AskAsync(plain, 8)).Topics.Single().Partitions.Single().ErrorCode);
        await _producer.EndAsync(commit: true);
        await CompletedAsync();
        Assert.Equal((8, ErrorCode.None), await FetchAsync(requireStable: true));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task What_a_transaction_commits_counts_though_the_clock_was_put_back_since_the_one_before(bool crashed)
    {
        await BeginAsync();
        await _producer.CommitOffsetAsync("g", "t", 5);
        await _producer.EndAsync(commit: true);
        await CompletedAsync();
        MoveClock(-60_000);
        if (crashed)
        {
            _broker.Groups.Crash();
        }
        Assert.Equal(ErrorCode.None, await _producer.AddGroupAsync("g"));
        Assert.Equal(ErrorCode.None, await _producer.CommitOffsetAsync("g", "t", 9));
        await _producer.EndAsync(commit: true);
        await CompletedAsync();
        Assert.Equal((9, ErrorCode.None), await FetchAsync(requireStable: true));
    }

    [Fact]
    public async Task What_a_transaction_is_to_commit_goes_with_a_deletion_of_the_offset()
    {
        await BeginAsync();
        await _producer.CommitOffsetAsync("g", "t", 5);
        var deletion = new OffsetDeleteRequest { GroupId = "g", Topics = [new() { Name = "t", Partitions = [new() { PartitionIndex = 0 }] }] };
        Assert.Equal(ErrorCode.None, (await _client.AskAsync(deletion, 0)).Topics.Single().Partitions.Single().ErrorCode);
        Assert.Equal((-1, ErrorCode.None), await FetchAsync(requireStable: true));
        await _producer.EndAsync(commit: true);
        await CompletedAsync();
        Assert.Equal((-1, ErrorCode.None), await FetchAsync());
    }

    [Fact]
    public async Task What_a_transaction_is_to_commit_goes_with_its_topic()
    {
        await BeginAsync();
        await _producer.CommitOffsetAsync("g", "t", 5);
        await _broker.Control.DeleteTopicAsync("t", _broker.Control.Snapshot.Topics["t"].Id, CancellationToken.None);
        await _broker.CreateTopicAsync("t");
        await _broker.Groups.ForgetTopicAsync("t", CancellationToken.None);
        Assert.Equal((-1, ErrorCode.None), await FetchAsync(requireStable: true));
        await _producer.EndAsync(commit: true);
        await CompletedAsync();
        Assert.Equal((-1, ErrorCode.None), await FetchAsync());
    }

    [Fact]
    public async Task A_group_with_pending_offsets_only_is_not_forgotten()
    {
        await BeginAsync();
        await _producer.CommitOffsetAsync("g", "t", 5);
        await _broker.Groups.ExpireAsync("g");
        await _producer.EndAsync(commit: true);
        await CompletedAsync();
        Assert.Equal((5, ErrorCode.None), await FetchAsync());
    }

    private void MoveClock(int ms) => _broker.Time.AdjustTime(_broker.Time.GetUtcNow() + TimeSpan.FromMilliseconds(ms));

    private async Task BeginAsync()
    {
        await _broker.CreateTopicAsync("t");
        Assert.Equal(ErrorCode.None, await _producer.InitializeAsync());
        Assert.Equal(ErrorCode.None, await _producer.AddGroupAsync("g"));
    }

    /// <summary>The transaction has ended everywhere: the coordinator takes the next one.</summary>
    private Task CompletedAsync() => Eventually.HoldsAsync(() => _broker.Transactions.DescribeAsync("x", CancellationToken.None)
        .GetAwaiter().GetResult()!.State is Tributary.Broker.Transactions.TransactionState.CompleteCommit
        or Tributary.Broker.Transactions.TransactionState.CompleteAbort);

    private async Task<(long Offset, ErrorCode Error)> FetchAsync(bool requireStable = false, short version = 9)
    {
        OffsetFetchRequest request = version >= 8
            ? new() { Groups = [new() { GroupId = "g", Topics = [new() { Name = "t", PartitionIndexes = [0] }], MemberEpoch = -1 }] }
            : new() { GroupId = "g", Topics = [new() { Name = "t", PartitionIndexes = [0] }] };
        request.RequireStable = requireStable;
        OffsetFetchResponse response = await _client.AskAsync(request, version);
        if (version >= 8)
        {
            OffsetFetchResponse.OffsetFetchResponsePartitions many = response.Groups.Single().Topics.Single().Partitions.Single();
            return (many.CommittedOffset, many.ErrorCode);
        }
        OffsetFetchResponse.OffsetFetchResponsePartition one = response.Topics.Single().Partitions.Single();
        return (one.CommittedOffset, one.ErrorCode);
    }
}
