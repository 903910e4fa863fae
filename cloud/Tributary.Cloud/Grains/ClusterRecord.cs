using System.Collections.Immutable;
using System.Globalization;
using Tributary.Broker.Configs;

namespace Tributary.Cloud.Grains;

/// <summary>
/// Everything that <see cref="ClusterGrain"/> decides, as it is stored. Immutable; each decision is a function to the next record, so it
/// can be read, tested and repeated without a silo.
/// </summary>
[GenerateSerializer, Immutable, Alias("Tributary.ClusterRecord")]
internal sealed record ClusterRecord
{
    /// <summary>Ids in a block of producer ids, as many as Kafka hands a broker at a time.</summary>
    public const int ProducerIdBlockSize = 1000;

    /// <summary>Stands for all brokers where a node id stands for one.</summary>
    private const string OfAllBrokers = "";

    /// <summary>Id of the cluster, 22 characters as Kafka's are. Empty before the first broker has registered.</summary>
    [Id(0)]
    public string ClusterId { get; init; } = "";

    /// <summary>Every broker that ever registered, by node id.</summary>
    [Id(1)]
    public ImmutableArray<BrokerRecord> Brokers { get; init; } = [];

    /// <summary>The topics that exist. A topic that has a record of its own and isn't here was not created to its end.</summary>
    [Id(2)]
    public ImmutableDictionary<string, TopicListing> Topics { get; init; } = ImmutableDictionary<string, TopicListing>.Empty;

    /// <summary>The first producer id that no block has taken.</summary>
    [Id(3)]
    public long NextProducerId { get; init; }

    /// <summary>
    /// Topics that were deleted, by name, of which brokers may still hold something. Until they don't, no topic of that name is created.
    /// </summary>
    [Id(4)]
    public ImmutableDictionary<string, TopicListing> Deleted { get; init; } = ImmutableDictionary<string, TopicListing>.Empty;

    /// <summary>
    /// Configs of brokers that were set while they run, by node id; those of all brokers under <see cref="OfAllBrokers"/>.
    /// </summary>
    [Id(5)]
    public ImmutableDictionary<string, ImmutableDictionary<string, string>> BrokerConfigs { get; init; } =
        ImmutableDictionary<string, ImmutableDictionary<string, string>>.Empty;

    /// <summary>A broker has started: it gets the node id of its name, a new one if the name is new, and a higher broker epoch.</summary>
    /// <param name="name">The broker's name; it is its identity.</param>
    /// <param name="host">Host that clients reach it at.</param>
    /// <param name="port">Port that clients reach it at.</param>
    /// <param name="newClusterId">Id of the cluster if this is its first broker.</param>
    public ClusterRecord Register(string name, string host, int port, string newClusterId)
    {
        BrokerRecord? known = Brokers.FirstOrDefault(broker => broker.Name == name);
        var broker = new BrokerRecord
        {
            Name = name,
            NodeId = known?.NodeId ?? Brokers.Select(other => other.NodeId).DefaultIfEmpty(0).Max() + 1,
            Epoch = known is null ? 0 : known.Epoch + 1,
            Host = host,
            Port = port,
        };
        return this with
        {
            ClusterId = ClusterId.Length > 0 ? ClusterId : newClusterId,
            Brokers = known is null ? Brokers.Add(broker) : Brokers.Replace(known, broker),
        };
    }

    /// <summary>A topic whose record is stored exists from now on.</summary>
    public ClusterRecord List(TopicListing topic) => this with { Topics = Topics.Add(topic.Name, topic) };

    /// <summary>A topic has as many partitions from now on.</summary>
    public ClusterRecord Grow(TopicListing topic, int partitions) =>
        this with { Topics = Topics.SetItem(topic.Name, topic with { Partitions = partitions }) };

    /// <summary>A topic exists no longer.</summary>
    public ClusterRecord Delete(TopicListing topic) =>
        this with { Topics = Topics.Remove(topic.Name), Deleted = Deleted.SetItem(topic.Name, topic) };

    /// <summary>Nothing is left of a deleted topic.</summary>
    public ClusterRecord Forget(TopicListing topic) => this with { Deleted = Deleted.Remove(topic.Name) };

    /// <summary>The configs that were set on a broker and on all.</summary>
    public BrokerOverrides OverridesOf(int nodeId) => BrokerOverrides.From(ConfigsOf(KeyOf(nodeId)), ConfigsOf(OfAllBrokers));

    /// <summary>Other configs are set on a broker, or on all.</summary>
    public ClusterRecord Override(int nodeId, BrokerOverrides overrides)
    {
        ImmutableDictionary<string, ImmutableDictionary<string, string>> configs = BrokerConfigs
            .SetItem(KeyOf(nodeId), overrides.OfNode.ToImmutableDictionary())
            .SetItem(OfAllBrokers, overrides.OfAll.ToImmutableDictionary());
        return this with { BrokerConfigs = configs.RemoveRange(configs.Where(one => one.Value.IsEmpty).Select(one => one.Key)) };
    }

    /// <summary>The next block of producer ids is taken.</summary>
    public ClusterRecord TakeProducerIds() => this with { NextProducerId = checked(NextProducerId + ProducerIdBlockSize) };

    private static string KeyOf(int nodeId) => nodeId.ToString(CultureInfo.InvariantCulture);

    private ImmutableDictionary<string, string> ConfigsOf(string key) =>
        BrokerConfigs.GetValueOrDefault(key, ImmutableDictionary<string, string>.Empty);
}

/// <summary>A broker as the cluster knows it.</summary>
[GenerateSerializer, Immutable, Alias("Tributary.BrokerRecord")]
internal sealed record BrokerRecord
{
    /// <summary>Its configured name.</summary>
    [Id(0)]
    public string Name { get; init; } = "";

    /// <summary>Its number, from 1.</summary>
    [Id(1)]
    public int NodeId { get; init; }

    /// <summary>Raised at each of its starts.</summary>
    [Id(2)]
    public long Epoch { get; init; }

    /// <summary>Host that clients reach it at.</summary>
    [Id(3)]
    public string Host { get; init; } = "";

    /// <summary>Port that clients reach it at.</summary>
    [Id(4)]
    public int Port { get; init; }
}

/// <summary>A topic in the list of topics.</summary>
[GenerateSerializer, Immutable, Alias("Tributary.TopicListing")]
internal sealed record TopicListing
{
    /// <summary>Its name.</summary>
    [Id(0)]
    public string Name { get; init; } = "";

    /// <summary>Its id.</summary>
    [Id(1)]
    public Guid Id { get; init; }

    /// <summary>Number of its partitions.</summary>
    [Id(2)]
    public int Partitions { get; init; }
}
