using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace Tributary.Cloud;

/// <summary>A host, by name or address, and a port. IPv6 addresses are written in brackets.</summary>
internal readonly record struct HostPort(string Host, int Port)
{
    private const int MaxPort = 65_535;

    /// <summary>Reads HOST:PORT.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, out HostPort value)
    {
        value = default;
        int colon = text?.LastIndexOf(':') ?? -1;
        if (colon <= 0)
        {
            return false;
        }
        string host = text![..colon];
        bool isBracketed = host.StartsWith('[') && host.EndsWith(']');
        host = isBracketed ? host[1..^1] : host;
        if (host.Length == 0 || (!isBracketed && host.Contains(':')) || host.Any(char.IsWhiteSpace)
            || !int.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out int port) || port > MaxPort)
        {
            return false;
        }
        value = new HostPort(host, port);
        return true;
    }

    /// <inheritdoc/>
    public override string ToString() => Host.Contains(':') ? $"[{Host}]:{Port}" : $"{Host}:{Port}";
}
