using System.Globalization;

namespace Tributary.Benchmarks.Harness;

/// <summary>
/// Bytes written so far: what this process handed to the kernel for the disk (<c>/proc/self/io</c>), and what the device took, the file
/// system's journal included (<c>/proc/diskstats</c>; other programs' too). −1 where it can't be known.
/// </summary>
internal readonly record struct DiskCounters(long ProcessBytes, long DeviceBytes)
{
    private const int SectorBytes = 512;
    private const int SectorsWritten = 9;

    /// <summary>As they stand now, for the device that holds a directory.</summary>
    public static DiskCounters Read(string directory) => new(ReadProcess(), ReadDevice(directory));

    /// <summary>What was written since.</summary>
    public DiskCounters Since(DiskCounters before) => new(
        ProcessBytes < 0 || before.ProcessBytes < 0 ? -1 : ProcessBytes - before.ProcessBytes,
        DeviceBytes < 0 || before.DeviceBytes < 0 ? -1 : DeviceBytes - before.DeviceBytes);

    private static long ReadProcess()
    {
        const string Counters = "/proc/self/io";
        const string Written = "write_bytes: ";
        string? line = File.Exists(Counters)
            ? File.ReadLines(Counters).FirstOrDefault(line => line.StartsWith(Written, StringComparison.Ordinal))
            : null;
        return line is null ? -1 : long.Parse(line.AsSpan(Written.Length), CultureInfo.InvariantCulture);
    }

    private static long ReadDevice(string directory)
    {
        const string Counters = "/proc/diskstats";
        if (!File.Exists(Counters) || Mount.Of(directory) is not { } mount)
        {
            return -1;
        }
        string[]? fields = File.ReadLines(Counters).Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries))
            .FirstOrDefault(fields => $"{fields[0]}:{fields[1]}" == mount.Device);
        return fields is null ? -1 : long.Parse(fields[SectorsWritten], CultureInfo.InvariantCulture) * SectorBytes;
    }
}
