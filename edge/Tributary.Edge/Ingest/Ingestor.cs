using System.Buffers;
using Microsoft.Extensions.Logging;
using Tributary.Contracts.Telemetry;
using Tributary.Edge.Buffer;
using Tributary.Edge.Clock;
using Tributary.Log;

namespace Tributary.Edge.Ingest;

/// <summary>
/// Finds for each message its local partition, key and headers, and hands it over, unless its route drops or filters it. What was found for
/// an MQTT topic is kept, so the steady state allocates nothing. Callable from any thread; the lock is taken only to make a topic or
/// partition known. Routes can be replaced at any time: of a client's messages, each goes by the old or by the new ones, in their order.
/// </summary>
internal sealed class Ingestor : IIngest
{
    private readonly EdgeBuffer _buffer;
    private readonly IngestOptions _options;
    private readonly EdgeClock _time;
    private readonly ILogger _logger;
    private readonly IngestRoom _room;
    private readonly Lock _lock = new();
    private readonly Dictionary<string, LocalTopic> _topics = [];
    private readonly long[] _refused = new long[Enum.GetValues<IngestRefusal>().Length];
    private volatile Routing _routing;

    /// <exception cref="ArgumentException">A setting is out of range, alone or together with those of the buffer.</exception>
    public Ingestor(RouteTable routes, EdgeBuffer buffer, IngestOptions options, TimeProvider time, ILoggerFactory loggers)
    {
        _options = options.Validate();
        CheckSettings(options, routes, buffer.Options);
        _buffer = buffer;
        _time = EdgeClock.Of(time);
        _logger = loggers.CreateLogger<Ingestor>();
        _room = new IngestRoom(options.MaxGatheredBytes);
        _routing = new Routing(routes, options.TopicCacheBytes, before: null);
    }

    /// <inheritdoc/>
    public bool HasRoom => _room.HasRoom && _buffer.Directory.HasRoom;

    /// <summary>Bytes gathered and not yet appended.</summary>
    public long GatheredBytes => _room.Used;

    /// <summary>What went through each partition that had messages since the start.</summary>
    public IReadOnlyList<IngestPartitionCounts> Counts
    {
        get
        {
            lock (_lock)
            {
                return [.. _topics.Values.SelectMany(topic => topic.Partitions).Where(p => p is not null).Select(p => p!.Counts)];
            }
        }
    }

    /// <summary>What became of messages since the start, by route.</summary>
    public IReadOnlyList<RouteCounts> RouteCounts => _routing.Counts;

    /// <summary>Messages refused for that reason since the start.</summary>
    public long Refused(IngestRefusal reason) => Volatile.Read(ref _refused[(int)reason]);

    /// <inheritdoc/>
    public async ValueTask WaitForRoomAsync(CancellationToken cancellation)
    {
        while (!HasRoom)
        {
            await _room.WaitAsync(cancellation).ConfigureAwait(false);
            await _buffer.Directory.WaitForRoomAsync(cancellation).ConfigureAwait(false);
        }
    }

    /// <inheritdoc/>
    public IngestClient Connect(string clientId) => new(clientId);

    /// <inheritdoc/>
    public IngestTicket Accept(IngestClient client, in IngestMessage message, ICommitListener listener)
    {
        if (_buffer.Space.IsFull)
        {
            return Refuse(IngestRefusal.Full);
        }
        Routing routing = _routing;
        TopicTarget target = routing.Cache.Find(message.Topic) ?? Resolve(routing, message.Topic);
        if (target.Topic is null)
        {
            target.Counter.Dropped();
            return IngestTicket.NotStored;
        }
        IngestTicket ticket = target.Filter is { } filter
            ? AcceptFiltered(client, target, filter, message, listener) : Store(client, target, message, listener);
        return ticket.Refusal == IngestRefusal.None ? ticket : Refuse(ticket.Refusal);
    }

    /// <summary>Lets other routes be in force from now on.</summary>
    /// <exception cref="ArgumentException">With the topics that have local partitions they lead to more than there may be.</exception>
    public void Use(RouteTable routes)
    {
        CheckSettings(_options, routes, _buffer.Options);
        lock (_lock)
        {
            HashSet<string> known = KnownTopics();
            int others = known.Count;
            known.UnionWith(routes.Topics);
            Settings.Check(known.Count <= Math.Max(_buffer.Options.MaxTopics, others), "buffer:maxTopics",
                $"is {_buffer.Options.MaxTopics}; the routes lead to {routes.Topics.Count} topics, and with those that have local partitions "
                + $"it would be {known.Count}: {string.Join(", ", known.Order(StringComparer.Ordinal))}");
            _routing = new Routing(routes, _options.TopicCacheBytes, _routing);
        }
    }

    /// <summary>Checks what settings of ingest, routes and buffer must be to each other.</summary>
    /// <exception cref="ArgumentException">They do not fit; the message names the settings.</exception>
    public static void CheckSettings(IngestOptions options, RouteTable routes, EdgeBufferOptions buffer)
    {
        string rule = $"a batch must fit a segment, of which the setting 'buffer:segmentBytes' is {buffer.SegmentBytes}";
        Settings.Check(options.MaxBatchBytes <= buffer.SegmentBytes, "ingest:maxBatchBytes", $"is {options.MaxBatchBytes}; {rule}");
        Settings.Check(options.MaxRecordBytes <= buffer.SegmentBytes, "ingest:maxRecordBytes", $"is {options.MaxRecordBytes}; {rule}");
        Settings.Check(routes.Topics.Count <= buffer.MaxTopics, "buffer:maxTopics",
            $"is {buffer.MaxTopics}; the routes lead to {routes.Topics.Count} topics, '{RouteTable.UnroutedTopic}' among them");
    }

    private IngestTicket Refuse(IngestRefusal reason)
    {
        Interlocked.Increment(ref _refused[(int)reason]);
        return new IngestTicket(null, -1, reason);
    }

    /// <summary>Of messages of one topic, one after the other is judged and stored: a value that was refused was not the last one.</summary>
    private IngestTicket AcceptFiltered(
        IngestClient client, TopicTarget target, FilterState filter, in IngestMessage message, ICommitListener listener)
    {
        lock (filter)
        {
            if (!filter.Judge(message.Payload, out FilterJudgement judgement))
            {
                filter.LeftOut();
                target.Counter.LeftOut(target.Rule!);
                return IngestTicket.NotStored;
            }
            IngestTicket ticket = Store(client, target, message, listener);
            if (ticket.Refusal == IngestRefusal.None)
            {
                filter.Passed(judgement, ticket);
            }
            return ticket;
        }
    }

    private IngestTicket Store(IngestClient client, TopicTarget target, in IngestMessage message, ICommitListener listener)
    {
        var record = new IngestRecord(target.Key is null ? client.ClientIdUtf8.Span : target.Key, message.Payload, target.Headers)
        {
            More = message.Header,
            MoreCount = message.Header.IsEmpty ? 0 : 1,
        };
        bool isPlain = target.IsPlain && !(target.HasUserProperties && UserPropertyHeaders.MayBeIn(message.Properties));
        return isPlain ? Append(target, record, listener) : StoreWithMore(target, record, message, listener);
    }

    /// <summary>What of a record is its message's own: user properties, and what the payload says of key and time.</summary>
    private IngestTicket StoreWithMore(TopicTarget target, IngestRecord record, in IngestMessage message, ICommitListener listener)
    {
        if (target.Timestamp is { } time)
        {
            if (time.TryRead(message.Payload, _time.GetUtcNow().ToUnixTimeMilliseconds(), out long timestamp))
            {
                record.Timestamp = timestamp;
            }
            else
            {
                target.Counter.TimestampMissing();
            }
        }
        byte[]? rented = null;
        try
        {
            rented = ArrayPool<byte>.Shared.Rent(UserPropertyHeaders.MaxBytes + message.Header.Length + PayloadText.MaxBytes);
            if (target.KeyPath is { } path)
            {
                if (PayloadText.TryRead(path, message.Payload, rented.AsSpan(^PayloadText.MaxBytes..), out ReadOnlySpan<byte> key))
                {
                    record.Key = key;
                }
                else
                {
                    target.Counter.KeyMissing();
                }
            }
            if (target.HasUserProperties && UserPropertyHeaders.MayBeIn(message.Properties))
            {
                int bytes = UserPropertyHeaders.Encode(message.Properties, target.HeaderNames, rented, out int count, out int leftOut);
                message.Header.CopyTo(rented.AsSpan(bytes));
                record.More = rented.AsSpan(0, bytes + message.Header.Length);
                record.MoreCount += count;
                target.Counter.PropertiesLeftOut(leftOut);
            }
            return Append(target, record, listener);
        }
        finally
        {
            if (rented is not null)
            {
                ArrayPool<byte>.Shared.Return(rented);
            }
        }
    }

    private IngestTicket Append(TopicTarget target, in IngestRecord record, ICommitListener listener)
    {
        LocalTopic topic = target.Topic!;
        int index = target.IndexOf(record.Key);
        IngestPartition? partition = Volatile.Read(ref topic.Partitions[index]) ?? Open(topic, index);
        return partition is null
            ? new IngestTicket(null, -1, IngestRefusal.Offline) : partition.Accept(record, target.Stored[index], listener);
    }

    private TopicTarget Resolve(Routing routing, ReadOnlySpan<byte> mqttTopic)
    {
        RoutedTopic routed = routing.Table.Resolve(mqttTopic, _options.EdgeId);
        Route? route = routed.Route;
        RouteCounter counter = routing.CounterOf(route);
        if (routed.Topic is null)
        {
            var nowhere = new TopicTarget(routed, null, route, counter, [], _time);
            return routing.Cache.Add(mqttTopic, nowhere, nowhere.Bytes);
        }
        LocalTopic topic;
        StoredCount[] stored;
        string? tooMany = null;
        // A device must not choose a name by which it could say what only the agent says.
        bool isOfEvents = route is { HasTopicOfCaptures: true } && routed.Topic == _buffer.Options.EventsTopic;
        lock (_lock)
        {
            if (route is not null && (isOfEvents || !HasRoomFor(routed.Topic, routing.Table)))
            {
                tooMany = routed.Topic;
                routed = RouteTable.Unrouted(mqttTopic, _options.EdgeId);
            }
            if (!_topics.TryGetValue(routed.Topic!, out topic!))
            {
                topic = new LocalTopic(routed.Topic!, new IngestPartition?[_options.PartitionsPerTopic]);
                _topics.Add(routed.Topic!, topic);
            }
            stored = counter.In(tooMany is null ? topic.Name : null, _options.PartitionsPerTopic);
        }
        if (tooMany is not null && !isOfEvents && routing.TryTellOfLimit())
        {
            _logger.TopicOverLimit(route!.Name, tooMany, _buffer.Options.MaxTopics);
        }
        var target = new TopicTarget(routed, topic, tooMany is null ? route : null, counter, stored, _time);
        return routing.Cache.Add(mqttTopic, target, target.Bytes);
    }

    /// <summary>Whether a Kafka topic may have local partitions; those that routes name keep their room. Called under the lock.</summary>
    private bool HasRoomFor(string topic, RouteTable routes)
    {
        if (_topics.ContainsKey(topic))
        {
            return true;
        }
        HashSet<string> known = KnownTopics();
        if (known.Contains(topic))
        {
            return true;
        }
        IReadOnlySet<string> named = routes.Topics;
        if (!named.Contains(topic))
        {
            known.UnionWith(named);
        }
        else if (named.Contains(RouteTable.UnroutedTopic))
        {
            known.Add(RouteTable.UnroutedTopic); // or what is beyond the limit would be refused
        }
        return known.Count < _buffer.Options.MaxTopics;
    }

    /// <summary>
    /// The topics that have local partitions, or will with their first message; that of events does not count. Called under the lock.
    /// </summary>
    private HashSet<string> KnownTopics()
    {
        var known = _buffer.Partitions.Select(partition => partition.Topic).ToHashSet(StringComparer.Ordinal);
        known.UnionWith(_buffer.Unopened.Select(unopened => unopened.Topic));
        known.UnionWith(_topics.Keys);
        known.Remove(_buffer.Options.EventsTopic);
        return known;
    }

    private IngestPartition? Open(LocalTopic topic, int index)
    {
        lock (_lock)
        {
            if (topic.Partitions[index] is { } opened)
            {
                return opened;
            }
            if (topic.FailedAt is { } failed && _time.GetElapsedTime(failed) < _options.OfflineRetry)
            {
                return null;
            }
            try
            {
                var partition = new IngestPartition(_buffer.OpenPartition(topic.Name, index), _buffer, _options, _room, _time, _logger);
                Volatile.Write(ref topic.Partitions[index], partition);
                topic.FailedAt = null;
                return partition;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                topic.FailedAt = _time.GetTimestamp();
                _logger.PartitionNotOpened(topic.Name, index, e.Message);
                return null;
            }
        }
    }
}
