using System.Buffers.Binary;
using Tributary.Contracts.Records;
using Tributary.Log.Storage;

namespace Tributary.Log;

// What is damaged on disk and met by a reader: it becomes a hole, its bytes are kept, and readers step over it.
public sealed partial class PartitionLog
{
    /// <summary>
    /// A batch that was read has a CRC that does not fit: looks again, and if it is damaged on disk makes a hole of it and keeps its bytes.
    /// </summary>
    /// <param name="offset">An offset in the batch.</param>
    /// <exception cref="IOException">The log can't be read now.</exception>
    public void ReportDamage(long offset)
    {
        LogSegment segment;
        lock (_lock)
        {
            ThrowIfClosed();
            long end = _flushedEnd;
            if (offset < _start || offset >= end || offset >= _tail.StartOffset
                || FindSegment(offset, ref end, out _) is not { } found)
            {
                return;
            }
            segment = found;
            segment.Holds++;
        }
        try
        {
            (IStorageFile file, IndexEntry entry, _, int limit) = Load(segment, offset);
            (long at, int position) = (entry.Offset, entry.Position);
            using var reader = new BatchFileReader(file, limit);
            while (reader.TryRead(position, at, out RecordBatch batch) && batch.NextOffset <= offset)
            {
                (at, position) = (batch.NextOffset, position + batch.Size);
            }
            Repair(segment, at, position);
        }
        catch (FileNotFoundException) when (segment.IsRemoved)
        {
        }
        finally
        {
            Release(segment);
        }
    }

    /// <param name="salvaged">Set once the disk could not read something, which reads as zeros.</param>
    private static int Read(IStorageFile file, int position, Span<byte> into, ref SalvagingFile? salvaged)
    {
        if (salvaged is null)
        {
            try
            {
                return file.Read(position, into);
            }
            catch (IOException)
            {
                salvaged = new SalvagingFile(file);
            }
        }
        return salvaged.Read(position, into);
    }

    /// <summary>Checks the CRCs of whole batches.</summary>
    /// <param name="bytes">The batches.</param>
    /// <param name="position">Where they are in the segment.</param>
    /// <param name="bad">Set to the first one that is damaged.</param>
    private static bool AreWhole(ReadOnlySpan<byte> bytes, int position, ref (long Offset, int Position) bad)
    {
        while (RecordBatch.TryRead(bytes, out RecordBatch batch) == BatchStatus.Ok)
        {
            if (!batch.IsCrcValid())
            {
                bad = (batch.BaseOffset, position);
                return false;
            }
            bytes = bytes[batch.Size..];
            position += batch.Size;
        }
        return true;
    }

    /// <summary>Looks into bytes that should be a batch: makes a hole up to the next good batch, and keeps the bytes.</summary>
    private void Repair(LogSegment segment, long offset, int position)
    {
        lock (_files)
        {
            int limit;
            IStorageFile? file;
            long segmentEnd;
            long ignored = long.MaxValue;
            lock (_lock)
            {
                if (_closed || segment.IsRemoved || offset >= segment.EndOffset || segment.File is null)
                {
                    return; // trimmed or cut off while it was read
                }
                FindSegment(offset, ref ignored, out long holeEnd);
                if (holeEnd > offset)
                {
                    return; // another reader was here
                }
                (file, limit, segmentEnd) = (segment.File, segment.EndPosition, segment.EndOffset);
            }
            using var reader = new BatchFileReader(file, limit);
            if (reader.TryRead(position, offset, out RecordBatch batch) && batch.IsCrcValid())
            {
                return; // the disk gave the right bytes this time
            }
            int from = reader.TryRead(position, offset, out _) ? position + 1 : position;
            int found = reader.FindNext(from, limit, offset + 1, segmentEnd - 1, out long next);
            if (found < 0)
            {
                (found, next) = (limit, segmentEnd);
            }
            string kept = _quarantine.Keep(file, position, found, offset, next);
            lock (_lock)
            {
                _holes.Add(new Hole(offset, next));
                _holes.Sort((a, b) => a.From.CompareTo(b.From));
                if (next < segmentEnd)
                {
                    segment.Index!.Insert(new IndexEntry(next, found, long.MinValue));
                    segment.IsIndexSaved = false;
                }
                _saveWanted = true;
                EnqueueLocked();
            }
            Report(LogEventKind.Quarantined, offset, next, $"{found - position} damaged bytes of segment {segment.BaseOffset} were {kept}");
            Report(LogEventKind.Hole, offset, next, $"offsets {offset} to {next} can't be read any more: their bytes are damaged");
        }
    }
}
