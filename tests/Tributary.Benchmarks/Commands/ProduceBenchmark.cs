using System.CommandLine;
using System.Net;
using Confluent.Kafka;
using Tributary.Benchmarks.Harness;
using Tributary.Benchmarks.Load;
using Tributary.Benchmarks.Peers;
using Tributary.Contracts.Records;

namespace Tributary.Benchmarks.Commands;

/// <summary>
/// Produce with acks=all into <c>tributary serve</c>: encoded requests against what the disk alone takes when as much is written and flushed
/// at a time, and Confluent.Kafka against the mock broker that it brings along.
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
        Option<int[]> values = Options.Numbers("--values", "Bytes of a record's value from Confluent.Kafka", 100, 1000);
        Option<int> count = Options.Value("--count", "Records of Confluent.Kafka", 1_000_000);
        var command = new Command("produce", "Records per second that the cloud makes durable, against the raw disk and librdkafka's mock broker")
        {
            seconds, directory, connections, batches, value, values, count,
        };
        command.SetAction(parsed => RunAsync(
            parsed.GetValue(directory), parsed.GetValue(connections)!, parsed.GetValue(batches)!, parsed.GetValue(value), parsed.GetValue(values)!,
            parsed.GetValue(count), parsed.GetSeconds(seconds)));
        return command;
    }

    private static async Task RunAsync(
        string? parent, int[] connections, int[] batches, int value, int[] values, int count, TimeSpan time)
    {
        using var work = new WorkDirectory(parent);
        Console.WriteLine(Machine.Describe(work.Path));
        Console.WriteLine("measured     tributary serve, acks=all; five requests in flight on each connection");
        Console.WriteLine("peers        no other Kafka broker runs here, so: the disk alone (one thread, write + fdatasync of what all connections");
        Console.WriteLine("             have in flight), and for Confluent.Kafka librdkafka's mock broker (in the client's process, in memory, of which");
        Console.WriteLine("             it keeps so little that a consumer loses records: consuming has the ratio to producing alone there)");
        Console.WriteLine();
        (ServerProcess cloud, IPEndPoint kafka) = await Systems.StartCloudAsync(work.Fresh("cloud"));
        await using (cloud)
        {
            await ConfluentClient.CreateTopicAsync(kafka.ToString(), Topic, Partitions);
            ProduceEncoded(work, kafka, connections, batches, value, time);
            await ProduceByClientAsync(kafka, values, count);
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

    private static async Task ProduceByClientAsync(IPEndPoint kafka, int[] values, int count)
    {
        var table = new Table(
            "Confluent.Kafka: bytes, codec", "produced/s", "mock broker", "ratio", "produced and consumed/s", "ratio");
        foreach (int value in values)
        {
            foreach (CompressionType codec in (CompressionType[])[CompressionType.None, CompressionType.Lz4, CompressionType.Zstd])
            {
                KafkaResult ours = ConfluentClient.Produce(kafka.ToString(), Topic, count, value, codec);
                KafkaResult mock = ConfluentClient.Produce(null, Topic, count, value, codec);
                KafkaResult both = await ConfluentClient.ProduceAndConsumeAsync(kafka.ToString(), Topic, Partitions, count, value, codec);
                table.Add(
                    $"{value}, {codec}", Show.Rate(ours.Rate), Show.Rate(mock.Rate), Show.Ratio(ours.Rate, mock.Rate),
                    Show.Rate(both.Rate), Show.Ratio(both.Rate, mock.Rate));
            }
        }
        table.Print();
    }
}
