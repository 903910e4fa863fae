using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Threading.Channels;

namespace Tributary.Tests.Edge.Support;

/// <summary>What a <see cref="BadLink"/> does to bytes beside delaying and throttling them.</summary>
internal enum LinkFault
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>Nothing arrives, either way.</summary>
    Silence,

    /// <summary>Nothing arrives from the far end.</summary>
    NoAnswers,

    /// <summary>Nothing arrives at the far end.</summary>
    NoRequests,

    /// <summary>Now and then a byte arrives as another one.</summary>
    Damage,
}

/// <summary>
/// A TCP proxy that is a bad link: one rate for all connections towards the far end, a delay each way, and faults. What it has taken it
/// still delivers when the near end has hung up, as a network does, unless it is reset. Callable from any thread.
/// </summary>
internal sealed class BadLink : IAsyncDisposable
{
    private const int ChunkBytes = 2048;
    private const int MostChunks = 1024;
    private const int DamagedOneIn = 20;
    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(2);
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _end = new();
    private readonly ConcurrentDictionary<Socket, bool> _open = new();
    private readonly int _target;
    private readonly Random _random;
    private readonly Lock _lock = new();
    private readonly Task _accepting;
    private volatile int _fault;
    private volatile int _bytesPerSecond;
    private volatile int _delayMs;
    private int _damaged;
    private long _freeAt;
    private long _passed;
    private long _idle;

    /// <param name="target">Port of the far end, of this machine.</param>
    /// <param name="seed">Where bytes are damaged.</param>
    public BadLink(int target, int seed)
    {
        _target = target;
        _random = new Random(seed);
        _listener.Start();
        _accepting = AcceptAsync();
    }

    public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

    public LinkFault Fault { get => (LinkFault)_fault; set => _fault = (int)value; }

    /// <summary>What it carries towards the far end; 0 for everything.</summary>
    public int BytesPerSecond { get => _bytesPerSecond; set => _bytesPerSecond = value; }

    /// <summary>Delay each way, milliseconds.</summary>
    public int DelayMs { get => _delayMs; set => _delayMs = value; }

    /// <summary>Bytes that were damaged.</summary>
    public int Damaged => Volatile.Read(ref _damaged);

    /// <summary>Bytes carried towards the far end while throttled, and the time for which it could have carried more and had nothing.</summary>
    public (long Bytes, TimeSpan Idle) Use
    {
        get
        {
            lock (_lock)
            {
                return (_passed, Stopwatch.GetElapsedTime(0, _idle));
            }
        }
    }

    /// <summary>Resets all connections.</summary>
    public void Reset()
    {
        foreach (Socket socket in _open.Keys)
        {
            Reset(socket);
        }
    }

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

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                _ = ServeAsync(await _listener.AcceptSocketAsync(_end.Token));
            }
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            // the end
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
            await far.ConnectAsync(IPAddress.Loopback, _target, _end.Token);
            await Task.WhenAll(CarryAsync(near, far, isThere: true), CarryAsync(far, near, isThere: false));
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or OperationCanceledException)
        {
            // one end is gone
        }
        finally
        {
            _open.TryRemove(near, out _);
            _open.TryRemove(far, out _);
            Reset(near);
            Reset(far);
        }
    }

    private async Task CarryAsync(Socket from, Socket to, bool isThere)
    {
        var underWay = Channel.CreateBounded<(byte[] Bytes, long Due)>(MostChunks);
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(_end.Token);
        Task delivering = DeliverAsync(underWay.Reader, to, isThere, ended);
        try
        {
            await TakeAsync(from, underWay.Writer, isThere, ended.Token);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or OperationCanceledException)
        {
            // what was taken is delivered, if there is still a way
        }
        underWay.Writer.Complete();
        await delivering;
    }

    private async Task TakeAsync(Socket from, ChannelWriter<(byte[] Bytes, long Due)> underWay, bool isThere, CancellationToken ended)
    {
        byte[] chunk = new byte[ChunkBytes];
        while (true)
        {
            long asked = Stopwatch.GetTimestamp();
            int size = await from.ReceiveAsync(chunk, ended);
            if (size == 0)
            {
                return;
            }
            if (isThere && BytesPerSecond is > 0 and int rate)
            {
                await Task.Delay(Occupy(size, rate, asked), ended);
            }
            byte[] bytes = chunk[..size];
            Spoil(bytes);
            await underWay.WriteAsync((bytes, Stopwatch.GetTimestamp() + (DelayMs * Stopwatch.Frequency / 1000)), ended);
        }
    }

    /// <summary>Takes the link for so many bytes.</summary>
    /// <returns>How long they take from now on.</returns>
    private TimeSpan Occupy(int size, int rate, long asked)
    {
        lock (_lock)
        {
            long now = Stopwatch.GetTimestamp();
            long free = Math.Max(_freeAt, asked);
            if (free < now)
            {
                _idle += _freeAt == 0 ? 0 : now - free;
            }
            _freeAt = Math.Max(_freeAt, now) + (size * Stopwatch.Frequency / rate);
            _passed += size;
            return Stopwatch.GetElapsedTime(now, _freeAt);
        }
    }

    private void Spoil(byte[] bytes)
    {
        if (Fault != LinkFault.Damage)
        {
            return;
        }
        lock (_lock)
        {
            if (_random.Next(DamagedOneIn) == 0)
            {
                bytes[_random.Next(bytes.Length)] ^= (byte)_random.Next(1, 256);
                _damaged++;
            }
        }
    }

    private async Task DeliverAsync(ChannelReader<(byte[] Bytes, long Due)> underWay, Socket to, bool isThere, CancellationTokenSource ended)
    {
        try
        {
            await foreach ((byte[] bytes, long due) in underWay.ReadAllAsync(_end.Token))
            {
                TimeSpan left = Stopwatch.GetElapsedTime(Stopwatch.GetTimestamp(), due);
                if (left > TimeSpan.Zero)
                {
                    await Task.Delay(left, _end.Token);
                }
                while (Fault == LinkFault.Silence || Fault == (isThere ? LinkFault.NoRequests : LinkFault.NoAnswers))
                {
                    await Task.Delay(Look, _end.Token);
                }
                for (int sent = 0; sent < bytes.Length;)
                {
                    sent += await to.SendAsync(bytes.AsMemory(sent), _end.Token);
                }
            }
            to.Shutdown(SocketShutdown.Send);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or OperationCanceledException)
        {
            await ended.CancelAsync(); // takes no more either
        }
    }
}
