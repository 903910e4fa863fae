using System.Globalization;
using Tributary.Broker.Metadata;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Telemetry;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>What configs belong to: a topic, this broker, or all brokers; or why that can't be.</summary>
/// <param name="Topic">The topic, null for brokers.</param>
/// <param name="Node">The broker, null for topics and for all brokers.</param>
/// <param name="Error">Why it can't be.</param>
/// <param name="Message">A sentence for it.</param>
internal readonly record struct ConfigResource(TopicInfo? Topic, BrokerNode? Node, ErrorCode Error, string? Message)
{
    private const sbyte TopicType = 2;
    private const sbyte BrokerType = 4;

    /// <summary>Finds what a request names.</summary>
    /// <param name="snapshot">What there is.</param>
    /// <param name="type">What kind of thing is named.</param>
    /// <param name="name">Its name.</param>
    /// <param name="toChange">It is to be changed, not described: Kafka has other sentences for what is wrong then.</param>
    public static ConfigResource Find(ClusterSnapshot snapshot, sbyte type, string name, bool toChange) => type switch
    {
        TopicType => FindTopic(snapshot, name),
        BrokerType => FindBroker(snapshot, name, toChange),
        _ => Refuse(ErrorCode.InvalidRequest, $"Unsupported resource type: {type}; topics (2) and brokers (4) have configs."),
    };

    private static ConfigResource FindTopic(ClusterSnapshot snapshot, string name) =>
        name.Length == 0 ? Refuse(ErrorCode.InvalidRequest, "Default topic resources are not allowed.")
        : KafkaTopicName.Fault(name) is { } wrong ? Refuse(ErrorCode.InvalidTopicException, $"Topic name is invalid: {wrong}")
        : snapshot.Topics.TryGetValue(name, out TopicInfo? topic) ? new ConfigResource(topic, null, ErrorCode.None, null)
        : Refuse(ErrorCode.UnknownTopicOrPartition, TopicChange.UnknownTopic);

    private static ConfigResource FindBroker(ClusterSnapshot snapshot, string name, bool toChange)
    {
        if (name.Length == 0)
        {
            return new ConfigResource(null, null, ErrorCode.None, null);
        }
        if (!int.TryParse(name, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int id))
        {
            return Refuse(ErrorCode.InvalidRequest, $"{(toChange ? "Node" : "Broker")} id must be an integer, but it is: {name}");
        }
        return id == snapshot.NodeId
            ? new ConfigResource(null, snapshot.Brokers.First(node => node.NodeId == id), ErrorCode.None, null)
            : Refuse(
                ErrorCode.InvalidRequest,
                $"Unexpected broker id, expected {snapshot.NodeId}{(toChange ? "" : " or empty string")}, but received {name}");
    }

    private static ConfigResource Refuse(ErrorCode error, string message) => new(null, null, error, message);
}
