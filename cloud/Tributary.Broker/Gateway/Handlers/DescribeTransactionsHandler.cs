using Tributary.Broker.Transactions;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>Tells what transactional ids are at (KIP-664).</summary>
internal sealed class DescribeTransactionsHandler(BrokerContext broker)
    : TransactionHandler<DescribeTransactionsRequest, DescribeTransactionsResponse>(broker)
{
    /// <inheritdoc/>
    protected override async ValueTask<DescribeTransactionsResponse> AnswerAsync(
        Request request, DescribeTransactionsRequest body, CancellationToken cancellation)
    {
        var states = new DescribeTransactionsResponse.TransactionState[body.TransactionalIds.Length];
        for (int i = 0; i < states.Length; i++)
        {
            string id = body.TransactionalIds[i];
            states[i] = await AskAsync(id, () => DescribeAsync(id, cancellation), error => Refuse(id, error), cancellation);
            Counted(states[i].ErrorCode);
        }
        return new DescribeTransactionsResponse { TransactionStates = states };
    }

    private async Task<DescribeTransactionsResponse.TransactionState> DescribeAsync(string id, CancellationToken cancellation) =>
        await Transactions.DescribeAsync(id, cancellation) is not { } found
            ? Refuse(id, ErrorCode.TransactionalIdNotFound)
            : new DescribeTransactionsResponse.TransactionState
            {
                TransactionalId = id,
                State = found.State.ToString(),
                TransactionTimeoutMs = found.TimeoutMs,
                TransactionStartTimeMs = found.StartMs,
                ProducerId = found.Producer.ProducerId,
                ProducerEpoch = found.Producer.Epoch,
                Topics =
                [
                    .. found.Partitions.GroupBy(partition => partition.Topic, StringComparer.Ordinal)
                        .Select(topic => new DescribeTransactionsResponse.TopicData
                        {
                            Topic = topic.Key,
                            Partitions = [.. topic.Select(partition => partition.Index).Distinct().Order()],
                        }),
                ],
            };

    private static DescribeTransactionsResponse.TransactionState Refuse(string id, ErrorCode error) => new()
    {
        TransactionalId = id,
        ErrorCode = error,
    };
}
