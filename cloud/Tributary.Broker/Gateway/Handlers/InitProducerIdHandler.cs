using Tributary.Broker.Transactions;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>Hands out producer ids (KIP-98), and their next epochs to those who have a transactional id.</summary>
internal sealed class InitProducerIdHandler(BrokerContext broker) : TransactionHandler<InitProducerIdRequest, InitProducerIdResponse>(broker)
{
    private const short FencedSince = 4;
    private const long NoProducerId = -1;
    private const short NoEpoch = -1;

    /// <inheritdoc/>
    protected override async ValueTask<InitProducerIdResponse> AnswerAsync(
        Request request, InitProducerIdRequest body, CancellationToken cancellation)
    {
        InitializedProducer given = body.TransactionalId is null
            ? await NewAsync(cancellation)
            : await InitializeAsync(body.TransactionalId, body, cancellation);
        return given.Error == ErrorCode.None
            ? new InitProducerIdResponse { ProducerId = given.Producer.ProducerId, ProducerEpoch = given.Producer.Epoch }
            : new InitProducerIdResponse
            {
                ErrorCode = Counted(ForVersion(given.Error, request.Version, FencedSince)),
                ProducerId = NoProducerId,
                ProducerEpoch = NoEpoch,
            };
    }

    private async Task<InitializedProducer> NewAsync(CancellationToken cancellation)
    {
        try
        {
            return new InitializedProducer(ErrorCode.None, new ProducerIdentity(await Broker.Control.NextProducerIdAsync(cancellation), 0));
        }
        catch (Exception e) when (e is not OperationCanceledException || !cancellation.IsCancellationRequested)
        {
            Broker.Logger.ProducerIdFailed(e);
            return Refuse(ErrorCode.CoordinatorLoadInProgress);
        }
    }

    private async Task<InitializedProducer> InitializeAsync(string id, InitProducerIdRequest body, CancellationToken cancellation)
    {
        if ((body.ProducerId == NoProducerId) != (body.ProducerEpoch == NoEpoch))
        {
            return Refuse(ErrorCode.InvalidRequest); // half of what it has had
        }
        ProducerIdentity? current = body.ProducerId == NoProducerId ? null : new ProducerIdentity(body.ProducerId, body.ProducerEpoch);
        return await AskAsync(
            id, () => Transactions.InitializeAsync(id, body.TransactionTimeoutMs, current, cancellation), Refuse, cancellation);
    }

    private static InitializedProducer Refuse(ErrorCode error) => new(error, default);
}
