using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using MQTTnet;
using MQTTnet.Formatter;
using MQTTnet.Protocol;

namespace Tributary.Edge.Source;

/// <summary>What MQTTnet's client is to know. Files are read for each connection, so that renewed ones count without a restart.</summary>
internal static class SourceClient
{
    private const int MaxPasswordBytes = 64 << 10;

    /// <summary>Makes the options of a connection.</summary>
    /// <exception cref="IOException">A file can't be read or holds something else; the message names the setting.</exception>
    public static MqttClientOptions OptionsOf(SourceOptions options)
    {
        MqttClientOptionsBuilder builder = new MqttClientOptionsBuilder()
            .WithTcpServer(options.Host, options.Port)
            .WithClientId(options.ClientId)
            .WithCleanStart(false)
            .WithTimeout(options.Timeout)
            .WithKeepAlivePeriod(options.KeepAlive);
        builder = options.Protocol == SourceProtocol.V5
            ? builder.WithProtocolVersion(MqttProtocolVersion.V500)
                .WithSessionExpiryInterval((uint)Math.Min(options.SessionExpiry.TotalSeconds, uint.MaxValue))
                .WithReceiveMaximum((ushort)options.MaxInFlight)
                .WithMaximumPacketSize((uint)options.MaxPacketBytes)
            : builder.WithProtocolVersion(MqttProtocolVersion.V311);
        if (options.User is { } user)
        {
            builder = builder.WithCredentials(user, options.PasswordFile is { } file ? Password(file) : []);
        }
        if (options.Tls)
        {
            builder = builder.WithTlsOptions(tls =>
            {
                tls.UseTls().WithTargetHost(options.Host).WithSslProtocols(SslProtocols.None);
                if (options.CaFile is { } ca)
                {
                    tls.WithTrustChain(Read("source:caFile", ca, ReadAll));
                }
                if (options.CertificateFile is { } certificate)
                {
                    tls.WithClientCertificates([Read("source:certificateFile", certificate, path => Own(path, options.KeyFile!))]);
                }
            });
        }
        return builder.Build();
    }

    /// <summary>
    /// A subscription at QoS 1. Retained messages come once, with the first: with MQTT 3.1.1 they come with each, so there it is subscribed
    /// to only if need be.
    /// </summary>
    public static MqttClientSubscribeOptions SubscriptionTo(IEnumerable<string> filters, SourceProtocol protocol)
    {
        bool isNew = protocol == SourceProtocol.V5;
        var builder = new MqttClientSubscribeOptionsBuilder();
        foreach (string filter in filters)
        {
            builder.WithTopicFilter(
                filter, MqttQualityOfServiceLevel.AtLeastOnce, noLocal: false, retainAsPublished: isNew,
                isNew ? MqttRetainHandling.SendAtSubscribeIfNewSubscriptionOnly : MqttRetainHandling.SendAtSubscribe);
        }
        return builder.Build();
    }

    private static byte[] Password(string path) => Read("source:passwordFile", path, static path =>
    {
        if (new FileInfo(path).Length > MaxPasswordBytes)
        {
            throw new IOException($"it has more than {MaxPasswordBytes} bytes");
        }
        ReadOnlySpan<byte> bytes = File.ReadAllBytes(path);
        return bytes.TrimEnd("\r\n"u8).ToArray(); // as editors end a line
    });

    private static X509Certificate2Collection ReadAll(string path)
    {
        var all = new X509Certificate2Collection();
        all.ImportFromPemFile(path);
        return all.Count > 0 ? all : throw new IOException("there is no certificate in it");
    }

    private static X509Certificate2 Own(string certificate, string key) => X509Certificate2.CreateFromPemFile(certificate, key);

    private static T Read<T>(string setting, string path, Func<string, T> read)
    {
        try
        {
            return read(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or CryptographicException or ArgumentException)
        {
            throw new IOException($"the file {path} (setting {setting}) can't be used: {e.Message}", e);
        }
    }
}
