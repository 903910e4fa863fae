using Tributary.Broker.Partitions;
using Tributary.Broker.Transactions;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Contracts.Records;
using Tributary.Log;
using Tributary.Tests.Broker.Support;
using Xunit;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Broker.Gateway;

/// <summary>Transactions as partitions see them: who may write, what readers are shown, and how it ends.</summary>
public sealed class TransactionalProduceTests : IAsyncDisposable
{
    private const sbyte ReadCommitted = 1;
    private readonly TestBroker _broker = new();
    private readonly TestClient _client;
    private readonly TransactionalClient _producer;

    public TransactionalProduceTests()
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
    [EveryVersion<ProduceRequest>]
    public async Task A_partition_must_belong_to_the_transaction_before_it_is_written(short version)
    {
        await _broker.CreateTopicAsync("t", partitions: 2);
        Assert.Equal(ErrorCode.None, await _producer.InitializeAsync());
        Assert.Equal(ErrorCode.InvalidTxnState, await _producer.ProduceAsync("t", version: version));
        Assert.Equal(ErrorCode.None, await _producer.AddAsync("t", 1));
        Assert.Equal(ErrorCode.InvalidTxnState, await _producer.ProduceAsync("t", version: version));
        Assert.Equal(ErrorCode.None, await _producer.ProduceAsync("t", partition: 1, version: version));
        Assert.Equal(ErrorCode.None, await _producer.AddAsync("t", 0));
        Assert.Equal(ErrorCode.None, await _producer.ProduceAsync("t", version: version));
        Assert.Equal((1, 1), (_broker.Partition("t").HighWatermark, _broker.Partition("t", 1).HighWatermark));
    }

    [Theory]
    [EveryVersion<ProduceRequest>]
    public async Task A_batch_that_comes_after_the_end_of_its_transaction_begins_no_other(short version)
    {
        await BeginAsync();
        Assert.Equal(ErrorCode.None, await _producer.EndAsync(commit: true));
        await Eventually.HoldsAsync(() => _broker.Partition("t").LastStableOffset == 2);
        Assert.Equal(ErrorCode.InvalidTxnState, await _producer.ProduceAsync("t", version: version));
        Assert.Equal(2, _broker.Partition("t").LastStableOffset);
    }

    [Fact]
    public async Task A_batch_whose_verification_the_end_of_the_transaction_has_overtaken_is_refused()
    {
        await _broker.CreateTopicAsync("t");
        await _producer.InitializeAsync();
        await _producer.AddAsync("t", 0);
        Partition partition = _broker.Partition("t");
        long number = partition.BeginVerification(_producer.Producer.ProducerId, _producer.Producer.Epoch);
        await _producer.EndAsync(commit: false);
        await Eventually.HoldsAsync(() => partition.HighWatermark == 1); // the marker
        byte[] batch = Batches.Of(
            producer: new BatchProducer(_producer.Producer.ProducerId, _producer.Producer.Epoch, 0), isTransactional: true);
        var sender = new BatchSender(_producer.Producer.ProducerId, Guid.Empty, IsTransactional: true, _producer.Producer.Epoch, number);
        Assert.Equal(ErrorCode.InvalidTxnState, partition.Append(batch, sender, null, 0, committed: true, out _));
        Assert.NotEqual(number, partition.BeginVerification(_producer.Producer.ProducerId, _producer.Producer.Epoch));
    }

    [Fact]
    public async Task An_epoch_that_nobody_gave_out_does_not_get_into_an_open_transaction_nor_keep_it_from_its_end()
    {
        await BeginAsync();
        ProducerIdentity real = _producer.Producer;
        var forger = new TransactionalClient(_client, "x") { Producer = real with { Epoch = (short)(real.Epoch + 1) } };
        Assert.Equal(ErrorCode.InvalidProducerEpoch, await forger.ProduceAsync("t"));
        Assert.Equal(ErrorCode.None, await _producer.ProduceAsync("t"));
        Assert.Equal(ErrorCode.None, await _producer.EndAsync(commit: true));
        await Eventually.HoldsAsync(() => _broker.Partition("t").LastStableOffset == 3);
    }

    [Fact]
    public async Task A_transactional_batch_needs_a_transactional_id_and_one_of_an_open_transaction_must_be_transactional()
    {
        await BeginAsync();
        Assert.Equal(ErrorCode.TransactionalIdAuthorizationFailed, await _producer.ProduceAsync("t", namesId: false));
        Assert.Equal(ErrorCode.InvalidTxnState, await _producer.ProduceAsync("t", isTransactional: false));
        Assert.Equal(ErrorCode.None, await _producer.ProduceAsync("t"));
    }

    [Fact]
    public async Task A_producer_is_told_to_try_again_when_nobody_can_say_whether_it_may_write()
    {
        await _broker.CreateTopicAsync("t");
        await _producer.InitializeAsync();
        await _producer.AddAsync("t", 0);
        _broker.Transactions.Failure = new IOException("away");
        Assert.Equal(ErrorCode.NotEnoughReplicas, await _producer.ProduceAsync("t"));
        _broker.Transactions.Failure = null;
        Assert.Equal(ErrorCode.None, await _producer.ProduceAsync("t"));
    }

    [Theory]
    [EveryVersion<FetchRequest>(true)]
    [EveryVersion<FetchRequest>(false)]
    public async Task Who_reads_what_is_committed_is_held_at_an_open_transaction_and_told_what_was_aborted(short version, bool commit)
    {
        Guid id = await BeginAsync(records: 3);
        await _client.AskAsync(Ask.Produce("t", Batches.Of(2)), 9); // of nobody
        FetchResponse.PartitionData held = await FetchAsync(id, version, ReadCommitted);
        Assert.Equal((0, 5, 0), (held.Records.Span.Length, held.HighWatermark, held.LastStableOffset));
        Assert.Equal(2, Batches.Split((await FetchAsync(id, version, 0)).Records.Span).Count);
        Assert.Equal(ErrorCode.None, await _producer.EndAsync(commit));
        await Eventually.HoldsAsync(() => _broker.Partition("t").LastStableOffset == 6);
        FetchResponse.PartitionData free = await FetchAsync(id, version, ReadCommitted);
        Assert.Equal([(0L, 3), (3L, 2), (5L, 1)], Batches.Split(free.Records.Span));
        Assert.Equal(6, free.LastStableOffset);
        (long, long)[] aborted = [.. free.AbortedTransactions!.Select(one => (one.ProducerId, one.FirstOffset))];
        Assert.Equal(commit ? [] : [(_producer.Producer.ProducerId, 0L)], aborted);
        Assert.Null((await FetchAsync(id, version, 0)).AbortedTransactions);
    }

    [Theory]
    [InlineData(0, new[] { 0L, 1L, 4L })]
    [InlineData(1, new[] { 1L, 0L, 4L })]
    [InlineData(2, new[] { 1L, 0L, 4L })]
    [InlineData(4, new[] { 4L })]
    public async Task Aborted_transactions_are_told_in_the_order_in_which_the_client_comes_to_them(long from, long[] firsts)
    {
        Guid id = await BeginAsync(); // at 0, and its marker at 3
        var other = new TransactionalClient(_client, "other");
        await other.InitializeAsync();
        foreach (long end in new[] { 3, 6 }) // at 1 and 4, and their markers at 2 and 5
        {
            await other.AddAsync("t", 0);
            await other.ProduceAsync("t");
            await other.EndAsync(commit: false);
            await Eventually.HoldsAsync(() => _broker.Partition("t").HighWatermark == end);
            await _producer.EndAsync(commit: false);
            await Eventually.HoldsAsync(() => _broker.Partition("t").LastStableOffset == Math.Max(end, 4));
        }
        FetchRequest request = Ask.Fetch("t", from, id: id);
        request.IsolationLevel = ReadCommitted;
        FetchResponse.PartitionData told = (await _client.AskAsync(request, 12)).Single();
        Assert.Equal(firsts, told.AbortedTransactions!.Select(aborted => aborted.FirstOffset));
    }

    [Fact]
    public async Task Who_waits_for_what_is_committed_is_woken_by_the_end_of_the_transaction()
    {
        Guid id = await BeginAsync();
        await using TestClient reader = _broker.Connect();
        FetchRequest request = Ask.Fetch("t", 0, maxWaitMs: 500_000, id: id);
        request.IsolationLevel = ReadCommitted;
        int asked = await reader.SendAsync(request, 12);
        await Eventually.HoldsAsync(() => _broker.Partition("t").Waiters.Readers == 1);
        Assert.Equal(ErrorCode.None, await _producer.EndAsync(commit: true));
        Assert.Equal(2, Batches.Split((await reader.ReceiveAsync<FetchResponse>(asked, 12)).Single().Records.Span).Count);
    }

    [Theory]
    [EveryVersion<ListOffsetsRequest>(Since = 2)]
    public async Task The_end_for_those_who_read_what_is_committed_is_the_last_stable_offset(short version)
    {
        await BeginAsync(records: 3);
        ListOffsetsRequest request = Ask.Offsets("t", -1);
        Assert.Equal(3, (await _client.AskAsync(request, version)).Single().Offset);
        request.IsolationLevel = ReadCommitted;
        Assert.Equal(0, (await _client.AskAsync(request, version)).Single().Offset);
        await _producer.EndAsync(commit: false);
        await Eventually.HoldsAsync(() => _broker.Partition("t").LastStableOffset == 4);
        Assert.Equal(4, (await _client.AskAsync(request, version)).Single().Offset);
    }

    [Fact]
    public async Task The_last_stable_offset_is_not_below_the_start_when_the_beginning_of_a_transaction_was_deleted()
    {
        Guid id = await BeginAsync(records: 3);
        Assert.Equal(ErrorCode.None, await _producer.ProduceAsync("t", records: 2));
        await _client.AskAsync(
            new DeleteRecordsRequest { Topics = [new() { Name = "t", Partitions = [new() { Offset = 3 }] }], TimeoutMs = 1000 }, 2);
        ListOffsetsRequest request = Ask.Offsets("t", -1);
        request.IsolationLevel = ReadCommitted;
        Assert.Equal(3, (await _client.AskAsync(request, 5)).Single().Offset);
        FetchRequest fetch = Ask.Fetch("t", 3, id: id);
        fetch.IsolationLevel = ReadCommitted;
        FetchResponse.PartitionData held = (await _client.AskAsync(fetch, 12)).Single();
        Assert.Equal((ErrorCode.None, 0, 3L, 3L), (held.ErrorCode, held.Records.Span.Length, held.LastStableOffset, held.LogStartOffset));
        await _producer.EndAsync(commit: false);
        await Eventually.HoldsAsync(() => _broker.Partition("t").LastStableOffset == 6);
        Assert.Equal([new AbortedTransaction(_producer.Producer.ProducerId, 0, 5)], _broker.Partition("t").Log.AbortedBetween(3, 6));
    }

    [Fact]
    public async Task A_hanging_transaction_can_be_found_by_its_producer()
    {
        await BeginAsync(records: 3);
        await _producer.EndAsync(commit: true);
        await Eventually.HoldsAsync(() => _broker.Partition("t").LastStableOffset == 4);
        await _producer.AddAsync("t", 0);
        await _producer.ProduceAsync("t");
        DescribeProducersResponse.ProducerState told =
            (await _client.AskAsync(Ask.Producers("t"), 0)).Single().ActiveProducers.Single();
        Assert.Equal(
            (_producer.Producer.ProducerId, 4L, 1), (told.ProducerId, told.CurrentTxnStartOffset, told.CoordinatorEpoch));
    }

    [Fact]
    public async Task A_marker_is_appended_once_and_an_older_one_not_at_all()
    {
        await BeginAsync();
        Partition partition = _broker.Partition("t");
        long id = _producer.Producer.ProducerId;
        var marker = new TransactionMarker(id, 0, IsCommit: true, CoordinatorEpoch: 7);
        Assert.Equal(ErrorCode.None, await MarkAsync(partition, marker));
        Assert.Equal(ErrorCode.None, await MarkAsync(partition, marker));
        Assert.Equal(2, partition.Log.AppendedEnd);
        Assert.Equal(ErrorCode.TransactionCoordinatorFenced, await MarkAsync(partition, marker with { CoordinatorEpoch = 6 }));
        Assert.Equal(ErrorCode.None, await MarkAsync(partition, marker with { CoordinatorEpoch = 8, ProducerEpoch = 1 }));
        Assert.Equal(ErrorCode.TransactionCoordinatorFenced, await MarkAsync(partition, marker with { CoordinatorEpoch = 9 }));
        Assert.Equal(ErrorCode.InvalidProducerEpoch, await _producer.ProduceAsync("t"));
        Assert.Equal(3, partition.Log.AppendedEnd);
    }

    [Fact]
    public async Task Open_and_aborted_transactions_are_known_after_a_crash()
    {
        await BeginAsync(records: 2);
        await _producer.EndAsync(commit: false);
        await Eventually.HoldsAsync(() => _broker.Partition("t").LastStableOffset == 3);
        await _producer.AddAsync("t", 0);
        await _producer.ProduceAsync("t");
        await _broker.CrashAsync();
        Partition partition = _broker.Partition("t");
        await Eventually.HoldsAsync(() => partition.HighWatermark == 4);
        Assert.Equal(3, partition.LastStableOffset);
        Assert.Equal([new AbortedTransaction(_producer.Producer.ProducerId, 0, 2)], partition.Log.AbortedBetween(0, 3));
        await using TestClient client = _broker.Connect();
        var again = new TransactionalClient(client, "x") { Producer = _producer.Producer };
        Assert.Equal(ErrorCode.None, await again.EndAsync(commit: true));
        await Eventually.HoldsAsync(() => partition.LastStableOffset == 5);
    }

    [Fact]
    public async Task A_topic_that_was_deleted_does_not_hold_up_the_end_of_a_transaction()
    {
        Guid gone = await _broker.CreateTopicAsync("gone");
        await BeginAsync();
        Assert.Equal(ErrorCode.None, await _producer.AddAsync("gone", 0));
        await _producer.ProduceAsync("gone");
        await _broker.Control.DeleteTopicAsync("gone", gone, CancellationToken.None);
        Assert.Equal(ErrorCode.None, await _producer.EndAsync(commit: true));
        await Eventually.HoldsAsync(() => _broker.Partition("t").LastStableOffset == 2);
        Assert.Equal(ErrorCode.None, await _producer.AddAsync("t", 0)); // the one before is completed
    }

    private static async Task<ErrorCode> MarkAsync(Partition partition, TransactionMarker marker)
    {
        var wait = new CommitWait(1);
        ErrorCode error = partition.AppendMarker(marker, wait, 0);
        if (error == ErrorCode.None)
        {
            await wait.Task;
            error = wait.Outcome(0);
        }
        return error;
    }

    /// <summary>Makes the topic and writes to it in a transaction.</summary>
    private async Task<Guid> BeginAsync(int records = 1)
    {
        Guid id = await _broker.CreateTopicAsync("t");
        Assert.Equal(ErrorCode.None, await _producer.InitializeAsync());
        Assert.Equal(ErrorCode.None, await _producer.AddAsync("t", 0));
        Assert.Equal(ErrorCode.None, await _producer.ProduceAsync("t", records: records));
        return id;
    }

    private async Task<FetchResponse.PartitionData> FetchAsync(Guid id, short version, sbyte isolation)
    {
        FetchRequest request = Ask.Fetch("t", 0, id: id);
        request.IsolationLevel = isolation;
        return (await _client.AskAsync(request, version)).Single();
    }
}
