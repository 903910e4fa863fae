using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Groups;

/// <summary>A group as clients are told of it. Metadata and assignments are told of a stable group only, as by Kafka.</summary>
internal static class GroupDescription
{
    public static DescribeGroupsResponse.DescribedGroup Of(string id, bool exists, IGroupMachine machine) => exists && machine is ConsumerGroup group
        ? new()
        {
            GroupId = id,
            GroupState = group.State.ToString(),
            ProtocolType = group.ProtocolType ?? "",
            ProtocolData = group.State == GroupState.Stable ? group.Protocol! : "",
            Members = [.. group.Members.Select(member => Of(member, group))],
        }
        : new()
        {
            GroupId = id,
            GroupState = nameof(GroupState.Dead),
            ErrorCode = ErrorCode.GroupIdNotFound,
            ErrorMessage = exists ? $"Group {id} is not a classic group." : $"Group {id} not found.",
        };

    private static DescribeGroupsResponse.DescribedGroupMember Of(GroupMember member, ConsumerGroup group)
    {
        bool isStable = group.State == GroupState.Stable;
        return new()
        {
            MemberId = member.Id,
            GroupInstanceId = member.InstanceId,
            ClientId = member.ClientId,
            ClientHost = member.ClientHost,
            MemberMetadata = isStable ? member.MetadataOf(group.Protocol!) : [],
            MemberAssignment = isStable ? member.Assignment : [],
        };
    }
}
