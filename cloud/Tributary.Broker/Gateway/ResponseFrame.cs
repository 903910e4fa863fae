using System.Buffers;
using System.Buffers.Binary;
using System.IO.Pipelines;
using System.Runtime.CompilerServices;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Records;
using Tributary.Log;

namespace Tributary.Broker.Gateway;

/// <summary>
/// One response while it is made: fields are written into a buffer that is kept between responses, record batches are noted where they
/// belong and go from the log's memory straight into the pipe. Owns the reads that were put into it until it is sent or cleared. Used
/// by one thread at a time.
/// </summary>
internal sealed class ResponseFrame : IBufferWriter<byte>, IDisposable
{
    /// <summary>Most bytes that are kept between two responses: what a connection holds while nothing happens on it.</summary>
    public const int KeptBytes = 16 << 10;

    private const int InitialCapacity = 1024;

    /// <summary>Bytes that are written to the pipe before it is flushed: what a pipe holds at most of a large response.</summary>
    private const int FlushStep = 64 << 10;
    private readonly List<(int Position, LogRead Read)> _splices = [];
    private byte[] _buffer = ArrayPool<byte>.Shared.Rent(InitialCapacity);
    private int _written;
    private long _spliced;
    private ByteBudget? _budget;
    private long _charged;
    private int _checkAt = -1;

    /// <summary>Bytes of record batches in it.</summary>
    public long SplicedBytes => _spliced;

    /// <summary>Bytes of the whole response.</summary>
    public long Size => _written + _spliced;

    /// <summary>Puts a read's bytes at the current position and takes the read over.</summary>
    public void Splice(LogRead read)
    {
        _splices.Add((_written, read));
        _spliced += read.Size;
    }

    /// <summary>Takes over bytes that were claimed from a budget: they go back when the reads do.</summary>
    public void Charge(ByteBudget budget, long bytes)
    {
        if (_budget is not null)
        {
            throw new InvalidOperationException("a response is charged to one budget, once");
        }
        _budget = budget;
        _charged = bytes;
    }

    /// <summary>What was written last is an empty <see cref="FrameCheck"/>, which is filled in when all is written.</summary>
    public void HasCheck() => _checkAt = _written - FrameCheck.Size;

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

    /// <summary>
    /// Writes length and content of a response without record batches to the pipe, doesn't flush it, and clears the frame.
    /// </summary>
    public void WriteTo(PipeWriter output)
    {
        if (_splices.Count > 0)
        {
            throw new InvalidOperationException("a response with record batches is written piece by piece");
        }
        WriteLength(output);
        output.Write(_buffer.AsSpan(0, _written));
        Clear();
    }

    /// <summary>
    /// Writes length and content to the pipe and clears the frame. A large response is flushed piece by piece, so that a client that
    /// reads slowly holds the log's memory and not a copy of it beside. The last piece is not flushed.
    /// </summary>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    public async ValueTask WriteToAsync(PipeWriter output, Func<ValueTask> flush)
    {
        WriteLength(output);
        int unflushed = 0;
        int from = 0;
        foreach ((int position, LogRead read) in _splices)
        {
            output.Write(_buffer.AsSpan(from, position - from));
            unflushed += position - from;
            from = position;
            foreach (ReadOnlyMemory<byte> piece in read.Bytes)
            {
                for (int at = 0; at < piece.Length;)
                {
                    if (unflushed >= FlushStep)
                    {
                        await flush();
                        unflushed = 0;
                    }
                    int size = Math.Min(FlushStep - unflushed, piece.Length - at);
                    output.Write(piece.Span.Slice(at, size));
                    unflushed += size;
                    at += size;
                }
            }
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
        _budget?.Release(_charged);
        _budget = null;
        _charged = 0;
        _spliced = 0;
        _written = 0;
        _checkAt = -1;
        if (_buffer.Length > KeptBytes)
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

    private void WriteLength(PipeWriter output)
    {
        if (_checkAt >= 0)
        {
            BinaryPrimitives.WriteUInt32BigEndian(_buffer.AsSpan(_checkAt), Checksum());
        }
        BinaryPrimitives.WriteInt32BigEndian(output.GetSpan(sizeof(int)), checked((int)(_written + _spliced)));
        output.Advance(sizeof(int));
    }

    private uint Checksum()
    {
        uint crc = 0;
        int from = 0;
        foreach ((int position, LogRead read) in _splices)
        {
            crc = Crc32C.Append(crc, _buffer.AsSpan(from, position - from));
            from = position;
            foreach (ReadOnlyMemory<byte> piece in read.Bytes)
            {
                crc = Crc32C.Append(crc, piece.Span);
            }
        }
        return Crc32C.Append(crc, _buffer.AsSpan(from, _written - from));
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
