using System.Buffers;
using System.Buffers.Binary;
using System.IO.Pipelines;
using System.Net.Sockets;
using System.Threading.Channels;

namespace Tributary.Edge.Uplink;

/// <summary>
/// One TCP connection to a node, as frames of Kafka's protocol: an int32 length, then an int32 correlation id in responses. Requests are
/// pipelined; a node answers in the order of the requests, so the oldest one waiting gets the next frame, and a frame with another id ends
/// the connection. Callable from any thread; requests are sent in the order of the calls. Once it has failed it stays so.
/// </summary>
internal sealed class NodeConnection : IAsyncDisposable
{
    /// <summary>Requests that may wait for their answer.</summary>
    public const int MaxPending = 4096;

    private const int LengthSize = sizeof(int);
    private readonly Socket _socket;
    private readonly TimeProvider _time;
    private readonly int _maxResponseBytes;
    private readonly Channel<RequestFrame> _outgoing = Channel.CreateBounded<RequestFrame>(
        new BoundedChannelOptions(MaxPending) { SingleReader = true });

    private readonly Queue<Pending> _pending = new();
    private readonly Lock _lock = new();
    private Task _loops = Task.CompletedTask;
    private string? _failure;

    private NodeConnection(Socket socket, int maxResponseBytes, TimeProvider time)
    {
        _socket = socket;
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

    /// <summary>Connects.</summary>
    /// <exception cref="CloudException">It could not be done within <paramref name="timeout"/>.</exception>
    public static async Task<NodeConnection> ConnectAsync(
        string host, int port, TimeSpan timeout, int maxResponseBytes, TimeProvider time, CancellationToken cancellation)
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        using var timer = new CancellationTokenSource(timeout, time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(timer.Token, cancellation);
        try
        {
            socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
            await socket.ConnectAsync(host, port, both.Token);
        }
        catch (Exception e) when (e is SocketException or OperationCanceledException or ArgumentException)
        {
            socket.Dispose();
            cancellation.ThrowIfCancellationRequested();
            throw new CloudException(
                e is not OperationCanceledException
                    ? $"can't connect to {host}:{port}: {e.Message}"
                    : $"can't connect to {host}:{port} within {timeout.TotalSeconds:0.#} s",
                e);
        }
        var connection = new NodeConnection(socket, maxResponseBytes, time);
        connection._loops = Task.WhenAll(
            Task.Run(connection.WriteAsync, CancellationToken.None), Task.Run(connection.ReadAsync, CancellationToken.None));
        return connection;
    }

    /// <summary>Sends a frame, which it takes over, and gives the response's bytes from behind the correlation id.</summary>
    /// <exception cref="CloudException">The connection is lost, or no answer came within <paramref name="timeout"/>, which ends
    /// it.</exception>
    public async Task<ReadOnlyMemory<byte>> RequestAsync(RequestFrame frame, int correlationId, TimeSpan timeout)
    {
        var pending = new Pending(correlationId);
        string? refused;
        lock (_lock)
        {
            refused = _failure;
            if (refused is null && !_outgoing.Writer.TryWrite(frame))
            {
                refused = $"more than {MaxPending} requests wait for the connection";
            }
            if (refused is null)
            {
                _pending.Enqueue(pending);
            }
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
        lock (_lock)
        {
            if (_failure is not null)
            {
                return;
            }
            _failure = reason;
            waiting = [.. _pending];
            _pending.Clear();
        }
        _outgoing.Writer.TryComplete();
        _socket.Dispose();
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
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
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
        PipeReader reader = PipeReader.Create(new NetworkStream(_socket, ownsSocket: false));
        try
        {
            while (await ReadFrameAsync(reader))
            {
            }
            Drop("the node closed the connection");
        }
        catch (Exception e) when (e is IOException or SocketException or ObjectDisposedException)
        {
            Drop(e.Message);
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
            throw new CloudException($"the node sent a frame of {length} bytes; 4 to {_maxResponseBytes} are accepted");
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
        }
        oldest.Answer.TrySetResult(answer);
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
