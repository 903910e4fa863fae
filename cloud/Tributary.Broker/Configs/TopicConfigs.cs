using System.Collections.Frozen;
using System.Collections.Immutable;

namespace Tributary.Broker.Configs;

/// <summary>
/// Every topic config of Kafka, those of releases that are still in use included: its values, its default and whether it has an effect
/// here. Rules and defaults are those of Kafka's LogConfig, except that segments are 64 MiB by default and at most 1 GiB, and that
/// timestamps may lie as far ahead as they like (as before KIP-1030), since an edge may not know the time.
/// </summary>
internal static class TopicConfigs
{
    public const string CleanupPolicy = "cleanup.policy";
    public const string DeleteRetentionMs = "delete.retention.ms";
    public const string IndexIntervalBytes = "index.interval.bytes";
    public const string LocalRetentionBytes = "local.retention.bytes";
    public const string LocalRetentionMs = "local.retention.ms";
    public const string MaxCompactionLagMs = "max.compaction.lag.ms";
    public const string MaxMessageBytes = "max.message.bytes";
    public const string MinCompactionLagMs = "min.compaction.lag.ms";
    public const string MinDirtyRatio = "min.cleanable.dirty.ratio";
    public const string MinInSyncReplicas = "min.insync.replicas";
    public const string RemoteStorageEnable = "remote.storage.enable";
    public const string RetentionBytes = "retention.bytes";
    public const string RetentionMs = "retention.ms";
    public const string SegmentBytes = "segment.bytes";
    public const string SegmentMs = "segment.ms";
    public const string TimestampAfterMaxMs = "message.timestamp.after.max.ms";
    public const string TimestampBeforeMaxMs = "message.timestamp.before.max.ms";
    public const string TimestampDifferenceMaxMs = "message.timestamp.difference.max.ms";
    public const string TimestampType = "message.timestamp.type";
    public const string Compact = "compact";
    public const string Delete = "delete";
    public const string LogAppendTime = "LogAppendTime";

    private const string NoTiers = "Tiered storage is not served.";
    private const string Forever = "9223372036854775807";

    /// <summary>In the order of their names.</summary>
    public static ImmutableArray<ConfigDefinition> All { get; } =
        [.. Cleaning.Concat(Storing).Concat(Messages).Concat(Tiers).OrderBy(config => config.Name, StringComparer.Ordinal)];

    private static readonly FrozenDictionary<string, ConfigDefinition> ByName =
        All.ToFrozenDictionary(config => config.Name, StringComparer.Ordinal);

    private static IEnumerable<ConfigDefinition> Cleaning =>
    [
        new(CleanupPolicy, ConfigType.List, Delete, ConfigRule.ListOf(Compact, Delete),
            "'delete' gives segments up by time and size. 'compact' keeps the last record of each key and refuses records without a key; those "
            + "of before go.")
        {
            BrokerName = "log.cleanup.policy",
        },
        new(DeleteRetentionMs, ConfigType.Long, "86400000", ConfigRule.Int64(0),
            "Milliseconds that tombstones and the markers of transactions stay after they were compacted first.")
        {
            BrokerName = "log.cleaner.delete.retention.ms",
        },
        new(MaxCompactionLagMs, ConfigType.Long, Forever, ConfigRule.Int64(1),
            "Milliseconds from the first append to a segment until it is closed and compacted in any case.")
        {
            BrokerName = "log.cleaner.max.compaction.lag.ms",
        },
        new(MinDirtyRatio, ConfigType.Double, "0.5", ConfigRule.Double(0, 1),
            "The share of a log, not yet compacted, above which it is compacted.")
        {
            BrokerName = "log.cleaner.min.cleanable.ratio",
        },
        new(MinCompactionLagMs, ConfigType.Long, "0", ConfigRule.Int64(0),
            "Milliseconds from the last append to a segment until it may be compacted.")
        {
            BrokerName = "log.cleaner.min.compaction.lag.ms",
        },
        new(RetentionBytes, ConfigType.Long, "-1", ConfigRule.Int64(long.MinValue),
            "Bytes of a partition above which its oldest segments are given up; negative: no limit.")
        {
            BrokerName = "log.retention.bytes",
        },
        new(RetentionMs, ConfigType.Long, "604800000", ConfigRule.Int64(-1),
            "Milliseconds from the last append to a segment until it is given up; -1: never. It counts from the append, not from the records' "
            + "timestamps.")
        {
            BrokerName = "log.retention.ms",
        },
    ];

    private static IEnumerable<ConfigDefinition> Storing =>
    [
        new("file.delete.delay.ms", ConfigType.Long, "60000", ConfigRule.Int64(0), "Files go, or are used again, at once.")
        {
            BrokerName = "log.segment.delete.delay.ms",
            HasEffect = false,
        },
        new("flush.messages", ConfigType.Long, Forever, ConfigRule.Int64(1), "Every record is flushed before it is acknowledged.")
        {
            BrokerName = "log.flush.interval.messages",
            HasEffect = false,
        },
        new("flush.ms", ConfigType.Long, Forever, ConfigRule.Int64(0), "Every record is flushed before it is acknowledged.")
        {
            BrokerName = "log.flush.interval.ms",
            HasEffect = false,
        },
        new("follower.replication.throttled.replicas", ConfigType.List, "", ConfigRule.ThrottledReplicas, "Replicas are not throttled.")
        {
            HasEffect = false,
        },
        new(IndexIntervalBytes, ConfigType.Int, "4096", ConfigRule.Int32(0), "Bytes of log between two entries of its index.")
        {
            BrokerName = "log.index.interval.bytes",
        },
        new("leader.replication.throttled.replicas", ConfigType.List, "", ConfigRule.ThrottledReplicas, "Replicas are not throttled.")
        {
            HasEffect = false,
        },
        new(MinInSyncReplicas, ConfigType.Int, "1", ConfigRule.Int32(1), "In-sync replicas below which acks=all is refused.")
        {
            BrokerName = "min.insync.replicas",
        },
        new("preallocate", ConfigType.Boolean, "false", ConfigRule.Boolean, "Space is taken in steps that double, always.")
        {
            BrokerName = "log.preallocate",
            HasEffect = false,
        },
        new(SegmentBytes, ConfigType.Int, "67108864", ConfigRule.Int32(1 << 20, 1 << 30), "Bytes of a segment.")
        {
            BrokerName = "log.segment.bytes",
        },
        new("segment.index.bytes", ConfigType.Int, "10485760", ConfigRule.Int32(4), "Indexes take what they need.")
        {
            BrokerName = "log.index.size.max.bytes",
            HasEffect = false,
        },
        new("segment.jitter.ms", ConfigType.Long, "0", ConfigRule.Int64(0), "Segments are closed without jitter.")
        {
            BrokerName = "log.roll.jitter.ms",
            HasEffect = false,
        },
        new(SegmentMs, ConfigType.Long, "604800000", ConfigRule.Int64(1),
            "Milliseconds after which a segment that is written is closed, so that retention can give it up; looked at once in "
            + "log.retention.check.interval.ms.")
        {
            BrokerName = "log.roll.ms",
        },
        new("unclean.leader.election.enable", ConfigType.Boolean, "false", ConfigRule.Boolean, "Leaders are never elected uncleanly.")
        {
            BrokerName = "unclean.leader.election.enable",
            HasEffect = false,
        },
    ];

    private static IEnumerable<ConfigDefinition> Messages =>
    [
        new("compression.gzip.level", ConfigType.Int, "-1", new[] { -1 }.Concat(Enumerable.Range(1, 9)).ToRule(), "Batches stay as they come.")
        {
            BrokerName = "compression.gzip.level",
            HasEffect = false,
        },
        new("compression.lz4.level", ConfigType.Int, "9", ConfigRule.Int32(1, 17), "Batches stay as they come.")
        {
            BrokerName = "compression.lz4.level",
            HasEffect = false,
        },
        new("compression.type", ConfigType.String, "producer", ConfigRule.OneOf("uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"),
            "Batches stay as producers have compressed them.")
        {
            BrokerName = "compression.type",
            HasEffect = false,
        },
        new("compression.zstd.level", ConfigType.Int, "3", ConfigRule.Int32(-131_072, 22), "Batches stay as they come.")
        {
            BrokerName = "compression.zstd.level",
            HasEffect = false,
        },
        new(MaxMessageBytes, ConfigType.Int, "1048588", ConfigRule.Int32(0), "Most bytes of a record batch, compressed as it comes.")
        {
            BrokerName = "message.max.bytes",
        },
        new("message.downconversion.enable", ConfigType.Boolean, "true", ConfigRule.Boolean, "Only message format 2 is served.")
        {
            BrokerName = "log.message.downconversion.enable",
            HasEffect = false,
        },
        new("message.format.version", ConfigType.String, "3.0-IV1", ConfigRule.Any, "Only message format 2 is served.")
        {
            BrokerName = "log.message.format.version",
            HasEffect = false,
        },
        new(TimestampAfterMaxMs, ConfigType.Long, Forever, ConfigRule.Int64(0),
            "Milliseconds that a record's timestamp may be ahead of the broker's clock.")
        {
            BrokerName = "log.message.timestamp.after.max.ms",
        },
        new(TimestampBeforeMaxMs, ConfigType.Long, Forever, ConfigRule.Int64(0),
            "Milliseconds that a record's timestamp may be behind the broker's clock.")
        {
            BrokerName = "log.message.timestamp.before.max.ms",
        },
        new(TimestampDifferenceMaxMs, ConfigType.Long, Forever, ConfigRule.Int64(0),
            "Milliseconds that a record's timestamp may be ahead of or behind the broker's clock (before KIP-937).")
        {
            BrokerName = "log.message.timestamp.difference.max.ms",
        },
        new(TimestampType, ConfigType.String, "CreateTime", ConfigRule.OneOf("CreateTime", LogAppendTime),
            "Whether records keep the producer's timestamp or get the broker's.")
        {
            BrokerName = "log.message.timestamp.type",
        },
    ];

    private static IEnumerable<ConfigDefinition> Tiers =>
    [
        new(LocalRetentionBytes, ConfigType.Long, "-2", ConfigRule.Int64(-2), NoTiers)
        {
            BrokerName = "log.local.retention.bytes",
            HasEffect = false,
        },
        new(LocalRetentionMs, ConfigType.Long, "-2", ConfigRule.Int64(-2), NoTiers)
        {
            BrokerName = "log.local.retention.ms",
            HasEffect = false,
        },
        new("remote.log.copy.disable", ConfigType.Boolean, "false", ConfigRule.Boolean, NoTiers) { HasEffect = false },
        new("remote.log.delete.on.disable", ConfigType.Boolean, "false", ConfigRule.Boolean, NoTiers) { HasEffect = false },
        new(RemoteStorageEnable, ConfigType.Boolean, "false", ConfigRule.Boolean, NoTiers + " It can't be true.") { HasEffect = false },
    ];

    /// <summary>The config of a name, null if Kafka knows no such.</summary>
    public static ConfigDefinition? Find(string name) => ByName.GetValueOrDefault(name);

    /// <summary>What is wrong with a single config, null if nothing is.</summary>
    public static string? FindFault(string name, string? value) =>
        Find(name) is { } config ? config.FindFault(value) : $"Unknown topic config name: {name}";

    /// <summary>What is wrong with the configs of a topic together, each by itself being right; null if nothing is.</summary>
    public static string? FindConflict(IReadOnlyDictionary<string, string> configs)
    {
        if (ConfigRule.TryBoolean(Value(RemoteStorageEnable)) == true)
        {
            return "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage.";
        }
        (long min, long max) = (Number(MinCompactionLagMs), Number(MaxCompactionLagMs));
        if (min > max)
        {
            return $"conflict topic config setting {MinCompactionLagMs} ({min}) > {MaxCompactionLagMs} ({max})";
        }
        return FindLocalConflict(LocalRetentionMs, Number(LocalRetentionMs), RetentionMs, Number(RetentionMs))
            ?? FindLocalConflict(LocalRetentionBytes, Number(LocalRetentionBytes), RetentionBytes, Number(RetentionBytes));

        string Value(string name) => configs.TryGetValue(name, out string? set) ? set : ByName[name].Default;
        long Number(string name) => ConfigRule.TryInt64(Value(name)) ?? 0;
    }

    /// <summary>What is wrong with what is kept locally and in all; null if nothing is.</summary>
    public static string? FindLocalConflict(string localName, long local, string name, long whole)
    {
        if (local == -2 || whole < 0)
        {
            return null; // as long as the whole, or the whole for ever
        }
        return local == -1 ? $"Invalid value {local} for configuration {localName}: Value must not be -1 as {name} value is set as {whole}."
            : local > whole ? $"Invalid value {local} for configuration {localName}: Value must not be more than property: {name} value."
            : null;
    }

    private static ConfigRule ToRule(this IEnumerable<int> numbers) =>
        ConfigRule.OneOf([.. numbers.Select(number => number.ToString(System.Globalization.CultureInfo.InvariantCulture))]);
}
