using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Groups;

/// <content>How members come in, and come back.</content>
internal sealed partial class ConsumerGroup
{
    private ErrorCode CheckJoin(JoinGroupRequest request, GroupCaller caller)
    {
        if (request.SessionTimeoutMs < _options.MinSessionTimeout.TotalMilliseconds
            || request.SessionTimeoutMs > _options.MaxSessionTimeout.TotalMilliseconds)
        {
            return ErrorCode.InvalidSessionTimeout;
        }
        GroupMember? known = _members.GetValueOrDefault(request.MemberId);
        bool hasRoom = State switch
        {
            GroupState.Empty => true,
            GroupState.PreparingRebalance => known is { JoinToken: not 0 } || _joining < _options.MaxMembers,
            _ => known is not null || _members.Count < _options.MaxMembers || IsStaticOfOurs(request),
        };
        if (!hasRoom)
        {
            _pending.Remove(request.MemberId);
            return ErrorCode.GroupMaxSizeReached;
        }
        long bytes = GroupMember.BytesOf(request, caller);
        if (bytes > _options.MaxMemberBytes || _bytes - (known?.Bytes ?? 0) + bytes > _options.MaxGroupBytes)
        {
            return ErrorCode.PolicyViolation;
        }
        bool fits = request.ProtocolType.Length > 0 && request.Protocols.Length > 0 && (_members.Count == 0
            || (request.ProtocolType == ProtocolType
                && request.Protocols.Any(protocol => _support.GetValueOrDefault(protocol.Name) == _members.Count)));
        return fits ? ErrorCode.None : ErrorCode.InconsistentGroupProtocol;
    }

    private bool IsStaticOfOurs(JoinGroupRequest request) =>
        request.GroupInstanceId is { } instance && _statics.ContainsKey(instance);

    private ErrorCode JoinWithoutId(Moment now, JoinGroupRequest request, GroupCaller caller, string newMemberId, long token)
    {
        if (request.GroupInstanceId is { } instance && _statics.TryGetValue(instance, out string? oldId))
        {
            ReplaceStatic(now, _members[oldId], newMemberId, request, caller, token);
            return ErrorCode.None;
        }
        if (request.GroupInstanceId is not null || caller.Version < MemberIdRequiredSince)
        {
            AddAndRebalance(now, newMemberId, request, caller, token);
            return ErrorCode.None;
        }
        if (_pending.Count >= _options.MaxMembers)
        {
            return ErrorCode.GroupMaxSizeReached;
        }
        _pending.Add(newMemberId, now.Elapsed + request.SessionTimeoutMs);
        WakeBy(now.Elapsed + request.SessionTimeoutMs);
        _answers.Enqueue(new GroupAnswer(token, Refusal(ErrorCode.MemberIdRequired, newMemberId), null));
        return ErrorCode.None;
    }

    private ErrorCode JoinWithId(Moment now, JoinGroupRequest request, GroupCaller caller, long token)
    {
        if (request.GroupInstanceId is null && _pending.Remove(request.MemberId))
        {
            AddAndRebalance(now, request.MemberId, request, caller, token);
            return ErrorCode.None;
        }
        ErrorCode error = Validate(request.MemberId, request.GroupInstanceId, out GroupMember? member);
        if (error != ErrorCode.None)
        {
            return error;
        }
        bool wasAbsent = member!.IsAbsent;
        AwaitJoin(member, token);
        bool repeats = member.Matches(request) && (State == GroupState.CompletingRebalance
            || (State == GroupState.Stable && member.Id != Leader)); // a leader joins again when it sees that topics have changed
        if (repeats)
        {
            AnswerJoin(member, Current(member));
            Touch(now, member);
            if (wasAbsent && State == GroupState.Stable)
            {
                Store(now, [], null);
            }
            return ErrorCode.None;
        }
        Update(member, request, caller);
        PrepareRebalance(now, RebalanceReason.MemberChanged);
        return ErrorCode.None;
    }

    private void AddAndRebalance(Moment now, string id, JoinGroupRequest request, GroupCaller caller, long token)
    {
        var member = new GroupMember { Id = id, InstanceId = request.GroupInstanceId, IsNew = true };
        member.Update(request, caller);
        if (_members.Count == 0)
        {
            ProtocolType = request.ProtocolType;
        }
        AwaitJoin(member, token);
        Add(member);
        SetDeadline(member, now.Elapsed + NewMemberJoinMs);
        _memberCame = _isInitial;
        PrepareRebalance(now, RebalanceReason.MemberJoined);
    }

    /// <summary>A static member is back without its id (KIP-345): it goes on where it was, and whoever has the old id is fenced.</summary>
    private void ReplaceStatic(Moment now, GroupMember member, string newId, JoinGroupRequest request, GroupCaller caller, long token)
    {
        AnswerJoin(member, Refusal(ErrorCode.FencedInstanceId, member.Id));
        AnswerSync(member, ErrorCode.FencedInstanceId);
        string? leaderBefore = Leader;
        _members.Remove(member.Id);
        if (_unsynced.Remove(member.Id))
        {
            _unsynced.Add(newId);
        }
        Leader = Leader == member.Id ? newId : Leader;
        Count(member, -1);
        member.Id = newId;
        Count(member, 1);
        _members.Add(newId, member);
        _statics[member.InstanceId!] = newId;
        byte[] before = Protocol is null ? [] : member.MetadataOf(Protocol);
        Update(member, request, caller);
        AwaitJoin(member, token);
        Touch(now, member);
        bool goesOn = State == GroupState.Stable && ChooseProtocol() == Protocol
            && !(ProtocolType == ConsumerSubscription.ProtocolType && ConsumerSubscription.Differ(before, member.MetadataOf(Protocol!)));
        if (!goesOn)
        {
            PrepareRebalance(now, RebalanceReason.StaticMemberReturned);
            return;
        }
        int generation = Generation;
        Store(now, [], then =>
        {
            if (State == GroupState.Stable && Generation == generation && member.JoinToken == token)
            {
                AnswerJoin(member, Resumed(member, leaderBefore, caller.Version));
                Touch(then, member);
            }
        });
    }

    /// <summary>
    /// What a static member is told that goes on in a stable group. Its assignment would be nobody's, so it must make none: from version 9
    /// on it is told so (KIP-814), before it isn't told that it leads.
    /// </summary>
    private JoinGroupResponse Resumed(GroupMember member, string? leaderBefore, short version)
    {
        JoinGroupResponse response = Current(member);
        response.SkipAssignment = version >= SkipsAssignmentSince && member.Id == Leader;
        if (version < SkipsAssignmentSince)
        {
            response.Leader = leaderBefore!;
            response.Members = [];
        }
        return response;
    }
}
