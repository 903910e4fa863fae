namespace Tributary.Broker.Groups;

/// <summary>Limits and times of consumer groups. Immutable. Where Kafka has a broker config of the same meaning, its name is given.</summary>
public sealed record GroupOptions
{
    /// <summary>
    /// How long an empty group waits for more members after the first one (<c>group.initial.rebalance.delay.ms</c>); it waits anew, up to
    /// the rebalance timeout, while members come.
    /// </summary>
    public TimeSpan InitialRebalanceDelay { get; init; } = TimeSpan.FromSeconds(3);

    /// <summary>Shortest session timeout that a member may ask for (<c>group.min.session.timeout.ms</c>).</summary>
    public TimeSpan MinSessionTimeout { get; init; } = TimeSpan.FromSeconds(6);

    /// <summary>Longest session timeout that a member may ask for (<c>group.max.session.timeout.ms</c>).</summary>
    public TimeSpan MaxSessionTimeout { get; init; } = TimeSpan.FromMinutes(30);

    /// <summary>Most members of a group (<c>group.max.size</c>).</summary>
    public int MaxMembers { get; init; } = 10_000;

    /// <summary>
    /// How long a member of the newer protocol may not be heard of before it is taken for dead (<c>group.consumer.session.timeout.ms</c>).
    /// </summary>
    public TimeSpan ConsumerSessionTimeout { get; init; } = TimeSpan.FromSeconds(45);

    /// <summary>How often a member of the newer protocol shall be heard of (<c>group.consumer.heartbeat.interval.ms</c>).</summary>
    public TimeSpan ConsumerHeartbeatInterval { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Most members of a group of the newer protocol (<c>group.consumer.max.size</c>).</summary>
    public int ConsumerMaxMembers { get; init; } = 10_000;

    /// <summary>
    /// Most different expressions by which members of a group of the newer protocol subscribe: each is matched against all topics when
    /// these change.
    /// </summary>
    public int ConsumerMaxExpressions { get; init; } = 100;

    /// <summary>Most groups.</summary>
    public int MaxGroups { get; init; } = 10_000;

    /// <summary>Most bytes of a member's names and of the metadata of all its protocols.</summary>
    public int MaxMemberBytes { get; init; } = 1 << 20;

    /// <summary>Most bytes of a group's members, and as many of their assignments.</summary>
    public long MaxGroupBytes { get; init; } = 32L << 20;

    /// <summary>Most bytes of a group's committed offsets: names of topics, metadata and 64 bytes for each partition.</summary>
    public long MaxOffsetBytes { get; init; } = 64L << 20;

    /// <summary>Most bytes of all groups in memory together: members, assignments and offsets, about as they lie there.</summary>
    public long MaxTotalBytes { get; init; } = 512L << 20;

    /// <summary>Most characters of the metadata of an offset (<c>offset.metadata.max.bytes</c>).</summary>
    public int MaxOffsetMetadata { get; init; } = 4096;

    /// <summary>
    /// How long offsets are kept once nobody needs them (<c>offsets.retention.minutes</c>, KIP-211): counted from when the group became
    /// empty, or from the commit of a group without members or of a topic that members read no more.
    /// </summary>
    public TimeSpan OffsetRetention { get; init; } = TimeSpan.FromDays(7);

    /// <summary>Time between two looks for offsets and groups that are kept no longer (<c>offsets.retention.check.interval.ms</c>).</summary>
    public TimeSpan OffsetRetentionInterval { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>Finds what can't be.</summary>
    /// <returns>The setting as users write it and the rule that it breaks; null if there is none.</returns>
    internal (string Setting, string Rule)? FindFault() =>
        InitialRebalanceDelay < TimeSpan.Zero || InitialRebalanceDelay > TimeSpan.FromHours(1)
            ? ("groups:initialRebalanceDelayMs", "must be 0 to 3600000")
        : MinSessionTimeout <= TimeSpan.Zero || MinSessionTimeout > MaxSessionTimeout
            ? ("groups:minSessionTimeoutMs", "must be above zero and at most groups:maxSessionTimeoutMs")
        : MaxSessionTimeout > TimeSpan.FromDays(1) ? ("groups:maxSessionTimeoutMs", "must be at most a day")
        : MaxMembers <= 0 ? ("groups:maxMembers", "must be positive")
        : ConsumerHeartbeatInterval < TimeSpan.FromMilliseconds(1) || ConsumerHeartbeatInterval >= ConsumerSessionTimeout
            ? ("groups:consumerHeartbeatIntervalMs", "must be positive and below groups:consumerSessionTimeoutMs")
        : ConsumerSessionTimeout > TimeSpan.FromDays(1) ? ("groups:consumerSessionTimeoutMs", "must be at most a day")
        : ConsumerMaxMembers <= 0 ? ("groups:consumerMaxMembers", "must be positive")
        : ConsumerMaxExpressions < 0 ? ("groups:consumerMaxExpressions", "must not be negative")
        : MaxGroups <= 0 ? ("groups:maxGroups", "must be positive")
        : MaxMemberBytes <= 0 ? ("groups:maxMemberBytes", "must be positive")
        : MaxGroupBytes < MaxMemberBytes ? ("groups:maxGroupBytes", "must be at least groups:maxMemberBytes")
        : MaxOffsetBytes <= 0 ? ("groups:maxOffsetBytes", "must be positive")
        : MaxTotalBytes <= 0 ? ("groups:maxTotalBytes", "must be positive")
        : MaxOffsetMetadata is < 0 or > short.MaxValue ? ("groups:maxOffsetMetadata", "must be 0 to 32767")
        : OffsetRetention <= TimeSpan.Zero ? ("groups:offsetRetentionMinutes", "must be positive")
        : OffsetRetentionInterval <= TimeSpan.Zero || OffsetRetentionInterval > TimeSpan.FromDays(1)
            ? ("groups:offsetRetentionIntervalMs", "must be above zero and at most a day")
        : default((string, string)?);
}
