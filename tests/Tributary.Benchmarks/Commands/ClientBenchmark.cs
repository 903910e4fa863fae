using System.CommandLine;
using System.Net;
using Confluent.Kafka;
using Tributary.Benchmarks.Harness;
using Tributary.Benchmarks.Load;
using Tributary.Benchmarks.Peers;

namespace Tributary.Benchmarks.Commands;

/// <summary>
/// What Confluent.Kafka produces to <c>tributary serve</c> and consumes from it, against what it does with the mock broker that it brings
/// along, which leaves it little to wait for: the client's ceiling. Client and server have a core each.
/// </summary>
internal static class ClientBenchmark
{
    private const string Topic = "bench";
    private const string ReadTopic = "read";
    private const int Partitions = 4;

    /// <summary>As many as hold enough to read within what the mock broker keeps of each.</summary>
    private const int ReadPartitions = 24;

    private const int ReadBytes = MockBroker.KeptBytes * 3 / 4;
    private const int RecordOverhead = 10;

    public static Command Create()
    {
        Option<double> seconds = Options.Seconds(2);
        Option<string?> directory = Options.Directory();
        Option<int> turns = Options.Value("--turns", "Turns of each, one after the other by turns; the median counts", 3);
        Option<int[]> values = Options.Numbers("--values", "Bytes of a record's value", 100, 1000);
        Option<string[]> codecs = Options.Words("--codecs", "Compression: none, lz4, zstd, gzip, snappy", "none", "lz4", "zstd");
        Option<string[]> what = Options.Words("--what", "What to do: produce, consume, both (at the same time)", "produce", "consume", "both");
        Option<bool> unpinned = Options.Unpinned();
        var command = new Command("client", "Records per second that Confluent.Kafka produces and consumes, against librdkafka's mock broker")
        {
            seconds, directory, turns, values, codecs, what, unpinned,
        };
        command.SetAction(async parsed =>
        {
            TimeSpan time = parsed.GetSeconds(seconds);
            using var work = new WorkDirectory(parsed.GetValue(directory));
            Console.WriteLine(Machine.Describe(work.Path));
            Console.WriteLine("measured     tributary serve: Confluent.Kafka, acks=all, idempotent, each flushed before its report");
            Console.WriteLine("peer         librdkafka's mock broker in a process of its own, in memory; and in the client's process, where it takes");
            Console.WriteLine("             of the client's core. Producing and consuming at the same time has the ratio to producing alone there");
            Console.WriteLine($"turns        {turns.Name.TrimStart('-')}: medians of {parsed.GetValue(turns)}, {time.TotalSeconds:0.#} s each, after one to warm up");
            int? core = Systems.Pin(!parsed.GetValue(unpinned));
            Console.WriteLine();
            foreach (string one in parsed.GetValue(what)!)
            {
                var run = new Run(work, core, parsed.GetValue(turns), time);
                RecordLoad[] loads = [.. parsed.GetValue(values)!.SelectMany(value => parsed.GetValue(codecs)!.Select(codec => new RecordLoad(value, Codec(codec))))];
                await (one switch
                {
                    "produce" => run.ProduceAsync(loads),
                    "consume" => run.ConsumeAsync(loads),
                    "both" => run.BothAsync(loads),
                    _ => throw new InvalidOperationException($"--what may be produce, consume or both, not '{one}'"),
                });
            }
        });
        return command;
    }

    private static CompressionType Codec(string name) => Enum.TryParse(name, ignoreCase: true, out CompressionType codec)
        ? codec
        : throw new InvalidOperationException($"--codecs may be none, lz4, zstd, gzip or snappy, not '{name}'");

    private sealed class Run(WorkDirectory work, int? core, int turns, TimeSpan time)
    {
        public async Task ProduceAsync(RecordLoad[] loads)
        {
            (ServerProcess cloud, IPEndPoint kafka) = await StartAsync(Topic, Partitions);
            (ServerProcess mock, IPEndPoint peer) = await MockBroker.StartAsync(core, Partitions, Topic);
            await using (cloud)
            await using (mock)
            {
                var table = new Table("produced", "records/s", "mock broker", "ratio", "mock in the client", "ratio");
                foreach (RecordLoad load in loads)
                {
                    double[] rates = Measure(
                        () => ConfluentClient.Produce(kafka.ToString(), Topic, load, time),
                        () => ConfluentClient.Produce(peer.ToString(), Topic, load, time),
                        () => ConfluentClient.Produce(null, Topic, load, time));
                    table.Add(
                        Name(load), Show.Rate(rates[0]), Show.Rate(rates[1]), Show.Ratio(rates[0], rates[1]), Show.Rate(rates[2]),
                        Show.Ratio(rates[0], rates[2]));
                }
                table.Print();
            }
        }

        public async Task ConsumeAsync(RecordLoad[] loads)
        {
            var table = new Table("consumed", "records/s", "mock broker", "ratio", "mock in the client", "ratio");
            foreach (RecordLoad load in loads)
            {
                (ServerProcess cloud, IPEndPoint kafka) = await StartAsync(ReadTopic, ReadPartitions);
                (ServerProcess mock, IPEndPoint peer) = await MockBroker.StartAsync(core, ReadPartitions, ReadTopic);
                await using (cloud)
                await using (mock)
                {
                    int count = ReadBytes / (load.ValueBytes + RecordOverhead);
                    ConfluentClient.Fill(kafka.ToString(), ReadTopic, ReadPartitions, count, load);
                    ConfluentClient.Fill(peer.ToString(), ReadTopic, ReadPartitions, count, load);
                    string here = MockBroker.StartHere(ReadPartitions, ReadTopic);
                    ConfluentClient.Fill(here, ReadTopic, ReadPartitions, count, load);
                    double[] rates = Measure(
                        () => Consume(kafka.ToString(), count),
                        () => Consume(peer.ToString(), count),
                        () => Consume(here, count));
                    table.Add(
                        Name(load), Show.Rate(rates[0]), Show.Rate(rates[1]), Show.Ratio(rates[0], rates[1]), Show.Rate(rates[2]),
                        Show.Ratio(rates[0], rates[2]));
                }
            }
            table.Print();
        }

        public async Task BothAsync(RecordLoad[] loads)
        {
            (ServerProcess cloud, IPEndPoint kafka) = await StartAsync(Topic, Partitions);
            (ServerProcess mock, IPEndPoint peer) = await MockBroker.StartAsync(core, Partitions, Topic);
            await using (cloud)
            await using (mock)
            {
                var table = new Table("produced and consumed", "records/s", "mock broker, produced", "ratio");
                foreach (RecordLoad load in loads)
                {
                    double[] rates = Measure(
                        () => ConfluentClient.ProduceAndConsumeAsync(kafka.ToString(), Topic, Partitions, load, time).GetAwaiter().GetResult(),
                        () => ConfluentClient.Produce(peer.ToString(), Topic, load, time));
                    table.Add(Name(load), Show.Rate(rates[0]), Show.Rate(rates[1]), Show.Ratio(rates[0], rates[1]));
                }
                table.Print();
            }
        }

        private static string Name(RecordLoad load) => $"{load.ValueBytes} bytes, {load.Codec}";

        private async Task<(ServerProcess Process, IPEndPoint Kafka)> StartAsync(string topic, int partitions)
        {
            (ServerProcess cloud, IPEndPoint kafka) = await Systems.StartCloudOnAsync(core, work.Fresh("cloud"));
            await ConfluentClient.CreateTopicAsync(kafka.ToString(), topic, partitions);
            return (cloud, kafka);
        }

        private KafkaResult Consume(string kafka, int count)
        {
            KafkaResult read = ConfluentClient.Consume(kafka, ReadTopic, ReadPartitions, time);
            return read.Records % ((long)count * ReadPartitions) == 0
                ? read
                : throw new InvalidOperationException($"{read.Records} records were read where there are {count} in each partition");
        }

        /// <summary>Records per second of each, the median of turns.</summary>
        private double[] Measure(params Func<KafkaResult>[] runs)
        {
            double[][] rates = [.. runs.Select(_ => new double[turns])];
            for (int turn = -1; turn < turns; turn++)
            {
                for (int i = 0; i < runs.Length; i++)
                {
                    double rate = runs[i]().Rate;
                    if (turn >= 0)
                    {
                        rates[i][turn] = rate;
                    }
                }
            }
            return [.. rates.Select(all => Show.Median(all))];
        }
    }
}
