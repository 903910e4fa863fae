using System.Buffers.Binary;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Edge.Status;
using Tributary.Edge.Uplink.Security;

namespace Tributary.Edge.Uplink;

/// <summary>Where a node listens for Kafka clients.</summary>
internal readonly record struct NodeEndpoint(string Host, int Port)
{
    /// <inheritdoc/>
    public override string ToString() => Host.Contains(':', StringComparison.Ordinal) ? $"[{Host}]:{Port}" : $"{Host}:{Port}";
}

/// <summary>
/// A connection to a node of the cloud that speaks Kafka's protocol: each API in the highest version that both sides know. Callable from
/// any thread; requests are sent in the order of the calls. Once its connection has failed it stays so, and another is made.
/// </summary>
internal sealed class KafkaNode : ICloudNode, IAsyncDisposable
{
    private const string SoftwareName = "tributary-edge";
    private const short AcksAll = -1;

    /// <summary>The version of ApiVersions that is asked first: Kafka 2.4 and later know it.</summary>
    private const short FirstQuestion = 3;

    /// <summary>The APIs in use, with the least version that will do: Produce 7 takes zstd (KIP-110), Metadata 4 can leave a
    /// topic uncreated.</summary>
    private static readonly (KafkaApi Api, short Least)[] Needed =
    [
        (ProduceRequest.Api, 7),
        (MetadataRequest.Api, 4),
        (InitProducerIdRequest.Api, 0),
        (ListOffsetsRequest.Api, 1),
    ];

    /// <summary>Without these it goes too, at a lesser promise (<see cref="DeliveryPromise"/>).</summary>
    private static readonly (KafkaApi Api, short Least)[] Wanted = [(DescribeProducersRequest.Api, 0)];

    /// <summary>Those that authenticate, needed only with <see cref="UplinkOptions.Sasl"/>.</summary>
    private static readonly (KafkaApi Api, short Least)[] NeededToSignIn = [(SaslHandshakeRequest.Api, 1), (SaslAuthenticateRequest.Api, 0)];

    private readonly NodeConnection _connection;
    private readonly UplinkOptions _options;
    private readonly UplinkCounters _counters;
    private readonly Dictionary<short, short> _versions = [];
    private int _lastCorrelationId;
    private Task _keepingSignedIn = Task.CompletedTask;
    private volatile bool _answersWithChecks;

    private KafkaNode(NodeEndpoint endpoint, NodeConnection connection, UplinkOptions options, UplinkCounters counters)
    {
        Endpoint = endpoint;
        _connection = connection;
        _options = options;
        _counters = counters;
    }

    /// <summary>Where it listens.</summary>
    public NodeEndpoint Endpoint { get; }

    /// <summary>Whether it can say how far it has what a producer sent.</summary>
    public bool TellsOfProducers => _versions.ContainsKey(DescribeProducersRequest.ApiKey);

    /// <summary>Why the connection is gone, null while it stands.</summary>
    public string? Failure => _connection.Failure;

    /// <summary>Completes when the connection is gone.</summary>
    public Task Ended => _connection.Ended;

    /// <summary>Connects, agrees on versions, and says who the agent is if that is set.</summary>
    /// <param name="endpoint">Where.</param>
    /// <param name="tls">Begins TLS; null for a connection without.</param>
    /// <param name="options">Settings.</param>
    /// <param name="counters">What is counted.</param>
    /// <param name="time">All time.</param>
    /// <param name="cancellation">Ends the wait.</param>
    /// <exception cref="CloudRefusedException">One of both does not accept the other.</exception>
    /// <exception cref="CloudException">It can't be done now, or the node is too old.</exception>
    public static async Task<KafkaNode> ConnectAsync(
        NodeEndpoint endpoint, TlsClient? tls, UplinkOptions options, UplinkCounters counters, TimeProvider time, CancellationToken cancellation)
    {
        NodeConnection connection = await NodeConnection.ConnectAsync(endpoint, tls, options, time, cancellation);
        var node = new KafkaNode(endpoint, connection, options, counters);
        try
        {
            await node.AgreeAsync().WaitAsync(cancellation);
            if (options.Sasl is { } sasl)
            {
                TimeSpan lifetime = await SaslSignIn.AuthenticateAsync(node, sasl).WaitAsync(cancellation);
                node._keepingSignedIn = node.KeepSignedInAsync(sasl, lifetime, time);
            }
            else
            {
                connection.ExplainClose(" when it was asked for more than its versions: its listener may want SASL (setting uplink:sasl:mechanism)");
            }
            return node;
        }
        catch (Exception e)
        {
            node.Drop(e.Message);
            throw;
        }
    }

    /// <summary>Asks something.</summary>
    /// <param name="request">The question.</param>
    /// <param name="isUrgent">Whether it is sent while others are held: it authenticates.</param>
    /// <exception cref="CloudException">No answer came, or none that can be read.</exception>
    public Task<TResponse> RequestAsync<TRequest, TResponse>(TRequest request, bool isUrgent = false)
        where TRequest : IKafkaRequest<TRequest, TResponse>
        where TResponse : IKafkaMessage<TResponse> =>
        SendAsync<TRequest, TResponse>(request, _versions[TRequest.Api.Key], out _, isUrgent);

    /// <inheritdoc/>
    public Task<IReadOnlyList<ProduceAnswer>> Produce(string topic, Guid incarnation, IReadOnlyList<RoundBatch> batches)
    {
        var partitions = new ProduceRequest.PartitionProduceData[batches.Count];
        for (int i = 0; i < partitions.Length; i++)
        {
            partitions[i] = new ProduceRequest.PartitionProduceData { Index = batches[i].Target, Records = new BatchRecords(batches[i]) };
        }
        var request = new ProduceRequest
        {
            Acks = AcksAll,
            TimeoutMs = (int)_options.RequestTimeout.TotalMilliseconds,
            TopicData = [new ProduceRequest.TopicProduceData { Name = topic, PartitionData = partitions }],
            Incarnation = incarnation,
        };
        Task<ProduceResponse> response = SendAsync<ProduceRequest, ProduceResponse>(request, _versions[ProduceRequest.ApiKey], out int size);
        _counters.Sent(size);
        return AnswersAsync(topic, batches, response);
    }

    /// <inheritdoc/>
    public void Drop(string reason) => _connection.Drop(reason);

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _connection.DisposeAsync();
        await _keepingSignedIn;
    }

    /// <summary>Authenticates again before the session ends, at a time by chance so that agents don't do it together.</summary>
    private async Task KeepSignedInAsync(UplinkSaslOptions sasl, TimeSpan lifetime, TimeProvider time)
    {
        while (lifetime > TimeSpan.Zero)
        {
            try
            {
                await Ended.WaitAsync(lifetime * (0.85 + (0.1 * Random.Shared.NextDouble())), time);
                return;
            }
            catch (TimeoutException)
            {
                // It stands, and its session ends soon.
            }
            _connection.Hold();
            try
            {
                lifetime = await SaslSignIn.AuthenticateAsync(this, sasl);
            }
            catch (Exception e)
            {
                Drop(e.Message); // the next connection hears why, if it is for long
                return;
            }
            finally
            {
                _connection.Release();
            }
        }
    }

    /// <summary>
    /// Agrees on versions (KIP-35). A node that does not know the version of our question answers in version 0 with the one that it knows
    /// (KIP-511), and is asked again.
    /// </summary>
    private async Task AgreeAsync()
    {
        ApiVersionsResponse response = await AskVersionsAsync(FirstQuestion);
        if (response.ErrorCode == ErrorCode.UnsupportedVersion)
        {
            ApiVersionsResponse.ApiVersion? known = Array.Find(response.ApiKeys, api => api.ApiKey == ApiVersionsRequest.ApiKey);
            response = await AskVersionsAsync(Math.Clamp(known?.MaxVersion ?? 0, (short)0, FirstQuestion));
        }
        if (response.ErrorCode != ErrorCode.None)
        {
            throw new CloudException($"{Endpoint} answered {KafkaErrors.Describe(response.ErrorCode)} to {ApiVersionsRequest.Name}");
        }
        foreach ((KafkaApi needed, short least) in _options.Sasl is null ? Needed : [.. Needed, .. NeededToSignIn])
        {
            if (!TryAgree(response, needed, least))
            {
                throw new CloudException(
                    $"{Endpoint} does not serve {needed.Name} in any version from {least} to {needed.MaxVersion}: the cloud must be Tributary, or Kafka 2.1 or later");
            }
        }
        foreach ((KafkaApi wanted, short least) in Wanted)
        {
            TryAgree(response, wanted, least);
        }
    }

    private bool TryAgree(ApiVersionsResponse response, KafkaApi api, short least)
    {
        ApiVersionsResponse.ApiVersion? served = Array.Find(response.ApiKeys, one => one.ApiKey == api.Key);
        short highest = Math.Min(served?.MaxVersion ?? -1, api.MaxVersion);
        return highest >= Math.Max(served?.MinVersion ?? 0, least) && _versions.TryAdd(api.Key, highest);
    }

    private async Task<ApiVersionsResponse> AskVersionsAsync(short version)
    {
        var request = new ApiVersionsRequest { ClientSoftwareName = SoftwareName, ClientSoftwareVersion = StatusReader.Version };
        ReadOnlyMemory<byte> content = await ExchangeAsync(request, version, out int correlationId, out _);
        bool isOlder = content.Length >= sizeof(short)
            && BinaryPrimitives.ReadInt16BigEndian(content.Span) == (short)ErrorCode.UnsupportedVersion;
        return isOlder ? OlderVersions(content) : Decode<ApiVersionsResponse>(content, version, correlationId);
    }

    /// <summary>What the node knows instead; nothing if it doesn't say it in version 0, as librdkafka's mock broker.</summary>
    private static ApiVersionsResponse OlderVersions(ReadOnlyMemory<byte> content)
    {
        try
        {
            return KafkaFrame.ReadResponse<ApiVersionsResponse>(content, version: 0);
        }
        catch (KafkaProtocolException)
        {
            return new ApiVersionsResponse { ErrorCode = ErrorCode.UnsupportedVersion };
        }
    }

    private Task<TResponse> SendAsync<TRequest, TResponse>(TRequest request, short version, out int size, bool isUrgent = false)
        where TRequest : IKafkaRequest<TRequest, TResponse>
        where TResponse : IKafkaMessage<TResponse>
    {
        return DecodeAsync(ExchangeAsync(request, version, out int correlationId, out size, isUrgent));

        async Task<TResponse> DecodeAsync(Task<ReadOnlyMemory<byte>> content) =>
            Decode<TResponse>(await content.ConfigureAwait(false), version, correlationId);
    }

    /// <summary>The request is on its way, in the order of the calls, when it returns.</summary>
    private Task<ReadOnlyMemory<byte>> ExchangeAsync<TRequest>(
        TRequest request, short version, out int correlationId, out int size, bool isUrgent = false)
        where TRequest : IKafkaMessage<TRequest>
    {
        correlationId = Interlocked.Increment(ref _lastCorrelationId);
        RequestFrame frame = RequestFrame.Of(request, version, correlationId, _options.ClientId);
        size = frame.Size;
        return _connection.RequestAsync(frame, correlationId, _options.RequestTimeout, isUrgent);
    }

    /// <summary>Whether something in front of the node may answer it, which knows no checksums. What it says is proved otherwise.</summary>
    private static bool IsOfFront(short api) => api is SaslHandshakeRequest.ApiKey or SaslAuthenticateRequest.ApiKey;

    /// <summary>A node that answers what can't be read is given up: nobody knows what comes next.</summary>
    private TResponse Decode<TResponse>(ReadOnlyMemory<byte> content, short version, int correlationId)
        where TResponse : IKafkaMessage<TResponse>
    {
        try
        {
            FrameCheck? check = KafkaFrame.ReadCheck<TResponse>(content, version);
            bool isDamaged = check is { } found
                ? !found.HoldsBehind(correlationId, content.Span)
                : _answersWithChecks && TResponse.Api.IsResponseHeaderFlexible(version) && !IsOfFront(TResponse.Api.Key);
            if (isDamaged)
            {
                throw new KafkaProtocolException("ResponseHeader", 0, "has another checksum than the response, which was damaged on its way: use TLS where the network does that");
            }
            _answersWithChecks |= check is not null;
            if (_answersWithChecks && _versions.Count > 0 && !TellsOfProducers)
            {
                // The answer to ApiVersions has no checksum, and Tributary serves it.
                throw new KafkaProtocolException("ApiVersionsResponse", 0, "did not tell of DescribeProducers, which the node serves: it was damaged on its way");
            }
            return KafkaFrame.ReadResponse<TResponse>(content, version);
        }
        catch (KafkaProtocolException e)
        {
            string reason = $"{Endpoint} answered what can't be read: {e.Message}";
            Drop(reason);
            throw new CloudException(reason, e);
        }
    }

    private async Task<IReadOnlyList<ProduceAnswer>> AnswersAsync(string topic, IReadOnlyList<RoundBatch> batches, Task<ProduceResponse> response)
    {
        ProduceResponse answered = await response.ConfigureAwait(false);
        _counters.Answered();
        var byTarget = new Dictionary<int, ProduceResponse.PartitionProduceResponse>(batches.Count);
        foreach (ProduceResponse.PartitionProduceResponse partition in
            answered.Responses.Where(found => found.Name == topic).SelectMany(found => found.PartitionResponses))
        {
            byTarget[partition.Index] = partition;
        }
        var answers = new ProduceAnswer[batches.Count];
        for (int i = 0; i < answers.Length; i++)
        {
            answers[i] = byTarget.TryGetValue(batches[i].Target, out ProduceResponse.PartitionProduceResponse? answer)
                ? new ProduceAnswer(batches[i], answer.ErrorCode, answer.BaseOffset)
                : throw new CloudException($"{Endpoint} did not answer for partition {batches[i].Target} of {topic}");
        }
        return answers;
    }
}
