using Microsoft.Extensions.Logging;
using Tributary.Log;

namespace Tributary.Edge;

/// <summary>
/// Everything that the agent logs. Ids: 100–199 MQTT, 200–299 ingest, buffer, status and host, 300–399 uplink.
/// </summary>
internal static partial class LogMessages
{
    // Ingest

    [LoggerMessage(200, LogLevel.Error, "{Topic}-{Partition}: {Count} messages that were not acknowledged are lost: {Reason}")]
    public static partial void MessagesLost(this ILogger logger, string topic, int partition, long count, string reason);

    [LoggerMessage(201, LogLevel.Error, "{Topic}-{Partition} can't be opened, its messages are refused: {Reason}")]
    public static partial void PartitionNotOpened(this ILogger logger, string topic, int partition, string reason);

    // Buffer

    [LoggerMessage(220, LogLevel.Information, "{Topic}-{Partition} holds offsets {Start} to {End}")]
    public static partial void PartitionOpened(this ILogger logger, string topic, int partition, long start, long end);

    [LoggerMessage(221, LogLevel.Warning, "'{Name}' in {Path} is not a partition and is left alone")]
    public static partial void NoPartition(this ILogger logger, string name, string path);

    [LoggerMessage(222, LogLevel.Error, "Messages are refused: {Reason}")]
    public static partial void DiskFull(this ILogger logger, string reason);

    [LoggerMessage(223, LogLevel.Information, "Messages are taken again: the buffer takes {Used} bytes, {Free} are free on the disk")]
    public static partial void DiskHasRoom(this ILogger logger, long used, long free);

    [LoggerMessage(EventId = 224, Message = "{Kind} in {Partition} at {From} to {To}: {Text}")]
    public static partial void LogEvent(
        this ILogger logger, LogLevel level, LogEventKind kind, string partition, long from, long to, string text);
}
