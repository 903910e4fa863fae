namespace Tributary.Broker;

/// <summary>
/// Limits and defaults of a broker. Immutable; <see cref="Validate"/> is called before anything is served. Where Kafka has a broker
/// config of the same meaning, its name is given.
/// </summary>
public sealed record BrokerOptions
{
    /// <summary>Most bytes of a request, without its length field (<c>socket.request.max.bytes</c>). A larger one closes the connection.</summary>
    public int MaxFrameBytes { get; init; } = 100 << 20;

    /// <summary>
    /// Most bytes of requests of one connection that were read and not yet answered. A single request may exceed it when nothing else waits.
    /// </summary>
    public long MaxConnectionRequestBytes { get; init; } = 32L << 20;

    /// <summary>Most bytes of request buffers over all connections; further requests wait before their bytes are read.</summary>
    public long MaxListenerRequestBytes { get; init; } = 512L << 20;

    /// <summary>Most Produce requests of one connection that wait for their flush; further ones wait unread.</summary>
    public int MaxPipelinedProduces { get; init; } = 128;

    /// <summary>Most connections at a time (<c>max.connections</c>). One more is closed at once.</summary>
    public int MaxConnections { get; init; } = 10_000;

    /// <summary>Time without a request after which a connection is closed (<c>connections.max.idle.ms</c>).</summary>
    public TimeSpan IdleLimit { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>Time that a request may take to arrive, on top of what <see cref="MinFrameBytesPerSecond"/> allows for its size.</summary>
    public TimeSpan FrameGrace { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>The rate below which an arriving request is taken for an attack or a dead peer.</summary>
    public int MinFrameBytesPerSecond { get; init; } = 1024;

    /// <summary>Most bytes of records in a Fetch response (<c>fetch.max.bytes</c>); the first batch is returned even if it is larger.</summary>
    public int MaxFetchBytes { get; init; } = 55 << 20;

    /// <summary>
    /// Most bytes of records, over all connections, in Fetch responses that are not sent yet. The more of it is taken, the less a response
    /// holds; when all of it is, further Fetches wait before they read.
    /// </summary>
    public long MaxListenerFetchBytes { get; init; } = 512L << 20;

    /// <summary>Longest time that a Fetch may wait for bytes, whatever it asks for.</summary>
    public TimeSpan MaxFetchWait { get; init; } = TimeSpan.FromMinutes(5);

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

    /// <summary>
    /// Idle time after which a partition forgets a producer (<c>producer.id.expiration.ms</c>). Longer than Kafka's day: an edge that comes
    /// back later than this can't learn any more what it had sent.
    /// </summary>
    public TimeSpan ProducerExpiration { get; init; } = TimeSpan.FromDays(90);

    /// <summary>Checks every setting.</summary>
    /// <returns>This.</returns>
    /// <exception cref="ArgumentException">A setting can't be; the message names it.</exception>
    public BrokerOptions Validate()
    {
        Require(MaxFrameBytes is >= 1024 and <= 1 << 30, nameof(MaxFrameBytes), "must be 1 KiB to 1 GiB");
        Require(MaxConnectionRequestBytes > 0, nameof(MaxConnectionRequestBytes), "must be positive");
        Require(MaxListenerRequestBytes >= MaxFrameBytes, nameof(MaxListenerRequestBytes), $"must be at least {User(nameof(MaxFrameBytes))}");
        Require(MaxPipelinedProduces is > 0 and <= 65_536, nameof(MaxPipelinedProduces), "must be 1 to 65536");
        Require(MaxConnections > 0, nameof(MaxConnections), "must be positive");
        RequireTime(IdleLimit, nameof(IdleLimit));
        RequireTime(FrameGrace, nameof(FrameGrace));
        Require(MinFrameBytesPerSecond > 0, nameof(MinFrameBytesPerSecond), "must be positive");
        Require(MaxFetchBytes >= 1024, nameof(MaxFetchBytes), "must be at least 1 KiB");
        Require(MaxListenerFetchBytes >= MaxFetchBytes, nameof(MaxListenerFetchBytes), $"must be at least {User(nameof(MaxFetchBytes))}");
        RequireTime(MaxFetchWait, nameof(MaxFetchWait));
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
        Require(ProducerExpiration > TimeSpan.Zero, Ms(nameof(ProducerExpiration)), "must be above zero");
        Require(MaxFetchWait < IdleLimit, Ms(nameof(MaxFetchWait)), $"must be below {User(Ms(nameof(IdleLimit)))}");
        Require(MaxProduceWait < IdleLimit, Ms(nameof(MaxProduceWait)), $"must be below {User(Ms(nameof(IdleLimit)))}");
        Require(MaxCreateWait < IdleLimit, Ms(nameof(MaxCreateWait)), $"must be below {User(Ms(nameof(IdleLimit)))}");
        return this;
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
