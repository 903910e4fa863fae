namespace Tributary.Log;

/// <summary>Why an append was refused.</summary>
public enum AppendError
{
    /// <summary>It was not.</summary>
    None,

    /// <summary>Larger than <see cref="PartitionLogOptions.MaxBatchBytes"/>.</summary>
    TooLarge,

    /// <summary>Not one whole batch of magic 2.</summary>
    Malformed,

    /// <summary>The sequence is not the next one of its producer.</summary>
    OutOfOrderSequence,

    /// <summary>A newer epoch of this producer has written.</summary>
    InvalidProducerEpoch,

    /// <summary>The producer has an open transaction, and the batch belongs to none.</summary>
    OutsideTransaction,

    /// <summary>The marker is of a decision that a later one has overtaken.</summary>
    StaleMarker,

    /// <summary>A newer leader epoch has begun.</summary>
    StaleLeaderEpoch,

    /// <summary>The partition takes no appends: <see cref="PartitionLog.OfflineReason"/>.</summary>
    Offline,
}

/// <summary>Outcome of an append.</summary>
/// <param name="Error">None, or why nothing was appended.</param>
/// <param name="BaseOffset">Offset of the first record; of the original if it is a duplicate; −1 after an error.</param>
/// <param name="LastOffset">Offset of the last record, likewise.</param>
/// <param name="IsDuplicate">The batch was appended before (one of its producer's last five); acknowledge when the original is
/// committed.</param>
/// <param name="Losses">How often the log had lost appends when this one was made, by which <see cref="PartitionLog.WaitFlushedAsync"/> knows
/// it from a later one that got the same offset.</param>
public readonly record struct AppendResult(AppendError Error, long BaseOffset, long LastOffset, bool IsDuplicate, long Losses = 0);

/// <summary>An offset and the timestamp (Unix ms) of the record there.</summary>
public readonly record struct TimestampedOffset(long Offset, long Timestamp, int LeaderEpoch);

/// <summary>What the log knows of a producer.</summary>
/// <param name="LastSequence">Sequence of its last record.</param>
/// <param name="LastOffset">Offset of its last record.</param>
/// <param name="LastTimestamp">Time of its last append, Unix ms.</param>
/// <param name="TransactionStart">Offset of the first batch of its open transaction, −1 if none is open.</param>
/// <param name="CoordinatorEpoch">The coordinator's epoch of its last marker, −1 if there was none.</param>
public readonly record struct ProducerSummary(
    long ProducerId, short Epoch, int LastSequence, long LastOffset, long LastTimestamp, long TransactionStart = -1,
    int CoordinatorEpoch = -1);

/// <summary>The offset is not in the log.</summary>
public sealed class OffsetOutOfRangeException(long offset, long start, long end)
    : Exception($"offset {offset} is outside of the log, which holds {start} to {end}");
