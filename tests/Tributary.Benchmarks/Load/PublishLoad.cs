using System.Diagnostics;
using System.Net;
using Tributary.Benchmarks.Harness;

namespace Tributary.Benchmarks.Load;

/// <summary>What a load did.</summary>
/// <param name="Messages">Messages acknowledged.</param>
/// <param name="Elapsed">From the first message to the last acknowledgement.</param>
/// <param name="Latencies">From handing a message to the socket to its acknowledgement.</param>
internal sealed record LoadResult(long Messages, TimeSpan Elapsed, Histogram Latencies)
{
    public double Rate => Messages / Elapsed.TotalSeconds;
}

/// <summary>Many publishers on one thread, each with its window always full. Messages of a connection are numbered over all runs.</summary>
internal sealed class PublishLoad : IDisposable
{
    private const int NumberBits = 32;
    private const int BufferSize = 64 << 10;
    private static readonly TimeSpan Stall = TimeSpan.FromSeconds(60);
    private readonly PublishConnection[] _connections;
    private readonly Epoll _epoll = new();
    private readonly byte[] _buffer = new byte[BufferSize];

    /// <summary>Connects.</summary>
    public PublishLoad(IPEndPoint server, int connections, int window, int payloadBytes)
    {
        _connections = new PublishConnection[connections];
        for (int i = 0; i < connections; i++)
        {
            var connection = new PublishConnection($"load-{i}", $"devices/load-{i}/reading", (long)i << NumberBits, window, payloadBytes);
            _connections[i] = connection;
            connection.Connect(server);
            _epoll.Watch(connection.Handle, i, Epoll.Readable);
        }
    }

    /// <summary>Messages that each connection has had acknowledged.</summary>
    public IReadOnlyList<long> Acked => [.. _connections.Select(connection => connection.Acked)];

    /// <summary>The connection and place of a number that a payload begins with.</summary>
    public static (int Connection, long Index) Split(long number) => ((int)(number >> NumberBits), number & uint.MaxValue);

    /// <summary>Publishes for a time, then waits for the last acknowledgements.</summary>
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
        _epoll.Dispose();
    }

    private LoadResult Run(long messages, TimeSpan time)
    {
        var latencies = new Histogram();
        long[] limits = new long[_connections.Length];
        for (int i = 0; i < limits.Length; i++)
        {
            long share = (messages / limits.Length) + (i < messages % limits.Length ? 1 : 0);
            limits[i] = messages == long.MaxValue ? long.MaxValue : _connections[i].Acked + share;
        }
        long before = _connections.Sum(connection => connection.Acked);
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
                    limits[i] = _connections[i].Queued;
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
        return new LoadResult(_connections.Sum(connection => connection.Acked) - before, Stopwatch.GetElapsedTime(start), latencies);
    }

    private void Serve(int index, long[] limits, Histogram latencies)
    {
        (int tag, uint events) = _epoll.Event(index);
        if ((events & ~Epoll.Writable) == 0 || _connections[tag].Receive(_buffer, latencies))
        {
            Push(tag, limits[tag], Stopwatch.GetTimestamp());
        }
    }

    private void Push(int tag, long limit, long now)
    {
        PublishConnection connection = _connections[tag];
        connection.Fill(limit, now);
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
            if (_connections[i].Acked < limits[i])
            {
                return false;
            }
        }
        return true;
    }
}
