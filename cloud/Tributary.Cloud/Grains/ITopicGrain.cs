using System.Collections.Immutable;
using Tributary.Broker.Configs;

namespace Tributary.Cloud.Grains;

/// <summary>The controller of one topic and its partitions. Whatever it answers is stored.</summary>
[Alias("Tributary.ITopicGrain")]
internal interface ITopicGrain : IGrainWithStringKey
{
    /// <summary>
    /// The grain's key for a topic. The prefix matters: Orleans' ADO.NET provider takes a key that looks like a hexadecimal number or a
    /// uuid for one, so that the topics "ab", "AB" and "00ab" would share one stored record.
    /// </summary>
    static string KeyOf(string topic) => $"topic/{topic}";

    /// <summary>Creates the topic, or goes on with a creation that a crash has cut off.</summary>
    [Alias("Create")]
    Task<TopicCreationAnswer> CreateAsync(TopicSpec spec);

    /// <summary>Gives the topic more partitions.</summary>
    /// <param name="count">How many it shall have in all.</param>
    /// <param name="validateOnly">Only say what would happen.</param>
    [Alias("CreatePartitions")]
    Task<TopicChangeAnswer> CreatePartitionsAsync(int count, bool validateOnly);

    /// <summary>Changes the topic's configs, all or none.</summary>
    /// <param name="edits">The changes.</param>
    /// <param name="replaceAll">Whatever isn't set by them has its default again.</param>
    /// <param name="validateOnly">Only say what would happen.</param>
    [Alias("AlterConfigs")]
    Task<TopicChangeAnswer> AlterConfigsAsync(ImmutableArray<StoredConfigEdit> edits, bool replaceAll, bool validateOnly);

    /// <summary>The topic as it is stored, null if nothing is. Whether it exists, the cluster's list says.</summary>
    [Alias("Get")]
    Task<TopicRecord?> GetAsync();

    /// <summary>Forgets the record of a topic that was deleted, unless it is another one's.</summary>
    [Alias("Forget")]
    Task ForgetAsync(Guid id);

    /// <summary>A broker has started: new leader epochs begin where it led.</summary>
    /// <returns>The topic as it is now, null if there is none.</returns>
    [Alias("BrokerStarted")]
    Task<TopicRecord?> BrokerStartedAsync(int nodeId);
}

/// <summary>A topic to make; the name is valid.</summary>
/// <param name="Name">Its name.</param>
/// <param name="PartitionCount">Number of partitions.</param>
/// <param name="ReplicationFactor">Copies of each, −1 for the default.</param>
/// <param name="Configs">Topic configs by Kafka's names, validated.</param>
/// <param name="ValidateOnly">Only say what would happen.</param>
[GenerateSerializer, Immutable, Alias("Tributary.TopicSpec")]
internal sealed record TopicSpec(
    [property: Id(0)] string Name,
    [property: Id(1)] int PartitionCount,
    [property: Id(2)] int ReplicationFactor,
    [property: Id(3)] ImmutableDictionary<string, string> Configs,
    [property: Id(4)] bool ValidateOnly);

/// <summary>What became of it.</summary>
/// <param name="Refusal">Why the caller didn't create it, null if it did.</param>
/// <param name="Topic">The topic that exists now, made by this call or before; or the one that a call that only validates would have
/// made.</param>
[GenerateSerializer, Immutable, Alias("Tributary.TopicCreationAnswer")]
internal sealed record TopicCreationAnswer([property: Id(0)] Refusal? Refusal, [property: Id(1)] TopicRecord? Topic);

/// <summary>What became of a change.</summary>
/// <param name="Refusal">Why nothing was changed, null if it was.</param>
/// <param name="Topic">The topic as it is now, or would be; null if there is none.</param>
[GenerateSerializer, Immutable, Alias("Tributary.TopicChangeAnswer")]
internal sealed record TopicChangeAnswer([property: Id(0)] Refusal? Refusal, [property: Id(1)] TopicRecord? Topic);

/// <summary>A change of a config on its way to a grain.</summary>
/// <param name="Name">Which config.</param>
/// <param name="Operation">What is done to it, as <see cref="ConfigOperation"/> counts.</param>
/// <param name="Value">The value.</param>
[GenerateSerializer, Immutable, Alias("Tributary.StoredConfigEdit")]
internal sealed record StoredConfigEdit([property: Id(0)] string Name, [property: Id(1)] sbyte Operation, [property: Id(2)] string? Value)
{
    /// <summary>A change on its way.</summary>
    public static StoredConfigEdit From(ConfigEdit edit) => new(edit.Name, (sbyte)edit.Operation, edit.Value);

    /// <summary>The change.</summary>
    public ConfigEdit ToEdit() => new(Name, (ConfigOperation)Operation, Value);
}
