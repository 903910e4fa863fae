using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using Tributary.Contracts.Records;
using Tributary.Contracts.Telemetry;
using Tributary.Edge.Buffer;
using Tributary.Edge.Ingest;
using Tributary.Edge.Uplink;
using Tributary.Log.Storage;

namespace Tributary.Edge.Routes;

/// <summary>What became of a message that was tried.</summary>
/// <param name="Route">Name of the route that took its topic; null if none did.</param>
/// <param name="Outcome"><c>stored</c>, <c>dropped</c>, <c>sampled</c>, <c>deadband</c>, or why it was refused.</param>
/// <param name="Record">The record that it became; null if it did not.</param>
internal sealed record ProbeResult(string? Route, string Outcome, ProbeRecord? Record);

/// <summary>A record.</summary>
/// <param name="Topic">Kafka topic.</param>
/// <param name="Key">Its key.</param>
/// <param name="Headers">Its headers.</param>
/// <param name="Timestamp">Its timestamp.</param>
/// <param name="IsTimeOfPayload">Whether that came from the payload.</param>
/// <param name="ValueBytes">Size of its value.</param>
internal sealed record ProbeRecord(
    string Topic, string Key, IReadOnlyList<KeyValuePair<string, string>> Headers, DateTimeOffset Timestamp, bool IsTimeOfPayload, int ValueBytes);

/// <summary>
/// Tries routes on messages: those go the whole way through ingest into a log in memory, so that what is said is what an agent would do.
/// One thread at a time.
/// </summary>
internal sealed class RouteProbe : IAsyncDisposable
{
    /// <summary>A quota that any number of topics fits in: nothing is taken from a disk.</summary>
    private const long Boundless = 1L << 50;

    private static readonly TimeSpan Longest = TimeSpan.FromSeconds(10);
    private readonly RouteTable _routes;
    private readonly EdgeBuffer _buffer;
    private readonly Ingestor _ingest;
    private readonly Listener _listener = new();

    /// <param name="routes">The routes.</param>
    /// <param name="edge">Name of the agent.</param>
    /// <param name="time">All time.</param>
    public RouteProbe(RouteTable routes, string edge, TimeProvider time)
    {
        _routes = routes;
        int topics = routes.Topics.Count + 2; // one of captures, and unrouted
        var options = new EdgeBufferOptions { MinFreeBytes = 0, MaxDiskBytes = Boundless, MaxTopics = topics };
        _buffer = EdgeBuffer.Open(new MemoryStorage(), "probe", options, time, NullLoggerFactory.Instance);
        _ingest = new Ingestor(routes, _buffer, new IngestOptions { EdgeId = edge }, time, NullLoggerFactory.Instance);
    }

    /// <summary>Tries one message.</summary>
    public ProbeResult Try(string client, string topic, ReadOnlySpan<byte> payload)
    {
        byte[] mqttTopic = Encoding.UTF8.GetBytes(topic);
        RoutedTopic routed = _routes.Resolve(mqttTopic, "");
        string counted = routed.Route?.Name ?? RouteTable.UnroutedTopic;
        RouteCounts before = CountsOf(counted);
        IngestTicket ticket = _ingest.Accept(_ingest.Connect(client), new IngestMessage(mqttTopic, payload), _listener);
        RouteCounts after = CountsOf(counted);
        if (ticket.Refusal != IngestRefusal.None)
        {
            return new ProbeResult(routed.Route?.Name, $"refused: {ticket.Refusal}", null);
        }
        if (ticket.Stream is null)
        {
            string outcome = after.Dropped > before.Dropped ? "dropped" : after.Sampled > before.Sampled ? "sampled" : "deadband";
            return new ProbeResult(routed.Route?.Name, outcome, null);
        }
        _listener.Wait(ticket, Longest);
        bool isTimeOfPayload = routed.Route?.Timestamp is not null && after.TimestampFallbacks == before.TimestampFallbacks;
        return new ProbeResult(routed.Route?.Name, "stored", Last(routed.Topic!, isTimeOfPayload));
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _buffer.DisposeAsync();

    private RouteCounts CountsOf(string route) => _ingest.RouteCounts.Single(counts => counts.Name == route);

    private ProbeRecord Last(string topic, bool isTimeOfPayload)
    {
        BufferPartition partition = _buffer.Partitions.Single(partition => partition.Topic == topic);
        using var scanner = new RecordScanner(new LogSource(partition.Log), 1 << 20);
        var reading = new Reading(topic, isTimeOfPayload);
        scanner.Scan(partition.Log.FlushedEnd - 1, partition.Log.FlushedEnd, reading);
        return reading.Record ?? throw new IOException("the record that was stored can't be read");
    }

    private sealed class Reading(string topic, bool isTimeOfPayload) : IRecordVisitor
    {
        public ProbeRecord? Record { get; private set; }

        public bool Visit(long offset, long timestamp, in Record record)
        {
            var headers = new List<KeyValuePair<string, string>>();
            HeaderReader reader = record.ReadHeaders();
            while (reader.Read(out ReadOnlySpan<byte> name, out ReadOnlySpan<byte> value, out _))
            {
                headers.Add(new(Encoding.UTF8.GetString(name), Encoding.UTF8.GetString(value)));
            }
            Record = new ProbeRecord(
                topic, Encoding.UTF8.GetString(record.Key), headers, DateTimeOffset.FromUnixTimeMilliseconds(timestamp), isTimeOfPayload,
                record.Value.Length);
            return true;
        }
    }

    private sealed class Listener : ICommitListener
    {
        private readonly object _lock = new();

        public void OnCommitted(ICommitStream stream) => Wake();

        public void OnLost(ICommitStream stream, string reason) => Wake();

        public void Wait(IngestTicket ticket, TimeSpan longest)
        {
            lock (_lock)
            {
                while (ticket.Stream!.Committed <= ticket.Number)
                {
                    if (ticket.Stream.IsLost || !Monitor.Wait(_lock, longest))
                    {
                        throw new IOException("the message could not be stored");
                    }
                }
            }
        }

        private void Wake()
        {
            lock (_lock)
            {
                Monitor.PulseAll(_lock);
            }
        }
    }
}
