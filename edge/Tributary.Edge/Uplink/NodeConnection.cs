using System.Buffers;
using System.Buffers.Binary;
using System.IO.Pipelines;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Threading.Channels;
using Tributary.Edge.Uplink.Security;

namespace Tributary.Edge.Uplink;

/// <summary>
/// One TCP connection to a node, with TLS or without, as frames of Kafka's protocol: an int32 length, then an int32 correlation id in
/// responses. Requests are pipelined; a node answers in the order of the requests, so the oldest one waiting gets the next frame, and a
/// frame with another id ends the connection. Callable from any thread; requests are sent in the order of the calls, but for those that are
/// held while the connection is authenticated again. Once it has failed it stays so.
/// </summary>
internal sealed class NodeConnection : IAsyncDisposable
{
    /// <summary>Requests that may wait for their answer.</summary>
    public const int MaxPending = 4096;

    /// <summary>Addresses of a name that are tried, in the order of the resolver.</summary>
    private const int MaxAddresses = 8;

    private const int LengthSize = sizeof(int);
    private static readonly string TooMany = $"more than {MaxPending} requests wait for the connection";
    private const int TcpInfo = 11;

    /// <summary>Place of <c>tcpi_bytes_acked</c> (Linux 4.1 and later).</summary>
    private const int BytesAckedAt = 120;

    private readonly Socket _socket;
    private readonly TimeProvider _time;
    private readonly int _maxResponseBytes;
    private readonly Channel<RequestFrame> _outgoing = Channel.CreateBounded<RequestFrame>(
        new BoundedChannelOptions(MaxPending) { SingleReader = true });

    private readonly SslStream? _tls;
    private readonly Queue<Pending> _pending = new();
    private readonly Queue<(RequestFrame Frame, Pending Pending)> _held = new();
    private readonly Lock _lock = new();
    private Task _loops = Task.CompletedTask;
    private string? _failure;
    private string? _hint;
    private bool _isHolding;
    private long _enqueued;

    private NodeConnection(Socket socket, SslStream? tls, int maxResponseBytes, TimeProvider time)
    {
        _socket = socket;
        _tls = tls;
        _time = time;
        _maxResponseBytes = maxResponseBytes;
    }

    /// <summary>Why the connection is gone, null while it stands.</summary>
    public string? Failure
    {
        get
        {
            lock (_lock)
            {
                return _failure;
            }
        }
    }

    /// <summary>Completes when the connection is gone.</summary>
    public Task Ended => _loops;

    /// <summary>Connects, and begins TLS if that is set.</summary>
    /// <param name="endpoint">Where.</param>
    /// <param name="tls">Begins TLS; null for a connection without.</param>
    /// <param name="options">Settings.</param>
    /// <param name="time">All time.</param>
    /// <param name="cancellation">Ends the wait.</param>
    /// <exception cref="CloudException">It could not be done within the time for it; the message says what to set.</exception>
    public static async Task<NodeConnection> ConnectAsync(
        NodeEndpoint endpoint, TlsClient? tls, UplinkOptions options, TimeProvider time, CancellationToken cancellation)
    {
        Socket? socket = null;
        SslStream? encrypted = null;
        using var timer = new CancellationTokenSource(options.ConnectTimeout, time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(timer.Token, cancellation);
        try
        {
            socket = await ConnectSocketAsync(endpoint, options.ConnectTimeout, time, both.Token);
            if (tls is not null)
            {
                encrypted = await tls.HandshakeAsync(new FirstBytesStream(new NetworkStream(socket, ownsSocket: false)), endpoint, both.Token);
            }
        }
        catch (Exception e)
        {
            socket?.Dispose();
            cancellation.ThrowIfCancellationRequested();
            throw e switch
            {
                OperationCanceledException when socket is not null => new CloudException(
                    $"the TLS handshake with {endpoint} took more than {options.ConnectTimeout.TotalSeconds:0.#} s: its port may be one without TLS (setting uplink:tls:enabled)", e),
                OperationCanceledException or TimeoutException => new CloudUnreachableException(
                    $"can't connect to {endpoint} within {options.ConnectTimeout.TotalSeconds:0.#} s", e),
                SocketException { SocketErrorCode: SocketError.HostNotFound or SocketError.TryAgain or SocketError.NoData } => new CloudUnreachableException(
                    $"can't connect to {endpoint}: the name {endpoint.Host} can't be resolved ({e.Message})", e),
                CloudException => e,
                _ when socket is null => new CloudUnreachableException($"can't connect to {endpoint}: {e.Message}", e),
                _ => new CloudException($"can't connect to {endpoint}: {e.Message}", e), // whatever it is, it is tried again
            };
        }
        var connection = new NodeConnection(socket, encrypted, options.MaxResponseBytes, time)
        {
            _hint = encrypted is null
                ? " before it answered anything: it may not be a Kafka listener, or one with TLS (setting uplink:tls:enabled)"
                : " before it answered anything: it may want a certificate of the agent, or not accept that one (setting uplink:tls:certificateFile)",
        };
        connection._loops = connection.RunAsync();
        return connection;
    }

    /// <summary>
    /// Tries the addresses of a name one after the other, each for its part of the time that is left: one that swallows everything must not
    /// take it all, or the next one is never tried.
    /// </summary>
    private static async Task<Socket> ConnectSocketAsync(NodeEndpoint endpoint, TimeSpan timeout, TimeProvider time, CancellationToken cancellation)
    {
        long begun = time.GetTimestamp();
        IPAddress[] all = IPAddress.TryParse(endpoint.Host, out IPAddress? address) ? [address] : await Dns.GetHostAddressesAsync(endpoint.Host, cancellation);
        IPAddress[] addresses = all.Length > MaxAddresses ? all[..MaxAddresses] : all;
        for (int i = 0; ; i++)
        {
            bool isLast = i >= addresses.Length - 1;
            TimeSpan part = (timeout - time.GetElapsedTime(begun)) / Math.Max(1, addresses.Length - i);
            var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
            using var timer = new CancellationTokenSource(isLast || part < TimeSpan.Zero ? Timeout.InfiniteTimeSpan : part, time);
            using var both = CancellationTokenSource.CreateLinkedTokenSource(timer.Token, cancellation);
            try
            {
                KeepAlive(socket);
                await socket.ConnectAsync(addresses.Length == 0 ? throw new SocketException((int)SocketError.HostNotFound) : addresses[i], endpoint.Port, both.Token);
                return socket;
            }
            catch (Exception e) when (!isLast && !cancellation.IsCancellationRequested && e is SocketException or OperationCanceledException)
            {
                socket.Dispose();
            }
            catch
            {
                socket.Dispose();
                throw;
            }
        }
    }

    /// <summary>What lies between forgets connections that are silent for minutes, and rarely says so: they are kept in use, or found out.</summary>
    private static void KeepAlive(Socket socket)
    {
        socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime, 60);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveInterval, 10);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveRetryCount, 3);
    }

    /// <summary>Adds what it means if the node closes the connection before its next answer.</summary>
    public void ExplainClose(string hint)
    {
        lock (_lock)
        {
            _hint = hint;
        }
    }

    /// <summary>
    /// From now on only urgent requests are sent, and the others wait: between the messages of an authentication there may be none.
    /// </summary>
    public void Hold()
    {
        lock (_lock)
        {
            _isHolding = true;
        }
    }

    /// <summary>Sends what waited, in its order, and from now on all requests again.</summary>
    public void Release()
    {
        lock (_lock)
        {
            _isHolding = false;
            while (_failure is null && _held.TryDequeue(out (RequestFrame Frame, Pending Pending) held))
            {
                if (_outgoing.Writer.TryWrite(held.Frame))
                {
                    Expect(held.Pending);
                }
                else
                {
                    held.Frame.Dispose();
                    held.Pending.Answer.TrySetException(new CloudException(TooMany));
                }
            }
        }
    }

    /// <summary>Sends a frame, which it takes over, and gives the response's bytes from behind the correlation id.</summary>
    /// <exception cref="CloudException">The connection is lost, or no answer came within <paramref name="timeout"/>, which ends it; while the
    /// other side's system still takes bytes of the request the time begins anew, as a large one on a slow link needs long.</exception>
    public async Task<ReadOnlyMemory<byte>> RequestAsync(RequestFrame frame, int correlationId, TimeSpan timeout, bool isUrgent = false)
    {
        var pending = new Pending(correlationId, frame.Size);
        string? refused;
        lock (_lock)
        {
            refused = _failure ?? Enqueue(frame, pending, isUrgent);
        }
        if (refused is not null)
        {
            frame.Dispose();
            throw new CloudException(refused);
        }
        for (long taken = BytesTaken(); ;)
        {
            try
            {
                return await pending.Answer.Task.WaitAsync(timeout, _time).ConfigureAwait(false);
            }
            catch (TimeoutException)
            {
                long before = taken;
                taken = BytesTaken();
                if (taken > before && before < pending.EndsAt)
                {
                    continue;
                }
                string reason = $"no answer within {timeout.TotalSeconds:0.#} s";
                Drop(reason);
                throw new CloudException(reason);
            }
        }
    }

    /// <summary>Bytes of the connection that the other side's system has acknowledged (Linux, <c>tcp_info</c>); −1 if that can't be told.</summary>
    private long BytesTaken()
    {
        Span<byte> info = stackalloc byte[BytesAckedAt + sizeof(long)];
        try
        {
            return _socket.GetRawSocketOption((int)SocketOptionLevel.Tcp, TcpInfo, info) == info.Length
                ? BitConverter.ToInt64(info[BytesAckedAt..])
                : -1;
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or PlatformNotSupportedException)
        {
            return -1;
        }
    }

    /// <summary>Closes the connection and fails all requests that wait.</summary>
    public void Drop(string reason)
    {
        Pending[] waiting;
        RequestFrame[] unsent;
        lock (_lock)
        {
            if (_failure is not null)
            {
                return;
            }
            _failure = reason;
            waiting = [.. _pending, .. _held.Select(held => held.Pending)];
            unsent = [.. _held.Select(held => held.Frame)];
            _pending.Clear();
            _held.Clear();
        }
        _outgoing.Writer.TryComplete();
        _socket.Dispose();
        Array.ForEach(unsent, frame => frame.Dispose());
        foreach (Pending pending in waiting)
        {
            pending.Answer.TrySetException(new CloudException(reason));
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        Drop("closed");
        await _loops;
    }

    /// <returns>Why it was not taken, null if it was.</returns>
    private string? Enqueue(RequestFrame frame, Pending pending, bool isUrgent)
    {
        if (_isHolding && !isUrgent)
        {
            if (_held.Count >= MaxPending)
            {
                return TooMany;
            }
            _held.Enqueue((frame, pending));
            return null;
        }
        if (!_outgoing.Writer.TryWrite(frame))
        {
            return TooMany;
        }
        Expect(pending);
        return null;
    }

    private void Expect(Pending pending)
    {
        _enqueued += pending.Size;
        pending.EndsAt = _enqueued;
        _pending.Enqueue(pending);
    }

    private async Task RunAsync()
    {
        await Task.WhenAll(Task.Run(WriteAsync), Task.Run(ReadAsync));
        if (_tls is not null)
        {
            await _tls.DisposeAsync();
        }
    }

    private async Task WriteAsync()
    {
        try
        {
            await foreach (RequestFrame frame in _outgoing.Reader.ReadAllAsync())
            {
                using (frame)
                {
                    await SendAsync(frame.Pieces);
                }
            }
        }
        catch (Exception e) when (e is IOException or SocketException or InvalidOperationException or AuthenticationException)
        {
            Drop($"{(e.InnerException ?? e).Message}{Hint()}");
        }
        finally
        {
            while (_outgoing.Reader.TryRead(out RequestFrame? frame))
            {
                frame.Dispose();
            }
        }
    }

    private async ValueTask SendAsync(List<ArraySegment<byte>> pieces)
    {
        if (_tls is { } tls)
        {
            foreach (ArraySegment<byte> piece in pieces)
            {
                await tls.WriteAsync(piece);
            }
            return;
        }
        while (pieces.Count > 0)
        {
            int sent = await _socket.SendAsync(pieces, SocketFlags.None);
            int whole = 0;
            while (whole < pieces.Count && sent >= pieces[whole].Count)
            {
                sent -= pieces[whole++].Count;
            }
            pieces.RemoveRange(0, whole);
            if (sent > 0)
            {
                pieces[0] = pieces[0][sent..];
            }
        }
    }

    private async Task ReadAsync()
    {
        PipeReader reader = PipeReader.Create(_tls ?? (Stream)new NetworkStream(_socket, ownsSocket: false));
        try
        {
            while (await ReadFrameAsync(reader))
            {
            }
            Drop($"the node closed the connection{Hint()}");
        }
        catch (CloudException e)
        {
            Drop(e.Message);
        }
        catch (Exception e) when (e is IOException or SocketException or InvalidOperationException or AuthenticationException)
        {
            Drop($"{(e.InnerException ?? e).Message}{Hint()}");
        }
        finally
        {
            await reader.CompleteAsync();
        }
    }

    private async ValueTask<bool> ReadFrameAsync(PipeReader reader)
    {
        ReadResult read = await reader.ReadAtLeastAsync(LengthSize);
        if (read.Buffer.Length < LengthSize)
        {
            return false;
        }
        int length = ReadInt32(read.Buffer);
        if (length < sizeof(int) || length > _maxResponseBytes)
        {
            byte[] first = read.Buffer.Slice(0, Math.Min(read.Buffer.Length, OtherProtocol.Bytes)).ToArray();
            throw new CloudException(
                OtherProtocol.Explain(first, isTls: false) ?? $"the node sent a frame of {length} bytes; 4 to {_maxResponseBytes} are accepted");
        }
        reader.AdvanceTo(read.Buffer.Start);
        read = await reader.ReadAtLeastAsync(LengthSize + length);
        if (read.Buffer.Length < LengthSize + length)
        {
            return false;
        }
        ReadOnlySequence<byte> body = read.Buffer.Slice(LengthSize, length);
        int correlationId = ReadInt32(body);
        byte[] answer = body.Slice(sizeof(int)).ToArray();
        reader.AdvanceTo(body.End);
        Complete(correlationId, answer);
        return true;
    }

    private void Complete(int correlationId, byte[] answer)
    {
        Pending? oldest;
        lock (_lock)
        {
            if (!_pending.TryPeek(out oldest))
            {
                throw new CloudException("the node answered what was not asked");
            }
            if (oldest.CorrelationId != correlationId)
            {
                // Whoever waits hears of it when nobody can ask this connection any more.
                throw new CloudException($"the node answered request {correlationId} before {oldest.CorrelationId}");
            }
            _pending.Dequeue();
            _hint = null;
        }
        oldest.Answer.TrySetResult(answer);
    }

    private string? Hint()
    {
        lock (_lock)
        {
            return _pending.Count > 0 ? _hint : null; // a node may close a connection that nobody uses
        }
    }

    private static int ReadInt32(ReadOnlySequence<byte> bytes)
    {
        Span<byte> four = stackalloc byte[sizeof(int)];
        bytes.Slice(0, sizeof(int)).CopyTo(four);
        return BinaryPrimitives.ReadInt32BigEndian(four);
    }

    private sealed class Pending(int correlationId, int size)
    {
        public int CorrelationId { get; } = correlationId;

        public int Size { get; } = size;

        /// <summary>Where it ends among the bytes of the connection; without those that TLS adds.</summary>
        public long EndsAt { get => Volatile.Read(ref field); set => Volatile.Write(ref field, value); } = long.MaxValue;

        public TaskCompletionSource<ReadOnlyMemory<byte>> Answer { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
