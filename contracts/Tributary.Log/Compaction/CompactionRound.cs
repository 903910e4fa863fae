using System.Buffers;
using Tributary.Contracts.Records;

namespace Tributary.Log.Compaction;

/// <summary>One round over one log.</summary>
internal sealed class CompactionRound(
    PartitionLog log, CompactionPlan plan, KeyMap keys, LogCompactor compactor, CancellationToken cancellation) : IDisposable
{
    /// <summary>Later than any clock says, and not so late that it can't be told from there.</summary>
    private const long LatestHorizonMs = long.MaxValue / 4;

    private readonly List<PlannedSegment> _sources = [];
    private byte[]? _decompressed;
    private CompactedSegment? _output;
    private bool _isChanged;
    private long _bytesBefore;
    private long _bytesAfter;

    public CompactionResult Run()
    {
        long mapped = MapKeys();
        long retention = (long)Math.Min(plan.Policy.DeleteRetention.TotalMilliseconds, LatestHorizonMs);
        using var filter = new BatchFilter(new FilterRules
        {
            Keys = keys,
            MappedEnd = mapped,
            CleanOffset = plan.CleanOffset,
            Aborted = new AbortedRanges(plan.Aborted),
            Producers = plan.Producers,
            MarkersFrom = plan.MemoryStart,
            NowMs = plan.NowMs,
            HorizonMs = plan.NowMs + retention,
        });
        foreach (PlannedSegment segment in plan.Segments)
        {
            if (segment.BaseOffset < mapped)
            {
                Copy(segment, filter);
            }
        }
        Replace();
        log.FinishRound(plan, mapped, filter.LatestHorizonMs);
        return new CompactionResult(CompactionOutcome.Done, mapped, filter.RemovedRecords, _bytesBefore, _bytesAfter);
    }

    /// <summary>What was not finished is dropped.</summary>
    public void Dispose()
    {
        if (_output is not null)
        {
            Drop(_output);
        }
        _sources.ForEach(source => log.EndHold(source.Segment));
        _sources.Clear();
        if (_decompressed is not null)
        {
            ArrayPool<byte>.Shared.Return(_decompressed);
            _decompressed = null;
        }
    }

    /// <summary>Takes note of the last offset of each key in what was not compacted yet, as far as the map reaches.</summary>
    /// <returns>The offset up to which all keys are known.</returns>
    private long MapKeys()
    {
        keys.Begin(plan.Limit - plan.CleanOffset);
        var aborted = new AbortedRanges(plan.Aborted);
        foreach (PlannedSegment segment in plan.Segments)
        {
            if (segment.EndOffset <= plan.CleanOffset)
            {
                continue;
            }
            using SegmentSource source = log.OpenSource(segment, plan.Holes);
            while (source.Next(out RecordBatch batch, out long holeEnd))
            {
                if (holeEnd >= 0)
                {
                    continue;
                }
                compactor.NoteRead(batch.Size, cancellation);
                if (batch.NextOffset <= plan.CleanOffset || batch.IsControl || batch.RecordCount == 0
                    || (batch.IsTransactional && aborted.Contain(batch.ProducerId, batch.BaseOffset)))
                {
                    continue;
                }
                if (FirstUnmapped(batch) is { } offset)
                {
                    return offset;
                }
            }
        }
        return plan.Limit;
    }

    /// <summary>The first record whose key the map doesn't take; null if it takes all.</summary>
    private long? FirstUnmapped(RecordBatch batch)
    {
        ReadOnlySpan<byte> payload = batch.Payload;
        if (batch.Codec != CompressionCodec.None)
        {
            try
            {
                int size = Compression.Decompress(batch.Codec, payload, ref _decompressed, BatchFilter.MaxDecompressedBytes);
                payload = _decompressed.AsSpan(0, size);
            }
            catch (Exception e) when (e is InvalidDataException or NotSupportedException)
            {
                return null; // it stays as it is
            }
        }
        var reader = new RecordReader(payload, batch.RecordCount);
        while (reader.Read(out Record record))
        {
            long offset = batch.BaseOffset + record.OffsetDelta;
            if (offset >= plan.CleanOffset && record.HasKey && !keys.TryPut(record.Key, offset))
            {
                return offset;
            }
        }
        return null;
    }

    private void Copy(PlannedSegment segment, BatchFilter filter)
    {
        if (_output is { } open && (open.EndOffset != segment.BaseOffset || open.Position + segment.EndPosition > plan.SegmentBytes))
        {
            Replace();
        }
        log.Hold(segment);
        _sources.Add(segment);
        _output ??= new CompactedSegment(log.CreateCompacted(segment.BaseOffset), segment.BaseOffset, plan.IndexIntervalBytes);
        _isChanged |= _sources.Count > 1;
        using SegmentSource source = log.OpenSource(segment, plan.Holes);
        long offset = source.Offset;
        while (source.Next(out RecordBatch batch, out long holeEnd))
        {
            long position = _output.Position;
            if (holeEnd >= 0)
            {
                _output.SkipHole(holeEnd, log.EpochOf(offset, -1));
                _isChanged = true;
            }
            else
            {
                compactor.NoteRead(batch.Size, cancellation);
                Take(batch, filter);
            }
            offset = source.Offset;
            compactor.NoteWritten((int)(_output.Position - position), cancellation);
        }
        _bytesBefore += segment.EndPosition;
        log.NoteCompacting(_output.Position);
    }

    private void Take(RecordBatch batch, BatchFilter filter)
    {
        int epoch = log.EpochOf(batch.BaseOffset, batch.LeaderEpoch);
        switch (filter.Filter(batch, out ReadOnlySpan<byte> bytes))
        {
            case BatchFate.Removed:
                _output!.Skip(batch.NextOffset, epoch);
                // An empty batch that spans as much as before is no change.
                _isChanged |= batch.RecordCount > 0;
                break;
            case var fate:
                _output!.Add(bytes, epoch);
                _isChanged |= fate == BatchFate.Rewritten;
                break;
        }
    }

    /// <summary>What was made takes the place of what it was made of, unless it is the same.</summary>
    private void Replace()
    {
        if (_output is not { } output)
        {
            return;
        }
        output.Finish();
        bool isSmaller = output.Position < _sources.Sum(source => (long)source.EndPosition);
        if (_isChanged || isSmaller)
        {
            log.Swap(output, plan, _sources);
            _bytesAfter += output.Position;
        }
        else
        {
            Drop(output);
            _bytesAfter += _sources.Sum(source => (long)source.EndPosition);
        }
        output.Dispose();
        _output = null;
        _sources.ForEach(source => log.EndHold(source.Segment));
        _sources.Clear();
        _isChanged = false;
    }

    private void Drop(CompactedSegment output)
    {
        output.Dispose();
        log.DropCompacted(output.BaseOffset);
    }
}
