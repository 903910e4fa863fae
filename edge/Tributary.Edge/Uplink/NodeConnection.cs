using System.Buffers;
using System.Buffers.Binary;
using System.IO.Pipelines;
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

    private const int LengthSize = sizeof(int);
    private static readonly string TooMany = $"more than {MaxPending} requests wait for the connection";
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
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        SslStream? encrypted = null;
        using var timer = new CancellationTokenSource(options.ConnectTimeout, time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(timer.Token, cancellation);
        bool isConnected = false;
        try
        {
            socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
            await socket.ConnectAsync(endpoint.Host, endpoint.Port, both.Token);
            isConnected = true;
            if (tls is not null)
            {
                encrypted = await tls.HandshakeAsync(new FirstBytesStream(new NetworkStream(socket, ownsSocket: false)), endpoint, both.Token);
            }
        }
        catch (Exception e)
        {
            socket.Dispose();
            cancellation.ThrowIfCancellationRequested();
            throw e switch
            {
                OperationCanceledException when isConnected => new CloudException(
                    $"the TLS handshake with {endpoint} took more than {options.ConnectTimeout.TotalSeconds:0.#} s: its port may be one without TLS (setting uplink:tls:enabled)", e),
                OperationCanceledException => new CloudException($"can't connect to {endpoint} within {options.ConnectTimeout.TotalSeconds:0.#} s", e),
                SocketException { SocketErrorCode: SocketError.HostNotFound or SocketError.TryAgain or SocketError.NoData } => new CloudException(
                    $"can't connect to {endpoint}: the name {endpoint.Host} can't be resolved ({e.Message})", e),
                CloudException => e,
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
                    _pending.Enqueue(held.Pending);
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
    /// <exception cref="CloudException">The connection is lost, or no answer came within <paramref name="timeout"/>, which ends
    /// it.</exception>
    public async Task<ReadOnlyMemory<byte>> RequestAsync(RequestFrame frame, int correlationId, TimeSpan timeout, bool isUrgent = false)
    {
        var pending = new Pending(correlationId);
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
        try
        {
            return await pending.Answer.Task.WaitAsync(timeout, _time).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            string reason = $"no answer within {timeout.TotalSeconds:0.#} s";
            Drop(reason);
            throw new CloudException(reason);
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
        _pending.Enqueue(pending);
        return null;
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
            Drop(e.Message);
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
            return _hint;
        }
    }

    private static int ReadInt32(ReadOnlySequence<byte> bytes)
    {
        Span<byte> four = stackalloc byte[sizeof(int)];
        bytes.Slice(0, sizeof(int)).CopyTo(four);
        return BinaryPrimitives.ReadInt32BigEndian(four);
    }

    private sealed class Pending(int correlationId)
    {
        public int CorrelationId { get; } = correlationId;

        public TaskCompletionSource<ReadOnlyMemory<byte>> Answer { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
