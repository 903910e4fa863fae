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
    private readonly SortedSet<int> _named = [];

    /// <summary>The brokers that were named.</summary>
    public IEnumerable<BrokerNode> Nodes => _named.Count == 0 ? [] : snapshot.Brokers.Where(broker => _named.Contains(broker.NodeId));

    /// <summary>The leader of a partition that is answered with <paramref name="error"/>; null if the error has another cause.</summary>
    public PartitionAssignment? Find(TopicInfo? topic, int index, ErrorCode error)
    {
        if (error is not (ErrorCode.NotLeaderOrFollower or ErrorCode.FencedLeaderEpoch)
            || TopicLookup.FindAssignment(topic, index) is not { Leader: >= 0 } assignment)
        {
            return null;
        }
        _named.Add(assignment.Leader);
        return assignment;
    }
}
