using System.Diagnostics.Metrics;
using Tributary.Edge.Ingest;

namespace Tributary.Edge.Status;

/// <summary>
/// The agent's numbers as instruments of the meter <c>Tributary.Edge</c>: all of them observed, from the last status that
/// <see cref="Refresh"/> took, so that one scrape shows one moment. Labels are topics, local partitions and reasons, never devices.
/// Callable from any thread.
/// </summary>
internal sealed class EdgeMetrics : IDisposable
{
    /// <summary>Name of the meter.</summary>
    public const string MeterName = "Tributary.Edge";

    private readonly Meter _meter = new(MeterName, StatusReader.Version);
    private readonly StatusReader _reader;
    private volatile EdgeStatus _status;

    public EdgeMetrics(StatusReader reader)
    {
        _reader = reader;
        _status = reader.Read();
        AddBacklog();
        AddIngest();
        AddRoutes();
        AddSessions();
        AddUplink();
        AddSource();
        AddWear();
        AddClock();
        AddAgent();
    }

    /// <summary>The meter.</summary>
    public Meter Meter => _meter;

    /// <summary>Takes a new status.</summary>
    public void Refresh() => _status = _reader.Read();

    /// <inheritdoc/>
    public void Dispose() => _meter.Dispose();

    private static KeyValuePair<string, object?>[] Tags(PartitionStatus partition) =>
        [new("topic", partition.Topic), new("partition", partition.Partition)];

    private static KeyValuePair<string, object?> Reason(string reason) => new("reason", reason);

    private void AddBacklog()
    {
        GaugeByPartition("tributary.edge.backlog.records", p => p.Backlog.Records, "{record}",
            "Records that are flushed here and that the cloud has not acknowledged; those on their way to it among them.");
        GaugeByPartition("tributary.edge.backlog.bytes", p => p.Backlog.Bytes, "By",
            "Bytes on disk of the batches that hold these records, about, before compression; not bytes of payload, nor of the link.");
        _meter.CreateObservableGauge(
            "tributary.edge.backlog.age", () => _status.Partitions.Select(p => new Measurement<double>(p.Backlog.AgeSeconds, Tags(p))), "s",
            "Time since the batch with the oldest of these records was stored; 0 if there is none.");
        GaugeByPartition("tributary.edge.log.size", p => p.SizeBytes, "By", "Bytes of a partition on disk, everything counted.");
        CountByPartition("tributary.edge.log.flushed", p => p.FlushedOffset, "{record}", "Offset after the last durable record.");
        CountByPartition("tributary.edge.log.dropped", p => p.DroppedRecords, "{record}", "Records given up to make room before the cloud had them.");
        GaugeByPartition("tributary.edge.log.offline", p => p.Offline is null ? 0 : 1, "", "1 while a partition takes no messages.");
        _meter.CreateObservableCounter(
            "tributary.edge.log.events",
            () => _status.Events.Counts.Select(count => new Measurement<long>(count.Value, new KeyValuePair<string, object?>("kind", count.Key))),
            "{event}", "Faults and repairs of the local logs, by kind.");
        Gauge("tributary.edge.disk.used", () => _status.Disk.UsedBytes, "By", "Bytes that the buffer takes.");
        Gauge("tributary.edge.disk.limit", () => _status.Disk.MaxBytes, "By", "Bytes that the buffer may take.");
        Gauge("tributary.edge.disk.free", () => _status.Disk.FreeBytes, "By", "Bytes free on the file system; -1 if it could not be asked.");
        Gauge("tributary.edge.disk.full", () => _status.Disk.Full is null ? 0 : 1, "", "1 while messages are refused for want of space.");
    }

    private void AddIngest()
    {
        Count("tributary.edge.ingest.messages", () => _status.Ingest.Messages, "{message}", "Messages taken.");
        Count("tributary.edge.ingest.bytes", () => _status.Ingest.PayloadBytes, "By", "Bytes of their payloads.");
        Count("tributary.edge.ingest.batches", () => _status.Ingest.Batches, "{batch}", "Batches that they were stored in.");
        Count("tributary.edge.ingest.lost", () => _status.Ingest.Lost, "{message}", "Messages lost to a failed write, none of them acknowledged.");
        Gauge("tributary.edge.ingest.gathered", () => _status.Ingest.GatheredBytes, "By", "Bytes that wait to be stored.");
        _meter.CreateObservableCounter(
            "tributary.edge.ingest.refused",
            () =>
            {
                RefusedStatus refused = _status.Ingest.Refused;
                return new Measurement<long>[]
                {
                    new(refused.TooLarge, Reason("tooLarge")), new(refused.Full, Reason("full")), new(refused.Offline, Reason("offline")),
                };
            },
            "{message}", "Messages that were not taken, by reason.");
    }

    private void AddRoutes()
    {
        _meter.CreateObservableCounter(
            "tributary.edge.route.messages",
            () => _status.Routes.Messages.SelectMany(route => new Measurement<long>[]
            {
                Outcome(route, "stored", route.Stored), Outcome(route, "dropped", route.Dropped), Outcome(route, "sampled", route.Sampled),
                Outcome(route, "deadband", route.Deadband), Outcome(route, "unrouted", route.Unrouted),
            }),
            "{message}", "Messages by route and what became of them; unrouted: their Kafka topic would have been one too many.");
        CountByRoute("timestamp_fallbacks", route => route.TimestampFallbacks, "{message}", "Messages whose payload had no time that could be.");
        CountByRoute("key_fallbacks", route => route.KeyFallbacks, "{message}", "Messages whose payload had no key.");
        CountByRoute("properties_left_out", route => route.PropertiesLeftOut, "{property}", "User properties that did not become headers.");
        if (_status.Routes.File is null)
        {
            return;
        }
        _meter.CreateObservableCounter(
            "tributary.edge.routes.reloads",
            () => new Measurement<long>[]
            {
                new(_status.Routes.File!.Reloads, new KeyValuePair<string, object?>("result", "taken")),
                new(_status.Routes.File!.Refused, new KeyValuePair<string, object?>("result", "refused")),
            },
            "{change}", "Changes of the routes file, by result.");

        static Measurement<long> Outcome(RouteCounts route, string outcome, long count) =>
            new(count, new KeyValuePair<string, object?>("route", route.Name), new KeyValuePair<string, object?>("outcome", outcome));
    }

    private void CountByRoute(string name, Func<RouteCounts, long> read, string unit, string description) => _meter.CreateObservableCounter(
        $"tributary.edge.route.{name}",
        () => _status.Routes.Messages.Select(route => new Measurement<long>(read(route), new KeyValuePair<string, object?>("route", route.Name))),
        unit, description);

    private void AddSessions()
    {
        Gauge("tributary.edge.mqtt.sessions", () => _status.Mqtt.Sessions.Sessions, "{session}", "Durable sessions.");
        Gauge("tributary.edge.mqtt.queued", () => _status.Mqtt.Sessions.QueuedMessages, "{message}", "Messages that wait for durable sessions.");
        Gauge("tributary.edge.mqtt.queued_bytes", () => _status.Mqtt.Sessions.QueuedBytes, "By", "Bytes of these.");
        Gauge("tributary.edge.mqtt.retained", () => _status.Mqtt.Sessions.Retained, "{message}", "Retained messages.");
        Gauge("tributary.edge.mqtt.retained_memory", () => _status.Mqtt.Sessions.RetainedBytes, "By", "Memory that they take, about.");
        Gauge("tributary.edge.mqtt.journal", () => _status.Mqtt.Sessions.JournalBytes, "By", "Bytes of the sessions' journal.");
    }

    private void AddUplink()
    {
        Gauge("tributary.edge.link.connected", () => _status.Link.Connected ? 1 : 0, "", "1 while the cloud answers.");
        Count("tributary.edge.link.requests", () => _status.Link.Requests, "{request}", "Produce requests answered.");
        Count("tributary.edge.link.acknowledged", () => _status.Link.Acknowledged, "{record}", "Records that the cloud acknowledged.");
        Count("tributary.edge.link.bytes", () => _status.Link.BytesSent, "By", "Bytes of produce requests sent.");
        Count("tributary.edge.link.retries", () => _status.Link.Retries, "{retry}", "Times that a position was looked up again after doubt.");
        _meter.CreateObservableGauge(
            "tributary.edge.link.cap", () => _status.Link.CapBytesPerSecond is { } cap ? new Measurement<long>[] { new(cap) } : [], "By/s",
            "Cap on produce requests that holds now; none if there is none.");
        Gauge("tributary.edge.link.in_flight", () => _status.Link.InFlightBytes, "By", "Bytes of requests that wait for their answer.");
        Gauge("tributary.edge.link.window", () => _status.Link.WindowBytes, "By", "Bytes that may wait so, by what the link carries.");
        Gauge("tributary.edge.link.rate", () => _status.Link.RateBytesPerSecond, "By/s", "What the link was last seen to carry.");
        _meter.CreateObservableGauge(
            "tributary.edge.link.last_ack", LastAck, "s", "Unix time of the last acknowledgement; none if there was none since the start.");
        GaugeByPartition("tributary.edge.uplink.priority", p => p.Uplink.Priority, "", "Priority of the partition's topic.");
        CountByPartition("tributary.edge.uplink.acked", p => p.AckedOffset, "{record}", "Offset below which the cloud has everything.");
        CountByPartition("tributary.edge.uplink.refused", p => p.Uplink.Refused, "{record}", "Records that the cloud refused for good.");
        CountByPartition("tributary.edge.uplink.gap", p => p.Uplink.GapRecords, "{record}", "Records lost between here and the cloud, as far as is known.");
        CountByPartition(
            "tributary.edge.uplink.conflicts", p => p.Uplink.Conflicts, "{conflict}",
            "Times that an old or a second copy of the data directory was found to have sent.");
        CountByPartition("tributary.edge.uplink.may_repeat", p => p.Uplink.MayRepeat, "{time}", "Times that records may have come twice.");
        _meter.CreateObservableGauge(
            "tributary.edge.uplink.state",
            () => _status.Partitions.Select(p => new Measurement<long>(1, [.. Tags(p), new("state", p.Uplink.State)])), "",
            "1 for the state that the uplink of a partition is in.");
    }

    /// <summary>Nothing of it shows where the agent is the broker itself.</summary>
    private void AddSource()
    {
        if (_status.Source is null)
        {
            return;
        }
        Gauge("tributary.edge.source.connected", () => _status.Source!.Connected ? 1 : 0, "", "1 while the agent is subscribed at the broker.");
        Count("tributary.edge.source.messages", () => _status.Source!.Received, "{message}", "Messages that came from the broker.");
        Count("tributary.edge.source.acknowledged", () => _status.Source!.Acknowledged, "{message}", "Messages acknowledged to it, each after its flush.");
        Gauge("tributary.edge.source.in_flight", () => _status.Source!.InFlight, "{message}", "Messages that are not acknowledged yet.");
        Count("tributary.edge.source.connections", () => _status.Source!.Connections, "{connection}", "Connections that were made.");
        Count("tributary.edge.source.sessions_lost", () => _status.Source!.SessionsLost, "{session}", "Times that the broker had forgotten the session.");
        _meter.CreateObservableCounter(
            "tributary.edge.source.dropped",
            () => _status.Source!.Dropped.Select(dropped => new Measurement<long>(dropped.Value, Reason(dropped.Key))), "{message}",
            "Messages that were given up, by reason.");
    }

    /// <summary>What is not known is left out: a device without counters has no series.</summary>
    private void AddWear()
    {
        _meter.CreateObservableCounter(
            "tributary.edge.device.written", () => Known(_status.Wear.DeviceBytes, new KeyValuePair<string, object?>("device", _status.Wear.Device)), "By",
            "Bytes that the data directory's device was told to write since the start, by the file system itself and by other programs too.");
        _meter.CreateObservableCounter(
            "tributary.edge.agent.written", () => Known(_status.Wear.AgentBytes), "By", "Bytes that the agent gave the kernel to write since the start.");
        _meter.CreateObservableGauge(
            "tributary.edge.device.write_amplification",
            () => _status.Wear.Amplification is { } ratio ? new Measurement<double>[] { new(ratio) } : [], "",
            "Bytes that the device was told to write for each byte of payload taken, since the start.");

        static Measurement<long>[] Known(long? value, params KeyValuePair<string, object?>[] tags) =>
            value is { } known ? [new Measurement<long>(known, tags)] : [];
    }

    private void AddClock()
    {
        Gauge("tributary.edge.clock.trusted", () => _status.Clock.Trusted ? 1 : 0, "", "1 while the time is known.");
        Gauge("tributary.edge.clock.synchronized", () => _status.Clock.Synchronized == true ? 1 : 0, "", "1 while the kernel holds the clock for synchronised.");
        _meter.CreateObservableGauge("tributary.edge.clock.error", () => _status.Clock.ErrorSeconds, "s", "How wrong the time that is believed may be.");
        _meter.CreateObservableGauge(
            "tributary.edge.clock.offset", () => _status.Clock.DeviceOffsetSeconds, "s", "By how much the device's clock is ahead of it.");
        Count("tributary.edge.clock.jumps", () => _status.Clock.Jumps, "{jump}", "Times that the device's clock jumped.");
        Gauge("tributary.edge.clock.waiting", () => _status.Clock.Waiting, "{record}", "Records, at most, that were stored without a time and wait.");
        _meter.CreateObservableCounter(
            "tributary.edge.clock.dated",
            () => new Measurement<long>[]
            {
                Dated("corrected", _status.Clock.Corrected), Dated("estimated", _status.Clock.Estimated), Dated("untrusted", _status.Clock.Untrusted),
            },
            "{record}", "Records acknowledged that were stored without a time, by how it was told.");
    }

    private static Measurement<long> Dated(string how, long records) => new(records, new KeyValuePair<string, object?>("time", how));

    private void AddAgent()
    {
        Gauge("tributary.edge.ready", () => _status.Ready ? 1 : 0, "", "1 while messages are taken and stored.");
        _meter.CreateObservableGauge("tributary.edge.uptime", () => _status.UptimeSeconds, "s", "Time since the start.");
        Gauge("process.memory.usage", () => Environment.WorkingSet, "By", "Resident memory of the process.");
    }

    private Measurement<double>[] LastAck() =>
        _status.Link.LastAck is { } at ? [new(Math.Round(at.ToUnixTimeMilliseconds() / 1000.0, 3))] : [];

    private void Gauge(string name, Func<long> read, string unit, string description) =>
        _meter.CreateObservableGauge(name, read, unit, description);

    private void Count(string name, Func<long> read, string unit, string description) =>
        _meter.CreateObservableCounter(name, read, unit, description);

    private void GaugeByPartition(string name, Func<PartitionStatus, long> read, string unit, string description) =>
        _meter.CreateObservableGauge(
            name, () => _status.Partitions.Select(p => new Measurement<long>(read(p), Tags(p))), unit, description);

    private void CountByPartition(string name, Func<PartitionStatus, long> read, string unit, string description) =>
        _meter.CreateObservableCounter(
            name, () => _status.Partitions.Select(p => new Measurement<long>(read(p), Tags(p))), unit, description);
}
