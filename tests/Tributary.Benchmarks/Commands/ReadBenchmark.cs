using System.CommandLine;
using System.Diagnostics;
using Microsoft.Win32.SafeHandles;
using Tributary.Benchmarks.Harness;
using Tributary.Benchmarks.Load;
using Tributary.Log;
using Tributary.Log.Storage;

namespace Tributary.Benchmarks.Commands;

/// <summary>
/// Reading a log from its start to its end, as a consumer that catches up does, from the page cache. Against <c>pread</c> of the same
/// files in pieces of the same size.
/// </summary>
internal static class ReadBenchmark
{
    private const int SegmentBytes = 64 << 20;
    private const int BatchBytes = 16 << 10;
    private const int Turns = 40;

    public static Command Create()
    {
        Option<string?> directory = Options.Directory();
        Option<int> mebibytes = Options.Value("--mib", "Size of the log in MiB", 256);
        Option<int[]> sizes = Options.Numbers("--sizes", "Bytes of a read", 64 << 10, 1 << 20);
        var command = new Command("read", "Bytes per second of reading a log in order, against pread of its files") { directory, mebibytes, sizes };
        command.SetAction(parsed => RunAsync(parsed.GetValue(directory), parsed.GetValue(mebibytes), parsed.GetValue(sizes)!));
        return command;
    }

    private static async Task RunAsync(string? parent, int mebibytes, int[] sizes)
    {
        using var work = new WorkDirectory(parent);
        Console.WriteLine(Machine.Describe(work.Path));
        Console.WriteLine($"peer         raw: pread of the segment files into one buffer; medians of {Turns} turns, one after the other by turns");
        Console.WriteLine();
        string path = work.Fresh("log");
        var options = new PartitionLogOptions { SegmentBytes = SegmentBytes };
        await FillAsync(path, options, (long)mebibytes << 20);
        await using LogDirectory directory = LogDirectory.Open(
            new FileStorage(), path, new LogDirectoryOptions(), TimeProvider.System, new Events());
        PartitionLog log = directory.OpenPartition("bench-0", options);
        var table = new Table("bytes of a read", "MiB/s", "raw", "ratio");
        foreach (int size in sizes)
        {
            double[] ours = new double[Turns];
            double[] raw = new double[Turns];
            for (int turn = 0; turn < Turns; turn++)
            {
                ours[turn] = Rate(() => ReadLog(log, size));
                raw[turn] = Rate(() => ReadFiles($"{path}/bench-0", size));
            }
            double[] ratios = [.. ours.Zip(raw, (our, their) => our / their)];
            table.Add($"{size}", Show.Rate(Show.Median(ours)), Show.Rate(Show.Median(raw)), Show.Ratio(Show.Median(ratios), 1));
        }
        table.Print();
    }

    /// <summary>MiB per second.</summary>
    private static double Rate(Func<long> read)
    {
        long start = Stopwatch.GetTimestamp();
        long bytes = read();
        return bytes / (double)(1 << 20) / Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private static async Task FillAsync(string path, PartitionLogOptions options, long bytes)
    {
        await using LogDirectory directory = LogDirectory.Open(
            new FileStorage(), path, new LogDirectoryOptions(), TimeProvider.System, new Events());
        PartitionLog log = directory.OpenPartition("bench-0", options);
        byte[] batch = SampleBatch.OfSize(BatchBytes);
        AppendResult last = default;
        for (long at = 0; at < bytes; at += batch.Length)
        {
            await directory.WaitForRoomAsync(CancellationToken.None);
            last = log.Append(batch);
        }
        await log.WaitFlushedAsync(last);
    }

    private static long ReadLog(PartitionLog log, int size)
    {
        long bytes = 0;
        for (long offset = log.StartOffset; offset < log.FlushedEnd;)
        {
            using LogRead read = log.Read(offset, size, long.MaxValue);
            bytes += read.Size;
            offset = read.NextOffset;
        }
        return bytes;
    }

    private static long ReadFiles(string directory, int size)
    {
        byte[] buffer = new byte[size];
        long bytes = 0;
        foreach (string file in Directory.GetFiles(directory).Where(file => Path.GetFileName(file).All(char.IsAsciiDigit)).Order())
        {
            using SafeFileHandle handle = File.OpenHandle(file);
            int read;
            for (long at = 0; (read = RandomAccess.Read(handle, buffer, at)) > 0; at += read)
            {
                bytes += read;
            }
        }
        return bytes;
    }

    private sealed class Events : ILogEvents
    {
        public void Report(LogEvent what) => Console.Error.WriteLine($"log: {what.Message}");
    }
}
