using System.Collections.Concurrent;
using System.Reflection;
using Tributary.Edge.Buffer;
using Tributary.Edge.Clock;
using Tributary.Edge.Ingest;
using Tributary.Edge.Mqtt;
using Tributary.Edge.Mqtt.Sessions;
using Tributary.Edge.Routes;
using Tributary.Edge.Source;
using Tributary.Edge.Uplink;
using Tributary.Log;

namespace Tributary.Edge.Status;

/// <summary>
/// Gathers what the parts of the agent tell of themselves. Nothing is stopped for it: numbers of different parts may be a moment apart,
/// but within a partition start ≤ acknowledged ≤ flushed ≤ appended. Callable from any thread.
/// </summary>
/// <param name="id">Name of the agent.</param>
/// <param name="cloud">HOST:PORT of the cloud.</param>
/// <param name="options">Settings of the buffer.</param>
/// <param name="buffer">The local partitions.</param>
/// <param name="ingest">What was taken in.</param>
/// <param name="mqtt">Clients and packets.</param>
/// <param name="sessions">Tells of sessions and retained messages.</param>
/// <param name="uplink">The way to the cloud.</param>
/// <param name="time">All time.</param>
/// <param name="source">The broker that messages are taken from; null without one.</param>
/// <param name="routes">The routes file; null without one.</param>
/// <param name="wear">What was written to the device; null if nobody counts.</param>
/// <param name="problems">The last warnings and errors; null if nobody keeps them.</param>
internal sealed class StatusReader(
    string id, string cloud, EdgeBufferOptions options, EdgeBuffer buffer, Ingestor ingest, MqttMetrics mqtt,
    Func<SessionCounts> sessions, IUplinkStatus uplink, TimeProvider time, BrokerSource? source = null, RoutesWatch? routes = null,
    DeviceWrites? wear = null, RecentProblems? problems = null) : IDisposable
{
    private readonly EdgeClock _clock = EdgeClock.Of(time);
    private readonly long _started = time.GetTimestamp();
    private readonly ConcurrentDictionary<PartitionLog, OldestRecord> _oldest = new();
    private readonly RateSampler _rates = new(() => CountsOf(ingest, uplink), time);

    /// <summary>Name of the agent.</summary>
    public string Id => id;

    /// <summary>Version of the program.</summary>
    public static string Version { get; } = ProgramVersion();

    /// <summary>A sentence for each reason why messages are not taken; none if they are. The cloud is not one.</summary>
    public IReadOnlyList<string> NotReady()
    {
        var reasons = new List<string>();
        if (buffer.Space.Reason is { } full)
        {
            reasons.Add(full);
        }
        reasons.AddRange(buffer.Space.FullTopics);
        foreach (BufferPartition partition in buffer.Partitions)
        {
            if (partition.Log.OfflineReason is { } offline)
            {
                reasons.Add($"{partition.Topic}-{partition.Index}: {offline}");
            }
        }
        if (sessions().Unavailable is { } unavailable)
        {
            reasons.Add($"MQTT sessions: {unavailable}");
        }
        reasons.AddRange(buffer.Unopened.Select(unopened => $"{unopened.Topic}-{unopened.Index} can't be opened: {unopened.Reason}"));
        return reasons;
    }

    /// <summary>Everything, as of now.</summary>
    public EdgeStatus Read()
    {
        UplinkPartitionStatus[] uplinks = [.. uplink.Partitions];
        PartitionStatus[] partitions = [.. buffer.Partitions.Select(partition => Describe(partition, uplinks))];
        var backlog = new BacklogStatus(
            partitions.Sum(partition => partition.Backlog.Records),
            partitions.Sum(partition => partition.Backlog.Bytes),
            partitions.Length == 0 ? 0 : partitions.Max(partition => partition.Backlog.AgeSeconds));
        IReadOnlyList<string> notReady = NotReady();
        IngestStatus taken = DescribeIngest();
        return new EdgeStatus(
            id, Version, time.GetUtcNow() - time.GetElapsedTime(_started), Math.Round(time.GetElapsedTime(_started).TotalSeconds, 3), notReady.Count == 0, notReady,
            DescribeLink(uplinks), _rates.Rates, backlog, partitions,
            new DiskStatus(buffer.Space.UsedBytes, options.MaxDiskBytes, buffer.Space.FreeBytes, options.MinFreeBytes, buffer.Space.Reason),
            wear?.Since(taken.PayloadBytes) ?? new WearStatus(null, null, null, taken.PayloadBytes, null, "nobody counts"),
            taken, DescribeMqtt(), DescribeEvents(), source?.Status, new RoutesStatus(routes?.Status, ingest.RouteCounts), problems?.Latest ?? [],
            DescribeClock(partitions));
    }

    /// <inheritdoc/>
    public void Dispose() => _rates.Dispose();

    private static RateCounts CountsOf(Ingestor ingest, IUplinkStatus uplink)
    {
        IReadOnlyList<IngestPartitionCounts> counts = ingest.Counts;
        UplinkLinkStatus link = uplink.Link;
        return new RateCounts(
            counts.Sum(count => count.Messages), counts.Sum(count => count.PayloadBytes), link.Acknowledged, link.BytesSent);
    }

    private static string ProgramVersion()
    {
        string version = typeof(StatusReader).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "";
        int build = version.IndexOf('+', StringComparison.Ordinal);
        return build < 0 ? version : version[..build];
    }

    private static Dictionary<string, long> Counts<T>(Func<T, long> count)
        where T : struct, Enum => Enum.GetValues<T>().Where(reason => count(reason) > 0)
            .ToDictionary(reason => Lower(reason.ToString()), count);

    private static string Lower(string word) => char.ToLowerInvariant(word[0]) + word[1..];

    private static string? WordOf(DeliveryPromise promise) => promise == DeliveryPromise.Unknown ? null : Lower(promise.ToString());

    private PartitionStatus Describe(BufferPartition partition, UplinkPartitionStatus[] uplinks)
    {
        PartitionLog log = partition.Log;
        // In this order, as all of them only grow.
        long start = log.StartOffset;
        UplinkPartitionStatus? way = uplinks.FirstOrDefault(u => u.Topic == partition.Topic && u.Index == partition.Index);
        long acked = Math.Max(start, way?.AckedOffset ?? start);
        long flushed = Math.Max(acked, log.FlushedEnd);
        long appended = Math.Max(flushed, log.AppendedEnd);
        return new PartitionStatus(
            partition.Topic, partition.Index, start, acked, flushed, appended, DescribeBacklog(log, acked, flushed), log.SizeBytes,
            partition.Hold.Dropped,
            log.OfflineReason,
            way is null
                ? new UplinkStatus(options.PriorityOf(partition.Topic), "starting", null, -1, -1, 0, 0, 0, 0, null)
                : new UplinkStatus(
                    way.Priority, way.State, way.Reason, way.ProducerId, way.ProducerEpoch, way.Refused, way.GapRecords, way.Conflicts, way.MayRepeat,
                    WordOf(way.Promise)));
    }

    private BacklogStatus DescribeBacklog(PartitionLog log, long acked, long flushed)
    {
        if (flushed <= acked)
        {
            return new BacklogStatus(0, 0, 0);
        }
        long? storedAt = _oldest.GetOrAdd(log, static log => new OldestRecord(log)).StoredAt(acked);
        return new BacklogStatus(flushed - acked, log.BytesBetween(acked, flushed), storedAt is { } at ? Math.Round(AgeOf(at), 3) : 0);
    }

    /// <summary>Seconds; what is of another boot, and nobody knows when that was, is as old as this one at least.</summary>
    private double AgeOf(long stamp) => _clock.AgeOf(stamp)?.TotalSeconds ?? (BootStamp.IsIn(stamp) ? _clock.Report.SinceBootSeconds : 0);

    private ClockStatus DescribeClock(PartitionStatus[] partitions)
    {
        ClockReport clock = _clock.Report;
        DatedCounts dated = uplink.Link.Dated;
        return new ClockStatus(
            clock.Trusted, ClockReport.WordOf(clock.By), clock.Since, clock.Time, clock.ErrorSeconds, clock.Synchronized, clock.DeviceOffsetSeconds,
            clock.BootId, clock.SinceBootSeconds, clock.Jumps, clock.LastJumpSeconds, partitions.Sum(Undated), dated.Corrected, dated.Estimated,
            dated.Untrusted, clock.SaveError);
    }

    private long Undated(PartitionStatus status)
    {
        OffsetRange? undated = buffer.Partitions.FirstOrDefault(p => p.Topic == status.Topic && p.Index == status.Partition)?.Undated;
        return undated is null ? 0 : Math.Max(0, undated.To - Math.Max(undated.From, status.AckedOffset));
    }

    private LinkStatus DescribeLink(UplinkPartitionStatus[] uplinks)
    {
        UplinkLinkStatus link = uplink.Link;
        DeliveryPromise weakest = uplinks.Select(way => way.Promise).Where(promise => promise != DeliveryPromise.Unknown)
            .DefaultIfEmpty(DeliveryPromise.Unknown).Min();
        return new LinkStatus(
            cloud, link.Connected, link.ClusterId, WordOf(weakest), link.LastError, link.LastAck, link.Requests, link.BytesSent, link.Acknowledged,
            link.Retries, link.Share.CapBytesPerSecond, link.Share.InFlightBytes, link.Share.WindowBytes, link.Share.RateBytesPerSecond);
    }

    private IngestStatus DescribeIngest()
    {
        IReadOnlyList<IngestPartitionCounts> counts = ingest.Counts;
        return new IngestStatus(
            counts.Sum(count => count.Messages), counts.Sum(count => count.PayloadBytes), counts.Sum(count => count.Batches),
            counts.Sum(count => count.Lost), ingest.GatheredBytes,
            new RefusedStatus(
                ingest.Refused(IngestRefusal.TooLarge), ingest.Refused(IngestRefusal.Full), ingest.Refused(IngestRefusal.Offline)));
    }

    private EventsStatus DescribeEvents() => new(
        Counts<LogEventKind>(buffer.Events.Count),
        [
            .. buffer.Events.Latest.Select(e => new EventStatus(
                e.At, Lower(e.What.Kind.ToString()), e.What.Partition, e.What.FromOffset, e.What.ToOffset, e.What.Message)),
        ]);

    private MqttStatus DescribeMqtt() => new(
        mqtt.Connections, mqtt.ConnectionsAccepted, Counts<MqttCloseReason>(mqtt.Closed), mqtt.Subscriptions, mqtt.MessagesIn, mqtt.BytesIn,
        mqtt.Acknowledged, mqtt.Refused, Counts<MqttDropReason>(mqtt.Dropped), mqtt.MessagesOut, mqtt.BytesOut, sessions());
}
