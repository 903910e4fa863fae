using System.Collections.Frozen;
using System.Collections.Immutable;
using Tributary.Broker;
using Tributary.Broker.Metadata;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Broker.Support;

/// <summary>A control plane in memory: one broker, number 1, that leads everything.</summary>
internal sealed class TestControlPlane : IControlPlane
{
    public const int NodeId = 1;
    private readonly SemaphoreSlim _creating = new(1, 1);
    private long _nextProducerId = 1000;

    public BrokerServer? Server { get; set; }

    public List<NewTopic> Asked { get; } = [];

    /// <summary>More topics are refused.</summary>
    public int MostTopics { get; set; } = int.MaxValue;

    /// <summary>What every call fails with, if anything.</summary>
    public Exception? Failure { get; set; }

    /// <summary>No topic is created any more until the caller gives up.</summary>
    public void Hold() => _creating.Wait();

    public ClusterSnapshot Snapshot { get; private set; } = new(
        "AAAAAAAAAAAAAAAAAAAAAA", NodeId, NodeId, [new BrokerNode(NodeId, "localhost", 9092)], FrozenDictionary<string, TopicInfo>.Empty);

    public async Task<CreateTopicOutcome> CreateTopicAsync(NewTopic topic, CancellationToken cancellation)
    {
        await _creating.WaitAsync(cancellation);
        try
        {
            if (Failure is not null)
            {
                throw Failure;
            }
            Asked.Add(topic);
            if (Snapshot.Topics.ContainsKey(topic.Name))
            {
                return new CreateTopicOutcome(ErrorCode.TopicAlreadyExists, "it exists", null);
            }
            if (Snapshot.Topics.Count >= MostTopics)
            {
                return new CreateTopicOutcome(ErrorCode.PolicyViolation, "there are as many as allowed", null);
            }
            TopicInfo made = Make(topic.Name, Guid.NewGuid(), topic.PartitionCount, topic.Configs);
            if (!topic.ValidateOnly)
            {
                await SetAsync(made);
            }
            return new CreateTopicOutcome(ErrorCode.None, null, made);
        }
        finally
        {
            _creating.Release();
        }
    }

    public ValueTask<long> NextProducerIdAsync(CancellationToken cancellation) =>
        Failure is null ? new(Interlocked.Increment(ref _nextProducerId)) : throw Failure;

    /// <summary>A topic that this node leads in epoch <paramref name="leaderEpoch"/>.</summary>
    public static TopicInfo Make(
        string name, Guid id, int partitions, IReadOnlyDictionary<string, string>? configs = null, int leaderEpoch = 0, int leader = NodeId) => new(
        name, id, [.. Enumerable.Range(0, partitions).Select(index => new PartitionAssignment(index, leader, leaderEpoch, [leader], [leader]))],
        (configs ?? ImmutableDictionary<string, string>.Empty).ToImmutableSortedDictionary(StringComparer.Ordinal));

    /// <summary>Puts a topic into the snapshot, or replaces it.</summary>
    public ValueTask SetAsync(TopicInfo topic)
    {
        Dictionary<string, TopicInfo> topics = Snapshot.Topics.ToDictionary();
        topics[topic.Name] = topic;
        return ApplyAsync(Snapshot with { Topics = topics.ToFrozenDictionary() });
    }

    /// <summary>Replaces the snapshot.</summary>
    public ValueTask ApplyAsync(ClusterSnapshot snapshot)
    {
        Snapshot = snapshot;
        return Server?.ApplyAsync(Snapshot) ?? ValueTask.CompletedTask;
    }
}
