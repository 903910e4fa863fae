using Orleans.Concurrency;
using Tributary.Broker.Transactions;

namespace Tributary.Cloud.Grains;

/// <inheritdoc cref="ITransactionGrain"/>
/// <remarks>
/// Calls interleave where they wait, for the store or for the transaction before to be completed: <see cref="TransactionHost"/> gives each its
/// turn. What is in memory follows from what is stored, so a grain may go at any time; the upkeep wakes it again when there is something to
/// do that no client asks for.
/// </remarks>
[Reentrant]
internal sealed class TransactionGrain : Grain, ITransactionGrain
{
    private readonly TransactionHost _host;

    public TransactionGrain(TransactionContext context) =>
        _host = new TransactionHost(ITransactionGrain.IdOf(this.GetPrimaryKeyString()), context, DeactivateOnIdle);

    /// <inheritdoc/>
    public override Task OnActivateAsync(CancellationToken cancellationToken) => _host.LoadAsync();

    /// <inheritdoc/>
    public override Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken)
    {
        _host.Dispose();
        return Task.CompletedTask;
    }

    /// <inheritdoc/>
    public async Task<ProducerReply> InitializeAsync(int timeoutMs, ProducerCard? current)
    {
        InitializedProducer given = await _host.InitializeAsync(timeoutMs, current is null ? null : Of(current));
        GoIfNeedless();
        return new ProducerReply(given.Error, Of(given.Producer));
    }

    /// <inheritdoc/>
    public Task<TransactionReply> AddPartitionsAsync(ProducerCard producer, PartitionCard[] partitions) =>
        ReplyAsync(_host.AddPartitionsAsync(Of(producer), [.. partitions.Select(Of)]));

    /// <inheritdoc/>
    public Task<TransactionReply> AddGroupAsync(ProducerCard producer, string groupId) =>
        ReplyAsync(_host.AddGroupAsync(Of(producer), groupId));

    /// <inheritdoc/>
    public Task<TransactionReply> EndAsync(ProducerCard producer, bool commit) => ReplyAsync(_host.EndAsync(Of(producer), commit));

    /// <inheritdoc/>
    public Task<TransactionReply> VerifyAsync(ProducerCard producer, PartitionCard partition) =>
        ReplyAsync(_host.VerifyAsync(Of(producer), Of(partition)));

    /// <inheritdoc/>
    public async Task<GroupVerification> VerifyGroupAsync(ProducerCard producer, string groupId)
    {
        (ErrorCode error, int version) = await _host.VerifyGroupAsync(Of(producer), groupId);
        GoIfNeedless();
        return new GroupVerification(error, version);
    }

    /// <inheritdoc/>
    public Task<DescribedTransaction?> DescribeAsync()
    {
        DescribedTransaction? described = _host.Describe() is not { } found ? null : new DescribedTransaction(
            (byte)found.State, Of(found.Producer), found.TimeoutMs, found.StartMs,
            [.. found.Partitions.Select(partition => new PartitionCard(partition.Topic, partition.TopicId, partition.Index))]);
        GoIfNeedless();
        return Task.FromResult(described);
    }

    /// <inheritdoc/>
    public async Task WakeAsync()
    {
        await _host.TickAsync();
        GoIfNeedless();
    }

    private static ProducerIdentity Of(ProducerCard producer) => new(producer.ProducerId, producer.Epoch);

    private static ProducerCard Of(ProducerIdentity producer) => new(producer.ProducerId, producer.Epoch);

    private static TransactionPartition Of(PartitionCard partition) => new(partition.Topic, partition.TopicId, partition.Index);

    private async Task<TransactionReply> ReplyAsync(Task<ErrorCode> answer)
    {
        var reply = new TransactionReply(await answer);
        GoIfNeedless();
        return reply;
    }

    /// <summary>Whoever asks for transactional ids that don't exist must not fill the memory.</summary>
    private void GoIfNeedless()
    {
        if (_host.IsNeedless)
        {
            DeactivateOnIdle();
        }
    }
}
