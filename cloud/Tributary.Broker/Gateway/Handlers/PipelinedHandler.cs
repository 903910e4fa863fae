using Tributary.Contracts.Kafka;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>
/// An API whose requests overlap on a connection: each is begun in the order of arrival and answered later, in that order.
/// </summary>
internal abstract class PipelinedHandler(BrokerContext broker, KafkaApi api) : ApiHandler(broker, api)
{
    /// <summary>Begins the request. Its frame is not touched after this returns.</summary>
    /// <returns>What is to be answered once it is over, null if no answer is wanted.</returns>
    /// <exception cref="KafkaProtocolException">The body is malformed.</exception>
    public abstract ValueTask<PendingProduce?> BeginAsync(Request request, CancellationToken cancellation);

    /// <inheritdoc/>
    public sealed override ValueTask HandleAsync(Request request, ResponseFrame response, CancellationToken cancellation) =>
        throw new InvalidOperationException($"{Name} is begun and answered later");
}
