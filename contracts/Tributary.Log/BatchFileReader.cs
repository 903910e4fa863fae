using System.Buffers;
using System.Buffers.Binary;
using Tributary.Contracts.Records;
using Tributary.Log.Storage;

namespace Tributary.Log;

/// <summary>
/// Reads batches of a segment one by one, through a pooled buffer that grows to the largest batch (bounded by the segment). Not safe
/// for concurrent use. Never believes a length that reaches beyond <paramref name="limit"/>. What the disk can't read is zeros here, which
/// are no batch.
/// </summary>
internal sealed class BatchFileReader(IStorageFile file, int limit) : IDisposable
{
    private const int ReadAhead = 256 << 10;
    private readonly SalvagingFile _file = new(file);
    private byte[] _buffer = ArrayPool<byte>.Shared.Rent(Math.Clamp(limit, BatchLayout.HeaderSize, ReadAhead));
    private int _bufferStart;
    private int _buffered;

    /// <summary>Reads the batch at <paramref name="position"/> if it begins with <paramref name="offset"/>. Its CRC is not checked.</summary>
    public bool TryRead(int position, long offset, out RecordBatch batch)
    {
        batch = default;
        ReadOnlySpan<byte> header = Fill(position, BatchLayout.HeaderSize);
        if (header.Length < BatchLayout.HeaderSize || BinaryPrimitives.ReadInt64BigEndian(header) != offset)
        {
            return false;
        }
        long size = RecordBatch.PeekSize(header);
        return size >= BatchLayout.HeaderSize && size <= limit - position
            && RecordBatch.TryRead(Fill(position, (int)size), out batch) == BatchStatus.Ok;
    }

    /// <summary>
    /// Finds the next whole batch with a valid CRC, at <paramref name="position"/> or behind, whose base offset is between
    /// <paramref name="minOffset"/> and <paramref name="maxOffset"/>. Batches of a former life of the segment have lower ones. Behind a bad
    /// batch, begin one byte after its start: the checksum does not cover the base offset, so it may be whole but for that. What is passed
    /// over is read twice, since a good batch that is read wrong once would be given up with the bad one.
    /// </summary>
    /// <returns>Its position, or −1.</returns>
    public int FindNext(int position, int searchEnd, long minOffset, long maxOffset, out long offset)
    {
        int found = Search(position, searchEnd, minOffset, maxOffset, out offset);
        _buffered = 0;
        int passed = found < 0 ? searchEnd : Math.Min(searchEnd, found - 1 + BatchLayout.HeaderSize);
        int missed = Search(position, passed, minOffset, maxOffset, out long missedOffset);
        if (missed < 0)
        {
            return found;
        }
        offset = missedOffset;
        return missed;
    }

    /// <summary>Reads the batch as <see cref="TryRead"/> does and checks its CRC. What is bad is read twice before that is believed.</summary>
    public bool TryReadWhole(int position, long offset, out RecordBatch batch)
    {
        if (TryRead(position, offset, out batch) && batch.IsCrcValid())
        {
            return true;
        }
        _buffered = 0;
        return TryRead(position, offset, out batch) && batch.IsCrcValid();
    }

    public void Dispose()
    {
        ArrayPool<byte>.Shared.Return(_buffer);
        _buffer = [];
    }

    private int Search(int position, int searchEnd, long minOffset, long maxOffset, out long offset)
    {
        offset = -1;
        int last = Math.Min(searchEnd, limit) - BatchLayout.HeaderSize;
        for (int at = position; at <= last; at++)
        {
            ReadOnlySpan<byte> bytes = Fill(at, BatchLayout.HeaderSize);
            if (bytes.Length < BatchLayout.HeaderSize)
            {
                return -1;
            }
            int magic = bytes[BatchLayout.Magic..].IndexOf(BatchLayout.CurrentMagic);
            if (magic != 0)
            {
                // Jump to the next byte that could be a magic, or over all that is buffered.
                at += magic > 0 ? magic - 1 : bytes.Length - BatchLayout.Magic - 1;
                continue;
            }
            offset = BinaryPrimitives.ReadInt64BigEndian(bytes);
            if (offset >= minOffset && offset <= maxOffset && TryRead(at, offset, out RecordBatch batch) && batch.IsCrcValid())
            {
                return at;
            }
        }
        return -1;
    }

    /// <summary>What is buffered from <paramref name="position"/> on: at least <paramref name="size"/> bytes unless the file ends.</summary>
    private ReadOnlySpan<byte> Fill(int position, int size)
    {
        if (position < _bufferStart || position + (long)size > _bufferStart + _buffered)
        {
            int wanted = (int)Math.Min(Math.Max(size, ReadAhead), limit - (long)position);
            if (wanted <= 0)
            {
                return [];
            }
            if (wanted > _buffer.Length)
            {
                ArrayPool<byte>.Shared.Return(_buffer);
                _buffer = ArrayPool<byte>.Shared.Rent(wanted);
            }
            _buffered = 0;
            _bufferStart = position;
            for (int read = -1; read != 0 && _buffered < wanted; _buffered += read)
            {
                read = _file.Read(position + _buffered, _buffer.AsSpan(_buffered, wanted - _buffered));
            }
        }
        return _buffer.AsSpan(position - _bufferStart, _buffered - (position - _bufferStart));
    }
}
