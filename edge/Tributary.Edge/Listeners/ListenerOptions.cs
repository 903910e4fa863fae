using System.Net;

namespace Tributary.Edge.Listeners;

/// <summary>Where clients connect, and what they need to.</summary>
internal sealed record ListenerOptions
{
    /// <summary>MQTT over TCP; null for none, where the agent takes its messages from a broker that is there.</summary>
    public required IPEndPoint? Mqtt { get; init; }

    /// <summary>MQTT over TLS, null for none.</summary>
    public IPEndPoint? Mqtts { get; init; }

    /// <summary>MQTT over WebSocket, null for none.</summary>
    public IPEndPoint? Ws { get; init; }

    /// <summary>MQTT over WebSocket over TLS, null for none.</summary>
    public IPEndPoint? Wss { get; init; }

    /// <summary>Certificates of the two with TLS, null if there is none of them.</summary>
    public TlsOptions? Tls { get; init; }

    /// <summary>The users file, null if nobody is asked for a password.</summary>
    public string? UsersFile { get; init; }

    /// <summary>Whether clients may come in without a name on addresses beyond loopback too.</summary>
    public bool AllowAnonymous { get; init; }

    /// <summary>Whether addresses beyond loopback may be served without TLS.</summary>
    public bool AllowPlaintext { get; init; }

    /// <summary>Origins of web pages that may use WebSocket; <c>*</c> for any.</summary>
    public IReadOnlyList<string> AllowedOrigins { get; init; } = [];

    /// <summary>Time between two looks whether the users file and the TLS files have changed.</summary>
    public TimeSpan FileCheckInterval { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>Checks every setting, and that nobody can reach the agent unasked by mistake.</summary>
    /// <exception cref="ArgumentException">One can't be; the message names it and says what to do.</exception>
    public ListenerOptions Validate()
    {
        Settings.Range("mqtt:fileCheckInterval", FileCheckInterval, TimeSpan.FromMilliseconds(10), TimeSpan.FromHours(1));
        Settings.Check(
            AllowedOrigins.All(origin => origin == "*" || (Uri.TryCreate(origin, UriKind.Absolute, out Uri? uri) && uri.PathAndQuery == "/")),
            "mqtt:allowedOrigins", "must be * or origins such as https://dashboard.example, with commas between them");
        Tls?.Validate();
        CheckOpen("mqtt", Mqtt, isEncrypted: false);
        CheckOpen("mqtts", Mqtts, isEncrypted: true);
        CheckOpen("ws", Ws, isEncrypted: false);
        CheckOpen("wss", Wss, isEncrypted: true);
        return this;
    }

    /// <summary>Whether clients may come in without a name on that address.</summary>
    public bool MayBeAnonymous(IPEndPoint endpoint) => AllowAnonymous || IPAddress.IsLoopback(endpoint.Address);

    private void CheckOpen(string setting, IPEndPoint? endpoint, bool isEncrypted)
    {
        if (endpoint is null || IPAddress.IsLoopback(endpoint.Address))
        {
            return;
        }
        Settings.Check(
            isEncrypted || AllowPlaintext, setting,
            $"is {endpoint}: whoever is on the way could read messages and passwords, and change them. Serve clients beyond this machine by "
            + "'mqtts' or 'wss' with tls:certificateFile and tls:keyFile, or set mqtt:allowPlaintext to true");
        bool hasCertificates = isEncrypted && Tls is { ClientCaFile: not null, ClientCertificates: ClientCertificates.Required };
        Settings.Check(
            UsersFile is not null || hasCertificates || AllowAnonymous, setting,
            $"is {endpoint}: everybody who reaches it could publish and read. Set mqtt:usersFile ('tributary-edge user add' makes one)"
            + (isEncrypted ? " or tls:clientCaFile" : "") + ", or set mqtt:allowAnonymous to true");
    }
}
