using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Groups.Modern;

/// <content>
/// Members of the classic protocol in a group of the newer one. To them the epoch is a generation and the server their leader: a
/// heartbeat that finds that they have to give something up, or may have more, says that there is a rebalance; by joining they take the
/// step towards their target that others take by heartbeats, with what they say there that they have. Nobody waits for anybody, so joins
/// and syncs are answered at once. Who was told to join, or has joined and must sync, has the rebalance timeout to do it.
/// </content>
internal sealed partial class ModernGroup
{
    private const short MemberIdRequiredSince = 4;

    /// <summary>Somebody uses the newer protocol.</summary>
    public bool HasModernMembers => _members.Values.Any(member => !member.IsClassic);

    /// <summary>Only members of the classic protocol are left: the group can be one of that protocol.</summary>
    public bool IsToBeClassic => _members.Count > 0 && !HasModernMembers
        && _members.Count <= _options.MaxMembers && CommonProtocol() is not null;

    /// <summary>Nothing waits to be stored or told, so the group can be replaced.</summary>
    public bool IsQuiet => UnstoredNumber == _storedNumber && _untold.Count == 0 && _answers.Count == 0;

    /// <summary>A member of the classic protocol joins. The answer to the token comes when what it tells is stored.</summary>
    public void Join(Moment now, JoinGroupRequest request, GroupCaller caller, string newMemberId, long token)
    {
        ErrorCode error = CheckJoin(request, caller, out ConsumerSubscription? subscription);
        string id = request.MemberId.Length == 0 ? newMemberId : request.MemberId;
        if (error == ErrorCode.None && request is { MemberId: "", GroupInstanceId: null } && caller.Version >= MemberIdRequiredSince)
        {
            error = Promise(now, id, request.SessionTimeoutMs);
        }
        ModernMember? member = null;
        error = error == ErrorCode.None ? FindOrJoin(request, id, out member) : error;
        if (error != ErrorCode.None)
        {
            string told = error == ErrorCode.MemberIdRequired ? id : request.MemberId;
            _answers.Enqueue(new GroupAnswer(token, new JoinGroupResponse { ErrorCode = error, MemberId = told, ProtocolName = "" }));
            return;
        }
        bool readsOther = Say(member!, request, caller, subscription!);
        if (!_members.ContainsKey(id))
        {
            _promised.Remove(id);
            Add(member!);
        }
        Change(member!);
        Follow(now, member!, readsOther, [.. subscription!.Owned.Select(Find).OfType<AssignedPartition>()]);
        Touch(now, member!);
        ExpectRebalance(now, member!); // by which it must have synced
        Tell(member!, new GroupAnswer(token, new JoinGroupResponse
        {
            MemberId = id,
            GenerationId = member!.Epoch,
            ProtocolType = ProtocolType,
            ProtocolName = member.Classic!.Protocols[0].Name,
        }));
    }

    /// <summary>A member of the classic protocol asks what it shall have.</summary>
    public void Sync(Moment now, SyncGroupRequest request, long token)
    {
        ErrorCode error = FindClassic(request.MemberId, request.GroupInstanceId, request.GenerationId, out ModernMember? member);
        bool isOther = error == ErrorCode.None
            && ((request.ProtocolType is not null && request.ProtocolType != ProtocolType)
                || (request.ProtocolName is not null && request.ProtocolName != member!.Classic!.Protocols[0].Name));
        error = isOther ? ErrorCode.InconsistentGroupProtocol : error;
        if (error == ErrorCode.None && Generation > member!.Epoch && member.State != MemberState.Revoking)
        {
            ExpectJoin(now, member);
            error = ErrorCode.RebalanceInProgress;
        }
        if (error != ErrorCode.None)
        {
            _answers.Enqueue(new GroupAnswer(token, null, new SyncGroupResponse { ErrorCode = error }));
            return;
        }
        member!.RebalanceDeadline = ConsumerGroup.Never;
        Touch(now, member);
        Tell(member, new GroupAnswer(token, null, new SyncGroupResponse
        {
            ProtocolType = ProtocolType,
            ProtocolName = member.Classic!.Protocols[0].Name,
            Assignment = AssignmentOf(member),
        }));
    }

    /// <summary>A member of the classic protocol lives.</summary>
    public ErrorCode Heartbeat(Moment now, HeartbeatRequest request)
    {
        ErrorCode error = FindClassic(request.MemberId, request.GroupInstanceId, request.GenerationId, out ModernMember? member);
        if (error != ErrorCode.None)
        {
            return error;
        }
        Touch(now, member!);
        bool isToJoin = member!.Epoch < Generation || member.State == MemberState.Revoking
            || (member.State == MemberState.Waiting && member.Target.Any(partition => !_owners.ContainsKey(partition)));
        if (!isToJoin)
        {
            return ErrorCode.None;
        }
        ExpectJoin(now, member);
        return ErrorCode.RebalanceInProgress;
    }

    /// <summary>A member of the classic protocol leaves, or an administrator takes one out by its id or by its name.</summary>
    public ErrorCode Leave(Moment now, string memberId, string? instanceId)
    {
        ModernMember? named = instanceId is null ? null : _statics.GetValueOrDefault(instanceId);
        ModernMember? member = memberId.Length == 0 ? named : _members.GetValueOrDefault(memberId);
        if (instanceId is not null && named is not null && member != named)
        {
            return ErrorCode.FencedInstanceId;
        }
        if (member is null || (instanceId is not null && named is null))
        {
            return ErrorCode.UnknownMemberId;
        }
        Remove(now, member);
        return ErrorCode.None;
    }

    /// <summary>The record of a group of the classic protocol that goes on where this one is, by a rebalance.</summary>
    public GroupRecord ToClassicRecord() => new()
    {
        Generation = Generation,
        ProtocolType = ProtocolType,
        Protocol = _members.Count > 0 ? CommonProtocol() : null,
        Leader = _members.Keys.FirstOrDefault(),
        Since = Since,
        IsOver = _members.Count > 0,
        Members =
        [
            .. _members.Values.Select(member => new GroupMemberRecord
            {
                Id = member.Id,
                InstanceId = member.InstanceId,
                ClientId = member.ClientId,
                ClientHost = member.ClientHost,
                SessionTimeoutMs = member.Classic!.SessionTimeoutMs,
                RebalanceTimeoutMs = member.RebalanceTimeoutMs,
                Protocols = member.Classic.Protocols,
                Assignment = AssignmentOf(member),
            }),
        ],
    };

    private ErrorCode CheckJoin(JoinGroupRequest request, GroupCaller caller, out ConsumerSubscription? subscription)
    {
        subscription = null;
        if (request.SessionTimeoutMs < _options.MinSessionTimeout.TotalMilliseconds
            || request.SessionTimeoutMs > _options.MaxSessionTimeout.TotalMilliseconds)
        {
            return ErrorCode.InvalidSessionTimeout;
        }
        long bytes = GroupMember.BytesOf(request, caller);
        if (bytes > _options.MaxMemberBytes || _bytes - (_members.GetValueOrDefault(request.MemberId)?.Bytes ?? 0) + bytes > _options.MaxGroupBytes)
        {
            return ErrorCode.PolicyViolation;
        }
        ModernMember[] others = [.. _members.Values.Where(member => member.IsClassic && member.Id != request.MemberId)];
        bool fits = request.ProtocolType == ProtocolType
            && request.Protocols.Any(protocol => others.All(member => member.HasProtocol(protocol.Name)));
        subscription = fits ? ConsumerSubscription.Parse(request.Protocols[0].Metadata) : null;
        return subscription is null ? ErrorCode.InconsistentGroupProtocol : ErrorCode.None;
    }

    private ErrorCode FindOrJoin(JoinGroupRequest request, string id, out ModernMember? member)
    {
        member = _members.GetValueOrDefault(id);
        if (request.GroupInstanceId is { } instance)
        {
            ModernMember? named = _statics.GetValueOrDefault(instance);
            if (request.MemberId.Length > 0)
            {
                return named is null ? ErrorCode.UnknownMemberId : named.Id != id ? ErrorCode.FencedInstanceId : ErrorCode.None;
            }
            member = named is null ? null : Replace(named, id);
        }
        if (member is null && request.MemberId.Length > 0 && !_promised.ContainsKey(id))
        {
            return ErrorCode.UnknownMemberId; // it may still read what it had, which others may have by now
        }
        if (member is null)
        {
            if (_members.Count >= _options.ConsumerMaxMembers)
            {
                return ErrorCode.GroupMaxSizeReached;
            }
            member = new ModernMember { Id = id, InstanceId = request.GroupInstanceId };
        }
        return ErrorCode.None;
    }

    /// <summary>Hands an id out, to join with (KIP-394).</summary>
    private ErrorCode Promise(Moment now, string id, int sessionTimeoutMs)
    {
        if (_members.Count + _promised.Count >= _options.ConsumerMaxMembers)
        {
            return ErrorCode.GroupMaxSizeReached;
        }
        _promised.Add(id, now.Elapsed + sessionTimeoutMs);
        WakeBy(now.Elapsed + sessionTimeoutMs);
        return ErrorCode.MemberIdRequired;
    }

    /// <summary>Takes over what a member says of itself.</summary>
    /// <returns>Whether it reads other topics than before.</returns>
    private bool Say(ModernMember member, JoinGroupRequest request, GroupCaller caller, ConsumerSubscription subscription)
    {
        string[] topics = Sorted([.. subscription.Topics]);
        bool readsOther = member.Pattern.Length > 0 || !topics.AsSpan().SequenceEqual(member.Topics);
        Uncount(member);
        (member.RackId, member.Assignor, member.Topics, member.Pattern) = (subscription.Rack, null, topics, "");
        (member.ClientId, member.ClientHost) = (caller.ClientId, caller.Host);
        member.RebalanceTimeoutMs = request.RebalanceTimeoutMs >= 0 ? request.RebalanceTimeoutMs : request.SessionTimeoutMs;
        member.Classic = new ClassicMemberRecord { SessionTimeoutMs = request.SessionTimeoutMs, Protocols = GroupProtocol.Copy(request) };
        Count(member);
        return readsOther;
    }

    private ErrorCode FindClassic(string id, string? instanceId, int generation, out ModernMember? member)
    {
        member = _members.GetValueOrDefault(id);
        if (instanceId is not null && _statics.TryGetValue(instanceId, out ModernMember? named) && named.Id != id)
        {
            return ErrorCode.FencedInstanceId;
        }
        return member is not { IsClassic: true } ? ErrorCode.UnknownMemberId
            : generation != member.Epoch ? ErrorCode.IllegalGeneration
            : ErrorCode.None;
    }

    /// <summary>A member was told to join; what it was told before still counts.</summary>
    private void ExpectJoin(Moment now, ModernMember member)
    {
        if (member.RebalanceDeadline == ConsumerGroup.Never)
        {
            ExpectRebalance(now, member);
        }
    }

    private string? CommonProtocol() => _members.Values.First().Classic?.Protocols
        .FirstOrDefault(protocol => _members.Values.All(member => member.IsClassic && member.HasProtocol(protocol.Name)))?.Name;

    private AssignedPartition? Find(GroupPartition partition) =>
        _topics.TryGetValue(partition.Topic, out Metadata.TopicInfo? topic) ? new AssignedPartition(topic.Id, partition.Partition) : null;

    /// <summary>What a member may use, as members of the classic protocol are told; a topic that is gone has no name to tell.</summary>
    private byte[] AssignmentOf(ModernMember member)
    {
        var names = new Dictionary<Guid, string>();
        foreach (string name in member.Topics)
        {
            if (_topics.TryGetValue(name, out Metadata.TopicInfo? topic))
            {
                names[topic.Id] = name;
            }
        }
        return ConsumerAssignment.Write(
        [
            .. ModernMember.ByTopic(member.Assigned).Where(topic => names.ContainsKey(topic.Topic))
                .Select(topic => (names[topic.Topic], topic.Partitions)),
        ]);
    }
}
