using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>Tells which partitions move to other brokers (KIP-455): with one broker none does.</summary>
internal sealed class ListPartitionReassignmentsHandler(BrokerContext broker)
    : ApiHandler<ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse>(broker)
{
    /// <inheritdoc/>
    protected override ValueTask<ListPartitionReassignmentsResponse> AnswerAsync(
        Request request, ListPartitionReassignmentsRequest body, CancellationToken cancellation) => new(new ListPartitionReassignmentsResponse());
}
