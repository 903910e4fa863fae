using System.Diagnostics;
using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;

namespace Tributary.Benchmarks.Harness;

/// <summary>What figures depend on beside the code.</summary>
internal static class Machine
{
    /// <summary>The machine, the runtime, and the file system that holds a directory.</summary>
    public static string Describe(string directory)
    {
        string build = IsOptimized() ? "" : ", NOT A RELEASE BUILD: the figures say nothing";
        return $"""
            machine      {Environment.ProcessorCount} cores of {Processor()}, {MemoryGibibytes():0.#} GiB
            kernel       {Read("/proc/sys/kernel/osrelease") ?? RuntimeInformation.OSDescription}
            file system  {FileSystem(directory)}
            runtime      {RuntimeInformation.FrameworkDescription}{build}
            """;
    }

    private static bool IsOptimized() =>
        Assembly.GetExecutingAssembly().GetCustomAttribute<DebuggableAttribute>() is not { IsJITOptimizerDisabled: true };

    private static string Processor() =>
        Read("/proc/cpuinfo")?.Split('\n').FirstOrDefault(line => line.StartsWith("model name", StringComparison.Ordinal))
            ?.Split(':', 2)[1].Trim() ?? RuntimeInformation.ProcessArchitecture.ToString();

    private static double MemoryGibibytes()
    {
        string? total = Read("/proc/meminfo")?.Split('\n').FirstOrDefault(line => line.StartsWith("MemTotal:", StringComparison.Ordinal));
        return total is null
            ? 0
            : long.Parse(total.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) / 1048576.0;
    }

    private static string FileSystem(string directory) =>
        Mount.Of(directory) is { } mount ? $"{mount.Type} on {mount.Source} ({mount.Options})" : "unknown";

    private static string? Read(string path) => File.Exists(path) ? File.ReadAllText(path).Trim() : null;
}

/// <summary>A mounted file system, as <c>/proc/self/mountinfo</c> has it.</summary>
internal sealed record Mount(string Device, string Point, string Type, string Source, string Options)
{
    /// <summary>The one that holds a directory; null where there is no such file.</summary>
    public static Mount? Of(string directory)
    {
        const string Table = "/proc/self/mountinfo";
        string path = Path.GetFullPath(directory);
        return File.Exists(Table)
            ? File.ReadLines(Table).Select(Parse).Where(mount => Holds(mount.Point, path)).MaxBy(mount => mount.Point.Length)
            : null;
    }

    private static Mount Parse(string line)
    {
        // 36 35 98:0 /root /point options … - type source super-options
        string[] halves = line.Split(" - ", 2);
        string[] first = halves[0].Split(' ');
        string[] second = halves[1].Split(' ');
        return new Mount(first[2], first[4], second[0], second[1], second[2]);
    }

    private static bool Holds(string point, string path) =>
        point == "/" || path == point || path.StartsWith(point + "/", StringComparison.Ordinal);
}
