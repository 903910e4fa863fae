using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>Hands out producer ids for idempotent producers (KIP-98). Transactional ones are refused: there are no transactions.</summary>
internal sealed class InitProducerIdHandler(BrokerContext broker) : ApiHandler<InitProducerIdRequest, InitProducerIdResponse>(broker)
{
    /// <inheritdoc/>
    protected override async ValueTask<InitProducerIdResponse> AnswerAsync(
        Request request, InitProducerIdRequest body, CancellationToken cancellation)
    {
        if (body.TransactionalId is not null)
        {
            return Refuse(ErrorCode.InvalidRequest);
        }
        try
        {
            return new InitProducerIdResponse { ProducerId = await Broker.Control.NextProducerIdAsync(cancellation), ProducerEpoch = 0 };
        }
        catch (Exception e) when (e is not OperationCanceledException || !cancellation.IsCancellationRequested)
        {
            Broker.Logger.ProducerIdFailed(e);
            return Refuse(ErrorCode.CoordinatorLoadInProgress);
        }
    }

    private InitProducerIdResponse Refuse(ErrorCode error) => new() { ErrorCode = Counted(error), ProducerId = -1, ProducerEpoch = -1 };
}
