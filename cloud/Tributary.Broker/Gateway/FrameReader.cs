using System.Buffers;
using System.Buffers.Binary;
using System.IO.Pipelines;
using System.Runtime.CompilerServices;

namespace Tributary.Broker.Gateway;

/// <summary>
/// Reads a connection's requests one by one. A request that lies in one piece in the pipe is handed out where it is; another is
/// gathered in a pooled buffer. Buffer and claim on the listener's memory grow with the bytes that have come, never with what the length
/// field promises. Used by the connection's reading loop alone, except <see cref="Overdue"/> and <see cref="IsArriving"/>.
/// </summary>
internal sealed class FrameReader : IDisposable
{
    private const int LengthSize = sizeof(int);
    private const int FirstBuffer = 64 << 10;
    private readonly PipeReader _input;
    private readonly BrokerOptions _options;
    private readonly RequestMemory _memory;
    private readonly TimeProvider _time;
    private byte[]? _rented;
    private int _claimed;
    private SequencePosition? _consumed;
    private long _deadline;
    private long _memoryDeadline = long.MaxValue;

    /// <summary>Begins to wait for the first request, which has to come soon.</summary>
    public FrameReader(PipeReader input, BrokerOptions options, RequestMemory memory, TimeProvider time)
    {
        _input = input;
        _options = options;
        _memory = memory;
        _time = time;
        _deadline = After(options.FrameGrace);
    }

    /// <summary>The request last read, without its length; valid until <see cref="Release"/>.</summary>
    public ReadOnlyMemory<byte> Frame { get; private set; }

    /// <summary>Whether a request has begun to arrive, or the first one is awaited. Callable from any thread.</summary>
    public bool IsArriving => Interlocked.Read(ref _deadline) != long.MaxValue;

    /// <summary>
    /// Why the request that is to come, or has come in part, isn't waited for any more; null if it is. Callable from any thread.
    /// </summary>
    public CloseReason? Overdue(long timestamp) =>
        timestamp > Interlocked.Read(ref _deadline) ? CloseReason.FrameTimeout
        : timestamp > Interlocked.Read(ref _memoryDeadline) ? CloseReason.RequestMemory
        : null;

    /// <summary>Reads the next request.</summary>
    /// <returns>False when the client has closed the connection between two requests.</returns>
    /// <exception cref="ConnectionRefusedException">The length can't be, or the connection ended within a request.</exception>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    public async ValueTask<bool> ReadAsync(CancellationToken cancellation)
    {
        while (true)
        {
            ReadResult read = await _input.ReadAsync(cancellation);
            ReadOnlySequence<byte> bytes = read.Buffer;
            if (bytes.Length < LengthSize)
            {
                if (read.IsCompleted)
                {
                    return bytes.IsEmpty
                        ? false
                        : throw new ConnectionRefusedException(CloseReason.Broken, "the connection ended within a length field");
                }
                if (!bytes.IsEmpty && !IsArriving)
                {
                    Interlocked.Exchange(ref _deadline, After(_options.FrameGrace));
                }
                _input.AdvanceTo(bytes.Start, bytes.End);
                continue;
            }
            int length = ReadLength(bytes);
            ReadOnlySequence<byte> rest = bytes.Slice(LengthSize);
            if (rest.Length >= length && rest.Slice(0, length) is { IsSingleSegment: true } whole)
            {
                Frame = whole.First;
                _consumed = whole.End;
                Interlocked.Exchange(ref _deadline, long.MaxValue);
                return true;
            }
            _input.AdvanceTo(rest.Start);
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
            _input.AdvanceTo(consumed);
            _consumed = null;
        }
        if (_rented is not null)
        {
            ArrayPool<byte>.Shared.Return(_rented);
            _rented = null;
        }
        _memory.Release(_claimed);
        _claimed = 0;
    }

    /// <inheritdoc/>
    public void Dispose() => Release();

    private int ReadLength(ReadOnlySequence<byte> bytes)
    {
        Span<byte> field = stackalloc byte[LengthSize];
        bytes.Slice(0, LengthSize).CopyTo(field);
        int length = BinaryPrimitives.ReadInt32BigEndian(field);
        if (length <= 0 || length > _options.MaxFrameBytes)
        {
            throw new ConnectionRefusedException(
                CloseReason.FrameLength, $"a request says it has {length} bytes; 1 to {_options.MaxFrameBytes} are possible");
        }
        return length;
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask GatherAsync(int length, CancellationToken cancellation)
    {
        // Whoever waits here holds nothing but the few bytes in the pipe, and isn't late by it.
        Interlocked.Exchange(ref _deadline, long.MaxValue);
        int first = Math.Min(length, FirstBuffer);
        await _memory.AcquireAsync(first, cancellation);
        _claimed = first;
        Interlocked.Exchange(ref _deadline, After(_options.TransferLimit(length)));
        _rented = ArrayPool<byte>.Shared.Rent(first);
        int have = 0;
        while (have < length)
        {
            ReadResult read = await _input.ReadAsync(cancellation);
            ReadOnlySequence<byte> bytes = read.Buffer;
            int take = (int)Math.Min(bytes.Length, length - have);
            if (take == 0 && read.IsCompleted)
            {
                throw new ConnectionRefusedException(
                    CloseReason.Broken, $"the connection ended after {have} of a request's {length} bytes");
            }
            if (have + take > _claimed)
            {
                await GrowAsync(have, have + take, length, cancellation);
            }
            bytes.Slice(0, take).CopyTo(_rented.AsSpan(have));
            _input.AdvanceTo(bytes.GetPosition(take));
            have += take;
        }
        Interlocked.Exchange(ref _deadline, long.MaxValue);
        Frame = _rented.AsMemory(0, length);
    }

    /// <summary>
    /// Doubles buffer and claim. A request that is partly there and waits for memory holds what it has, and so might all others: after
    /// the grace its connection is closed.
    /// </summary>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask GrowAsync(int used, int needed, int length, CancellationToken cancellation)
    {
        int size = (int)Math.Min(length, Math.Max(needed, 2L * _claimed));
        Interlocked.Exchange(ref _memoryDeadline, After(_options.FrameGrace));
        await _memory.GrowAsync(_claimed, size, cancellation);
        Interlocked.Exchange(ref _memoryDeadline, long.MaxValue);
        _claimed = size;
        byte[] larger = ArrayPool<byte>.Shared.Rent(size);
        _rented.AsSpan(0, used).CopyTo(larger);
        ArrayPool<byte>.Shared.Return(_rented!);
        _rented = larger;
    }

    private long After(TimeSpan limit) => _time.GetTimestamp() + (long)(limit.TotalSeconds * _time.TimestampFrequency);
}

/// <summary>The connection is closed by the broker; the message says why.</summary>
internal sealed class ConnectionRefusedException(CloseReason reason, string message) : Exception(message)
{
    public CloseReason Reason { get; } = reason;
}
