using System.Collections.Immutable;

namespace Tributary.Broker.Partitions;

/// <summary>
/// The in-sync replicas of a partition that this node leads and up to where all of them hold it. Immutable. A replica that has not
/// said how far it is holds the high watermark where it stands.
/// </summary>
internal sealed class InSyncSet(int localNode, ImmutableArray<int> members)
{
    /// <summary>Number of replicas in the set.</summary>
    public int Count => members.Length;

    /// <summary>The offset below which every replica in the set has everything durably.</summary>
    /// <param name="localFlushedEnd">How far this node is.</param>
    /// <param name="highWatermark">How far all of them were known to be.</param>
    public long CommonEnd(long localFlushedEnd, long highWatermark)
    {
        foreach (int member in members)
        {
            if (member != localNode)
            {
                return highWatermark;
            }
        }
        return Math.Max(highWatermark, localFlushedEnd);
    }
}
