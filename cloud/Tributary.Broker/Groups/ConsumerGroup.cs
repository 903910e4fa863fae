using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Groups;

/// <summary>
/// A consumer group of the classic protocol: a pure state machine. It is given events with the time, and keeps what is to be done for its
/// host to take: answers (<see cref="TryTakeAnswer"/>), a record to store (<see cref="Unstored"/>), a time to be woken
/// (<see cref="NextDeadline"/>). It reads no clock, waits for nothing and is not thread-safe.
/// </summary>
/// <remarks>
/// Invariants. A generation has one leader, one protocol that all its members support, and one assignment for each member; generations
/// only rise. A member is told its assignment only when the record with all assignments is stored, so after a crash the group goes on in
/// the last generation that anybody worked in: its members are there and needn't join again. Whoever joined a later one is told
/// ILLEGAL_GENERATION or UNKNOWN_MEMBER_ID and joins again. Whoever left isn't there again: that is stored too, with the generation's end. Each change of membership starts at most one rebalance; whatever comes while
/// one is prepared becomes part of it. A rebalance ends: members that don't join in time are removed (static ones stay, until their
/// session times out), and so are those that don't sync in time.
/// <para>The rules are Kafka's. One goes further: a static member that comes back to a stable group with other topics than before starts
/// a rebalance, which Kafka leaves to whoever notices.</para>
/// </remarks>
internal sealed partial class ConsumerGroup : IGroupMachine
{
    /// <summary>Never.</summary>
    public const long Never = long.MaxValue;

    private const short MemberIdRequiredSince = 4;
    private const short SkipsAssignmentSince = 9;

    /// <summary>How long a member that doesn't know its id yet may wait for its first generation, as in Kafka. It asks again.</summary>
    private const long NewMemberJoinMs = 5 * 60 * 1000;

    private const long MinRebalanceMs = 1000;

    private readonly GroupOptions _options;
    private readonly Dictionary<string, GroupMember> _members = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string> _statics = new(StringComparer.Ordinal);

    /// <summary>Ids that were handed out and not joined with yet, and until when they may be.</summary>
    private readonly Dictionary<string, long> _pending = new(StringComparer.Ordinal);

    /// <summary>Members that have joined this generation and not asked for their assignment.</summary>
    private readonly HashSet<string> _unsynced = new(StringComparer.Ordinal);

    /// <summary>How many members support a protocol.</summary>
    private readonly Dictionary<string, int> _support = new(StringComparer.Ordinal);
    private readonly Queue<GroupAnswer> _answers = new();
    private readonly Queue<GroupEvent> _events = new();
    private readonly Queue<(long Number, Action<Moment> Then)> _afterStore = new();
    private HashSet<string>? _subscribed;

    /// <summary>What is stored, or will be next.</summary>
    private GroupRecord? _latest;
    private long _bytes;
    private long _assignmentBytes;
    private long _rebalanceBegan;
    private int _joining;
    private long _rebalanceDeadline = Never;
    private long _syncDeadline = Never;
    private bool _isInitial;
    private long _initialMsLeft;
    private bool _memberCame;
    private bool _isAssigning;

    /// <summary>Makes a group as it was stored, or an empty one. Sessions of its members begin now.</summary>
    public ConsumerGroup(GroupOptions options, GroupRecord? stored, Moment now)
    {
        _options = options;
        Since = now.Unix;
        _latest = stored;
        if (stored is null)
        {
            return;
        }
        (Generation, ProtocolType, Protocol, Leader, Since) =
            (stored.Generation, stored.ProtocolType, stored.Protocol, stored.Leader, stored.Since);
        foreach (GroupMemberRecord record in stored.Members)
        {
            GroupMember member = GroupMember.From(record);
            Add(member);
            Touch(now, member);
        }
        State = _members.Count > 0 ? GroupState.Stable : GroupState.Empty;
        _subscribed = FindSubscribed();
        if (stored.IsOver)
        {
            PrepareRebalance(now, RebalanceReason.ProtocolChanged);
        }
    }

    /// <summary>Makes a group that goes on where one of another protocol was.</summary>
    /// <param name="options">Limits and times.</param>
    /// <param name="record">Where it was; it is to be stored.</param>
    /// <param name="lastNumber">Number of the last record that was to be stored of the group.</param>
    /// <param name="now">Now.</param>
    public static ConsumerGroup Continue(GroupOptions options, GroupRecord record, long lastNumber, Moment now) =>
        new(options, record, now) { Unstored = record, UnstoredNumber = lastNumber + 1 };

    public GroupState State { get; private set; }

    public int Generation { get; private set; }

    public string? ProtocolType { get; private set; }

    public string? Protocol { get; private set; }

    public string? Leader { get; private set; }

    /// <summary>When the state that is stored began, Unix milliseconds.</summary>
    public long Since { get; private set; }

    public IReadOnlyCollection<GroupMember> Members => _members.Values;

    /// <inheritdoc/>
    public int MemberCount => _members.Count;

    /// <summary>Every member has joined the generation and asked for its assignment, and nothing waits to be stored.</summary>
    /// <param name="returning">Name of a static member that is coming back: it needn't have.</param>
    public bool IsAtRest(string? returning) => Unstored is null && _afterStore.Count == 0 && _answers.Count == 0
        && (State == GroupState.Empty
            || (State == GroupState.Stable && _unsynced.Count == 0 && !_members.Values.Any(member => member.IsAbsent && member.InstanceId != returning)));

    /// <summary>Nobody is in it or about to be.</summary>
    public bool IsVacant => State == GroupState.Empty && _pending.Count == 0;

    /// <summary>Rebalances that were begun.</summary>
    public long Rebalances { get; private set; }

    /// <summary>No earlier than this there is something to do; call <see cref="Tick"/> then.</summary>
    public long NextDeadline { get; private set; } = Never;

    /// <summary>What must be stored; the latest replaces those before it. <see cref="Stored"/> takes its number.</summary>
    public GroupRecord? Unstored { get; private set; }

    /// <summary>Number of <see cref="Unstored"/>.</summary>
    public long UnstoredNumber { get; private set; }

    /// <inheritdoc/>
    public long Bytes => _bytes + _assignmentBytes + (_pending.Count * GroupMemory.PendingIdBytes);

    /// <inheritdoc/>
    public long GrowthBy(JoinGroupRequest request, GroupCaller caller) => GroupMember.BytesOf(request, caller)
        - (_members.TryGetValue(request.MemberId, out GroupMember? known) ? known.Bytes : -GroupMemory.PendingIdBytes);

    /// <inheritdoc/>
    public long GrowthBy(SyncGroupRequest request) =>
        request.MemberId == Leader && State == GroupState.CompletingRebalance ? SizeOf(request) - _assignmentBytes : 0;

    public bool TryTakeEvent(out GroupEvent happened) => _events.TryDequeue(out happened);

    public bool TryTakeAnswer(out GroupAnswer answer) => _answers.TryDequeue(out answer);

    /// <summary>A record is durable, and with it those of lower numbers.</summary>
    public void Stored(Moment now, long number)
    {
        if (number == UnstoredNumber)
        {
            Unstored = null;
        }
        while (_afterStore.TryPeek(out (long Number, Action<Moment> Then) next) && next.Number <= number)
        {
            _afterStore.Dequeue().Then(now);
        }
    }

    /// <summary>A member joins. The answer to the token comes at once, or when the next generation begins.</summary>
    /// <param name="now">Now.</param>
    /// <param name="request">The request; what is kept of it is copied.</param>
    /// <param name="caller">Who sends it.</param>
    /// <param name="newMemberId">An id that nobody had before, for a member without one.</param>
    /// <param name="token">Not 0.</param>
    public void Join(Moment now, JoinGroupRequest request, GroupCaller caller, string newMemberId, long token)
    {
        ErrorCode error = CheckJoin(request, caller);
        if (error == ErrorCode.None)
        {
            error = request.MemberId.Length == 0
                ? JoinWithoutId(now, request, caller, newMemberId, token)
                : JoinWithId(now, request, caller, token);
        }
        if (error != ErrorCode.None)
        {
            _answers.Enqueue(new GroupAnswer(token, Refusal(error, request.MemberId), null));
        }
        TryCompleteJoin(now);
    }

    /// <summary>A member asks for its assignment, the leader brings everybody's. The answer comes when they are stored.</summary>
    public void Sync(Moment now, SyncGroupRequest request, long token)
    {
        ErrorCode error = Validate(request.MemberId, request.GroupInstanceId, out GroupMember? member);
        error = error != ErrorCode.None ? error
            : request.GenerationId != Generation ? ErrorCode.IllegalGeneration
            : IsOther(request.ProtocolType, ProtocolType) || IsOther(request.ProtocolName, Protocol) ? ErrorCode.InconsistentGroupProtocol
            : State == GroupState.PreparingRebalance ? ErrorCode.RebalanceInProgress
            : ErrorCode.None;
        if (error != ErrorCode.None)
        {
            _answers.Enqueue(new GroupAnswer(token, null, new SyncGroupResponse { ErrorCode = error }));
            return;
        }
        AnswerSync(member!, ErrorCode.RebalanceInProgress); // its earlier request, whose client waits no more
        member!.SyncToken = token;
        if (_unsynced.Remove(member.Id) && _unsynced.Count == 0)
        {
            _syncDeadline = Never;
        }
        if (State == GroupState.Stable)
        {
            AnswerSync(member, ErrorCode.None);
            Touch(now, member);
        }
        else if (member.Id == Leader && !_isAssigning)
        {
            Assign(now, request);
        }
    }

    /// <summary>A member lives.</summary>
    public ErrorCode Heartbeat(Moment now, HeartbeatRequest request)
    {
        ErrorCode error = Validate(request.MemberId, request.GroupInstanceId, out GroupMember? member);
        if (error != ErrorCode.None || request.GenerationId != Generation)
        {
            return error != ErrorCode.None ? error : ErrorCode.IllegalGeneration;
        }
        Touch(now, member!);
        return State == GroupState.PreparingRebalance ? ErrorCode.RebalanceInProgress : ErrorCode.None;
    }

    /// <summary>
    /// A member leaves, or an administrator takes a static one out by its name alone. It may be told so when what is
    /// <see cref="Unstored"/> is stored: else a crash would bring it back, and everybody would wait for its session to time out.
    /// </summary>
    public ErrorCode Leave(Moment now, string memberId, string? instanceId)
    {
        if (memberId.Length == 0)
        {
            if (instanceId is null || !_statics.TryGetValue(instanceId, out string? found))
            {
                return ErrorCode.UnknownMemberId;
            }
            memberId = found;
        }
        else if (_pending.Remove(memberId))
        {
            TryCompleteJoin(now);
            return ErrorCode.None;
        }
        ErrorCode error = Validate(memberId, instanceId, out GroupMember? member);
        if (error == ErrorCode.None)
        {
            RemoveAndRebalance(now, member!, RebalanceReason.MemberLeft);
            StoreWithout(now, member!);
        }
        return error;
    }

    /// <summary>Says whether a commit may be stored, and takes it for a sign of life.</summary>
    public ErrorCode CheckCommit(Moment now, OffsetCommitRequest request, bool isTransactional = false)
    {
        if (request.GenerationId < 0 && State == GroupState.Empty)
        {
            return ErrorCode.None; // a consumer that assigns itself and only keeps its offsets here
        }
        if (isTransactional && request is { GenerationId: < 0, MemberId: "", GroupInstanceId: null })
        {
            return ErrorCode.None; // a producer that doesn't tell of its consumer, as all did before KIP-447
        }
        ErrorCode error = Validate(request.MemberId, request.GroupInstanceId, out GroupMember? member);
        if (error != ErrorCode.None)
        {
            return error;
        }
        if (request.GenerationId != Generation)
        {
            return ErrorCode.IllegalGeneration;
        }
        if (State == GroupState.CompletingRebalance && !isTransactional)
        {
            return ErrorCode.RebalanceInProgress;
        }
        Touch(now, member!);
        return ErrorCode.None;
    }

    /// <summary>Whether members read a topic, as far as can be told: what isn't understood may be anything.</summary>
    public bool MayRead(string topic) => _members.Count > 0 && (_subscribed is null || _subscribed.Contains(topic));

    /// <summary>Whether it is known which topics the members read.</summary>
    public bool KnowsSubscriptions => _subscribed is not null;

    /// <summary>Does what time has come for.</summary>
    public void Tick(Moment now)
    {
        foreach (string late in _pending.Where(pending => pending.Value <= now.Elapsed).Select(pending => pending.Key).ToArray())
        {
            _pending.Remove(late);
        }
        foreach (GroupMember late in _members.Values.Where(member => IsLate(now, member)).ToArray())
        {
            if (IsLate(now, late) && _members.ContainsKey(late.Id)) // the removal of another one may have begun the next generation
            {
                _events.Enqueue(new GroupEvent(GroupEventKind.MemberExpired));
                RemoveAndRebalance(now, late, RebalanceReason.MemberExpired);
            }
        }
        if (_syncDeadline <= now.Elapsed)
        {
            ExpelUnsynced(now);
        }
        if (State == GroupState.PreparingRebalance && _rebalanceDeadline <= now.Elapsed)
        {
            EndWait(now);
        }
        TryCompleteJoin(now);
        NextDeadline = Math.Min(_syncDeadline, State == GroupState.PreparingRebalance ? _rebalanceDeadline : Never);
        foreach (long deadline in _pending.Values)
        {
            WakeBy(deadline);
        }
        foreach (GroupMember member in _members.Values.Where(member => CanBeLate(member)))
        {
            WakeBy(member.Deadline);
        }
    }

    private static bool IsOther(string? said, string? known) => said is not null && known is not null && said != known;

    private static bool CanBeLate(GroupMember member) => !member.IsWaiting || (member.IsNew && member.JoinToken != 0);

    private static bool IsLate(Moment now, GroupMember member) => CanBeLate(member) && member.Deadline <= now.Elapsed;

    private static JoinGroupResponse Refusal(ErrorCode error, string memberId) =>
        new() { ErrorCode = error, MemberId = memberId, ProtocolName = "" };

    private JoinGroupResponse Current(GroupMember member) => new()
    {
        GenerationId = Generation,
        ProtocolType = ProtocolType,
        ProtocolName = Protocol,
        Leader = Leader!,
        MemberId = member.Id,
        Members = member.Id != Leader ? [] :
        [
            .. _members.Values.Select(one => new JoinGroupResponse.JoinGroupResponseMember
            {
                MemberId = one.Id,
                GroupInstanceId = one.InstanceId,
                Metadata = one.MetadataOf(Protocol!),
            }),
        ],
    };

    private ErrorCode Validate(string memberId, string? instanceId, out GroupMember? member)
    {
        member = null;
        if (instanceId is not null)
        {
            if (!_statics.TryGetValue(instanceId, out string? current))
            {
                return ErrorCode.UnknownMemberId;
            }
            if (current != memberId)
            {
                return ErrorCode.FencedInstanceId;
            }
        }
        return _members.TryGetValue(memberId, out member) ? ErrorCode.None : ErrorCode.UnknownMemberId;
    }
}
