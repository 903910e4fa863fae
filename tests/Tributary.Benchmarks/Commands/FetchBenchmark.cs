using System.CommandLine;
using System.Net;
using Tributary.Benchmarks.Harness;
using Tributary.Benchmarks.Load;
using Tributary.Benchmarks.Peers;
using Tributary.Contracts.Records;

namespace Tributary.Benchmarks.Commands;

/// <summary>
/// Reading a topic of <c>tributary serve</c> from its beginning by plain Fetch requests, against bytes over the loopback address. What
/// clients get is the benchmark <c>client</c>.
/// </summary>
internal static class FetchBenchmark
{
    private const string Topic = "bench";
    private const int Partitions = 4;

    public static Command Create()
    {
        Option<double> seconds = Options.Seconds(10);
        Option<string?> directory = Options.Directory();
        Option<int> value = Options.Value("--value", "Bytes of a record's value", 150);
        Option<int> records = Options.Value("--batch", "Records of a batch", 500);
        Option<int[]> sizes = Options.Numbers("--fetch-bytes", "Most bytes of an answer", 1 << 20);
        Option<bool> unpinned = Options.Unpinned();
        var command = new Command("fetch", "Records per second that the cloud hands out, against the loopback address")
        {
            seconds, directory, value, records, sizes, unpinned,
        };
        command.SetAction(parsed => RunAsync(
            parsed.GetValue(directory), parsed.GetValue(value), parsed.GetValue(records), parsed.GetValue(sizes)!, parsed.GetSeconds(seconds),
            !parsed.GetValue(unpinned)));
        return command;
    }

    private static async Task RunAsync(string? parent, int value, int records, int[] sizes, TimeSpan time, bool isPinned)
    {
        using var work = new WorkDirectory(parent);
        Console.WriteLine(Machine.Describe(work.Path));
        Console.WriteLine($"measured     tributary serve: a topic that was filled for {time.TotalSeconds:0.#} s, read to its end; {Partitions} connections");
        Console.WriteLine(
            "peer         no other Kafka broker runs here, so: bytes from one thread to another over TCP on the loopback address;");
        int? core = Systems.Pin(isPinned);
        Console.WriteLine();
        (ServerProcess cloud, IPEndPoint kafka) = await Systems.StartCloudOnAsync(core, work.Fresh("cloud"));
        await using (cloud)
        {
            await ConfluentClient.CreateTopicAsync(kafka.ToString(), Topic, Partitions);
            byte[] batch = ProduceLoad.Batch(records, value, CompressionCodec.None);
            KafkaResult filled = ProduceLoad.Run(kafka, Topic, Partitions, Partitions, batch, time);
            double ceiling = Loopback.Run(time, isPinned);
            var table = new Table("reader", "records/s", "MiB/s", "peer MiB/s", "ratio", "p50 µs", "p99");
            foreach (int size in sizes)
            {
                KafkaResult read = FetchLoad.Run(kafka, Topic, Partitions, size);
                Check(filled, read);
                table.Add(
                    $"Fetch of {size:#,0} bytes", Show.Rate(read.Rate), Show.Mebibytes(read.BytesPerSecond), Show.Mebibytes(ceiling),
                    Show.Ratio(read.BytesPerSecond, ceiling), Show.Micros(read.Latencies.Percentile(0.5)),
                    Show.Micros(read.Latencies.Percentile(0.99)));
            }
            table.Print();
        }
    }

    private static void Check(KafkaResult filled, KafkaResult read)
    {
        if (read.Records != filled.Records)
        {
            throw new InvalidOperationException($"{filled.Records} records were produced and {read.Records} read");
        }
    }
}
