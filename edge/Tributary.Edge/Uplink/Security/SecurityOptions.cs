using System.Text;

namespace Tributary.Edge.Uplink.Security;

/// <summary>A text that no log, status or error shows.</summary>
/// <param name="text">The text.</param>
internal sealed class Secret(string text)
{
    /// <summary>The text itself, to be sent and for nothing else.</summary>
    public string Reveal() => text;

    /// <inheritdoc/>
    public override string ToString() => "(secret)";
}

/// <summary>Settings under <c>uplink:tls:</c>, if it is enabled.</summary>
internal sealed record UplinkTlsOptions
{
    /// <summary>Path of a PEM file with the authorities that the nodes' certificates may be signed by; null: those of the system.</summary>
    public string? CaFile { get; init; }

    /// <summary>Path of a PEM file with the agent's own certificate, and those between it and its root; null for none.</summary>
    public string? CertificateFile { get; init; }

    /// <summary>Path of a PEM file with its key, not encrypted.</summary>
    public string? KeyFile { get; init; }

    /// <summary>
    /// The name that the nodes' certificates must be for, also told in the handshake (SNI, RFC 6066, 3); null: the host that is connected to.
    /// </summary>
    public string? ServerName { get; init; }

    /// <summary>Checks every setting.</summary>
    /// <exception cref="ArgumentException">One can't be; the message names it.</exception>
    public UplinkTlsOptions Validate()
    {
        Settings.Check((CertificateFile is null) == (KeyFile is null), "uplink:tls:certificateFile", "and uplink:tls:keyFile go together");
        Settings.Check(
            ServerName is null || (ServerName.Length is > 0 and <= 255 && !ServerName.Any(c => char.IsWhiteSpace(c) || c is ':' or '/')),
            "uplink:tls:serverName", "must be a host name, without port");
        return this;
    }
}

/// <summary>How the agent tells the cluster who it is.</summary>
internal enum SaslMechanism
{
    /// <summary>Not by SASL.</summary>
    None,

    /// <summary>The password itself (RFC 4616).</summary>
    Plain,

    /// <summary>A proof of knowing it, with SHA-256 (RFC 5802, RFC 7677).</summary>
    ScramSha256,

    /// <summary>The same with SHA-512.</summary>
    ScramSha512,
}

/// <summary>Settings under <c>uplink:sasl:</c>, if there is a mechanism.</summary>
internal sealed record UplinkSaslOptions
{
    private const int MaxNameBytes = 1024;
    private const int MaxPasswordBytes = 64 << 10;

    /// <summary>The mechanism.</summary>
    public required SaslMechanism Mechanism { get; init; }

    /// <summary>Who the agent is.</summary>
    public required string Username { get; init; }

    /// <summary>Path of a file with the password, which is read for each connection; null if it is in <see cref="Password"/>.</summary>
    public string? PasswordFile { get; init; }

    /// <summary>The password, from the environment.</summary>
    public Secret? Password { get; init; }

    /// <summary>Whether the password itself may go over a connection without TLS.</summary>
    public bool AllowPlaintext { get; init; }

    /// <summary>The mechanism's name as it is registered.</summary>
    public string MechanismName => Mechanism switch
    {
        SaslMechanism.ScramSha256 => "SCRAM-SHA-256",
        SaslMechanism.ScramSha512 => "SCRAM-SHA-512",
        _ => "PLAIN",
    };

    /// <summary>Checks every setting.</summary>
    /// <exception cref="ArgumentException">One can't be; the message names it.</exception>
    public UplinkSaslOptions Validate(bool hasTls)
    {
        Settings.Check(
            Username.Length > 0 && Encoding.UTF8.GetByteCount(Username) <= MaxNameBytes && !Username.Any(char.IsControl), "uplink:sasl:username",
            $"must have 1 to {MaxNameBytes} bytes and no control characters");
        Settings.Check(
            (PasswordFile is null) != (Password is null), "uplink:sasl:passwordFile",
            "is needed, or the environment variable TRIBUTARY__UPLINK__SASL__PASSWORD, and only one of them");
        Settings.Check(
            hasTls || Mechanism != SaslMechanism.Plain || AllowPlaintext, "uplink:sasl:mechanism",
            "is plain, which sends the password itself: set uplink:tls:enabled, or take a SCRAM mechanism, or set uplink:sasl:allowPlaintext to let everybody on the way read it");
        return this;
    }

    /// <summary>The password's bytes in UTF-8, without a line end of the file.</summary>
    /// <exception cref="CloudException">The file can't be read; the message names the setting.</exception>
    public byte[] ReadPassword()
    {
        if (PasswordFile is not { } path)
        {
            return Encoding.UTF8.GetBytes(Password!.Reveal());
        }
        try
        {
            if (new FileInfo(path) is { Exists: true, Length: > MaxPasswordBytes })
            {
                throw new IOException($"it has more than {MaxPasswordBytes} bytes");
            }
            ReadOnlySpan<byte> bytes = File.ReadAllBytes(path);
            bytes = bytes.TrimEnd("\r\n"u8); // as editors end a line
            return bytes.Length > 0 && !bytes.Contains((byte)0) ? bytes.ToArray() : throw new IOException("there is no password in it");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CloudException($"the file {path} (setting uplink:sasl:passwordFile) can't be used: {e.Message}", e);
        }
    }
}
