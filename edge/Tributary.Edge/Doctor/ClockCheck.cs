using System.Globalization;
using Tributary.Edge.Clock;

namespace Tributary.Edge.Doctor;

/// <summary>The clock on the wall: records, certificates and schedules go by it.</summary>
internal static class ClockCheck
{
    private const string Check = "clock";
    private const string Remedy = "let a time server set it (chrony, systemd-timesyncd), and see that its port 123 can be reached";

    /// <summary>How far file times and clock may differ.</summary>
    private static readonly TimeSpan Tolerance = TimeSpan.FromMinutes(1);

    /// <summary>Looks.</summary>
    /// <param name="findings">Where it is said.</param>
    /// <param name="data">The data directory, null if there is none.</param>
    /// <param name="time">All time.</param>
    public static void Run(Findings findings, string? data, TimeProvider time)
    {
        DateTimeOffset now = time.GetUtcNow();
        string says = string.Create(CultureInfo.InvariantCulture, $"it says {now:yyyy-MM-dd HH:mm:ss} UTC");
        DateTimeOffset? newest = data is not null && Directory.Exists(data) ? Newest(data) : null;
        if (now < ClockTrust.Earliest)
        {
            findings.Fail(Check, $"{says}, which can't be", Remedy);
        }
        else if (newest is { } written && now < written - Tolerance)
        {
            findings.Fail(Check, string.Create(CultureInfo.InvariantCulture, $"{says}, and files of the data directory are of {written:yyyy-MM-dd HH:mm:ss} UTC"), Remedy);
        }
        else if (new SystemClocks().Read().IsSynchronized == false)
        {
            findings.Warn(Check, $"{says}; the kernel knows of no time server that sets it", Remedy);
        }
        else
        {
            findings.Ok(Check, says);
        }
    }

    private static DateTimeOffset? Newest(string directory)
    {
        DateTime? newest = null;
        try
        {
            foreach (FileInfo file in new DirectoryInfo(directory).EnumerateFiles("*", SearchOption.AllDirectories))
            {
                newest = newest is { } at && at > file.LastWriteTimeUtc ? at : file.LastWriteTimeUtc;
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // What can't be read is told of the data directory.
        }
        return newest is { } found ? new DateTimeOffset(found, TimeSpan.Zero) : null;
    }
}
