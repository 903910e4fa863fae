using System.Globalization;
using System.Text.Json;
using Tributary.Conformance.Clients;
using Tributary.Conformance.Harness;
using Xunit;

namespace Tributary.Conformance;

/// <summary>A routes file of a running agent, by clients of Mosquitto on one side and Kafka on the other; and the commands for it.</summary>
public sealed class RouteFileTests : IDisposable
{
    private readonly TempDirectory _directory = TempDirectory.Create();

    private string Routes => _directory.At("routes.json");

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task Messages_go_by_a_file_that_is_changed_while_they_come_and_none_is_lost_doubled_or_out_of_order()
    {
        Write("""{ "match": "plant/{device}/{metric...}", "topic": "alpha" }""");
        await using TestSystem system = await TestSystem.StartAsync(
            EdgeNode.Shipped, new Dictionary<string, string> { ["ROUTES__FILE"] = Routes, ["MQTT__FILECHECKINTERVAL"] = "50ms" });
        string stop = _directory.At("stop");
        await using var publisher = RunningProcess.Start(
            "publisher", "sh",
            [
                "-c", "i=0; while [ ! -e \"$1\" ]; do i=$((i+1)); echo $i; sleep 0.001; done | mosquitto_pub -l -q 1 -V mqttv5 -p \"$0\" -t plant/d1/rpm"
                + " -D publish user-property site berlin", system.MqttPort, stop,
            ],
            ownsChildren: true);
        await StoredAsync(system, "plant/{device}/{metric...}", 50);
        Write("""{ "name": "beta", "match": "plant/{device}/{metric...}", "topic": "beta", "headers": { "metric": "{metric}" } }""");
        await StoredAsync(system, "beta", 50);
        File.WriteAllText(Routes, "{ \"routes\": [\n{ \"match\": \"plant/+\", \"topic\": \"gamma\" } ] }");
        // One that is read while it is written may be refused too.
        await FileAsync(system, file => file.GetProperty("lastError").GetString()?.Contains("line 2", StringComparison.Ordinal) == true);
        Write("""{ "match": "plant/{all...}", "topic": "alpha", "key": "d1", "headers": { "all": "{all}" } }""");
        await StoredAsync(system, "plant/{all...}", 50);
        File.WriteAllText(stop, "");
        Assert.Equal(0, await publisher.ExitAsync());
        await system.DrainedAsync();

        List<Consumed> alpha = await KafkaReader.ReadAllAsync(system.Kafka, "alpha");
        List<Consumed> beta = await KafkaReader.ReadAllAsync(system.Kafka, "beta");
        int[] first = [.. alpha.Where(record => record.Headers.All(header => header.Key != "all")).Select(Number)];
        int[] third = [.. alpha.Where(record => record.Headers.Any(header => header.Key == "all")).Select(Number)];
        Assert.Equal(Enumerable.Range(1, alpha.Count + beta.Count), [.. first, .. beta.Select(Number), .. third]);
        Assert.Equal([new("mqtt.topic", "plant/d1/rpm"), new("metric", "rpm"), new("edge", TestSystem.EdgeId), new("site", "berlin")], beta[0].Headers);
        Assert.All(alpha.Concat(beta), record => Assert.Equal("d1", record.Key));
    }

    [Fact]
    public async Task Times_out_of_payloads_are_the_records_timestamps_in_the_cloud_in_whatever_order_they_are()
    {
        Write("""{ "match": "a/{device}", "topic": "timed", "timestamp": { "path": "ts", "format": "unix_ms" } }""");
        await using TestSystem system = await TestSystem.StartAsync(
            EdgeNode.Shipped, new Dictionary<string, string> { ["ROUTES__FILE"] = Routes, ["BUFFER__COMMITWINDOW"] = "50ms" });
        long[] times = [1_700_000_000_000, 1_600_000_000_123, 1_700_000_000_001, 1_650_000_000_000];
        string lines = string.Join("\\n", Enumerable.Range(0, 200).Select(i => $"{{\"ts\":{times[i % times.Length] + i}}}"));
        await Tool.RunAsync("sh", "-c", "printf \"$1\\n\" | mosquitto_pub -l -q 1 -p \"$0\" -t a/d", system.MqttPort, lines);
        await system.DrainedAsync();
        List<Consumed> records = await KafkaReader.ReadAllAsync(system.Kafka, "timed");
        Assert.Equal(Enumerable.Range(0, 200).Select(i => times[i % times.Length] + i), records.Select(record => record.Timestamp.ToUnixTimeMilliseconds()));
        string found = await Tool.RunAsync("kcat", "-b", system.Kafka, "-Q", "-t", $"timed:{records[0].Partition}:{1_700_000_000_001}");
        Assert.Contains("offset 2", found, StringComparison.Ordinal); // the first that is not earlier
    }

    [Fact]
    public async Task What_presets_drop_and_filters_leave_out_is_acknowledged_and_delivered_here_and_counted()
    {
        Write(
            """
            { "preset": "zigbee2mqtt" },
            { "name": "slow", "match": "slow/{device}", "topic": "telemetry", "deadband": { "path": "v", "change": 1 }, "timestamp": { "path": "ts", "format": "unix" } }
            """);
        await using EdgeNode edge = await EdgeNode.StartAsync(
            _directory.At("data"), "127.0.0.1:1", new Dictionary<string, string> { ["TRIBUTARY__ROUTES__FILE"] = Routes });
        string port = edge.Mqtt.Port.ToString(CultureInfo.InvariantCulture);
        await using var subscriber = RunningProcess.Start("sub", "mosquitto_sub", ["-p", port, "-q", "1", "-t", "#", "-v", "-C", "5"]);
        await Until.TrueAsync(async () => (await edge.StatusAsync()).GetProperty("mqtt").GetProperty("subscriptions").GetInt64() == 1);
        (string Topic, string Payload)[] sent =
        [
            ("zigbee2mqtt/lamp", "{\"state\":\"ON\"}"), ("zigbee2mqtt/lamp/set", "{\"state\":\"OFF\"}"), ("slow/a", "{\"v\":1,\"ts\":1700000000}"),
            ("slow/a", "{\"v\":1.5}"), ("slow/a", "{\"v\":2}"),
        ];
        foreach ((string topic, string payload) in sent)
        {
            await Tool.RunAsync("mosquitto_pub", "-p", port, "-q", topic.EndsWith("/set", StringComparison.Ordinal) ? "2" : "1", "-t", topic, "-m", payload);
        }
        Assert.Equal(0, await subscriber.ExitAsync());
        Assert.Equal(string.Join('\n', sent.Select(message => $"{message.Topic} {message.Payload}")), subscriber.Output);
        Assert.Equal(3, (await edge.StatusAsync()).GetProperty("ingest").GetProperty("messages").GetInt64());
        string metrics = await (await edge.PageAsync("/metrics")).Content.ReadAsStringAsync();
        foreach (string labels in new[]
        {
            "outcome=\"stored\",route=\"zigbee2mqtt\"", "outcome=\"dropped\",route=\"zigbee2mqtt.commands\"", "outcome=\"deadband\",route=\"slow\"",
        })
        {
            Assert.Matches($"tributary_edge_route_messages_total\\{{[^}}]*{labels}[^}}]*\\}} 1", metrics);
        }
        Assert.Equal(1, await edge.MetricAsync("tributary_edge_route_timestamp_fallbacks_total"));
    }

    [Fact]
    public async Task The_commands_tell_what_would_become_of_a_message_and_what_is_wrong_with_a_file()
    {
        Write("""{ "name": "pumps", "match": "plant/{device}/{metric...}", "topic": "pumps", "timestamp": { "path": "ts", "format": "unix" } }""");
        Assert.Contains("1 routes to pumps, unrouted", await EdgeNode.CommandAsync("", "route", "check", "--routes", Routes), StringComparison.Ordinal);
        string text = await EdgeNode.CommandAsync(
            "", "route", "test", "--routes", Routes, "--topic", "plant/p1/rpm", "--payload", "{\"ts\":1700000000}");
        Assert.Equal(
            """
            route      pumps
            outcome    stored
            topic      pumps
            key        p1
            timestamp  2023-11-14T22:13:20.000Z (of the payload)
            header     mqtt.topic=plant/p1/rpm
            header     edge=edge
            value      the payload, 17 bytes
            """.ReplaceLineEndings("\n"), text.TrimEnd());
        JsonElement json = JsonDocument.Parse(await EdgeNode.CommandAsync(
            "", "route", "test", "--topic", "devices/d1/t", "--payload", "1", "--client", "c", "--json")).RootElement;
        Assert.Equal(("telemetry", "d1", "arrival"), (
            json.GetProperty("topic").GetString(), json.GetProperty("key").GetString(), json.GetProperty("timestampOf").GetString()));

        Write("\n{ \"match\": \"a\" }");
        foreach (string[] command in new[] { new[] { "route", "check", "--routes", Routes }, ["route", "test", "--routes", Routes, "--topic", "a", "--payload", ""] })
        {
            InvalidOperationException error = await Assert.ThrowsAsync<InvalidOperationException>(() => EdgeNode.CommandAsync("", command));
            Assert.Contains("ended with 2", error.Message, StringComparison.Ordinal);
            Assert.Contains("line 2: a route needs 'topic', or 'drop'", error.Message, StringComparison.Ordinal);
        }
        await using RunningProcess agent = EdgeNode.Run(
            EdgeNode.Shipped, _directory.At("data"), "127.0.0.1:1", new Dictionary<string, string> { ["TRIBUTARY__ROUTES__FILE"] = Routes });
        Assert.Equal(2, await agent.ExitAsync());
        Assert.Contains("line 2: a route needs 'topic', or 'drop'", agent.Errors, StringComparison.Ordinal);
    }

    private static int Number(Consumed record) => int.Parse(record.Text, CultureInfo.InvariantCulture);

    private static Task StoredAsync(TestSystem system, string route, long messages) => Until.TrueAsync(
        async () => (await system.StatusAsync()).GetProperty("routes").GetProperty("messages").EnumerateArray()
            .Any(counts => counts.GetProperty("name").GetString() == route && counts.GetProperty("stored").GetInt64() >= messages),
        system.Edge.Story);

    private static async Task<JsonElement> FileAsync(TestSystem system, Func<JsonElement, bool> holds)
    {
        JsonElement file = default;
        await Until.TrueAsync(
            async () => holds(file = (await system.StatusAsync()).GetProperty("routes").GetProperty("file")), system.Edge.Story);
        return file;
    }

    /// <summary>Replaces the file, as editors do.</summary>
    private void Write(string routes)
    {
        File.WriteAllText(Routes + ".tmp", $"{{ \"routes\": [ {routes} ] }}");
        File.Move(Routes + ".tmp", Routes, overwrite: true);
    }
}
