using System.Collections.Frozen;
using System.Collections.Immutable;
using System.Globalization;
using Tributary.Log;

namespace Tributary.Broker.Partitions;

/// <summary>
/// The topic configs that are understood, by Kafka's names, as a typed value. Configs of a topic are validated when it is created, so
/// <see cref="From"/> of what the control plane holds doesn't fail; a config it doesn't know is ignored there (a newer broker set it).
/// </summary>
public sealed record TopicSettings
{
    /// <summary>What Kafka's brokers have unless told otherwise, except that segments are 64 MiB.</summary>
    public static readonly TopicSettings Default = new();

    private const int MostBatchBytes = 1 << 29;

    private static readonly FrozenDictionary<string, Func<TopicSettings, string, TopicSettings?>> Setters =
        new Dictionary<string, Func<TopicSettings, string, TopicSettings?>>(StringComparer.Ordinal)
        {
            ["cleanup.policy"] = (settings, value) => value == "delete" ? settings : null,
            ["compression.type"] = (settings, value) => value == "producer" ? settings : null,
            ["retention.ms"] = (settings, value) => Int64(value, -1, long.MaxValue) is { } ms ? settings with { RetentionMs = ms } : null,
            ["retention.bytes"] = (settings, value) => Int64(value, -1, long.MaxValue) is { } size
                ? settings with { RetentionBytes = size }
                : null,
            ["segment.bytes"] = (settings, value) => Int32(value, 1 << 20, 1 << 30) is { } size
                ? settings with { SegmentBytes = size }
                : null,
            ["index.interval.bytes"] = (settings, value) => Int32(value, 0, 1 << 30) is { } size
                ? settings with { IndexIntervalBytes = size }
                : null,
            ["max.message.bytes"] = (settings, value) => Int32(value, 0, int.MaxValue) is { } size
                ? settings with { MaxMessageBytes = size }
                : null,
            ["min.insync.replicas"] = (settings, value) => Int32(value, 1, int.MaxValue) is { } count
                ? settings with { MinInSyncReplicas = count }
                : null,
            ["message.timestamp.type"] = (settings, value) => value switch
            {
                "CreateTime" => settings with { LogAppendTime = false },
                "LogAppendTime" => settings with { LogAppendTime = true },
                _ => null,
            },
        }.ToFrozenDictionary(StringComparer.Ordinal);

    private static readonly FrozenDictionary<string, string> Rules = new Dictionary<string, string>(StringComparer.Ordinal)
    {
        ["cleanup.policy"] = "must be 'delete': compaction is not served",
        ["compression.type"] = "must be 'producer'",
        ["retention.ms"] = "must be an int64, -1 for ever",
        ["retention.bytes"] = "must be an int64, -1 for no limit",
        ["segment.bytes"] = "must be an int32 from 1048576 to 1073741824",
        ["index.interval.bytes"] = "must be an int32 from 0 to 1073741824",
        ["max.message.bytes"] = "must be an int32, at least 0",
        ["min.insync.replicas"] = "must be an int32, at least 1",
        ["message.timestamp.type"] = "must be 'CreateTime' or 'LogAppendTime'",
    }.ToFrozenDictionary(StringComparer.Ordinal);

    /// <summary><c>retention.ms</c>: milliseconds from the last append to a segment until it may go, −1: for ever.</summary>
    public long RetentionMs { get; init; } = 604_800_000;

    /// <summary><c>retention.bytes</c>, −1: no limit.</summary>
    public long RetentionBytes { get; init; } = -1;

    /// <summary><c>segment.bytes</c>.</summary>
    public int SegmentBytes { get; init; } = 64 << 20;

    /// <summary><c>index.interval.bytes</c>.</summary>
    public int IndexIntervalBytes { get; init; } = 4096;

    /// <summary><c>max.message.bytes</c>: most bytes of a batch, header included.</summary>
    public int MaxMessageBytes { get; init; } = 1_048_588;

    /// <summary><c>min.insync.replicas</c>: fewer, and acks=all is refused.</summary>
    public int MinInSyncReplicas { get; init; } = 1;

    /// <summary><c>message.timestamp.type</c> is <c>LogAppendTime</c>: the broker's time replaces the producer's.</summary>
    public bool LogAppendTime { get; init; }

    private static readonly ImmutableSortedDictionary<string, string> Defaults = new Dictionary<string, string>(StringComparer.Ordinal)
    {
        ["cleanup.policy"] = "delete",
        ["compression.type"] = "producer",
        ["retention.ms"] = Text(Default.RetentionMs),
        ["retention.bytes"] = Text(Default.RetentionBytes),
        ["segment.bytes"] = Text(Default.SegmentBytes),
        ["index.interval.bytes"] = Text(Default.IndexIntervalBytes),
        ["max.message.bytes"] = Text(Default.MaxMessageBytes),
        ["min.insync.replicas"] = Text(Default.MinInSyncReplicas),
        ["message.timestamp.type"] = "CreateTime",
    }.ToImmutableSortedDictionary(StringComparer.Ordinal);

    /// <summary>Says what is wrong with a config, null if nothing is.</summary>
    public static string? Validate(string name, string? value)
    {
        if (!Setters.TryGetValue(name, out Func<TopicSettings, string, TopicSettings?>? set))
        {
            return $"Unknown topic config name: {name}";
        }
        return value is null || set(Default, value) is null
            ? $"Invalid value {value ?? "null"} for configuration {name}: {Rules[name]}"
            : null;
    }

    /// <summary>Every config with its value, in the order of names; <c>IsSet</c> if it is among <paramref name="configs"/>.</summary>
    public static IEnumerable<(string Name, string Value, bool IsSet)> Describe(ImmutableSortedDictionary<string, string> configs) =>
        Defaults.Select(
            config => configs.TryGetValue(config.Key, out string? set) ? (config.Key, set, true) : (config.Key, config.Value, false));

    /// <summary>The settings of a topic.</summary>
    /// <param name="configs">Those that were set on it.</param>
    public static TopicSettings From(IEnumerable<KeyValuePair<string, string>> configs)
    {
        TopicSettings settings = Default;
        foreach ((string name, string value) in configs)
        {
            if (Setters.TryGetValue(name, out Func<TopicSettings, string, TopicSettings?>? set))
            {
                settings = set(settings, value) ?? settings;
            }
        }
        return settings;
    }

    /// <summary>What the log needs to know of them.</summary>
    /// <param name="producerExpiration">Idle time after which a producer is forgotten.</param>
    public PartitionLogOptions ToLogOptions(TimeSpan producerExpiration) => new()
    {
        SegmentBytes = SegmentBytes,
        MaxBatchBytes = Math.Clamp(MaxMessageBytes, 1, Math.Min(SegmentBytes, MostBatchBytes)),
        ProducerExpiration = producerExpiration,
        IndexIntervalBytes = Math.Max(IndexIntervalBytes, 1),
        RetentionTime = RetentionMs < 0 ? null : TimeSpan.FromMilliseconds(Math.Min(RetentionMs, long.MaxValue / 20_000)),
        RetentionBytes = RetentionBytes < 0 ? null : RetentionBytes,
    };

    private static string Text(long value) => value.ToString(CultureInfo.InvariantCulture);

    private static long? Int64(string value, long min, long max) =>
        long.TryParse(value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long parsed) && parsed >= min && parsed <= max
            ? parsed
            : null;

    private static int? Int32(string value, int min, int max) => (int?)Int64(value, min, max);
}
