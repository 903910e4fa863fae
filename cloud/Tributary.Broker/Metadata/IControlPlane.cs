using Tributary.Contracts.Kafka;

namespace Tributary.Broker.Metadata;

/// <summary>
/// What brokers ask of those who decide. The silo answers from grains; a test from memory. Record batches never pass here.
/// </summary>
public interface IControlPlane
{
    /// <summary>What is known now; never blocks.</summary>
    ClusterSnapshot Snapshot { get; }

    /// <summary>
    /// Creates a topic durably. When it returns, <see cref="Snapshot"/> has the topic and its partitions on this broker can be used.
    /// </summary>
    Task<CreateTopicOutcome> CreateTopicAsync(NewTopic topic, CancellationToken cancellation);

    /// <summary>A producer id that was never handed out before, whatever crashed since.</summary>
    ValueTask<long> NextProducerIdAsync(CancellationToken cancellation);
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
