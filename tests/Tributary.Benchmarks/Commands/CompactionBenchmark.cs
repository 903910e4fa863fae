using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using Confluent.Kafka;
using Confluent.Kafka.Admin;
using Microsoft.Win32.SafeHandles;
using Tributary.Benchmarks.Harness;
using Tributary.Benchmarks.Load;
using Tributary.Benchmarks.Peers;
using Tributary.Contracts.Records;
using Tributary.Log;
using Tributary.Log.Compaction;
using Tributary.Log.Storage;

namespace Tributary.Benchmarks.Commands;

/// <summary>
/// Compaction of a log as fast as it goes, against a copy of its files; and what a compaction at its usual rate does to those who produce.
/// </summary>
internal static class CompactionBenchmark
{
    private const int SegmentBytes = 16 << 20;
    private const int BatchBytes = 16 << 10;
    private const int CopyBytes = 1 << 20;
    private const int Partitions = 4;
    private const int Warm = 5;
    private const int SmallestSegment = 1 << 20;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    private const string Churn = "churn";
    private const string Topic = "bench";

    public static Command Create()
    {
        Option<double> seconds = Options.Seconds(5);
        Option<string?> directory = Options.Directory();
        Option<int> mebibytes = Options.Value("--mib", "Size of the log in MiB", 128);
        Option<int> value = Options.Value("--value", "Bytes of a record's value", 100);
        Option<int[]> repeats = Options.Numbers("--records-per-key", "Records of each key", 1, 2, 10);
        Option<int> turns = Options.Value("--turns", "Turns of which the median counts", 3);
        Option<int> rate = Options.Value("--rate", "Records per second that are produced meanwhile", 20_000);
        var command = new Command("compaction", "MiB per second of compaction, against a copy; and p99 of produce while it runs")
        {
            seconds, directory, mebibytes, value, repeats, turns, rate,
        };
        command.SetAction(async parsed =>
        {
            using var work = new WorkDirectory(parsed.GetValue(directory));
            Console.WriteLine(Machine.Describe(work.Path));
            long bytes = (long)parsed.GetValue(mebibytes) << 20;
            await CompactAsync(work, bytes, parsed.GetValue(value), parsed.GetValue(repeats)!, parsed.GetValue(turns));
            await ProduceAsync(work, bytes, parsed.GetValue(rate), parsed.GetSeconds(seconds));
        });
        return command;
    }

    private static async Task CompactAsync(WorkDirectory work, long bytes, int value, int[] repeats, int turns)
    {
        Console.WriteLine($"measured     one round over a log of {bytes >> 20} MiB, records of {value} bytes in batches of {BatchBytes} bytes, no throttle");
        Console.WriteLine("peer         its files read and written anew in pieces of 1 MiB, each flushed at its end, just before");
        Console.WriteLine();
        var table = new Table("records per key", "MiB/s", "copy", "ratio", "left", "µs of processor per MiB");
        foreach (int repeat in repeats)
        {
            var ours = new List<double>();
            var theirs = new List<double>();
            double left = 0;
            double busy = 0;
            for (int turn = 0; turn < turns; turn++)
            {
                string path = work.Fresh("log");
                await using LogDirectory directory = LogDirectory.Open(
                    new FileStorage(), path, new LogDirectoryOptions(), TimeProvider.System, new Events());
                PartitionLog log = directory.OpenPartition("bench-0", new PartitionLogOptions
                {
                    SegmentBytes = SegmentBytes,
                    Compaction = new CompactionPolicy { DirtyRatio = 0.01 },
                });
                await FillAsync(directory, log, bytes, value, repeat);
                theirs.Add(Rate(() => Copy($"{path}/bench-0", work.Fresh("copy"))));
                await DueAsync(log);
                var compactor = new LogCompactor(new LogCompactorOptions { KeyMapBytes = 256 << 20 }, TimeProvider.System);
                TimeSpan before = Environment.CpuUsage.TotalTime;
                CompactionResult result = default;
                ours.Add(Rate(() => (result = compactor.Compact(log, log.FlushedEnd, CancellationToken.None)).BytesBefore));
                busy = (Environment.CpuUsage.TotalTime - before).TotalMicroseconds / (result.BytesBefore / (double)(1 << 20));
                left = (double)result.BytesAfter / result.BytesBefore;
            }
            double[] ratios = [.. ours.Zip(theirs, (our, their) => our / their)];
            table.Add(
                $"{repeat}", Show.Rate(Show.Median(ours)), Show.Rate(Show.Median(theirs)), Show.Ratio(Show.Median(ratios), 1), $"{left:P0}", Show.Rate(busy));
        }
        table.Print();
    }

    /// <summary>Every key comes again in the same order, so that the last values lie at the end.</summary>
    private static async Task FillAsync(LogDirectory directory, PartitionLog log, long bytes, int value, int repeat)
    {
        byte[] payload = new byte[value];
        Random.Shared.NextBytes(payload);
        byte[] key = new byte[12];
        long keys = bytes / (value + 30) / repeat;
        AppendResult last = default;
        using var builder = new RecordBatchBuilder();
        for (long at = 0, next = 0; at < bytes;)
        {
            builder.Reset();
            while (builder.Count == 0 || builder.Size < BatchBytes)
            {
                (next++ % keys).TryFormat(key, out int length, provider: CultureInfo.InvariantCulture);
                builder.Add(DateTimeOffset.UtcNow.ToUnixTimeMilliseconds(), key.AsSpan(0, length), payload, EncodedHeaders.None);
            }
            await directory.WaitForRoomAsync(CancellationToken.None);
            ReadOnlyMemory<byte> batch = builder.Build(BatchProducer.None);
            last = log.Append(batch.Span);
            at += batch.Length;
        }
        await log.WaitFlushedAsync(last);
    }

    /// <summary>Waits until the state of producers is saved behind the segments, without which they are left alone.</summary>
    private static async Task DueAsync(PartitionLog log)
    {
        long start = Stopwatch.GetTimestamp();
        while (!log.NeedOfCompaction(log.FlushedEnd).IsDue)
        {
            if (Stopwatch.GetElapsedTime(start) > Patience)
            {
                throw new TimeoutException("the log does not become due for compaction");
            }
            await Task.Delay(10);
        }
    }

    private static long Copy(string from, string to)
    {
        Directory.CreateDirectory(to);
        byte[] buffer = new byte[CopyBytes];
        long bytes = 0;
        foreach (string file in Directory.GetFiles(from).Where(file => Path.GetFileName(file).All(char.IsAsciiDigit)).Order())
        {
            using SafeFileHandle source = File.OpenHandle(file);
            using SafeFileHandle target = File.OpenHandle(Path.Combine(to, Path.GetFileName(file)), FileMode.CreateNew, FileAccess.Write);
            int read;
            for (long at = 0; (read = RandomAccess.Read(source, buffer, at)) > 0; at += read)
            {
                RandomAccess.Write(target, buffer.AsSpan(0, read), at);
                bytes += read;
            }
            RandomAccess.FlushToDisk(target);
        }
        return bytes;
    }

    /// <summary>MiB per second.</summary>
    private static double Rate(Func<long> work)
    {
        long start = Stopwatch.GetTimestamp();
        long bytes = work();
        return bytes / (double)(1 << 20) / Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private static async Task ProduceAsync(WorkDirectory work, long bytes, int rate, TimeSpan time)
    {
        Console.WriteLine($"measured     tributary serve: {rate:#,0} records/s of 100 bytes into a topic for {time.TotalSeconds:0.#} s, from the call of Produce to the report;");
        Console.WriteLine("             then the same while another topic is compacted, at the rate that is the default");
        Console.WriteLine();
        ServerProcess cloud = ServerProcess.Start(
            "tributary", Programs.Cloud, "serve", "--data", work.Fresh("cloud"), "--kafka", "127.0.0.1:0", "--http", "127.0.0.1:0",
            "--set", "broker:compactionIntervalMs=200");
        await using (cloud)
        {
            IReadOnlyDictionary<string, IPEndPoint> ready = await cloud.ReadyAsync();
            string kafka = ready["kafka"].ToString();
            using IAdminClient admin = new AdminClientBuilder(new AdminClientConfig { BootstrapServers = kafka }).Build();
            await ConfluentClient.CreateTopicAsync(kafka, Topic, Partitions);
            await admin.CreateTopicsAsync(
            [
                new TopicSpecification
                {
                    Name = Churn, NumPartitions = Partitions, ReplicationFactor = 1,
                    Configs = new() { ["segment.bytes"] = $"{Math.Max(SmallestSegment, bytes / Partitions / 16)}" },
                },
            ]);
            FillChurn(kafka, bytes);
            var table = new Table("meanwhile", "records/s", "p50 µs", "p99", "p99.9", "compaction MiB/s, read + written");
            var load = new RecordLoad(100, CompressionType.None);
            LatencyResult alone = LatencyLoad.Run(kafka, Topic, Partitions, load, rate, 5, TimeSpan.FromSeconds(Warm), time);
            table.Add(["nothing", Show.Rate(alone.Rate), .. Percentiles(alone.Produced), "–"]);
            await admin.IncrementalAlterConfigsAsync(new Dictionary<ConfigResource, List<ConfigEntry>>
            {
                [new ConfigResource { Type = ResourceType.Topic, Name = Churn }] =
                [
                    new ConfigEntry { Name = "cleanup.policy", Value = "compact", IncrementalOperation = AlterConfigOpType.Set },
                    new ConfigEntry { Name = "min.cleanable.dirty.ratio", Value = "0.01", IncrementalOperation = AlterConfigOpType.Set },
                ],
            });
            await ConfluentClient.CreateTopicAsync(kafka, Topic + "-2", Partitions);
            double before = await CompactedAsync(ready["http"]);
            long start = Stopwatch.GetTimestamp();
            LatencyResult beside = LatencyLoad.Run(kafka, Topic + "-2", Partitions, load, rate, 5, TimeSpan.FromSeconds(Warm), time);
            double compacted = (await CompactedAsync(ready["http"]) - before) / Stopwatch.GetElapsedTime(start).TotalSeconds;
            table.Add(["compaction", Show.Rate(beside.Rate), .. Percentiles(beside.Produced), Show.Mebibytes(compacted)]);
            table.Print();
        }
    }

    private static void FillChurn(string kafka, long bytes)
    {
        using IProducer<string, byte[]> producer = new ProducerBuilder<string, byte[]>(new ProducerConfig
        {
            BootstrapServers = kafka,
            EnableIdempotence = true,
            LingerMs = 5,
            DeliveryReportFields = "none",
        }).Build();
        byte[] value = new byte[100];
        Random.Shared.NextBytes(value);
        long records = bytes / 130;
        for (long i = 0; i < records;)
        {
            try
            {
                producer.Produce(
                    new TopicPartition(Churn, (int)(i % Partitions)), new Message<string, byte[]> { Key = $"key-{i % (records / 10)}", Value = value });
                i++;
            }
            catch (ProduceException<string, byte[]> e) when (e.Error.Code == ErrorCode.Local_QueueFull)
            {
                producer.Poll(TimeSpan.FromMilliseconds(10));
            }
        }
        producer.Flush(TimeSpan.FromMinutes(2));
    }

    /// <summary>Bytes that the server's compaction has read and written.</summary>
    private static async Task<double> CompactedAsync(IPEndPoint http)
    {
        using var client = new HttpClient();
        string metrics = await client.GetStringAsync($"http://{http}/metrics");
        return metrics.Split('\n')
            .Where(line => line.StartsWith("tributary_broker_compaction_read_bytes", StringComparison.Ordinal)
                || line.StartsWith("tributary_broker_compaction_written_bytes", StringComparison.Ordinal))
            .Sum(line => double.Parse(line.Split(' ')[1], CultureInfo.InvariantCulture));
    }

    private static string[] Percentiles(Histogram latencies) =>
        [.. new[] { 0.5, 0.99, 0.999 }.Select(share => Show.Micros(latencies.Percentile(share)))];

    private sealed class Events : ILogEvents
    {
        public void Report(LogEvent what) => Console.Error.WriteLine($"log: {what.Message}");
    }
}
