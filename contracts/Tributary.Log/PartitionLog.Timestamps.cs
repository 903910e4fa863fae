using System.Buffers;
using Tributary.Contracts.Records;
using Tributary.Log.Storage;

namespace Tributary.Log;

/// <summary>
/// Look-ups by timestamp: the index narrows them down to a few batches, which are read like any others. Timestamps are the producers',
/// in no order, so an answer is the first of its kind by offset.
/// </summary>
public sealed partial class PartitionLog
{
    private const int SearchReadBytes = 256 << 10;

    /// <summary>Most bytes that a batch may decompress to.</summary>
    private const int MaxDecompressedBytes = 256 << 20;

    /// <summary>
    /// The first record below <paramref name="upTo"/> whose timestamp is at least <paramref name="timestamp"/> (Unix ms), looking inside
    /// compressed batches; null if there is none. (Kafka's ListOffsets.)
    /// </summary>
    /// <exception cref="IOException">The disk can't be read, or the log is closed.</exception>
    public TimestampedOffset? FindByTimestamp(long timestamp, long upTo)
    {
        LogSegment? segment;
        long from;
        lock (_lock)
        {
            ThrowIfClosed();
            segment = _segments.Find(segment => segment.MaxTimestamp >= timestamp && segment.EndOffset > _start);
            from = segment?.BaseOffset ?? _flushedEnd;
        }
        from = Math.Max(from, StartAt(segment, timestamp) ?? from);
        return Search(from, upTo, timestamp);
    }

    /// <summary>
    /// The first record with the greatest timestamp below <paramref name="upTo"/>, null if there is none (ListOffsets −3, KIP-734).
    /// </summary>
    /// <exception cref="IOException">The disk can't be read, or the log is closed.</exception>
    public TimestampedOffset? FindMaxTimestamp(long upTo)
    {
        List<(LogSegment? Segment, long From, long End, long Max)> candidates;
        lock (_lock)
        {
            ThrowIfClosed();
            candidates = [.. _segments
                .Where(segment => segment.EndOffset > _start && segment.BaseOffset < upTo)
                .Select(segment => ((LogSegment?)segment, segment.BaseOffset, Math.Min(upTo, segment.EndOffset), segment.MaxTimestamp))];
            candidates.Add((null, _flushedEnd, Math.Min(upTo, _appendedEnd), long.MaxValue));
        }
        TimestampedOffset? best = null;
        foreach ((LogSegment? segment, long from, long end, long max) in candidates.OrderByDescending(candidate => candidate.Max))
        {
            // What a segment says is an upper bound: its batch may lie beyond the end.
            if (best is { } found && found.Timestamp >= max)
            {
                break;
            }
            TimestampedOffset? here = segment is null ? null : Search(StartAt(segment, max) ?? from, end, max);
            here ??= Greatest(from, end);
            if (here is not null && (best is null || here.Value.Timestamp > best.Value.Timestamp
                || (here.Value.Timestamp == best.Value.Timestamp && here.Value.Offset < best.Value.Offset)))
            {
                best = here;
            }
        }
        return best;
    }

    /// <summary>Where in a segment to begin to look for a timestamp; null if the segment is gone.</summary>
    private long? StartAt(LogSegment? segment, long timestamp)
    {
        if (segment is null)
        {
            return null;
        }
        lock (_lock)
        {
            if (segment.IsRemoved)
            {
                return null;
            }
            segment.Holds++;
        }
        try
        {
            Load(segment, segment.BaseOffset);
            lock (_lock)
            {
                return segment.Index!.FindTimestamp(timestamp, segment.BaseOffset).Offset;
            }
        }
        catch (FileNotFoundException) when (segment.IsRemoved)
        {
            return null;
        }
        finally
        {
            Release(segment);
        }
    }

    /// <summary>The first record from <paramref name="from"/> on with at least that timestamp.</summary>
    private TimestampedOffset? Search(long from, long upTo, long timestamp)
    {
        TimestampedOffset? found = null;
        Visit(from, upTo, batch => batch.MaxTimestamp < timestamp || (found = FirstInside(batch, timestamp, from, upTo)) is null);
        return found;
    }

    private TimestampedOffset? Greatest(long from, long upTo)
    {
        long greatest = long.MinValue;
        long at = from;
        Visit(from, upTo, batch =>
        {
            if (batch.MaxTimestamp > greatest && batch.RecordCount > 0)
            {
                (greatest, at) = (batch.MaxTimestamp, batch.BaseOffset);
            }
            return true;
        });
        return greatest == long.MinValue ? null : Search(at, upTo, greatest);
    }

    private delegate bool BatchVisitor(RecordBatch batch);

    /// <summary>Visits batches until the visitor says false.</summary>
    private void Visit(long from, long upTo, BatchVisitor visit)
    {
        from = Math.Max(from, StartOffset);
        while (from < Math.Min(upTo, AppendedEnd))
        {
            LogRead read;
            try
            {
                read = Read(from, SearchReadBytes, upTo);
            }
            catch (OffsetOutOfRangeException) when (from < StartOffset)
            {
                from = StartOffset;
                continue;
            }
            using (read)
            {
                if (read.NextOffset <= from)
                {
                    return;
                }
                foreach (ReadOnlyMemory<byte> piece in read.Bytes)
                {
                    ReadOnlySpan<byte> rest = piece.Span;
                    while (RecordBatch.TryRead(rest, out RecordBatch batch) == BatchStatus.Ok)
                    {
                        if (!visit(batch))
                        {
                            return;
                        }
                        rest = rest[batch.Size..];
                    }
                }
                from = read.NextOffset;
            }
        }
    }

    private TimestampedOffset? FirstInside(RecordBatch batch, long timestamp, long from, long upTo)
    {
        long start = Math.Max(from, StartOffset);
        if ((batch.Attributes & BatchAttributes.LogAppendTime) != 0)
        {
            long first = Math.Max(batch.BaseOffset, start);
            return first < upTo && first < batch.NextOffset ? new TimestampedOffset(first, batch.MaxTimestamp, batch.LeaderEpoch) : null;
        }
        byte[]? decompressed = null;
        try
        {
            ReadOnlySpan<byte> payload = batch.Payload;
            if (batch.Codec != CompressionCodec.None)
            {
                int size = Compression.Decompress(batch.Codec, payload, ref decompressed, MaxDecompressedBytes);
                payload = decompressed.AsSpan(0, size);
            }
            var reader = new RecordReader(payload, batch.RecordCount);
            while (reader.Read(out Record record))
            {
                long offset = batch.BaseOffset + record.OffsetDelta;
                long time = batch.BaseTimestamp + record.TimestampDelta;
                if (time >= timestamp && offset >= start && offset < upTo)
                {
                    return new TimestampedOffset(offset, time, batch.LeaderEpoch);
                }
            }
            return null;
        }
        // What can't be looked into is found as a whole.
        catch (Exception e) when (e is InvalidDataException or NotSupportedException)
        {
            return new TimestampedOffset(Math.Max(batch.BaseOffset, start), batch.MaxTimestamp, batch.LeaderEpoch);
        }
        finally
        {
            if (decompressed is not null)
            {
                ArrayPool<byte>.Shared.Return(decompressed);
            }
        }
    }
}
