using System.Collections.Concurrent;
using System.Collections.Immutable;
using Microsoft.Extensions.Logging;
using Tributary.Broker.Metadata;
using Tributary.Cloud.Grains;
using Tributary.Contracts.Telemetry;

namespace Tributary.Cloud;

/// <summary>
/// What the broker asks of the grains. It keeps the snapshot of the cluster and hands each new one to the broker before anybody is told
/// of what is new in it.
/// </summary>
/// <remarks>
/// Callable from any thread once <see cref="StartAsync"/> has returned. Snapshots follow one another in one order: whoever changes the
/// snapshot holds <c>_changing</c>. A change goes on when its caller has gone, so what grains have stored is always applied; one whose
/// outcome isn't known is looked up again by <see cref="ReapplyAsync"/>. Nothing is kept here that a crash could lose: the next start
/// registers the broker anew, reads every topic, finishes deletions, and takes a new block of producer ids.
/// </remarks>
internal sealed partial class GrainControlPlane(
    IGrainFactory grains, IEnumerable<ITopicFollower> followers, ILogger<GrainControlPlane> logger) : IControlPlane
{

    /// <summary>Topics that are started at a time: as many share a flush of the control database.</summary>
    private const int TopicsAtATime = 256;

    private readonly SemaphoreSlim _changing = new(1, 1);
    private readonly SemaphoreSlim _takingIds = new(1, 1);
    private readonly ConcurrentQueue<TopicInfo> _created = new();
    private IBrokerPartitions? _partitions;
    private ClusterSnapshot? _snapshot;
    private long _nextProducerId;
    private long _producerIdsEnd;

    /// <inheritdoc/>
    public ClusterSnapshot Snapshot =>
        Volatile.Read(ref _snapshot) ?? throw new InvalidOperationException("the broker isn't registered yet");

    /// <summary>
    /// Registers the broker, begins a new leader epoch of every partition that it led, and has it open them. Called once.
    /// </summary>
    /// <param name="name">The broker's name.</param>
    /// <param name="advertised">Where clients reach it.</param>
    /// <param name="partitions">What takes snapshots: the broker.</param>
    /// <param name="cancellation">Gives up.</param>
    public async Task StartAsync(
        string name, HostPort advertised, IBrokerPartitions partitions, CancellationToken cancellation)
    {
        BrokerRegistration registration =
            await Cluster.RegisterBrokerAsync(name, advertised.Host, advertised.Port).WaitAsync(cancellation);
        int node = registration.Broker.NodeId;
        logger.BrokerRegistered(name, node, registration.Broker.Epoch, registration.ClusterId, registration.Topics.Length);
        var snapshot = new ClusterSnapshot(
            registration.ClusterId,
            node,
            node,
            [.. registration.Brokers.Select(known => new BrokerNode(known.NodeId, known.Host, known.Port))],
            await StartTopicsAsync(registration.Topics, node, cancellation))
        {
            Overrides = registration.Overrides.ToOverrides(),
        };
        _partitions = partitions;
        await partitions.ApplyAsync(snapshot, cancellation);
        Volatile.Write(ref _snapshot, snapshot);
        foreach (TopicListing deleted in registration.Deleted)
        {
            _unsettled.TryAdd(deleted.Name, true);
        }
        await SettleAllAsync();
    }

    /// <summary>Has the broker look again at what it could not open, and at changes whose outcome isn't known.</summary>
    public async Task ReapplyAsync()
    {
        await SettleAllAsync();
        await SettleOverridesAsync();
        await _changing.WaitAsync();
        try
        {
            await ApplyAsync(Snapshot);
        }
        finally
        {
            _changing.Release();
        }
    }

    /// <inheritdoc/>
    public Task<CreateTopicOutcome> CreateTopicAsync(NewTopic topic, CancellationToken cancellation)
    {
        if (!KafkaTopicName.IsValid(topic.Name))
        {
            return Task.FromResult(new CreateTopicOutcome(ErrorCode.InvalidTopicException, $"Topic name '{topic.Name}' is invalid.", null));
        }
        if (topic.PartitionCount < 1)
        {
            return Task.FromResult(
                new CreateTopicOutcome(ErrorCode.InvalidPartitions, $"Number of partitions {topic.PartitionCount} is below 1.", null));
        }
        return TryAsync(topic.Name, () => CreateAsync(topic)).WaitAsync(cancellation);
    }

    /// <inheritdoc/>
    public async ValueTask<long> NextProducerIdAsync(CancellationToken cancellation)
    {
        await _takingIds.WaitAsync(cancellation);
        try
        {
            if (_nextProducerId == _producerIdsEnd)
            {
                ProducerIdBlock block = await Cluster.TakeProducerIdsAsync().WaitAsync(cancellation);
                _nextProducerId = block.First;
                _producerIdsEnd = block.First + block.Count;
            }
            return _nextProducerId++;
        }
        finally
        {
            _takingIds.Release();
        }
    }

    private IClusterGrain Cluster => grains.GetGrain<IClusterGrain>(IClusterGrain.Key);

    private IBrokerPartitions Partitions => _partitions ?? throw new InvalidOperationException("the broker isn't registered yet");

    private Task ApplyAsync(ClusterSnapshot snapshot) => Partitions.ApplyAsync(snapshot, CancellationToken.None);

    private ITopicGrain Topic(string name) => grains.GetGrain<ITopicGrain>(ITopicGrain.KeyOf(name));

    private async Task<Dictionary<string, TopicInfo>> StartTopicsAsync(
        ImmutableArray<TopicListing> listed, int node, CancellationToken cancellation)
    {
        var started = new TopicInfo?[listed.Length];
        var limits = new ParallelOptions { MaxDegreeOfParallelism = TopicsAtATime, CancellationToken = cancellation };
        await Parallel.ForAsync(0, listed.Length, limits, async (i, _) =>
        {
            TopicRecord? topic = await Topic(listed[i].Name).BrokerStartedAsync(node);
            if (topic is null || topic.Id != listed[i].Id)
            {
                logger.TopicRecordMissing(listed[i].Name, listed[i].Id); // it is written before the list; so it was removed by hand
                return;
            }
            started[i] = topic.ToInfo();
        });
        return started.OfType<TopicInfo>().ToDictionary(topic => topic.Name, StringComparer.Ordinal);
    }

    private async Task<CreateTopicOutcome> CreateAsync(NewTopic topic)
    {
        var spec = new TopicSpec(
            topic.Name, topic.PartitionCount, topic.ReplicationFactor, topic.Configs.ToImmutableDictionary(), topic.ValidateOnly);
        TopicCreationAnswer answer = await Topic(topic.Name).CreateAsync(spec);
        TopicInfo? info = answer.Topic?.ToInfo();
        if (info is not null && !topic.ValidateOnly)
        {
            await AddAsync(info);
        }
        return answer.Refusal is { } refusal
            ? new CreateTopicOutcome(refusal.Error, refusal.Message, null)
            : new CreateTopicOutcome(ErrorCode.None, null, info);
    }

    /// <summary>Applies a created topic, and whatever was created beside it: one snapshot for all.</summary>
    private async Task AddAsync(TopicInfo topic)
    {
        _created.Enqueue(topic);
        await _changing.WaitAsync();
        try
        {
            ClusterSnapshot before = Snapshot;
            var topics = new Dictionary<string, TopicInfo>(before.Topics, StringComparer.Ordinal);
            var added = new List<TopicInfo>();
            while (_created.TryDequeue(out TopicInfo? created))
            {
                if (topics.TryAdd(created.Name, created))
                {
                    added.Add(created);
                }
            }
            if (added.Count == 0)
            {
                return; // somebody else has applied it
            }
            ClusterSnapshot next = before with { Topics = topics };
            await ApplyAsync(next);
            Volatile.Write(ref _snapshot, next);
            added.ForEach(created => logger.TopicCreated(created.Name, created.Id, created.Partitions.Length));
        }
        finally
        {
            _changing.Release();
        }
    }
}
