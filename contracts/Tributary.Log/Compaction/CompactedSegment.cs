using System.Buffers;
using System.Buffers.Binary;
using Tributary.Contracts.Records;
using Tributary.Log.Storage;

namespace Tributary.Log.Compaction;

/// <summary>
/// A segment that compaction writes, to take the place of others: batches one behind the other over the same offsets without a gap. What
/// was taken out between two batches is spanned by the one before it, if it is little and that has no producer, or by an empty one; neither reaches over the
/// start of a leader epoch or of a hole, where a read ends. Used by one thread.
/// </summary>
internal sealed class CompactedSegment : IDisposable
{
    private const int BufferBytes = 1 << 20;

    /// <summary>
    /// Bytes between two flushes. Few, since whoever flushes the whole file system, or waits in line at the disk, waits for these too.
    /// </summary>
    private const int FlushBytes = 4 << 20;

    /// <summary>
    /// Most offsets that a batch with records spans behind itself. Some clients go from record to record, and not from batch to batch: they
    /// would ask for each of these offsets when nothing follows in the same answer.
    /// </summary>
    private const int MostSpanned = 16;

    private readonly IStorageFile _file;
    private readonly int _indexInterval;
    private byte[] _buffer = ArrayPool<byte>.Shared.Rent(BufferBytes);
    private int _used;
    private long _written;
    private long _flushed;
    private long _nextIndexPosition;

    // The last batch, which is in the buffer.
    private int _lastAt = -1;
    private int _lastEpoch;
    private long _mostSpanned;

    // What was taken out behind it.
    private long _gapEnd;
    private int _gapEpoch;

    public CompactedSegment(IStorageFile file, long baseOffset, int indexInterval)
    {
        _file = file;
        _indexInterval = indexInterval;
        BaseOffset = NextOffset = _gapEnd = baseOffset;
    }

    public long BaseOffset { get; }

    /// <summary>The offset after what was added or skipped.</summary>
    public long EndOffset => Math.Max(NextOffset, _gapEnd);

    /// <summary>Bytes so far.</summary>
    public long Position => _written + _used;

    public long MaxTimestamp { get; private set; } = long.MinValue;

    public SegmentIndex Index { get; } = new();

    /// <summary>The offset after the last batch.</summary>
    private long NextOffset { get; set; }

    /// <summary>Adds a batch that begins where what came before ends.</summary>
    public void Add(ReadOnlySpan<byte> bytes, int leaderEpoch)
    {
        CloseGap();
        Append(bytes, leaderEpoch);
    }

    /// <summary>Offsets up to <paramref name="end"/> were taken out.</summary>
    public void Skip(long end, int leaderEpoch)
    {
        if (_gapEnd > NextOffset && _gapEpoch != leaderEpoch)
        {
            CloseGap();
        }
        _gapEnd = end;
        _gapEpoch = leaderEpoch;
    }

    /// <summary>Offsets up to <paramref name="end"/> can't be read: a batch of their own spans them.</summary>
    public void SkipHole(long end, int leaderEpoch)
    {
        CloseGap();
        _mostSpanned = 0;
        Skip(end, leaderEpoch);
        CloseGap();
        _mostSpanned = 0;
    }

    /// <summary>Everything was added: writes and flushes it.</summary>
    public void Finish()
    {
        CloseGap();
        Write();
        _file.Flush();
    }

    public void Dispose()
    {
        if (_buffer.Length > 0)
        {
            _file.Dispose();
            ArrayPool<byte>.Shared.Return(_buffer);
            _buffer = [];
        }
    }

    private void CloseGap()
    {
        if (_gapEnd <= NextOffset)
        {
            return;
        }
        if (_gapEnd - NextOffset <= _mostSpanned && _lastEpoch == _gapEpoch)
        {
            Span<byte> last = _buffer.AsSpan(_lastAt, _used - _lastAt);
            long delta = _gapEnd - 1 - BinaryPrimitives.ReadInt64BigEndian(last);
            if (delta <= int.MaxValue)
            {
                BinaryPrimitives.WriteInt32BigEndian(last[BatchLayout.LastOffsetDelta..], (int)delta);
                BinaryPrimitives.WriteUInt32BigEndian(last[BatchLayout.Crc..], Crc32C.Compute(last[BatchLayout.Attributes..]));
                _mostSpanned -= _gapEnd - NextOffset;
                NextOffset = _gapEnd;
                return;
            }
        }
        Span<byte> empty = stackalloc byte[EmptyBatch.Size];
        while (NextOffset < _gapEnd)
        {
            EmptyBatch.WriteSpan(empty, NextOffset, Math.Min(_gapEnd, NextOffset + int.MaxValue), _gapEpoch);
            Append(empty, _gapEpoch);
        }
    }

    private void Append(ReadOnlySpan<byte> bytes, int leaderEpoch)
    {
        if (RecordBatch.TryRead(bytes, out RecordBatch batch) != BatchStatus.Ok || batch.BaseOffset != NextOffset)
        {
            throw new InvalidOperationException($"the batch that follows {NextOffset} in a compacted segment does not begin there");
        }
        if (_used + bytes.Length > _buffer.Length)
        {
            Write();
            if (bytes.Length > _buffer.Length)
            {
                ArrayPool<byte>.Shared.Return(_buffer);
                _buffer = ArrayPool<byte>.Shared.Rent(bytes.Length);
            }
        }
        if (Position + bytes.Length > int.MaxValue)
        {
            throw new IOException($"the compacted segment {BaseOffset} would be larger than a segment can be");
        }
        if (Position >= _nextIndexPosition)
        {
            Index.Add(new IndexEntry(batch.BaseOffset, (int)Position, MaxTimestamp));
            _nextIndexPosition = Position + _indexInterval;
        }
        if (SegmentScan.AbortedBy(batch) is { } aborted)
        {
            Index.AddAborted(aborted);
        }
        MaxTimestamp = Math.Max(MaxTimestamp, batch.MaxTimestamp);
        NextOffset = batch.NextOffset;
        _lastAt = _used;
        _lastEpoch = leaderEpoch;
        _mostSpanned = batch.ProducerId >= 0 ? 0 : batch.RecordCount > 0 ? MostSpanned : int.MaxValue;
        bytes.CopyTo(_buffer.AsSpan(_used));
        _used += bytes.Length;
    }

    /// <summary>Empties the buffer. What is in the file can't span a gap any more, so gaps are closed before.</summary>
    private void Write()
    {
        if (_used == 0)
        {
            return;
        }
        _file.Write(_written, _buffer.AsSpan(0, _used));
        _written += _used;
        _used = 0;
        _mostSpanned = 0;
        if (_written - _flushed >= FlushBytes)
        {
            _file.Flush();
            _flushed = _written;
        }
    }
}
