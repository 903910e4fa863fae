using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Net.WebSockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using Tributary.Tests.Edge.Mqtt.Support;
using Xunit;

namespace Tributary.Tests.Edge.Listeners;

/// <summary>A client that sends the bytes it is told to over TCP, TLS or WebSocket, and reads packets.</summary>
internal sealed class WireClient : IDisposable
{
    private readonly Stream _stream;
    private readonly IDisposable[] _owned;

    private WireClient(Stream stream, params IDisposable[] owned) => (_stream, _owned) = (stream, owned);

    /// <summary>The certificate that the agent showed.</summary>
    public string? ServerCertificate => (_stream as SslStream)?.RemoteCertificate?.GetSerialNumberString();

    public SslProtocols Protocol => ((SslStream)_stream).SslProtocol;

    public static async Task<WireClient> OpenTcpAsync(IPEndPoint endpoint)
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        await socket.ConnectAsync(endpoint).WaitAsync(ScriptedClient.Deadline);
        return new WireClient(new NetworkStream(socket, ownsSocket: true), socket);
    }

    public static async Task<WireClient> OpenTlsAsync(
        IPEndPoint endpoint, X509Certificate2 authority, X509Certificate2? certificate = null, SslProtocols protocols = SslProtocols.None)
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        await socket.ConnectAsync(endpoint).WaitAsync(ScriptedClient.Deadline);
        var stream = new SslStream(new NetworkStream(socket, ownsSocket: true));
        await stream.AuthenticateAsClientAsync(new SslClientAuthenticationOptions
        {
            TargetHost = "localhost",
            EnabledSslProtocols = protocols,
            CertificateChainPolicy = Trusting(authority),
            ClientCertificateContext = certificate is null ? null : SslStreamCertificateContext.Create(certificate, null, offline: true),
        }).WaitAsync(ScriptedClient.Deadline);
        return new WireClient(stream, socket);
    }

    public static async Task<(WireClient Client, ClientWebSocket Socket)> OpenWebSocketAsync(
        Uri uri, Action<ClientWebSocketOptions>? configure = null, X509Certificate2? authority = null)
    {
        var socket = new ClientWebSocket();
        socket.Options.AddSubProtocol("mqtt");
        if (authority is not null)
        {
            socket.Options.RemoteCertificateValidationCallback = (_, certificate, _, _) =>
            {
                using var chain = new X509Chain { ChainPolicy = Trusting(authority) };
                return chain.Build((X509Certificate2)certificate!);
            };
        }
        configure?.Invoke(socket.Options);
        await socket.ConnectAsync(uri, CancellationToken.None).WaitAsync(ScriptedClient.Deadline);
        return (new WireClient(WebSocketStream.Create(socket, WebSocketMessageType.Binary, ownsWebSocket: false), socket), socket);
    }

    public async Task SendAsync(params byte[][] packets)
    {
        foreach (byte[] packet in packets)
        {
            await _stream.WriteAsync(packet).AsTask().WaitAsync(ScriptedClient.Deadline);
        }
        await _stream.FlushAsync().WaitAsync(ScriptedClient.Deadline);
    }

    /// <summary>The next packet; null if the connection has ended.</summary>
    public async Task<byte[]?> ReceiveAsync()
    {
        try
        {
            byte[] header = new byte[2];
            if (await _stream.ReadAtLeastAsync(header, 2, throwOnEndOfStream: false).AsTask().WaitAsync(ScriptedClient.Deadline) < 2)
            {
                return null;
            }
            Assert.True(header[1] < 0x80, "a long packet came");
            byte[] body = new byte[header[1]];
            await _stream.ReadExactlyAsync(body).AsTask().WaitAsync(ScriptedClient.Deadline);
            return [.. header, .. body];
        }
        catch (Exception e) when (e is IOException or WebSocketException)
        {
            return null;
        }
    }

    /// <summary>Connects in MQTT 3.1.1 and publishes a message at QoS 1.</summary>
    public async Task PublishAsync(string clientId, string topic = "devices/d1/t", string? user = null, string? password = null)
    {
        await SendAsync(Packets.Connect(4, clientId, user: user, password: password));
        Assert.Equal([0x20, 2, 0, 0], await ReceiveAsync());
        await SendAsync(Packets.Publish(4, topic, "1", 1, 7));
        Assert.Equal([0x40, 2, 0, 7], await ReceiveAsync());
    }

    public void Dispose()
    {
        _stream.Dispose();
        foreach (IDisposable owned in _owned)
        {
            owned.Dispose();
        }
    }

    private static X509ChainPolicy Trusting(X509Certificate2 authority)
    {
        var policy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
        policy.CustomTrustStore.Add(authority);
        return policy;
    }
}
