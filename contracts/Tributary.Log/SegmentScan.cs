using Tributary.Contracts.Records;

namespace Tributary.Log;

/// <summary>Bytes of a segment that hold no readable batch although they should.</summary>
internal readonly record struct Damage(long FromOffset, long ToOffset, int FromPosition, int ToPosition);

/// <summary>
/// Checks a segment batch by batch: CRC, length, contiguous offsets. A batch of a former life of the file never has the offset that is
/// expected, so it ends the scan as zeros do. Pure but for the reads.
/// </summary>
internal sealed class SegmentScan(BatchFileReader reader, int indexInterval)
{
    private long _nextIndexPosition;

    /// <summary>The offset after the last good batch.</summary>
    public long Offset { get; private set; }

    /// <summary>The byte after the last good batch.</summary>
    public int Position { get; private set; }

    public long MaxTimestamp { get; private set; } = long.MinValue;

    public List<Damage> Damages { get; } = [];

    public SegmentIndex Index { get; private set; } = new();

    /// <summary>Starts at the segment's first byte.</summary>
    public void StartAt(long baseOffset) => Offset = baseOffset;

    /// <summary>Goes on behind what a saved index covers.</summary>
    public void StartAfter(SegmentIndex index, SegmentInfo info)
    {
        Index = index;
        Offset = info.EndOffset;
        Position = info.EndPosition;
        MaxTimestamp = info.MaxTimestamp;
        _nextIndexPosition = index.Count == 0 ? 0 : index.Find(long.MaxValue, info.BaseOffset).Position + (long)indexInterval;
    }

    /// <summary>
    /// Scans until <paramref name="endOffset"/>, or until a bad batch. Below <paramref name="floor"/> a bad batch is damage, and the scan
    /// goes on with the next good one that begins at or below the floor.
    /// </summary>
    public void Run(long endOffset, long floor, int limit)
    {
        while (Offset < endOffset)
        {
            if (reader.TryReadWhole(Position, Offset, out RecordBatch batch) && batch.NextOffset <= endOffset)
            {
                Take(batch);
                continue;
            }
            if (Offset >= floor)
            {
                return;
            }
            int found = reader.FindNext(Position + 1, limit, Offset, floor, out long offset);
            if (found < 0)
            {
                return;
            }
            Damages.Add(new Damage(Offset, offset, Position, found));
            _nextIndexPosition = found;
            Offset = offset;
            Position = found;
        }
    }

    /// <summary>The transaction that the batch aborts, if it does.</summary>
    public static AbortedTransaction? AbortedBy(RecordBatch batch) =>
        batch.IsControl && ControlBatch.TryRead(batch, out ControlBatch marker) && !marker.IsCommit && marker.FirstOffset >= 0
            ? new AbortedTransaction(batch.ProducerId, marker.FirstOffset, batch.BaseOffset)
            : null;

    private void Take(RecordBatch batch)
    {
        if (Position >= _nextIndexPosition)
        {
            Index.Add(new IndexEntry(Offset, Position, MaxTimestamp));
            _nextIndexPosition = Position + (long)indexInterval;
        }
        if (AbortedBy(batch) is { } aborted)
        {
            Index.AddAborted(aborted);
        }
        MaxTimestamp = Math.Max(MaxTimestamp, batch.MaxTimestamp);
        Offset = batch.NextOffset;
        Position += batch.Size;
    }
}
