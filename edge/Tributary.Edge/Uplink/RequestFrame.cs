using System.Buffers;
using System.Buffers.Binary;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Records;

namespace Tributary.Edge.Uplink;

/// <summary>
/// A request as it goes over the connection: int32 length, header, body. What the message writes lies in small pooled pieces; batches are
/// taken over as they are, without a copy. It owns all its memory until <see cref="Dispose"/>. One thread at a time.
/// </summary>
internal sealed class RequestFrame : IBufferWriter<byte>, IDisposable
{
    private const int LengthSize = sizeof(int);
    private const int PieceSize = 1024;
    private readonly List<ArraySegment<byte>> _pieces = [];
    private readonly List<byte[]> _pooled = [];
    private byte[] _current = [];
    private int _pieceStart;
    private int _written;
    private int _total;

    private RequestFrame()
    {
    }

    /// <summary>Bytes, the length field included.</summary>
    public int Size => _total;

    /// <summary>The bytes in their order; a sender may take away from the list what is sent.</summary>
    public List<ArraySegment<byte>> Pieces => _pieces;

    /// <summary>Makes the frame of a request, with a <see cref="FrameCheck"/> if its version has tagged fields.</summary>
    /// <exception cref="InvalidOperationException">The request can't be written in this version.</exception>
    public static RequestFrame Of<TRequest>(TRequest request, short version, int correlationId, string clientId)
        where TRequest : IKafkaMessage<TRequest>
    {
        var frame = new RequestFrame();
        try
        {
            var writer = new KafkaWriter(frame);
            writer.WriteInt32(0);
            bool isChecked = TRequest.Api.IsFlexible(version);
            new RequestHeader(TRequest.Api.Key, version, correlationId, clientId).Write(ref writer, isChecked, isChecked);
            frame.EndPiece();
            ArraySegment<byte> check = isChecked ? frame._pieces[^1][^FrameCheck.Size..] : default;
            request.Write(ref writer, version);
            frame.EndPiece();
            if (isChecked)
            {
                BinaryPrimitives.WriteUInt32BigEndian(check, frame.Checksum());
            }
            BinaryPrimitives.WriteInt32BigEndian(frame._pieces[0], frame._total - LengthSize);
            return frame;
        }
        catch
        {
            frame.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Takes over <paramref name="pooled"/>, which holds <paramref name="size"/> bytes of records and goes back to the pool with this.
    /// </summary>
    public void TakeOver(byte[] pooled, int size)
    {
        EndPiece();
        _pooled.Add(pooled);
        _pieces.Add(new ArraySegment<byte>(pooled, 0, size));
        _total = checked(_total + size);
    }

    /// <inheritdoc/>
    public void Advance(int count)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)count, (uint)(_current.Length - _written));
        _written += count;
        _total = checked(_total + count);
    }

    /// <inheritdoc/>
    public Memory<byte> GetMemory(int sizeHint = 0)
    {
        Reserve(sizeHint);
        return _current.AsMemory(_written);
    }

    /// <inheritdoc/>
    public Span<byte> GetSpan(int sizeHint = 0)
    {
        Reserve(sizeHint);
        return _current.AsSpan(_written);
    }

    /// <summary>Gives all memory back.</summary>
    public void Dispose()
    {
        foreach (byte[] pooled in _pooled)
        {
            ArrayPool<byte>.Shared.Return(pooled);
        }
        _pooled.Clear();
        _pieces.Clear();
        _current = [];
        _pieceStart = _written = 0;
    }

    /// <summary>Of all but the length.</summary>
    private uint Checksum()
    {
        uint crc = 0;
        int from = LengthSize;
        foreach (ArraySegment<byte> piece in _pieces)
        {
            crc = Crc32C.Append(crc, piece.AsSpan(from));
            from = 0;
        }
        return crc;
    }

    private void Reserve(int size)
    {
        if (_current.Length - _written >= Math.Max(size, 1))
        {
            return;
        }
        EndPiece();
        _current = ArrayPool<byte>.Shared.Rent(Math.Max(size, PieceSize));
        _pooled.Add(_current);
        _pieceStart = _written = 0;
    }

    private void EndPiece()
    {
        if (_written > _pieceStart)
        {
            _pieces.Add(new ArraySegment<byte>(_current, _pieceStart, _written - _pieceStart));
            _pieceStart = _written;
        }
    }
}

/// <summary>The bytes of a batch, which the frame of the request takes over.</summary>
internal sealed class BatchRecords(RoundBatch batch) : RecordsSource
{
    /// <inheritdoc/>
    public override int Size => batch.Size;

    /// <inheritdoc/>
    public override void WriteTo(IBufferWriter<byte> output)
    {
        if (output is RequestFrame frame)
        {
            frame.TakeOver(batch.TakeBytes(), batch.Size);
        }
        else
        {
            output.Write(batch.Bytes.Span);
        }
    }
}
