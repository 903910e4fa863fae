using System.Text;
using Tributary.Broker.Groups;
using Tributary.Broker.Partitions;
using Tributary.Broker.Transactions;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Contracts.Records;
using Tributary.Tests.Broker.Support;
using Xunit;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Broker.Transactions;

/// <summary>The producer in the broker's process.</summary>
public sealed class TransactionalProducerTests : IAsyncDisposable
{
    private static readonly CancellationToken None = CancellationToken.None;
    private readonly TestBroker _broker = new(time: TimeProvider.System);

    public ValueTask DisposeAsync() => _broker.DisposeAsync();

    [Fact]
    public async Task What_it_writes_to_many_partitions_counts_together_or_not_at_all()
    {
        await _broker.CreateTopicAsync("t", partitions: 50);
        using TransactionalProducer producer = await StartAsync();
        foreach (bool commit in new[] { true, false, true })
        {
            producer.Begin();
            for (int i = 0; i < 200; i++)
            {
                await AddAsync(producer, "t", i % 50, $"{i}");
            }
            await (commit ? producer.CommitAsync(None) : producer.AbortAsync(None));
        }
        for (int i = 0; i < 50; i++)
        {
            // What was never sent leaves nothing, so there are two transactions of four records and a marker.
            Partition partition = _broker.Partition("t", i);
            await Eventually.HoldsAsync(() => partition.LastStableOffset == 10);
            Assert.Empty(partition.Log.AbortedBetween(0, 10));
        }
    }

    [Fact]
    public async Task Records_that_were_sent_before_an_abort_are_marked_as_aborted()
    {
        await _broker.CreateTopicAsync("t");
        using TransactionalProducer producer = await StartAsync(new TransactionalProducerOptions { BatchBytes = 1 });
        producer.Begin();
        await AddAsync(producer, "t", 0, "dropped");
        await producer.AbortAsync(None);
        producer.Begin();
        await AddAsync(producer, "t", 0, "kept");
        await producer.CommitAsync(None);
        Partition partition = _broker.Partition("t");
        await Eventually.HoldsAsync(() => partition.LastStableOffset == 4);
        Assert.Equal(0, Assert.Single(partition.Log.AbortedBetween(0, 4)).FirstOffset);
    }

    [Fact]
    public async Task Records_of_many_partitions_are_sent_when_together_they_are_many()
    {
        await _broker.CreateTopicAsync("t", partitions: 8);
        using TransactionalProducer producer = await StartAsync(new TransactionalProducerOptions { BufferBytes = 1_000 });
        producer.Begin();
        for (int i = 0; i < 8; i++)
        {
            await AddAsync(producer, "t", i, new string('x', 100));
        }
        Assert.Equal(0, Enumerable.Range(0, 8).Sum(i => _broker.Partition("t", i).Log.AppendedEnd));
        await AddAsync(producer, "t", 0, new string('x', 200));
        Assert.Equal(9, Enumerable.Range(0, 8).Sum(i => _broker.Partition("t", i).Log.AppendedEnd));
        await producer.AbortAsync(None);
    }

    [Fact]
    public async Task The_next_one_of_its_id_fences_it_and_aborts_what_it_had_begun()
    {
        await _broker.CreateTopicAsync("t");
        using TransactionalProducer zombie = await StartAsync(new TransactionalProducerOptions { BatchBytes = 1 });
        zombie.Begin();
        await AddAsync(zombie, "t", 0, "zombie");
        using TransactionalProducer successor = await StartAsync();
        await Assert.ThrowsAsync<ProducerFencedException>(() => zombie.CommitAsync(None));
        await Assert.ThrowsAsync<ProducerFencedException>(async () => await AddAsync(zombie, "t", 0, "zombie"));
        successor.Begin();
        await AddAsync(successor, "t", 0, "successor");
        await successor.CommitAsync(None);
        Partition partition = _broker.Partition("t");
        await Eventually.HoldsAsync(() => partition.LastStableOffset == 4);
        Assert.Equal(0, Assert.Single(partition.Log.AbortedBetween(0, 4)).FirstOffset);
    }

    [Fact]
    public async Task Offsets_are_committed_with_its_records()
    {
        await _broker.CreateTopicAsync("t");
        using TransactionalProducer producer = await StartAsync();
        var next = new Dictionary<GroupPartition, long> { [new("t", 0)] = 7 };
        producer.Begin();
        await producer.AddOffsetsAsync("g", next, None);
        await producer.AbortAsync(None);
        Assert.Equal(-1, await CommittedAsync());
        producer.Begin();
        await AddAsync(producer, "t", 0, "with it");
        await producer.AddOffsetsAsync("g", next, None);
        await producer.CommitAsync(None);
        await Eventually.HoldsAsync(() => CommittedAsync().GetAwaiter().GetResult() == 7);
    }

    [Fact]
    public async Task After_a_failure_it_can_only_be_aborted_and_then_goes_on()
    {
        await _broker.CreateTopicAsync("t");
        await _broker.CreateTopicAsync("compacted", configs: ("cleanup.policy", "compact"));
        using TransactionalProducer producer = await StartAsync();
        producer.Begin();
        await AddAsync(producer, "t", 0, "dropped");
        await AddAsync(producer, "compacted", 0, "without a key");
        TransactionFailedException refused = await Assert.ThrowsAsync<TransactionFailedException>(() => producer.CommitAsync(None));
        Assert.Contains("compacted-0", refused.Message);
        await Assert.ThrowsAsync<InvalidOperationException>(() => producer.CommitAsync(None));
        await producer.AbortAsync(None);
        producer.Begin();
        await AddAsync(producer, "t", 0, "kept");
        await producer.CommitAsync(None);
        Partition partition = _broker.Partition("t");
        await Eventually.HoldsAsync(() => partition.LastStableOffset == partition.HighWatermark && partition.HighWatermark > 0);
        producer.Begin();
        await AddAsync(producer, "nowhere", 0, "lost");
        await Assert.ThrowsAsync<TransactionFailedException>(() => producer.CommitAsync(None));
        await producer.AbortAsync(None);
    }

    [Fact]
    public async Task It_asks_again_when_the_coordinator_fails_and_says_so_when_that_lasts()
    {
        await _broker.CreateTopicAsync("t");
        using TransactionalProducer producer = await StartAsync();
        producer.Begin();
        await AddAsync(producer, "t", 0, "kept");
        _broker.Transactions.Failure = new IOException("away");
        Task committing = producer.CommitAsync(None);
        Assert.False(committing.IsCompleted);
        _broker.Transactions.Failure = null;
        await committing;
        using TransactionalProducer impatient = await StartAsync(new TransactionalProducerOptions { Patience = TimeSpan.FromMilliseconds(20) });
        impatient.Begin();
        await AddAsync(impatient, "t", 0, "dropped");
        _broker.Transactions.Failure = new IOException("away");
        TransactionFailedException failed = await Assert.ThrowsAsync<TransactionFailedException>(() => impatient.CommitAsync(None));
        Assert.Same(_broker.Transactions.Failure, failed.InnerException);
        _broker.Transactions.Failure = null;
        await impatient.AbortAsync(None);
    }

    [Fact]
    public async Task An_abort_that_was_given_up_when_the_new_epoch_was_stored_can_be_tried_again()
    {
        await _broker.CreateTopicAsync("t");
        using TransactionalProducer producer = await StartAsync(new TransactionalProducerOptions { BatchBytes = 1 });
        producer.Begin();
        await AddAsync(producer, "t", 0, "dropped");
        await Assert.ThrowsAsync<TransactionFailedException>(async () => await AddAsync(producer, "nowhere", 0, "lost"));
        MemoryTransactionStore store = _broker.Transactions.Store;
        store.Stored = record =>
        {
            if (record.State == TransactionState.CompleteAbort)
            {
                store.Hold();
            }
        };
        using var patience = new CancellationTokenSource();
        Task aborting = producer.AbortAsync(patience.Token);
        await Eventually.HoldsAsync(() => store.Waiting == 1);
        await patience.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => aborting);
        store.Stored = null;
        store.Release();
        await producer.AbortAsync(None);
        producer.Begin();
        await AddAsync(producer, "t", 0, "kept");
        await producer.CommitAsync(None);
    }

    [Fact]
    public async Task A_transaction_without_records_asks_nobody()
    {
        using TransactionalProducer producer = await StartAsync();
        producer.Begin();
        await producer.CommitAsync(None);
        producer.Begin();
        await producer.AbortAsync(None);
        Assert.Empty(_broker.Transactions.Marked);
    }

    private static ValueTask AddAsync(TransactionalProducer producer, string topic, int partition, string value) =>
        producer.AddAsync(topic, partition, 1_000, key: null, Encoding.UTF8.GetBytes(value), EncodedHeaders.None, None);

    private Task<TransactionalProducer> StartAsync(TransactionalProducerOptions? options = null) =>
        TransactionalProducer.InitializeAsync(_broker.Server, "task", options ?? new TransactionalProducerOptions(), None);

    private async Task<long> CommittedAsync()
    {
        var request = new OffsetFetchRequest
        {
            Groups = [new() { GroupId = "g", Topics = [new() { Name = "t", PartitionIndexes = [0] }], MemberEpoch = -1 }],
        };
        OffsetFetchResponse response = await _broker.Groups.FetchOffsetsAsync(request, new GroupCaller("", "", 9), None);
        return response.Groups.Single().Topics.Single().Partitions.Single().CommittedOffset;
    }
}
