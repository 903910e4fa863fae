using System.Buffers;

namespace Tributary.Log;

/// <summary>
/// The log of one partition. Three positions: <see cref="StartOffset"/> ≤ <see cref="FlushedEnd"/> ≤ <see cref="AppendedEnd"/>.
/// Acknowledgement, replication and uplink go by the flushed end. Callable from any thread.
/// </summary>
public sealed class PartitionLog
{
    /// <summary>Name of the partition's directory, such as <c>telemetry-0</c>.</summary>
    public string Name => throw new NotImplementedException();

    /// <summary>The first offset that can be read.</summary>
    public long StartOffset => throw new NotImplementedException();

    /// <summary>The offset that the next appended record gets.</summary>
    public long AppendedEnd => throw new NotImplementedException();

    /// <summary>The offset after the last durable record.</summary>
    public long FlushedEnd => throw new NotImplementedException();

    /// <summary>Bytes that the partition takes on disk, everything counted.</summary>
    public long SizeBytes => throw new NotImplementedException();

    /// <summary>
    /// About how many bytes of batches lie between two offsets, headers included: exact to an index interval at either end. Nothing is
    /// read from disk, so it is cheap enough for every look at a backlog. Offsets outside of the log are taken as its nearest end.
    /// </summary>
    public long BytesBetween(long from, long to) => throw new NotImplementedException();

    /// <summary>Null, or the sentence that says why no append is taken.</summary>
    public string? OfflineReason => throw new NotImplementedException();

    /// <summary>Adds a listener for flushes. They are told in the order of subscription.</summary>
    public void Subscribe(ILogListener listener) => throw new NotImplementedException();

    /// <summary>
    /// Appends one whole batch: checks producer id, epoch and sequence (when the batch has them), assigns offsets, stamps base offset and
    /// leader epoch on a copy. The bytes are the caller's again at return. The CRC must have been verified by the caller.
    /// </summary>
    public AppendResult Append(ReadOnlySpan<byte> batch, int leaderEpoch = 0) => throw new NotImplementedException();

    /// <summary>Completes when everything below <paramref name="offset"/> is durable.</summary>
    /// <exception cref="LogException">The flush failed.</exception>
    public ValueTask WaitFlushedAsync(long offset, CancellationToken cancellation = default) => throw new NotImplementedException();

    /// <summary>
    /// Reads whole batches from the one that contains <paramref name="offset"/>, as they are stored, at most <paramref name="maxBytes"/>
    /// (the first batch is returned whatever its size) and none that reaches to <paramref name="upTo"/> or beyond (a batch whose last offset is ≥ upTo).
    /// </summary>
    /// <returns>Bytes that must be disposed; empty at the end.</returns>
    /// <exception cref="OffsetOutOfRangeException">Below <see cref="StartOffset"/> or above <see cref="AppendedEnd"/>.</exception>
    public LogRead Read(long offset, int maxBytes, long upTo) => throw new NotImplementedException();

    /// <summary>The first record whose timestamp is at least <paramref name="timestamp"/> (Unix ms), looking inside compressed batches.</summary>
    public TimestampedOffset? FindByTimestamp(long timestamp, long upTo) => throw new NotImplementedException();

    /// <summary>The record with the greatest timestamp below <paramref name="upTo"/>, null if the log is empty (ListOffsets −3, KIP-734).</summary>
    public TimestampedOffset? FindMaxTimestamp(long upTo) => throw new NotImplementedException();

    /// <summary>Begins a leader epoch at the appended end; durable before it returns. Epochs only grow.</summary>
    public void BeginLeaderEpoch(int epoch) => throw new NotImplementedException();

    /// <summary>The latest leader epoch, −1 if none has begun.</summary>
    public int LeaderEpoch => throw new NotImplementedException();

    /// <summary>The largest epoch ≤ <paramref name="epoch"/> and its end offset (KIP-101, KIP-279); null if unknown.</summary>
    public (int Epoch, long EndOffset)? EndOffsetForEpoch(int epoch) => throw new NotImplementedException();

    /// <summary>What is known of one producer.</summary>
    public ProducerSummary? FindProducer(long producerId) => throw new NotImplementedException();

    /// <summary>All producers with state, in no order.</summary>
    public IReadOnlyList<ProducerSummary> ListProducers() => throw new NotImplementedException();

    /// <summary>Moves the start up (DeleteRecords, trimming after acknowledgement) and recycles segments that lie wholly below it.</summary>
    public void AdvanceStart(long offset) => throw new NotImplementedException();

    /// <summary>Removes segments that time and size retention no longer ask for. Only closed ones, counted from append time.</summary>
    public void ApplyRetention() => throw new NotImplementedException();

    /// <summary>Cuts the log so that it ends at <paramref name="offset"/>; durable before it returns. For followers.</summary>
    public void Truncate(long offset) => throw new NotImplementedException();

    /// <summary>Drops the oldest chunk of the tail in memory, if it is durable.</summary>
    internal bool EvictTail() => throw new NotImplementedException();
}


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

    /// <summary>A newer leader epoch has begun.</summary>
    StaleLeaderEpoch,

    /// <summary>The partition takes no appends: <see cref="PartitionLog.OfflineReason"/>.</summary>
    Offline,
}

/// <summary>Outcome of an append.</summary>
/// <param name="Error">None, or why nothing was appended.</param>
/// <param name="BaseOffset">Offset of the first record; of the original if it is a duplicate; −1 after an error.</param>
/// <param name="LastOffset">Offset of the last record, likewise.</param>
/// <param name="IsDuplicate">The batch was appended before (one of its producer's last five); acknowledge when the original is committed.</param>
public readonly record struct AppendResult(AppendError Error, long BaseOffset, long LastOffset, bool IsDuplicate);

/// <summary>An offset and the timestamp (Unix ms) of the record there.</summary>
public readonly record struct TimestampedOffset(long Offset, long Timestamp, int LeaderEpoch);

/// <summary>What the log knows of a producer.</summary>
/// <param name="LastSequence">Sequence of its last record.</param>
/// <param name="LastOffset">Offset of its last record.</param>
/// <param name="LastTimestamp">Time of its last append, Unix ms.</param>
public readonly record struct ProducerSummary(long ProducerId, short Epoch, int LastSequence, long LastOffset, long LastTimestamp);

/// <summary>The offset is not in the log.</summary>
public sealed class OffsetOutOfRangeException(long offset, long start, long end)
    : Exception($"offset {offset} is outside of the log, which holds {start} to {end}");
