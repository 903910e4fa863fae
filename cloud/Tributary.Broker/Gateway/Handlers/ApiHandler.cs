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

    /// <summary>
    /// Reads a body and claims memory for what it became, which is the request's from then on. If there is none, the body is forgotten and
    /// read again when there is: nobody who waits holds more than the request's bytes.
    /// </summary>
    /// <exception cref="KafkaProtocolException">It is malformed, or has more elements than allowed.</exception>
    /// <exception cref="ConnectionRefusedException">There was no memory for long.</exception>
    protected ValueTask<T> ReadAsync<T>(Request request, CancellationToken cancellation)
        where T : IKafkaMessage<T>
    {
        T body = Read<T>(request, out int elements);
        long cost = RequestMemory.CostOf(elements);
        if (cost > 0 && !Broker.RequestMemory.TryAcquire(cost))
        {
            return ReadLaterAsync<T>(request, cost, cancellation);
        }
        request.Claimed = cost;
        return new(body);
    }

    /// <summary>Waits until there is memory for a large answer; the response gives it back when it is sent.</summary>
    protected async ValueTask ReserveAsync(ResponseFrame response, long bytes, CancellationToken cancellation)
    {
        if (bytes > ResponseFrame.KeptBytes)
        {
            await Broker.ResponseMemory.AcquireAsync(bytes, cancellation);
            response.Charge(Broker.ResponseMemory, bytes);
        }
    }

    private T Read<T>(Request request, out int elements)
        where T : IKafkaMessage<T>
    {
        var reader = new KafkaReader(request.Frame, request.BodyStart, Broker.Options.MaxRequestElements);
        T body = T.Read(ref reader, request.Version);
        elements = reader.ElementsRead;
        return body;
    }

    private async ValueTask<T> ReadLaterAsync<T>(Request request, long cost, CancellationToken cancellation)
        where T : IKafkaMessage<T>
    {
        using var limit = new CancellationTokenSource(Broker.Options.FrameGrace, Broker.Time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellation);
        try
        {
            await Broker.RequestMemory.AcquireAsync(cost, both.Token);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            throw new ConnectionRefusedException(
                CloseReason.RequestMemory, $"for {cost} bytes of a request there was no memory (broker:maxListenerRequestBytes)");
        }
        request.Claimed = cost;
        return Read<T>(request, out _);
    }

    /// <summary>Writes a response with its header.</summary>
    protected static void Write<T>(Request request, T body, ResponseFrame response)
        where T : IKafkaMessage<T>
    {
        var writer = new KafkaWriter(response);
        bool isFlexible = T.Api.IsResponseHeaderFlexible(request.Version);
        new ResponseHeader(request.CorrelationId).Write(ref writer, isFlexible, request.IsChecked);
        if (isFlexible && request.IsChecked)
        {
            response.HasCheck();
        }
        body.Write(ref writer, request.Version);
    }
}

/// <summary>Serves an API whose answer is made as a whole.</summary>
internal abstract class ApiHandler<TRequest, TResponse>(BrokerContext broker) : ApiHandler(broker, TRequest.Api)
    where TRequest : IKafkaRequest<TRequest, TResponse>
    where TResponse : IKafkaMessage<TResponse>
{
    /// <inheritdoc/>
    public override async ValueTask HandleAsync(Request request, ResponseFrame response, CancellationToken cancellation)
    {
        TRequest body = await ReadAsync<TRequest>(request, cancellation);
        await ReserveAsync(response, Prepare(body), cancellation);
        Write(request, await AnswerAsync(request, body, cancellation), response);
    }

    /// <summary>Looks at a request, and may take what it repeats out, before anything is done for it.</summary>
    /// <returns>About how many bytes its answer has, where that isn't a matter of the request's own elements.</returns>
    protected virtual long Prepare(TRequest body) => 0;

    /// <summary>Does what the request says.</summary>
    protected abstract ValueTask<TResponse> AnswerAsync(Request request, TRequest body, CancellationToken cancellation);
}
