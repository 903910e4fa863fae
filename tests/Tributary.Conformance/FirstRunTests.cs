using System.Diagnostics;
using System.Text.Json;
using MQTTnet;
using MQTTnet.Formatter;
using MQTTnet.Protocol;
using Tributary.Conformance.Clients;
using Tributary.Conformance.Harness;
using Xunit;

namespace Tributary.Conformance;

/// <summary>What a new user tries first: messages in by MQTT, readings out by Kafka, with the tools they have.</summary>
public sealed class FirstRunTests : IAsyncLifetime
{
    private TestSystem _system = null!;

    public async ValueTask InitializeAsync() => _system = await TestSystem.StartAsync();

    public ValueTask DisposeAsync() => _system.DisposeAsync();

    [Fact]
    public async Task A_reading_by_mosquitto_pub_shows_up_in_kcat_within_a_second_with_key_and_headers()
    {
        await PublishAsync("devices/d1/temperature", "0");
        await _system.DrainedAsync(); // the topic exists
        await using var kcat = RunningProcess.Start(
            "kcat", "kcat", ["-b", _system.Kafka, "-C", "-u", "-q", "-t", "telemetry", "-o", "beginning", "-f", "%k|%h|%s\n"]);
        await Until.TrueAsync(() => Task.FromResult(kcat.Output.Contains("|0")), kcat.Story);
        TimeSpan fastest = TimeSpan.MaxValue;
        for (int i = 1; i <= 5; i++)
        {
            string value = $"21.{i}";
            long start = Stopwatch.GetTimestamp();
            await PublishAsync("devices/d1/temperature", value);
            await Until.TrueAsync(() => Task.FromResult(kcat.Output.Contains('|' + value)), kcat.Story);
            TimeSpan took = Stopwatch.GetElapsedTime(start);
            fastest = took < fastest ? took : fastest;
        }
        string line = kcat.Output.Split('\n').Single(line => line.EndsWith("|21.5", StringComparison.Ordinal));
        Assert.Equal($"d1|mqtt.topic=devices/d1/temperature,metric=temperature,edge={TestSystem.EdgeId}|21.5", line);
        // The best of five: a machine that is busy with other tests may delay some of them.
        Assert.True(fastest < TimeSpan.FromSeconds(1), $"the fastest took {fastest}");
    }

    [Fact]
    public async Task A_topic_without_a_route_is_stored_under_the_client_s_id()
    {
        await Tool.RunAsync("mosquitto_pub", "-p", _system.MqttPort, "-i", "client-9", "-q", "1", "-t", "plant/line/4", "-m", "hello");
        List<Consumed> records = await KafkaReader.ReadUntilAsync(
            _system.Kafka, "unrouted", records => records.Count > 0, _system.Edge.Story);
        Consumed record = Assert.Single(records);
        Assert.Equal(("client-9", "hello"), (record.Key, record.Text));
        Assert.Equal([new("mqtt.topic", "plant/line/4"), new("edge", TestSystem.EdgeId)], record.Headers);
    }

    [Fact]
    public async Task A_hundred_readings_of_simulated_devices_come_out_of_kcat_keyed_by_device()
    {
        await using var simulator = RunningProcess.Start(
            "firmware-sim", Programs.FirmwareSim, ["--mqtt", $"127.0.0.1:{_system.MqttPort}", "--devices", "12", "--rate", "10", "--for", "3"]);
        await simulator.ReadyAsync();
        await Until.TrueAsync(async () => (await _system.StatusAsync()).GetProperty("link").GetProperty("requests").GetInt64() > 0); // the topic exists
        string output = await Tool.RunAsync(
            "kcat", "-b", _system.Kafka, "-C", "-t", "telemetry", "-o", "beginning", "-c", "100", "-f", "%k %p %o %s\n");
        string[][] lines = [.. output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Split(' ', 4))];
        Assert.Equal(100, lines.Length);
        Assert.All(lines, line => Assert.Matches("^(pump|meter|weather|truck)-00[01][0-9]$", line[0]));
        Assert.All(lines.GroupBy(line => line[0]), device => Assert.Single(device.Select(line => line[1]).Distinct()));
        Assert.Equal(0, await simulator.ExitAsync());
        JsonElement totals = JsonDocument.Parse(simulator.Output.Split('\n')[^1]).RootElement;
        Assert.True(totals.GetProperty("acknowledged").GetInt64() > 300, totals.ToString());
        await _system.DrainedAsync();
        List<Consumed> all = await KafkaReader.ReadAllAsync(_system.Kafka, "telemetry");
        Assert.Equal(totals.GetProperty("acknowledged").GetInt64(), all.Count);
        Assert.Equal(0, totals.GetProperty("pending").GetInt64());
        Assert.All(
            all, record => Assert.InRange(record.Timestamp, DateTimeOffset.UtcNow.AddMinutes(-5), DateTimeOffset.UtcNow.AddMinutes(1)));
    }

    [Fact]
    public async Task Any_bytes_come_through_as_they_are()
    {
        byte[][] payloads = [[], [0], [0xFF, 0xFE, 0, 10, 13], [.. Enumerable.Range(0, 60_000).Select(i => (byte)(i * 31))]];
        using IMqttClient client = await ConnectAsync("binary", MqttProtocolVersion.V500);
        foreach (byte[] payload in payloads)
        {
            MqttClientPublishResult result = await client.PublishAsync(new MqttApplicationMessage
            {
                Topic = "devices/binary/blob",
                PayloadSegment = payload,
                QualityOfServiceLevel = MqttQualityOfServiceLevel.AtLeastOnce,
            });
            Assert.True(result.IsSuccess, result.ReasonString);
        }
        List<Consumed> records = await KafkaReader.ReadUntilAsync(_system.Kafka, "telemetry", records => records.Count == payloads.Length);
        Assert.Equal(payloads, records.Select(record => record.Value));
    }

    [Theory]
    [InlineData(MqttProtocolVersion.V311)]
    [InlineData(MqttProtocolVersion.V500)]
    public async Task A_subscriber_at_the_edge_gets_what_is_published_there(MqttProtocolVersion version)
    {
        var got = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
        using IMqttClient subscriber = await ConnectAsync("subscriber", version);
        subscriber.ApplicationMessageReceivedAsync += message =>
        {
            got.TrySetResult($"{message.ApplicationMessage.Topic} {message.ApplicationMessage.ConvertPayloadToString()}");
            return Task.CompletedTask;
        };
        await subscriber.SubscribeAsync("devices/+/level", MqttQualityOfServiceLevel.AtLeastOnce);
        await PublishAsync("devices/tank/level", "0.75");
        Assert.Equal("devices/tank/level 0.75", await got.Task.WaitAsync(Until.Deadline));
        string line = await SubscribeByMosquittoAsync("devices/tank/#", () => PublishAsync("devices/tank/level", "0.5"));
        Assert.Equal("devices/tank/level 0.5", line);
    }

    [Fact]
    public async Task Both_programs_tell_that_they_live_are_ready_and_what_they_count()
    {
        await PublishAsync("devices/d1/temperature", "1");
        JsonElement status = await _system.DrainedAsync();
        Assert.Equal(TestSystem.EdgeId, status.GetProperty("id").GetString());
        JsonElement partition = status.GetProperty("partitions").EnumerateArray().Single(
            partition => partition.GetProperty("topic").GetString() == "telemetry");
        Assert.Equal((1L, 1L), (partition.GetProperty("ackedOffset").GetInt64(), partition.GetProperty("flushedOffset").GetInt64()));
        foreach (string page in new[] { "/livez", "/readyz", "/metrics" })
        {
            using HttpResponseMessage edge = await _system.EdgePageAsync(page);
            using HttpResponseMessage cloud = await _system.CloudPageAsync(page);
            Assert.True(edge.IsSuccessStatusCode && cloud.IsSuccessStatusCode, $"{page}: {edge.StatusCode} and {cloud.StatusCode}");
        }
        using HttpResponseMessage metrics = await _system.EdgePageAsync("/metrics");
        Assert.Contains("\ntributary_", await metrics.Content.ReadAsStringAsync());
    }

    [Fact]
    public async Task The_edge_is_ready_and_takes_messages_while_the_cloud_is_away()
    {
        _system.Link.State = LinkState.Cut;
        await _system.KillEdgeAsync();
        await _system.StartEdgeAsync();
        await PublishAsync("devices/d1/temperature", "3");
        using HttpResponseMessage ready = await _system.EdgePageAsync("/readyz");
        Assert.True(ready.IsSuccessStatusCode);
        Assert.Equal(1, (await _system.StatusAsync()).GetProperty("backlog").GetProperty("records").GetInt64());
        _system.Link.State = LinkState.Up;
        await _system.DrainedAsync();
        Assert.Single(await KafkaReader.ReadAllAsync(_system.Kafka, "telemetry"));
    }

    private Task<string> PublishAsync(string topic, string value) =>
        Tool.RunAsync("mosquitto_pub", "-p", _system.MqttPort, "-q", "1", "-t", topic, "-m", value);

    /// <summary>Subscribes, publishes until something comes (a subscription by a command takes a moment), and returns what came.</summary>
    private async Task<string> SubscribeByMosquittoAsync(string filter, Func<Task> publish)
    {
        await using var mosquitto = RunningProcess.Start(
            "mosquitto_sub", "mosquitto_sub", ["-p", _system.MqttPort, "-q", "1", "-t", filter, "-v", "-C", "1"]);
        await Until.TrueAsync(
            async () =>
            {
                await publish();
                return mosquitto.HasExited;
            },
            mosquitto.Story);
        await mosquitto.ExitAsync();
        return mosquitto.Output;
    }

    private async Task<IMqttClient> ConnectAsync(string id, MqttProtocolVersion version)
    {
        var factory = new MqttClientFactory();
        IMqttClient client = factory.CreateMqttClient();
        MqttClientConnectResult result = await client.ConnectAsync(factory.CreateClientOptionsBuilder()
            .WithTcpServer("127.0.0.1", _system.Mqtt!.Port).WithClientId(id).WithProtocolVersion(version).Build());
        Assert.Equal(MqttClientConnectResultCode.Success, result.ResultCode);
        return client;
    }
}
