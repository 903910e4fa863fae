using System.Text.Json.Serialization;
using Tributary.Edge.Ingest;
using Tributary.Edge.Mqtt.Sessions;
using Tributary.Edge.Routes;
using Tributary.Edge.Source;

namespace Tributary.Edge.Status;

/// <summary>What <c>/status</c> tells, as of one moment. Bytes and counts are since the start unless said otherwise.</summary>
/// <param name="Id">Name of the agent.</param>
/// <param name="Version">Its version.</param>
/// <param name="StartedAt">When it started.</param>
/// <param name="UptimeSeconds">Seconds since then, by a clock that is never set.</param>
/// <param name="Ready">Whether messages are taken and stored.</param>
/// <param name="NotReady">A sentence for each reason why not.</param>
/// <param name="Link">The connection to the cloud.</param>
/// <param name="Rates">What comes in and goes out each second, lately.</param>
/// <param name="Backlog">What the cloud has not acknowledged yet, over all partitions.</param>
/// <param name="Partitions">The local partitions.</param>
/// <param name="Disk">Space on the disk.</param>
/// <param name="Wear">What was written to the device.</param>
/// <param name="Ingest">What was taken in.</param>
/// <param name="Mqtt">Clients and packets.</param>
/// <param name="Events">What befell the local logs.</param>
/// <param name="Source">The broker that messages are taken from; null without one.</param>
/// <param name="Routes">What became of messages, by route.</param>
/// <param name="Problems">The last warnings and errors, oldest first.</param>
/// <param name="Clock">Whether the time is known.</param>
internal sealed record EdgeStatus(
    string Id, string Version, DateTimeOffset StartedAt, double UptimeSeconds, bool Ready, IReadOnlyList<string> NotReady, LinkStatus Link,
    RateStatus Rates, BacklogStatus Backlog, IReadOnlyList<PartitionStatus> Partitions, DiskStatus Disk, WearStatus Wear, IngestStatus Ingest,
    MqttStatus Mqtt, EventsStatus Events, SourceStatus? Source, RoutesStatus Routes, IReadOnlyList<ProblemStatus> Problems,
    ClockStatus Clock);

/// <summary>The connection to the cloud. A cloud that is away does not make the agent less ready.</summary>
/// <param name="Cloud">HOST:PORT as it was set.</param>
/// <param name="Connected">Whether a request was answered on a connection that is open now.</param>
/// <param name="ClusterId">Id of the cluster, null before the first answer ever.</param>
/// <param name="Promise">The weakest promise of its partitions (<see cref="UplinkStatus"/>); null before an answer.</param>
/// <param name="LastError">Why the last attempt failed, null if it did not.</param>
/// <param name="LastAck">When the last acknowledgement came, null if none did since the start.</param>
/// <param name="Requests">Produce requests answered.</param>
/// <param name="BytesSent">Bytes of produce requests sent.</param>
/// <param name="Acknowledged">Records that the cloud acknowledged.</param>
/// <param name="Retries">Times that a position was looked up again after doubt.</param>
/// <param name="CapBytesPerSecond">The cap that holds now; null for none.</param>
/// <param name="InFlightBytes">Bytes of requests that wait for their answer.</param>
/// <param name="WindowBytes">Bytes that may wait so, by what the link carries.</param>
/// <param name="RateBytesPerSecond">What the link was last seen to carry; 0 before the first answer.</param>
internal sealed record LinkStatus(
    string Cloud, bool Connected, string? ClusterId, string? Promise, string? LastError, DateTimeOffset? LastAck, long Requests, long BytesSent,
    long Acknowledged, long Retries, long? CapBytesPerSecond, long InFlightBytes, long WindowBytes, long RateBytesPerSecond);

/// <summary>The clock. As long as it is not trusted, records wait for their time, and nothing expires.</summary>
/// <param name="Trusted">Whether the time is known.</param>
/// <param name="By">Why: <c>synchronization</c>, <c>boardClock</c> or <c>setting</c>; <c>none</c> if it is not.</param>
/// <param name="Since">Since when, in this process; null if it is not.</param>
/// <param name="Time">The time that is believed; null if none is.</param>
/// <param name="ErrorSeconds">How wrong it may be.</param>
/// <param name="Synchronized">Whether the kernel says now that it is synchronised; null if it can't be asked.</param>
/// <param name="DeviceOffsetSeconds">By how much the device's clock is ahead of the time that is believed.</param>
/// <param name="BootId">What the kernel calls this boot; null if it was not asked.</param>
/// <param name="SinceBootSeconds">Seconds since the device was switched on.</param>
/// <param name="Jumps">Times that the device's clock jumped.</param>
/// <param name="LastJumpSeconds">By how much, the last time.</param>
/// <param name="Waiting">Records, at most, that were stored without a time and that the cloud has not acknowledged.</param>
/// <param name="Corrected">Records acknowledged whose time was counted from their boot.</param>
/// <param name="Estimated">Records acknowledged whose time was estimated from the boots around theirs.</param>
/// <param name="Untrusted">Records acknowledged with what the clock said while it was not trusted.</param>
/// <param name="SaveError">Why what is known of the time can't be saved, null if it can.</param>
internal sealed record ClockStatus(
    bool Trusted, string By, DateTimeOffset? Since, DateTimeOffset? Time, double ErrorSeconds, bool? Synchronized, double DeviceOffsetSeconds,
    Guid? BootId, double SinceBootSeconds, long Jumps, double LastJumpSeconds, long Waiting, long Corrected, long Estimated, long Untrusted,
    string? SaveError);

/// <summary>What the cloud has not acknowledged yet: whatever is durable here and would be lost with this disk.</summary>
/// <param name="Records">
/// Records that are flushed and not acknowledged, with <c>acks=all</c>, by the cloud; those on their way to it among them. Records that are
/// only kept for a time (<c>buffer:keep</c>), or were given up or refused for good, are not.
/// </param>
/// <param name="Bytes">
/// Bytes on disk of the batches that hold them, headers and keys included, before compression: neither bytes of payload nor of the link.
/// About, as <see cref="Tributary.Log.PartitionLog.BytesBetween"/> says.
/// </param>
/// <param name="AgeSeconds">
/// Seconds since the batch with the oldest of them was stored; if that is not known, since the device was switched on; 0 if there is none. Over several partitions that of
/// the oldest.
/// </param>
internal sealed record BacklogStatus(long Records, long Bytes, double AgeSeconds);

/// <summary>A local partition. Offsets are local ones.</summary>
/// <param name="Topic">Kafka topic.</param>
/// <param name="Partition">Number of the local partition.</param>
/// <param name="StartOffset">The first offset that is held.</param>
/// <param name="AckedOffset">The cloud has everything below durably.</param>
/// <param name="FlushedOffset">Everything below is durable here.</param>
/// <param name="AppendedOffset">The offset that the next record gets.</param>
/// <param name="Backlog">What lies between acknowledged and flushed offset.</param>
/// <param name="SizeBytes">Bytes on disk, everything counted.</param>
/// <param name="DroppedRecords">Records given up to make room before the cloud had them, since the start.</param>
/// <param name="Offline">Why it takes no messages, null if it does.</param>
/// <param name="Uplink">Its way to the cloud.</param>
internal sealed record PartitionStatus(
    string Topic, int Partition, long StartOffset, long AckedOffset, long FlushedOffset, long AppendedOffset, BacklogStatus Backlog,
    long SizeBytes, long DroppedRecords, string? Offline, UplinkStatus Uplink);

/// <summary>The way of a local partition to the cloud.</summary>
/// <param name="Priority">Priority of the topic, 0 to 9.</param>
/// <param name="State">As in <see cref="UplinkPartitionStatus"/>.</param>
/// <param name="Reason">A sentence when it is stopped, backs off or waits for the clock.</param>
/// <param name="ProducerId">Kafka producer id, −1 if it has none yet.</param>
/// <param name="ProducerEpoch">Its epoch.</param>
/// <param name="Refused">Records that the cloud refused for good, since the partition was made.</param>
/// <param name="GapRecords">Records lost between here and the cloud as far as is known, since the partition was made.</param>
/// <param name="Conflicts">Times that an old or a second copy of the data directory was found to have sent, since the partition was made.</param>
/// <param name="MayRepeat">Times that records may have come twice, since the start.</param>
/// <param name="Promise">
/// What is promised of a record that was acknowledged to its sender, by what the cluster can tell: <c>exactlyOnce</c> (Tributary),
/// <c>exactlyOnceWhileRemembered</c> (Kafka: while it remembers the producer), <c>atLeastOnce</c> (a cluster without DescribeProducers); null
/// before it has answered.
/// </param>
internal sealed record UplinkStatus(
    int Priority, string State, string? Reason, long ProducerId, short ProducerEpoch, long Refused, long GapRecords, long Conflicts, long MayRepeat,
    string? Promise);

/// <summary>Space on the disk, bytes.</summary>
/// <param name="UsedBytes">What the buffer takes.</param>
/// <param name="MaxBytes">What it may take.</param>
/// <param name="FreeBytes">What is free on the file system, −1 if it could not be asked.</param>
/// <param name="MinFreeBytes">What must stay free.</param>
/// <param name="Full">Why messages are refused for want of space, null if they are not.</param>
internal sealed record DiskStatus(long UsedBytes, long MaxBytes, long FreeBytes, long MinFreeBytes, string? Full);

/// <summary>What was taken in.</summary>
/// <param name="Messages">Messages taken, flushed or not.</param>
/// <param name="PayloadBytes">Bytes of their payloads.</param>
/// <param name="Batches">Batches that they were stored in.</param>
/// <param name="Lost">Messages taken and lost to a failed write; none of them was acknowledged.</param>
/// <param name="GatheredBytes">Bytes that wait to be stored now.</param>
/// <param name="Refused">Messages that were not taken, by reason.</param>
internal sealed record IngestStatus(long Messages, long PayloadBytes, long Batches, long Lost, long GatheredBytes, RefusedStatus Refused);

/// <summary>Messages that were not taken.</summary>
/// <param name="TooLarge">Larger than a record may be.</param>
/// <param name="Full">The disk or the quota was full.</param>
/// <param name="Offline">The partition took no appends.</param>
internal sealed record RefusedStatus(long TooLarge, long Full, long Offline);

/// <summary>What became of messages, by route.</summary>
/// <param name="File">The routes file, null without one.</param>
/// <param name="Messages">Counts by route, in the order of the routes, <c>unrouted</c> last.</param>
internal sealed record RoutesStatus(RoutesFileStatus? File, IReadOnlyList<RouteCounts> Messages);

/// <summary>Clients and packets.</summary>
/// <param name="Connections">Open connections.</param>
/// <param name="ConnectionsAccepted">Clients that were let in.</param>
/// <param name="ConnectionsClosed">Connections that ended, by reason; reasons without any are left out.</param>
/// <param name="Subscriptions">Subscriptions of all clients.</param>
/// <param name="MessagesIn">PUBLISH packets from clients.</param>
/// <param name="BytesIn">Bytes of packets from clients.</param>
/// <param name="MessagesAcknowledged">PUBACK packets that told of a stored message.</param>
/// <param name="MessagesRefused">QoS 1 messages that were not taken.</param>
/// <param name="MessagesDropped">Messages that were dropped where nobody could be told, by reason; reasons without any are left out.</param>
/// <param name="MessagesOut">PUBLISH packets to subscribers.</param>
/// <param name="BytesOut">Bytes of packets to clients.</param>
/// <param name="Sessions">What there is of durable sessions and retained messages.</param>
internal sealed record MqttStatus(
    long Connections, long ConnectionsAccepted, IReadOnlyDictionary<string, long> ConnectionsClosed, long Subscriptions, long MessagesIn,
    long BytesIn, long MessagesAcknowledged, long MessagesRefused, IReadOnlyDictionary<string, long> MessagesDropped, long MessagesOut,
    long BytesOut, SessionCounts Sessions);

/// <summary>What befell the local logs.</summary>
/// <param name="Counts">Events by kind, as in <see cref="Tributary.Log.LogEventKind"/>; kinds without any are left out.</param>
/// <param name="Latest">The last ones, oldest first.</param>
internal sealed record EventsStatus(IReadOnlyDictionary<string, long> Counts, IReadOnlyList<EventStatus> Latest);

/// <summary>Something that befell a local log.</summary>
/// <param name="At">When it was noticed.</param>
/// <param name="Kind">Kind, as in the counts.</param>
/// <param name="Partition">Name of the log.</param>
/// <param name="FromOffset">First local offset concerned, −1 if none.</param>
/// <param name="ToOffset">The offset after the last one concerned, −1 if none.</param>
/// <param name="Message">What happened and what to do.</param>
internal sealed record EventStatus(DateTimeOffset At, string Kind, string Partition, long FromOffset, long ToOffset, string Message);

/// <summary>Writes the pages without reflection.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true)]
[JsonSerializable(typeof(EdgeStatus))]
[JsonSerializable(typeof(DeadLetterPage))]
internal sealed partial class EdgeStatusJson : JsonSerializerContext;
