using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using Tributary.Conformance.Harness;
using Xunit;

namespace Tributary.Conformance;

/// <summary>
/// Each feature of MQTT 3.1.1 and 5 by clients that nobody here wrote: Eclipse Paho for Python, mqtt.js, those of Mosquitto. The agent is
/// the shipped build, without a cloud. Transports and users are tried by <see cref="MqttAccessTests"/>, crashes by
/// <see cref="SessionKillTests"/>.
/// </summary>
public sealed class MqttFeatureTests : IAsyncLifetime
{
    private static readonly JsonSerializerOptions Plain = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
    private readonly TempDirectory _directory = TempDirectory.Create();
    private EdgeNode _edge = null!;

    private string Port => _edge.Mqtt.Port.ToString(CultureInfo.InvariantCulture);

    public async ValueTask InitializeAsync() => _edge = await EdgeNode.StartAsync(
        _directory.At("data"), "127.0.0.1:1", new Dictionary<string, string> { ["TRIBUTARY__WS"] = "127.0.0.1:0" });

    public async ValueTask DisposeAsync()
    {
        await _edge.DisposeAsync();
        _directory.Dispose();
    }

    [Fact]
    public async Task Paho_of_Python_gets_every_feature_of_MQTT_5() => await CheckAsync(Paho(5), new()
    {
        ["each_qos_both_ways"] = """[[0,1,2],[["q/0",0,"at 0"],["q/1",1,"at 1"],["q/2",2,"at 2"]]]""",
        ["session_with_what_was_missed"] = """[0,1,["missed at 1","missed at 1","missed at 2"],0,0]""",
        ["retained_value"] = """[["r/a","new",1],["r/a","live",0]]""",
        ["will_when_a_client_vanishes"] = """["w/bad","said",2]""",
        ["takeover"] = "142",
        ["granted_qos_and_unsubscribe"] = "[[2,0],[0],[17]]",
        ["properties_arrive"] = """[1,true,"application/json","p/answer","17",[["a","1"],["a","2"]],[77]]""",
        ["request_and_response"] = """["42","c1"]""",
        ["subscription_options"] = """["other's",["flag kept",1],"flag kept"]""",
        ["topic_alias_to_the_broker"] = """[true,[["alias/one","1"],["alias/one","2"],["alias/two","3"],["alias/two","4"]]]""",
        ["limits_are_told_and_kept"] = """[true,3600,true,true,["0","1","2","3","4"]]""",
        ["will_after_its_delay"] = """[1,"said"]""",
        ["shared_subscription"] = "[true,2]",
        ["retained_value_of_the_broker"] = """["$SYS/broker/version",1,true]""",
    });

    [Fact]
    public async Task Paho_of_Python_gets_every_feature_of_MQTT_3() => await CheckAsync(Paho(4), new()
    {
        ["each_qos_both_ways"] = """[[0,1,2],[["q/0",0,"at 0"],["q/1",1,"at 1"],["q/2",2,"at 2"]]]""",
        ["session_with_what_was_missed"] = """[0,1,["missed at 1","missed at 1","missed at 2"],0,0]""",
        ["retained_value"] = """[["r/a","new",1],["r/a","live",0]]""",
        ["will_when_a_client_vanishes"] = """["w/bad","said",2]""",
        ["takeover"] = "true",
        ["granted_qos_and_unsubscribe"] = "[2,0]",
        ["retained_value_of_the_broker"] = """["$SYS/broker/version",1,true]""",
    });

    [Theory]
    [InlineData("mqtt")]
    [InlineData("ws")]
    public async Task Mqtt_js_gets_every_feature_of_MQTT_5(string listener) => await CheckAsync(MqttJs(listener, 5), new()
    {
        ["each_qos_both_ways"] = """[[0,1,2],[["q/0",0,"at 0"],["q/1",1,"at 1"],["q/2",2,"at 2"]]]""",
        ["session_with_what_was_missed"] = """[false,true,["missed at 1","missed at 1","missed at 2"]]""",
        ["retained_value"] = """[["new",true],["live",false]]""",
        ["will_when_a_client_vanishes"] = """["w/bad","said"]""",
        ["topic_aliases_both_ways"] = """[[["alias/0","0"],["alias/1","1"],["alias/0","2"],["alias/1","3"],["alias/0","4"],["alias/1","5"]],true]""",
        ["properties_arrive"] = """[true,"application/json","p/answer","17",["1","2"],[9]]""",
    });

    [Fact]
    public async Task Mqtt_js_gets_every_feature_of_MQTT_3() => await CheckAsync(MqttJs("mqtt", 4), new()
    {
        ["each_qos_both_ways"] = """[[0,1,2],[["q/0",0,"at 0"],["q/1",1,"at 1"],["q/2",2,"at 2"]]]""",
        ["session_with_what_was_missed"] = """[false,true,["missed at 1","missed at 1","missed at 2"]]""",
        ["retained_value"] = """[["new",true],["live",false]]""",
        ["will_when_a_client_vanishes"] = """["w/bad","said"]""",
    });

    [Theory]
    [InlineData("mqttv311")]
    [InlineData("mqttv5")]
    public async Task Clients_of_Mosquitto_miss_nothing_that_is_sent_while_they_are_away(string version)
    {
        string[] subscribe = ["-p", Port, "-V", version, "-i", "m", "-c", "-q", "2", "-t", "m/#", "-F", "%q %r %t %p"];
        await Tool.RunAsync("mosquitto_sub", [.. subscribe, "-E"]);
        await PublishAsync(version, "2", "m/a", "first", "-r");
        await PublishAsync(version, "1", "m/b", "second");
        string missed = await Tool.RunAsync("mosquitto_sub", [.. subscribe, "-C", "2", "-W", "60"]);
        Assert.Equal(["1 0 m/b second", "2 0 m/a first"], missed.Split('\n').Order()); // it shows QoS 2 when it is released
        Assert.Equal("1 m/a first", await Tool.RunAsync("mosquitto_sub", "-p", Port, "-V", version, "-t", "m/#", "-C", "1", "-W", "60", "-F", "%r %t %p"));
    }

    [Fact]
    public async Task Mosquitto_asks_and_is_answered()
    {
        await using RunningProcess server = RunningProcess.Start(
            "server", "mosquitto_sub", ["-p", Port, "-V", "mqttv5", "-t", "ask", "-q", "1", "-C", "1", "-F", "%R %D"]);
        await Until.TrueAsync(
            async () => (await _edge.StatusAsync()).GetProperty("mqtt").GetProperty("subscriptions").GetInt64() == 1, server.Story);
        await using RunningProcess asker = RunningProcess.Start(
            "asker", "mosquitto_rr",
            [
                "-p", Port, "-V", "mqttv5", "-t", "ask", "-e", "answers/17", "-m", "6 x 7", "-q", "1", "-W", "60", "-D", "publish", "correlation-data",
                "c1",
            ]);
        Assert.Equal(0, await server.ExitAsync());
        Assert.Equal("answers/17 c1", server.Output);
        await PublishAsync("mqttv5", "1", "answers/17", "42", "-D", "publish", "correlation-data", "c1");
        Assert.Equal(0, await asker.ExitAsync());
        Assert.Equal("42", asker.Output);
    }

    private static string Script(string language, string name) =>
        Path.Combine(Programs.Root, "tests", "Tributary.Conformance", "Clients", language, name);

    private static async Task CheckAsync(RunningProcess client, Dictionary<string, string> expected)
    {
        await using (client)
        {
            Assert.Equal(0, await client.ExitAsync());
            Dictionary<string, string> got = NodeClient.Lines(client).Select(line => (line.GetProperty("feature").GetString()!, line.GetProperty("result")))
                .Where(pair => pair.Item2.ValueKind != JsonValueKind.Null).ToDictionary(pair => pair.Item1, pair => JsonSerializer.Serialize(pair.Item2, Plain));
            Assert.Equal(expected.Select(pair => $"{pair.Key}: {pair.Value}").Order(), got.Select(pair => $"{pair.Key}: {pair.Value}").Order());
        }
    }

    private RunningProcess Paho(int version) => RunningProcess.Start(
        "paho", "/usr/bin/python3", [Script("Python", "paho_features.py"), Port, version.ToString(CultureInfo.InvariantCulture)]);

    private RunningProcess MqttJs(string listener, int version) => NodeClient.Start(
        "mqtt.js", "mqttjs_features.mjs", listener == "ws" ? $"ws://127.0.0.1:{_edge.At("ws").Port}/mqtt" : $"mqtt://127.0.0.1:{Port}",
        version.ToString(CultureInfo.InvariantCulture));

    private Task<string> PublishAsync(string version, string qos, string topic, string payload, params string[] more) =>
        Tool.RunAsync("mosquitto_pub", ["-p", Port, "-V", version, "-q", qos, "-t", topic, "-m", payload, .. more]);
}
