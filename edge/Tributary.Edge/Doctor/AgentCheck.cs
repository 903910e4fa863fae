using Tributary.Edge.Source;
using Tributary.Edge.Status;

namespace Tributary.Edge.Doctor;

/// <summary>What a running agent says of itself. Pure.</summary>
internal static class AgentCheck
{
    private const string Check = "agent";

    /// <summary>Looks.</summary>
    /// <param name="findings">Where it is said.</param>
    /// <param name="status">What the agent says.</param>
    /// <param name="id">Name of the agent by the settings; null if they have none.</param>
    public static void Run(Findings findings, EdgeStatus status, string? id)
    {
        findings.Ok(Check, $"'{status.Id}' runs, {status.Version}, up for {Words.Duration(status.UptimeSeconds)}");
        if (id is not null && id != status.Id)
        {
            findings.Warn(Check, $"the agent that runs is '{status.Id}', and the settings are of '{id}'", "give the settings that it runs with");
        }
        if (status.Version != StatusReader.Version)
        {
            findings.Warn(Check, $"it is of version {status.Version}, and this program of {StatusReader.Version}", "restart the agent");
        }
        foreach (string reason in status.NotReady)
        {
            findings.Fail("agent: messages", $"messages are not taken: {reason}");
        }
        LookAtLink(findings, status);
        foreach (PartitionStatus partition in status.Partitions)
        {
            LookAt(findings, partition);
        }
        LookAtSource(findings, status.Source);
        if (status.Routes.File?.LastError is { } routes)
        {
            findings.Fail("agent: routes", routes, "mend the file: 'tributary-edge route check --routes FILE' tells whether it is right");
        }
    }

    private static void LookAtLink(Findings findings, EdgeStatus status)
    {
        BacklogStatus backlog = status.Backlog;
        string waits = backlog.Records == 0
            ? "nothing waits for the cloud"
            : $"{Words.Count(backlog.Records, "record")} waiting for the cloud, {Words.Bytes(backlog.Bytes)}, the oldest for {Words.Duration(backlog.AgeSeconds)}";
        if (status.Link.Connected)
        {
            findings.Ok("agent: link", $"connected to {status.Link.Cloud}; {waits}");
        }
        else
        {
            findings.Warn("agent: link", $"not connected to {status.Link.Cloud}: {status.Link.LastError ?? "no answer yet"}; {waits}", "see what 'uplink' says below");
        }
    }

    private static void LookAt(Findings findings, PartitionStatus partition)
    {
        string check = $"agent: {partition.Topic}-{partition.Partition}";
        if (partition.Uplink is { State: "stopped", Reason: var reason })
        {
            findings.Fail(check, $"its records are not sent: {reason}");
        }
        if (partition.Uplink.Refused > 0)
        {
            findings.Warn(check, $"the cloud refused {Words.Count(partition.Uplink.Refused)} of its records for good", "see /dead-letters");
        }
        if (partition.Uplink.GapRecords > 0)
        {
            findings.Warn(check, $"{Words.Count(partition.Uplink.GapRecords)} of its records did not get to the cloud and never will", "see the events that it sent, and its log");
        }
    }

    private static void LookAtSource(Findings findings, SourceStatus? source)
    {
        if (source is null)
        {
            return;
        }
        if (source.Connected)
        {
            findings.Ok("agent: source", $"subscribed at {source.Broker}");
        }
        else
        {
            findings.Fail("agent: source", $"not subscribed at {source.Broker}: {source.LastError ?? "no answer yet"}");
        }
        if (source.Refused.Count > 0)
        {
            findings.Fail("agent: source", $"{source.Broker} does not take the filters {string.Join(", ", source.Refused)}", "allow them there, or take them out of source:filters");
        }
    }
}
