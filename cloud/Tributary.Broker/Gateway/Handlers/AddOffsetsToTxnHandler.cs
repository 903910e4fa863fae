using Tributary.Broker.Transactions;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>Adds a consumer group, whose offsets are to be committed with it, to a transaction.</summary>
internal sealed class AddOffsetsToTxnHandler(BrokerContext broker)
    : TransactionHandler<AddOffsetsToTxnRequest, AddOffsetsToTxnResponse>(broker)
{
    private const short FencedSince = 2;

    /// <inheritdoc/>
    protected override async ValueTask<AddOffsetsToTxnResponse> AnswerAsync(
        Request request, AddOffsetsToTxnRequest body, CancellationToken cancellation)
    {
        ErrorCode error = GroupIds.IsValid(body.GroupId, mayBeEmpty: false)
            ? await AskAsync(
                body.TransactionalId,
                () => Transactions.AddGroupAsync(
                    body.TransactionalId, new ProducerIdentity(body.ProducerId, body.ProducerEpoch), body.GroupId, cancellation),
                refused => refused, cancellation)
            : ErrorCode.InvalidGroupId;
        return new AddOffsetsToTxnResponse { ErrorCode = Counted(ForVersion(error, request.Version, FencedSince)) };
    }
}
