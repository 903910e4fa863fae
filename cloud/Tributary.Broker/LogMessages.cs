using Microsoft.Extensions.Logging;

namespace Tributary.Broker;

/// <summary>Everything that the broker logs.</summary>
internal static partial class LogMessages
{
    [LoggerMessage(1, LogLevel.Debug, "Partition {Partition} opened in leader epoch {LeaderEpoch}: offsets {StartOffset} to {EndOffset}")]
    public static partial void PartitionOpened(this ILogger logger, string partition, int leaderEpoch, long startOffset, long endOffset);

    [LoggerMessage(2, LogLevel.Error, "Partition {Partition} can't be served: its clients get KAFKA_STORAGE_ERROR until it can be opened")]
    public static partial void PartitionUnavailable(this ILogger logger, Exception reason, string partition);

    [LoggerMessage(3, LogLevel.Information, "Partition {Partition} of topic id {FormerTopicId} deleted: the topic is now {TopicId}")]
    public static partial void PartitionOfFormerTopicDeleted(this ILogger logger, string partition, Guid formerTopicId, Guid topicId);

    [LoggerMessage(4, LogLevel.Warning,
        "Directory {Partition} belongs to topic id {FoundTopicId}, not to {TopicId}: moved to {Target}. Delete it there when nobody needs it")]
    public static partial void PartitionMovedAside(this ILogger logger, string partition, Guid foundTopicId, Guid topicId, string target);

    [LoggerMessage(5, LogLevel.Critical,
        "Directory {Partition} has no valid {File}, so it isn't known which topic its records belong to. It is not served. "
        + "Restore the file from a backup, or move the directory to {Aside} to begin with an empty partition")]
    public static partial void PartitionIdentityUnreadable(this ILogger logger, string partition, string file, string aside);

    [LoggerMessage(6, LogLevel.Error, "Retention of partition {Partition} failed and is tried again later")]
    public static partial void RetentionFailed(this ILogger logger, Exception reason, string partition);

    [LoggerMessage(7, LogLevel.Information, "Nothing is left on the disk of topic {Topic} with id {TopicId}, which was deleted")]
    public static partial void TopicRemoved(this ILogger logger, string topic, Guid topicId);

    [LoggerMessage(8, LogLevel.Information, "{Partitions} partitions opened in {Time}")]
    public static partial void PartitionsOpened(this ILogger logger, int partitions, TimeSpan time);

    [LoggerMessage(50, LogLevel.Debug,
        "Partition {Partition} compacted up to offset {CleanOffset}: {Records} records removed, {BytesBefore} bytes are {BytesAfter} now, in {Time}")]
    public static partial void PartitionCompacted(
        this ILogger logger, string partition, long cleanOffset, long records, long bytesBefore, long bytesAfter, TimeSpan time);

    [LoggerMessage(51, LogLevel.Error, "Partition {Partition} could not be compacted; its records are not affected. It is tried again in {Time}")]
    public static partial void CompactionFailed(this ILogger logger, Exception reason, string partition, TimeSpan time);

    [LoggerMessage(10, LogLevel.Debug, "Connection {Connection} from {Remote} opened")]
    public static partial void ConnectionOpened(this ILogger logger, string connection, string remote);

    [LoggerMessage(11, LogLevel.Debug, "Connection {Connection} from {Remote} closed: {Reason}")]
    public static partial void ConnectionClosed(this ILogger logger, string connection, string remote, string reason);

    [LoggerMessage(12, LogLevel.Warning, "Connection {Connection} from {Remote} closed by the broker: {Reason}. {Detail}")]
    public static partial void ConnectionRefused(this ILogger logger, string connection, string remote, string reason, string detail);

    [LoggerMessage(13, LogLevel.Error, "Connection {Connection} from {Remote} closed: a request failed")]
    public static partial void ConnectionFailed(this ILogger logger, Exception reason, string connection, string remote);

    [LoggerMessage(14, LogLevel.Error, "Connection {Connection} closed: an answer failed")]
    public static partial void AnswerFailed(this ILogger logger, Exception reason, string connection);

    [LoggerMessage(20, LogLevel.Error, "Topic {Topic} could not be created")]
    public static partial void TopicCreationFailed(this ILogger logger, Exception reason, string topic);

    [LoggerMessage(23, LogLevel.Error, "Topic {Topic} could not be changed")]
    public static partial void TopicChangeFailed(this ILogger logger, Exception reason, string topic);

    [LoggerMessage(24, LogLevel.Error, "Configs of brokers could not be changed")]
    public static partial void BrokerConfigChangeFailed(this ILogger logger, Exception reason);

    [LoggerMessage(21, LogLevel.Error, "No producer id could be had")]
    public static partial void ProducerIdFailed(this ILogger logger, Exception reason);

    [LoggerMessage(22, LogLevel.Error, "Partition {Partition} could not be read")]
    public static partial void ReadFailed(this ILogger logger, Exception reason, string partition);

    [LoggerMessage(30, LogLevel.Information, "Group {Group} is {State} in generation {Generation} with {Members} members")]
    public static partial void GroupSettled(this ILogger logger, string group, Groups.GroupState state, int generation, int members);

    [LoggerMessage(31, LogLevel.Error, "Group {Group} could not be stored: its members ask again, and it starts from what is stored")]
    public static partial void GroupFailed(this ILogger logger, Exception reason, string group);

    [LoggerMessage(32, LogLevel.Warning, "A group is refused: {Reason}")]
    public static partial void GroupRefused(this ILogger logger, string reason);

    [LoggerMessage(34, LogLevel.Information, "Group {Group} with {Members} members is of the newer protocol from now on")]
    public static partial void GroupUpgraded(this ILogger logger, string group, int members);

    [LoggerMessage(35, LogLevel.Information, "Group {Group} with {Members} members is of the classic protocol from now on")]
    public static partial void GroupDowngraded(this ILogger logger, string group, int members);

    [LoggerMessage(33, LogLevel.Warning, "A {Api} request for group {Group} failed and is to be tried again")]
    public static partial void GroupRequestFailed(this ILogger logger, Exception reason, string api, string group);

    [LoggerMessage(40, LogLevel.Error, "Transactional id {Id} could not be stored: its producer asks again, and it starts from what is stored")]
    public static partial void TransactionFailed(this ILogger logger, Exception reason, string id);

    [LoggerMessage(41, LogLevel.Warning, "A transactional producer is refused: {Reason}")]
    public static partial void TransactionRefused(this ILogger logger, string reason);

    [LoggerMessage(42, LogLevel.Warning, "The transaction of {Id}, producer {ProducerId} in epoch {Epoch}, is aborted: it was open for {TimeoutMs} ms")]
    public static partial void TransactionTimedOut(this ILogger logger, string id, long producerId, short epoch, int timeoutMs);

    [LoggerMessage(43, LogLevel.Warning, "The transaction of {Id} can't be ended yet at {Where} ({Error}): it is tried until it is")]
    public static partial void MarkerNotWritten(
        this ILogger logger, Exception? reason, string id, string where, Contracts.Kafka.ErrorCode error);

    [LoggerMessage(44, LogLevel.Information, "A marker of {Id} came late at {Where}, and changed nothing")]
    public static partial void MarkerIsLate(this ILogger logger, string id, string where);

    [LoggerMessage(46, LogLevel.Warning, "It could not be found out whether a batch belongs to the open transaction of {Id}: it is to be sent again")]
    public static partial void TransactionNotVerified(this ILogger logger, Exception reason, string id);

    [LoggerMessage(45, LogLevel.Warning, "A {Api} request for transactional id {Id} failed and is to be tried again")]
    public static partial void TransactionRequestFailed(this ILogger logger, Exception reason, string api, string id);
}
