using System.Collections.Immutable;
using Tributary.Broker.Metadata;

namespace Tributary.Cloud.Grains;

/// <summary>
/// Everything that <see cref="TopicGrain"/> decides, as it is stored. Immutable, decisions as in <see cref="ClusterRecord"/>.
/// </summary>
[GenerateSerializer, Immutable, Alias("Tributary.TopicRecord")]
internal sealed record TopicRecord
{
    /// <summary>Its name.</summary>
    [Id(0)]
    public string Name { get; init; } = "";

    /// <summary>Its id; a topic of the same name that is made anew has another.</summary>
    [Id(1)]
    public Guid Id { get; init; }

    /// <summary>Topic configs that were set, by Kafka's names.</summary>
    [Id(2)]
    public ImmutableDictionary<string, string> Configs { get; init; } = ImmutableDictionary<string, string>.Empty;

    /// <summary>Its partitions by index.</summary>
    [Id(3)]
    public ImmutableArray<PartitionRecord> Partitions { get; init; } = [];

    /// <summary>How the cluster lists it.</summary>
    public TopicListing ToListing() => new() { Name = Name, Id = Id, Partitions = Partitions.Length };

    /// <summary>A new topic: partition i begins with the i-th of <paramref name="brokers"/> as its leader, in turn.</summary>
    public static TopicRecord Create(TopicSpec spec, Guid id, ImmutableArray<int> brokers, int replicationFactor) => new()
    {
        Name = spec.Name,
        Id = id,
        Configs = spec.Configs,
        Partitions =
        [
            .. Enumerable.Range(0, spec.PartitionCount).Select(
                index => PartitionRecord.Create([.. Enumerable.Range(index, replicationFactor).Select(i => brokers[i % brokers.Length])])),
        ],
    };

    /// <summary>The topic with more partitions. The new ones begin with their brokers in turn, as if they had been there from the start.</summary>
    public TopicRecord Grow(int count, ImmutableArray<int> brokers)
    {
        int factor = Math.Clamp(Partitions.IsEmpty ? 1 : Partitions[0].Replicas.Length, 1, brokers.Length);
        return this with
        {
            Partitions =
            [
                .. Partitions,
                .. Enumerable.Range(Partitions.Length, count - Partitions.Length).Select(
                    index => PartitionRecord.Create([.. Enumerable.Range(index, factor).Select(i => brokers[i % brokers.Length])])),
            ],
        };
    }

    /// <summary>
    /// A broker has started: a new leader epoch begins wherever it led, since it may have lost a tail that it hadn't flushed, and
    /// wherever nobody led and it is in sync. The same record if that is nowhere.
    /// </summary>
    public TopicRecord BrokerStarted(int nodeId)
    {
        ImmutableArray<PartitionRecord> next = [.. Partitions.Select(partition => partition.BrokerStarted(nodeId))];
        bool isChanged = next.Where((partition, index) => !ReferenceEquals(partition, Partitions[index])).Any();
        return isChanged ? this with { Partitions = next } : this;
    }

    /// <summary>The topic as brokers know it.</summary>
    public TopicInfo ToInfo() => new(
        Name,
        Id,
        [.. Partitions.Select((partition, index) => partition.ToAssignment(index))],
        Configs.ToImmutableSortedDictionary(StringComparer.Ordinal));
}

/// <summary>One partition of a topic.</summary>
[GenerateSerializer, Immutable, Alias("Tributary.PartitionRecord")]
internal sealed record PartitionRecord
{
    /// <summary>Nobody leads.</summary>
    public const int NoLeader = -1;

    /// <summary>Node ids that should hold it, the preferred leader first.</summary>
    [Id(0)]
    public ImmutableArray<int> Replicas { get; init; } = [];

    /// <summary>Node ids of the in-sync set.</summary>
    [Id(1)]
    public ImmutableArray<int> InSync { get; init; } = [];

    /// <summary>Node id of the leader, −1 if none.</summary>
    [Id(2)]
    public int Leader { get; init; } = NoLeader;

    /// <summary>Raised with each change of leadership, a restart of the leader included.</summary>
    [Id(3)]
    public int LeaderEpoch { get; init; }

    /// <summary>Raised with each change of this record.</summary>
    [Id(4)]
    public int PartitionEpoch { get; init; }

    /// <summary>A new partition, in sync everywhere, led by its first replica.</summary>
    public static PartitionRecord Create(ImmutableArray<int> replicas) =>
        new() { Replicas = replicas, InSync = replicas, Leader = replicas[0] };

    /// <inheritdoc cref="TopicRecord.BrokerStarted"/>
    public PartitionRecord BrokerStarted(int nodeId) =>
        Leader == nodeId || (Leader == NoLeader && InSync.Contains(nodeId))
            ? this with { Leader = nodeId, LeaderEpoch = checked(LeaderEpoch + 1), PartitionEpoch = checked(PartitionEpoch + 1) }
            : this;

    /// <summary>The partition as brokers know it.</summary>
    public PartitionAssignment ToAssignment(int index) => new(index, Leader, LeaderEpoch, Replicas, InSync);
}
