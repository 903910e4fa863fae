using System.Diagnostics;
using System.Net;
using Tributary.Benchmarks.Harness;

namespace Tributary.Benchmarks.Load;

/// <summary>What a load did.</summary>
/// <param name="Messages">Messages acknowledged.</param>
/// <param name="Elapsed">From the first message to the last acknowledgement.</param>
/// <param name="Latencies">From handing a message to the socket to its acknowledgement.</param>
/// <param name="Delivered">Messages that the subscriber got in that time.</param>
internal sealed record LoadResult(long Messages, TimeSpan Elapsed, Histogram Latencies, long Delivered = 0)
{
    public double Rate => Messages / Elapsed.TotalSeconds;

    public double DeliveredRate => Delivered / Elapsed.TotalSeconds;
}

/// <summary>Publishers and perhaps a subscriber, connected.</summary>
internal interface IPublishLoad : IDisposable
{
    /// <summary>Publishes for a time, then waits for the last acknowledgements.</summary>
    LoadResult RunFor(TimeSpan time);
}

/// <summary>Many publishers on one thread, each with its window always full. Messages of a connection are numbered over all runs.</summary>
internal sealed class PublishLoad : IPublishLoad
{
    private const int NumberBits = 32;
    private const int BufferSize = 64 << 10;
    private static readonly TimeSpan Stall = TimeSpan.FromSeconds(60);
    private readonly PublishConnection[] _connections;
    private readonly SubscribeConnection? _subscriber;
    private readonly Epoll _epoll = new();
    private readonly byte[] _buffer = new byte[BufferSize];

    /// <summary>Connects.</summary>
    public PublishLoad(IPEndPoint server, LoadOptions load)
    {
        _connections = new PublishConnection[load.Connections];
        if (load.HasSubscriber)
        {
            _subscriber = new SubscribeConnection();
            _subscriber.Connect(server, "#");
            _epoll.Watch(_subscriber.Handle, load.Connections, Epoll.Readable);
        }
        for (int i = 0; i < load.Connections; i++)
        {
            PublishWindow window = WindowOf(i, load);
            _connections[i] = new PublishConnection($"load-{i}", window);
            _connections[i].Connect(server, load.HasCommands ? $"commands/load-{i}" : null);
            _epoll.Watch(_connections[i].Handle, i, Epoll.Readable);
        }
    }

    /// <summary>Messages that each connection has had acknowledged.</summary>
    public IReadOnlyList<long> Acked => [.. _connections.Select(connection => connection.Window.Acked)];

    /// <summary>The connection and place of a number that a payload begins with.</summary>
    public static (int Connection, long Index) Split(long number) => ((int)(number >> NumberBits), number & uint.MaxValue);

    /// <summary>The messages of one of the connections.</summary>
    public static PublishWindow WindowOf(int index, LoadOptions load) =>
        new($"load-{index}", $"devices/load-{index}/reading", (long)index << NumberBits, load);

    /// <inheritdoc/>
    public LoadResult RunFor(TimeSpan time) => Run(long.MaxValue, time);

    /// <summary>Publishes a number of messages, spread evenly, and waits for their acknowledgements.</summary>
    public LoadResult RunCount(long messages) => Run(messages, TimeSpan.MaxValue);

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (PublishConnection connection in _connections)
        {
            connection?.Dispose();
        }
        _subscriber?.Dispose();
        _epoll.Dispose();
    }

    private LoadResult Run(long messages, TimeSpan time)
    {
        var latencies = new Histogram();
        long[] limits = new long[_connections.Length];
        for (int i = 0; i < limits.Length; i++)
        {
            long share = (messages / limits.Length) + (i < messages % limits.Length ? 1 : 0);
            limits[i] = messages == long.MaxValue ? long.MaxValue : _connections[i].Window.Acked + share;
        }
        long delivered = _subscriber?.Count ?? 0;
        long before = _connections.Sum(connection => connection.Window.Acked);
        long start = Stopwatch.GetTimestamp();
        long progress = start;
        for (int i = 0; i < _connections.Length; i++)
        {
            Push(i, limits[i], start);
        }
        while (true)
        {
            long now = Stopwatch.GetTimestamp();
            if (Stopwatch.GetElapsedTime(start, now) >= time)
            {
                time = TimeSpan.MaxValue;
                for (int i = 0; i < limits.Length; i++)
                {
                    limits[i] = _connections[i].Window.Queued;
                }
            }
            if (IsDone(limits))
            {
                break;
            }
            int events = _epoll.Wait(100);
            for (int i = 0; i < events; i++)
            {
                Serve(i, limits, latencies);
            }
            progress = events > 0 ? now : progress;
            if (Stopwatch.GetElapsedTime(progress, now) > Stall)
            {
                throw new TimeoutException($"the server acknowledged nothing for {Stall.TotalSeconds:0} s");
            }
        }
        return new LoadResult(
            _connections.Sum(connection => connection.Window.Acked) - before, Stopwatch.GetElapsedTime(start), latencies,
            (_subscriber?.Count ?? 0) - delivered);
    }

    private void Serve(int index, long[] limits, Histogram latencies)
    {
        (int tag, uint events) = _epoll.Event(index);
        if (tag == _connections.Length)
        {
            bool isFull = !_subscriber!.Serve();
            if (isFull != _subscriber.IsBlocked)
            {
                _subscriber.IsBlocked = isFull;
                _epoll.Change(_subscriber.Handle, tag, isFull ? Epoll.Writable : Epoll.Readable);
            }
            return;
        }
        if ((events & ~Epoll.Writable) == 0 || _connections[tag].Receive(_buffer, latencies))
        {
            Push(tag, limits[tag], Stopwatch.GetTimestamp());
        }
    }

    private void Push(int tag, long limit, long now)
    {
        PublishConnection connection = _connections[tag];
        connection.Window.Fill(limit, now);
        bool blocked = !connection.Send();
        if (blocked != connection.IsBlocked)
        {
            connection.IsBlocked = blocked;
            _epoll.Change(connection.Handle, tag, blocked ? Epoll.Readable | Epoll.Writable : Epoll.Readable);
        }
    }

    private bool IsDone(long[] limits)
    {
        for (int i = 0; i < limits.Length; i++)
        {
            if (_connections[i].Window.Acked < limits[i])
            {
                return false;
            }
        }
        return true;
    }
}
