using Tributary.Broker.Groups.Modern;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Groups;

/// <content>
/// Members of the newer protocol, and the way from one protocol to the other (KIP-848). A group becomes one of the newer protocol by the
/// first member that joins by it, and one of the classic when only members of that are left, or when the first one comes to an empty
/// group. Either is a record like any other: before it is stored, nobody is told anything that follows from it.
/// </content>
public sealed partial class GroupHost
{
    private readonly Dictionary<long, TaskCompletionSource<ConsumerGroupHeartbeatResponse>> _heartbeats = [];

    /// <summary>The group if it is of the newer protocol, aware of the topics that there are now.</summary>
    private ModernGroup? Modern
    {
        get
        {
            var modern = _group as ModernGroup;
            modern?.See(_context.Topics());
            return modern;
        }
    }

    /// <inheritdoc cref="IGroupCoordinator.HeartbeatAsync(ConsumerGroupHeartbeatRequest, GroupCaller, CancellationToken)"/>
    public async Task<ConsumerGroupHeartbeatResponse> HeartbeatAsync(ConsumerGroupHeartbeatRequest request, GroupCaller caller)
    {
        await ReadyAsync();
        bool joins = request.MemberEpoch == 0;
        if (!TryGrow(ModernGroup.GrowthBy(_group as ModernGroup, request, caller)))
        {
            return Refusal(RefuseForMemory("a member"), request);
        }
        if (joins && !await ExistsAsync())
        {
            return Refusal(ErrorCode.PolicyViolation, request);
        }
        var classic = _group as ConsumerGroup;
        (ModernGroup? modern, ErrorCode error) = classic is null ? (Modern, ErrorCode.None) : TryUpgrade(classic, joins, request.InstanceId);
        if (modern is null)
        {
            Settle();
            return Refusal(error, request);
        }
        long token = ++_lastToken;
        var answer = new TaskCompletionSource<ConsumerGroupHeartbeatResponse>(TaskCreationOptions.RunContinuationsAsynchronously);
        _heartbeats.Add(token, answer);
        Run(() => modern.Heartbeat(Now, request, caller, Guid.NewGuid().ToString(), token));
        if (classic is not null && modern.HasModernMembers)
        {
            _group = modern; // the member has joined
            _context.Logger.GroupUpgraded(_id, modern.MemberCount);
        }
        else if (classic is not null)
        {
            Answer(modern); // it was refused, so the group stays what it was
        }
        Changed();
        return Counted(await answer.Task);
    }

    /// <inheritdoc cref="IGroupCoordinator.DescribeAsync(ConsumerGroupDescribeRequest, GroupCaller, CancellationToken)"/>
    public ConsumerGroupDescribeResponse Describe(ConsumerGroupDescribeRequest request)
    {
        ThrowIfOver();
        ModernGroup? group = _writer.Exists ? Modern : null;
        return new ConsumerGroupDescribeResponse
        {
            Groups = [ModernDescription.Of(request.GroupIds[0], _writer.Exists, group, _context.Topics())],
        };
    }

    private ConsumerGroupHeartbeatResponse Refusal(ErrorCode error, ConsumerGroupHeartbeatRequest request) => new()
    {
        ErrorCode = error,
        ErrorMessage = HeartbeatRules.Explain(error, request, _context.Options),
    };

    private (ModernGroup? Group, ErrorCode Refusal) TryUpgrade(ConsumerGroup classic, bool joins, string? returning)
    {
        if (!joins)
        {
            return (null, ErrorCode.UnknownMemberId);
        }
        if (!classic.IsAtRest(returning))
        {
            return (null, ErrorCode.CoordinatorLoadInProgress);
        }
        if (Upgrade.TryUpgrade(classic, _context.Topics()) is not { } record)
        {
            return (null, ErrorCode.GroupIdNotFound);
        }
        var modern = new ModernGroup(_context.Options, record, classic.UnstoredNumber, Now);
        modern.See(_context.Topics());
        return (modern, ErrorCode.None);
    }

    /// <summary>The group if it is of the classic protocol, or was empty and is from now on.</summary>
    private ConsumerGroup? ClassicFor(JoinGroupRequest request)
    {
        if (Modern is { IsVacant: true, IsQuiet: true } modern && request.Protocols.Length > 0)
        {
            _group = ConsumerGroup.Continue(_context.Options, modern.ToClassicRecord(), modern.UnstoredNumber, Now);
        }
        return _group as ConsumerGroup;
    }

    private void BecomeClassicIfDue()
    {
        if (!_isOver && Modern is { IsToBeClassic: true, IsQuiet: true } modern)
        {
            _context.Logger.GroupDowngraded(_id, modern.MemberCount);
            _group = ConsumerGroup.Continue(_context.Options, modern.ToClassicRecord(), modern.UnstoredNumber, Now);
        }
    }

    private bool MayRead(string topic) => Modern?.MayRead(topic) ?? _group.MayRead(topic);
}
