using Tributary.Broker.Metadata;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Groups.Modern;

/// <summary>A group of the newer protocol as clients are told of it.</summary>
internal static class ModernDescription
{
    private const sbyte ClassicMember = 0;
    private const sbyte ModernMemberType = 1;

    /// <summary>Describes a group; without one it says which kind of nothing there is.</summary>
    public static ConsumerGroupDescribeResponse.DescribedGroup Of(
        string id, bool exists, ModernGroup? group, IReadOnlyDictionary<string, TopicInfo> topics)
    {
        if (group is null)
        {
            return new()
            {
                GroupId = id,
                GroupState = nameof(GroupState.Dead),
                ErrorCode = ErrorCode.GroupIdNotFound,
                ErrorMessage = exists ? $"Group {id} is not a consumer group." : $"Group {id} not found.",
            };
        }
        var names = topics.Values.ToDictionary(topic => topic.Id, topic => topic.Name);
        return new()
        {
            GroupId = id,
            GroupState = group.State.ToString(),
            GroupEpoch = group.Generation,
            AssignmentEpoch = group.TargetEpoch,
            AssignorName = group.Assignor.Name,
            Members = [.. group.Members.Select(member => Of(member, names))],
        };
    }

    private static ConsumerGroupDescribeResponse.Member Of(ModernMember member, Dictionary<Guid, string> names) => new()
    {
        MemberId = member.Id,
        InstanceId = member.InstanceId,
        RackId = member.RackId,
        MemberEpoch = member.Epoch,
        ClientId = member.ClientId,
        ClientHost = member.ClientHost,
        SubscribedTopicNames = member.Topics,
        SubscribedTopicRegex = member.Pattern.Length > 0 ? member.Pattern : null,
        Assignment = Of(member.Assigned, names),
        TargetAssignment = Of(member.Target, names),
        MemberType = member.IsClassic ? ClassicMember : ModernMemberType,
    };

    private static ConsumerGroupDescribeResponse.DescribedAssignment Of(HashSet<AssignedPartition> partitions, Dictionary<Guid, string> names) => new()
    {
        TopicPartitions =
        [
            .. ModernMember.ByTopic(partitions).Where(topic => names.ContainsKey(topic.Topic))
                .Select(topic => new ConsumerGroupDescribeResponse.DescribedTopicPartitions
                {
                    TopicId = topic.Topic,
                    TopicName = names[topic.Topic],
                    Partitions = topic.Partitions,
                }),
        ],
    };
}
