using Tributary.Broker.Groups;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>Has a transaction commit how far a group has read. Answered when that is durable; it counts when the transaction commits.</summary>
internal sealed class TxnOffsetCommitHandler(BrokerContext broker) : GroupHandler<TxnOffsetCommitRequest, TxnOffsetCommitResponse>(broker)
{
    /// <inheritdoc/>
    protected override async ValueTask<TxnOffsetCommitResponse> AnswerAsync(
        Request request, TxnOffsetCommitRequest body, CancellationToken cancellation)
    {
        TxnOffsetCommitResponse response = IsValid(body.GroupId, mayBeEmpty: false)
            ? await AskAsync(
                body.GroupId,
                groups => groups.CommitAsync(body, CallerOf(request), cancellation),
                error => OffsetMessages.AnswerCommit(body, (_, _) => error),
                cancellation)
            : OffsetMessages.AnswerCommit(body, (_, _) => ErrorCode.InvalidGroupId);
        foreach (TxnOffsetCommitResponse.TxnOffsetCommitResponseTopic topic in response.Topics)
        {
            foreach (TxnOffsetCommitResponse.TxnOffsetCommitResponsePartition partition in topic.Partitions)
            {
                Counted(partition.ErrorCode);
            }
        }
        return response;
    }
}
