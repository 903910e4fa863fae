using System.Globalization;
using Microsoft.Extensions.Logging;

namespace Tributary.Cloud.Cli;

/// <summary>One thing that can be set.</summary>
/// <param name="Name">Its name in the file, with <c>:</c> between levels. Upper and lower case, '-', '_' and '.' make no
/// difference.</param>
/// <param name="Argument">What its value is, for the help.</param>
/// <param name="Help">What it means, for the help.</param>
/// <param name="Apply">Sets it; throws <see cref="FormatException"/> with a rule when the value can't be.</param>
internal sealed record Setting(string Name, string Argument, string Help, Func<CloudOptions, string, CloudOptions> Apply)
{
    /// <summary>Its flag, null if it is set by <c>--set</c> only.</summary>
    public string? Flag { get; init; }

    /// <summary>Kafka's name of the broker config with the same meaning, which may be used instead; null if there is none.</summary>
    public string? KafkaName { get; init; }

    /// <summary>Whether users may call it so.</summary>
    public bool IsCalled(string name)
    {
        string plain = Plain(name);
        return plain == Plain(Name) || (KafkaName is not null && (plain == Plain(KafkaName) || plain == "broker:" + Plain(KafkaName)));
    }

    /// <summary>Reads a whole number.</summary>
    public static int Int32(string value) => int.TryParse(
        value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int number)
        ? number
        : throw new FormatException("must be a whole number below 2^31");

    /// <summary>Reads a whole number.</summary>
    public static long Int64(string value) => long.TryParse(
        value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long number)
        ? number
        : throw new FormatException("must be a whole number");

    /// <summary>Reads a number of milliseconds.</summary>
    public static TimeSpan Milliseconds(string value) => Int64(value) is >= 0 and <= long.MaxValue / TimeSpan.TicksPerMillisecond and var milliseconds
        ? TimeSpan.FromMilliseconds(milliseconds)
        : throw new FormatException("must be a number of milliseconds");

    /// <summary>Reads true or false.</summary>
    public static bool Boolean(string value) =>
        bool.TryParse(value, out bool truth) ? truth : throw new FormatException("must be true or false");

    /// <summary>Reads HOST:PORT.</summary>
    public static HostPort Address(string value) =>
        HostPort.TryParse(value, out HostPort address) ? address : throw new FormatException("must be HOST:PORT");

    /// <summary>Reads a level of logging.</summary>
    public static LogLevel Level(string value) => Enum.TryParse(value, ignoreCase: true, out LogLevel level) && Enum.IsDefined(level)
        ? level
        : throw new FormatException("must be trace, debug, information, warning, error, critical or none");

    private static string Plain(string name) =>
        name.Replace("-", "", StringComparison.Ordinal).Replace("_", "", StringComparison.Ordinal).Replace(
            ".", "", StringComparison.Ordinal)
            .ToLowerInvariant();
}
