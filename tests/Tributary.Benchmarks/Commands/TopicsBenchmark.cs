using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using Confluent.Kafka;
using Confluent.Kafka.Admin;
using Tributary.Benchmarks.Harness;
using Tributary.Benchmarks.Load;

namespace Tributary.Benchmarks.Commands;

/// <summary>
/// What many topics and groups cost: to make topics, to start with all after SIGKILL, to tell all topics, and when nothing happens. There is
/// no peer in the run: the figures are bounds of their own.
/// </summary>
internal static class TopicsBenchmark
{
    private const int Batch = 100;
    private const int Asked = 9;
    private const int MembersOfGroup = 2;
    private const int TopicsOfGroup = 5;

    /// <summary>So that nobody is missed while nothing happens.</summary>
    private const int SessionTimeoutMs = 1_800_000;

    /// <summary>What was used at the start is compiled anew by then, and groups have been loaded.</summary>
    private static readonly TimeSpan Settling = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);

    public static Command Create()
    {
        Option<string?> directory = Options.Directory();
        Option<int> topics = Options.Value("--topics", "Topics", 2_000);
        Option<int> partitions = Options.Value("--partitions", "Partitions of each", 4);
        Option<int> groups = Options.Value("--groups", "Groups, each with two members and offsets of all partitions of five topics", 500);
        Option<double> seconds = Options.Seconds(10);
        var command = new Command("topics", "What many topics cost: creation, restart, metadata, and when nothing happens")
        {
            directory, topics, partitions, groups, seconds,
        };
        command.SetAction(parsed => RunAsync(
            parsed.GetValue(directory), parsed.GetValue(topics), parsed.GetValue(partitions), parsed.GetValue(groups),
            parsed.GetSeconds(seconds)));
        return command;
    }

    private static async Task RunAsync(string? parent, int topics, int partitions, int groups, TimeSpan idle)
    {
        using var work = new WorkDirectory(parent);
        Console.WriteLine(Machine.Describe(work.Path));
        Console.WriteLine($"topics       {topics} with {partitions} partitions each, all empty; {groups} groups");
        Console.WriteLine();
        string data = work.Fresh("cloud");
        var table = new Table("topics", "figure");
        (ServerProcess process, IPEndPoint kafka) = await Systems.StartCloudAsync(data);
        await using (process)
        {
            long begin = Stopwatch.GetTimestamp();
            await CreateAsync(kafka, topics, partitions);
            table.Add("created per second", Show.Rate(topics / Stopwatch.GetElapsedTime(begin).TotalSeconds));
            await JoinAsync(kafka, topics, partitions, groups);
        }
        long start = Stopwatch.GetTimestamp();
        (process, kafka) = await Systems.StartCloudAsync(data);
        await using (process)
        {
            table.Add("seconds from the start to ready, after SIGKILL", Seconds(Stopwatch.GetElapsedTime(start)));
            table.Add("milliseconds for the metadata of all, median", Milliseconds(AskMetadata(kafka, topics)));
            await Task.Delay(Settling);
            TimeSpan before = process.ProcessorTime;
            await Task.Delay(idle);
            double share = (process.ProcessorTime - before) / idle;
            table.Add("percent of a processor when nothing happens", (100 * share).ToString("0.0", CultureInfo.InvariantCulture));
            table.Add("MiB resident then", Show.Mebibytes(process.Memory));
        }
        table.Print();
    }

    private static async Task CreateAsync(IPEndPoint kafka, int topics, int partitions)
    {
        using IAdminClient admin = new AdminClientBuilder(new AdminClientConfig { BootstrapServers = kafka.ToString() }).Build();
        foreach (int[] some in Enumerable.Range(0, topics).Chunk(Batch))
        {
            await admin.CreateTopicsAsync(
                some.Select(i => new TopicSpecification { Name = Name(i), NumPartitions = partitions, ReplicationFactor = 1 }),
                new CreateTopicsOptions { RequestTimeout = Patience, OperationTimeout = Patience });
        }
    }

    /// <summary>Gives every group members in a stable generation, and offsets.</summary>
    private static async Task JoinAsync(IPEndPoint kafka, int topics, int partitions, int groups)
    {
        GroupLoadMember[] members = await Task.WhenAll(Enumerable.Range(0, groups * MembersOfGroup).Select(
            i => GroupLoadMember.OpenAsync(kafka, $"group-{i % groups}", Name(i % groups % topics), SessionTimeoutMs)));
        await Task.WhenAll(members.Select(member => member.JoinAsync()));
        await Task.WhenAll(members.Take(groups).Select(async (member, group) =>
        {
            for (int i = 0; i < Math.Min(TopicsOfGroup, topics); i++)
            {
                await member.CommitAsync(Name((group + i) % topics), partitions, offset: 0);
            }
        }));
        Array.ForEach(members, member => member.Dispose());
    }

    private static TimeSpan AskMetadata(IPEndPoint kafka, int topics)
    {
        using IAdminClient admin = new AdminClientBuilder(new AdminClientConfig { BootstrapServers = kafka.ToString() }).Build();
        var times = new List<TimeSpan>();
        for (int i = 0; i < Asked; i++)
        {
            long begin = Stopwatch.GetTimestamp();
            int found = admin.GetMetadata(Patience).Topics.Count;
            times.Add(Stopwatch.GetElapsedTime(begin));
            if (found < topics)
            {
                throw new InvalidOperationException($"{found} of {topics} topics are there after the restart");
            }
        }
        times.Sort();
        return times[times.Count / 2];
    }

    private static string Name(int i) => string.Create(CultureInfo.InvariantCulture, $"fleet.sensor-readings.{i:0000}");

    private static string Seconds(TimeSpan time) => time.TotalSeconds.ToString("0.00", CultureInfo.InvariantCulture);

    private static string Milliseconds(TimeSpan time) => time.TotalMilliseconds.ToString("0", CultureInfo.InvariantCulture);
}
