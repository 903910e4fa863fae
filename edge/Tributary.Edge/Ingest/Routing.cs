using System.Text;
using Tributary.Contracts.Records;
using Tributary.Contracts.Telemetry;

namespace Tributary.Edge.Ingest;

/// <summary>
/// Routes in force, with what was found and counted by them. Replaced as a whole when other routes come; a message that has begun with the
/// old ones ends with them. Callable from any thread.
/// </summary>
internal sealed class Routing
{
    private readonly Dictionary<string, RouteCounter> _counters = new(StringComparer.Ordinal);
    private int _isLimitTold;

    /// <param name="table">The routes.</param>
    /// <param name="cacheBytes">Memory for what is found.</param>
    /// <param name="before">What was in force; routes of the same name go on counting.</param>
    public Routing(RouteTable table, long cacheBytes, Routing? before)
    {
        Table = table;
        Cache = new TopicCache<TopicTarget>(cacheBytes);
        foreach (string name in table.Routes.Select(route => route.Name).Append(RouteTable.UnroutedTopic).Distinct())
        {
            _counters.Add(name, before?._counters.GetValueOrDefault(name) ?? new RouteCounter(name));
        }
    }

    /// <summary>The routes.</summary>
    public RouteTable Table { get; }

    /// <summary>What was found for MQTT topics.</summary>
    public TopicCache<TopicTarget> Cache { get; }

    /// <summary>What became of messages, by route in their order, <c>unrouted</c> last.</summary>
    public IReadOnlyList<RouteCounts> Counts => [.. _counters.Values.Select(counter => counter.Counts)];

    /// <summary>Where messages of a route are counted; of none, if it is null.</summary>
    public RouteCounter CounterOf(Route? route) => _counters[route?.Name ?? RouteTable.UnroutedTopic];

    /// <summary>True once.</summary>
    public bool TryTellOfLimit() => Interlocked.Exchange(ref _isLimitTold, 1) == 0;
}

/// <summary>A Kafka topic's local partitions; null until the first message.</summary>
internal sealed class LocalTopic(string name, IngestPartition?[] partitions)
{
    public string Name { get; } = name;

    public IngestPartition?[] Partitions { get; } = partitions;

    /// <summary>Timestamp of the last attempt to open one that failed. Under the ingestor's lock.</summary>
    public long? FailedAt { get; set; }

    /// <summary>The partition of a key: the same at each start, and without meaning to anybody else.</summary>
    public int IndexOf(ReadOnlySpan<byte> key) => Partitions.Length == 1 ? 0 : (int)(Crc32C.Compute(key) % (uint)Partitions.Length);
}

/// <summary>Where an MQTT topic's messages go, and what their route wants of them.</summary>
internal sealed class TopicTarget
{
    private readonly int _index = -1;

    /// <param name="routed">Where they go.</param>
    /// <param name="topic">The Kafka topic; null if they go nowhere.</param>
    /// <param name="route">What the route wants of them, null for nothing.</param>
    /// <param name="counter">What of the route is counted.</param>
    /// <param name="stored">Where those that are stored are counted, by local partition.</param>
    /// <param name="time">All time.</param>
    public TopicTarget(RoutedTopic routed, LocalTopic? topic, Route? route, RouteCounter counter, StoredCount[] stored, TimeProvider time)
    {
        Topic = topic;
        Key = routed.Key;
        Headers = routed.Headers;
        Counter = counter;
        Stored = stored;
        KeyPath = route?.KeyPath;
        Timestamp = route?.Timestamp;
        HasUserProperties = route?.UserProperties ?? true;
        HeaderNames = [.. (route?.HeaderNames ?? []).Select(Encoding.UTF8.GetBytes)];
        Rule = route?.Filter;
        Filter = Rule is null ? null : new FilterState(Rule, time);
        if (topic is not null && Key is not null && KeyPath is null)
        {
            _index = topic.IndexOf(Key);
        }
    }

    public LocalTopic? Topic { get; }

    /// <summary>The key; null for the client's id.</summary>
    public byte[]? Key { get; }

    public EncodedHeaders Headers { get; }

    public RouteCounter Counter { get; }

    public StoredCount[] Stored { get; }

    public PayloadPath? KeyPath { get; }

    public PayloadTime? Timestamp { get; }

    public bool HasUserProperties { get; }

    /// <summary>Names of the route's headers, which user properties can't have.</summary>
    public byte[][] HeaderNames { get; }

    public MessageFilter? Rule { get; }

    public FilterState? Filter { get; }

    /// <summary>Whether nothing of a payload has to be looked at.</summary>
    public bool IsPlain => KeyPath is null && Timestamp is null;

    /// <summary>Bytes that it holds, about.</summary>
    public int Bytes => (Key?.Length ?? 0) + Headers.Bytes.Length + (Filter is null ? 0 : FilterState.Bytes) + HeaderNames.Sum(name => name.Length + 24);

    /// <summary>The local partition of a key.</summary>
    public int IndexOf(ReadOnlySpan<byte> key) => _index >= 0 ? _index : Topic!.IndexOf(key);
}
