using Tributary.Edge.Host;

namespace Tributary.Edge.Source;

/// <summary>Reads the settings under <c>source:</c>.</summary>
internal static class SourceSettings
{
    private const string Broker = "source:broker";

    /// <summary>Reads and checks them.</summary>
    /// <param name="values">All settings.</param>
    /// <param name="id">Name of the agent.</param>
    /// <returns>Null if no broker is named.</returns>
    /// <exception cref="ArgumentException">One can't be; the message names it.</exception>
    public static SourceOptions? From(SettingValues values, string id)
    {
        bool isSet = values.Text(Broker) is not null;
        (string host, int port) = isSet ? values.Remote(Broker, Broker) : ("localhost", EdgeOptions.DefaultMqttPort);
        var otherwise = new SourceOptions { Host = host, Port = port, ClientId = $"tributary-{id}" };
        SourceOptions options = otherwise with
        {
            Filters = values.List("source:filters", otherwise.Filters),
            ClientId = values.Text("source:clientId") ?? otherwise.ClientId,
            SharedGroup = values.Text("source:sharedGroup"),
            Protocol = values.Word("source:protocol", otherwise.Protocol),
            User = values.Text("source:user"),
            PasswordFile = values.Text("source:passwordFile"),
            Tls = values.Flag("source:tls", otherwise.Tls),
            CaFile = values.Text("source:caFile"),
            CertificateFile = values.Text("source:certificateFile"),
            KeyFile = values.Text("source:keyFile"),
            SessionExpiry = values.Duration("source:sessionExpiry", otherwise.SessionExpiry),
            MaxInFlight = values.Int32("source:maxInFlight", otherwise.MaxInFlight),
            MaxPendingBytes = values.Size64("source:maxPendingBytes", otherwise.MaxPendingBytes),
            MaxPacketBytes = values.Size32("source:maxPacketBytes", otherwise.MaxPacketBytes),
            KeepAlive = values.Duration("source:keepAlive", otherwise.KeepAlive),
            Timeout = values.Duration("source:timeout", otherwise.Timeout),
            FirstBackoff = values.Duration("source:firstBackoff", otherwise.FirstBackoff),
            MaxBackoff = values.Duration("source:maxBackoff", otherwise.MaxBackoff),
        };
        Settings.Check(isSet || options == otherwise, Broker, "is missing, and there are others that begin with source:");
        options.Validate();
        return isSet ? options : null;
    }
}
