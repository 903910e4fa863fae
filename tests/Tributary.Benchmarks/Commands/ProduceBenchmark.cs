using System.CommandLine;
using System.Net;
using Tributary.Benchmarks.Harness;
using Tributary.Benchmarks.Load;
using Tributary.Benchmarks.Peers;
using Tributary.Contracts.Records;

namespace Tributary.Benchmarks.Commands;

/// <summary>
/// Produce with acks=all into <c>tributary serve</c>: encoded requests, against what the disk alone takes when as much is written and flushed
/// at a time. What clients get is the benchmark <c>client</c>.
/// </summary>
internal static class ProduceBenchmark
{
    private const string Topic = "bench";
    private const int Partitions = 4;
    private const int RecordOverhead = 21;

    public static Command Create()
    {
        Option<double> seconds = Options.Seconds(10);
        Option<string?> directory = Options.Directory();
        Option<int[]> connections = Options.Numbers("--connections", "Connections at a time", 1, 4);
        Option<int[]> batches = Options.Numbers("--batch-bytes", "Bytes of a request's batch, about", 16 << 10, 512 << 10);
        Option<int> value = Options.Value("--value", "Bytes of a record's value", 150);
        Option<bool> unpinned = Options.Unpinned();
        var command = new Command("produce", "Records per second that the cloud makes durable, against the raw disk")
        {
            seconds, directory, connections, batches, value, unpinned,
        };
        command.SetAction(parsed => RunAsync(
            parsed.GetValue(directory), parsed.GetValue(connections)!, parsed.GetValue(batches)!, parsed.GetValue(value),
            parsed.GetSeconds(seconds), !parsed.GetValue(unpinned)));
        return command;
    }

    private static async Task RunAsync(string? parent, int[] connections, int[] batches, int value, TimeSpan time, bool isPinned)
    {
        using var work = new WorkDirectory(parent);
        Console.WriteLine(Machine.Describe(work.Path));
        Console.WriteLine("measured     tributary serve, acks=all; five requests in flight on each connection");
        Console.WriteLine("peer         no other Kafka broker runs here, so: the disk alone (one thread, write + fdatasync of what all connections");
        Console.WriteLine("             have in flight)");
        int? core = Systems.Pin(isPinned);
        Console.WriteLine();
        (ServerProcess cloud, IPEndPoint kafka) = await Systems.StartCloudOnAsync(core, work.Fresh("cloud"));
        await using (cloud)
        {
            await ConfluentClient.CreateTopicAsync(kafka.ToString(), Topic, Partitions);
            ProduceEncoded(work, kafka, connections, batches, value, time);
        }
    }

    private static void ProduceEncoded(WorkDirectory work, IPEndPoint kafka, int[] connections, int[] batches, int value, TimeSpan time)
    {
        var table = new Table("connections × batch", "records/s", "MiB/s", "disk alone MiB/s", "ratio", "p50 µs", "p99");
        foreach (int size in batches)
        {
            byte[] batch = ProduceLoad.Batch(Math.Max(1, size / (value + RecordOverhead)), value, CompressionCodec.None);
            foreach (int count in connections)
            {
                KafkaResult ours = ProduceLoad.Run(kafka, Topic, Partitions, count, batch, time);
                int flushed = Math.Min(batch.Length * count * 5, 32 << 20);
                using var disk = new RawDisk(work.Fresh("raw"), flushed);
                (long flushes, TimeSpan elapsed, _) = disk.Run(time);
                double ceiling = flushes * (double)flushed / elapsed.TotalSeconds;
                table.Add(
                    $"{count} × {batch.Length:#,0}", Show.Rate(ours.Rate), Show.Mebibytes(ours.BytesPerSecond), Show.Mebibytes(ceiling),
                    Show.Ratio(ours.BytesPerSecond, ceiling), Show.Micros(ours.Latencies.Percentile(0.5)), Show.Micros(ours.Latencies.Percentile(0.99)));
            }
        }
        table.Print();
    }
}
