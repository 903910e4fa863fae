using System.Collections.Immutable;
using Tributary.Broker.Configs;

namespace Tributary.Cloud.Grains;

/// <summary>
/// The one grain that knows the cluster as a whole: its id, its brokers and their configs, the list of its topics, and which producer ids
/// are taken. Whatever it answers is stored.
/// </summary>
[Alias("Tributary.IClusterGrain")]
internal interface IClusterGrain : IGrainWithIntegerKey
{
    /// <summary>Its only key.</summary>
    const long Key = 0;

    /// <summary>A broker has started.</summary>
    /// <param name="name">Its name, which keeps its node id over restarts.</param>
    /// <param name="host">Host that clients reach it at.</param>
    /// <param name="port">Port that clients reach it at.</param>
    [Alias("RegisterBroker")]
    Task<BrokerRegistration> RegisterBrokerAsync(string name, string host, int port);

    /// <summary>Says whether there is room for a topic and which brokers take it. Nothing is stored.</summary>
    [Alias("PlaceTopic")]
    Task<Placement> PlaceTopicAsync(string name, int partitions, int replicationFactor);

    /// <summary>
    /// Lists a topic whose record is stored; from now on it exists. A topic that is listed already under the same id is no error.
    /// </summary>
    /// <returns>An error, with a sentence, if there is no room.</returns>
    [Alias("ListTopic")]
    Task<Refusal?> ListTopicAsync(TopicListing topic);

    /// <summary>Says that a topic will have more partitions, before its own record says so.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="id">Its id.</param>
    /// <param name="partitions">How many it will have in all.</param>
    /// <param name="validateOnly">Store nothing.</param>
    /// <returns>Which brokers take them, or an error, with a sentence, if there is no room.</returns>
    [Alias("GrowTopic")]
    Task<Placement> GrowTopicAsync(string name, Guid id, int partitions, bool validateOnly);

    /// <summary>
    /// Deletes a topic: from now on it doesn't exist, whatever is left of it. One that is deleted already, and not yet forgotten, is no error.
    /// </summary>
    /// <param name="name">Its name.</param>
    /// <param name="id">Its id.</param>
    /// <returns>What was deleted; null if there is no such topic.</returns>
    [Alias("DeleteTopic")]
    Task<TopicListing?> DeleteTopicAsync(string name, Guid id);

    /// <summary>Nothing is left of a deleted topic.</summary>
    [Alias("ForgetTopic")]
    Task ForgetTopicAsync(string name, Guid id);

    /// <summary>How a topic is listed now.</summary>
    [Alias("FindTopic")]
    Task<TopicStanding> FindTopicAsync(string name);

    /// <summary>Changes the configs that are set on a broker, or on all, all or none.</summary>
    /// <param name="nodeId">The broker that asks.</param>
    /// <param name="ofNode">Those of the broker; otherwise those of all.</param>
    /// <param name="edits">The changes.</param>
    /// <param name="replaceAll">Whatever isn't set by them isn't set any more.</param>
    /// <param name="validateOnly">Store nothing.</param>
    /// <returns>Why nothing was changed, null if it was.</returns>
    [Alias("AlterBrokerConfigs")]
    Task<Refusal?> AlterBrokerConfigsAsync(
        int nodeId, bool ofNode, ImmutableArray<StoredConfigEdit> edits, bool replaceAll, bool validateOnly);

    /// <summary>The configs that are set on a broker and on all.</summary>
    [Alias("GetBrokerConfigs")]
    Task<StoredOverrides> GetBrokerConfigsAsync(int nodeId);

    /// <summary>Takes a block of producer ids that nobody had before.</summary>
    [Alias("TakeProducerIds")]
    Task<ProducerIdBlock> TakeProducerIdsAsync();
}

/// <summary>Configs of brokers that are set while they run.</summary>
/// <param name="OfNode">On the broker that asks.</param>
/// <param name="OfAll">On all.</param>
[GenerateSerializer, Immutable, Alias("Tributary.StoredOverrides")]
internal sealed record StoredOverrides(
    [property: Id(0)] ImmutableDictionary<string, string> OfNode, [property: Id(1)] ImmutableDictionary<string, string> OfAll)
{
    /// <summary>On their way to a broker.</summary>
    public static StoredOverrides From(BrokerOverrides overrides) =>
        new(overrides.OfNode.ToImmutableDictionary(), overrides.OfAll.ToImmutableDictionary());

    /// <summary>As the broker goes by them.</summary>
    public BrokerOverrides ToOverrides() => BrokerOverrides.From(OfNode, OfAll);
}

/// <summary>What a broker is told when it registers.</summary>
[GenerateSerializer, Immutable, Alias("Tributary.BrokerRegistration")]
internal sealed record BrokerRegistration(
    [property: Id(0)] string ClusterId,
    [property: Id(1)] BrokerRecord Broker,
    [property: Id(2)] ImmutableArray<BrokerRecord> Brokers,
    [property: Id(3)] ImmutableArray<TopicListing> Topics,
    [property: Id(4)] ImmutableArray<TopicListing> Deleted,
    [property: Id(5)] StoredOverrides Overrides);

/// <summary>What the cluster knows of a name.</summary>
/// <param name="Topic">The topic that exists, null if there is none.</param>
/// <param name="Deleted">The topic that was deleted and of which something may be left, null if there is none.</param>
[GenerateSerializer, Immutable, Alias("Tributary.TopicStanding")]
internal sealed record TopicStanding([property: Id(0)] TopicListing? Topic, [property: Id(1)] TopicListing? Deleted);

/// <summary>Why something isn't done.</summary>
[GenerateSerializer, Immutable, Alias("Tributary.Refusal")]
internal sealed record Refusal([property: Id(0)] ErrorCode Error, [property: Id(1)] string Message);

/// <summary>Where a topic goes.</summary>
/// <param name="Refusal">Why it can't be created, null if it can.</param>
/// <param name="Brokers">Node ids that take its replicas.</param>
/// <param name="ReplicationFactor">Replicas of each partition.</param>
[GenerateSerializer, Immutable, Alias("Tributary.Placement")]
internal sealed record Placement(
    [property: Id(0)] Refusal? Refusal,
    [property: Id(1)] ImmutableArray<int> Brokers,
    [property: Id(2)] int ReplicationFactor);

/// <summary>Producer ids from <paramref name="First"/> on.</summary>
[GenerateSerializer, Immutable, Alias("Tributary.ProducerIdBlock")]
internal sealed record ProducerIdBlock([property: Id(0)] long First, [property: Id(1)] int Count);
