using System.Buffers.Binary;
using Tributary.Contracts.Records;
using Tributary.Log.Storage;

namespace Tributary.Log;

// What is damaged on disk and met by a reader: it becomes a hole, its bytes are kept, and readers step over it.
public sealed partial class PartitionLog
{
    /// <summary>Batches with a damaged leader epoch that are reported, each once.</summary>
    private const int MaxReportedEpochs = 64;

    // Under _lock: base offsets.
    private readonly HashSet<long> _reportedEpochs = [];

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
            offset = Math.Max(offset, _start); // the start may lie within the batch
            if (offset >= end || offset >= MemoryStart
                || FindSegment(offset, ref end, out _) is not { } found)
            {
                return;
            }
            segment = found;
            segment.Holds++;
        }
        try
        {
            Load(segment, offset);
            Repair(segment, offset);
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
    /// <param name="bad">Set to the offset of the first one that is damaged.</param>
    private static bool AreWhole(ReadOnlySpan<byte> bytes, ref long bad)
    {
        while (RecordBatch.TryRead(bytes, out RecordBatch batch) == BatchStatus.Ok)
        {
            if (!batch.IsCrcValid())
            {
                bad = batch.BaseOffset;
                return false;
            }
            bytes = bytes[batch.Size..];
        }
        return true;
    }

    /// <summary>
    /// The checksum of a batch does not cover its leader epoch: a flipped bit there is found by comparison with the epochs that are saved
    /// elsewhere, and put right in what the reader gets. The file is left as it is.
    /// </summary>
    private void CorrectEpochs(LogRead read, int epoch)
    {
        Span<byte> bytes = read.Owned;
        while (epoch >= 0 && bytes.Length >= BatchLayout.HeaderSize)
        {
            Span<byte> stamped = bytes.Slice(BatchLayout.LeaderEpoch, sizeof(int));
            int found = BinaryPrimitives.ReadInt32BigEndian(stamped);
            if (found != epoch)
            {
                BinaryPrimitives.WriteInt32BigEndian(stamped, epoch);
                ReportEpoch(BinaryPrimitives.ReadInt64BigEndian(bytes), found, epoch);
            }
            bytes = bytes[(int)Math.Min(RecordBatch.PeekSize(bytes), bytes.Length)..];
        }
    }

    private void ReportEpoch(long offset, int found, int epoch)
    {
        lock (_lock)
        {
            if (_reportedEpochs.Count >= MaxReportedEpochs || !_reportedEpochs.Add(offset))
            {
                return;
            }
        }
        Report(LogEventKind.Rebuilt, offset, -1, $"the batch at offset {offset} says leader epoch {found}, which is damage: readers get {epoch}");
    }

    /// <summary>
    /// Looks, from the index on, for the batch that holds an offset. If there is a bad one on the way, or it is bad itself, that becomes
    /// a hole up to the next good batch, and its bytes are kept. Nothing happens if all is well at this second look.
    /// </summary>
    private void Repair(LogSegment segment, long offset)
    {
        lock (_files)
        {
            IStorageFile? file;
            int limit;
            long segmentEnd;
            IndexEntry entry;
            lock (_lock)
            {
                if (_closed || segment.IsRemoved || offset >= segment.EndOffset || segment.File is null)
                {
                    return; // trimmed or cut off while it was read
                }
                (file, limit, segmentEnd) = (segment.File, segment.EndPosition, segment.EndOffset);
                entry = segment.Index!.Find(offset, segment.BaseOffset);
            }
            using var reader = new BatchFileReader(file, limit);
            (long bad, int position) = (entry.Offset, entry.Position);
            while (reader.TryReadWhole(position, bad, out RecordBatch batch))
            {
                if (batch.NextOffset > offset)
                {
                    return;
                }
                (bad, position) = (batch.NextOffset, position + batch.Size);
            }
            long from = AfterHole(bad);
            if (from > offset)
            {
                return; // another reader was here
            }
            // A hole may be known already although the index, saved before, does not lead around it.
            int found = reader.FindNext(position + 1, limit, Math.Max(from, bad + 1), segmentEnd - 1, out long next);
            if (found < 0)
            {
                (found, next) = (limit, segmentEnd);
            }
            string? kept = next > from ? _quarantine.Keep(file, position, found, from, next) : null;
            AddHole(segment, from, next, found);
            if (kept is not null)
            {
                Report(LogEventKind.Quarantined, from, next, $"{found - position} damaged bytes of segment {segment.BaseOffset} were {kept}");
                Report(LogEventKind.Hole, from, next, $"offsets {from} to {next} can't be read any more: their bytes are damaged");
            }
        }
    }

    /// <summary>The end of the hole that holds an offset; the offset itself if it is in none.</summary>
    private long AfterHole(long offset)
    {
        lock (_lock)
        {
            Hole hole = _holes.Find(hole => hole.From <= offset && offset < hole.To);
            return Math.Max(offset, hole.To);
        }
    }

    private void AddHole(LogSegment segment, long from, long next, int position)
    {
        lock (_lock)
        {
            if (next > from)
            {
                _holes.Add(new Hole(from, next));
                _holes.Sort((a, b) => a.From.CompareTo(b.From));
            }
            if (next < segment.EndOffset)
            {
                segment.Index!.Insert(new IndexEntry(next, position, long.MinValue));
                segment.IsIndexSaved = false;
            }
            _saveWanted = true;
            EnqueueLocked();
        }
    }
}
