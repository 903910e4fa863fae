using Tributary.Broker.Metadata;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>
/// Moves partitions (KIP-455): with one broker they are where they can be, so that what asks for that is done, and no move is ever under
/// way.
/// </summary>
internal sealed class AlterPartitionReassignmentsHandler(BrokerContext broker)
    : ApiHandler<AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse>(broker)
{
    /// <inheritdoc/>
    protected override ValueTask<AlterPartitionReassignmentsResponse> AnswerAsync(
        Request request, AlterPartitionReassignmentsRequest body, CancellationToken cancellation)
    {
        ClusterSnapshot snapshot = Broker.Control.Snapshot;
        return new(new AlterPartitionReassignmentsResponse
        {
            Responses =
            [
                .. body.Topics.Select(topic => new AlterPartitionReassignmentsResponse.ReassignableTopicResponse
                {
                    Name = topic.Name,
                    Partitions = [.. topic.Partitions.Select(one => Alter(snapshot, topic.Name, one))],
                }),
            ],
        });
    }

    private AlterPartitionReassignmentsResponse.ReassignablePartitionResponse Alter(
        ClusterSnapshot snapshot, string topic, AlterPartitionReassignmentsRequest.ReassignablePartition wanted)
    {
        (ErrorCode error, string? message) =
            TopicLookup.FindAssignment(snapshot.Topics.GetValueOrDefault(topic), wanted.PartitionIndex) is null
                ? (ErrorCode.UnknownTopicOrPartition, "No such topic or partition.")
            : wanted.Replicas is null ? (ErrorCode.NoReassignmentInProgress, "The partition does not move.")
            : ManualAssignment.FindFault(snapshot.Brokers, [wanted.Replicas]) is { } fault ? (ErrorCode.InvalidReplicaAssignment, fault)
            : (ErrorCode.None, null);
        return new() { PartitionIndex = wanted.PartitionIndex, ErrorCode = Counted(error), ErrorMessage = message };
    }
}
