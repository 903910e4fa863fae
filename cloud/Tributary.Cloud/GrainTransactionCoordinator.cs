using Tributary.Broker.Transactions;
using Tributary.Cloud.Grains;

namespace Tributary.Cloud;

/// <summary>What the broker asks of the grains of transactional ids, one call for a request. Callable from any thread.</summary>
internal sealed class GrainTransactionCoordinator(IGrainFactory grains, ITransactionStore store) : ITransactionCoordinator
{
    private const int IdsAtATime = 64;
    private const int Page = 1000;

    /// <inheritdoc/>
    public async Task<InitializedProducer> InitializeAsync(
        string transactionalId, int timeoutMs, ProducerIdentity? current, CancellationToken cancellation)
    {
        ProducerCard? card = current is { } had ? Of(had) : null;
        ProducerReply reply = await Grain(transactionalId).InitializeAsync(timeoutMs, card).WaitAsync(cancellation);
        return new InitializedProducer(reply.Error, new ProducerIdentity(reply.Producer.ProducerId, reply.Producer.Epoch));
    }

    /// <inheritdoc/>
    public async Task<ErrorCode> AddPartitionsAsync(
        string transactionalId, ProducerIdentity producer, IReadOnlyCollection<TransactionPartition> partitions, CancellationToken cancellation) =>
        (await Grain(transactionalId).AddPartitionsAsync(Of(producer), [.. partitions.Select(Of)]).WaitAsync(cancellation)).Error;

    /// <inheritdoc/>
    public async Task<ErrorCode> AddGroupAsync(
        string transactionalId, ProducerIdentity producer, string groupId, CancellationToken cancellation) =>
        (await Grain(transactionalId).AddGroupAsync(Of(producer), groupId).WaitAsync(cancellation)).Error;

    /// <inheritdoc/>
    public async Task<ErrorCode> EndAsync(string transactionalId, ProducerIdentity producer, bool commit, CancellationToken cancellation) =>
        (await Grain(transactionalId).EndAsync(Of(producer), commit).WaitAsync(cancellation)).Error;

    /// <inheritdoc/>
    public async ValueTask<ErrorCode> VerifyAsync(
        string transactionalId, ProducerIdentity producer, TransactionPartition partition, CancellationToken cancellation) =>
        (await Grain(transactionalId).VerifyAsync(Of(producer), Of(partition)).WaitAsync(cancellation)).Error;

    /// <inheritdoc/>
    public async ValueTask<VerifiedGroup> VerifyGroupAsync(
        string transactionalId, ProducerIdentity producer, string groupId, CancellationToken cancellation)
    {
        GroupVerification verified = await Grain(transactionalId).VerifyGroupAsync(Of(producer), groupId).WaitAsync(cancellation);
        return new VerifiedGroup(verified.Error, verified.Version);
    }

    /// <inheritdoc/>
    public async Task<TransactionDescription?> DescribeAsync(string transactionalId, CancellationToken cancellation)
    {
        DescribedTransaction? found = await Grain(transactionalId).DescribeAsync().WaitAsync(cancellation);
        return found is null ? null : new TransactionDescription(
            transactionalId, (TransactionState)found.State, new ProducerIdentity(found.Producer.ProducerId, found.Producer.Epoch),
            found.TimeoutMs, found.StartMs,
            [.. found.Partitions.Select(partition => new TransactionPartition(partition.Topic, partition.TopicId, partition.Index))]);
    }

    /// <inheritdoc/>
    public Task<IReadOnlyList<TransactionListing>> ListAsync(string? after, int count, CancellationToken cancellation) =>
        store.ListAsync(after, count).WaitAsync(cancellation);

    /// <summary>Has those that are decided go on, and those that are open at this time end.</summary>
    /// <param name="until">Unix milliseconds.</param>
    /// <param name="cancellation">Gives up.</param>
    public Task WakeDueAsync(long until, CancellationToken cancellation) =>
        WakeAsync(after => store.ListDueAsync(until, after, Page), cancellation);

    /// <summary>Has those be forgotten on which nothing was decided since a time.</summary>
    /// <param name="since">Unix milliseconds.</param>
    /// <param name="cancellation">Gives up.</param>
    public Task ExpireAsync(long since, CancellationToken cancellation) =>
        WakeAsync(after => store.ListIdleAsync(since, after, Page), cancellation);

    private static ProducerCard Of(ProducerIdentity producer) => new(producer.ProducerId, producer.Epoch);

    private static PartitionCard Of(TransactionPartition partition) => new(partition.Topic, partition.TopicId, partition.Index);

    private ITransactionGrain Grain(string id) => grains.GetGrain<ITransactionGrain>(ITransactionGrain.KeyOf(id));

    /// <summary>Wakes each; one that fails doesn't keep it from the others, and is told of at the end.</summary>
    private async Task WakeAsync(Func<string?, Task<IReadOnlyList<string>>> list, CancellationToken cancellation)
    {
        var limits = new ParallelOptions { MaxDegreeOfParallelism = IdsAtATime, CancellationToken = cancellation };
        Exception? failure = null;
        IReadOnlyList<string> page = await list(null);
        while (page.Count > 0)
        {
            await Parallel.ForEachAsync(page, limits, async (id, stop) =>
            {
                try
                {
                    await Grain(id).WakeAsync().WaitAsync(stop);
                }
                catch (Exception e) when (!stop.IsCancellationRequested)
                {
                    failure = e;
                }
            });
            page = await list(page[^1]);
        }
        if (failure is not null)
        {
            throw new InvalidOperationException($"not every transaction could be looked after: {failure.Message}", failure);
        }
    }
}
