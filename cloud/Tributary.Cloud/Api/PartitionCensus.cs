using Tributary.Broker;
using Tributary.Broker.Metadata;
using Tributary.Broker.Partitions;

namespace Tributary.Cloud.Api;

/// <summary>Counts the broker's partitions as they are when it is asked. Callable from any thread.</summary>
internal sealed class PartitionCensus(BrokerServer broker, IControlPlane control)
{
    /// <summary>Topics of the cluster.</summary>
    public int Topics => control.Snapshot.Topics.Count;

    /// <summary>Partitions that the broker leads.</summary>
    public int Led =>
        control.Snapshot.Topics.Values.Sum(topic => topic.Partitions.Count(partition => partition.Leader == control.Snapshot.NodeId));

    /// <summary>Those among them that take no append: not opened, or offline.</summary>
    public int Unavailable => Led - broker.Partitions.All.Count(partition => partition.Log.OfflineReason is null);

    /// <summary>Bytes they take on disk.</summary>
    public long Bytes => broker.Partitions.All.Sum(partition => partition.Log.SizeBytes);

    /// <summary>Why one of them takes no append, null if there is no such.</summary>
    public string? OfflineReason =>
        broker.Partitions.All.Select(partition => partition.Log.OfflineReason).FirstOrDefault(reason => reason is not null);
}
