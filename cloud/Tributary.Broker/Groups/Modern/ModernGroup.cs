using Tributary.Broker.Metadata;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Groups.Modern;

/// <summary>
/// A consumer group of the newer protocol (KIP-848), in which the server assigns partitions and members follow by heartbeats: a pure state
/// machine as <see cref="IGroupMachine"/> says. Members of the classic protocol may be in it while a group moves from one to the other.
/// </summary>
/// <remarks>
/// Invariants. A partition is on the books of one member at most: what it may use and what it has still to give up. The group's epoch
/// rises with each change of members, subscriptions and topics, and targets are made anew by the next request that needs them; members
/// come into the epoch of the targets one by one, each in its own request (<see cref="Reconciliation"/>), and never go back, but for one
/// that joins again. A member is told its epoch and its partitions only when the record with them is stored, so after a crash it goes on
/// where it was; what it had not been told may be undone. A commit counts only in the epoch that the member is in. Who isn't heard of
/// for the session timeout, or doesn't give up in its rebalance timeout what it has to, is removed.
/// <para>The rules are Kafka's, with these differences. A request of a member of a group that doesn't exist is answered with
/// UNKNOWN_MEMBER_ID, so that the member joins again, and not with GROUP_ID_NOT_FOUND, which ends clients. A static member that joins
/// again under the id that it has is not refused. Joining (epoch 0) sets all that a member says, and does not keep what is left out. A member
/// is told its partitions until it says that it has just them, and not once: clients that lose the answer don't all ask again (librdkafka
/// doesn't), and would keep what others wait for until the rebalance timeout.
/// Kafka's own hole is kept: what a member says that it has is believed, so one that was told of a partition and hasn't taken it yet, as when the
/// answer was lost on its way, is taken not to have it when the partition moves on, and may read it until it is answered next.</para>
/// </remarks>
internal sealed partial class ModernGroup : IGroupMachine
{
    private const int LeaveEpoch = -1;

    private readonly GroupOptions _options;
    private readonly Dictionary<string, ModernMember> _members = new(StringComparer.Ordinal);
    private readonly Dictionary<string, ModernMember> _statics = new(StringComparer.Ordinal);

    /// <summary>Ids that were handed out and not joined with yet, and until when they may be.</summary>
    private readonly Dictionary<string, long> _promised = new(StringComparer.Ordinal);

    /// <summary>On whose books a partition is.</summary>
    private readonly Dictionary<AssignedPartition, ModernMember> _owners = [];
    private readonly Queue<GroupAnswer> _answers = new();
    private readonly Queue<GroupEvent> _events = new();

    /// <summary>Answers and the numbers of the records that must be stored before they are given.</summary>
    private readonly List<(long Number, GroupAnswer Answer)> _untold = [];
    private long _storedNumber;
    private GroupRecord? _unstored;
    private GroupState? _state;
    private long _bytes;

    /// <summary>A partition on the books: in what a member has, what it shall have, and among the owners.</summary>
    private const long PartitionBytes = 256;

    /// <summary>Makes a group as it was stored, or one that begins where a group of the classic protocol is. Sessions begin now.</summary>
    /// <param name="options">Limits and times.</param>
    /// <param name="stored">What was stored; without a record of this protocol it is a group without members.</param>
    /// <param name="lastNumber">Number of the last record that was to be stored of the group.</param>
    /// <param name="now">Now.</param>
    public ModernGroup(GroupOptions options, GroupRecord stored, long lastNumber, Moment now)
    {
        _options = options;
        (UnstoredNumber, _storedNumber) = (lastNumber, lastNumber);
        Since = stored.Since;
        ModernGroupRecord record = stored.Modern
            ?? new ModernGroupRecord { Epoch = stored.Generation, TargetEpoch = stored.Generation };
        (Generation, TargetEpoch, _topicsHash) = (record.Epoch, record.TargetEpoch, record.TopicsHash);
        foreach (ModernMember member in record.Members.Select(ModernMember.From))
        {
            Add(member);
            Book(member);
            Touch(now, member);
            if (member.State == MemberState.Revoking)
            {
                ExpectRebalance(now, member);
            }
        }
    }

    /// <inheritdoc/>
    public GroupState State => _state ??= FindState();

    /// <inheritdoc/>
    public string ProtocolType => ConsumerSubscription.ProtocolType;

    /// <inheritdoc/>
    public int Generation { get; private set; }

    /// <summary>The group's epoch that the targets are of.</summary>
    public int TargetEpoch { get; private set; }

    /// <inheritdoc/>
    public int MemberCount => _members.Count;

    public IReadOnlyCollection<ModernMember> Members => _members.Values;

    /// <inheritdoc/>
    public long Since { get; private set; }

    /// <inheritdoc/>
    public bool IsVacant => _members.Count == 0 && _promised.Count == 0;

    /// <inheritdoc/>
    public bool KnowsSubscriptions => true;

    /// <inheritdoc/>
    public long NextDeadline { get; private set; } = ConsumerGroup.Never;

    /// <inheritdoc/>
    public GroupRecord? Unstored => UnstoredNumber == _storedNumber ? null : _unstored ??= ToRecord();

    /// <inheritdoc/>
    public long UnstoredNumber { get; private set; }

    /// <summary>Which assignor the most members want; the default if none wants any.</summary>
    public IPartitionAssignor Assignor =>
        _members.Values.Where(member => member.Assignor is not null)
            .GroupBy(member => member.Assignor!, StringComparer.Ordinal)
            .OrderByDescending(votes => votes.Count()).ThenBy(votes => votes.Key, StringComparer.Ordinal)
            .Select(votes => PartitionAssignors.Find(votes.Key)).FirstOrDefault() ?? PartitionAssignors.Default;

    /// <inheritdoc/>
    public long Bytes => _bytes + (PartitionBytes * _owners.Count) + (GroupMemory.PendingIdBytes * _promised.Count);

    /// <summary>By how much a group may grow with what a member says of itself, bytes; null for one that isn't of this protocol yet.</summary>
    public static long GrowthBy(ModernGroup? group, ConsumerGroupHeartbeatRequest request, GroupCaller caller) => request.MemberEpoch < 0
        ? 0
        : ModernMember.BytesOf(
            request.MemberId, request.InstanceId, request.RackId, caller.ClientId, request.SubscribedTopicNames ?? [], request.SubscribedTopicRegex ?? "", [])
            - (group?._members.GetValueOrDefault(request.MemberId)?.Bytes ?? 0);

    /// <inheritdoc/>
    public long GrowthBy(JoinGroupRequest request, GroupCaller caller) => GroupMember.BytesOf(request, caller)
        - (_members.GetValueOrDefault(request.MemberId)?.Bytes ?? -GroupMemory.PendingIdBytes);

    /// <inheritdoc/>
    public long GrowthBy(SyncGroupRequest request) => 0; // what members are assigned is the group's own work

    /// <inheritdoc/>
    public bool TryTakeEvent(out GroupEvent happened) => _events.TryDequeue(out happened);

    /// <inheritdoc/>
    public bool TryTakeAnswer(out GroupAnswer answer) => _answers.TryDequeue(out answer);

    /// <inheritdoc/>
    public void Stored(Moment now, long number)
    {
        _storedNumber = Math.Max(_storedNumber, Math.Min(number, UnstoredNumber));
        int told = 0;
        while (told < _untold.Count && _untold[told].Number <= _storedNumber)
        {
            _answers.Enqueue(_untold[told++].Answer);
        }
        _untold.RemoveRange(0, told);
    }

    /// <summary>A member joins, lives, or leaves. The answer to the token comes when what it tells is stored.</summary>
    /// <param name="now">Now.</param>
    /// <param name="request">A valid request (<see cref="HeartbeatRules"/>).</param>
    /// <param name="caller">Who sends it.</param>
    /// <param name="newMemberId">An id that nobody had before, for a member without one.</param>
    /// <param name="token">Not 0.</param>
    public void Heartbeat(Moment now, ConsumerGroupHeartbeatRequest request, GroupCaller caller, string newMemberId, long token)
    {
        ErrorCode error = request.MemberEpoch < 0
            ? Leave(now, request, token)
            : FindOrJoin(request, caller, newMemberId, out ModernMember? member) is not ErrorCode.None and var refusal
                ? refusal
                : Live(now, request, caller, member!, token);
        if (error != ErrorCode.None)
        {
            Refuse(token, error, request);
        }
    }

    /// <summary>Says whether a commit may be stored.</summary>
    public ErrorCode CheckCommit(OffsetCommitRequest request, short version, bool isTransactional = false)
    {
        if (request.GenerationId < 0 && _members.Count == 0)
        {
            return ErrorCode.None; // a consumer that assigns itself and only keeps its offsets here
        }
        if (isTransactional && request is { GenerationId: < 0, MemberId: "", GroupInstanceId: null })
        {
            return ErrorCode.None; // a producer that doesn't tell of its consumer, as all did before KIP-447
        }
        if (!_members.TryGetValue(request.MemberId, out ModernMember? member))
        {
            return ErrorCode.UnknownMemberId;
        }
        return !member.IsClassic && !isTransactional && version < EpochsSince ? ErrorCode.UnsupportedVersion : CheckEpoch(member, request.GenerationId);
    }

    /// <summary>Says whether a member may read offsets; whoever names no member may.</summary>
    public ErrorCode CheckFetch(string? memberId, int epoch) =>
        memberId is null && epoch < 0 ? ErrorCode.None
        : !_members.TryGetValue(memberId ?? "", out ModernMember? member) ? ErrorCode.UnknownMemberId
        : CheckEpoch(member, epoch);

    /// <inheritdoc/>
    public bool MayRead(string topic) => _subscriptions.Has(topic);

    /// <inheritdoc/>
    public void Tick(Moment now)
    {
        foreach (ModernMember late in _members.Values.Where(member => DeadlineOf(member) <= now.Elapsed).ToArray())
        {
            _events.Enqueue(new GroupEvent(GroupEventKind.MemberExpired));
            Remove(now, late);
        }
        foreach (string late in _promised.Where(promise => promise.Value <= now.Elapsed).Select(promise => promise.Key).ToArray())
        {
            _promised.Remove(late);
        }
        NextDeadline = _members.Values.Select(DeadlineOf).Concat(_promised.Values).DefaultIfEmpty(ConsumerGroup.Never).Min();
    }

    /// <summary>The first version of the offset APIs that knows epochs of members.</summary>
    private const short EpochsSince = 9;

    private static long DeadlineOf(ModernMember member) => Math.Min(member.SessionDeadline, member.RebalanceDeadline);

    private static ErrorCode CheckEpoch(ModernMember member, int epoch) =>
        epoch == member.Epoch ? ErrorCode.None : member.IsClassic ? ErrorCode.IllegalGeneration : ErrorCode.StaleMemberEpoch;

    /// <summary>Finds who sends a heartbeat, or makes a member of it that isn't in the books yet.</summary>
    private ErrorCode FindOrJoin(ConsumerGroupHeartbeatRequest request, GroupCaller caller, string newMemberId, out ModernMember? member)
    {
        string id = request.MemberId.Length == 0 ? newMemberId : request.MemberId;
        member = _members.GetValueOrDefault(id);
        ModernMember? named = request.InstanceId is { } instance ? _statics.GetValueOrDefault(instance) : null;
        if (request.MemberEpoch > 0)
        {
            ErrorCode error = request.InstanceId is not null && named is null ? ErrorCode.UnknownMemberId
                : named is not null && named.Id != id ? ErrorCode.FencedInstanceId
                : member is null ? ErrorCode.UnknownMemberId
                : ErrorCode.None;
            return error != ErrorCode.None ? error : CheckHeartbeat(member!, request);
        }
        if (named is not null && named != member)
        {
            ErrorCode error = member is not null ? ErrorCode.FencedInstanceId // its id is another member's
                : !named.IsClassic && !named.IsAway ? ErrorCode.UnreleasedInstanceId
                : CheckFit(named, id, request, caller, request.SubscribedTopicNames ?? [], request.SubscribedTopicRegex ?? "");
            member = error == ErrorCode.None ? Replace(named, id) : null;
            return error;
        }
        if (member is null)
        {
            if (_members.Count >= _options.ConsumerMaxMembers)
            {
                return ErrorCode.GroupMaxSizeReached;
            }
            member = new ModernMember { Id = id, InstanceId = request.InstanceId };
        }
        return ErrorCode.None;
    }

    /// <summary>
    /// Whether a member is in the epoch that it says. The one before will do for one that may not have heard the answer: it has nothing that
    /// it shall not have.
    /// </summary>
    private static ErrorCode CheckHeartbeat(ModernMember member, ConsumerGroupHeartbeatRequest request)
    {
        bool isCurrent = request.MemberEpoch == member.Epoch
            || (request.MemberEpoch == member.PreviousEpoch && request.MemberEpoch < member.Epoch
                && Owned(request) is { } owned && owned.IsSubsetOf(member.Assigned));
        return isCurrent ? ErrorCode.None : ErrorCode.FencedMemberEpoch;
    }

    /// <summary>
    /// Says whether the group may hold what a member says of itself; that of a static member which comes back under another id too.
    /// </summary>
    private ErrorCode CheckFit(
        ModernMember member, string id, ConsumerGroupHeartbeatRequest request, GroupCaller caller, string[] topics, string pattern)
    {
        long bytes = ModernMember.BytesOf(id, member.InstanceId, request.RackId, caller.ClientId, topics, pattern, []);
        long others = _bytes - (_members.ContainsKey(member.Id) ? member.Bytes : 0);
        return bytes > _options.MaxMemberBytes || others + bytes > _options.MaxGroupBytes ? ErrorCode.PolicyViolation
            : _subscriptions.WouldExceed(pattern, _options.ConsumerMaxExpressions, member.Subscription) ? ErrorCode.InvalidRegularExpression
            : ErrorCode.None;
    }

    private static HashSet<AssignedPartition>? Owned(ConsumerGroupHeartbeatRequest request) => request.TopicPartitions is null
        ? null
        : [.. request.TopicPartitions.SelectMany(topic => topic.Partitions.Select(partition => new AssignedPartition(topic.TopicId, partition)))];

    private ErrorCode Live(Moment now, ConsumerGroupHeartbeatRequest request, GroupCaller caller, ModernMember member, long token)
    {
        bool joins = request.MemberEpoch == 0;
        string[] topics = request.SubscribedTopicNames is { } names ? Sorted(names) : joins ? [] : member.Topics;
        string pattern = request.SubscribedTopicRegex ?? (joins ? "" : member.Pattern);
        bool isMember = _members.ContainsKey(member.Id);
        ErrorCode unfit = CheckFit(member, member.Id, request, caller, topics, pattern);
        if (unfit != ErrorCode.None)
        {
            return unfit;
        }
        bool hasChanged = Say(member, request, caller, topics, pattern, out bool readsOther);
        if (!isMember)
        {
            Add(member);
            hasChanged = true;
        }
        if (hasChanged)
        {
            Change(member);
        }
        HashSet<AssignedPartition>? owned = Owned(request);
        bool hasMoved = Follow(now, member, readsOther || (Generation == 0), owned);
        member.IsHeard = owned?.SetEquals(member.Assigned) ?? (member.IsHeard && !hasMoved);
        Touch(now, member);
        bool isWhole = request.RebalanceTimeoutMs != -1 && request.TopicPartitions is not null
            && (request.SubscribedTopicNames is not null || request.SubscribedTopicRegex is not null);
        Tell(member, new GroupAnswer(token) { Heard = Answer(member, joins || isWhole || !member.IsHeard) });
        return ErrorCode.None;
    }

    /// <summary>Takes over what a member says of itself.</summary>
    /// <returns>Whether that is anything new.</returns>
    private bool Say(
        ModernMember member, ConsumerGroupHeartbeatRequest request, GroupCaller caller, string[] topics, string pattern, out bool readsOther)
    {
        bool joins = request.MemberEpoch == 0;
        string? rack = request.RackId ?? (joins ? null : member.RackId);
        string? assignor = request.ServerAssignor ?? (joins ? null : member.Assignor);
        string? instance = request.InstanceId ?? member.InstanceId;
        int timeout = request.RebalanceTimeoutMs != -1 ? request.RebalanceTimeoutMs : member.RebalanceTimeoutMs;
        readsOther = !topics.AsSpan().SequenceEqual(member.Topics) || pattern != member.Pattern;
        bool isNew = readsOther || member.IsClassic
            || (rack, assignor, instance, timeout, caller.ClientId, caller.Host)
                != (member.RackId, member.Assignor, member.InstanceId, member.RebalanceTimeoutMs, member.ClientId, member.ClientHost);
        if (!isNew)
        {
            return false;
        }
        Uncount(member);
        (member.RackId, member.Assignor, member.InstanceId) = (rack, assignor, instance);
        (member.ClientId, member.ClientHost, member.RebalanceTimeoutMs) = (caller.ClientId, caller.Host, timeout);
        (member.Topics, member.Pattern, member.Classic) = (topics, pattern, null);
        Count(member);
        return true;
    }

    private ErrorCode Leave(Moment now, ConsumerGroupHeartbeatRequest request, long token)
    {
        ModernMember? named = request.InstanceId is { } instance ? _statics.GetValueOrDefault(instance) : null;
        if (request.InstanceId is not null && named is not null && named.Id != request.MemberId)
        {
            return ErrorCode.FencedInstanceId;
        }
        if (!_members.TryGetValue(request.MemberId, out ModernMember? member) || (request.InstanceId is not null && named is null))
        {
            return ErrorCode.UnknownMemberId;
        }
        if (request.MemberEpoch == LeaveEpoch)
        {
            Remove(now, member);
        }
        else
        {
            Unbook(member); // it has given up what it had to, since it has given up everything
            (member.Epoch, member.State, member.Revoking) = (ModernMember.AwayEpoch, MemberState.Stable, []);
            member.RebalanceDeadline = ConsumerGroup.Never;
            Book(member);
            Change(member);
        }
        Tell(UnstoredNumber, new GroupAnswer(token)
        {
            Heard = new ConsumerGroupHeartbeatResponse { MemberId = request.MemberId, MemberEpoch = request.MemberEpoch },
        });
        return ErrorCode.None;
    }

    private ConsumerGroupHeartbeatResponse Answer(ModernMember member, bool withAssignment) => new()
    {
        MemberId = member.Id,
        MemberEpoch = member.Epoch,
        HeartbeatIntervalMs = (int)_options.ConsumerHeartbeatInterval.TotalMilliseconds,
        Assignment = withAssignment
            ? new()
            {
                TopicPartitions =
                [
                    .. ModernMember.ByTopic(member.Assigned).Select(topic => new ConsumerGroupHeartbeatResponse.AssignedTopicPartitions
                    {
                        TopicId = topic.Topic,
                        Partitions = topic.Partitions,
                    }),
                ],
            }
            : null,
    };

    private void Refuse(long token, ErrorCode error, ConsumerGroupHeartbeatRequest request) => _answers.Enqueue(new GroupAnswer(token)
    {
        Heard = new ConsumerGroupHeartbeatResponse { ErrorCode = error, ErrorMessage = HeartbeatRules.Explain(error, request, _options) },
    });

    private void Tell(ModernMember member, GroupAnswer answer) => Tell(member.ChangedIn, answer);

    private void Tell(long number, GroupAnswer answer)
    {
        if (number <= _storedNumber)
        {
            _answers.Enqueue(answer);
            return;
        }
        int place = _untold.FindLastIndex(one => one.Number <= number) + 1;
        _untold.Insert(place, (number, answer));
    }
}
