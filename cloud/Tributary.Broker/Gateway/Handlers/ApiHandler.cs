using Tributary.Contracts.Kafka;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>Serves one API. One object for all connections: the state of a request lives in its call.</summary>
internal abstract class ApiHandler(BrokerContext broker, KafkaApi api)
{
    /// <summary>The API.</summary>
    public KafkaApi Api { get; } = api;

    /// <summary>The API's name.</summary>
    public string Name => Api.Name;

    /// <summary>The lowest version that is served.</summary>
    public virtual short MinVersion => Api.MinVersion;

    /// <summary>The highest version that is served.</summary>
    public virtual short MaxVersion => Api.MaxVersion;

    /// <summary>The lowest version that clients are told of.</summary>
    public virtual short AdvertisedMinVersion => MinVersion;

    protected BrokerContext Broker { get; } = broker;

    /// <summary>Reads the request's body, does what it says and writes the response, header included.</summary>
    /// <exception cref="KafkaProtocolException">The body is malformed.</exception>
    public abstract ValueTask HandleAsync(Request request, ResponseFrame response, CancellationToken cancellation);

    /// <summary>Counts an error that is answered.</summary>
    protected ErrorCode Counted(ErrorCode error)
    {
        if (error != ErrorCode.None)
        {
            Broker.Metrics.ErrorAnswered(Name, error);
        }
        return error;
    }

    /// <summary>Reads a body.</summary>
    protected static T Read<T>(Request request)
        where T : IKafkaMessage<T>
    {
        var reader = new KafkaReader(request.Frame, request.BodyStart);
        return T.Read(ref reader, request.Version);
    }

    /// <summary>Writes a response with its header.</summary>
    protected static void Write<T>(Request request, T body, ResponseFrame response)
        where T : IKafkaMessage<T>
    {
        var writer = new KafkaWriter(response);
        new ResponseHeader(request.CorrelationId).Write(ref writer, T.Api.IsResponseHeaderFlexible(request.Version));
        body.Write(ref writer, request.Version);
    }
}

/// <summary>Serves an API whose answer is made as a whole.</summary>
internal abstract class ApiHandler<TRequest, TResponse>(BrokerContext broker) : ApiHandler(broker, TRequest.Api)
    where TRequest : IKafkaRequest<TRequest, TResponse>
    where TResponse : IKafkaMessage<TResponse>
{
    /// <inheritdoc/>
    public override async ValueTask HandleAsync(Request request, ResponseFrame response, CancellationToken cancellation) =>
        Write(request, await AnswerAsync(request, Read<TRequest>(request), cancellation), response);

    /// <summary>Does what the request says.</summary>
    protected abstract ValueTask<TResponse> AnswerAsync(Request request, TRequest body, CancellationToken cancellation);
}
