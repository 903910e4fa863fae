using System.Collections.Immutable;
using Tributary.Broker.Configs;

namespace Tributary.Broker.Metadata;

/// <summary>A broker that clients can reach.</summary>
/// <param name="NodeId">Its number, stable for its name.</param>
/// <param name="Host">Advertised host.</param>
/// <param name="Port">Advertised port of the Kafka listener.</param>
public sealed record BrokerNode(int NodeId, string Host, int Port);

/// <summary>Who serves a partition, as its topic's controller decided.</summary>
/// <param name="Index">Partition number.</param>
/// <param name="Leader">Node id of the leader, −1 if none.</param>
/// <param name="LeaderEpoch">Raised with each change of leadership, a restart of the leader included.</param>
/// <param name="Replicas">Node ids that should hold it, the preferred leader first.</param>
/// <param name="InSync">Node ids of the in-sync set.</param>
public sealed record PartitionAssignment(int Index, int Leader, int LeaderEpoch, ImmutableArray<int> Replicas, ImmutableArray<int> InSync);

/// <summary>A topic as brokers know it.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Id">Its id: a topic of the same name that is made anew has another.</param>
/// <param name="Partitions">Ordered by index, without gaps.</param>
/// <param name="Configs">Topic configs that were set, by Kafka's names.</param>
public sealed record TopicInfo(
    string Name, Guid Id, ImmutableArray<PartitionAssignment> Partitions, ImmutableSortedDictionary<string, string> Configs);

/// <summary>Everything a broker knows of the cluster, immutable. Replaced as a whole.</summary>
/// <param name="ClusterId">Id of the cluster, 22 characters as Kafka's are.</param>
/// <param name="NodeId">This broker.</param>
/// <param name="ControllerId">The broker that admin requests go to; any one serves them.</param>
/// <param name="Brokers">All of them.</param>
/// <param name="Topics">By name; nobody changes it any more.</param>
public sealed record ClusterSnapshot(
    string ClusterId, int NodeId, int ControllerId, ImmutableArray<BrokerNode> Brokers, IReadOnlyDictionary<string, TopicInfo> Topics)
{
    /// <summary>The topics by name.</summary>
    public IReadOnlyDictionary<string, TopicInfo> Topics
    {
        get;
        init
        {
            field = value;
            TopicsById = ById(value); // a copy made by "with" must not keep the old index
        }
    } = Topics;

    /// <summary>The configs of brokers that were set while they run.</summary>
    public BrokerOverrides Overrides { get; init; } = BrokerOverrides.None;

    /// <summary>The same topics by id.</summary>
    public IReadOnlyDictionary<Guid, TopicInfo> TopicsById { get; private init; } = ById(Topics);

    /// <summary>
    /// The snapshot with a topic more, or another one in the place of one of the same name. To copy thousands of topics takes microseconds.
    /// </summary>
    public ClusterSnapshot With(TopicInfo topic)
    {
        Dictionary<string, TopicInfo> topics = Copy();
        topics[topic.Name] = topic;
        return this with { Topics = topics };
    }

    /// <summary>The snapshot without a topic.</summary>
    public ClusterSnapshot Without(string name)
    {
        Dictionary<string, TopicInfo> topics = Copy();
        topics.Remove(name);
        return this with { Topics = topics };
    }

    private Dictionary<string, TopicInfo> Copy() => new(Topics, StringComparer.Ordinal);

    private static Dictionary<Guid, TopicInfo> ById(IReadOnlyDictionary<string, TopicInfo> topics)
    {
        var byId = new Dictionary<Guid, TopicInfo>(topics.Count);
        foreach (TopicInfo topic in topics.Values)
        {
            byId.Add(topic.Id, topic);
        }
        return byId;
    }
}

/// <summary>A topic that exists no longer and of which something may be left.</summary>
/// <param name="Name">Its name, which another topic may have by now.</param>
/// <param name="Id">Its id.</param>
/// <param name="Partitions">How many partitions it had at most.</param>
public sealed record DeletedTopic(string Name, Guid Id, int Partitions);
