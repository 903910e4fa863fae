using System.Collections.Immutable;
using Tributary.Broker;
using Tributary.Broker.Configs;
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
        "AAAAAAAAAAAAAAAAAAAAAA", NodeId, NodeId, [new BrokerNode(NodeId, "localhost", 9092)], new Dictionary<string, TopicInfo>());

    public async Task<CreateTopicOutcome> CreateTopicAsync(NewTopic topic, CancellationToken cancellation)
    {
        await _creating.WaitAsync(cancellation);
        try
        {
            ThrowIfFailing();
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

    public async Task<TopicOutcome> DeleteTopicAsync(string name, Guid id, CancellationToken cancellation)
    {
        await _creating.WaitAsync(cancellation);
        try
        {
            ThrowIfFailing();
            if (!Snapshot.Topics.TryGetValue(name, out TopicInfo? topic) || topic.Id != id)
            {
                return new TopicOutcome(ErrorCode.UnknownTopicOrPartition, "it is gone");
            }
            await ApplyAsync(Snapshot.Without(name));
            await Server!.RemoveAsync(new DeletedTopic(name, id, topic.Partitions.Length), default);
            return TopicOutcome.Done;
        }
        finally
        {
            _creating.Release();
        }
    }

    public Task<TopicOutcome> CreatePartitionsAsync(MorePartitions more, CancellationToken cancellation) =>
        ChangeAsync(more.Topic, more.ValidateOnly, cancellation, topic => more.Count <= topic.Partitions.Length
            ? (ErrorCode.InvalidPartitions, "not an increase", topic)
            : (ErrorCode.None, null, Make(topic.Name, topic.Id, more.Count, topic.Configs)));

    public Task<TopicOutcome> AlterConfigsAsync(ConfigAlteration alteration, CancellationToken cancellation) =>
        ChangeAsync(alteration.Topic, alteration.ValidateOnly, cancellation, topic =>
        {
            (ErrorCode error, string? message) = ConfigEdits.Apply(
                topic.Configs.ToImmutableDictionary(), alteration.Edits, alteration.ReplaceAll, out ImmutableDictionary<string, string> next);
            return (error, message, topic with { Configs = next.ToImmutableSortedDictionary(StringComparer.Ordinal) });
        });

    public async Task<TopicOutcome> AlterBrokerConfigsAsync(BrokerConfigAlteration alteration, CancellationToken cancellation)
    {
        await _creating.WaitAsync(cancellation);
        try
        {
            ThrowIfFailing();
            (ErrorCode error, string? message) = BrokerConfigEdits.Apply(
                Snapshot.Overrides, alteration.OfNode, alteration.Edits, alteration.ReplaceAll, out BrokerOverrides next);
            if (error == ErrorCode.None && !alteration.ValidateOnly)
            {
                await ApplyAsync(Snapshot with { Overrides = next });
            }
            return new TopicOutcome(error, message);
        }
        finally
        {
            _creating.Release();
        }
    }

    private async Task<TopicOutcome> ChangeAsync(
        string name, bool validateOnly, CancellationToken cancellation, Func<TopicInfo, (ErrorCode Error, string? Message, TopicInfo Next)> change)
    {
        await _creating.WaitAsync(cancellation);
        try
        {
            ThrowIfFailing();
            (ErrorCode error, string? message, TopicInfo next) = change(Snapshot.Topics[name]);
            if (error == ErrorCode.None && !validateOnly)
            {
                await SetAsync(next);
            }
            return new TopicOutcome(error, message);
        }
        finally
        {
            _creating.Release();
        }
    }

    private void ThrowIfFailing()
    {
        if (Failure is not null)
        {
            throw Failure;
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
    public Task SetAsync(TopicInfo topic)
    {
        return ApplyAsync(Snapshot.With(topic));
    }

    /// <summary>Replaces the snapshot.</summary>
    public Task ApplyAsync(ClusterSnapshot snapshot)
    {
        Snapshot = snapshot;
        return Server?.ApplyAsync(Snapshot) ?? Task.CompletedTask;
    }
}
