using Tributary.Contracts.Records;

namespace Tributary.Log;

/// <summary>
/// Transactions in one partition (KIP-98): which are open, where they end, and which records their aborts take back. All of it follows from
/// the batches: a producer's open transaction stands in its state, an abort names in its own batch where its transaction began.
/// </summary>
public sealed partial class PartitionLog
{
    /// <summary>
    /// Appends the control batch that ends a producer's transaction here, whether it has written here or not: afterwards older epochs of
    /// the producer are fenced. A marker that was appended before is a duplicate.
    /// </summary>
    public AppendResult AppendMarker(in TransactionMarker marker, int leaderEpoch)
    {
        using var builder = new RecordBatchBuilder();
        lock (_lock)
        {
            if (_offlineReason is not null || _truncating)
            {
                return Refused(AppendError.Offline);
            }
            if (leaderEpoch < _epochs.Latest)
            {
                return Refused(AppendError.StaleLeaderEpoch);
            }
            switch (_producers.Check(marker, out long first))
            {
                case MarkerCheck.Stale:
                    return Refused(AppendError.StaleMarker);
                case MarkerCheck.Done:
                    long last = _producers.Find(marker.ProducerId)!.Value.LastOffset;
                    return new AppendResult(AppendError.None, last, last, IsDuplicate: true, _losses.Count);
                default:
                    var control = new ControlBatch(marker.IsCommit, marker.CoordinatorEpoch, first);
                    Memory<byte> batch = control.Build(builder, marker.ProducerId, marker.ProducerEpoch, NowMs);
                    return RecordBatch.TryRead(batch.Span, out RecordBatch read) == BatchStatus.Ok
                        ? AppendLocked(read, leaderEpoch)
                        : throw new InvalidOperationException("a control batch was built that is none");
            }
        }
    }

    /// <summary>
    /// The last stable offset for a high watermark: below it every transaction has ended, by a marker that is below the high watermark too.
    /// </summary>
    public long LastStableOffset(long highWatermark)
    {
        lock (_lock)
        {
            return _producers.IsStable
                ? highWatermark
                : Math.Max(Math.Min(_producers.FirstUnstable(highWatermark) ?? highWatermark, highWatermark), Math.Min(_start, highWatermark));
        }
    }

    /// <summary>
    /// The aborted transactions that have records from <paramref name="from"/> up to (not including) <paramref name="to"/>, as far as their
    /// markers are durable, in the order of their markers. <paramref name="to"/> is at most a last stable offset.
    /// </summary>
    /// <exception cref="IOException">An index can't be read.</exception>
    public IReadOnlyList<AbortedTransaction> AbortedBetween(long from, long to)
    {
        var found = new List<AbortedTransaction>();
        while (!TryFindAborted(from, to, found))
        {
            found.Clear(); // a segment was removed, and another may have taken its place
        }
        return found;
    }

    private bool TryFindAborted(long from, long to, List<AbortedTransaction> found)
    {
        List<LogSegment>? segments = null;
        lock (_lock)
        {
            ThrowIfClosed();
            for (int i = _segments.Count - 1; i >= 0 && _segments[i].EndOffset > from; i--)
            {
                if (_segments[i].AbortedFrom < to)
                {
                    _segments[i].Holds++;
                    (segments ??= []).Insert(0, _segments[i]);
                }
            }
        }
        if (segments is null)
        {
            return true;
        }
        try
        {
            return segments.TrueForAll(segment => TryAddAborted(segment, from, to, found));
        }
        finally
        {
            segments.ForEach(Release);
        }
    }

    private bool TryAddAborted(LogSegment segment, long from, long to, List<AbortedTransaction> found)
    {
        try
        {
            Load(segment, segment.BaseOffset);
        }
        catch (FileNotFoundException) when (segment.IsRemoved)
        {
            return false; // trimmed or replaced
        }
        lock (_lock)
        {
            foreach (ref readonly AbortedTransaction aborted in segment.Index is null ? [] : segment.Index.Aborted)
            {
                if (aborted.FirstOffset < to && aborted.MarkerOffset >= from)
                {
                    found.Add(aborted);
                }
            }
        }
        return true;
    }
}
