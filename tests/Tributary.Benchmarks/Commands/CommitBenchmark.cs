using System.CommandLine;
using System.Diagnostics;
using Tributary.Benchmarks.Harness;
using Tributary.Benchmarks.Load;
using Tributary.Benchmarks.Peers;
using Tributary.Log;
using Tributary.Log.Storage;

namespace Tributary.Benchmarks.Commands;

/// <summary>
/// Group commit at its limit: batches are appended on the writer thread, as an edge's are, so many to each flush, and the log is trimmed
/// as it grows. Against the disk alone, which writes and flushes the same bytes. Both after their first lap: into blocks written before.
/// </summary>
internal static class CommitBenchmark
{
    private const int SegmentBytes = 64 << 20;
    private const long FirstLapBytes = 4L * SegmentBytes;
    private const int Turns = 15;

    public static Command Create()
    {
        Option<double> seconds = Options.Seconds(0.4);
        Option<string?> directory = Options.Directory();
        Option<int[]> sizes = Options.Numbers("--sizes", "Bytes of a batch", 4096, 65536);
        Option<int[]> groups = Options.Numbers("--groups", "Batches in each flush", 1, 16);
        var command = new Command("commit", "Flushes per second of group commit and bytes written for each, against the raw disk")
        {
            seconds, directory, sizes, groups,
        };
        command.SetAction(parsed => RunAsync(
            parsed.GetValue(directory), parsed.GetValue(sizes)!, parsed.GetValue(groups)!, parsed.GetSeconds(seconds)));
        return command;
    }

    private static async Task RunAsync(string? parent, int[] sizes, int[] groups, TimeSpan time)
    {
        using var work = new WorkDirectory(parent);
        Console.WriteLine(Machine.Describe(work.Path));
        Console.WriteLine($"peer         raw: one thread, write + fdatasync of the same bytes; {Turns} turns each, by turns; ratio: their median");
        Console.WriteLine();
        var table = new Table("bytes × batches", "flushes/s", "raw", "ratio", "MiB/s", "device bytes/byte", "raw");
        foreach (int size in sizes)
        {
            foreach (int group in groups)
            {
                using var disk = new RawDisk(work.Fresh("raw"), size * group);
                await using var pump = new Pump(work.Fresh("log"), size, group);
                await pump.RunAsync(FirstLapBytes / (size * group), TimeSpan.MaxValue);
                Measured ours = default;
                Measured raw = default;
                double[] ratios = new double[Turns];
                for (int turn = 0; turn < Turns; turn++)
                {
                    DiskCounters before = DiskCounters.Read(work.Path);
                    (long flushes, TimeSpan elapsed) = await pump.RunAsync(long.MaxValue, time);
                    ours = ours.Plus(flushes, elapsed, DiskCounters.Read(work.Path).Since(before));
                    before = DiskCounters.Read(work.Path);
                    double rate = flushes / elapsed.TotalSeconds;
                    (flushes, elapsed, _) = disk.Run(time);
                    ratios[turn] = rate / (flushes / elapsed.TotalSeconds);
                    raw = raw.Plus(flushes, elapsed, DiskCounters.Read(work.Path).Since(before));
                }
                table.Add(
                    $"{size} × {group}", Show.Rate(ours.Rate), Show.Rate(raw.Rate), Show.Ratio(Show.Median(ratios), 1),
                    Show.Mebibytes(ours.Rate * size * group), Show.Ratio(ours.DeviceBytes, (double)ours.Flushes * size * group),
                    Show.Ratio(raw.DeviceBytes, (double)raw.Flushes * size * group));
            }
        }
        table.Print();
    }

    private readonly record struct Measured(long Flushes, TimeSpan Elapsed, double DeviceBytes)
    {
        public double Rate => Flushes / Elapsed.TotalSeconds;

        public Measured Plus(long flushes, TimeSpan elapsed, DiskCounters written) =>
            new(Flushes + flushes, Elapsed + elapsed, DeviceBytes + written.DeviceBytes);
    }

    /// <summary>Appends a group, waits for its flush, and appends the next.</summary>
    private sealed class Pump : IAppendSource, ILogListener, ILogEvents, IAsyncDisposable
    {
        private const int KeptSegments = 1;
        private readonly int _group;
        private readonly byte[] _batch;
        private readonly LogDirectory _directory;
        private readonly PartitionLog _log;
        private TaskCompletionSource _done = new();
        private long _left;
        private long _flushes;
        private long _start;
        private TimeSpan _time;

        public Pump(string path, int size, int group)
        {
            _group = group;
            _batch = SampleBatch.OfSize(size);
            _directory = LogDirectory.Open(new FileStorage(), path, new LogDirectoryOptions(), TimeProvider.System, this);
            _log = _directory.OpenPartition("bench-0", new PartitionLogOptions { SegmentBytes = SegmentBytes });
            _log.Subscribe(this);
        }

        public async Task<(long Flushes, TimeSpan Elapsed)> RunAsync(long flushes, TimeSpan time)
        {
            _done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            (_left, _flushes, _time) = (flushes, 0, time);
            _start = Stopwatch.GetTimestamp();
            _directory.Schedule(this);
            await _done.Task;
            return (_flushes, Stopwatch.GetElapsedTime(_start));
        }

        public void AppendPending()
        {
            for (int i = 0; i < _group; i++)
            {
                if (_log.Append(_batch).Error is var error && error != AppendError.None)
                {
                    _done.TrySetException(new InvalidOperationException($"the log refused an append: {error} {_log.OfflineReason}"));
                    return;
                }
            }
        }

        public void OnFlushed(PartitionLog log, long flushedEnd)
        {
            // A segment that is full is flushed in the middle of a group.
            if (flushedEnd < log.AppendedEnd)
            {
                return;
            }
            _flushes++;
            log.AdvanceStart(Math.Max(flushedEnd - ((long)KeptSegments * SegmentBytes / _batch.Length), 0));
            if (--_left <= 0 || Stopwatch.GetElapsedTime(_start) >= _time)
            {
                _done.TrySetResult();
            }
            else
            {
                _directory.Schedule(this);
            }
        }

        public void OnFailed(PartitionLog log, long fromOffset, Exception reason) => _done.TrySetException(reason);

        public void Report(LogEvent what) => Console.Error.WriteLine($"log: {what.Message}");

        public ValueTask DisposeAsync() => _directory.DisposeAsync();
    }
}
