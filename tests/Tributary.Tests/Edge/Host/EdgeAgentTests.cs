using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using Microsoft.Extensions.Logging.Abstractions;
using MQTTnet;
using MQTTnet.Protocol;
using Tributary.Edge.Host;
using Tributary.Tests.Edge.Uplink;
using Xunit;

namespace Tributary.Tests.Edge.Host;

/// <summary>A whole agent in this process, on a disk, with an MQTT client and fake brokers.</summary>
public sealed class EdgeAgentTests : IAsyncLifetime
{
    private readonly string _directory = Path.Combine(Path.GetTempPath(), $"tributary-agent-{Guid.NewGuid():N}");
    private readonly FakeCluster _cluster = new(brokers: 2, partitions: 4);
    private readonly HttpClient _http = new();

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public async ValueTask DisposeAsync()
    {
        _http.Dispose();
        await _cluster.DisposeAsync();
        if (Directory.Exists(_directory))
        {
            Directory.Delete(_directory, recursive: true);
        }
    }

    [Fact]
    public async Task A_message_is_acknowledged_shipped_and_shown()
    {
        await using EdgeAgent agent = await StartAsync();
        await PublishAsync(agent, "devices/d1/temperature", 1, 2, 3);
        JsonElement status = await DrainedAsync(agent);

        Assert.Equal([("d1", 1L), ("d1", 2L), ("d1", 3L)], _cluster.Committed());
        JsonElement partition = Assert.Single(status.GetProperty("partitions").EnumerateArray().ToList());
        Assert.Equal("telemetry", partition.GetProperty("topic").GetString());
        Assert.Equal(3, partition.GetProperty("ackedOffset").GetInt64());
        Assert.Equal("cluster-a", status.GetProperty("link").GetProperty("clusterId").GetString());
        Assert.True(status.GetProperty("link").GetProperty("connected").GetBoolean());
        Assert.Equal(3, status.GetProperty("mqtt").GetProperty("messagesAcknowledged").GetInt64());
    }

    [Fact]
    public async Task Without_a_cloud_it_starts_takes_messages_and_is_ready()
    {
        await StopClusterAsync();
        await using EdgeAgent agent = await StartAsync();
        await PublishAsync(agent, "devices/d1/temperature", 1, 2);
        await PublishAsync(agent, "somewhere/else", 3);

        JsonElement status = await StatusAsync(agent);
        Assert.Equal(3, status.GetProperty("backlog").GetProperty("records").GetInt64());
        Assert.True(status.GetProperty("backlog").GetProperty("bytes").GetInt64() > 3 * 61);
        Assert.False(status.GetProperty("link").GetProperty("connected").GetBoolean());
        Assert.Equal(["telemetry", "unrouted"], status.GetProperty("partitions").EnumerateArray().Select(p => p.GetProperty("topic").GetString()).Order());
        Assert.Equal(HttpStatusCode.OK, (await GetAsync(agent, "/readyz")).StatusCode);
        await Waiting.Until(async () => (await StatusAsync(agent)).GetProperty("backlog").GetProperty("ageSeconds").GetDouble() > 0);
    }

    [Fact]
    public async Task What_was_taken_in_without_a_cloud_is_shipped_once_by_a_later_start()
    {
        await StopClusterAsync();
        await using (EdgeAgent first = await StartAsync())
        {
            await PublishAsync(first, "devices/d1/temperature", 1, 2, 3);
        }
        foreach (FakeBroker broker in _cluster.Brokers)
        {
            broker.Restart();
        }
        for (int start = 0; start < 3; start++)
        {
            await using EdgeAgent again = await StartAsync();
            await DrainedAsync(again);
        }

        Assert.Equal([("d1", 1L), ("d1", 2L), ("d1", 3L)], _cluster.Committed());
    }

    [Fact]
    public async Task What_the_cloud_refuses_for_good_is_shown()
    {
        await using EdgeAgent agent = await StartAsync();
        await PublishAsync(agent, "devices/d1/temperature", "1", "2 " + SimulatedCloud.Poison, "3");
        JsonElement status = await DrainedAsync(agent);
        JsonElement page = JsonDocument.Parse(await _http.GetStringAsync($"http://{agent.Http}/dead-letters")).RootElement;

        Assert.Equal(1, status.GetProperty("partitions")[0].GetProperty("uplink").GetProperty("refused").GetInt64());
        Assert.Equal([("d1", 1L), ("d1", 3L)], _cluster.Committed().Where(record => record.Key == "d1"));
        JsonElement letter = Assert.Single(page.GetProperty("records").EnumerateArray().ToList());
        Assert.Equal("d1", letter.GetProperty("key").GetString());
        Assert.Equal("2 " + SimulatedCloud.Poison, System.Text.Encoding.UTF8.GetString(letter.GetProperty("value").GetBytesFromBase64()));
        Assert.Equal("mqtt.topic", letter.GetProperty("headers")[0].GetProperty("name").GetString());
        Assert.Equal(HttpStatusCode.BadRequest, (await GetAsync(agent, "/dead-letters?from=x")).StatusCode);
    }

    [Fact]
    public async Task The_pages_answer_as_documented()
    {
        await using EdgeAgent agent = await StartAsync();
        await PublishAsync(agent, "devices/d1/temperature", 1);
        await DrainedAsync(agent);

        foreach (string page in new[] { "/livez", "/readyz", "/healthz" })
        {
            Assert.Equal("ok\n", await (await GetAsync(agent, page)).Content.ReadAsStringAsync());
        }
        Assert.Equal(HttpStatusCode.NotFound, (await GetAsync(agent, "/page.html")).StatusCode);
        using HttpResponseMessage posted = await _http.PostAsync($"http://{agent.Http}/status", null);
        Assert.Equal(HttpStatusCode.MethodNotAllowed, posted.StatusCode);
        using HttpResponseMessage head = await _http.SendAsync(new HttpRequestMessage(HttpMethod.Head, $"http://{agent.Http}/status"));
        Assert.Equal("application/json", head.Content.Headers.ContentType?.MediaType);
        Assert.Empty(await head.Content.ReadAsByteArrayAsync());
    }

    [Fact]
    public async Task Metrics_have_the_documented_names_and_no_device()
    {
        await StopClusterAsync();
        await using EdgeAgent agent = await StartAsync();
        await PublishAsync(agent, "devices/d1/temperature", 1, 2);
        string metrics = await (await GetAsync(agent, "/metrics")).Content.ReadAsStringAsync();
        string[] lines = metrics.Split('\n');

        Assert.Equal(2, Value("tributary_edge_backlog_records", "topic=\"telemetry\""));
        Assert.True(Value("tributary_edge_backlog_bytes", "topic=\"telemetry\"") > 100);
        Assert.True(Value("tributary_edge_backlog_age_seconds", "topic=\"telemetry\"") >= 0);
        Assert.Equal(2, Value("tributary_edge_ingest_messages_total", ""));
        Assert.Equal(0, Value("tributary_edge_ingest_refused_total", "reason=\"full\""));
        Assert.Equal(1, Value("tributary_edge_ready", ""));
        Assert.Equal(2, Value("tributary_edge_mqtt_messages_acknowledged_total", ""));
        Assert.Contains("service_instance_id=\"edge-1\"", metrics, StringComparison.Ordinal);
        Assert.DoesNotContain("d1", metrics, StringComparison.Ordinal);

        double? Value(string name, string label) => lines
            .Where(line => (line.StartsWith(name + "{", StringComparison.Ordinal) || line.StartsWith(name + " ", StringComparison.Ordinal))
                && line.Contains(label, StringComparison.Ordinal))
            .Select(line => (double?)double.Parse(line[(line.LastIndexOf('}') + 1)..].Trim().Split(' ')[0], CultureInfo.InvariantCulture))
            .FirstOrDefault();
    }

    [Fact]
    public async Task A_second_agent_on_the_same_directory_is_refused()
    {
        await using EdgeAgent first = await StartAsync();
        StartException refused = await Assert.ThrowsAsync<StartException>(() => StartAsync());

        Assert.Contains(_directory, refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_directory_of_another_agent_is_refused_and_left_as_it_is()
    {
        await using (await StartAsync())
        {
        }
        StartException refused = await Assert.ThrowsAsync<StartException>(() => StartAsync(id: "edge-2"));

        Assert.Contains("belongs to the agent 'edge-1', not to 'edge-2'", refused.Message, StringComparison.Ordinal);
        await using EdgeAgent again = await StartAsync();
    }

    [Theory]
    [InlineData("mqtt")]
    [InlineData("http")]
    public async Task A_port_that_is_taken_is_named_with_its_setting(string setting)
    {
        using var taken = new TcpListener(IPAddress.Loopback, 0);
        taken.Start();
        StartException refused = await Assert.ThrowsAsync<StartException>(
            () => StartAsync(settings: (setting, taken.LocalEndpoint.ToString()!)));

        Assert.Contains($"{taken.LocalEndpoint} (setting '{setting}')", refused.Message, StringComparison.Ordinal);
        Assert.Contains("in use", refused.Message, StringComparison.OrdinalIgnoreCase);
        await using EdgeAgent agent = await StartAsync();
    }

    private static Task PublishAsync(EdgeAgent agent, string topic, params int[] numbers) =>
        PublishAsync(agent, topic, [.. numbers.Select(number => number.ToString(CultureInfo.InvariantCulture))]);

    private static async Task PublishAsync(EdgeAgent agent, string topic, params string[] payloads)
    {
        using IMqttClient client = new MqttClientFactory().CreateMqttClient();
        await client.ConnectAsync(new MqttClientOptionsBuilder().WithTcpServer(agent.Mqtt.Address.ToString(), agent.Mqtt.Port).Build());
        foreach (string payload in payloads)
        {
            MqttClientPublishResult result = await client.PublishAsync(new MqttApplicationMessageBuilder()
                .WithTopic(topic).WithPayload(payload).WithQualityOfServiceLevel(MqttQualityOfServiceLevel.AtLeastOnce).Build());
            Assert.True(result.IsSuccess);
        }
        await client.DisconnectAsync();
    }

    private async Task<EdgeAgent> StartAsync(string id = "edge-1", params (string Name, string Text)[] settings)
    {
        (string Name, string Text)[] all =
        [
            .. settings,
            ("id", id), ("data", _directory), ("cloud", $"127.0.0.1:{_cluster.Brokers[0].Port}"), ("mqtt", "127.0.0.1:0"), (
                "http", "127.0.0.1:0"),
            ("uplink:firstBackoff", "1ms"), ("uplink:maxBackoff", "20ms"), ("uplink:quietPeriod", "20ms"), ("uplink:codec", "none"),
        ];
        var values = new SettingValues();
        values.AddFlags(all.DistinctBy(setting => setting.Name).Select(setting => (setting.Name, setting.Name, (string?)setting.Text)));
        return await EdgeAgent.StartAsync(EdgeOptions.From(values), TimeProvider.System, NullLoggerFactory.Instance);
    }

    private async Task StopClusterAsync()
    {
        foreach (FakeBroker broker in _cluster.Brokers)
        {
            await broker.StopAsync();
        }
    }

    private Task<HttpResponseMessage> GetAsync(EdgeAgent agent, string page) => _http.GetAsync($"http://{agent.Http}{page}");

    private async Task<JsonElement> StatusAsync(EdgeAgent agent) =>
        JsonDocument.Parse(await _http.GetStringAsync($"http://{agent.Http}/status")).RootElement;

    private async Task<JsonElement> DrainedAsync(EdgeAgent agent)
    {
        JsonElement status = default;
        await Waiting.Until(async () =>
        {
            status = await StatusAsync(agent);
            return status.GetProperty("backlog").GetProperty("records").GetInt64() == 0;
        });
        return status;
    }
}
