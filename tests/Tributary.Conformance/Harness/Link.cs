using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;

namespace Tributary.Conformance.Harness;

/// <summary>What becomes of bytes on a <see cref="Link"/>.</summary>
internal enum LinkState
{
    /// <summary>They pass.</summary>
    Up,

    /// <summary>Connections are reset, new ones too.</summary>
    Cut,

    /// <summary>Nothing arrives and nothing is refused, as behind a router that drops packets.</summary>
    Blackholed,
}

/// <summary>
/// A TCP link between edge and cloud that can be cut, blackholed and slowed down while it is used. Its own address stays; where it leads
/// can change, since a cloud that is started again has another port. Callable from any thread.
/// </summary>
internal sealed class Link : IAsyncDisposable
{
    private const int ChunkBytes = 64 << 10;
    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(10);
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _end = new();
    private readonly ConcurrentDictionary<Socket, bool> _open = new();
    private readonly Task _accepting;
    private volatile int _state;
    private volatile IPEndPoint? _target;
    private long _delayTicks;
    private long _passed;

    public Link()
    {
        _listener.Start();
        Address = (IPEndPoint)_listener.LocalEndpoint;
        _accepting = AcceptAsync();
    }

    /// <summary>Where to connect.</summary>
    public IPEndPoint Address { get; }

    /// <summary>Where it leads; null: nowhere, connections are reset.</summary>
    public IPEndPoint? Target
    {
        get => _target;
        set => _target = value;
    }

    /// <summary>Bytes that have passed, both ways.</summary>
    public long PassedBytes => Interlocked.Read(ref _passed);

    /// <summary>Each piece of up to 64 KiB takes so long.</summary>
    public TimeSpan Delay
    {
        get => TimeSpan.FromTicks(Interlocked.Read(ref _delayTicks));
        set => Interlocked.Exchange(ref _delayTicks, value.Ticks);
    }

    /// <summary>What becomes of bytes.</summary>
    public LinkState State
    {
        get => (LinkState)_state;
        set
        {
            _state = (int)value;
            if (value == LinkState.Cut)
            {
                Reset();
            }
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _end.CancelAsync();
        _listener.Dispose();
        await _accepting;
        Reset();
        _end.Dispose();
    }

    private static void Reset(Socket socket)
    {
        try
        {
            socket.LingerState = new LingerOption(true, 0);
            socket.Dispose();
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // it is gone already
        }
    }

    private void Reset()
    {
        foreach (Socket socket in _open.Keys)
        {
            Reset(socket);
        }
    }

    private async Task AcceptAsync()
    {
        while (!_end.IsCancellationRequested)
        {
            try
            {
                _ = ServeAsync(await _listener.AcceptSocketAsync(_end.Token));
            }
            catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
            {
                return;
            }
        }
    }

    private async Task ServeAsync(Socket near)
    {
        var far = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        near.NoDelay = true;
        _open[near] = true;
        _open[far] = true;
        try
        {
            await GateAsync();
            if (_target is not { } target)
            {
                return;
            }
            await far.ConnectAsync(target, _end.Token);
            Task there = PumpAsync(near, far);
            Task back = PumpAsync(far, near);
            await Task.WhenAny(there, back).Unwrap();
            await Task.WhenAll(there, back); // one side says no more: what the other still says passes
            near.Dispose();
            far.Dispose();
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or OperationCanceledException or IOException)
        {
            // one end is gone: so is the other
        }
        finally
        {
            Reset(near);
            Reset(far);
            _open.TryRemove(near, out _);
            _open.TryRemove(far, out _);
        }
    }

    private async Task PumpAsync(Socket from, Socket to)
    {
        byte[] chunk = new byte[ChunkBytes];
        while (true)
        {
            int read = await from.ReceiveAsync(chunk, _end.Token);
            await GateAsync();
            if (read == 0)
            {
                to.Shutdown(SocketShutdown.Send);
                return;
            }
            if (Delay is { Ticks: > 0 } delay)
            {
                await Task.Delay(delay, _end.Token);
            }
            for (int sent = 0; sent < read;)
            {
                sent += await to.SendAsync(chunk.AsMemory(sent, read - sent), _end.Token);
            }
            Interlocked.Add(ref _passed, read);
        }
    }

    /// <summary>Passes when the link is up; throws when it is cut.</summary>
    private async Task GateAsync()
    {
        while (State == LinkState.Blackholed)
        {
            await Task.Delay(Look, _end.Token);
        }
        if (State == LinkState.Cut)
        {
            throw new IOException("the link is cut");
        }
    }
}
