using Microsoft.Extensions.Logging;
using Tributary.Broker.Metadata;
using Tributary.Broker.Partitions;
using Tributary.Contracts.Kafka;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>Checks that several handlers make before they touch a partition.</summary>
internal static class TopicLookup
{
    /// <summary>Compares the leader epoch that a client has with the partition's (KIP-320).</summary>
    /// <param name="partition">The partition.</param>
    /// <param name="clientEpoch">What the client has, −1 if it doesn't say.</param>
    public static ErrorCode CheckEpoch(Partition partition, int clientEpoch)
    {
        int current = partition.LeaderEpoch;
        return clientEpoch < 0 || clientEpoch == current ? ErrorCode.None
            : clientEpoch < current ? ErrorCode.FencedLeaderEpoch
            : ErrorCode.UnknownLeaderEpoch;
    }

    /// <summary>What a client is told when a log can't be read: it may have been closed because the partition was given up.</summary>
    public static ErrorCode ReadFailure(Partition partition, IOException failure, ILogger logger)
    {
        if (partition.Unavailable is var reason and not ErrorCode.None)
        {
            return reason;
        }
        logger.ReadFailed(failure, partition.Log.Name);
        return ErrorCode.KafkaStorageError;
    }

    /// <summary>Clients of old versions don't know that a log can fail, and look for another leader (KIP-112).</summary>
    public static ErrorCode ForVersion(ErrorCode error, short version, short storageErrorsSince) =>
        error == ErrorCode.KafkaStorageError && version < storageErrorsSince ? ErrorCode.NotLeaderOrFollower : error;

    /// <summary>Who leads a partition as the snapshot has it; null if the snapshot doesn't know it.</summary>
    public static PartitionAssignment? FindAssignment(TopicInfo? topic, int index) =>
        topic is not null && (uint)index < (uint)topic.Partitions.Length ? topic.Partitions[index] : null;
}
