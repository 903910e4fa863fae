using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Tributary.Conformance.Harness;
using Tributary.Edge.Uplink;
using Tributary.Edge.Uplink.Security;
using Tributary.Tests.Edge.Uplink.Security;
using Tributary.Tests.Support;
using Xunit;

namespace Tributary.Tests.Edge.Uplink;

/// <summary>Addresses that lead nowhere or to something else: the error says what was tried, what is there, and what to set.</summary>
public sealed class WrongPeerTests : IAsyncDisposable
{
    private readonly FakeCluster _cluster = new(brokers: 1, partitions: 1);
    private readonly RecordingLogger _logger = new();
    private readonly UplinkCounters _counters = new();
    private readonly List<IAsyncDisposable> _open = [];

    private static readonly byte[] Alert = [0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x46];

    public async ValueTask DisposeAsync()
    {
        _open.Reverse();
        foreach (IAsyncDisposable open in _open)
        {
            await open.DisposeAsync();
        }
        await _cluster.DisposeAsync();
    }

    [Theory]
    [InlineData("HTTP/1.1 400 Bad Request\r\n\r\n", "a web server answers there", "'cloud'")]
    [InlineData("<!DOCTYPE html>", "a web server answers there", "'cloud'")]
    [InlineData("SSH-2.0-OpenSSH_9.6\r\n", "an SSH server answers there", "'cloud'")]
    [InlineData("+OK ready\r\n", "a frame of", "")]
    [InlineData("", "the node closed the connection before it answered anything", "uplink:tls:enabled")]
    public async Task What_is_no_Kafka_listener_is_named(string says, string what, string setting)
    {
        string reason = await FailureAsync(Peer(System.Text.Encoding.ASCII.GetBytes(says)), tls: false);
        Assert.Contains(what, reason, StringComparison.Ordinal);
        Assert.Contains(setting, reason, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_port_with_TLS_is_told_when_it_answers_with_an_alert() =>
        Assert.Contains("it speaks TLS there: set uplink:tls:enabled", await FailureAsync(Peer(Alert), tls: false), StringComparison.Ordinal);

    [Fact]
    public async Task A_port_with_TLS_is_guessed_when_it_just_closes()
    {
        SecureFront front = Front();
        using var authority = new Certificates();
        (string certificate, string key) = authority.Server();
        using var own = X509Certificate2.CreateFromPem(certificate, key);
        front.Tls = new SslServerAuthenticationOptions { ServerCertificate = X509CertificateLoader.LoadPkcs12(own.Export(X509ContentType.Pkcs12), null) };
        Assert.Contains("uplink:tls:enabled", await FailureAsync(front.Port, tls: false), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_Kafka_listener_without_TLS_is_guessed_when_it_closes_at_the_handshake() =>
        Assert.Contains("its port may be one without TLS (setting uplink:tls:enabled)", await FailureAsync(Front().Port, tls: true), StringComparison.Ordinal);

    [Theory]
    [InlineData("HTTP/1.1 400 Bad Request\r\n\r\n", "a web server answers there")]
    [InlineData("220 mail ready\r\n", "it does not speak TLS there")]
    public async Task What_does_not_speak_TLS_is_named(string says, string what) =>
        Assert.Contains(what, await FailureAsync(Peer(System.Text.Encoding.ASCII.GetBytes(says)), tls: true), StringComparison.Ordinal);

    [Fact]
    public async Task A_name_that_does_not_exist_is_told_as_such()
    {
        KafkaCloud cloud = Connect("no-such-host.invalid", 9092);
        string reason = (await Assert.ThrowsAnyAsync<CloudException>(() => MetadataAsync(cloud))).Message;
        Assert.Contains("no-such-host.invalid:9092", reason, StringComparison.Ordinal);
        Assert.Contains("can't be resolved", reason, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("no-such-host.invalid", 9092, "can't be resolved", "as the address of a node:")]
    [InlineData("0.0.0.0", 0, "can't connect to", "is no address of anybody")]
    public async Task An_address_that_the_cluster_gives_and_that_can_not_be_used_is_explained_and_logged_once(
        string host, int port, string what, string flaw)
    {
        int there = port > 0 ? port : FreePort();
        _cluster.Advertised = _ => (host, there);
        KafkaCloud cloud = Connect("127.0.0.1", _cluster.Brokers[0].Port);
        string reason = "";
        for (int i = 0; i < 3; i++)
        {
            await MetadataAsync(cloud);
            reason = (await Assert.ThrowsAnyAsync<CloudException>(() => cloud.GetLeaderAsync(FakeCluster.Topic, 0, CancellationToken.None).AsTask())).Message;
        }
        Assert.Contains(what, reason, StringComparison.Ordinal);
        Assert.Contains(flaw, reason, StringComparison.Ordinal);
        Assert.Contains($"127.0.0.1:{_cluster.Brokers[0].Port} (setting 'cloud') gives {host}:{there}", reason, StringComparison.Ordinal);
        Assert.Contains("advertised.listeners", reason, StringComparison.Ordinal);
        Assert.Contains("kafkaAdvertised", reason, StringComparison.Ordinal);
        Assert.Single(_logger.Lines, line => line.Text.Contains("advertised.listeners", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("cloud.example", "localhost", "this device itself")]
    [InlineData("203.0.113.5", "127.0.0.1", "this device itself")]
    [InlineData("cloud.example", "::1", "this device itself")]
    [InlineData("203.0.113.5", "192.168.1.7", "a private one")]
    [InlineData("cloud.example", "172.31.0.1", "a private one")]
    [InlineData("cloud.example", "100.64.0.1", "a private one")]
    [InlineData("cloud.example", "fd00::1", "a private one")]
    [InlineData("10.0.0.1", "10.0.0.2", null)]
    [InlineData("localhost", "127.0.0.1", null)]
    [InlineData("cloud.example", "172.32.0.1", null)]
    [InlineData("cloud.example", "broker-1.cloud.example", null)]
    public void What_is_wrong_with_an_address_follows_from_the_one_that_is_set(string bootstrap, string node, string? flaw)
    {
        var failure = new CloudException("can't connect");
        string reason = AdvertisedAddress.Explain(new NodeEndpoint(bootstrap, 9092), new NodeEndpoint(node, 9092), failure).Message;
        Assert.Equal(flaw is not null, reason.Contains(", which", StringComparison.Ordinal));
        Assert.Contains(flaw ?? "can't connect", reason, StringComparison.Ordinal);
        Assert.IsType<CloudRefusedException>(AdvertisedAddress.Explain(new NodeEndpoint("b", 1), new NodeEndpoint("a", 1), new CloudRefusedException("no")));
    }

    [Fact]
    public async Task Many_that_ask_for_a_node_that_is_away_try_no_more_often_than_one()
    {
        var time = new FakeTimeProvider();
        var peer = new ScriptedPeer([]);
        _open.Add(peer);
        KafkaCloud cloud = Connect("127.0.0.1", peer.Port, time: time);
        for (int tries = 1; tries <= 4; tries++)
        {
            for (int i = 0; i < 100; i++)
            {
                await Assert.ThrowsAnyAsync<CloudException>(() => MetadataAsync(cloud));
            }
            Assert.Equal(tries, peer.Connections);
            time.Advance(TimeSpan.FromSeconds(10));
        }
    }

    private static Task<TopicMetadata> MetadataAsync(KafkaCloud cloud) => cloud.GetMetadataAsync(FakeCluster.Topic, allowCreate: true, CancellationToken.None);

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    private int Peer(byte[] says)
    {
        var peer = new ScriptedPeer(says);
        _open.Add(peer);
        return peer.Port;
    }

    private SecureFront Front()
    {
        var front = new SecureFront(_cluster.Brokers[0].Port);
        _open.Add(front);
        return front;
    }

    private async Task<string> FailureAsync(int port, bool tls)
    {
        KafkaCloud cloud = Connect("127.0.0.1", port, tls ? new UplinkTlsOptions() : null);
        cloud.Start();
        string reason = (await Assert.ThrowsAnyAsync<CloudException>(() => MetadataAsync(cloud))).Message;
        await Waiting.Until(() => _logger.Lines.Any(line => line.Text.Contains("can't be reached", StringComparison.Ordinal)));
        Assert.NotNull(_counters.LastError);
        return reason;
    }

    private KafkaCloud Connect(string host, int port, UplinkTlsOptions? tls = null, TimeProvider? time = null)
    {
        UplinkOptions options = UplinkSimulation.DefaultOptions with
        {
            CloudHost = host,
            CloudPort = port,
            Tls = tls,
            ConnectTimeout = TimeSpan.FromSeconds(2),
        };
        var cloud = new KafkaCloud(options, _counters, time ?? TimeProvider.System, _logger);
        _open.Add(cloud);
        return cloud;
    }

    /// <summary>Says the same to everybody once it has heard something, and closes.</summary>
    private sealed class ScriptedPeer : IAsyncDisposable
    {
        private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
        private readonly byte[] _says;
        private readonly Task _serving;
        private int _connections;

        public ScriptedPeer(byte[] says)
        {
            _says = says;
            _listener.Start();
            _serving = ServeAsync();
        }

        public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

        public int Connections => Volatile.Read(ref _connections);

        public async ValueTask DisposeAsync()
        {
            _listener.Stop();
            await _serving;
        }

        private async Task ServeAsync()
        {
            try
            {
                while (true)
                {
                    using Socket socket = await _listener.AcceptSocketAsync();
                    Interlocked.Increment(ref _connections);
                    byte[] heard = new byte[16 << 10];
                    await socket.ReceiveAsync(heard);
                    await socket.SendAsync(_says);
                    socket.Shutdown(SocketShutdown.Send);
                    while (await socket.ReceiveAsync(heard) > 0)
                    {
                    }
                }
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException or InvalidOperationException) // the last: stopped before it accepts
            {
            }
        }
    }
}
