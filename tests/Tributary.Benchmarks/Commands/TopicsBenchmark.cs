using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using Confluent.Kafka;
using Confluent.Kafka.Admin;
using Tributary.Benchmarks.Harness;

namespace Tributary.Benchmarks.Commands;

/// <summary>
/// What many topics cost: to make them, to start with them after SIGKILL, to tell all of them, and when nothing happens. There is no peer
/// in the run: the figures are bounds of their own.
/// </summary>
internal static class TopicsBenchmark
{
    private const int Batch = 100;
    private const int Asked = 9;
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);

    public static Command Create()
    {
        Option<string?> directory = Options.Directory();
        Option<int> topics = Options.Value("--topics", "Topics", 2_000);
        Option<int> partitions = Options.Value("--partitions", "Partitions of each", 4);
        Option<double> seconds = Options.Seconds(10);
        var command = new Command("topics", "What many topics cost: creation, restart, metadata, and when nothing happens")
        {
            directory, topics, partitions, seconds,
        };
        command.SetAction(parsed => RunAsync(
            parsed.GetValue(directory), parsed.GetValue(topics), parsed.GetValue(partitions), parsed.GetSeconds(seconds)));
        return command;
    }

    private static async Task RunAsync(string? parent, int topics, int partitions, TimeSpan idle)
    {
        using var work = new WorkDirectory(parent);
        Console.WriteLine(Machine.Describe(work.Path));
        Console.WriteLine($"topics       {topics} with {partitions} partitions each, all empty");
        Console.WriteLine();
        string data = work.Fresh("cloud");
        var table = new Table("topics", "figure");
        (ServerProcess process, IPEndPoint kafka) = await Systems.StartCloudAsync(data);
        await using (process)
        {
            long begin = Stopwatch.GetTimestamp();
            await CreateAsync(kafka, topics, partitions);
            table.Add("created per second", Show.Rate(topics / Stopwatch.GetElapsedTime(begin).TotalSeconds));
        }
        long start = Stopwatch.GetTimestamp();
        (process, kafka) = await Systems.StartCloudAsync(data);
        await using (process)
        {
            table.Add("seconds from the start to ready, after SIGKILL", Seconds(Stopwatch.GetElapsedTime(start)));
            table.Add("milliseconds for the metadata of all, median", Milliseconds(AskMetadata(kafka, topics)));
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
