using System.Diagnostics.Metrics;

namespace Tributary.Broker.Groups;

/// <summary>Why members of a group have to join again.</summary>
public enum RebalanceReason
{
    /// <summary>A member is new.</summary>
    MemberJoined,

    /// <summary>A member joined again with something else, or the leader did, which has seen that topics changed.</summary>
    MemberChanged,

    /// <summary>A member has left.</summary>
    MemberLeft,

    /// <summary>A member wasn't heard of within its session.</summary>
    MemberExpired,

    /// <summary>Members have joined and not asked for their assignments.</summary>
    MembersUnsynced,

    /// <summary>A static member is back with something else.</summary>
    StaticMemberReturned,

    /// <summary>The leader's assignments are too large.</summary>
    AssignmentsTooLarge,

    /// <summary>The last member of the newer protocol has left, and the others go on by themselves.</summary>
    ProtocolChanged,
}

/// <summary>Why something is refused that a group asks for: each is a limit of <see cref="GroupOptions"/>.</summary>
public enum GroupRefusal
{
    /// <summary><see cref="GroupOptions.MaxGroups"/>.</summary>
    TooManyGroups,

    /// <summary><see cref="GroupOptions.MaxMembers"/> or <see cref="GroupOptions.ConsumerMaxMembers"/>.</summary>
    TooManyMembers,

    /// <summary><see cref="GroupOptions.ConsumerMaxExpressions"/>.</summary>
    TooManyExpressions,

    /// <summary><see cref="GroupOptions.MaxMemberBytes"/> or, for members and assignments, <see cref="GroupOptions.MaxGroupBytes"/>.</summary>
    MembersTooLarge,

    /// <summary><see cref="GroupOptions.MaxOffsetBytes"/>.</summary>
    OffsetsTooLarge,

    /// <summary><see cref="GroupOptions.MaxOffsetMetadata"/>.</summary>
    OffsetMetadataTooLarge,

    /// <summary><see cref="GroupOptions.MaxTotalBytes"/>.</summary>
    Memory,
}

/// <summary>
/// What is counted of groups, as instruments of the meter <c>Tributary.Broker</c> and as numbers to read. Callable from any thread.
/// </summary>
public sealed class GroupMetrics : IDisposable
{
    private static readonly GroupState[] States = Enum.GetValues<GroupState>();
    private readonly Meter _meter = new(BrokerMetrics.MeterName);
    private readonly Counter<long> _startedCounter;
    private readonly Counter<long> _completedCounter;
    private readonly Histogram<double> _rebalanceDurations;
    private readonly Counter<long> _expiredMembersCounter;
    private readonly Counter<long> _expiredOffsetsCounter;
    private readonly Counter<long> _commitCounter;
    private readonly Counter<long> _committedOffsetsCounter;
    private readonly Counter<long> _writeCounter;
    private readonly Histogram<double> _commitDurations;
    private readonly Counter<long> _refusalCounter;
    private readonly long[] _started = new long[Enum.GetValues<RebalanceReason>().Length];
    private readonly long[] _refused = new long[Enum.GetValues<GroupRefusal>().Length];
    private long _completed;
    private long _members;
    private long _expiredMembers;
    private long _expiredOffsets;
    private long _commits;
    private long _committedOffsets;
    private long _writes;

    /// <param name="directory">Where hosts say what their groups do.</param>
    /// <param name="memory">What groups hold.</param>
    internal GroupMetrics(GroupDirectory directory, GroupMemory memory)
    {
        Memory = memory;
        _meter.CreateObservableGauge(
            "tributary.broker.groups", () => States.Select(state => new Measurement<long>(
                directory.CountOf(state), new KeyValuePair<string, object?>("state", state.ToString()))),
            "{group}", "Consumer groups in memory, by state.");
        _meter.CreateObservableGauge("tributary.broker.group_members", () => Members, "{member}", "Members of consumer groups.");
        _meter.CreateObservableGauge("tributary.broker.group_memory", () => memory.Held, "By", "What consumer groups hold in memory, about.");
        _startedCounter = _meter.CreateCounter<long>(
            "tributary.broker.group_rebalances_started", "{rebalance}", "Rebalances of groups of the classic protocol that began, by reason.");
        _completedCounter = _meter.CreateCounter<long>(
            "tributary.broker.group_rebalances_completed", "{rebalance}", "Rebalances that ended: all members have their assignments, or all are gone.");
        _rebalanceDurations = _meter.CreateHistogram<double>(
            "tributary.broker.group_rebalance_duration", "s", "Time from a rebalance's beginning to its end.");
        _expiredMembersCounter = _meter.CreateCounter<long>(
            "tributary.broker.group_members_expired", "{member}", "Members that were removed since they weren't heard of in time.");
        _expiredOffsetsCounter = _meter.CreateCounter<long>(
            "tributary.broker.group_offsets_expired", "{offset}", "Committed offsets that were kept no longer.");
        _commitCounter = _meter.CreateCounter<long>("tributary.broker.group_commits", "{commit}", "Commits that were stored.");
        _committedOffsetsCounter = _meter.CreateCounter<long>("tributary.broker.group_offsets_committed", "{offset}", "Offsets in these commits.");
        _writeCounter = _meter.CreateCounter<long>(
            "tributary.broker.group_writes", "{write}", "Stored writes of groups; one serves all commits that came during the one before.");
        _commitDurations = _meter.CreateHistogram<double>(
            "tributary.broker.group_commit_duration", "s", "Time from a commit to its being stored.");
        _refusalCounter = _meter.CreateCounter<long>(
            "tributary.broker.group_refusals", "{refusal}", "What was refused to groups since it is beyond a limit, by reason.");
    }

    /// <summary>What groups hold.</summary>
    public GroupMemory Memory { get; }

    /// <summary>Rebalances that were completed.</summary>
    public long RebalancesCompleted => Interlocked.Read(ref _completed);

    /// <summary>Members of all groups in memory.</summary>
    public long Members => Interlocked.Read(ref _members);

    /// <summary>Members that were removed since they weren't heard of.</summary>
    public long ExpiredMembers => Interlocked.Read(ref _expiredMembers);

    /// <summary>Offsets that were kept no longer.</summary>
    public long ExpiredOffsets => Interlocked.Read(ref _expiredOffsets);

    /// <summary>Commits that were stored.</summary>
    public long Commits => Interlocked.Read(ref _commits);

    /// <summary>Offsets in these commits.</summary>
    public long CommittedOffsets => Interlocked.Read(ref _committedOffsets);

    /// <summary>Writes of groups that were stored.</summary>
    public long Writes => Interlocked.Read(ref _writes);

    /// <summary>Rebalances that began for this reason.</summary>
    public long RebalancesStarted(RebalanceReason reason) => Interlocked.Read(ref _started[(int)reason]);

    /// <summary>What was refused for this reason.</summary>
    public long Refused(GroupRefusal reason) => Interlocked.Read(ref _refused[(int)reason]);

    /// <inheritdoc/>
    public void Dispose() => _meter.Dispose();

    internal void Count(GroupEvent happened)
    {
        switch (happened.Kind)
        {
            case GroupEventKind.RebalanceStarted:
                Interlocked.Increment(ref _started[(int)happened.Reason]);
                _startedCounter.Add(1, new KeyValuePair<string, object?>("reason", happened.Reason.ToString()));
                break;
            case GroupEventKind.RebalanceCompleted:
                Interlocked.Increment(ref _completed);
                _completedCounter.Add(1);
                _rebalanceDurations.Record(happened.Milliseconds / 1000.0);
                break;
            case GroupEventKind.MemberExpired:
                Interlocked.Increment(ref _expiredMembers);
                _expiredMembersCounter.Add(1);
                break;
        }
    }

    internal void Refuse(GroupRefusal reason)
    {
        Interlocked.Increment(ref _refused[(int)reason]);
        _refusalCounter.Add(1, new KeyValuePair<string, object?>("reason", reason.ToString()));
    }

    internal void MembersChanged(int change) => Interlocked.Add(ref _members, change);

    internal void Committed(int offsets, TimeSpan duration)
    {
        Interlocked.Increment(ref _commits);
        Interlocked.Add(ref _committedOffsets, offsets);
        _commitCounter.Add(1);
        _committedOffsetsCounter.Add(offsets);
        _commitDurations.Record(duration.TotalSeconds);
    }

    internal void Written()
    {
        Interlocked.Increment(ref _writes);
        _writeCounter.Add(1);
    }

    internal void OffsetsExpired(int offsets)
    {
        Interlocked.Add(ref _expiredOffsets, offsets);
        _expiredOffsetsCounter.Add(offsets);
    }
}

/// <summary>What happened in a group that is worth counting.</summary>
internal enum GroupEventKind
{
    RebalanceStarted,
    RebalanceCompleted,
    MemberExpired,
}

/// <summary>Something that happened in a group.</summary>
/// <param name="Kind">What.</param>
/// <param name="Reason">Why a rebalance started.</param>
/// <param name="Milliseconds">How long one took.</param>
internal readonly record struct GroupEvent(GroupEventKind Kind, RebalanceReason Reason = default, long Milliseconds = 0);
