using System.Globalization;
using System.Net;

namespace Tributary.FirmwareSim;

/// <summary>What a run is to do.</summary>
internal sealed record SimulatorOptions
{
    /// <summary>Most devices of one process.</summary>
    public const int MaxDevices = 100_000;

    /// <summary>Most messages per second of one device.</summary>
    public const double MaxRate = 1_000;

    /// <summary>Longest run, seconds: ten years.</summary>
    public const double MaxSeconds = 10 * 366 * 86_400.0;

    /// <summary>The MQTT broker: host name or address.</summary>
    public required string Host { get; init; }

    /// <summary>Its port.</summary>
    public required int Port { get; init; }

    /// <summary>Number of devices.</summary>
    public required int Devices { get; init; }

    /// <summary>Messages per second of each device.</summary>
    public required double Rate { get; init; }

    /// <summary>How long to run, seconds; null: until it is told to stop.</summary>
    public double? Seconds { get; init; }

    /// <summary>What decides all signals and faults.</summary>
    public int Seed { get; init; } = 1;

    /// <summary>MQTT quality of service, 0 or 1.</summary>
    public int Qos { get; init; } = 1;

    /// <summary>Most connections being opened at once.</summary>
    public int MaxConnecting { get; init; } = 64;

    /// <summary>New devices that connect per second at the start.</summary>
    public double ConnectsPerSecond { get; init; } = 500;

    /// <summary>Time for a connection to be made.</summary>
    public TimeSpan ConnectTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Time at the end in which acknowledgements are still waited for.</summary>
    public TimeSpan DrainLimit { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Splits HOST:PORT, also [ADDRESS]:PORT.</summary>
    public static bool TryParseEndpoint(string text, out string host, out int port)
    {
        int colon = text.LastIndexOf(':');
        host = colon > 0 ? text[..colon].Trim('[', ']') : "";
        port = 0;
        return host.Length > 0
            && (!host.Contains(':') || (text[0] == '[' && IPAddress.TryParse(host, out _)))
            && int.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out port)
            && port is > 0 and <= 65_535;
    }

    /// <summary>What is wrong with the settings, naming the flag; null if nothing is.</summary>
    public string? FindFault()
    {
        if (Devices is < 1 or > MaxDevices)
        {
            return $"--devices is {Devices}; it must be from 1 to {MaxDevices}";
        }
        if (!(Rate > 0 && Rate <= MaxRate))
        {
            return string.Create(CultureInfo.InvariantCulture, $"--rate is {Rate}; it must be above 0 and at most {MaxRate}");
        }
        if (Seconds is { } seconds && !(seconds > 0 && seconds <= MaxSeconds))
        {
            return string.Create(CultureInfo.InvariantCulture, $"--for is {seconds}; it must be above 0 and at most {MaxSeconds}");
        }
        return Qos is 0 or 1 ? null : $"--qos is {Qos}; it must be 0 or 1";
    }
}
