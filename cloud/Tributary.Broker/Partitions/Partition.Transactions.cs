using Tributary.Broker.Transactions;
using Tributary.Contracts.Kafka;
using Tributary.Log;

namespace Tributary.Broker.Partitions;

// Transactions in a partition: how they begin, and how they end.
public sealed partial class Partition
{
    // Under _lock.
    private readonly VerifiedProducers _verified = new();

    /// <summary>
    /// The offset below which every transaction has ended, and every marker is committed; what consumers may see that read committed
    /// records only. It moves with the high watermark, and with the log's start: what was deleted of a transaction can't be waited for.
    /// </summary>
    public long LastStableOffset => Math.Max(Volatile.Read(ref _lastStable), Math.Min(Log.StartOffset, HighWatermark));

    /// <summary>
    /// Before a producer's first batch of a transaction is appended, its coordinator is asked whether the partition belongs to that: this
    /// is called first, and what it returns comes with the batch.
    /// </summary>
    /// <param name="producerId">The producer.</param>
    /// <param name="epoch">Its epoch, as the batch says.</param>
    /// <returns>A number, or 0 if the producer's transaction has begun here in that epoch, or a later one.</returns>
    internal long BeginVerification(long producerId, short epoch)
    {
        lock (_lock)
        {
            return HasBegun(producerId, epoch) ? 0 : _verified.Begin(producerId);
        }
    }

    /// <summary>
    /// Appends the marker that ends a producer's transaction here, and completes the slot of <paramref name="wait"/> when it is committed.
    /// The same marker again waits for the first one.
    /// </summary>
    /// <returns>An error if it was not appended; then the slot is left alone. <see cref="ErrorCode.TransactionCoordinatorFenced"/> if a
    /// later decision on the producer, or a later epoch of it, was here before.</returns>
    internal ErrorCode AppendMarker(in TransactionMarker marker, CommitWait wait, int slot)
    {
        lock (_lock)
        {
            if (_unavailable != ErrorCode.None)
            {
                return _unavailable;
            }
            AppendResult result = Log.AppendMarker(marker, _leaderEpoch);
            if (result.Error != AppendError.None)
            {
                return ErrorOf(result.Error);
            }
            _verified.Forget(marker.ProducerId);
            if (WaitLocked(result, wait, slot, committed: true))
            {
                return ErrorCode.None;
            }
        }
        wait.Complete(slot, ErrorCode.None);
        return ErrorCode.None;
    }

    /// <summary>Called under the lock.</summary>
    private bool MayWriteInTransaction(BatchSender sender)
    {
        if (HasBegun(sender.ProducerId, sender.ProducerEpoch))
        {
            _verified.Forget(sender.ProducerId); // what is verified is used up once
            return true;
        }
        return _verified.Allow(sender.ProducerId, sender.Verification);
    }

    /// <summary>
    /// An epoch above that of the transaction is none that its coordinator has given out, unless it knows of no transaction here: it has to
    /// say so. Were it taken, the marker that ends the transaction would come too late, and nobody would ever end it.
    /// </summary>
    private bool HasBegun(long producerId, short epoch) =>
        Log.FindProducer(producerId) is { TransactionStart: >= 0 } producer && epoch <= producer.Epoch;
}
