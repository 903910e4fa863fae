using Tributary.Broker.Metadata;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>
/// Elects leaders (KIP-460). A broker that is alone leads everything, so no election is ever needed; what has no leader has nobody to
/// elect.
/// </summary>
internal sealed class ElectLeadersHandler(BrokerContext broker) : ApiHandler<ElectLeadersRequest, ElectLeadersResponse>(broker)
{
    private const sbyte Preferred = 0;
    private const sbyte Unclean = 1;

    /// <inheritdoc/>
    protected override ValueTask<ElectLeadersResponse> AnswerAsync(Request request, ElectLeadersRequest body, CancellationToken cancellation)
    {
        if (body.ElectionType is not (Preferred or Unclean))
        {
            return new(new ElectLeadersResponse { ErrorCode = Counted(ErrorCode.InvalidRequest) });
        }
        ClusterSnapshot snapshot = Broker.Control.Snapshot;
        return new(new ElectLeadersResponse
        {
            // Of all partitions, only those are told of for which there was something to do.
            ReplicaElectionResults =
            [
                .. (body.TopicPartitions ?? []).Select(topic => new ElectLeadersResponse.ReplicaElectionResult
                {
                    Topic = topic.Topic,
                    PartitionResult = [.. topic.Partitions.Select(index => Elect(snapshot.Topics.GetValueOrDefault(topic.Topic), index))],
                }),
            ],
        });
    }

    private ElectLeadersResponse.ElectionResult Elect(TopicInfo? topic, int index)
    {
        (ErrorCode error, string message) = TopicLookup.FindAssignment(topic, index) switch
        {
            null => (ErrorCode.UnknownTopicOrPartition, "No such topic or partition."),
            { Leader: < 0 } => (ErrorCode.PreferredLeaderNotAvailable, "The preferred leader was not available."),
            _ => (ErrorCode.ElectionNotNeeded, "Leader election not needed for topic partition."),
        };
        return new() { PartitionId = index, ErrorCode = Counted(error), ErrorMessage = message };
    }
}
