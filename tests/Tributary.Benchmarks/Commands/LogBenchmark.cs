using System.CommandLine;
using System.Diagnostics;
using Tributary.Benchmarks.Harness;
using Tributary.Benchmarks.Peers;
using Tributary.Contracts.Records;
using Tributary.Log;
using Tributary.Log.Storage;

namespace Tributary.Benchmarks.Commands;

/// <summary>
/// Durable appends: each appender appends one record and waits until it is flushed before it appends the next. Against the disk alone
/// (one thread that writes what all appenders have and flushes: the ceiling of group commit), and against SQLite.
/// </summary>
internal static class LogBenchmark
{
    private const int SegmentBytes = 16 << 20;
    private const long KeptRecords = 10_000;

    public static Command Create()
    {
        Option<double> seconds = Options.Seconds(5);
        Option<string?> directory = Options.Directory();
        Option<int[]> sizes = Options.Numbers("--sizes", "Bytes of a record's value", 150, 4096);
        Option<int[]> appenders = Options.Numbers("--appenders", "Appenders at a time", 1, 8, 64);
        var command = new Command(
            "log", "Durable appends per second and bytes written for each, against the raw disk and SQLite (WAL, synchronous=FULL)")
        {
            seconds, directory, sizes, appenders,
        };
        command.SetAction(parsed => RunAsync(
            parsed.GetValue(directory), parsed.GetValue(sizes)!, parsed.GetValue(appenders)!, parsed.GetSeconds(seconds)));
        return command;
    }

    private static async Task RunAsync(string? parent, int[] sizes, int[] appenders, TimeSpan time)
    {
        using var work = new WorkDirectory(parent);
        Console.WriteLine(Machine.Describe(work.Path));
        Console.WriteLine("peers        raw: one thread, write + fdatasync into blocks written before, all appenders' records at once;");
        Console.WriteLine("             sqlite: one row per transaction, WAL, synchronous=FULL");
        Console.WriteLine();
        var table = new Table(
            "bytes × appenders", "appends/s", "raw", "ratio", "sqlite", "ratio", "p50 µs", "p99", "raw p50", "sqlite p50",
            "written/append", "at the device", "raw", "sqlite");
        foreach (int size in sizes)
        {
            foreach (int count in appenders)
            {
                Measured ours = await MeasureAsync(work.Path, () => AppendAsync(work.Fresh("log"), size, count, time));
                using var disk = new RawDisk(work.Fresh("raw"), size * count);
                Measured raw = await MeasureAsync(work.Path, () => Task.FromResult(disk.Run(time)));
                Measured sqlite = await MeasureAsync(
                    work.Path, () => Task.FromResult(SqliteAppends.Run(work.Fresh("sqlite"), size, count, time)));
                double rawRate = raw.Rate * count;
                table.Add(
                    $"{size} × {count}", Show.Rate(ours.Rate), Show.Rate(rawRate), Show.Ratio(ours.Rate, rawRate),
                    Show.Rate(sqlite.Rate), Show.Ratio(ours.Rate, sqlite.Rate),
                    Show.Micros(ours.Latencies.Percentile(0.5)), Show.Micros(ours.Latencies.Percentile(0.99)),
                    Show.Micros(raw.Latencies.Percentile(0.5)), Show.Micros(sqlite.Latencies.Percentile(0.5)),
                    Show.Per(ours.Written.ProcessBytes, ours.Count), Show.Per(ours.Written.DeviceBytes, ours.Count),
                    Show.Per(raw.Written.DeviceBytes, raw.Count * count), Show.Per(sqlite.Written.DeviceBytes, sqlite.Count));
            }
        }
        table.Print();
    }

    private static async Task<Measured> MeasureAsync(string directory, Func<Task<(long Count, TimeSpan Elapsed, Histogram Latencies)>> run)
    {
        DiskCounters before = DiskCounters.Read(directory);
        (long count, TimeSpan elapsed, Histogram latencies) = await run();
        return new Measured(count, elapsed, latencies, DiskCounters.Read(directory).Since(before));
    }

    private static async Task<(long Count, TimeSpan Elapsed, Histogram Latencies)> AppendAsync(
        string path, int size, int appenders, TimeSpan time)
    {
        await using LogDirectory directory = LogDirectory.Open(
            new FileStorage(), path, new LogDirectoryOptions(), TimeProvider.System, new Events());
        PartitionLog log = directory.OpenPartition("bench-0", new PartitionLogOptions { SegmentBytes = SegmentBytes });
        using var builder = new RecordBatchBuilder();
        byte[] value = new byte[size];
        Random.Shared.NextBytes(value);
        builder.Add(DateTimeOffset.UtcNow.ToUnixTimeMilliseconds(), "device"u8, value, EncodedHeaders.None);
        byte[] batch = builder.Build(BatchProducer.None).ToArray();
        long start = Stopwatch.GetTimestamp();
        Histogram[] all = await Task.WhenAll(Enumerable.Range(0, appenders).Select(_ => Task.Run(AppendUntilTheEndAsync)));
        TimeSpan elapsed = Stopwatch.GetElapsedTime(start);
        var latencies = new Histogram();
        Array.ForEach(all, latencies.Add);
        return (latencies.Total, elapsed, latencies);

        async Task<Histogram> AppendUntilTheEndAsync()
        {
            var own = new Histogram();
            long now = Stopwatch.GetTimestamp();
            while (Stopwatch.GetElapsedTime(start, now) < time)
            {
                AppendResult appended = log.Append(batch);
                if (appended.Error != AppendError.None)
                {
                    throw new InvalidOperationException($"the log refused an append: {appended.Error} {log.OfflineReason}");
                }
                await log.WaitFlushedAsync(appended);
                long end = Stopwatch.GetTimestamp();
                own.Add(end - now);
                now = end;
                // Trimmed as an edge's log is, so that segments are used again.
                if (appended.LastOffset % KeptRecords == 0)
                {
                    log.AdvanceStart(Math.Max(0, appended.LastOffset - KeptRecords));
                }
            }
            return own;
        }
    }

    private sealed record Measured(long Count, TimeSpan Elapsed, Histogram Latencies, DiskCounters Written)
    {
        public double Rate => Count / Elapsed.TotalSeconds;
    }

    private sealed class Events : ILogEvents
    {
        public void Report(LogEvent what) => Console.Error.WriteLine($"log: {what.Message}");
    }
}
