using System.Net;
using Microsoft.Extensions.Logging;
using Tributary.Edge.Clock;
using Tributary.Edge.Ingest;
using Tributary.Edge.Mqtt;
using Tributary.Edge.Mqtt.Protocol;
using Tributary.Edge.Uplink;
using Tributary.Log;

namespace Tributary.Edge;

/// <summary>
/// Everything that the agent logs. Ids: 100–199 MQTT, 200–299 ingest, buffer, status and host, 300–399 uplink.
/// </summary>
internal static partial class LogMessages
{
    // MQTT

    [LoggerMessage(100, LogLevel.Debug, "MQTT {Connection} from {Remote} opened")]
    public static partial void MqttConnectionOpened(this ILogger logger, string connection, string remote);

    [LoggerMessage(101, LogLevel.Debug, "MQTT {Connection} from {Remote}: client '{ClientId}' connected with {Level}")]
    public static partial void MqttClientAccepted(
        this ILogger logger, string connection, string remote, string clientId, ProtocolLevel level);

    [LoggerMessage(EventId = 102, Message = "MQTT {Connection} from {Remote}, client '{ClientId}', closed: {Reason}. {Detail}")]
    public static partial void MqttConnectionClosed(
        this ILogger logger, LogLevel level, string connection, string remote, string clientId, MqttCloseReason reason, string detail);

    [LoggerMessage(103, LogLevel.Error, "MQTT {Connection} from {Remote}: a packet could not be served")]
    public static partial void MqttConnectionFailed(this ILogger logger, Exception reason, string connection, string remote);

    [LoggerMessage(104, LogLevel.Warning, "The will of MQTT client '{ClientId}' could not be stored: {Refusal}")]
    public static partial void MqttWillNotStored(this ILogger logger, string clientId, ReasonCode refusal);

    [LoggerMessage(105, LogLevel.Warning, "MQTT connection from {Remote} refused: {Detail}")]
    public static partial void MqttConnectionRefused(this ILogger logger, string remote, string detail);

    [LoggerMessage(106, LogLevel.Warning, "{Denial} of '{Topic}' is not allowed to {User}, client '{ClientId}'{Note}")]
    public static partial void MqttDenied(
        this ILogger logger, AccessDenial denial, string topic, string user, string clientId, string note);

    [LoggerMessage(115, LogLevel.Warning, "The will of MQTT client '{ClientId}' is not published: its user may not any more{Note}")]
    public static partial void MqttWillDenied(this ILogger logger, string clientId, string note);

    [LoggerMessage(112, LogLevel.Error, "MQTT sessions: {What}")]
    public static partial void SessionsDamaged(this ILogger logger, string what);

    [LoggerMessage(107, LogLevel.Information, "MQTT sessions: {Sessions} sessions with {Queued} messages for them, {Retained} retained messages")]
    public static partial void SessionsOpened(this ILogger logger, int sessions, long queued, int retained);

    [LoggerMessage(108, LogLevel.Error, "MQTT sessions can't be stored, and are read anew from the disk: {Reason}")]
    public static partial void SessionsLost(this ILogger logger, string reason);

    [LoggerMessage(114, LogLevel.Error, "MQTT sessions are not served, which is tried again in {Pause}: {Reason}")]
    public static partial void SessionsNotBegun(this ILogger logger, string reason, TimeSpan pause);

    [LoggerMessage(109, LogLevel.Warning, "The snapshot of the MQTT sessions could not be saved and is tried again: {Reason}")]
    public static partial void SnapshotNotSaved(this ILogger logger, string reason);

    [LoggerMessage(111, LogLevel.Error, "What is due for MQTT sessions could not be done, and is tried again")]
    public static partial void SweepFailed(this ILogger logger, Exception reason);

    [LoggerMessage(110, LogLevel.Warning, "Messages for the session of MQTT client '{ClientId}' are dropped, its queue is full{Note}")]
    public static partial void SessionQueueFull(this ILogger logger, string clientId, string note);

    [LoggerMessage(113, LogLevel.Warning, "MQTT: the $SYS topics could not be published, and are when it is time again")]
    public static partial void SystemTopicsFailed(this ILogger logger, Exception reason);

    // Access and listeners

    [LoggerMessage(120, LogLevel.Information, "The users file {Path} is in force: {Count} users")]
    public static partial void UsersTaken(this ILogger logger, string path, int count);

    [LoggerMessage(121, LogLevel.Error, "The users file has changed and is not taken, the former one stays in force: {Reason}")]
    public static partial void UsersNotTaken(this ILogger logger, string reason);

    [LoggerMessage(129, LogLevel.Error, "A change of {Files} could not be followed; it is tried again")]
    public static partial void FileChangeFailed(this ILogger logger, Exception reason, string files);

    [LoggerMessage(122, LogLevel.Information, "TLS certificate '{Subject}', valid until {ExpiresAt:yyyy-MM-dd HH:mm:ss} UTC, is in force")]
    public static partial void CertificateTaken(this ILogger logger, string subject, DateTime expiresAt);

    [LoggerMessage(123, LogLevel.Warning, "TLS certificate '{Subject}' is in force and has expired at {ExpiresAt:yyyy-MM-dd HH:mm:ss} UTC")]
    public static partial void CertificateExpired(this ILogger logger, string subject, DateTime expiresAt);

    [LoggerMessage(124, LogLevel.Error, "The TLS files have changed and are not taken, the former ones stay in force: {Reason}")]
    public static partial void CertificateNotTaken(this ILogger logger, string reason);

    [LoggerMessage(125, LogLevel.Warning, "TLS handshake with {Remote} failed: {Reason}{Note}")]
    public static partial void HandshakeFailed(this ILogger logger, string remote, string reason, string note);

    [LoggerMessage(126, LogLevel.Warning, "WebSocket from {Remote} refused: {Reason}{Note}")]
    public static partial void WebSocketRefused(this ILogger logger, string remote, string reason, string note);

    // Ingest

    [LoggerMessage(200, LogLevel.Error, "{Topic}-{Partition}: {Count} messages that were not acknowledged are lost: {Reason}")]
    public static partial void MessagesLost(this ILogger logger, string topic, int partition, long count, string reason);

    [LoggerMessage(201, LogLevel.Error, "{Topic}-{Partition} can't be opened, its messages are refused: {Reason}")]
    public static partial void PartitionNotOpened(this ILogger logger, string topic, int partition, string reason);

    [LoggerMessage(202, LogLevel.Warning, "Messages of the route '{Route}' go to the topic 'unrouted': the topic '{Topic}' would be one more than the setting buffer:maxTopics allows, {Limit}")]
    public static partial void TopicOverLimit(this ILogger logger, string route, string topic, int limit);

    [LoggerMessage(203, LogLevel.Information, "The routes file {Path} is in force: {Count} routes")]
    public static partial void RoutesTaken(this ILogger logger, string path, int count);

    [LoggerMessage(204, LogLevel.Error, "The routes file has changed and is not taken, the former one stays in force: {Reason}")]
    public static partial void RoutesNotTaken(this ILogger logger, string reason);

    [LoggerMessage(205, LogLevel.Warning, "The routes file {Path} is in force, and messages for topics beyond the limit go to 'unrouted': {Reason}")]
    public static partial void RoutesOverLimit(this ILogger logger, string path, string reason);

    // Buffer

    [LoggerMessage(220, LogLevel.Information, "{Topic}-{Partition} holds offsets {Start} to {End}")]
    public static partial void PartitionOpened(this ILogger logger, string topic, int partition, long start, long end);

    [LoggerMessage(224, LogLevel.Error, "{Topic}-{Partition} can't be opened and is tried again: {Reason}")]
    public static partial void PartitionLeftOut(this ILogger logger, string topic, int partition, string reason);

    [LoggerMessage(221, LogLevel.Warning, "'{Name}' in {Path} is not a partition and is left alone")]
    public static partial void NoPartition(this ILogger logger, string name, string path);

    [LoggerMessage(222, LogLevel.Error, "Messages are refused: {Reason}")]
    public static partial void DiskFull(this ILogger logger, string reason);

    [LoggerMessage(223, LogLevel.Information, "Messages are taken again: the buffer takes {Used} bytes, {Free} are free on the disk")]
    public static partial void DiskHasRoom(this ILogger logger, long used, long free);

    [LoggerMessage(226, LogLevel.Information, "Messages of topic {Topic} are taken again: it takes {Used} bytes on disk")]
    public static partial void TopicHasRoom(this ILogger logger, string topic, long used);

    [LoggerMessage(227, LogLevel.Error, "{Count} events for the cloud could not be stored and are tried again: {Reason}")]
    public static partial void EventsNotStored(this ILogger logger, int count, string reason);

    [LoggerMessage(EventId = 225, Message = "{Kind} in {Partition} at {From} to {To}: {Text}")]
    public static partial void LogEvent(
        this ILogger logger, LogLevel level, LogEventKind kind, string partition, long from, long to, string text);

    // Status and host

    [LoggerMessage(240, LogLevel.Error, "The page {Path} could not be made")]
    public static partial void PageFailed(this ILogger logger, string? path, Exception reason);

    [LoggerMessage(250, LogLevel.Information, "Agent {Id} {Version} takes MQTT at {Mqtt}, tells its status at {Http} and ships to {Cloud}")]
    public static partial void AgentStarted(this ILogger logger, string id, string version, string mqtt, IPEndPoint http, string cloud);

    [LoggerMessage(251, LogLevel.Warning, "'{Setting}' is {Endpoint}: whoever is on the way to it can read and change what is said, since the settings allow it without TLS")]
    public static partial void OpenWithoutTls(this ILogger logger, string setting, IPEndPoint endpoint);

    [LoggerMessage(255, LogLevel.Warning, "'{Setting}' is {Endpoint}: who reaches it need not say who they are, since mqtt:allowAnonymous is true")]
    public static partial void OpenToEverybody(this ILogger logger, string setting, IPEndPoint endpoint);

    [LoggerMessage(252, LogLevel.Warning, "{Source}: no such setting of this program, ignored")]
    public static partial void UnknownSetting(this ILogger logger, string source);

    [LoggerMessage(253, LogLevel.Information, "Agent {Id} stops")]
    public static partial void AgentStops(this ILogger logger, string id);

    [LoggerMessage(254, LogLevel.Information, "Agent {Id} has stopped; what was taken in is flushed")]
    public static partial void AgentStopped(this ILogger logger, string id);

    // Uplink

    [LoggerMessage(300, LogLevel.Information, "Uplink of {Topic}-{Partition}: begins at offset {Acked} of {FlushedEnd}, producer {ProducerId} epoch {ProducerEpoch}")]
    public static partial void UplinkBegins(
        this ILogger logger, string topic, int partition, long acked, long flushedEnd, long producerId, short producerEpoch);

    [LoggerMessage(301, LogLevel.Information, "Uplink of {Topic}-{Partition}: looks up its position again from offset {Offset}: {Reason}")]
    public static partial void UplinkInDoubt(this ILogger logger, string topic, int partition, long offset, string reason);

    [LoggerMessage(302, LogLevel.Warning, "Uplink of {Topic}-{Partition}: {Message}; from offset {Offset}")]
    public static partial void UplinkNewEpoch(this ILogger logger, string topic, int partition, string message, long offset);

    [LoggerMessage(303, LogLevel.Error, "Uplink of {Topic}-{Partition}: gap of {Records} records at offset {Offset}: {Message}")]
    public static partial void UplinkGap(this ILogger logger, string topic, int partition, long records, long offset, string message);

    [LoggerMessage(304, LogLevel.Error, "Uplink of {Topic}-{Partition}: {Message}")]
    public static partial void UplinkRefused(this ILogger logger, string topic, int partition, string message);

    [LoggerMessage(305, LogLevel.Information, "Uplink of {Topic}-{Partition}: from offset {Offset} on {Message}")]
    public static partial void UplinkPartitionCount(this ILogger logger, string topic, int partition, long offset, string message);

    [LoggerMessage(306, LogLevel.Error, "Uplink of {Topic}-{Partition}: records from offset {Offset} on may come twice: {Message}")]
    public static partial void UplinkMayRepeat(this ILogger logger, string topic, int partition, long offset, string message);

    [LoggerMessage(307, LogLevel.Error, "Uplink of {Topic}-{Partition} stopped at offset {Offset}: {Reason}")]
    public static partial void UplinkStopped(this ILogger logger, string topic, int partition, long offset, string reason);

    [LoggerMessage(308, LogLevel.Error, "Uplink of {Topic}-{Partition}: the checkpoint could not be saved, the old one stands")]
    public static partial void UplinkCheckpointNotSaved(this ILogger logger, string topic, int partition, Exception reason);

    [LoggerMessage(309, LogLevel.Warning, "Uplink of {Topic}-{Partition}: the local log could not be trimmed to offset {Offset}")]
    public static partial void UplinkNotTrimmed(this ILogger logger, string topic, int partition, long offset, Exception reason);

    [LoggerMessage(310, LogLevel.Critical, "Uplink of {Topic}-{Partition} ended by a defect and will go on from its checkpoint")]
    public static partial void UplinkDefect(this ILogger logger, string topic, int partition, Exception reason);

    [LoggerMessage(313, LogLevel.Error, "Uplink of {Topic}-{Partition} can't begin, it is tried again: {Reason}")]
    public static partial void UplinkNotBegun(this ILogger logger, string topic, int partition, string reason);

    [LoggerMessage(315, LogLevel.Error, "Uplink of {Topic}-{Partition}: the refused record at offset {Offset} can't be read, so it is not kept")]
    public static partial void DeadLetterUnreadable(this ILogger logger, string topic, int partition, long offset);

    [LoggerMessage(311, LogLevel.Information, "Cloud: connected to {Endpoint}")]
    public static partial void CloudConnected(this ILogger logger, NodeEndpoint endpoint);

    [LoggerMessage(312, LogLevel.Information, "Cloud: the connection to {Endpoint} is gone: {Reason}")]
    public static partial void CloudDisconnected(this ILogger logger, NodeEndpoint endpoint, string reason);

    [LoggerMessage(314, LogLevel.Warning, "Cloud: {Endpoint} can't be reached, messages are taken in meanwhile: {Reason}")]
    public static partial void CloudUnreachable(this ILogger logger, NodeEndpoint endpoint, string reason);

    [LoggerMessage(316, LogLevel.Error, "The TLS files of the uplink can't be used, the former ones go on: {Reason}")]
    public static partial void UplinkTlsFilesNotTaken(this ILogger logger, string reason);

    [LoggerMessage(317, LogLevel.Warning, "Cloud: {Endpoint}, which {Bootstrap} names, can't be used: {Reason}")]
    public static partial void CloudNodeUnreachable(this ILogger logger, NodeEndpoint endpoint, NodeEndpoint bootstrap, string reason);

    [LoggerMessage(318, LogLevel.Warning, "Cloud: {Endpoint} does not serve DescribeProducers, so it can't be asked what it has: records arrive at least once, those under way when a connection is lost may come twice")]
    public static partial void CloudTellsNothing(this ILogger logger, NodeEndpoint endpoint);

    // Clock

    [LoggerMessage(230, LogLevel.Information, "The clock is trusted ({By}): it is {Time:O}, give or take {Error}")]
    public static partial void ClockTrusted(this ILogger logger, ClockTrustedBy by, DateTimeOffset time, TimeSpan error);

    [LoggerMessage(231, LogLevel.Warning, "The clock is not trusted, so records wait for their time: it says {Wall:O}, and {Reason}")]
    public static partial void ClockNotTrusted(this ILogger logger, DateTimeOffset wall, string reason);

    [LoggerMessage(232, LogLevel.Warning, "Clock: {What}")]
    public static partial void ClockJumped(this ILogger logger, string what);

    [LoggerMessage(233, LogLevel.Error, "What is known of the time can't be saved in {File}, and is tried again: {Reason}")]
    public static partial void ClockNotSaved(this ILogger logger, string file, string reason);

    [LoggerMessage(234, LogLevel.Error, "The file {File} is damaged: what is known of earlier starts of the device is lost, and times of then are estimated")]
    public static partial void ClockFileDamaged(this ILogger logger, string file);

    // Source

    [LoggerMessage(400, LogLevel.Information, "Source: subscribed at {Broker} as {ClientId}, {Filters} filters")]
    public static partial void SourceConnected(this ILogger logger, string broker, string clientId, int filters);

    [LoggerMessage(401, LogLevel.Warning, "Source: not connected to {Broker}, tried again: {Reason}")]
    public static partial void SourceDisconnected(this ILogger logger, string broker, string reason);

    [LoggerMessage(402, LogLevel.Warning, "Source: {Broker} had forgotten the session of {ClientId}; what was published meanwhile does not come")]
    public static partial void SourceSessionLost(this ILogger logger, string broker, string clientId);

    [LoggerMessage(403, LogLevel.Error, "Source: {Broker} refused the subscription to {Filter}: {Reason}")]
    public static partial void SourceFilterRefused(this ILogger logger, string broker, string filter, string reason);
}
