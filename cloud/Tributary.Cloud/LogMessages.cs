using Microsoft.Extensions.Logging;
using Tributary.Log;

namespace Tributary.Cloud;

/// <summary>Everything that the cloud program logs besides the broker.</summary>
internal static partial class LogMessages
{
    [LoggerMessage(100, LogLevel.Information, "Broker {Name} is node {NodeId}, start {BrokerEpoch}, of cluster {ClusterId} with {Topics} topics")]
    public static partial void BrokerRegistered(
        this ILogger logger, string name, int nodeId, long brokerEpoch, string clusterId, int topics);

    [LoggerMessage(101, LogLevel.Information, "Topic {Topic} created with id {TopicId} and {Partitions} partitions")]
    public static partial void TopicCreated(this ILogger logger, string topic, Guid topicId, int partitions);

    [LoggerMessage(102, LogLevel.Critical,
        "Topic {Topic} with id {TopicId} is listed and has no such record in the control database: it is not served. Restore the database")]
    public static partial void TopicRecordMissing(this ILogger logger, string topic, Guid topicId);

    [LoggerMessage(103, LogLevel.Information, "Topic {Topic} changed: it has {Partitions} partitions, and {Configs} configs are set on it")]
    public static partial void TopicChanged(this ILogger logger, string topic, int partitions, int configs);

    [LoggerMessage(104, LogLevel.Information, "Topic {Topic} with id {TopicId} deleted")]
    public static partial void TopicDeleted(this ILogger logger, string topic, Guid topicId);

    [LoggerMessage(105, LogLevel.Error,
        "Topic {Topic} with id {TopicId} was deleted, and what is left of it can't be removed from the disk; it is tried again later")]
    public static partial void TopicNotRemoved(this ILogger logger, Exception reason, string topic, Guid topicId);

    [LoggerMessage(106, LogLevel.Warning, "What became of a change or deletion of topic {Topic} could not be found out, or not be finished; it is tried again later")]
    public static partial void TopicUnsettled(this ILogger logger, Exception reason, string topic);

    [LoggerMessage(107, LogLevel.Information, "Configs of brokers changed: {OfNode} are set on this broker, {OfAll} on all")]
    public static partial void BrokerConfigsChanged(this ILogger logger, int ofNode, int ofAll);

    [LoggerMessage(108, LogLevel.Warning, "What became of a change of configs of brokers could not be found out; it is tried again later")]
    public static partial void BrokerConfigsUnsettled(this ILogger logger, Exception reason);

    [LoggerMessage(110, LogLevel.Information, "Kafka clients connect to {Kafka} (advertised {Advertised}), HTTP {Http}, silo {Silo}, data {Data}")]
    public static partial void Serving(
        this ILogger logger, HostPort kafka, HostPort advertised, HostPort http, System.Net.IPEndPoint silo, string data);

    [LoggerMessage(111, LogLevel.Warning,
        "The {Setting} listener at {Address} can be reached from other machines, and nobody has to authenticate: anybody there can read and "
        + "write all data")]
    public static partial void ListenerIsOpen(this ILogger logger, string setting, HostPort address);

    [LoggerMessage(112, LogLevel.Warning, "The environment variable {Variable} is no setting of this program and is ignored")]
    public static partial void VariableIgnored(this ILogger logger, string variable);

    [LoggerMessage(113, LogLevel.Information, "Stopping: Kafka clients are let go once what they have sent is answered")]
    public static partial void Stopping(this ILogger logger);

    [LoggerMessage(114, LogLevel.Warning, "Connections that did not end within {Limit} are cut")]
    public static partial void ConnectionsCut(this ILogger logger, TimeSpan limit);

    [LoggerMessage(115, LogLevel.Information, "Stopped")]
    public static partial void Stopped(this ILogger logger);

    [LoggerMessage(116, LogLevel.Warning, "Partitions could not be looked at again; it is tried later")]
    public static partial void ReapplyFailed(this ILogger logger, Exception reason);

    [LoggerMessage(117, LogLevel.Warning, "Consumer groups could not be looked after; it is tried later")]
    public static partial void GroupUpkeepFailed(this ILogger logger, Exception reason);

    [LoggerMessage(118, LogLevel.Warning, "Transactions could not be looked after; it is tried later")]
    public static partial void TransactionUpkeepFailed(this ILogger logger, Exception reason);

    [LoggerMessage(EventId = 120, Message = "{Kind} in {Partition} at {From} to {To}: {Text}")]
    public static partial void LogEvent(
        this ILogger logger, LogLevel level, LogEventKind kind, string partition, long from, long to, string text);
}
