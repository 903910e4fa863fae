using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Groups.Modern;

/// <summary>What a heartbeat of the newer protocol must look like, whatever the group (KIP-848), and the sentences for what is refused.</summary>
internal static class HeartbeatRules
{
    private const short MemberIdSince = 1;
    private const int Joins = 0;
    private const int Leaves = -1;

    /// <summary>Finds what is wrong with a request.</summary>
    /// <returns>The error and a sentence for the client; null if there is nothing wrong.</returns>
    public static (ErrorCode Error, string Message)? FindFault(ConsumerGroupHeartbeatRequest request, short version)
    {
        string? fault = FindFieldFault(request, version);
        if (fault is not null)
        {
            return (ErrorCode.InvalidRequest, fault);
        }
        if (request.ServerAssignor is { } assignor && PartitionAssignors.Find(assignor) is null)
        {
            return (ErrorCode.UnsupportedAssignor,
                $"ServerAssignor {assignor} is not supported. Supported assignors: {PartitionAssignors.Names}.");
        }
        return request.SubscribedTopicRegex is { Length: > 0 } pattern && !TopicPattern.TryParse(pattern, out _, out string? why)
            ? (ErrorCode.InvalidRegularExpression, why)
            : null;
    }

    /// <summary>Says in a sentence why a member was refused.</summary>
    public static string Explain(ErrorCode error, ConsumerGroupHeartbeatRequest request, GroupOptions options) => error switch
    {
        ErrorCode.UnknownMemberId => $"Member {request.MemberId} is not a member of group {request.GroupId}.",
        ErrorCode.FencedMemberEpoch =>
            $"The member epoch {request.MemberEpoch} is not the group's. The member must abandon all its partitions and rejoin.",
        ErrorCode.FencedInstanceId => $"Another member has the instance id {request.InstanceId} by now.",
        ErrorCode.UnreleasedInstanceId => $"The instance id {request.InstanceId} is in use by a member that has not left.",
        ErrorCode.GroupMaxSizeReached => $"The group has as many members as it may (groups:consumerMaxMembers is {options.ConsumerMaxMembers}).",
        ErrorCode.InvalidRegularExpression =>
            $"The group has as many different expressions as it may (groups:consumerMaxExpressions is {options.ConsumerMaxExpressions}).",
        ErrorCode.GroupIdNotFound => $"Group {request.GroupId} is of the classic protocol and its members are no consumers: it can't be upgraded.",
        ErrorCode.CoordinatorLoadInProgress => $"Group {request.GroupId} is upgraded when its rebalance is over.",
        ErrorCode.PolicyViolation => "The group or what the member says is too large (groups:maxGroups, groups:maxMemberBytes, groups:maxGroupBytes).",
        ErrorCode.CoordinatorNotAvailable => "All groups together hold as much as groups:maxTotalBytes allows.",
        _ => error.ToString(),
    };

    private static string? FindFieldFault(ConsumerGroupHeartbeatRequest request, short version)
    {
        if (request.InstanceId is { Length: 0 })
        {
            return "InstanceId can't be empty.";
        }
        if (request.RackId is { Length: 0 })
        {
            return "RackId can't be empty.";
        }
        if (request.MemberEpoch < ModernMember.AwayEpoch)
        {
            return $"MemberEpoch is {request.MemberEpoch}, but must be greater than or equal to -2.";
        }
        if (request.MemberId.Length == 0 && (request.MemberEpoch != Joins || version >= MemberIdSince))
        {
            return "MemberId can't be empty.";
        }
        if (request.MemberEpoch == ModernMember.AwayEpoch && request.InstanceId is null)
        {
            return "InstanceId can't be null.";
        }
        if (request.MemberEpoch <= Leaves)
        {
            return null;
        }
        if (request.RebalanceTimeoutMs < -1 || (request.MemberEpoch == Joins && request.RebalanceTimeoutMs == -1))
        {
            return "RebalanceTimeoutMs must be provided in first request.";
        }
        if (request.MemberEpoch == Joins && request.TopicPartitions is not { Length: 0 })
        {
            return "TopicPartitions must be empty when (re-)joining.";
        }
        bool hasNoSubscription = request.SubscribedTopicNames is null && request.SubscribedTopicRegex is null;
        return request.MemberEpoch == Joins && hasNoSubscription
            ? "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining."
            : null;
    }
}
