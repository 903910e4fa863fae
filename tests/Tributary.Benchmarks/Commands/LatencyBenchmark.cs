using System.CommandLine;
using System.Net;
using Confluent.Kafka;
using Tributary.Benchmarks.Harness;
using Tributary.Benchmarks.Load;
using Tributary.Benchmarks.Peers;

namespace Tributary.Benchmarks.Commands;

/// <summary>
/// How long records of a steady rate take from Confluent.Kafka's Produce to their report, and to a consumer, by <c>tributary serve</c> and
/// by librdkafka's mock broker. Client and server have a core each.
/// </summary>
internal static class LatencyBenchmark
{
    private const string Topic = "bench";
    private const int Partitions = 4;

    public static Command Create()
    {
        Option<double> seconds = Options.Seconds(5);
        Option<string?> directory = Options.Directory();
        Option<int> rate = Options.Value("--rate", "Records per second", 50_000);
        Option<int> value = Options.Value("--value", "Bytes of a record's value, 8 or more", 100);
        Option<int[]> linger = Options.Numbers("--linger-ms", "How long the client gathers a batch, ms; 5 is its default", 0, 5);
        Option<int> warmUp = Options.Value("--warm-up", "Seconds before it is counted", 5);
        Option<bool> unpinned = Options.Unpinned();
        var command = new Command("latency", "How long a record takes to its report and to a consumer, against librdkafka's mock broker")
        {
            seconds, directory, rate, value, linger, warmUp, unpinned,
        };
        command.SetAction(parsed => RunAsync(
            parsed.GetValue(directory), parsed.GetValue(rate), Math.Max(sizeof(long), parsed.GetValue(value)), parsed.GetValue(linger)!,
            TimeSpan.FromSeconds(parsed.GetValue(warmUp)), parsed.GetSeconds(seconds), !parsed.GetValue(unpinned)));
        return command;
    }

    private static async Task RunAsync(string? parent, int rate, int value, int[] lingers, TimeSpan warmUp, TimeSpan time, bool isPinned)
    {
        using var work = new WorkDirectory(parent);
        Console.WriteLine(Machine.Describe(work.Path));
        Console.WriteLine($"measured     tributary serve: {rate:#,0} records/s of {value} bytes for {time.TotalSeconds:0.#} s, acks=all, idempotent, each flushed");
        Console.WriteLine("             before its report; from the call of Produce to the report, and to a consumer in the same process");
        Console.WriteLine("peer         librdkafka's mock broker in a process of its own, in memory; how long it takes to a consumer says nothing,");
        Console.WriteLine("             since it answers a waiting Fetch when its time is over, not when records come");
        int? core = Systems.Pin(isPinned);
        Console.WriteLine();
        var load = new RecordLoad(value, CompressionType.None);
        var table = new Table("server, linger", "records/s", "report p50 µs", "p99", "p99.9", "consumer p50 µs", "p99", "p99.9", "server's core");
        foreach (int linger in lingers)
        {
            (ServerProcess cloud, IPEndPoint kafka) = await Systems.StartCloudOnAsync(core, work.Fresh("cloud"));
            await using (cloud)
            {
                await ConfluentClient.CreateTopicAsync(kafka.ToString(), Topic, Partitions);
                TimeSpan before = cloud.ProcessorTime;
                LatencyResult ours = LatencyLoad.Run(kafka.ToString(), Topic, Partitions, load, rate, linger, warmUp, time);
                double busy = (cloud.ProcessorTime - before) / (warmUp + time);
                table.Add([$"tributary, {linger} ms", Show.Rate(ours.Rate), .. Percentiles(ours.Produced), .. Percentiles(ours.Arrived), $"{busy:P0}"]);
            }
            (ServerProcess mock, IPEndPoint peer) = await MockBroker.StartAsync(core, Partitions, Topic);
            await using (mock)
            {
                LatencyResult theirs = LatencyLoad.Run(peer.ToString(), Topic, Partitions, load, rate, linger, warmUp, time);
                table.Add([$"mock broker, {linger} ms", Show.Rate(theirs.Rate), .. Percentiles(theirs.Produced), "–", "–", "–", "–"]);
            }
        }
        table.Print();
    }

    private static string[] Percentiles(Histogram latencies) =>
        [.. new[] { 0.5, 0.99, 0.999 }.Select(share => Show.Micros(latencies.Percentile(share)))];
}
