using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using Confluent.Kafka;
using Confluent.Kafka.Admin;
using Tributary.Benchmarks.Harness;
using Tributary.Benchmarks.Load;
using Tributary.Benchmarks.Peers;

namespace Tributary.Benchmarks.Commands;

/// <summary>
/// Consumer groups: how many commits a second are stored, and how long a rebalance takes. Commits are measured against a bare loop that
/// stores one row after the other in SQLite, which is what a commit without company costs at least.
/// </summary>
internal static class GroupsBenchmark
{
    private const string Topic = "bench";
    private const int Partitions = 16;
    private const int RowBytes = 95;

    /// <summary>How long an empty group waits for more members: long enough for all to come.</summary>
    private const int InitialDelayMs = 1000;

    public static Command Create()
    {
        Option<string?> directory = Options.Directory();
        Option<double> seconds = Options.Seconds(3);
        Option<int> members = Options.Value("--members", "Members of all groups", 1_000);
        Option<int> groups = Options.Value("--groups", "Groups that they are in", 100);
        Option<int[]> clients = Options.Numbers("--clients", "Clients that commit at once, each in a group of its own", 1, 16, 128);
        Option<int[]> windows = Options.Numbers("--windows", "Commits that each client has under way", 1, 8);
        var command = new Command("groups", "Commits per second, and the time of a rebalance of many groups")
        {
            directory, seconds, members, groups, clients, windows,
        };
        command.SetAction(parsed => RunAsync(
            parsed.GetValue(directory), parsed.GetSeconds(seconds), parsed.GetValue(members), parsed.GetValue(groups),
            parsed.GetValue(clients)!, parsed.GetValue(windows)!));
        return command;
    }

    private static async Task RunAsync(string? parent, TimeSpan time, int members, int groups, int[] clients, int[] windows)
    {
        using var work = new WorkDirectory(parent);
        Console.WriteLine(Machine.Describe(work.Path));
        Console.WriteLine("commits      of one offset each, answered when stored; peer: one row after the other, each flushed, in SQLite");
        Console.WriteLine();
        (long rows, TimeSpan elapsed, _) = SqliteAppends.Run(work.Fresh("sqlite"), RowBytes, threads: 1, time);
        double peer = rows / elapsed.TotalSeconds;
        (ServerProcess process, IPEndPoint kafka) = await Systems.StartCloudAsync(
            work.Fresh("cloud"), null, "--set", Set("initialRebalanceDelayMs", InitialDelayMs));
        await using (process)
        {
            using (IAdminClient admin = new AdminClientBuilder(new AdminClientConfig { BootstrapServers = kafka.ToString() }).Build())
            {
                await admin.CreateTopicsAsync([new TopicSpecification { Name = Topic, NumPartitions = Partitions, ReplicationFactor = 1 }]);
            }
            if (clients.Length > 0)
            {
                await CommitAsync(kafka, time, clients, windows, peer);
            }
            if (members > 0)
            {
                await RebalanceAsync(kafka, members, groups);
            }
            Console.WriteLine($"the server had {Show.Mebibytes(process.PeakMemory)} MiB at most");
        }
    }

    private static string Set(string name, int value) => string.Create(CultureInfo.InvariantCulture, $"groups:{name}={value}");

    private static async Task CommitAsync(IPEndPoint kafka, TimeSpan time, int[] clients, int[] windows, double peer)
    {
        var table = new Table("clients × under way", "commits/s", "peer", "ratio", "p50 µs", "p99 µs");
        await CommitLoad.RunAsync(kafka, Topic, Partitions, clients[^1], 1, TimeSpan.FromSeconds(1)); // groups are made, code is compiled
        foreach (int count in clients)
        {
            foreach (int window in windows)
            {
                (double rate, Histogram latencies) = await CommitLoad.RunAsync(kafka, Topic, Partitions, count, window, time);
                table.Add(
                    $"{count} × {window}", Show.Rate(rate), Show.Rate(peer), Show.Ratio(rate, peer),
                    Show.Micros(latencies.Percentile(0.5)), Show.Micros(latencies.Percentile(0.99)));
            }
        }
        table.Print();
    }

    private static async Task RebalanceAsync(IPEndPoint kafka, int members, int groups)
    {
        GroupLoadMember[] all = await Task.WhenAll(
            Enumerable.Range(0, members).Select(i => GroupLoadMember.OpenAsync(kafka, $"rebalance-{i % groups}", Topic)));
        var table = new Table($"{members} members in {groups} groups", "ms");
        try
        {
            long begin = Stopwatch.GetTimestamp();
            await Task.WhenAll(all.Select(member => member.JoinAsync()));
            table.Add($"first JoinGroup to all stable, {InitialDelayMs} of it the initial delay", Milliseconds(begin));
            begin = Stopwatch.GetTimestamp();
            await Task.WhenAll(all.Take(groups).Select(member => member.LeaveAsync()).Concat(all.Skip(groups).Select(member => member.RejoinAsync())));
            table.Add("one member of each leaves, until the others are stable again", Milliseconds(begin));
        }
        finally
        {
            Array.ForEach(all, member => member.Dispose());
        }
        table.Print();
    }

    private static string Milliseconds(long begin) =>
        Stopwatch.GetElapsedTime(begin).TotalMilliseconds.ToString("0", CultureInfo.InvariantCulture);
}
