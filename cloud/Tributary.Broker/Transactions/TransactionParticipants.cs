using Tributary.Broker.Groups;
using Tributary.Broker.Metadata;
using Tributary.Broker.Partitions;
using Tributary.Contracts.Kafka;
using Tributary.Log;

namespace Tributary.Broker.Transactions;

/// <summary>The partitions that this broker leads, and the groups, as a transaction's coordinator sees them. Callable from any thread.</summary>
/// <param name="broker">The broker.</param>
/// <param name="groups">Who works for groups.</param>
/// <param name="control">Which topics there are.</param>
/// <param name="time">All time.</param>
/// <param name="options">How long a marker is waited for.</param>
public sealed class TransactionParticipants(
    BrokerServer broker, IGroupCoordinator groups, IControlPlane control, TimeProvider time, BrokerOptions options) : ITransactionParticipants
{
    /// <inheritdoc/>
    public async ValueTask<ErrorCode> EndAsync(TransactionMarker marker, TransactionPartition partition, CancellationToken cancellation)
    {
        if (!broker.Partitions.IsServing)
        {
            return ErrorCode.CoordinatorLoadInProgress; // which topics there are isn't known yet
        }
        ErrorCode error = broker.Partitions.Get(partition.TopicId, partition.Index, out Partition? found);
        if (error == ErrorCode.UnknownTopicId && !control.Snapshot.TopicsById.ContainsKey(partition.TopicId))
        {
            return ErrorCode.None;
        }
        if (error != ErrorCode.None)
        {
            return error;
        }
        var wait = new CommitWait(1);
        error = found!.AppendMarker(marker, wait, 0);
        if (error != ErrorCode.None)
        {
            return error;
        }
        await wait.WaitAsync(options.MaxProduceWait, time, cancellation);
        return wait.Outcome(0);
    }

    /// <inheritdoc/>
    public async ValueTask<ErrorCode> EndAsync(TransactionMarker marker, string groupId, CancellationToken cancellation)
    {
        await groups.EndTransactionAsync(groupId, marker, cancellation);
        return ErrorCode.None;
    }
}
