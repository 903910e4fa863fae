using Tributary.Contracts.Telemetry;

namespace Tributary.Edge.Ingest;

/// <summary>Messages of a route that were stored in one local partition. Written under that partition's lock, read from any thread.</summary>
internal sealed class StoredCount
{
    private long _messages;

    public long Messages => Volatile.Read(ref _messages);

    public void Add() => Volatile.Write(ref _messages, _messages + 1);
}

/// <summary>
/// What became of a route's messages since the start. Stored ones are counted under locks that are taken anyway, the others here. Callable
/// from any thread, <see cref="In"/> under a lock.
/// </summary>
internal sealed class RouteCounter(string name)
{
    private readonly Dictionary<string, StoredCount[]> _stored = [];
    private volatile StoredCount[] _all = [];
    private volatile StoredCount[]? _unrouted;
    private long _dropped;
    private long _sampled;
    private long _deadband;
    private long _timestamps;
    private long _keys;
    private long _properties;

    /// <summary>The counts, as of now.</summary>
    public RouteCounts Counts => new(
        name, _all.Sum(stored => stored.Messages), Volatile.Read(ref _dropped), Volatile.Read(ref _sampled), Volatile.Read(ref _deadband),
        _unrouted?.Sum(stored => stored.Messages) ?? 0, Volatile.Read(ref _timestamps), Volatile.Read(ref _keys), Volatile.Read(ref _properties));

    /// <summary>Where stored messages are counted, by local partition. Called under the lock of the topics.</summary>
    /// <param name="topic">Kafka topic; null if it would be one too many, and they go to <c>unrouted</c>.</param>
    /// <param name="partitions">Number of local partitions.</param>
    public StoredCount[] In(string? topic, int partitions)
    {
        if (topic is null)
        {
            return _unrouted ??= Make(partitions);
        }
        if (!_stored.TryGetValue(topic, out StoredCount[]? counts))
        {
            counts = Make(partitions);
            _stored.Add(topic, counts);
            _all = [.. _all, .. counts];
        }
        return counts;
    }

    public void Dropped() => Interlocked.Increment(ref _dropped);

    public void LeftOut(MessageFilter filter) => Interlocked.Increment(ref filter is MessageFilter.Deadband ? ref _deadband : ref _sampled);

    public void TimestampMissing() => Interlocked.Increment(ref _timestamps);

    public void KeyMissing() => Interlocked.Increment(ref _keys);

    public void PropertiesLeftOut(int count)
    {
        if (count > 0)
        {
            Interlocked.Add(ref _properties, count);
        }
    }

    private static StoredCount[] Make(int partitions) => [.. Enumerable.Range(0, partitions).Select(_ => new StoredCount())];
}

/// <summary>What became of a route's messages since the start.</summary>
/// <param name="Name">Name of the route.</param>
/// <param name="Stored">Messages taken for their Kafka topic, flushed or not.</param>
/// <param name="Dropped">Messages that the route drops.</param>
/// <param name="Sampled">Messages that its sampling left out.</param>
/// <param name="Deadband">Messages that its deadband left out.</param>
/// <param name="Unrouted">Messages that went to <c>unrouted</c>, since their Kafka topic would have been one too many.</param>
/// <param name="TimestampFallbacks">Messages with the time of arrival, since the payload had none that could be.</param>
/// <param name="KeyFallbacks">Messages with the key of the topic or client, since the payload had none.</param>
/// <param name="PropertiesLeftOut">User properties that did not become headers, for their number, size or name.</param>
internal sealed record RouteCounts(
    string Name, long Stored, long Dropped, long Sampled, long Deadband, long Unrouted, long TimestampFallbacks, long KeyFallbacks,
    long PropertiesLeftOut);
