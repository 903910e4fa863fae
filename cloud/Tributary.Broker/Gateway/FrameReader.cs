using System.Buffers;
using System.Buffers.Binary;
using System.IO.Pipelines;

namespace Tributary.Broker.Gateway;

/// <summary>
/// Reads a connection's requests one by one. A request that lies in one piece in the pipe is handed out where it is; another is
/// gathered in a pooled buffer that grows with the bytes that have come, never with what the length field promises. Used by the
/// connection's reading loop alone, except <see cref="IsOverdue"/>.
/// </summary>
internal sealed class FrameReader(
    PipeReader input, BrokerOptions options, ByteBudget listenerBudget, TimeProvider time, BrokerMetrics metrics) : IDisposable
{
    private const int LengthSize = sizeof(int);
    private const int FirstBuffer = 64 << 10;
    private byte[]? _rented;
    private int _claimed;
    private SequencePosition? _consumed;
    private long _deadline = long.MaxValue;

    /// <summary>The request last read, without its length; valid until <see cref="Release"/>.</summary>
    public ReadOnlyMemory<byte> Frame { get; private set; }

    /// <summary>Whether a request has begun to arrive and takes too long. Callable from any thread.</summary>
    public bool IsOverdue(long timestamp) => timestamp > Interlocked.Read(ref _deadline);

    /// <summary>Reads the next request.</summary>
    /// <returns>False when the client has closed the connection between two requests.</returns>
    /// <exception cref="ConnectionRefusedException">The length can't be, or the connection ended within a request.</exception>
    public async ValueTask<bool> ReadAsync(CancellationToken cancellation)
    {
        while (true)
        {
            ReadResult read = await input.ReadAsync(cancellation);
            ReadOnlySequence<byte> bytes = read.Buffer;
            if (bytes.Length < LengthSize)
            {
                if (read.IsCompleted)
                {
                    return bytes.IsEmpty
                        ? false
                        : throw new ConnectionRefusedException(CloseReason.Broken, "the connection ended within a length field");
                }
                input.AdvanceTo(bytes.Start, bytes.End);
                continue;
            }
            int length = ReadLength(bytes);
            ReadOnlySequence<byte> rest = bytes.Slice(LengthSize);
            if (rest.Length >= length && rest.Slice(0, length) is { IsSingleSegment: true } whole)
            {
                Frame = whole.First;
                _consumed = whole.End;
                return true;
            }
            input.AdvanceTo(rest.Start);
            await GatherAsync(length, cancellation);
            return true;
        }
    }

    /// <summary>Gives the bytes of the last request back.</summary>
    public void Release()
    {
        Frame = default;
        if (_consumed is { } consumed)
        {
            input.AdvanceTo(consumed);
            _consumed = null;
        }
        if (_rented is not null)
        {
            ArrayPool<byte>.Shared.Return(_rented);
            _rented = null;
        }
        if (_claimed > 0)
        {
            listenerBudget.Release(_claimed);
            metrics.RequestMemory(-_claimed);
            _claimed = 0;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => Release();

    private int ReadLength(ReadOnlySequence<byte> bytes)
    {
        Span<byte> field = stackalloc byte[LengthSize];
        bytes.Slice(0, LengthSize).CopyTo(field);
        int length = BinaryPrimitives.ReadInt32BigEndian(field);
        if (length <= 0 || length > options.MaxFrameBytes)
        {
            throw new ConnectionRefusedException(
                CloseReason.FrameLength, $"a request says it has {length} bytes; 1 to {options.MaxFrameBytes} are possible");
        }
        return length;
    }

    private async ValueTask GatherAsync(int length, CancellationToken cancellation)
    {
        await listenerBudget.AcquireAsync(length, cancellation);
        _claimed = length;
        metrics.RequestMemory(length);
        TimeSpan allowed = options.FrameGrace + TimeSpan.FromSeconds((double)length / options.MinFrameBytesPerSecond);
        Interlocked.Exchange(ref _deadline, time.GetTimestamp() + (long)(allowed.TotalSeconds * time.TimestampFrequency));
        _rented = ArrayPool<byte>.Shared.Rent(Math.Min(length, FirstBuffer));
        int have = 0;
        while (have < length)
        {
            ReadResult read = await input.ReadAsync(cancellation);
            ReadOnlySequence<byte> bytes = read.Buffer;
            int take = (int)Math.Min(bytes.Length, length - have);
            if (take == 0 && read.IsCompleted)
            {
                throw new ConnectionRefusedException(CloseReason.Broken, $"the connection ended after {have} of a request's {length} bytes");
            }
            Grow(have, have + take, length);
            bytes.Slice(0, take).CopyTo(_rented.AsSpan(have));
            input.AdvanceTo(bytes.GetPosition(take));
            have += take;
        }
        Interlocked.Exchange(ref _deadline, long.MaxValue);
        Frame = _rented.AsMemory(0, length);
    }

    private void Grow(int used, int needed, int length)
    {
        byte[] current = _rented!;
        if (needed <= current.Length)
        {
            return;
        }
        byte[] larger = ArrayPool<byte>.Shared.Rent((int)Math.Min(length, Math.Max(needed, 2L * current.Length)));
        current.AsSpan(0, used).CopyTo(larger);
        _rented = larger;
        ArrayPool<byte>.Shared.Return(current);
    }
}

/// <summary>The connection is closed by the broker; the message says why.</summary>
internal sealed class ConnectionRefusedException(CloseReason reason, string message) : Exception(message)
{
    public CloseReason Reason { get; } = reason;
}
