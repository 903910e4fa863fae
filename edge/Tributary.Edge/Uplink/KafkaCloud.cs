using System.Net;
using Microsoft.Extensions.Logging;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Edge.Uplink.Security;

namespace Tributary.Edge.Uplink;

/// <summary>
/// A Kafka cluster: one connection for each node that is needed, made when it is needed, and who leads what as of the last metadata. One
/// connection is kept up even while nothing is sent, so that the status tells whether the cloud is there. Callable from any thread; the
/// lock guards the tables only, nothing is awaited or called under it. A crash leaves nothing behind.
/// </summary>
internal sealed class KafkaCloud : ICloud
{
    /// <summary>Nodes that are tried for a question that any node can answer.</summary>
    private const int MaxNodesTried = 3;

    /// <summary>Brokers of a cluster that are remembered.</summary>
    private const int MaxBrokers = 1024;

    private const long Latest = -1;
    private static readonly TimeSpan UnreachableLogInterval = TimeSpan.FromMinutes(1);
    private readonly UplinkOptions _options;
    private readonly UplinkCounters _counters;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly NodeEndpoint _bootstrap;
    private readonly TlsClient? _tls;
    private readonly long _origin;
    private readonly CancellationTokenSource _stopping = new();
    private readonly Lock _lock = new();
    private bool _hasToldPromise;

    // Under the lock.
    private readonly Dictionary<NodeEndpoint, NodeTries> _nodes = [];
    private readonly Dictionary<string, NodeEndpoint?[]> _leaders = [];
    private NodeEndpoint[] _brokers = [];
    private Task _keeping = Task.CompletedTask;

    /// <param name="options">Settings.</param>
    /// <param name="counters">What is counted.</param>
    /// <param name="time">All time.</param>
    /// <param name="loggers">Where it logs.</param>
    public KafkaCloud(UplinkOptions options, UplinkCounters counters, TimeProvider time, ILoggerFactory loggers)
    {
        _options = options;
        _counters = counters;
        _time = time;
        _logger = loggers.CreateLogger<KafkaCloud>();
        _origin = time.GetTimestamp();
        _bootstrap = new NodeEndpoint(options.CloudHost, options.CloudPort);
        _tls = options.Tls is { } tls ? new TlsClient(tls, time, _logger) : null;
    }

    /// <inheritdoc/>
    public bool IsConnected => FindLive() is not null;

    private TimeSpan Now => _time.GetElapsedTime(_origin);

    /// <summary>Begins to keep a connection up. Returns at once, whether the cloud is there or not.</summary>
    public void Start()
    {
        lock (_lock)
        {
            _keeping = Task.Run(KeepConnectedAsync);
        }
    }

    /// <inheritdoc/>
    public async Task<TopicMetadata> GetMetadataAsync(string topic, bool allowCreate, CancellationToken cancellation)
    {
        var request = new MetadataRequest
        {
            Topics = [new MetadataRequest.MetadataRequestTopic { Name = topic }],
            AllowAutoTopicCreation = allowCreate,
        };
        MetadataResponse response = await AskAsync<MetadataRequest, MetadataResponse>(await AnyNodeAsync(cancellation), request, cancellation);
        if (response.ErrorCode == ErrorCode.RebootstrapRequired || response.Topics.Any(t => t.ErrorCode == ErrorCode.RebootstrapRequired))
        {
            BeginAgain();
        }
        Check(response.ErrorCode, "for metadata");
        MetadataResponse.MetadataResponseTopic found = Array.Find(response.Topics, t => t.Name == topic)
            ?? throw new CloudException($"the cloud's metadata lack the topic {topic} that was asked for");
        Check(found.ErrorCode, $"for the topic {topic}");
        Learn(topic, response, found);
        return new TopicMetadata(response.ClusterId ?? "", found.TopicId, found.Partitions.Length);
    }

    /// <inheritdoc/>
    public async Task<(long ProducerId, short ProducerEpoch)> InitProducerIdAsync(CancellationToken cancellation)
    {
        // The timeout is that of transactions; Kafka checks it even without one.
        var request = new InitProducerIdRequest { TransactionTimeoutMs = (int)_options.RequestTimeout.TotalMilliseconds };
        InitProducerIdResponse response =
            await AskAsync<InitProducerIdRequest, InitProducerIdResponse>(await AnyNodeAsync(cancellation), request, cancellation);
        Check(response.ErrorCode, "for a producer id");
        return response is { ProducerId: >= 0, ProducerEpoch: >= 0 }
            ? (response.ProducerId, response.ProducerEpoch)
            : throw new CloudException($"the cloud gave producer id {response.ProducerId} with epoch {response.ProducerEpoch}");
    }

    /// <inheritdoc/>
    public async Task<CloudPosition[]> GetPositionsAsync(
        string topic, long producerId, ProducerClaim claim, int targets, CancellationToken cancellation)
    {
        var positions = new CloudPosition[targets];
        IEnumerable<IGrouping<NodeEndpoint, int>> byLeader = Enumerable.Range(0, targets).GroupBy(target => LeaderOf(topic, target));
        await Task.WhenAll(byLeader.Select(async leader =>
        {
            KafkaNode node = await NodeAsync(leader.Key, cancellation);
            int[] led = [.. leader];
            if (node.TellsOfProducers)
            {
                await DescribeAsync(node, topic, producerId, claim, led, positions, cancellation);
            }
            else
            {
                Array.ForEach(led, target => positions[target] = CloudPosition.Untold);
            }
            await FindEndsAsync(node, topic, led, positions, cancellation);
        }));
        return positions;
    }

    /// <inheritdoc/>
    public ValueTask<ICloudNode> GetLeaderAsync(string topic, int target, CancellationToken cancellation)
    {
        Task<KafkaNode> node = NodeAsync(LeaderOf(topic, target), cancellation);
        return node.IsCompletedSuccessfully ? new ValueTask<ICloudNode>(node.Result) : Wait(node);

        static async ValueTask<ICloudNode> Wait(Task<KafkaNode> node) => await node.ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        Task<KafkaNode>[] nodes;
        Task keeping;
        lock (_lock)
        {
            _stopping.Cancel();
            nodes = [.. _nodes.Values.Select(tries => tries.Node).OfType<Task<KafkaNode>>()];
            keeping = _keeping;
        }
        await keeping;
        foreach (Task<KafkaNode> node in nodes)
        {
            try
            {
                await (await node).DisposeAsync();
            }
            catch (Exception e) when (e is IOException or OperationCanceledException)
            {
                // It was not connected.
            }
        }
    }

    private static async Task<TResponse> AskAsync<TRequest, TResponse>(KafkaNode node, TRequest request, CancellationToken cancellation)
        where TRequest : IKafkaRequest<TRequest, TResponse>
        where TResponse : IKafkaMessage<TResponse> =>
        await node.RequestAsync<TRequest, TResponse>(request).WaitAsync(cancellation);

    private static void Check(ErrorCode error, string what)
    {
        if (error != ErrorCode.None)
        {
            throw new CloudException($"the cloud answered {KafkaErrors.Describe(error)} {what}");
        }
    }

    /// <summary>The epoch is an int32 on the wire, of a number that is an int16 everywhere else.</summary>
    private static short EpochOf(DescribeProducersResponse.ProducerState state) =>
        state.ProducerEpoch is >= 0 and <= short.MaxValue && state.LastSequence >= -1
            ? (short)state.ProducerEpoch
            : throw new CloudException($"the cloud has epoch {state.ProducerEpoch}, sequence {state.LastSequence} of producer {state.ProducerId}");

    private static async Task DescribeAsync(
        KafkaNode node, string topic, long producerId, ProducerClaim claim, int[] targets,
        CloudPosition[] positions, CancellationToken cancellation)
    {
        var request = new DescribeProducersRequest
        {
            Topics = [new DescribeProducersRequest.TopicRequest { Name = topic, PartitionIndexes = targets }],
            ProducerIds = [producerId],
            Claim = new DescribeProducersRequest.ProducerClaim { Incarnation = claim.Incarnation, Start = claim.Start },
        };
        DescribeProducersResponse response =
            await AskAsync<DescribeProducersRequest, DescribeProducersResponse>(node, request, cancellation);
        var answers = response.Topics.Where(found => found.Name == topic).SelectMany(found => found.Partitions)
            .ToLookup(partition => partition.PartitionIndex);
        foreach (int target in targets)
        {
            DescribeProducersResponse.PartitionResponse answer = answers[target].FirstOrDefault()
                ?? throw new CloudException($"{node.Endpoint} did not describe the producers of partition {target} of {topic}");
            Check(answer.ErrorCode, $"for the producers of partition {target} of {topic}");
            DescribeProducersResponse.ProducerState? state = Array.Find(answer.ActiveProducers, found => found.ProducerId == producerId);
            ClaimState claimed = answer.ClaimedBy == Guid.Empty ? ClaimState.Unknown
                : answer.ClaimedBy == claim.Incarnation ? ClaimState.Ours
                : ClaimState.Others;
            positions[target] = state is null
                ? new CloudPosition(-1, -1, 0, claimed)
                : new CloudPosition(EpochOf(state), state.LastSequence, 0, claimed);
        }
    }

    private async Task FindEndsAsync(KafkaNode node, string topic, int[] targets, CloudPosition[] positions, CancellationToken cancellation)
    {
        var request = new ListOffsetsRequest
        {
            ReplicaId = -1,
            TimeoutMs = (int)_options.RequestTimeout.TotalMilliseconds,
            Topics =
            [
                new ListOffsetsRequest.ListOffsetsTopic
                {
                    Name = topic,
                    Partitions = [.. targets.Select(target => new ListOffsetsRequest.ListOffsetsPartition { PartitionIndex = target, Timestamp = Latest })],
                },
            ],
        };
        ListOffsetsResponse response = await AskAsync<ListOffsetsRequest, ListOffsetsResponse>(node, request, cancellation);
        var answers = response.Topics.Where(found => found.Name == topic).SelectMany(found => found.Partitions)
            .ToLookup(partition => partition.PartitionIndex);
        foreach (int target in targets)
        {
            ListOffsetsResponse.ListOffsetsPartitionResponse answer = answers[target].FirstOrDefault()
                ?? throw new CloudException($"{node.Endpoint} did not tell the end of partition {target} of {topic}");
            Check(answer.ErrorCode, $"for the end of partition {target} of {topic}");
            positions[target] = positions[target] with { LogEnd = answer.Offset };
        }
    }

    private void Learn(string topic, MetadataResponse response, MetadataResponse.MetadataResponseTopic found)
    {
        var brokers = new Dictionary<int, NodeEndpoint>();
        foreach (MetadataResponse.MetadataResponseBroker broker in response.Brokers.Take(MaxBrokers))
        {
            if (broker.Host.Length == 0 || broker.Port is <= 0 or > IPEndPoint.MaxPort)
            {
                throw new CloudException(
                    $"the cloud's metadata name {broker.Host}:{broker.Port} as broker {broker.NodeId}: check its advertised address");
            }
            brokers[broker.NodeId] = new NodeEndpoint(broker.Host, broker.Port);
        }
        var leaders = new NodeEndpoint?[found.Partitions.Length];
        foreach (MetadataResponse.MetadataResponsePartition partition in found.Partitions)
        {
            if (partition.PartitionIndex < 0 || partition.PartitionIndex >= leaders.Length)
            {
                throw new CloudException($"the cloud's metadata name partition {partition.PartitionIndex} of {topic}, which has {leaders.Length}");
            }
            leaders[partition.PartitionIndex] = brokers.TryGetValue(partition.LeaderId, out NodeEndpoint leader) ? leader : null;
        }
        var left = new List<Task<KafkaNode>>();
        lock (_lock)
        {
            _brokers = [.. brokers.Values];
            _leaders[topic] = leaders;
            foreach (NodeEndpoint endpoint in _nodes.Keys.Where(node => node != _bootstrap && !_brokers.Contains(node)).ToList())
            {
                if (_nodes.Remove(endpoint, out NodeTries? tries) && tries.Node is { } node)
                {
                    left.Add(node);
                }
            }
        }
        foreach (Task<KafkaNode> node in left.Where(node => node.IsCompletedSuccessfully))
        {
            node.Result.Drop("the node has left the cluster");
        }
    }

    /// <summary>Forgets all nodes, so that the address that is set is asked next (KIP-1102).</summary>
    private void BeginAgain()
    {
        Task<KafkaNode>[] left;
        lock (_lock)
        {
            left = [.. _nodes.Values.Select(tries => tries.Node).OfType<Task<KafkaNode>>()];
            _nodes.Clear();
            _leaders.Clear();
            _brokers = [];
        }
        foreach (Task<KafkaNode> node in left.Where(node => node.IsCompletedSuccessfully))
        {
            node.Result.Drop("the cluster says to begin again at the address that is set");
        }
    }

    private NodeEndpoint LeaderOf(string topic, int target)
    {
        lock (_lock)
        {
            NodeEndpoint? leader = _leaders.TryGetValue(topic, out NodeEndpoint?[]? leaders) && target < leaders.Length ? leaders[target] : null;
            return leader ?? throw new CloudException($"partition {target} of {topic} has no leader now");
        }
    }

    private KafkaNode? FindLive()
    {
        lock (_lock)
        {
            foreach (NodeTries tries in _nodes.Values)
            {
                if (tries.Node is { IsCompletedSuccessfully: true } node && node.Result.Failure is null)
                {
                    return node.Result;
                }
            }
            return null;
        }
    }

    /// <summary>A connection to any node: an open one, else the configured address, else nodes that were known.</summary>
    private async Task<KafkaNode> AnyNodeAsync(CancellationToken cancellation)
    {
        if (FindLive() is { } live)
        {
            return live;
        }
        NodeEndpoint[] others;
        lock (_lock)
        {
            others = [.. _brokers.Where(broker => broker != _bootstrap)];
        }
        Random.Shared.Shuffle(others);
        CloudException? first = null;
        foreach (NodeEndpoint endpoint in others.Prepend(_bootstrap).Take(MaxNodesTried))
        {
            try
            {
                return await NodeAsync(endpoint, cancellation);
            }
            catch (CloudException e)
            {
                first ??= e;
            }
        }
        throw first!;
    }

    /// <summary>The connection to a node: the one there is or that is being made, else a new one if one is due.</summary>
    private Task<KafkaNode> NodeAsync(NodeEndpoint endpoint, CancellationToken cancellation)
    {
        Task<KafkaNode>? node;
        lock (_lock)
        {
            if (!_nodes.TryGetValue(endpoint, out NodeTries? tries))
            {
                _nodes.Add(endpoint, tries = new NodeTries(_options, Random.Shared));
            }
            node = tries.Take(Now);
            if (node is null)
            {
                // Not on the caller's thread, which holds the lock; and not under its token, as others may come to wait.
                node = Task.Run(() => ConnectAsync(endpoint, tries));
                tries.Node = node;
            }
        }
        return node.IsCompletedSuccessfully ? node : node.WaitAsync(cancellation);
    }

    /// <summary>Once: it does not change from one connection to the next.</summary>
    private void TellPromise(KafkaNode node)
    {
        if (!node.TellsOfProducers && !Interlocked.Exchange(ref _hasToldPromise, true))
        {
            _logger.CloudTellsNothing(node.Endpoint);
        }
    }

    private async Task<KafkaNode> ConnectAsync(NodeEndpoint endpoint, NodeTries tries)
    {
        bool isForgotten;
        try
        {
            KafkaNode node = await KafkaNode.ConnectAsync(endpoint, _tls, _options, _counters, _time, _stopping.Token);
            _logger.CloudConnected(endpoint);
            TellPromise(node);
            _ = TellEndAsync(node);
            lock (_lock)
            {
                tries.Told = null;
                tries.Connected(Now);
                isForgotten = !_nodes.TryGetValue(endpoint, out NodeTries? current) || current != tries;
            }
            if (isForgotten)
            {
                const string left = "the node has left the cluster while it was connected to";
                node.Drop(left);
                throw new CloudException($"{endpoint}: {left}");
            }
            _counters.Succeeded();
            return node;
        }
        catch (CloudException e)
        {
            bool isAdvertised = endpoint != _bootstrap;
            CloudException explained = isAdvertised && e is CloudUnreachableException ? AdvertisedAddress.Explain(_bootstrap, endpoint, e) : e;
            bool isNews;
            lock (_lock)
            {
                tries.Failed(Now, explained);
                isNews = isAdvertised && IsNews(tries.Told, explained.Message, Now);
                tries.Told = isNews ? (explained.Message, Now) : tries.Told;
            }
            if (isNews)
            {
                _logger.CloudNodeUnreachable(endpoint, _bootstrap, explained.Message);
            }
            if (explained == e)
            {
                throw;
            }
            throw explained;
        }
    }

    /// <summary>A cloud that is away for weeks is no news each time that it is tried.</summary>
    private static bool IsNews((string Reason, TimeSpan At)? told, string reason, TimeSpan now) =>
        told is not { } last || (reason != last.Reason && now - last.At > UnreachableLogInterval);

    private async Task TellEndAsync(KafkaNode node)
    {
        await node.Ended;
        _logger.CloudDisconnected(node.Endpoint, node.Failure ?? "");
        if (!_stopping.IsCancellationRequested)
        {
            _counters.Failed($"{node.Endpoint}: {node.Failure}");
        }
    }

    private async Task KeepConnectedAsync()
    {
        var backoff = new Backoff(_options.FirstBackoff, _options.MaxBackoff, _options.StablePeriod, Random.Shared);
        (string Reason, TimeSpan At)? told = null;
        while (!_stopping.IsCancellationRequested)
        {
            try
            {
                KafkaNode node = await AnyNodeAsync(_stopping.Token);
                told = null;
                await node.Ended.WaitAsync(_stopping.Token);
            }
            catch (OperationCanceledException)
            {
                return;
            }
            catch (CloudException e)
            {
                _counters.Failed(e.Message);
                if (IsNews(told, e.Message, Now))
                {
                    told = (e.Message, Now);
                    _logger.CloudUnreachable(_bootstrap, e.Message);
                }
            }
            try
            {
                await Task.Delay(backoff.Next(Now), _time, _stopping.Token);
            }
            catch (OperationCanceledException)
            {
                return;
            }
        }
    }
}
