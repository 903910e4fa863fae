namespace Tributary.Edge.Uplink.Security;

/// <summary>Tells by its first bytes what is at a port that does not speak what it should.</summary>
internal static class OtherProtocol
{
    /// <summary>Bytes that are looked at.</summary>
    public const int Bytes = 8;

    /// <summary>What is there and what to set, in a sentence.</summary>
    /// <param name="first">The first bytes that it sent.</param>
    /// <param name="isTls">Whether they came where the answer to a TLS handshake was due, rather than a response of Kafka's protocol.</param>
    /// <returns>Null if it can't be told.</returns>
    public static string? Explain(ReadOnlySpan<byte> first, bool isTls)
    {
        if (first.StartsWith("HTTP/"u8) || first.StartsWith("HTTP"u8) || first.StartsWith("<!"u8) || first.StartsWith("<htm"u8))
        {
            return "a web server answers there: set 'cloud' to the port of the Kafka listener";
        }
        if (first.StartsWith("SSH-"u8))
        {
            return "an SSH server answers there: set 'cloud' to the port of the Kafka listener";
        }
        // A TLS record, of an alert or a handshake, of version 3.x (RFC 8446, 5.1).
        bool isRecord = first.Length >= 2 && first[0] is 0x15 or 0x16 && first[1] == 0x03;
        if (isRecord)
        {
            return isTls ? null : "it speaks TLS there: set uplink:tls:enabled to true, or 'cloud' to a port without TLS";
        }
        return isTls && first.Length >= 2 ? "it does not speak TLS there: set uplink:tls:enabled to false, or 'cloud' to the port of a listener with TLS" : null;
    }
}
