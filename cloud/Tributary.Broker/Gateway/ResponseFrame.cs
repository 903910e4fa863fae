using System.Buffers;
using System.Buffers.Binary;
using System.IO.Pipelines;
using Tributary.Log;

namespace Tributary.Broker.Gateway;

/// <summary>
/// One response while it is made: fields are written into a buffer that is kept between responses, record batches are noted where they
/// belong and go from the log's memory straight into the pipe. Owns the reads that were put into it until it is sent or cleared. Used
/// by one thread at a time.
/// </summary>
internal sealed class ResponseFrame : IBufferWriter<byte>, IDisposable
{
    private const int InitialCapacity = 1024;
    private const int KeptCapacity = 256 << 10;
    private readonly List<(int Position, LogRead Read)> _splices = [];
    private byte[] _buffer = ArrayPool<byte>.Shared.Rent(InitialCapacity);
    private int _written;
    private long _spliced;

    /// <summary>Bytes of record batches in it.</summary>
    public long SplicedBytes => _spliced;

    /// <summary>Puts a read's bytes at the current position and takes the read over.</summary>
    public void Splice(LogRead read)
    {
        _splices.Add((_written, read));
        _spliced += read.Size;
    }

    /// <inheritdoc/>
    public void Advance(int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, _buffer.Length - _written);
        _written += count;
    }

    /// <inheritdoc/>
    public Memory<byte> GetMemory(int sizeHint = 0)
    {
        Reserve(sizeHint);
        return _buffer.AsMemory(_written);
    }

    /// <inheritdoc/>
    public Span<byte> GetSpan(int sizeHint = 0)
    {
        Reserve(sizeHint);
        return _buffer.AsSpan(_written);
    }

    /// <summary>Writes length and content to the pipe, without flushing it, and clears the frame.</summary>
    public void WriteTo(PipeWriter output)
    {
        long size = _written + _spliced;
        Span<byte> length = output.GetSpan(sizeof(int));
        BinaryPrimitives.WriteInt32BigEndian(length, checked((int)size));
        output.Advance(sizeof(int));
        int from = 0;
        foreach ((int position, LogRead read) in _splices)
        {
            output.Write(_buffer.AsSpan(from, position - from));
            foreach (ReadOnlyMemory<byte> piece in read.Bytes)
            {
                output.Write(piece.Span);
            }
            from = position;
        }
        output.Write(_buffer.AsSpan(from, _written - from));
        Clear();
    }

    /// <summary>Forgets what was written and gives reads back.</summary>
    public void Clear()
    {
        foreach ((_, LogRead read) in _splices)
        {
            read.Dispose();
        }
        _splices.Clear();
        _spliced = 0;
        _written = 0;
        if (_buffer.Length > KeptCapacity)
        {
            ArrayPool<byte>.Shared.Return(_buffer);
            _buffer = ArrayPool<byte>.Shared.Rent(InitialCapacity);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Clear();
        ArrayPool<byte>.Shared.Return(_buffer);
        _buffer = [];
    }

    private void Reserve(int sizeHint)
    {
        int needed = checked(_written + Math.Max(sizeHint, 1));
        if (needed <= _buffer.Length)
        {
            return;
        }
        byte[] larger = ArrayPool<byte>.Shared.Rent(Math.Max(needed, checked(2 * _buffer.Length)));
        _buffer.AsSpan(0, _written).CopyTo(larger);
        ArrayPool<byte>.Shared.Return(_buffer);
        _buffer = larger;
    }
}
