using Microsoft.Extensions.Time.Testing;
using Tributary.Broker.Transactions;
using Tributary.Tests.Broker.Support;
using Xunit;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Broker.Transactions;

public sealed class TransactionHostTests : IDisposable
{
    private const string Id = "tx";
    private const int TimeoutMs = 10_000;
    private static readonly TransactionPartition[] Two = [new("t", Guid.Empty, 0), new("t", Guid.Empty, 1)];
    private readonly FakeTimeProvider _time = new();
    private readonly TestTransactions _transactions;

    public TransactionHostTests() =>
        _transactions = new TestTransactions(new TransactionOptions { CompletionWait = TimeSpan.Zero, MaxPartitions = 3, MaxGroups = 1 }, _time);

    public void Dispose() => _transactions.Dispose();

    [Fact]
    public async Task A_commit_is_answered_when_it_is_stored_and_only_then_markers_go_out()
    {
        ProducerIdentity producer = await BeginAsync();
        _transactions.Store.Hold();
        Task<ErrorCode> ending = EndAsync(producer);
        Task<ErrorCode> adding = AddAsync(producer); // waits for its turn
        Assert.False(ending.IsCompleted);
        Assert.Empty(_transactions.Marked);
        _transactions.Store.Release();
        Assert.Equal(ErrorCode.None, await ending);
        Assert.True(await adding is ErrorCode.None or ErrorCode.ConcurrentTransactions);
        await HasStateAsync(TransactionState.CompleteCommit, TransactionState.Ongoing);
        Assert.Equal(["g", "t-0", "t-1"], _transactions.Marked.Select(one => one.Where).Order());
        Assert.All(_transactions.Marked, one => Assert.Equal((producer.ProducerId, producer.Epoch, true, 1),
            (one.Marker.ProducerId, one.Marker.ProducerEpoch, one.Marker.IsCommit, one.Marker.CoordinatorEpoch)));
        Assert.Equal(1, _transactions.Context.Metrics.Decided(TransactionOutcome.Committed));
    }

    [Fact]
    public async Task Markers_are_tried_until_all_are_written_and_meanwhile_nothing_new_begins()
    {
        ProducerIdentity producer = await BeginAsync();
        _transactions.Answer = () => ErrorCode.NotLeaderOrFollower;
        Assert.Equal(ErrorCode.None, await EndAsync(producer));
        Assert.Equal(ErrorCode.ConcurrentTransactions, await AddAsync(producer));
        Assert.Equal(ErrorCode.ConcurrentTransactions, (await InitializeAsync()).Error);
        Assert.Equal(ErrorCode.None, await EndAsync(producer)); // decided it is
        Assert.Equal(2, (await DescribeAsync())!.Partitions.Count);
        _transactions.Answer = () => ErrorCode.None;
        await HasStateAsync(TransactionState.CompleteCommit);
        Assert.True(_transactions.Context.Metrics.MarkerFailures > 0);
        Assert.Equal(0, _transactions.Context.Metrics.Ending);
        Assert.Single(_transactions.Logger.Lines, line => line.Text.Contains("can't be ended yet", StringComparison.Ordinal));
        Assert.Equal(ErrorCode.None, await AddAsync(producer));
    }

    [Fact]
    public async Task A_request_waits_for_the_transaction_before_instead_of_being_asked_to_come_again()
    {
        using var transactions = new TestTransactions(new TransactionOptions { CompletionWait = TimeSpan.FromSeconds(1) }, _time);
        ProducerIdentity producer = (await transactions.InitializeAsync(Id, TimeoutMs, null, default)).Producer;
        await transactions.AddPartitionsAsync(Id, producer, Two, default);
        transactions.Answer = () => ErrorCode.NotLeaderOrFollower;
        await transactions.EndAsync(Id, producer, true, default);
        Task<ErrorCode> adding = transactions.AddPartitionsAsync(Id, producer, Two, default);
        Task<InitializedProducer> initializing = transactions.InitializeAsync(Id, TimeoutMs, null, default);
        await transactions.DescribeAsync(Id, default);
        Assert.False(adding.IsCompleted || initializing.IsCompleted);
        transactions.Answer = () => ErrorCode.None;
        await Eventually.HoldsAsync(() =>
        {
            _time.Advance(TimeSpan.FromMilliseconds(10));
            return adding.IsCompleted && initializing.IsCompleted;
        });
        Assert.Equal(ErrorCode.None, await adding);
        InitializedProducer next = await initializing; // it has fenced what was begun, and waited for the abort too
        Assert.True(next.Error is ErrorCode.None or ErrorCode.ConcurrentTransactions, $"{next.Error}");
    }

    [Fact]
    public async Task After_a_crash_a_decided_transaction_goes_on_by_itself_with_the_same_markers()
    {
        ProducerIdentity producer = await BeginAsync();
        _transactions.Answer = () => ErrorCode.NotLeaderOrFollower;
        await EndAsync(producer);
        await _transactions.CrashAsync();
        _transactions.Answer = null;
        Assert.Equal([Id], await _transactions.Store.ListDueAsync(0, null, 10));
        await _transactions.WakeAsync(Id);
        await HasStateAsync(TransactionState.CompleteCommit);
        Assert.Single(_transactions.Marked.Select(one => one.Marker).Distinct());
        Assert.Empty(await _transactions.Store.ListDueAsync(long.MaxValue, null, 10));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_transaction_that_is_open_for_too_long_is_aborted_and_its_producer_fenced(bool crashes)
    {
        ProducerIdentity producer = await BeginAsync();
        if (crashes)
        {
            await _transactions.CrashAsync();
            await _transactions.WakeAsync(Id);
        }
        _time.Advance(TimeSpan.FromMilliseconds(TimeoutMs - 1));
        Assert.Equal(TransactionState.Ongoing, (await DescribeAsync())!.State);
        _time.Advance(TimeSpan.FromMilliseconds(1));
        await HasStateAsync(TransactionState.CompleteAbort);
        Assert.Equal(ErrorCode.ProducerFenced, await EndAsync(producer));
        Assert.All(_transactions.Marked, one => Assert.Equal((1, false), (one.Marker.ProducerEpoch, one.Marker.IsCommit)));
        Assert.Equal(3, _transactions.Marked.Count);
        Assert.Equal(1, _transactions.Context.Metrics.Decided(TransactionOutcome.TimedOut));
    }

    [Fact]
    public async Task A_new_producer_fences_the_one_before_and_has_its_transaction_aborted()
    {
        ProducerIdentity zombie = await BeginAsync();
        Assert.Equal(ErrorCode.ConcurrentTransactions, (await InitializeAsync()).Error);
        await HasStateAsync(TransactionState.CompleteAbort);
        InitializedProducer next = await InitializeAsync();
        Assert.Equal(new ProducerIdentity(zombie.ProducerId, 2), next.Producer);
        Assert.Equal(ErrorCode.ProducerFenced, await AddAsync(zombie));
        Assert.Equal(1, _transactions.Context.Metrics.Decided(TransactionOutcome.Fenced));
    }

    [Fact]
    public async Task When_a_write_fails_nobody_is_told_that_it_was_made_and_what_is_stored_counts()
    {
        ProducerIdentity producer = await BeginAsync();
        _transactions.Store.Failure = new IOException("the test fails it");
        await Assert.ThrowsAsync<IOException>(() => EndAsync(producer));
        _transactions.Store.Failure = null;
        Assert.Equal(TransactionState.Ongoing, (await DescribeAsync())!.State);
        Assert.Empty(_transactions.Marked);
        Assert.Equal(ErrorCode.None, await EndAsync(producer));
        await HasStateAsync(TransactionState.CompleteCommit);
    }

    [Fact]
    public async Task What_somebody_else_has_decided_counts_also_for_what_needs_no_write()
    {
        ProducerIdentity producer = await BeginAsync();
        StoredTransaction stored = (await _transactions.Store.LoadAsync(Id))!;
        await _transactions.Store.WriteAsync(Id, stored.Version, stored.Record with { Epoch = 5 });
        await Assert.ThrowsAsync<TransactionConflictException>(() => VerifyAsync(producer));
        Assert.Equal(ErrorCode.ProducerFenced, await VerifyAsync(producer));

        await _transactions.Store.WriteAsync(Id, stored.Version + 1, stored.Record with { Epoch = 6 });
        await Assert.ThrowsAsync<TransactionConflictException>(() => AddAsync(new(producer.ProducerId, 5)));
        Assert.Equal(ErrorCode.None, await AddAsync(new(producer.ProducerId, 6)));

        await _transactions.Store.WriteAsync(Id, stored.Version + 2, stored.Record with { Epoch = 7 });
        await Assert.ThrowsAsync<TransactionConflictException>(() => EndAsync(new(producer.ProducerId, 6)));
        Assert.Equal(ErrorCode.None, await EndAsync(new(producer.ProducerId, 7)));
    }

    [Fact]
    public async Task Limits_are_kept_counted_and_told()
    {
        ProducerIdentity producer = await BeginAsync();
        Assert.Equal(ErrorCode.PolicyViolation, await _transactions.AddPartitionsAsync(Id, producer, [new("u", Guid.Empty, 0), new("u", Guid.Empty, 1)], default));
        Assert.Equal(ErrorCode.PolicyViolation, await _transactions.AddGroupAsync(Id, producer, "h", default));
        Assert.Equal(ErrorCode.InvalidTransactionTimeout, (await _transactions.InitializeAsync(Id, 900_001, null, default)).Error);
        _transactions.Store.MaxIds = 1;
        Assert.Equal(ErrorCode.PolicyViolation, (await _transactions.InitializeAsync("other", TimeoutMs, null, default)).Error);
        TransactionMetrics metrics = _transactions.Context.Metrics;
        Assert.All(
            [TransactionRefusal.TooManyPartitions, TransactionRefusal.TooManyGroups, TransactionRefusal.TimeoutTooLong, TransactionRefusal.TooManyIds],
            reason => Assert.Equal(1, metrics.Refused(reason)));
        Assert.Equal(4, _transactions.Logger.Lines.Count(line => line.Text.Contains("transactions:max", StringComparison.Ordinal)));
        Assert.Equal(TransactionState.Ongoing, (await DescribeAsync())!.State);
    }

    [Fact]
    public async Task Requests_beyond_the_limit_of_those_that_wait_are_told_to_come_again()
    {
        ProducerIdentity producer = await BeginAsync();
        _transactions.Store.Hold();
        Task<ErrorCode>[] all = [.. Enumerable.Range(0, TransactionHost.MaxWaiting + 2).Select(_ => AddAsync(producer, 2))];
        await Eventually.HoldsAsync(() => all.Any(one => one.IsCompleted));
        _transactions.Store.Release();
        ErrorCode[] answers = await Task.WhenAll(all);
        Assert.Single(answers, error => error == ErrorCode.ConcurrentTransactions);
        Assert.Equal(1, _transactions.Context.Metrics.Refused(TransactionRefusal.TooManyRequests));
        Assert.Equal(TransactionHost.MaxWaiting + 1, answers.Count(error => error == ErrorCode.None));
    }

    [Fact]
    public async Task An_id_that_nobody_uses_is_forgotten()
    {
        ProducerIdentity producer = await BeginAsync();
        await EndAsync(producer);
        await HasStateAsync(TransactionState.CompleteCommit);
        long since = _time.GetUtcNow().ToUnixTimeMilliseconds();
        Assert.Equal([Id], await _transactions.Store.ListIdleAsync(since, null, 10));
        await _transactions.WakeAsync(Id);
        Assert.NotNull(await DescribeAsync());
        _time.Advance(TimeSpan.FromDays(7));
        await _transactions.WakeAsync(Id);
        Assert.Null(await DescribeAsync());
        Assert.Equal(1, _transactions.Context.Metrics.ExpiredIds);
        Assert.Equal(ErrorCode.InvalidProducerIdMapping, await AddAsync(producer));
        Assert.NotEqual(producer.ProducerId, (await InitializeAsync()).Producer.ProducerId);
    }

    /// <summary>A transaction with two partitions and a group.</summary>
    private async Task<ProducerIdentity> BeginAsync()
    {
        InitializedProducer given = await InitializeAsync();
        Assert.Equal(ErrorCode.None, given.Error);
        Assert.Equal(ErrorCode.None, await AddAsync(given.Producer));
        Assert.Equal(ErrorCode.None, await _transactions.AddGroupAsync(Id, given.Producer, "g", default));
        return given.Producer;
    }

    private Task<InitializedProducer> InitializeAsync() => _transactions.InitializeAsync(Id, TimeoutMs, null, default);

    private Task<ErrorCode> AddAsync(ProducerIdentity producer, int? index = null) => _transactions.AddPartitionsAsync(
        Id, producer, index is { } one ? [Two[0] with { Index = one }] : Two, default);

    private Task<ErrorCode> EndAsync(ProducerIdentity producer) => _transactions.EndAsync(Id, producer, true, default);

    private Task<ErrorCode> VerifyAsync(ProducerIdentity producer) => _transactions.VerifyAsync(Id, producer, Two[0], default).AsTask();

    private Task<TransactionDescription?> DescribeAsync() => _transactions.DescribeAsync(Id, default);

    private async Task HasStateAsync(params TransactionState[] states)
    {
        TransactionState? state = null;
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        while (state is not { } found || !states.Contains(found))
        {
            deadline.Token.ThrowIfCancellationRequested();
            _time.Advance(TimeSpan.FromMilliseconds(10));
            await Task.Delay(1);
            state = (await DescribeAsync())?.State;
        }
    }
}
