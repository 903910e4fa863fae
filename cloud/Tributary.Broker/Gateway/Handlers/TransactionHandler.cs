using Tributary.Broker.Transactions;
using Tributary.Contracts.Kafka;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>
/// Serves an API about transactions: what it has in common is who decides, what is said when nobody does, and how errors were called before.
/// </summary>
internal abstract class TransactionHandler<TRequest, TResponse>(BrokerContext broker) : ApiHandler<TRequest, TResponse>(broker)
    where TRequest : IKafkaRequest<TRequest, TResponse>
    where TResponse : IKafkaMessage<TResponse>
{
    /// <summary>Most characters of an id in a line of the log.</summary>
    private const int MaxShown = 256;

    protected ITransactionCoordinator Transactions => Broker.Transactions;

    /// <summary>Whether a transactional id can be one (<see cref="TransactionOptions.MaxIdLength"/>).</summary>
    protected bool IsValid(string id) => id.Length > 0 && id.Length <= Broker.Options.Transactions.MaxIdLength;

    /// <summary>
    /// Asks who decides. A failure is logged and answered with COORDINATOR_NOT_AVAILABLE, so the client asks again; an id that can't be one
    /// with INVALID_REQUEST.
    /// </summary>
    protected async Task<T> AskAsync<T>(string id, Func<Task<T>> ask, Func<ErrorCode, T> refuse, CancellationToken cancellation)
    {
        if (!IsValid(id))
        {
            return refuse(ErrorCode.InvalidRequest);
        }
        try
        {
            return await ask();
        }
        catch (Exception e) when (e is not OperationCanceledException || !cancellation.IsCancellationRequested)
        {
            Broker.Logger.TransactionRequestFailed(e, Name, id.Length <= MaxShown ? id : id[..MaxShown]);
            return refuse(ErrorCode.CoordinatorNotAvailable);
        }
    }

    /// <summary>
    /// Clients of old versions know one error for a producer that is fenced, whoever says so (KIP-588).
    /// </summary>
    protected static ErrorCode ForVersion(ErrorCode error, short version, short fencedSince) =>
        error == ErrorCode.ProducerFenced && version < fencedSince ? ErrorCode.InvalidProducerEpoch : error;
}
