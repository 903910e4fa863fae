using Tributary.Contracts.Kafka;
using Tributary.Log;

namespace Tributary.Broker.Transactions;

/// <summary>
/// Where a transaction ends: the leaders of its partitions and the coordinators of its groups. Each call may be repeated after a crash or
/// an error, with the same marker, and a late one of an earlier transaction changes nothing: a marker's coordinator epoch is the number of
/// the transaction among those of its producer id, so a repetition has the one that was seen last, and what is late a lower one.
/// </summary>
public interface ITransactionParticipants
{
    /// <summary>Appends the marker to a partition. None when it is committed, or when the partition's topic exists no longer.</summary>
    ValueTask<ErrorCode> EndAsync(TransactionMarker marker, TransactionPartition partition, CancellationToken cancellation);

    /// <summary>Commits a group's pending offsets of the producer, or drops them. None when that is stored.</summary>
    ValueTask<ErrorCode> EndAsync(TransactionMarker marker, string groupId, CancellationToken cancellation);
}
