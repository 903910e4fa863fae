using Tributary.Log;

namespace Tributary.Edge.Buffer;

/// <summary>One local partition: its log, and the directory where what belongs to it (the uplink's checkpoint) stands beside the segments.</summary>
/// <param name="Topic">Kafka topic that its records go to.</param>
/// <param name="Index">Number of the local partition, from 0.</param>
/// <param name="Log">Its log.</param>
/// <param name="Directory">Path of its directory.</param>
internal sealed record BufferPartition(string Topic, int Index, PartitionLog Log, string Directory);

/// <summary>The local partitions. They exist when a first message needs them, or because they did at the last start.</summary>
internal interface IEdgeBuffer
{
    /// <summary>The partitions that are open.</summary>
    IReadOnlyList<BufferPartition> Partitions { get; }

    /// <summary>Calls <paramref name="opened"/> for each partition that is open, and later for each one that is opened, on any thread.</summary>
    void Subscribe(Action<BufferPartition> opened);
}
