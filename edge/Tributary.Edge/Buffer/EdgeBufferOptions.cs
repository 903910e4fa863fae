using Tributary.Contracts.Telemetry;
using Tributary.Edge.Uplink;
using Tributary.Log;

namespace Tributary.Edge.Buffer;

/// <summary>Settings of the buffer. <see cref="Validate"/> is called once, at start.</summary>
internal sealed record EdgeBufferOptions
{
    /// <summary>
    /// What each partition needs however much is trimmed: the segment in use and two kept for use again, one for indexes and other state,
    /// and one to grow into.
    /// </summary>
    private const int SegmentsHeld = 5;

    /// <summary>The part of the quota that records which were refused may take: one in so many bytes.</summary>
    private const int DeadLetterShare = 8;

    private static readonly TimeSpan LongestKeep = TimeSpan.FromDays(3650);
    private readonly long? _deadLetterBytes;

    /// <summary>
    /// Quota: most bytes on disk, everything counted. Messages are refused when another segment of each partition would not fit.
    /// </summary>
    public long MaxDiskBytes { get; init; } = 8L << 30;

    /// <summary>Floor: bytes that stay free on the file system. Below it messages are refused.</summary>
    public long MinFreeBytes { get; init; } = 256L << 20;

    /// <summary>What becomes of messages when there is no room, unless the topic says otherwise.</summary>
    public FullPolicy Policy { get; init; }

    /// <summary>
    /// How long records stay after the cloud has acknowledged them, unless the topic says otherwise: they are sent again if the cloud turns
    /// out to have lost them. Counted by segment, from its last record. They go first when room is needed.
    /// </summary>
    public TimeSpan Keep { get; init; }

    /// <summary>Topics with settings of their own.</summary>
    public IReadOnlyDictionary<string, TopicOptions> Topics { get; init; } = new Dictionary<string, TopicOptions>();

    /// <summary>Size of a segment file, bytes: the step in which space is given back after the cloud has acknowledged.</summary>
    public int SegmentBytes { get; init; } = 16 << 20;

    /// <inheritdoc cref="LogDirectoryOptions.AllowVolatile"/>
    public bool AllowVolatile { get; init; }

    /// <summary>Most Kafka topics with local partitions.</summary>
    public int MaxTopics { get; init; } = 8;

    /// <summary>Local partitions of each topic, for the check that the quota holds them all.</summary>
    public int PartitionsPerTopic { get; init; } = 1;

    /// <summary>
    /// Bytes of records that the cloud refused for good which are kept at least; the oldest are given up beyond it. By default 64 MiB, or
    /// an eighth of the quota if that is less.
    /// </summary>
    public long DeadLetterBytes
    {
        get => _deadLetterBytes ?? Math.Min(64L << 20, MaxDiskBytes / DeadLetterShare);
        init => _deadLetterBytes = value;
    }

    /// <summary>Most bytes that may be appended and not yet flushed; beyond it connections are not read.</summary>
    public long MaxUnflushedBytes { get; init; } = 8L << 20;

    /// <summary>Most bytes of batches kept in memory after their flush, for the uplink.</summary>
    public long TailCacheBytes { get; init; } = 4L << 20;

    /// <summary>
    /// How long the writer waits for more before it flushes. Zero: as soon as the flush before is done. More saves flash.
    /// </summary>
    public TimeSpan CommitWindow { get; init; } = TimeSpan.Zero;

    /// <summary>Dirty files from which one flush of the whole file system replaces one of each; 0: never.</summary>
    public int FlushTogetherFrom { get; init; } = 4;

    /// <summary>Time between two looks at the free space while little is written.</summary>
    public TimeSpan SpaceCheckInterval { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>What becomes of a topic's messages when there is no room.</summary>
    public FullPolicy PolicyOf(string topic) => Topics.GetValueOrDefault(topic)?.Policy ?? Policy;

    /// <summary>Most bytes on disk of a topic's partitions; null for no limit of its own.</summary>
    public long? MaxBytesOf(string topic) => Topics.GetValueOrDefault(topic)?.MaxBytes;

    /// <summary>How long a topic's records stay after the cloud has acknowledged them.</summary>
    public TimeSpan KeepOf(string topic) => Topics.GetValueOrDefault(topic)?.Keep ?? Keep;

    /// <summary>A topic's priority on the link to the cloud; that of events has the highest unless it is set.</summary>
    public int PriorityOf(string topic) => Topics.GetValueOrDefault(topic)?.Priority
        ?? (topic == EventsTopic ? LinkShare.MaxPriority : LinkShare.DefaultPriority);

    /// <summary>
    /// Kafka topic to which gaps and other events of the way to the cloud are sent; empty for none. It does not count as one of
    /// <see cref="MaxTopics"/>.
    /// </summary>
    public string EventsTopic { get; init; } = "edge.events";

    /// <summary>Checks every setting.</summary>
    /// <exception cref="ArgumentException">One is out of range; the message names it and says what it may be.</exception>
    public EdgeBufferOptions Validate()
    {
        Settings.Range("buffer:segmentBytes", SegmentBytes, 64 << 10, 1 << 30);
        Settings.Range("buffer:maxTopics", MaxTopics, 2, 1_000);
        long least = (long)SegmentsHeld * SegmentBytes * MaxTopics * PartitionsPerTopic;
        Settings.Check(MaxDiskBytes >= least, "buffer:maxDiskBytes",
            $"is {MaxDiskBytes}; it must be at least {least}: {SegmentsHeld} segments of {SegmentBytes} bytes for each of "
            + $"{MaxTopics} topics with {PartitionsPerTopic} partitions (see buffer:segmentBytes and buffer:maxTopics)");
        Settings.Check(
            EventsTopic.Length == 0 || KafkaTopicName.IsValid(EventsTopic), "buffer:eventsTopic",
            $"is '{EventsTopic}', which is no name that a Kafka topic can have");
        Settings.Range("buffer:keep", Keep, TimeSpan.Zero, LongestKeep);
        foreach ((string topic, TopicOptions own) in Topics)
        {
            long leastOfTopic = (long)SegmentsHeld * SegmentBytes * PartitionsPerTopic;
            Settings.Check(own.MaxBytes is not { } most || most >= leastOfTopic, $"topics:{topic}:maxBytes",
                $"is {own.MaxBytes}; it must be at least {leastOfTopic}: {SegmentsHeld} segments of {SegmentBytes} bytes for each of "
                + $"{PartitionsPerTopic} partitions (see buffer:segmentBytes)");
            Settings.Range($"topics:{topic}:priority", PriorityOf(topic), 0, LinkShare.MaxPriority);
            Settings.Range($"topics:{topic}:keep", own.Keep ?? TimeSpan.Zero, TimeSpan.Zero, LongestKeep);
        }
        Settings.Range("buffer:minFreeBytes", MinFreeBytes, 0, long.MaxValue);
        Settings.Range("buffer:deadLetterBytes", DeadLetterBytes, 64L << 10, MaxDiskBytes / DeadLetterShare);
        Settings.Range("buffer:maxUnflushedBytes", MaxUnflushedBytes, 64L << 10, 1L << 30);
        Settings.Range("buffer:tailCacheBytes", TailCacheBytes, 0, 1L << 30);
        Settings.Range("buffer:flushTogetherFrom", FlushTogetherFrom, 0, int.MaxValue);
        Settings.Range("buffer:commitWindow", CommitWindow, TimeSpan.Zero, TimeSpan.FromSeconds(10));
        Settings.Range("buffer:spaceCheckInterval", SpaceCheckInterval, TimeSpan.FromMilliseconds(100), TimeSpan.FromMinutes(1));
        return this;
    }

    /// <summary>As the log wants them.</summary>
    public LogDirectoryOptions ToDirectoryOptions() => new()
    {
        MaxUnflushedBytes = MaxUnflushedBytes,
        TailCacheBytes = TailCacheBytes,
        CommitWindow = CommitWindow,
        FlushTogetherFrom = FlushTogetherFrom,
        AllowVolatile = AllowVolatile,
    };

    /// <summary>
    /// As the log wants them. Nothing expires: only what the cloud has acknowledged is trimmed. Nobody leads a local partition, so there is
    /// one leader epoch.
    /// </summary>
    public PartitionLogOptions ToPartitionOptions() => new() { SegmentBytes = SegmentBytes, ProducerExpiration = null, MaxLeaderEpoch = 0 };
}
