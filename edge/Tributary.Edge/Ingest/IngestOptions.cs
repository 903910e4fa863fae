namespace Tributary.Edge.Ingest;

/// <summary>Settings of ingest. <see cref="Validate"/> is called once, at start.</summary>
internal sealed record IngestOptions
{
    /// <summary>Name of this agent, in the header <c>edge</c> of each record.</summary>
    public required string EdgeId { get; init; }

    /// <summary>
    /// Local partitions of each topic. One is least wear. A key is always in the same one, as long as this number stays: change it only
    /// when nothing is waiting for the cloud, or records of one device may overtake each other.
    /// </summary>
    public int PartitionsPerTopic { get; init; } = 1;

    /// <summary>Size at which a batch is closed and a further one begun, bytes.</summary>
    public int MaxBatchBytes { get; init; } = 1 << 20;

    /// <summary>Largest record, bytes with key, headers and batch header. Kafka's brokers take 1,048,588 by default.</summary>
    public int MaxRecordBytes { get; init; } = 1 << 20;

    /// <summary>Bytes that may be gathered and not yet appended; beyond it connections are not read.</summary>
    public long MaxGatheredBytes { get; init; } = 8L << 20;

    /// <summary>Memory for what is known of MQTT topics, bytes, estimated.</summary>
    public long TopicCacheBytes { get; init; } = 8L << 20;

    /// <summary>Time for which a partition is not tried again after it could not be opened or took no append.</summary>
    public TimeSpan OfflineRetry { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Checks every setting.</summary>
    /// <exception cref="ArgumentException">One is out of range; the message names it and says what it may be.</exception>
    public IngestOptions Validate()
    {
        Settings.Check(EdgeId.Length is > 0 and <= 255, "id", "must have 1 to 255 characters");
        Settings.Range("ingest:partitionsPerTopic", PartitionsPerTopic, 1, 64);
        Settings.Range("ingest:maxBatchBytes", MaxBatchBytes, 4 << 10, 8 << 20);
        Settings.Range("ingest:maxRecordBytes", MaxRecordBytes, 1 << 10, 16 << 20);
        Settings.Range("ingest:maxGatheredBytes", MaxGatheredBytes, 64L << 10, 1L << 30);
        Settings.Range("ingest:topicCacheBytes", TopicCacheBytes, 64L << 10, 1L << 30);
        Settings.Range("ingest:offlineRetry", OfflineRetry, TimeSpan.FromMilliseconds(10), TimeSpan.FromMinutes(10));
        return this;
    }
}
