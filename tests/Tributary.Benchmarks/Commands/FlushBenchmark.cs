using System.CommandLine;
using System.Diagnostics;
using Tributary.Benchmarks.Harness;
using Tributary.Benchmarks.Peers;

namespace Tributary.Benchmarks.Commands;

/// <summary>
/// What a round of group commit over several dirty files costs, by the way to make them durable: <c>fdatasync</c> of each, the same after
/// the kernel was told to begin writing all of them, or one <c>syncfs</c>. Into files whose blocks were written before (recycled segments)
/// and into files that grow. It decides what the writer thread does.
/// </summary>
internal static class FlushBenchmark
{
    private const int WriteBytes = 4096;
    private const int RecycledBytes = 1 << 20;

    public static Command Create()
    {
        Option<double> seconds = Options.Seconds(1);
        Option<string?> directory = Options.Directory();
        Option<int[]> counts = Options.Numbers("--files", "Dirty files in each round", 1, 2, 4, 8, 16, 64);
        var command = new Command("flush", "Rounds per second over several dirty files: fdatasync of each against syncfs") { seconds, directory, counts };
        command.SetAction(parsed => Run(parsed.GetValue(directory), parsed.GetValue(counts)!, parsed.GetSeconds(seconds)));
        return command;
    }

    private static void Run(string? parent, int[] counts, TimeSpan time)
    {
        using var work = new WorkDirectory(parent);
        Console.WriteLine(Machine.Describe(work.Path));
        Console.WriteLine($"each round   {WriteBytes} bytes to each file, then all of them durable; rounds per second");
        Console.WriteLine();
        var table = new Table("files", "fdatasync each", "begun, then each", "ratio", "syncfs", "ratio");
        foreach (bool isRecycled in (bool[])[true, false])
        {
            foreach (int count in counts)
            {
                double each = Rate(work, count, isRecycled, DirtyFiles.FlushEach, time);
                double begun = Rate(work, count, isRecycled, DirtyFiles.BeginThenFlushEach, time);
                double whole = Rate(work, count, isRecycled, DirtyFiles.FlushFileSystem, time);
                table.Add(
                    $"{count} {(isRecycled ? "recycled" : "growing")}", Show.Rate(each), Show.Rate(begun), Show.Ratio(begun, each),
                    Show.Rate(whole), Show.Ratio(whole, each));
            }
        }
        table.Print();
    }

    private static double Rate(WorkDirectory work, int count, bool isRecycled, Action<DirtyFiles> flush, TimeSpan time)
    {
        using var files = new DirtyFiles(work.Fresh("files"), count, isRecycled ? RecycledBytes : 0);
        long rounds = 0;
        long start = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(start) < time)
        {
            files.Write(WriteBytes);
            flush(files);
            rounds++;
        }
        return rounds / Stopwatch.GetElapsedTime(start).TotalSeconds;
    }
}
