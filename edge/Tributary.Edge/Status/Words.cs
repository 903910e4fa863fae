using System.Globalization;

namespace Tributary.Edge.Status;

/// <summary>Numbers as people read them. Pure.</summary>
internal static class Words
{
    private const int Kilo = 1024;
    private static readonly string[] Units = ["bytes", "KiB", "MiB", "GiB", "TiB"];

    /// <summary>A count, its thousands separated by commas.</summary>
    public static string Count(long count) => count.ToString("N0", CultureInfo.InvariantCulture);

    /// <summary>A count of things, as one or as several.</summary>
    public static string Count(long count, string thing) => $"{Count(count)} {thing}{(count == 1 ? "" : "s")}";

    /// <summary>How many each second: with a decimal below ten.</summary>
    public static string Rate(double rate) => rate.ToString(rate is > 0 and < 10 ? "0.0" : "N0", CultureInfo.InvariantCulture);

    /// <summary>Bytes in the unit of which there are fewest.</summary>
    public static string Bytes(double bytes)
    {
        int unit = 0;
        while (bytes >= Kilo && unit < Units.Length - 1)
        {
            bytes /= Kilo;
            unit++;
        }
        return $"{bytes.ToString(unit > 0 && bytes < 100 ? "0.0" : "0", CultureInfo.InvariantCulture)} {Units[unit]}";
    }

    /// <summary>A duration in its two largest units.</summary>
    public static string Duration(double seconds)
    {
        TimeSpan time = TimeSpan.FromSeconds(Math.Clamp(seconds, 0, TimeSpan.MaxValue.TotalSeconds / 2));
        return time switch
        {
            { TotalSeconds: < 10 } => string.Create(CultureInfo.InvariantCulture, $"{time.TotalSeconds:0.0} s"),
            { TotalMinutes: < 1 } => $"{time.Seconds} s",
            { TotalHours: < 1 } => $"{time.Minutes} min {time.Seconds} s",
            { TotalDays: < 1 } => $"{time.Hours} h {time.Minutes} min",
            _ => $"{Count((long)time.TotalDays)} d {time.Hours} h",
        };
    }

    /// <summary>How long ago something was, and when.</summary>
    public static string Ago(DateTimeOffset at, DateTimeOffset now) => string.Create(
        CultureInfo.InvariantCulture, $"{Duration(Math.Max(0, (now - at).TotalSeconds))} ago ({at.UtcDateTime:yyyy-MM-dd HH:mm:ss} UTC)");
}
