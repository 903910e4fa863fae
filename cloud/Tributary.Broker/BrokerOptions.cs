using Tributary.Broker.Groups;
using Tributary.Broker.Transactions;

namespace Tributary.Broker;

/// <summary>
/// Limits and defaults of a broker. Immutable; <see cref="Validate"/> is called before anything is served. Where Kafka has a broker
/// config of the same meaning, its name is given.
/// </summary>
public sealed record BrokerOptions
{
    /// <summary>
    /// Most bytes of a request, without its length field (<c>socket.request.max.bytes</c>). A larger one closes the connection.
    /// </summary>
    public int MaxFrameBytes { get; init; } = 100 << 20;

    /// <summary>
    /// Most bytes of requests of one connection that were read and not yet answered. A single request may exceed it when nothing else
    /// waits.
    /// </summary>
    public long MaxConnectionRequestBytes { get; init; } = 32L << 20;

    /// <summary>
    /// Most bytes of requests over all connections (<c>queued.max.request.bytes</c>), what their elements become included; a half of it is
    /// for claims of at most 1 MiB, the other for larger ones. Further requests wait before their bytes are read.
    /// </summary>
    public long MaxListenerRequestBytes { get; init; } = 512L << 20;

    /// <summary>Most array elements (topics, partitions, ids and so on) of a request in all. More close the connection.</summary>
    public int MaxRequestElements { get; init; } = 65_536;

    /// <summary>Most bytes that wait unread in a connection's pipe, beside what the settings above count.</summary>
    public int ConnectionReadBytes { get; init; } = 64 << 10;

    /// <summary>Most Produce requests of one connection that wait for their flush; further ones wait unread.</summary>
    public int MaxPipelinedProduces { get; init; } = 128;

    /// <summary>Most connections at a time (<c>max.connections</c>). One more is closed at once.</summary>
    public int MaxConnections { get; init; } = 10_000;

    /// <summary>
    /// Most connections from one address (<c>max.connections.per.ip</c>); of IPv6 from one /64. One more is closed at once.
    /// </summary>
    public int MaxConnectionsPerAddress { get; init; } = 5_000;

    /// <summary>Time without a request after which a connection is closed (<c>connections.max.idle.ms</c>).</summary>
    public TimeSpan IdleLimit { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>
    /// Time that a request may take to arrive, or a response to be taken, on top of what <see cref="MinFrameBytesPerSecond"/> allows for
    /// its size; and the time until a connection's first request must be there.
    /// </summary>
    public TimeSpan FrameGrace { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>The rate below which a client that sends a request or takes a response is taken for an attacker or dead.</summary>
    public int MinFrameBytesPerSecond { get; init; } = 1024;

    /// <summary>Longest time that <see cref="MinFrameBytesPerSecond"/> may make of a size.</summary>
    public TimeSpan MaxFrameTime { get; init; } = TimeSpan.FromMinutes(15);

    /// <summary>Most bytes that the records of a compressed batch may have: it is refused beyond, with INVALID_RECORD.</summary>
    public int MaxDecompressedBytes { get; init; } = 64 << 20;

    /// <summary>
    /// Most bytes of records in a Fetch response (<c>fetch.max.bytes</c>); the first batch is returned even if it is larger.
    /// </summary>
    public int MaxFetchBytes { get; init; } = 55 << 20;

    /// <summary>
    /// Most bytes, over all connections, of records in Fetch responses and of other large responses that are not sent yet. The more of it
    /// is taken, the less a Fetch response holds; when all of it is, further ones wait before they are made.
    /// </summary>
    public long MaxListenerResponseBytes { get; init; } = 512L << 20;

    /// <summary>Longest time that a Fetch may wait for bytes, whatever it asks for.</summary>
    public TimeSpan MaxFetchWait { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>
    /// Most fetch sessions (<c>max.incremental.fetch.session.cache.slots</c>, KIP-227). Who gets none sends whole requests.
    /// </summary>
    public int MaxFetchSessions { get; init; } = 1_000;

    /// <summary>Most partitions in all fetch sessions together.</summary>
    public int MaxFetchSessionPartitions { get; init; } = 200_000;

    /// <summary>
    /// Idle time after which a fetch session gives way to any other; age from which it gives way to a larger one
    /// (<c>min.incremental.fetch.session.eviction.ms</c>).
    /// </summary>
    public TimeSpan FetchSessionEviction { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>Longest time that a Produce waits for its flush and the in-sync replicas, whatever it asks for.</summary>
    public TimeSpan MaxProduceWait { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>Longest time that CreateTopics waits for its topics, whatever it asks for.</summary>
    public TimeSpan MaxCreateWait { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>Longest time that DescribeProducers waits until the last batches of the producers it tells of are committed.</summary>
    public TimeSpan DescribeProducersWait { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>
    /// Most producers that one DescribeProducers may look up, or be told of, over all partitions that it names. Beyond it partitions are
    /// answered with POLICY_VIOLATION.
    /// </summary>
    public int MaxDescribedProducers { get; init; } = 10_000;

    /// <summary>Whether Metadata creates unknown topics for clients that allow it (<c>auto.create.topics.enable</c>).</summary>
    public bool AutoCreateTopics { get; init; } = true;

    /// <summary>Partitions of a topic that is created without a number (<c>num.partitions</c>).</summary>
    public int DefaultPartitions { get; init; } = 4;

    /// <summary>Most partitions of a topic.</summary>
    public int MaxPartitionsPerTopic { get; init; } = 1_000;

    /// <summary>Most topics that one request may create, Metadata's automatic creation included.</summary>
    public int MaxTopicsPerCreate { get; init; } = 1_000;

    /// <summary>Time between two rounds of retention (<c>log.retention.check.interval.ms</c>).</summary>
    public TimeSpan RetentionInterval { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>Time between two looks for partitions to compact, when none was found (<c>log.cleaner.backoff.ms</c>).</summary>
    public TimeSpan CompactionInterval { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>
    /// Most bytes of the map of keys with which a partition is compacted (<c>log.cleaner.dedupe.buffer.size</c>), 32 for each key; with more
    /// keys it takes several passes. The memory is held only while something is compacted.
    /// </summary>
    public long CompactionKeyMapBytes { get; init; } = 32L << 20;

    /// <summary>
    /// Most bytes per second that compaction reads and writes, counted together (<c>log.cleaner.io.max.bytes.per.second</c>).
    /// </summary>
    public long CompactionBytesPerSecond { get; init; } = 64L << 20;

    /// <summary>How long a partition is left alone whose compaction has failed.</summary>
    public TimeSpan CompactionRetry { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>
    /// Idle time after which a partition forgets a producer (<c>producer.id.expiration.ms</c>). Longer than Kafka's day: an edge that comes
    /// back later than this can't learn any more what it had sent.
    /// </summary>
    public TimeSpan ProducerExpiration { get; init; } = TimeSpan.FromDays(90);

    /// <summary>Limits and times of consumer groups.</summary>
    public GroupOptions Groups { get; init; } = new();

    /// <summary>Limits and times of transactions.</summary>
    public TransactionOptions Transactions { get; init; } = new();

    /// <summary>Checks every setting.</summary>
    /// <returns>This.</returns>
    /// <exception cref="ArgumentException">A setting can't be; the message names it.</exception>
    public BrokerOptions Validate()
    {
        Require(MaxFrameBytes is >= 1024 and <= 1 << 30, nameof(MaxFrameBytes), "must be 1 KiB to 1 GiB");
        Require(MaxConnectionRequestBytes > 0, nameof(MaxConnectionRequestBytes), "must be positive");
        Require(
            MaxListenerRequestBytes / 2 >= MaxFrameBytes, nameof(MaxListenerRequestBytes),
            $"must be at least twice {User(nameof(MaxFrameBytes))}");
        Require(MaxRequestElements is >= 1024 and <= 1 << 20, nameof(MaxRequestElements), "must be 1024 to 1048576");
        Require(ConnectionReadBytes is >= 4096 and <= 16 << 20, nameof(ConnectionReadBytes), "must be 4 KiB to 16 MiB");
        Require(MaxPipelinedProduces is > 0 and <= 65_536, nameof(MaxPipelinedProduces), "must be 1 to 65536");
        Require(MaxConnections > 0, nameof(MaxConnections), "must be positive");
        Require(MaxConnectionsPerAddress > 0, nameof(MaxConnectionsPerAddress), "must be positive");
        RequireTime(IdleLimit, nameof(IdleLimit));
        RequireTime(FrameGrace, nameof(FrameGrace));
        Require(MinFrameBytesPerSecond > 0, nameof(MinFrameBytesPerSecond), "must be positive");
        Require(MaxDecompressedBytes is >= 1 << 20 and <= 1 << 30, nameof(MaxDecompressedBytes), "must be 1 MiB to 1 GiB");
        RequireTime(MaxFrameTime, nameof(MaxFrameTime));
        Require(MaxFetchBytes >= 1024, nameof(MaxFetchBytes), "must be at least 1 KiB");
        Require(
            MaxListenerResponseBytes >= MaxFetchBytes, nameof(MaxListenerResponseBytes), $"must be at least {User(nameof(MaxFetchBytes))}");
        RequireTime(MaxFetchWait, nameof(MaxFetchWait));
        Require(MaxFetchSessions >= 0, nameof(MaxFetchSessions), "must not be negative");
        Require(MaxFetchSessionPartitions is >= 0 and <= 10_000_000, nameof(MaxFetchSessionPartitions), "must be 0 to 10000000");
        RequireTime(FetchSessionEviction, nameof(FetchSessionEviction));
        RequireTime(MaxProduceWait, nameof(MaxProduceWait));
        RequireTime(MaxCreateWait, nameof(MaxCreateWait));
        RequireTime(DescribeProducersWait, nameof(DescribeProducersWait));
        Require(MaxDescribedProducers > 0, nameof(MaxDescribedProducers), "must be positive");
        Require(MaxPartitionsPerTopic > 0, nameof(MaxPartitionsPerTopic), "must be positive");
        Require(
            DefaultPartitions > 0 && DefaultPartitions <= MaxPartitionsPerTopic,
            nameof(DefaultPartitions), $"must be 1 to {User(nameof(MaxPartitionsPerTopic))}");
        Require(MaxTopicsPerCreate > 0, nameof(MaxTopicsPerCreate), "must be positive");
        RequireTime(RetentionInterval, nameof(RetentionInterval));
        RequireTime(CompactionInterval, nameof(CompactionInterval));
        RequireTime(CompactionRetry, nameof(CompactionRetry));
        Require(CompactionKeyMapBytes is >= 1 << 10 and <= 8L << 30, nameof(CompactionKeyMapBytes), "must be 1 KiB to 8 GiB");
        Require(CompactionBytesPerSecond > 0, nameof(CompactionBytesPerSecond), "must be positive");
        Require(ProducerExpiration > TimeSpan.Zero, Ms(nameof(ProducerExpiration)), "must be above zero");
        Require(MaxFetchWait < IdleLimit, Ms(nameof(MaxFetchWait)), $"must be below {User(Ms(nameof(IdleLimit)))}");
        Require(MaxProduceWait < IdleLimit, Ms(nameof(MaxProduceWait)), $"must be below {User(Ms(nameof(IdleLimit)))}");
        Require(MaxCreateWait < IdleLimit, Ms(nameof(MaxCreateWait)), $"must be below {User(Ms(nameof(IdleLimit)))}");
        return (Groups.FindFault() ?? Transactions.FindFault()) is var (setting, rule) ? throw new ArgumentException($"the setting '{setting}' {rule}") : this;
    }

    /// <summary>Longest time in which so many bytes of a request must have come, or of a response must have gone.</summary>
    internal TimeSpan TransferLimit(long bytes)
    {
        var ofSize = TimeSpan.FromSeconds((double)bytes / MinFrameBytesPerSecond);
        return FrameGrace + (ofSize < MaxFrameTime ? ofSize : MaxFrameTime);
    }

    private static void RequireTime(TimeSpan value, string name) =>
        Require(value > TimeSpan.Zero && value <= TimeSpan.FromDays(1), Ms(name), "must be above zero and at most a day");

    /// <summary>How users write the name of a time, which they give in milliseconds.</summary>
    private static string Ms(string name) => name + "Ms";

    /// <summary>How users write the name of a setting.</summary>
    private static string User(string name) => $"broker:{char.ToLowerInvariant(name[0])}{name[1..]}";

    private static void Require(bool holds, string name, string rule)
    {
        if (!holds)
        {
            throw new ArgumentException($"the setting '{User(name)}' {rule}");
        }
    }
}
