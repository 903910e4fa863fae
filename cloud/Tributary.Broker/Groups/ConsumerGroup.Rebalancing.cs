using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Groups;

/// <content>How a generation is made, and the books on members that it needs.</content>
internal sealed partial class ConsumerGroup
{
    private void PrepareRebalance(Moment now, RebalanceReason reason)
    {
        if (State == GroupState.PreparingRebalance)
        {
            return;
        }
        _events.Enqueue(new GroupEvent(GroupEventKind.RebalanceStarted, reason));
        _rebalanceBegan = State == GroupState.CompletingRebalance ? _rebalanceBegan : now.Elapsed;
        AnswerSyncs(now, ErrorCode.RebalanceInProgress);
        _unsynced.Clear();
        _syncDeadline = Never;
        long timeout = RebalanceMs();
        _isInitial = State == GroupState.Empty;
        long wait = _isInitial ? (long)_options.InitialRebalanceDelay.TotalMilliseconds : timeout;
        _initialMsLeft = Math.Max(timeout - wait, 0);
        _memberCame = false;
        State = GroupState.PreparingRebalance;
        Rebalances++;
        WaitUntil(now.Elapsed + wait);
        TryCompleteJoin(now);
    }

    private void TryCompleteJoin(Moment now)
    {
        if (State == GroupState.PreparingRebalance && !_isInitial && _joining == _members.Count && _pending.Count == 0)
        {
            CompleteJoin(now);
        }
    }

    /// <summary>The time to join is over; a group that was empty waits on while members come, up to the rebalance timeout.</summary>
    private void EndWait(Moment now)
    {
        if (_isInitial && _memberCame && _initialMsLeft > 0)
        {
            long wait = Math.Min((long)_options.InitialRebalanceDelay.TotalMilliseconds, _initialMsLeft);
            _initialMsLeft -= wait;
            _memberCame = false;
            WaitUntil(now.Elapsed + wait);
            return;
        }
        CompleteJoin(now);
    }

    private void CompleteJoin(Moment now)
    {
        _isInitial = false;
        foreach (GroupMember absent in _members.Values.Where(member => member.JoinToken == 0 && !member.IsStatic).ToArray())
        {
            _events.Enqueue(new GroupEvent(GroupEventKind.MemberExpired));
            Remove(absent);
        }
        if (_members.Count > 0 && !HasLeader())
        {
            WaitUntil(now.Elapsed + Math.Max(RebalanceMs(), MinRebalanceMs)); // only static members that are away: their sessions end it
            return;
        }
        _isAssigning = false;
        _rebalanceDeadline = Never;
        Generation++;
        Protocol = _members.Count > 0 ? ChooseProtocol() : null;
        State = _members.Count > 0 ? GroupState.CompletingRebalance : GroupState.Empty;
        _subscribed = FindSubscribed();
        if (State == GroupState.Empty)
        {
            Leader = null;
            CountCompleted(now);
            Store(now, [], null);
            return;
        }
        _syncDeadline = now.Elapsed + Math.Max(RebalanceMs(), MinRebalanceMs);
        WakeBy(_syncDeadline);
        foreach (GroupMember member in _members.Values)
        {
            member.IsNew = false;
            member.IsAbsent = member.JoinToken == 0;
            Give(member, []);
            Touch(now, member);
            if (member.JoinToken != 0)
            {
                _unsynced.Add(member.Id);
                AnswerJoin(member, Current(member));
            }
        }
    }

    private bool HasLeader()
    {
        if (Leader is null || !_members.TryGetValue(Leader, out GroupMember? leader) || leader.JoinToken == 0)
        {
            Leader = _members.Values.FirstOrDefault(member => member.JoinToken != 0)?.Id;
        }
        return Leader is not null;
    }

    private void Assign(Moment now, SyncGroupRequest request)
    {
        if (SizeOf(request) > _options.MaxGroupBytes)
        {
            AnswerSyncs(now, ErrorCode.PolicyViolation);
            PrepareRebalance(now, RebalanceReason.AssignmentsTooLarge);
            return;
        }
        var assignments = new Dictionary<string, byte[]>(StringComparer.Ordinal);
        foreach (SyncGroupRequest.SyncGroupRequestAssignment one in request.Assignments)
        {
            assignments[one.MemberId] = one.Assignment.ToArray();
        }
        _isAssigning = true;
        int generation = Generation;
        Store(now, assignments, then =>
        {
            if (State == GroupState.CompletingRebalance && Generation == generation)
            {
                Finish(then, assignments);
            }
        });
    }

    private void Finish(Moment now, Dictionary<string, byte[]> assignments)
    {
        State = GroupState.Stable;
        CountCompleted(now);
        foreach (GroupMember member in _members.Values)
        {
            Give(member, assignments.GetValueOrDefault(member.Id) ?? []);
        }
        AnswerSyncs(now, ErrorCode.None);
    }

    /// <summary>Answers whoever waits for an assignment. They couldn't send heartbeats meanwhile, so their sessions begin anew.</summary>
    private void AnswerSyncs(Moment now, ErrorCode error)
    {
        foreach (GroupMember member in _members.Values.Where(member => member.SyncToken != 0))
        {
            AnswerSync(member, error);
            Touch(now, member);
        }
    }

    private void ExpelUnsynced(Moment now)
    {
        _syncDeadline = Never;
        foreach (string id in _unsynced.ToArray())
        {
            _events.Enqueue(new GroupEvent(GroupEventKind.MemberExpired));
            Remove(_members[id]);
        }
        _unsynced.Clear();
        PrepareRebalance(now, RebalanceReason.MembersUnsynced);
    }

    private void RemoveAndRebalance(Moment now, GroupMember member, RebalanceReason reason)
    {
        Remove(member);
        PrepareRebalance(now, reason);
        TryCompleteJoin(now);
    }

    private void Add(GroupMember member)
    {
        _members.Add(member.Id, member);
        if (member.InstanceId is { } instance)
        {
            _statics[instance] = member.Id;
        }
        Leader ??= member.Id;
        _assignmentBytes += member.Assignment.Length;
        Count(member, 1);
    }

    private void Remove(GroupMember member)
    {
        AnswerJoin(member, Refusal(ErrorCode.UnknownMemberId, member.Id));
        AnswerSync(member, ErrorCode.UnknownMemberId);
        _members.Remove(member.Id);
        _unsynced.Remove(member.Id);
        if (member.InstanceId is { } instance)
        {
            _statics.Remove(instance);
        }
        if (Leader == member.Id)
        {
            Leader = null;
        }
        _assignmentBytes -= member.Assignment.Length;
        Count(member, -1);
    }

    private void Give(GroupMember member, byte[] assignment)
    {
        _assignmentBytes += assignment.Length - member.Assignment.Length;
        member.Assignment = assignment;
    }

    private void CountCompleted(Moment now) =>
        _events.Enqueue(new GroupEvent(GroupEventKind.RebalanceCompleted, Milliseconds: now.Elapsed - _rebalanceBegan));

    private static long SizeOf(SyncGroupRequest request) => request.Assignments.Sum(one => (long)one.Assignment.Length);

    private void Update(GroupMember member, JoinGroupRequest request, GroupCaller caller)
    {
        Count(member, -1);
        member.Update(request, caller);
        Count(member, 1);
    }

    private void Count(GroupMember member, int by)
    {
        _bytes += by * member.Bytes;
        foreach (string name in member.Protocols.Select(protocol => protocol.Name).Distinct(StringComparer.Ordinal))
        {
            int count = _support.GetValueOrDefault(name) + by;
            if (count == 0)
            {
                _support.Remove(name);
            }
            else
            {
                _support[name] = count;
            }
        }
    }

    /// <summary>Of the protocols that all support, the one that most like best; of equals the one that the first member likes better.</summary>
    private string ChooseProtocol()
    {
        var votes = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (GroupMember member in _members.Values)
        {
            string best = member.Protocols.First(protocol => _support[protocol.Name] == _members.Count).Name;
            votes[best] = votes.GetValueOrDefault(best) + 1;
        }
        return votes.MaxBy(vote => vote.Value).Key;
    }

    private HashSet<string>? FindSubscribed()
    {
        if (ProtocolType != ConsumerSubscription.ProtocolType || (_members.Count > 0 && Protocol is null))
        {
            return null;
        }
        var all = new HashSet<string>(StringComparer.Ordinal);
        foreach (GroupMember member in _members.Values)
        {
            if (ConsumerSubscription.FindTopics(member.MetadataOf(Protocol!)) is not { } topics)
            {
                return null;
            }
            all.UnionWith(topics);
        }
        return all;
    }

    private long RebalanceMs() => _members.Values.Select(member => (long)member.RebalanceTimeoutMs).DefaultIfEmpty(0).Max();

    private void AwaitJoin(GroupMember member, long token)
    {
        AnswerJoin(member, Refusal(ErrorCode.RebalanceInProgress, member.Id)); // its earlier request, whose client waits no more
        member.JoinToken = token;
        member.IsAbsent = false;
        _joining++;
    }

    private void AnswerJoin(GroupMember member, JoinGroupResponse response)
    {
        if (member.JoinToken != 0)
        {
            _answers.Enqueue(new GroupAnswer(member.JoinToken, response, null));
            member.JoinToken = 0;
            _joining--;
        }
    }

    private void AnswerSync(GroupMember member, ErrorCode error)
    {
        if (member.SyncToken != 0)
        {
            bool isAssigned = error == ErrorCode.None;
            _answers.Enqueue(new GroupAnswer(member.SyncToken, null, new SyncGroupResponse
            {
                ErrorCode = error,
                ProtocolType = isAssigned ? ProtocolType : null,
                ProtocolName = isAssigned ? Protocol : null,
                Assignment = isAssigned ? member.Assignment : [],
            }));
            member.SyncToken = 0;
        }
    }

    private void Store(Moment now, Dictionary<string, byte[]> assignments, Action<Moment>? then)
    {
        Since = now.Unix;
        Store(new GroupRecord
        {
            Generation = Generation,
            ProtocolType = ProtocolType,
            Protocol = Protocol,
            Leader = Leader,
            Since = Since,
            Members = [.. _members.Values.Select(member => member.ToRecord(assignments.GetValueOrDefault(member.Id) ?? member.Assignment))],
        });
        if (then is not null)
        {
            _afterStore.Enqueue((UnstoredNumber, then));
        }
    }

    /// <summary>The generation that is stored goes on without a member that was in it: whoever is left is to join the next one.</summary>
    private void StoreWithout(Moment now, GroupMember gone)
    {
        GroupMemberRecord[] left =
        [
            .. (_latest?.Members ?? []).Where(one => one.Id != gone.Id && (one.InstanceId is null || one.InstanceId != gone.InstanceId)),
        ];
        if (_latest is null || left.Length == _latest.Members.Length)
        {
            return;
        }
        bool isEmpty = left.Length == 0;
        Store(_latest with
        {
            Protocol = isEmpty ? null : _latest.Protocol,
            Leader = isEmpty || _latest.Leader == gone.Id ? null : _latest.Leader,
            Since = isEmpty ? now.Unix : _latest.Since,
            Members = left,
            IsOver = !isEmpty,
        });
    }

    private void Store(GroupRecord record)
    {
        _latest = record;
        Unstored = record;
        UnstoredNumber++;
    }

    private void Touch(Moment now, GroupMember member) => SetDeadline(member, now.Elapsed + member.SessionTimeoutMs);

    private void SetDeadline(GroupMember member, long deadline)
    {
        member.Deadline = deadline;
        WakeBy(deadline);
    }

    private void WaitUntil(long deadline)
    {
        _rebalanceDeadline = deadline;
        WakeBy(deadline);
    }

    private void WakeBy(long deadline) => NextDeadline = Math.Min(NextDeadline, deadline);
}
