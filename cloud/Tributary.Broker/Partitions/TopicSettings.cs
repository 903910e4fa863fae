using System.Globalization;
using Tributary.Broker.Configs;
using Tributary.Log;

namespace Tributary.Broker.Partitions;

/// <summary>
/// The topic configs that have an effect, as a typed value. Configs of a topic are validated when they are set, so <see cref="From"/> of
/// what the control plane holds doesn't fail; a config it doesn't know is ignored there (a newer broker set it).
/// </summary>
public sealed record TopicSettings
{
    /// <summary>What a topic has on which nothing is set.</summary>
    public static readonly TopicSettings Default = From([]);

    private const int MostBatchBytes = 1 << 29;

    /// <summary>So many milliseconds never pass.</summary>
    private const long EndlessMs = long.MaxValue / 20_000;

    /// <summary><c>retention.ms</c>: milliseconds from the last append to a segment until it may go, −1: for ever.</summary>
    public required long RetentionMs { get; init; }

    /// <summary><c>retention.bytes</c>, negative: no limit.</summary>
    public required long RetentionBytes { get; init; }

    /// <summary><c>segment.bytes</c>.</summary>
    public required int SegmentBytes { get; init; }

    /// <summary><c>segment.ms</c>: milliseconds after which a segment is closed that is written.</summary>
    public required long SegmentMs { get; init; }

    /// <summary><c>index.interval.bytes</c>.</summary>
    public required int IndexIntervalBytes { get; init; }

    /// <summary><c>max.message.bytes</c>: most bytes of a batch, header included.</summary>
    public required int MaxMessageBytes { get; init; }

    /// <summary><c>min.insync.replicas</c>: fewer, and acks=all is refused.</summary>
    public required int MinInSyncReplicas { get; init; }

    /// <summary><c>message.timestamp.type</c> is <c>LogAppendTime</c>: the broker's time replaces the producer's.</summary>
    public required bool LogAppendTime { get; init; }

    /// <summary><c>message.timestamp.before.max.ms</c>: how far a timestamp may be behind the broker's clock.</summary>
    public required long TimestampBeforeMaxMs { get; init; }

    /// <summary><c>message.timestamp.after.max.ms</c>: how far a timestamp may be ahead of the broker's clock.</summary>
    public required long TimestampAfterMaxMs { get; init; }

    /// <summary><c>cleanup.policy</c> contains <c>compact</c>: every record needs a key.</summary>
    public required bool Compact { get; init; }

    /// <summary><c>min.compaction.lag.ms</c>: milliseconds from the last append to a segment until it may be compacted.</summary>
    public required long MinCompactionLagMs { get; init; }

    /// <summary><c>max.compaction.lag.ms</c>: milliseconds from the first append to a segment until it is compacted in any case.</summary>
    public required long MaxCompactionLagMs { get; init; }

    /// <summary><c>min.cleanable.dirty.ratio</c>: the share not yet compacted above which a log is compacted.</summary>
    public required double MinDirtyRatio { get; init; }

    /// <summary><c>delete.retention.ms</c>: how long compaction keeps tombstones and markers that it has met.</summary>
    public required long DeleteRetentionMs { get; init; }

    /// <summary><c>cleanup.policy</c> contains <c>delete</c>: segments are given up by time and size.</summary>
    public required bool Delete { get; init; }

    /// <summary>Whether a batch's records have to be looked at for what they may be in this topic.</summary>
    internal bool ChecksRecords => Compact || (!LogAppendTime && (TimestampBeforeMaxMs < EndlessMs || TimestampAfterMaxMs < EndlessMs));

    /// <summary>The settings of a topic.</summary>
    /// <param name="configs">Those that were set on it.</param>
    /// <param name="overrides">What was set on brokers, which gives topics their defaults.</param>
    public static TopicSettings From(IEnumerable<KeyValuePair<string, string>> configs, BrokerOverrides? overrides = null)
    {
        overrides ??= BrokerOverrides.None;
        var set = configs.ToDictionary(StringComparer.Ordinal);
        long difference = Number(TopicConfigs.TimestampDifferenceMaxMs);
        string[] policies = ConfigRule.Items(Value(TopicConfigs.CleanupPolicy));
        return new TopicSettings
        {
            RetentionMs = Number(TopicConfigs.RetentionMs),
            RetentionBytes = Number(TopicConfigs.RetentionBytes),
            SegmentBytes = (int)Number(TopicConfigs.SegmentBytes),
            SegmentMs = Number(TopicConfigs.SegmentMs),
            IndexIntervalBytes = (int)Number(TopicConfigs.IndexIntervalBytes),
            MaxMessageBytes = (int)Number(TopicConfigs.MaxMessageBytes),
            MinInSyncReplicas = (int)Number(TopicConfigs.MinInSyncReplicas),
            LogAppendTime = Value(TopicConfigs.TimestampType) == TopicConfigs.LogAppendTime,
            TimestampBeforeMaxMs = Math.Min(Number(TopicConfigs.TimestampBeforeMaxMs), difference),
            TimestampAfterMaxMs = Math.Min(Number(TopicConfigs.TimestampAfterMaxMs), difference),
            Compact = policies.Contains(TopicConfigs.Compact),
            MinCompactionLagMs = Number(TopicConfigs.MinCompactionLagMs),
            MaxCompactionLagMs = Number(TopicConfigs.MaxCompactionLagMs),
            MinDirtyRatio = double.Parse(Value(TopicConfigs.MinDirtyRatio), CultureInfo.InvariantCulture),
            DeleteRetentionMs = Number(TopicConfigs.DeleteRetentionMs),
            Delete = policies.Contains(TopicConfigs.Delete),
        };

        // What isn't right, because a newer broker allows more, has its default.
        string Value(string name)
        {
            ConfigDefinition config = TopicConfigs.Find(name)!;
            return set.TryGetValue(name, out string? value) && config.FindFault(value) is null ? value
                : overrides.DefaultOf(config).Value is var ofBroker && config.FindFault(ofBroker) is null ? ofBroker
                : config.Default;
        }
        long Number(string name) => ConfigRule.TryInt64(Value(name))!.Value;
    }

    /// <summary>What the log needs to know of them.</summary>
    /// <param name="producerExpiration">Idle time after which a producer is forgotten.</param>
    public PartitionLogOptions ToLogOptions(TimeSpan producerExpiration) => new()
    {
        SegmentBytes = SegmentBytes,
        SegmentTime = SegmentMs >= EndlessMs ? null : TimeSpan.FromMilliseconds(SegmentMs),
        MaxBatchBytes = Math.Clamp(MaxMessageBytes, 1, Math.Min(SegmentBytes, MostBatchBytes)),
        ProducerExpiration = producerExpiration,
        IndexIntervalBytes = Math.Max(IndexIntervalBytes, 1),
        Compaction = !Compact ? null : new CompactionPolicy
        {
            MinLag = TimeSpan.FromMilliseconds(Math.Min(MinCompactionLagMs, EndlessMs)),
            MaxLag = MaxCompactionLagMs >= EndlessMs ? null : TimeSpan.FromMilliseconds(MaxCompactionLagMs),
            DirtyRatio = MinDirtyRatio,
            DeleteRetention = TimeSpan.FromMilliseconds(Math.Min(DeleteRetentionMs, EndlessMs)),
        },
        RetentionTime = RetentionMs < 0 || !Delete ? null : TimeSpan.FromMilliseconds(Math.Min(RetentionMs, EndlessMs)),
        RetentionBytes = RetentionBytes < 0 || !Delete ? null : RetentionBytes,
    };
}
