using System.Collections.Immutable;
using Tributary.Broker.Metadata;
using Tributary.Contracts.Kafka;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>
/// Who leads partitions instead of this broker, for answers that say that it doesn't: clients then need no metadata request (KIP-951).
/// Used for one response.
/// </summary>
internal sealed class LeaderHints(ClusterSnapshot snapshot)
{
    private HashSet<int>? _named;

    /// <summary>The brokers that were named, as the response has them.</summary>
    public T[] Nodes<T>(Func<BrokerNode, T> toEndpoint) =>
        _named is null ? [] : [.. snapshot.Brokers.Where(broker => _named.Contains(broker.NodeId)).Select(toEndpoint)];

    /// <summary>The leader of a partition that is answered with <paramref name="error"/>; null if the error has another cause.</summary>
    public PartitionAssignment? Find(string topic, Guid topicId, int index, ErrorCode error)
    {
        if (error is not (ErrorCode.NotLeaderOrFollower or ErrorCode.FencedLeaderEpoch))
        {
            return null;
        }
        TopicInfo? known = topicId == Guid.Empty
            ? snapshot.Topics.GetValueOrDefault(topic)
            : snapshot.TopicsById.GetValueOrDefault(topicId);
        if (TopicLookup.FindAssignment(known, index) is not { Leader: >= 0 } assignment)
        {
            return null;
        }
        (_named ??= []).Add(assignment.Leader);
        return assignment;
    }
}
