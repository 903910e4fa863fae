using System.Collections.Immutable;
using Tributary.Broker.Metadata;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>Partitions that an administrator wants on certain brokers.</summary>
internal static class ManualAssignment
{
    /// <summary>Why it can't be, null if it can: it is taken only where there is nothing to choose, each partition on the one broker.</summary>
    public static string? FindFault(ImmutableArray<BrokerNode> brokers, IEnumerable<int[]> assignments) =>
        brokers.Length == 1 && assignments.All(ids => ids.AsSpan().SequenceEqual([brokers[0].NodeId]))
            ? null
            : "The cluster chooses where partitions go; only a broker that is alone may be named.";
}
