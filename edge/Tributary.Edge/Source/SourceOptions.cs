using System.Text;
using Tributary.Edge.Mqtt.Protocol;

namespace Tributary.Edge.Source;

/// <summary>Which version of MQTT the agent speaks to the broker that is there.</summary>
internal enum SourceProtocol
{
    /// <summary>MQTT 5.</summary>
    V5,

    /// <summary>MQTT 3.1.1, for brokers that know no other.</summary>
    V311,
}

/// <summary>
/// Settings under <c>source:</c>: a broker that is already there, to which the agent subscribes instead of being one.
/// <see cref="Validate"/> is called once, at start.
/// </summary>
internal sealed record SourceOptions
{
    /// <summary>Most filters.</summary>
    public const int MaxFilters = 1_000;

    private const int MaxFilterBytes = 65_535;
    private const int MaxClientIdBytes = 256;

    /// <summary>Name or address of the broker.</summary>
    public required string Host { get; init; }

    /// <summary>Its port.</summary>
    public required int Port { get; init; }

    /// <summary>What to subscribe to.</summary>
    public IReadOnlyList<string> Filters { get; init; } = ["#"];

    /// <summary>
    /// The client identifier, to which the broker keeps the session: it must stay the same, and nobody else may have it.
    /// </summary>
    public required string ClientId { get; init; }

    /// <summary>Name of a group that shares the messages (MQTT 5, 4.8.2); null for a subscription of its own.</summary>
    public string? SharedGroup { get; init; }

    /// <summary>Version of MQTT.</summary>
    public SourceProtocol Protocol { get; init; } = SourceProtocol.V5;

    /// <summary>User name; null for none.</summary>
    public string? User { get; init; }

    /// <summary>Path of a file with the password; null for none.</summary>
    public string? PasswordFile { get; init; }

    /// <summary>Whether to connect by TLS.</summary>
    public bool Tls { get; init; }

    /// <summary>Path of a PEM file with the certificates that the broker's may be signed by; null: those of the system.</summary>
    public string? CaFile { get; init; }

    /// <summary>Path of a PEM file with the agent's own certificate; null for none.</summary>
    public string? CertificateFile { get; init; }

    /// <summary>Path of a PEM file with its key.</summary>
    public string? KeyFile { get; init; }

    /// <summary>How long the broker keeps the session, and what comes meanwhile, while the agent is away (MQTT 5).</summary>
    public TimeSpan SessionExpiry { get; init; } = TimeSpan.FromDays(7);

    /// <summary>Messages that the broker is asked to have under way at most (MQTT 5: Receive Maximum).</summary>
    public int MaxInFlight { get; init; } = 1_000;

    /// <summary>Bytes of messages that are not acknowledged, beyond which the connection isn't read: not every broker keeps to a number.</summary>
    public long MaxPendingBytes { get; init; } = 16 << 20;

    /// <summary>Largest packet, bytes (MQTT 5: Maximum Packet Size).</summary>
    public int MaxPacketBytes { get; init; } = 1 << 20;

    /// <summary>Time after which a quiet connection is tried.</summary>
    public TimeSpan KeepAlive { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Time that connecting, subscribing and each ping may take.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Bound of the first wait after a failure.</summary>
    public TimeSpan FirstBackoff { get; init; } = TimeSpan.FromMilliseconds(500);

    /// <summary>Bound of the longest wait after a failure.</summary>
    public TimeSpan MaxBackoff { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>What it subscribes to, as it goes over the wire.</summary>
    public IEnumerable<string> WireFilters => SharedGroup is null ? Filters : Filters.Select(filter => $"$share/{SharedGroup}/{filter}");

    /// <summary>Checks every setting.</summary>
    /// <exception cref="ArgumentException">One is out of range; the message names it and says what it may be.</exception>
    public SourceOptions Validate()
    {
        Settings.Check(Filters.Count is > 0 and <= MaxFilters, "source:filters", $"must have 1 to {MaxFilters} topic filters");
        foreach (string filter in Filters)
        {
            byte[] bytes = Encoding.UTF8.GetBytes(filter);
            Settings.Check(
                bytes.Length <= MaxFilterBytes && !filter.Any(char.IsControl) && TopicRules.IsFilter(bytes), "source:filters",
                $"has '{filter}', which is no topic filter: + and # stand alone in their levels, and # in the last one");
            Settings.Check(
                !TopicRules.IsShared(bytes), "source:filters", $"has '{filter}': the group of a shared subscription is the setting source:sharedGroup");
        }
        Settings.Check(
            ClientId.Length > 0 && Encoding.UTF8.GetByteCount(ClientId) <= MaxClientIdBytes && !ClientId.Any(char.IsControl), "source:clientId",
            $"must have 1 to {MaxClientIdBytes} bytes and no control characters");
        Settings.Check(
            SharedGroup is null || (SharedGroup.Length > 0 && SharedGroup.AsSpan().IndexOfAny("/+#") < 0), "source:sharedGroup",
            "must not be empty or have any of / + #");
        Settings.Check(
            SharedGroup is null || Protocol == SourceProtocol.V5, "source:sharedGroup", "needs MQTT 5 (source:protocol)");
        Settings.Check(PasswordFile is null || User is not null, "source:passwordFile", "needs source:user");
        Settings.Check(Tls || (CaFile ?? CertificateFile ?? KeyFile) is null, "source:tls", "must be true with source:caFile, certificateFile or keyFile");
        Settings.Check((CertificateFile is null) == (KeyFile is null), "source:certificateFile", "and source:keyFile go together");
        Settings.Range("source:sessionExpiry", SessionExpiry, TimeSpan.FromMinutes(1), TimeSpan.FromDays(3_650));
        Settings.Range("source:maxInFlight", MaxInFlight, 1, ushort.MaxValue);
        Settings.Range("source:maxPendingBytes", MaxPendingBytes, 64 << 10, 1L << 30);
        Settings.Range("source:maxPacketBytes", MaxPacketBytes, 1 << 10, 16 << 20);
        Settings.Range("source:keepAlive", KeepAlive, TimeSpan.FromSeconds(1), TimeSpan.FromHours(18));
        Settings.Range("source:timeout", Timeout, TimeSpan.FromMilliseconds(100), TimeSpan.FromMinutes(10));
        Settings.Range("source:firstBackoff", FirstBackoff, TimeSpan.FromMilliseconds(1), TimeSpan.FromHours(1));
        Settings.Range("source:maxBackoff", MaxBackoff, FirstBackoff, TimeSpan.FromDays(1));
        return this;
    }
}
