using Tributary.Broker.Transactions;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>Commits or aborts a transaction. Answered when that is decided for good; who reads committed records sees them a moment later.</summary>
internal sealed class EndTxnHandler(BrokerContext broker) : TransactionHandler<EndTxnRequest, EndTxnResponse>(broker)
{
    private const short FencedSince = 2;

    /// <inheritdoc/>
    protected override async ValueTask<EndTxnResponse> AnswerAsync(Request request, EndTxnRequest body, CancellationToken cancellation)
    {
        ErrorCode error = await AskAsync(
            body.TransactionalId,
            () => Transactions.EndAsync(
                body.TransactionalId, new ProducerIdentity(body.ProducerId, body.ProducerEpoch), body.Committed, cancellation),
            refused => refused, cancellation);
        return new EndTxnResponse { ErrorCode = Counted(ForVersion(error, request.Version, FencedSince)) };
    }
}
