using Microsoft.Extensions.Logging;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Groups;

/// <content>What the host counts, and what its group may hold of the memory of all.</content>
public sealed partial class GroupHost
{
    private long _held;
    private int _shownMembers;

    /// <summary>What the group holds; nothing before there is one.</summary>
    private long Holds => NewGroupBytes > 0 ? 0 : GroupMemory.GroupBytes + _group.Bytes
        + GroupMemory.OfOffsets(_offsets.Bytes + _pending.Bytes + _writer.NewBytes, _offsets.Count + _pending.Count);

    /// <summary>What a group takes by being there, if it isn't yet.</summary>
    private long NewGroupBytes => _writer.Exists || _group.MemberCount > 0 ? 0 : GroupMemory.GroupBytes;

    /// <summary>Claims memory for what a group is about to take in; <see cref="Settle"/> puts right what it takes really.</summary>
    private bool TryGrow(long bytes)
    {
        if (bytes <= 0)
        {
            return true;
        }
        if (_held == 0)
        {
            bytes += NewGroupBytes;
        }
        if (!_context.Memory.TryClaim(bytes))
        {
            return false;
        }
        _held += bytes;
        return true;
    }

    /// <summary>Counts what happened, and what the group holds now.</summary>
    private void Settle()
    {
        while (_group.TryTakeEvent(out GroupEvent happened))
        {
            _context.Metrics.Count(happened);
        }
        long holds = _isOver ? 0 : Holds;
        int members = _isOver ? 0 : _group.MemberCount;
        _context.Memory.Correct(holds - _held);
        _context.Metrics.MembersChanged(members - _shownMembers);
        (_held, _shownMembers) = (holds, members);
    }

    /// <summary>Claims memory for what a group has stored: one that finds no room isn't loaded, and its clients ask again.</summary>
    private void ClaimLoaded()
    {
        if (!TryGrow(Holds))
        {
            Refuse(GroupRefusal.Memory, $"group '{_id}' is not loaded{MemoryIsTaken}");
            throw new GroupMemoryException(_id);
        }
    }

    private static string MemoryIsTaken => ": all groups together hold as much as groups:maxTotalBytes allows";

    /// <summary>
    /// A client that is refused for want of memory is told COORDINATOR_NOT_AVAILABLE: it asks again, and by then other groups may have
    /// gone. An error that isn't retriable would end a consumer for what others do.
    /// </summary>
    private ErrorCode RefuseForMemory(string what)
    {
        Refuse(GroupRefusal.Memory, $"{what} of group '{_id}' is refused{MemoryIsTaken}");
        return ErrorCode.CoordinatorNotAvailable;
    }

    private void Refuse(GroupRefusal reason, string sentence)
    {
        _context.Metrics.Refuse(reason);
        if (_context.Lines.TryPass(reason, out string note))
        {
            _context.Logger.GroupRefused(sentence + note);
        }
    }

    private JoinGroupResponse Counted(JoinGroupResponse response)
    {
        Count(response.ErrorCode, "groups:maxMembers", _context.Options.MaxMembers);
        return response;
    }

    private ConsumerGroupHeartbeatResponse Counted(ConsumerGroupHeartbeatResponse response)
    {
        Count(response.ErrorCode, "groups:consumerMaxMembers", _context.Options.ConsumerMaxMembers);
        return response;
    }

    /// <summary>Counts what a member was refused.</summary>
    /// <param name="error">What it was told.</param>
    /// <param name="limit">The setting that says how many members there may be.</param>
    /// <param name="most">What it says.</param>
    private void Count(ErrorCode error, string limit, int most)
    {
        switch (error)
        {
            case ErrorCode.GroupMaxSizeReached:
                Refuse(GroupRefusal.TooManyMembers, $"a member of group '{_id}' would be one too many: {limit} is {most}");
                break;
            case ErrorCode.InvalidRegularExpression:
                Refuse(
                    GroupRefusal.TooManyExpressions,
                    $"an expression of a member of group '{_id}' would be one too many: groups:consumerMaxExpressions is "
                    + $"{_context.Options.ConsumerMaxExpressions}");
                break;
            case ErrorCode.PolicyViolation:
                Refuse(
                    GroupRefusal.MembersTooLarge,
                    $"a member of group '{_id}' is larger than groups:maxMemberBytes or groups:maxGroupBytes allow "
                    + $"({_context.Options.MaxMemberBytes}, {_context.Options.MaxGroupBytes})");
                break;
        }
    }

    private SyncGroupResponse Counted(SyncGroupRequest request, SyncGroupResponse response)
    {
        if (response.ErrorCode == ErrorCode.PolicyViolation && request.Assignments.Length > 0)
        {
            Refuse(
                GroupRefusal.MembersTooLarge,
                $"the assignments of group '{_id}' are larger than groups:maxGroupBytes allows ({_context.Options.MaxGroupBytes})");
        }
        return response;
    }
}
