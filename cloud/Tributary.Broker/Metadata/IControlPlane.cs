using Tributary.Broker.Configs;
using Tributary.Contracts.Kafka;

namespace Tributary.Broker.Metadata;

/// <summary>
/// What brokers ask of those who decide. The silo answers from grains; a test from memory. Record batches never pass here.
/// </summary>
/// <remarks>
/// A change that is cancelled, or fails by an exception, may have happened all the same, or happen yet: <see cref="Snapshot"/> tells of it
/// then.
/// </remarks>
public interface IControlPlane
{
    /// <summary>What is known now; never blocks.</summary>
    ClusterSnapshot Snapshot { get; }

    /// <summary>
    /// Creates a topic durably. When it returns, <see cref="Snapshot"/> has the topic and its partitions on this broker can be used.
    /// </summary>
    Task<CreateTopicOutcome> CreateTopicAsync(NewTopic topic, CancellationToken cancellation);

    /// <summary>
    /// Deletes a topic durably. When it returns, <see cref="Snapshot"/> hasn't got the topic, whoever waited for its partitions is
    /// answered, and nothing of it is left on this broker's disk, or what could not be removed yet will be.
    /// </summary>
    /// <param name="name">Its name.</param>
    /// <param name="id">Its id: one of the same name that was made anew since is not deleted.</param>
    /// <param name="cancellation">The caller waits no longer.</param>
    Task<TopicOutcome> DeleteTopicAsync(string name, Guid id, CancellationToken cancellation);

    /// <summary>Gives a topic more partitions, durably. When it returns, they can be used.</summary>
    Task<TopicOutcome> CreatePartitionsAsync(MorePartitions more, CancellationToken cancellation);

    /// <summary>Changes the configs of a topic, all or none, durably. When it returns, they are in effect.</summary>
    Task<TopicOutcome> AlterConfigsAsync(ConfigAlteration alteration, CancellationToken cancellation);

    /// <summary>Changes the configs of this broker, or those of all, all or none, durably. When it returns, they are in effect.</summary>
    Task<TopicOutcome> AlterBrokerConfigsAsync(BrokerConfigAlteration alteration, CancellationToken cancellation);

    /// <summary>A producer id that was never handed out before, whatever crashed since.</summary>
    ValueTask<long> NextProducerIdAsync(CancellationToken cancellation);
}

/// <summary>The partitions of a broker, as those who decide see them.</summary>
public interface IBrokerPartitions
{
    /// <inheritdoc cref="Partitions.PartitionManager.ApplyAsync"/>
    Task ApplyAsync(ClusterSnapshot snapshot, CancellationToken cancellation = default);

    /// <inheritdoc cref="Partitions.PartitionManager.RemoveAsync"/>
    Task RemoveAsync(DeletedTopic topic, CancellationToken cancellation = default);
}

/// <summary>A topic to make.</summary>
/// <param name="Name">A valid name.</param>
/// <param name="PartitionCount">Number of partitions, −1 for the default (<c>num.partitions</c>).</param>
/// <param name="ReplicationFactor">Copies of each, −1 for the default.</param>
/// <param name="Configs">Topic configs by Kafka's names, validated.</param>
/// <param name="ValidateOnly">Only say what would happen.</param>
public sealed record NewTopic(
    string Name, int PartitionCount, short ReplicationFactor, IReadOnlyDictionary<string, string> Configs, bool ValidateOnly);

/// <summary>What became of it.</summary>
/// <param name="Error"><see cref="ErrorCode.None"/>, or for example <see cref="ErrorCode.TopicAlreadyExists"/>.</param>
/// <param name="Message">A sentence for the client, null if there is nothing to say.</param>
/// <param name="Topic">The topic, when it was created or would have been.</param>
public sealed record CreateTopicOutcome(ErrorCode Error, string? Message, TopicInfo? Topic);

/// <summary>Partitions to add to a topic.</summary>
/// <param name="Topic">Its name.</param>
/// <param name="Count">How many it shall have in all.</param>
/// <param name="ValidateOnly">Only say what would happen.</param>
public sealed record MorePartitions(string Topic, int Count, bool ValidateOnly);

/// <summary>Changes of a topic's configs.</summary>
/// <param name="Topic">Its name.</param>
/// <param name="Edits">The changes.</param>
/// <param name="ReplaceAll">Whatever isn't set by them has its default again (AlterConfigs).</param>
/// <param name="ValidateOnly">Only say what would happen.</param>
public sealed record ConfigAlteration(string Topic, IReadOnlyList<ConfigEdit> Edits, bool ReplaceAll, bool ValidateOnly);

/// <summary>Changes of the configs of brokers.</summary>
/// <param name="OfNode">Of the broker that asks; otherwise of all.</param>
/// <param name="Edits">The changes.</param>
/// <param name="ReplaceAll">Whatever isn't set by them isn't set any more (AlterConfigs).</param>
/// <param name="ValidateOnly">Only say what would happen.</param>
public sealed record BrokerConfigAlteration(bool OfNode, IReadOnlyList<ConfigEdit> Edits, bool ReplaceAll, bool ValidateOnly);

/// <summary>What became of a change.</summary>
/// <param name="Error"><see cref="ErrorCode.None"/>, or why nothing was changed.</param>
/// <param name="Message">A sentence for the client, null if there is nothing to say.</param>
public sealed record TopicOutcome(ErrorCode Error, string? Message)
{
    /// <summary>It was changed, or would have been.</summary>
    public static readonly TopicOutcome Done = new(ErrorCode.None, null);
}
