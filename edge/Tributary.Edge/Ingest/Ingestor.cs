using Microsoft.Extensions.Logging;
using Tributary.Contracts.Records;
using Tributary.Contracts.Telemetry;
using Tributary.Edge.Buffer;
using Tributary.Log;

namespace Tributary.Edge.Ingest;

/// <summary>
/// Finds for each message its local partition, key and headers, and hands it over. What was found for an MQTT topic is kept, so the
/// steady state allocates nothing. Callable from any thread; the lock is taken only to make a partition known.
/// </summary>
internal sealed class Ingestor : IIngest
{
    private readonly RouteTable _routes;
    private readonly EdgeBuffer _buffer;
    private readonly IngestOptions _options;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly IngestRoom _room;
    private readonly TopicCache<TopicTarget> _cache;
    private readonly Lock _lock = new();
    private readonly Dictionary<string, LocalTopic> _topics = [];
    private readonly long[] _refused = new long[Enum.GetValues<IngestRefusal>().Length];

    /// <exception cref="ArgumentException">A setting is out of range, alone or together with those of the buffer.</exception>
    public Ingestor(RouteTable routes, EdgeBuffer buffer, IngestOptions options, TimeProvider time, ILoggerFactory loggers)
    {
        _options = options.Validate();
        CheckSettings(options, routes, buffer.Options);
        _routes = routes;
        _buffer = buffer;
        _time = time;
        _logger = loggers.CreateLogger<Ingestor>();
        _room = new IngestRoom(options.MaxGatheredBytes);
        _cache = new TopicCache<TopicTarget>(options.TopicCacheBytes);
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
        TopicTarget target = _cache.Find(message.Topic) ?? Resolve(message.Topic);
        ReadOnlySpan<byte> key = target.Key is null ? client.ClientIdUtf8.Span : target.Key;
        IngestPartition? partition = target.Partition ?? PartitionFor(target, key);
        if (partition is null)
        {
            return Refuse(IngestRefusal.Offline);
        }
        IngestTicket ticket = partition.Accept(key, message, target.Headers, listener);
        return ticket.Refusal == IngestRefusal.None ? ticket : Refuse(ticket.Refusal);
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

    private TopicTarget Resolve(ReadOnlySpan<byte> mqttTopic)
    {
        RoutedTopic routed = _routes.Resolve(mqttTopic, _options.EdgeId);
        LocalTopic topic;
        lock (_lock)
        {
            if (!_topics.TryGetValue(routed.Topic, out topic!))
            {
                topic = new LocalTopic(routed.Topic, new IngestPartition?[_options.PartitionsPerTopic]);
                _topics.Add(routed.Topic, topic);
            }
        }
        var target = new TopicTarget(topic, routed.Key, routed.Headers);
        _cache.Add(mqttTopic, target, (routed.Key?.Length ?? 0) + routed.Headers.Bytes.Length);
        return target;
    }

    /// <returns>Null if the partition can't be opened.</returns>
    private IngestPartition? PartitionFor(TopicTarget target, ReadOnlySpan<byte> key)
    {
        LocalTopic topic = target.Topic;
        // The same for a key at each start, and without meaning to anybody else.
        int index = topic.Partitions.Length == 1 ? 0 : (int)(Crc32C.Compute(key) % (uint)topic.Partitions.Length);
        IngestPartition? partition = Volatile.Read(ref topic.Partitions[index]) ?? Open(topic, index);
        if (target.Key is not null)
        {
            target.Partition = partition;
        }
        return partition;
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

    /// <summary>A Kafka topic's local partitions; null until the first message.</summary>
    private sealed class LocalTopic(string name, IngestPartition?[] partitions)
    {
        public string Name { get; } = name;

        public IngestPartition?[] Partitions { get; } = partitions;

        /// <summary>Timestamp of the last attempt to open one that failed. Under the lock.</summary>
        public long? FailedAt { get; set; }
    }

    /// <summary>
    /// Where an MQTT topic's messages go. <see cref="Partition"/> is null until it is open, and if the client's id is the key.
    /// </summary>
    private sealed class TopicTarget(LocalTopic topic, byte[]? key, EncodedHeaders headers)
    {
        public LocalTopic Topic { get; } = topic;

        public byte[]? Key { get; } = key;

        public EncodedHeaders Headers { get; } = headers;

        public IngestPartition? Partition { get; set; }
    }
}
