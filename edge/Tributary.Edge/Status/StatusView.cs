using Tributary.Edge.Source;
using static Tributary.Edge.Status.Words;

namespace Tributary.Edge.Status;

/// <summary>How a line of the view is to be taken.</summary>
internal enum Tone
{
    /// <summary>A fact.</summary>
    Plain,

    /// <summary>As it should be.</summary>
    Good,

    /// <summary>Worth a look.</summary>
    Warning,

    /// <summary>Something does not work.</summary>
    Bad,
}

/// <summary>A line of the view.</summary>
/// <param name="Label">What it is about.</param>
/// <param name="Text">What is to be said.</param>
/// <param name="Tone">How it is to be taken.</param>
/// <param name="Part">A part of a whole, 0 to 1, to be drawn as a bar; null for none.</param>
internal readonly record struct ViewRow(string Label, string Text, Tone Tone = Tone.Plain, double? Part = null);

/// <summary>Lines under a heading.</summary>
internal sealed record ViewSection(string Title, IReadOnlyList<ViewRow> Rows);

/// <summary>
/// A status as people read it: the page and the command show the same words. Pure. All texts may hold what devices and servers said: whoever
/// shows them escapes them.
/// </summary>
/// <param name="Agent">Name and version of the agent.</param>
/// <param name="State">Whether it takes messages.</param>
/// <param name="Tone">How that is to be taken.</param>
/// <param name="Reasons">Why it takes none.</param>
/// <param name="Sections">The rest.</param>
internal sealed record StatusView(string Agent, string State, Tone Tone, IReadOnlyList<string> Reasons, IReadOnlyList<ViewSection> Sections)
{
    /// <summary>Disk use from which on the view warns.</summary>
    private const double MuchOfQuota = 0.9;

    /// <summary>Makes the view of a status.</summary>
    /// <param name="status">The status.</param>
    /// <param name="now">The time, for how long ago something was.</param>
    public static StatusView Of(EdgeStatus status, DateTimeOffset now)
    {
        var sections = new List<ViewSection>
        {
            new("Rates", Rates(status)),
            new("Backlog: stored here and not yet acknowledged by the cloud", Backlog(status.Backlog)),
            new("Link to the cloud", Link(status.Link, now)),
            new("Disk", Disk(status)),
            new("Topics", [.. status.Partitions.Select(Partition)]),
            new("MQTT clients", Clients(status.Mqtt)),
            new("Clock", [Time(status.Clock)]),
        };
        if (status.Source is { } source)
        {
            sections.Add(new ViewSection("Broker that messages are taken from", Source(source)));
        }
        sections.Add(new ViewSection("Last errors", Errors(status, now)));
        return new StatusView(
            $"{status.Id} (tributary-edge {status.Version}), up for {Duration(status.UptimeSeconds)}",
            status.Ready ? "takes messages" : "takes no messages", status.Ready ? Tone.Good : Tone.Bad, status.NotReady,
            [.. sections.Where(section => section.Rows.Count > 0)]);
    }

    private static ViewRow[] Rates(EdgeStatus status)
    {
        RateStatus rates = status.Rates;
        RefusedStatus refused = status.Ingest.Refused;
        long notTaken = refused.Full + refused.Offline + refused.TooLarge;
        return
        [
            new("Messages in", $"{Rate(rates.Messages)}/s, {Bytes(rates.PayloadBytes)}/s of payload"),
            new("Acknowledged by the cloud", $"{Rate(rates.Acknowledged)} records/s"),
            new("Sent to the cloud", $"{Bytes(rates.SentBytes)}/s"),
            new("Since the start", $"{Count(status.Ingest.Messages, "message")} taken, {Count(status.Link.Acknowledged, "record")} acknowledged by the cloud"),
            new("Refused since the start", notTaken == 0
                ? "none"
                : $"{Count(refused.Full)} for want of space, {Count(refused.Offline)} as the disk failed, {Count(refused.TooLarge)} too large",
                notTaken == 0 ? Tone.Plain : Tone.Warning),
        ];
    }

    private static ViewRow[] Backlog(BacklogStatus backlog) =>
    [
        new("Records", Count(backlog.Records)),
        new("Bytes", Bytes(backlog.Bytes)),
        new("Oldest", backlog.Records == 0 ? "none" : $"stored {Duration(backlog.AgeSeconds)} ago"),
    ];

    private static List<ViewRow> Link(LinkStatus link, DateTimeOffset now)
    {
        var rows = new List<ViewRow>
        {
            new("Cloud", link.Cloud),
            new("Connection", link.Connected ? "connected" : "not connected; messages are stored meanwhile", link.Connected ? Tone.Good : Tone.Warning),
            new("Last ack", link.LastAck is { } at ? Ago(at, now) : "none since the start"),
        };
        if (Promise(link.Promise) is { } promise)
        {
            rows.Add(promise);
        }
        if (link.LastError is { } error)
        {
            rows.Add(new("Error", error, Tone.Warning));
        }
        if (link.RateBytesPerSecond > 0)
        {
            rows.Add(new("Carried", $"up to {Bytes(link.RateBytesPerSecond)}/s lately"));
        }
        if (link.CapBytesPerSecond is { } cap)
        {
            rows.Add(new("Cap", $"{Bytes(cap)}/s now"));
        }
        return rows;
    }

    /// <summary>Words of <see cref="Uplink.DeliveryPromise"/>.</summary>
    private static ViewRow? Promise(string? promise) => promise switch
    {
        "exactlyOnce" => new("Delivery", "exactly once"),
        "exactlyOnceWhileRemembered" => new("Delivery", "exactly once, while the cluster remembers the producer"),
        "atLeastOnce" => new("Delivery", "at least once: the cluster can't tell what it has", Tone.Warning),
        _ => null,
    };

    private static ViewRow[] Disk(EdgeStatus status)
    {
        DiskStatus disk = status.Disk;
        double part = disk.MaxBytes > 0 ? Math.Clamp((double)disk.UsedBytes / disk.MaxBytes, 0, 1) : 0;
        Tone tone = disk.Full is not null ? Tone.Bad : part >= MuchOfQuota ? Tone.Warning : Tone.Plain;
        WearStatus wear = status.Wear;
        return
        [
            new("Buffer", $"{Bytes(disk.UsedBytes)} of {Bytes(disk.MaxBytes)}", tone, part),
            new("Free", disk.FreeBytes < 0 ? "not known" : $"{Bytes(disk.FreeBytes)}, of which {Bytes(disk.MinFreeBytes)} stay free", tone),
            new("Written since the start", wear.DeviceBytes is { } device
                ? $"{Bytes(device)} by all programs to {wear.Device}{(wear.AgentBytes is { } own ? $", of which the agent {Bytes(own)}" : "")}"
                : $"not known: {wear.Reason}"),
            .. wear.Amplification is { } ratio
                ? new ViewRow[] { new("Write amplification", $"{Rate(ratio)} bytes to {wear.Device} for each byte of payload") }
                : [],
        ];
    }

    private static ViewRow Time(ClockStatus clock) => clock.Trusted
        ? new("Time", $"known ({clock.By}), within {Duration(Math.Ceiling(clock.ErrorSeconds))}")
        : new("Time", $"not known; {Count(clock.Waiting, "record")} wait for it", Tone.Warning);

    private static ViewRow Partition(PartitionStatus partition)
    {
        string backlog = partition.Backlog.Records == 0
            ? "nothing waits"
            : $"{Count(partition.Backlog.Records, "record")} waiting, {Bytes(partition.Backlog.Bytes)}, the oldest for {Duration(partition.Backlog.AgeSeconds)}";
        string text = $"{backlog}; {partition.Uplink.State}";
        Tone tone = partition.Uplink.State switch
        {
            "stopped" => Tone.Bad,
            "backoff" => Tone.Warning,
            _ => Tone.Plain,
        };
        text += Told("not sent", partition.Uplink.Reason) + Told("takes no messages", partition.Offline)
            + Counted("given up to make room", partition.DroppedRecords) + Counted("refused by the cloud", partition.Uplink.Refused)
            + Counted("lost on the way", partition.Uplink.GapRecords);
        return new ViewRow($"{partition.Topic}-{partition.Partition}", text, partition.Offline is null ? tone : Tone.Bad);

        static string Told(string what, string? reason) => reason is null ? "" : $"; {what}: {reason}";
        static string Counted(string what, long count) => count == 0 ? "" : $"; {Count(count)} {what}";
    }

    private static List<ViewRow> Clients(MqttStatus mqtt)
    {
        var rows = new List<ViewRow>
        {
            new("Connected", Count(mqtt.Connections)),
            new("Messages", $"{Count(mqtt.MessagesIn)} in, {Count(mqtt.MessagesOut)} out"),
            new("Sessions", $"{Count(mqtt.Sessions.Sessions)} kept, {Count(mqtt.Sessions.QueuedMessages, "message")} waiting for them"),
        };
        if (mqtt.Sessions.Unavailable is { } unavailable)
        {
            rows.Add(new("Sessions are not served", unavailable, Tone.Bad));
        }
        return rows;
    }

    private static List<ViewRow> Source(SourceStatus source)
    {
        var rows = new List<ViewRow>
        {
            new("Broker", source.Broker),
            new("Connection", source.Connected ? "subscribed" : "not subscribed", source.Connected ? Tone.Good : Tone.Warning),
            new("Messages", $"{Count(source.Received)} came, {Count(source.InFlight)} not acknowledged yet"),
        };
        AddIf(rows, "Waits", source.Waits);
        AddIf(rows, "Filters refused", source.Refused.Count == 0 ? null : string.Join(", ", source.Refused));
        AddIf(rows, "Error", source.LastError);
        return rows;
    }

    /// <summary>The latest first. Those of the logs are among the problems, with their lines.</summary>
    private static List<ViewRow> Errors(EdgeStatus status, DateTimeOffset now)
    {
        var rows = new List<ViewRow>();
        AddIf(rows, "Routes file", status.Routes.File?.LastError);
        rows.AddRange(status.Problems.Reverse().Select(problem => new ViewRow(
            Ago(problem.At, now), problem.Message + (problem.Count > 1 ? $" ({Count(problem.Count)} times)" : ""),
            problem.Level == "warning" ? Tone.Warning : Tone.Bad)));
        if (rows.Count == 0)
        {
            rows.Add(new ViewRow("None", "since the start", Tone.Good));
        }
        return rows;
    }

    private static void AddIf(List<ViewRow> rows, string label, string? text)
    {
        if (text is not null)
        {
            rows.Add(new ViewRow(label, text, Tone.Warning));
        }
    }
}
