using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Net.WebSockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using Tributary.Conformance.Harness;
using Tributary.Edge.Access;
using Tributary.Edge.Host;
using Tributary.Edge.Listeners;
using Tributary.Edge.Mqtt;
using Tributary.Tests.Cloud.Support;
using Tributary.Tests.Edge.Mqtt.Support;
using Xunit;

namespace Tributary.Tests.Edge.Listeners;

/// <summary>A whole agent with TLS and WebSocket, without a cloud.</summary>
public sealed class EdgeListenerTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();
    private readonly Certificates _certificates = new();
    private readonly HttpClient _http = new();

    public EdgeListenerTests()
    {
        Install(_certificates.Server());
        File.WriteAllText(_directory.File("ca.pem"), _certificates.AuthorityPem);
    }

    public void Dispose()
    {
        _http.Dispose();
        _certificates.Dispose();
        _directory.Dispose();
    }

    [Theory]
    [InlineData(SslProtocols.Tls12)]
    [InlineData(SslProtocols.Tls13)]
    public async Task Messages_come_in_over_TLS(SslProtocols protocol)
    {
        await using EdgeAgent agent = await StartAsync();
        using WireClient client = await WireClient.OpenTlsAsync(At(agent, "mqtts"), _certificates.Authority, protocols: protocol);
        await client.PublishAsync("c1");
        Assert.Equal(protocol, client.Protocol);
        byte[] large = Packets.Publish(4, "devices/d1/t", new string('x', 300_000), 1, 8);
        await client.SendAsync(large);
        Assert.Equal([0x40, 2, 0, 8], await client.ReceiveAsync());
        Assert.Equal(1, await MetricAsync(agent, "tributary_edge_access_tls_handshakes_total"));
    }

    [Fact]
    public async Task A_client_that_is_closed_within_TLS_is_told_why_and_sees_the_end()
    {
        await using EdgeAgent agent = await StartAsync();
        using WireClient client = await WireClient.OpenTlsAsync(At(agent, "mqtts"), _certificates.Authority);
        await client.SendAsync(Packets.Connect(5, "c1"), Packets.Connect(5, "c1"));
        Assert.Equal(0x20, (await client.ReceiveAsync())![0]);
        byte[] goodbye = (await client.ReceiveAsync())!;
        Assert.Equal([0xE0, 0x82], [goodbye[0], goodbye[2]]);
        Assert.Null(await client.ReceiveAsync());
        await Wait.UntilAsync(async () => await MetricAsync(agent, "tributary_edge_mqtt_connections") == 0);
    }

    [Fact]
    public async Task A_handshake_that_fails_is_counted_and_harms_nobody()
    {
        await using EdgeAgent agent = await StartAsync(("tls:handshakeTimeout", "1s"));
        using (WireClient plain = await WireClient.OpenTcpAsync(At(agent, "mqtts")))
        {
            await plain.SendAsync(Packets.Connect(4, "c1"));
            Assert.Null(await plain.ReceiveAsync());
        }
        await FailedAsync(agent, 1);
        using WireClient silent = await WireClient.OpenTcpAsync(At(agent, "mqtts"));
        Assert.Null(await silent.ReceiveAsync());
        await FailedAsync(agent, 2);
        await Assert.ThrowsAsync<AuthenticationException>(async () =>
        {
            using var other = new Certificates("Other CA");
            using WireClient client = await WireClient.OpenTlsAsync(At(agent, "mqtts"), other.Authority);
            await client.PublishAsync("c1");
        });
        using WireClient good = await WireClient.OpenTlsAsync(At(agent, "mqtts"), _certificates.Authority);
        await good.PublishAsync("c1");
    }

    [Fact]
    public async Task A_required_certificate_of_the_authority_lets_a_client_in_and_nothing_else_does()
    {
        await using EdgeAgent agent = await StartAsync(("tls:clientCaFile", _directory.File("ca.pem")));
        using (WireClient none = await WireClient.OpenTlsAsync(At(agent, "mqtts"), _certificates.Authority, protocols: SslProtocols.Tls13))
        {
            await none.SendAsync(Packets.Connect(4, "c1"));
            Assert.Null(await none.ReceiveAsync());
        }
        using var others = new Certificates("Test CA");
        using X509Certificate2 forged = Load(others.Client("CN=pump-17"));
        using (WireClient other = await WireClient.OpenTlsAsync(At(agent, "mqtts"), _certificates.Authority, forged, SslProtocols.Tls13))
        {
            await other.SendAsync(Packets.Connect(4, "c1"));
            Assert.Null(await other.ReceiveAsync());
        }
        await FailedAsync(agent, 2);
        using X509Certificate2 right = Load(_certificates.Client("CN=pump-17"));
        using WireClient client = await WireClient.OpenTlsAsync(At(agent, "mqtts"), _certificates.Authority, right);
        await client.PublishAsync("c1");
    }

    [Theory]
    [InlineData("commonName", "O=Example, CN=pump-17", "pump-17")]
    [InlineData("subject", "CN=pump-17, O=Example", "CN=pump-17, O=Example")]
    [InlineData("dnsName", "CN=pump-17", "device.example")]
    public async Task The_certificate_s_user_has_what_the_users_file_says(string from, string subject, string user)
    {
        File.WriteAllText(_directory.File("users.json"), $$"""{ "users": { "{{user}}": { "publish": ["devices/own/#"] } } }""");
        await using EdgeAgent agent = await StartAsync(
            ("tls:clientCaFile", _directory.File("ca.pem")), ("tls:clientCertificates", "optional"), ("tls:certificateUser", from),
            ("mqtt:usersFile", _directory.File("users.json")));
        using X509Certificate2 certificate = Load(_certificates.Client(subject));
        using (WireClient client = await WireClient.OpenTlsAsync(At(agent, "mqtts"), _certificates.Authority, certificate))
        {
            await client.PublishAsync("c1", "devices/own/t");
            await client.SendAsync(Packets.Publish(4, "devices/other/t", "1", 1, 8));
            Assert.Null(await client.ReceiveAsync());
        }
        using WireClient without = await WireClient.OpenTlsAsync(At(agent, "mqtts"), _certificates.Authority);
        await without.SendAsync(Packets.Connect(4, "c1"));
        Assert.Equal([0x20, 2, 0, 5], await without.ReceiveAsync());
    }

    [Fact]
    public async Task Changed_certificates_are_taken_without_a_restart_and_bad_ones_are_not()
    {
        await using EdgeAgent agent = await StartAsync(("mqtt:fileCheckInterval", "20ms"));
        using WireClient first = await WireClient.OpenTlsAsync(At(agent, "mqtts"), _certificates.Authority);
        await first.PublishAsync("c1");

        (string certificate, string key) = _certificates.Server();
        File.WriteAllText(_directory.File("server.pem"), certificate); // without its key
        await Wait.UntilAsync(async () => await MetricAsync(agent, "tributary_edge_access_certificate_reloads_total", "refused") > 0);
        using (WireClient second = await WireClient.OpenTlsAsync(At(agent, "mqtts"), _certificates.Authority))
        {
            Assert.Equal(first.ServerCertificate, second.ServerCertificate);
        }
        File.WriteAllText(_directory.File("server.key"), key);
        await Wait.UntilAsync(async () => await MetricAsync(agent, "tributary_edge_access_certificate_reloads_total", "taken") > 0);
        using WireClient third = await WireClient.OpenTlsAsync(At(agent, "mqtts"), _certificates.Authority);
        await third.PublishAsync("c3");
        Assert.NotEqual(first.ServerCertificate, third.ServerCertificate);
        await first.SendAsync(Packets.PingReq);
        Assert.Equal(Packets.PingResp, await first.ReceiveAsync());
    }

    [Fact]
    public async Task A_changed_users_file_holds_for_clients_within_TLS()
    {
        File.WriteAllText(_directory.File("users.json"), """{ "users": {}, "anonymous": { "publish": ["#"] } }""");
        await using EdgeAgent agent = await StartAsync(("mqtt:fileCheckInterval", "20ms"), ("mqtt:usersFile", _directory.File("users.json")));
        using WireClient client = await WireClient.OpenTlsAsync(At(agent, "mqtts"), _certificates.Authority);
        await client.PublishAsync("c1");
        File.WriteAllText(_directory.File("users.json"), """{ "users": {}, "anonymous": { "publish": ["devices/d1/#", "other"] } }""");
        await Wait.UntilAsync(async () => await MetricAsync(agent, "tributary_edge_access_users_reloads_total", "taken") > 0);
        await client.SendAsync(Packets.Publish(4, "devices/d1/t", "2", 1, 8));
        Assert.Equal([0x40, 2, 0, 8], await client.ReceiveAsync());
        File.WriteAllText(_directory.File("users.json"), """{ "users": {} }""");
        Assert.Null(await client.ReceiveAsync());
    }

    [Theory]
    [InlineData("ws")]
    [InlineData("wss")]
    public async Task Messages_come_in_by_WebSocket_wherever_packets_are_cut(string listener)
    {
        await using EdgeAgent agent = await StartAsync();
        (WireClient client, ClientWebSocket socket) = await OpenWebSocketAsync(agent, listener);
        using (client)
        {
            byte[] bytes = [.. Packets.Connect(4, "c1"), .. Packets.Publish(4, "devices/d1/t", "1", 1, 7), .. Packets.PingReq];
            await client.SendAsync(bytes[..5], bytes[5..20], bytes[20..]);
            Assert.Equal([0x20, 2, 0, 0], await client.ReceiveAsync());
            Assert.Contains(Packets.PingResp, new[] { await client.ReceiveAsync(), await client.ReceiveAsync() });
            await client.SendAsync(Packets.Publish(4, "devices/d1/t", new string('x', 500_000), 1, 8));
            Assert.Equal([0x40, 2, 0, 8], await client.ReceiveAsync());
            await client.SendAsync(Packets.Disconnect(4));
            Assert.Null(await client.ReceiveAsync());
            Assert.Equal(WebSocketCloseStatus.NormalClosure, socket.CloseStatus);
        }
        await Wait.UntilAsync(async () => await MetricAsync(agent, "tributary_edge_mqtt_connections") == 0);
    }

    [Fact]
    public async Task A_text_frame_ends_the_connection()
    {
        await using EdgeAgent agent = await StartAsync();
        (WireClient client, ClientWebSocket socket) = await OpenWebSocketAsync(agent, "ws");
        using (client)
        {
            await client.SendAsync(Packets.Connect(5, "c1"));
            Assert.Equal(0x20, (await client.ReceiveAsync())![0]);
            await socket.SendAsync(Encoding.UTF8.GetBytes("hello"), WebSocketMessageType.Text, true, CancellationToken.None);
            byte[] goodbye = (await client.ReceiveAsync())!;
            Assert.Equal([0xE0, 0x81], [goodbye[0], goodbye[2]]);
            Assert.Null(await client.ReceiveAsync());
        }
        await Wait.UntilAsync(async () => await MetricAsync(agent, "tributary_edge_mqtt_connections_closed_total", "Malformed") == 1);
    }

    [Fact]
    public async Task The_metrics_of_an_agent_are_its_own()
    {
        using var before = new MqttMetrics();
        await using EdgeAgent agent = await StartAsync();
        using var after = new MqttMetrics();
        foreach (MqttMetrics other in new[] { before, after })
        {
            other.ConnectionOpened();
            other.ConnectionClosed(MqttCloseReason.Malformed);
        }
        (WireClient client, _) = await OpenWebSocketAsync(agent, "ws");
        using (client)
        {
            await client.PublishAsync("c1");
        }
        Assert.Equal(1, await MetricAsync(agent, "tributary_edge_mqtt_messages_acknowledged_total"));
        Assert.Equal(0, await MetricAsync(agent, "tributary_edge_mqtt_connections_closed_total", "Malformed"));
    }

    [Fact]
    public async Task Requests_that_are_no_MQTT_are_refused()
    {
        await using EdgeAgent agent = await StartAsync(("mqtt:allowedOrigins", "https://dashboard.example"));
        using HttpResponseMessage page = await _http.GetAsync($"http://{At(agent, "ws")}/status");
        Assert.Equal(HttpStatusCode.UpgradeRequired, page.StatusCode);
        Assert.Equal(HttpStatusCode.BadRequest, await RefusedAsync(agent, "mqttv3.1", null));
        Assert.Equal(HttpStatusCode.BadRequest, await RefusedAsync(agent, null, null));
        Assert.Equal(HttpStatusCode.Forbidden, await RefusedAsync(agent, "mqtt", "https://evil.example"));
        Assert.Equal(HttpStatusCode.Forbidden, await RefusedAsync(agent, "mqtt", "http://evil.example", "evil.example")); // DNS rebinding
        Assert.Equal(5, await MetricAsync(agent, "tributary_edge_access_websockets_refused_total"));
        foreach (string origin in new[] { "https://dashboard.example", $"https://localhost:{At(agent, "ws").Port}" })
        {
            (WireClient client, _) = await OpenWebSocketAsync(agent, "ws", options => options.SetRequestHeader("Origin", origin));
            using (client)
            {
                await client.PublishAsync("c1");
            }
        }
    }

    [Fact]
    public async Task Connections_are_counted_before_TLS_and_HTTP()
    {
        // The two must not be given up for their silence, however slow the machine is.
        await using EdgeAgent agent = await StartAsync(("mqtt:maxConnections", "2"), ("mqtt:connectTimeout", "5m"), ("tls:handshakeTimeout", "1m"));
        using WireClient first = await WireClient.OpenTcpAsync(At(agent, "mqtts"));
        using WireClient second = await WireClient.OpenTcpAsync(At(agent, "ws"));
        await Wait.UntilAsync(async () => !await IsLetInAsync(At(agent, "mqtt")));
        first.Dispose();
        await Wait.UntilAsync(() => IsLetInAsync(At(agent, "mqtt")));
    }

    [Fact]
    public async Task A_connection_that_never_becomes_a_WebSocket_is_closed()
    {
        await using EdgeAgent agent = await StartAsync(("mqtt:connectTimeout", "1s"));
        using WireClient client = await WireClient.OpenTcpAsync(At(agent, "ws"));
        Assert.Null(await client.ReceiveAsync());
    }

    [Fact]
    public async Task A_stop_tells_the_clients_of_all_listeners()
    {
        EdgeAgent agent = await StartAsync();
        using WireClient tls = await WireClient.OpenTlsAsync(At(agent, "mqtts"), _certificates.Authority);
        (WireClient web, _) = await OpenWebSocketAsync(agent, "wss");
        using (web)
        {
            foreach (WireClient client in new[] { tls, web })
            {
                await client.SendAsync(Packets.Connect(5, ReferenceEquals(client, tls) ? "c1" : "c2"));
                Assert.Equal(0x20, (await client.ReceiveAsync())![0]);
            }
            Task stopping = agent.DisposeAsync().AsTask();
            foreach (WireClient client in new[] { tls, web })
            {
                byte[] goodbye = (await client.ReceiveAsync())!;
                Assert.Equal([0xE0, 0x8B], [goodbye[0], goodbye[2]]);
                Assert.Null(await client.ReceiveAsync());
            }
            await stopping.WaitAsync(ScriptedClient.Deadline);
        }
    }

    [Theory]
    [InlineData("tls:certificateFile", "nowhere.pem", "nowhere.pem (tls:certificateFile) can't be read")]
    [InlineData("tls:keyFile", "ca.pem", "tls:keyFile) can't be used")]
    [InlineData("tls:clientCaFile", "server.key", "server.key (tls:clientCaFile)")]
    [InlineData("mqtt:usersFile", "server.key", "server.key, line 1")]
    public async Task What_is_wrong_with_the_files_at_the_start_is_named(string setting, string file, string reason) =>
        Assert.Contains(
            reason, (await Assert.ThrowsAsync<StartException>(() => StartAsync((setting, _directory.File(file))))).Message, StringComparison.Ordinal);

    private static IPEndPoint At(EdgeAgent agent, string listener) => agent.Endpoints.Single(endpoint => endpoint.Setting == listener).Address;

    private static async Task<bool> IsLetInAsync(IPEndPoint endpoint)
    {
        try
        {
            using WireClient client = await WireClient.OpenTcpAsync(endpoint);
            await client.SendAsync(Packets.Connect(4, "c1"));
            return await client.ReceiveAsync() is not null;
        }
        catch (Exception e) when (e is IOException or SocketException)
        {
            return false;
        }
    }

    private static X509Certificate2 Load((string Certificate, string Key) pem) => X509Certificate2.CreateFromPem(pem.Certificate, pem.Key);

    private void Install((string Certificate, string Key) pem)
    {
        File.WriteAllText(_directory.File("server.pem"), pem.Certificate);
        File.WriteAllText(_directory.File("server.key"), pem.Key);
    }

    private async Task<EdgeAgent> StartAsync(params (string Name, string Text)[] settings)
    {
        (string Name, string Text)[] all =
        [
            .. settings, ("id", "edge-1"), ("data", _directory.File("data")), ("cloud", "127.0.0.1:1"), ("mqtt", "127.0.0.1:0"),
            ("mqtts", "127.0.0.1:0"), ("ws", "127.0.0.1:0"), ("wss", "127.0.0.1:0"), ("http", "127.0.0.1:0"),
            ("tls:certificateFile", _directory.File("server.pem")), ("tls:keyFile", _directory.File("server.key")),
            ("buffer:minFreeBytes", "1MiB"),
        ];
        var values = new SettingValues();
        values.AddFlags(all.DistinctBy(setting => setting.Name).Select(setting => (setting.Name, setting.Name, (string?)setting.Text)));
        return await EdgeAgent.StartAsync(EdgeOptions.From(values), TimeProvider.System, NullLoggerFactory.Instance);
    }

    private Task<(WireClient Client, ClientWebSocket Socket)> OpenWebSocketAsync(
        EdgeAgent agent, string listener, Action<ClientWebSocketOptions>? configure = null) =>
        WireClient.OpenWebSocketAsync(new Uri($"{listener}://localhost:{At(agent, listener).Port}/mqtt"), configure, _certificates.Authority);

    private async Task<HttpStatusCode> RefusedAsync(EdgeAgent agent, string? protocol, string? origin, string? host = null)
    {
        using var socket = new ClientWebSocket();
        socket.Options.CollectHttpResponseDetails = true;
        if (protocol is not null)
        {
            socket.Options.AddSubProtocol(protocol);
        }
        if (origin is not null)
        {
            socket.Options.SetRequestHeader("Origin", origin);
        }
        if (host is not null)
        {
            socket.Options.SetRequestHeader("Host", host);
        }
        await Assert.ThrowsAsync<WebSocketException>(
            () => socket.ConnectAsync(new Uri($"ws://localhost:{At(agent, "ws").Port}/mqtt"), CancellationToken.None));
        return socket.HttpStatusCode;
    }

    private Task FailedAsync(EdgeAgent agent, int count) =>
        Wait.UntilAsync(async () => await MetricAsync(agent, "tributary_edge_access_tls_handshakes_failed_total") == count);

    private async Task<double> MetricAsync(EdgeAgent agent, string name, string label = "")
    {
        string text = await _http.GetStringAsync($"http://{agent.Http}/metrics");
        return text.Split('\n')
            .Where(line => line.StartsWith(name + "{", StringComparison.Ordinal) && line.Contains(label, StringComparison.Ordinal))
            .Sum(line => double.Parse(line[(line.LastIndexOf('}') + 1)..].Trim().Split(' ')[0], CultureInfo.InvariantCulture));
    }
}
