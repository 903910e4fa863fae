using System.CommandLine;
using System.Net;
using Tributary.Benchmarks.Harness;
using Tributary.Benchmarks.Load;
using Tributary.Benchmarks.Peers;

namespace Tributary.Benchmarks.Commands;

/// <summary>
/// Transactions: how many commit in a second, spread over partitions, against the same records written by idempotent producers without.
/// </summary>
internal static class TransactionsBenchmark
{
    private const string Topic = "bench";

    public static Command Create()
    {
        Option<string?> directory = Options.Directory();
        Option<double> seconds = Options.Seconds(3);
        Option<int> records = Options.Value("--records", "Records of a transaction", 100);
        Option<int> bytes = Options.Value("--bytes", "Bytes of a value", 100);
        Option<int[]> partitions = Options.Numbers("--partitions", "Partitions of a transaction", 1, 10, 50);
        Option<int[]> clients = Options.Numbers("--clients", "Producers at a time", 1, 16);
        var command = new Command("transactions", "Commits per second, against the same records without transactions")
        {
            directory, seconds, records, bytes, partitions, clients,
        };
        command.SetAction(parsed => RunAsync(
            parsed.GetValue(directory), parsed.GetSeconds(seconds), parsed.GetValue(records), parsed.GetValue(bytes),
            parsed.GetValue(partitions)!, parsed.GetValue(clients)!));
        return command;
    }

    private static async Task RunAsync(string? parent, TimeSpan time, int records, int bytes, int[] partitions, int[] clients)
    {
        using var work = new WorkDirectory(parent);
        Console.WriteLine(Machine.Describe(work.Path));
        Console.WriteLine($"transactions of {records} records of {bytes} bytes, one batch for each partition, one after the other for each producer;");
        Console.WriteLine("peer: the same records, acks=all, by idempotent producers without transactions");
        Console.WriteLine();
        (ServerProcess process, IPEndPoint kafka) = await Systems.StartCloudAsync(work.Fresh("cloud"));
        await using (process)
        {
            await ConfluentClient.CreateTopicAsync(kafka.ToString(), Topic, partitions.Max());
            await new TransactionLoad(kafka, Topic, 1, records, bytes).RunAsync(clients[0], inTransactions: true, TimeSpan.FromSeconds(1));
            var table = new Table("partitions × producers", "commits/s", "records/s", "peer records/s", "ratio", "p50 µs", "p99 µs");
            foreach (int count in partitions)
            {
                var load = new TransactionLoad(kafka, Topic, count, records, bytes);
                foreach (int producers in clients)
                {
                    (double plain, _) = await load.RunAsync(producers, inTransactions: false, time);
                    (double rate, Histogram latencies) = await load.RunAsync(producers, inTransactions: true, time);
                    int written = records / count * count;
                    table.Add(
                        $"{count} × {producers}", Show.Rate(rate), Show.Rate(rate * written), Show.Rate(plain * written), Show.Ratio(rate, plain),
                        Show.Micros(latencies.Percentile(0.5)), Show.Micros(latencies.Percentile(0.99)));
                }
            }
            table.Print();
            Console.WriteLine($"the server had {Show.Mebibytes(process.PeakMemory)} MiB at most");
        }
    }
}
