using System.Diagnostics.Metrics;
using Tributary.Broker.Gateway;
using Tributary.Broker.Partitions;

namespace Tributary.Broker;

/// <summary>Why a connection ended.</summary>
public enum CloseReason
{
    /// <summary>The client closed it.</summary>
    ClosedByClient,

    /// <summary>The network or the client broke it.</summary>
    Broken,

    /// <summary>The broker stops.</summary>
    Shutdown,

    /// <summary>No request within the idle limit.</summary>
    Idle,

    /// <summary>More connections than allowed.</summary>
    TooManyConnections,

    /// <summary>More connections from one address than allowed.</summary>
    TooManyFromAddress,

    /// <summary>A length field that is negative, zero or above the limit.</summary>
    FrameLength,

    /// <summary>A request that arrived too slowly, or no first one.</summary>
    FrameTimeout,

    /// <summary>A request that had come in part, and for whose rest there was no memory for long.</summary>
    RequestMemory,

    /// <summary>A response that the client takes too slowly, or not at all.</summary>
    SlowReader,

    /// <summary>A request whose header or body is malformed.</summary>
    Malformed,

    /// <summary>An API, or a version of one, that isn't served.</summary>
    Unsupported,

    /// <summary>The client can't be told of a failed acks=0 write otherwise.</summary>
    UnacknowledgedFailure,

    /// <summary>A fault of the broker, which is logged.</summary>
    InternalError,
}

/// <summary>
/// What the broker counts, as instruments of the meter <c>Tributary.Broker</c> and as numbers to read. Callable from any thread.
/// </summary>
public sealed class BrokerMetrics : IDisposable
{
    /// <summary>Name of the meter.</summary>
    public const string MeterName = "Tributary.Broker";

    private readonly Meter _meter = new(MeterName);
    private readonly Counter<long> _closedCounter;
    private readonly Counter<long> _evictedSessionCounter;
    private readonly Counter<long> _requestCounter;
    private readonly Counter<long> _errorCounter;
    private readonly Counter<long> _producedBytesCounter;
    private readonly Counter<long> _producedRecordsCounter;
    private readonly Counter<long> _fetchedBytesCounter;
    private readonly Histogram<double> _durations;
    private readonly long[] _closed = new long[Enum.GetValues<CloseReason>().Length];
    private long _connections;
    private long _requests;
    private long _producedRecords;
    private long _producedBytes;
    private long _fetchedBytes;
    private long _requestBytesHeld;

    internal BrokerMetrics()
    {
        _meter.CreateObservableGauge("tributary.broker.connections", () => Connections, "{connection}", "Open connections.");
        _meter.CreateObservableGauge(
            "tributary.broker.request_memory", () => RequestBytesHeld, "By", "Requests that arrive or are served.");
        _meter.CreateObservableGauge(
            "tributary.broker.response_memory", () => ResponseBytesHeld, "By",
            "Record batches, and large responses, that are not sent yet.");
        _meter.CreateObservableGauge("tributary.broker.fetch_sessions", () => FetchSessions?.Counts.Sessions ?? 0, "{session}", "Fetch sessions.");
        _meter.CreateObservableGauge(
            "tributary.broker.fetch_session_partitions", () => FetchSessions?.Counts.Partitions ?? 0, "{partition}",
            "Partitions in fetch sessions.");
        CreateCompactionInstruments();
        _evictedSessionCounter = _meter.CreateCounter<long>(
            "tributary.broker.fetch_sessions_evicted", "{session}", "Fetch sessions that made room for others.");
        _closedCounter = _meter.CreateCounter<long>(
            "tributary.broker.connections_closed", "{connection}", "Connections that ended, by reason.");
        _requestCounter = _meter.CreateCounter<long>("tributary.broker.requests", "{request}", "Requests, by API.");
        _errorCounter = _meter.CreateCounter<long>(
            "tributary.broker.errors", "{error}", "Errors answered per topic or partition, by API and error.");
        _producedBytesCounter = _meter.CreateCounter<long>("tributary.broker.produced_bytes", "By", "Bytes of appended batches.");
        _producedRecordsCounter = _meter.CreateCounter<long>("tributary.broker.produced_records", "{record}", "Appended records.");
        _fetchedBytesCounter = _meter.CreateCounter<long>("tributary.broker.fetched_bytes", "By", "Bytes of batches sent to readers.");
        _durations = _meter.CreateHistogram<double>(
            "tributary.broker.request_duration", "s", "Time from a request's last byte to its answer, by API.");
    }

    /// <summary>Open connections.</summary>
    public long Connections => Interlocked.Read(ref _connections);

    /// <summary>Requests that were served.</summary>
    public long Requests => Interlocked.Read(ref _requests);

    /// <summary>Records appended, duplicates not counted.</summary>
    public long ProducedRecords => Interlocked.Read(ref _producedRecords);

    /// <summary>Bytes of batches appended, duplicates not counted.</summary>
    public long ProducedBytes => Interlocked.Read(ref _producedBytes);

    /// <summary>Bytes of batches sent to readers.</summary>
    public long FetchedBytes => Interlocked.Read(ref _fetchedBytes);

    /// <summary>Bytes of requests that arrive or are served, and of what large ones became.</summary>
    public long RequestBytesHeld => Interlocked.Read(ref _requestBytesHeld);

    /// <summary>Bytes of record batches in Fetch responses, and of other large responses, that are not sent yet.</summary>
    public long ResponseBytesHeld => ResponseMemory?.Held ?? 0;

    /// <summary>Connections that ended for this reason.</summary>
    public long Closed(CloseReason reason) => Interlocked.Read(ref _closed[(int)reason]);

    /// <inheritdoc/>
    public void Dispose() => _meter.Dispose();

    /// <summary>What <see cref="ResponseBytesHeld"/> reads.</summary>
    internal ByteBudget? ResponseMemory { get; set; }

    /// <summary>What the instruments of compaction read.</summary>
    internal PartitionCompaction? Compaction { get; set; }

    /// <summary>What the gauges of fetch sessions read.</summary>
    internal FetchSessionCache? FetchSessions { get; set; }

    internal void FetchSessionEvicted() => _evictedSessionCounter.Add(1);

    internal void ConnectionOpened() => Interlocked.Increment(ref _connections);

    internal void ConnectionClosed(CloseReason reason)
    {
        Interlocked.Decrement(ref _connections);
        Interlocked.Increment(ref _closed[(int)reason]);
        _closedCounter.Add(1, new KeyValuePair<string, object?>("reason", reason.ToString()));
    }

    internal void RequestServed(string api, TimeSpan duration)
    {
        Interlocked.Increment(ref _requests);
        var tag = new KeyValuePair<string, object?>("api", api);
        _requestCounter.Add(1, tag);
        _durations.Record(duration.TotalSeconds, tag);
    }

    internal void ErrorAnswered(string api, Tributary.Contracts.Kafka.ErrorCode error)
    {
        _errorCounter.Add(1, new KeyValuePair<string, object?>("api", api), new KeyValuePair<string, object?>("error", error.ToString()));
    }

    internal void Produced(int bytes, int records)
    {
        Interlocked.Add(ref _producedBytes, bytes);
        Interlocked.Add(ref _producedRecords, records);
        _producedBytesCounter.Add(bytes);
        _producedRecordsCounter.Add(records);
    }

    internal void Fetched(long bytes)
    {
        Interlocked.Add(ref _fetchedBytes, bytes);
        _fetchedBytesCounter.Add(bytes);
    }

    private void CreateCompactionInstruments()
    {
        _meter.CreateObservableCounter(
            "tributary.broker.compaction_read_bytes", () => Compaction?.BytesRead ?? 0, "By", "Bytes that compaction has read.");
        _meter.CreateObservableCounter(
            "tributary.broker.compaction_written_bytes", () => Compaction?.BytesWritten ?? 0, "By", "Bytes that compaction has written.");
        _meter.CreateObservableCounter(
            "tributary.broker.compactions", () => Compaction?.Rounds ?? 0, "{round}", "Rounds over a partition that were done.");
        _meter.CreateObservableCounter(
            "tributary.broker.compactions_given_up", () => Compaction?.GivenUp ?? 0, "{round}", "Rounds that a change of the log made vain.");
        _meter.CreateObservableCounter(
            "tributary.broker.compactions_failed", () => Compaction?.Failures ?? 0, "{round}", "Rounds that failed.");
        _meter.CreateObservableGauge(
            "tributary.broker.compaction_set_aside", () => Compaction?.SetAside ?? 0, "{partition}",
            "Partitions that are not compacted for a while since that failed.");
        _meter.CreateObservableCounter(
            "tributary.broker.compacted_records", () => Compaction?.RemovedRecords ?? 0, "{record}", "Records that compaction took out.");
        _meter.CreateObservableGauge(
            "tributary.broker.compaction_dirty_ratio", () => Compaction?.DirtyRatio ?? 0, "1",
            "The greatest share of a partition that waits for compaction.");
    }

    internal void RequestMemory(long change) => Interlocked.Add(ref _requestBytesHeld, change);
}
