using Tributary.Broker.Metadata;

namespace Tributary.Broker.Groups.Modern;

/// <summary>
/// Makes a group of the classic protocol one of the newer, when its first member of that protocol joins
/// (<c>group.consumer.migration.policy</c> is bidirectional, as by default in Kafka). Only a group at rest is taken: while a rebalance is
/// under way it isn't known which member has what. What a member had when it joined and was not assigned again counts as still to be given
/// up until it has joined again.
/// </summary>
internal static class Upgrade
{
    /// <summary>The record of the new group; null if the members are no consumers, or their words can't be read.</summary>
    public static GroupRecord? TryUpgrade(ConsumerGroup group, IReadOnlyDictionary<string, TopicInfo> topics)
    {
        if (group.MemberCount > 0 && group.ProtocolType != ConsumerSubscription.ProtocolType)
        {
            return null;
        }
        var taken = new HashSet<AssignedPartition>();
        var members = new List<(GroupMember Member, ConsumerSubscription Says, HashSet<AssignedPartition> Assigned)>();
        foreach (GroupMember member in group.Members)
        {
            ConsumerSubscription? says = ConsumerSubscription.Parse(member.MetadataOf(group.Protocol!));
            if (says is null || ConsumerAssignment.Parse(member.Assignment) is not { } assignment)
            {
                return null;
            }
            HashSet<AssignedPartition> assigned = Find(assignment, topics);
            if (!assigned.All(taken.Add))
            {
                return null; // an assignor of its own kind, that gives a partition to several
            }
            members.Add((member, says, assigned));
        }
        return new GroupRecord
        {
            Generation = group.Generation,
            ProtocolType = ConsumerSubscription.ProtocolType,
            Since = group.Since,
            Modern = new ModernGroupRecord
            {
                Epoch = group.Generation,
                TargetEpoch = group.Generation,
                Members =
                [
                    .. members.Select(one => ToMember(one.Member, one.Says, one.Assigned, group.Generation, [
                        .. Find(one.Says.Owned, topics).Where(taken.Add),
                    ])),
                ],
            },
        };
    }

    private static ModernMemberRecord ToMember(
        GroupMember member, ConsumerSubscription says, HashSet<AssignedPartition> assigned, int epoch, HashSet<AssignedPartition> revoking)
    {
        string[] names = [.. says.Topics];
        Array.Sort(names, StringComparer.Ordinal);
        return new ModernMemberRecord
        {
            Id = member.Id,
            InstanceId = member.InstanceId,
            RackId = says.Rack,
            ClientId = member.ClientId,
            ClientHost = member.ClientHost,
            Epoch = epoch,
            PreviousEpoch = epoch,
            State = revoking.Count > 0 ? MemberState.Revoking : MemberState.Stable,
            RebalanceTimeoutMs = member.RebalanceTimeoutMs,
            Topics = names,
            Assigned = ModernMember.ByTopic(assigned),
            Revoking = revoking.Count > 0 ? ModernMember.ByTopic(revoking) : null,
            Classic = new ClassicMemberRecord { SessionTimeoutMs = member.SessionTimeoutMs, Protocols = member.Protocols },
        };
    }

    private static HashSet<AssignedPartition> Find(IEnumerable<GroupPartition> partitions, IReadOnlyDictionary<string, TopicInfo> topics)
    {
        var found = new HashSet<AssignedPartition>();
        foreach (GroupPartition partition in partitions)
        {
            if (topics.TryGetValue(partition.Topic, out TopicInfo? topic) && (uint)partition.Partition < (uint)topic.Partitions.Length)
            {
                found.Add(new AssignedPartition(topic.Id, partition.Partition));
            }
        }
        return found;
    }
}
