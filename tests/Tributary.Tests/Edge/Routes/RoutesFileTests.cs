using System.Text;
using Tributary.Contracts.Records;
using Tributary.Contracts.Telemetry;
using Tributary.Edge.Routes;
using Xunit;

namespace Tributary.Tests.Edge.Routes;

public sealed class RoutesFileTests
{
    [Fact]
    public void Routes_are_read_with_comments_and_the_first_that_takes_a_topic_has_it()
    {
        RouteTable table = Parse(
            """
            {
              // pumps first
              "routes": [
                { "name": "pumps", "match": "plant/{line}/{device}/{metric...}", "topic": "pumps", "headers": { "line": "{line}", "kind": "pump" } },
                { "match": "plant/{all...}", "topic": "plant-{all}", "key": "{{{all}}}", },
                { "match": "by/{x}", "topic": "by-client", "key": "{client}" },
                { "match": "noise/{all...}", "drop": true },
              ],
            }
            """);

        Assert.Equal("pumps 7 mqtt.topic=plant/1/7/rpm line=1 kind=pump edge=e", Describe(table, "plant/1/7/rpm"));
        Assert.Equal("plant-x_y {x/y} mqtt.topic=plant/x/y edge=e", Describe(table, "plant/x/y"));
        Assert.Equal("by-client (client) mqtt.topic=by/1 edge=e", Describe(table, "by/1"));
        Assert.Equal("(nowhere)", Describe(table, "noise/a"));
        Assert.Equal("unrouted (client) mqtt.topic=other edge=e", Describe(table, "other"));
        Assert.Equal(["pumps", "plant/{all...}", "by/{x}", "noise/{all...}"], table.Routes.Select(route => route.Name));
        Assert.Equal(["by-client", "pumps", "unrouted"], table.Topics.Order(StringComparer.Ordinal));
    }

    [Fact]
    public void What_no_route_takes_can_be_dropped()
    {
        RouteTable table = Parse("""{ "routes": [ { "match": "a", "topic": "t" } ], "unrouted": "drop" }""");
        Assert.Equal("(nowhere)", Describe(table, "other"));
        Assert.Equal(["t"], table.Topics);
    }

    [Fact]
    public void Everything_that_a_route_can_say_is_read()
    {
        RouteTable table = Parse(
            """
            { "routes": [
              { "match": "a/{device}", "topic": "t", "key": { "path": "id" }, "timestamp": { "path": "a.b[0].ts", "format": "unix_ms" },
                "deadband": { "path": "value", "percent": 2, "atLeastEvery": "1m" }, "userProperties": false },
              { "match": "b", "topic": "t", "sample": { "every": 10 } },
              { "match": "c", "topic": "t", "sample": { "period": "1s" }, "timestamp": { "format": "senml" } },
              { "match": "d", "topic": "t", "deadband": { "path": "", "change": 0.5 } }
            ] }
            """);

        Route first = table.Routes[0];
        Assert.Equal(("id", "a.b[0].ts", TimeFormat.UnixMs, false), (first.KeyPath!.Text, first.Timestamp!.Path.Text, first.Timestamp.Format, first.UserProperties));
        var deadband = Assert.IsType<MessageFilter.Deadband>(first.Filter);
        Assert.Equal(("value", 2, TimeSpan.FromMinutes(1)), (deadband.Path.Text, deadband.Percent, deadband.AtLeastEvery));
        Assert.Equal(new MessageFilter.Every(10), table.Routes[1].Filter);
        Assert.Equal(new MessageFilter.AtMostEvery(TimeSpan.FromSeconds(1)), table.Routes[2].Filter);
        Assert.Equal(TimeFormat.SenMl, table.Routes[2].Timestamp!.Format);
        var absolute = Assert.IsType<MessageFilter.Deadband>(table.Routes[3].Filter);
        Assert.Equal((0.5, null, null), (absolute.Change, absolute.Percent, absolute.AtLeastEvery));
    }

    [Theory]
    [InlineData("", 1, "is not JSON")]
    [InlineData("[]", 1, "JSON object")]
    [InlineData("{}", 1, "'routes' is missing")]
    [InlineData("{\n\"route\": [] }", 2, "'route' is unknown")]
    [InlineData("{\n\"routes\": {} }", 2, "'routes' must be a list")]
    [InlineData("{ \"routes\": [],\n\"unrouted\": \"no\" }", 2, "'unrouted' must be \"keep\" or \"drop\"")]
    [InlineData("{ \"routes\": [],\n\"unrouted\": false }", 2, "'unrouted' must be")]
    [InlineData("{ \"routes\": [],\n\"routes\": [] }", 2, "'routes' stands here twice")]
    [InlineData("{ \"routes\": [\n", 2, "is not JSON")]
    [InlineData("{ \"routes\": [] }\n{}", 2, "is not JSON")]
    [InlineData("{ \"routes\": [\n5 ] }", 2, "must be an object")]
    public void What_is_wrong_in_the_file_is_told_with_its_line(string json, int line, string reason) => AssertRefused(json, line, reason);

    [Theory]
    [InlineData("\n\"mach\": \"a\"", 3, "'mach' of a route is unknown")]
    [InlineData("\"topic\": \"t\"", 2, "a route needs 'match' or 'preset'")]
    [InlineData("\"match\": \"a\"", 2, "a route needs 'topic', or 'drop'")]
    [InlineData("\"match\": \"a\",\n\"match\": \"b\"", 3, "'match' stands here twice")]
    [InlineData("\"topic\": \"t\",\n\"match\": \"a/+\"", 3, "'match': topic pattern 'a/+', character 3: '+' is a wildcard")]
    [InlineData("\"topic\": \"t\",\n\"match\": 5", 3, "'match' must be a text")]
    [InlineData("\"match\": \"a\",\n\"topic\": \"a b\"", 3, "'topic': 'a b' can't be the name")]
    [InlineData("\"match\": \"a\",\n\"topic\": \"{x}\"", 3, "'topic': there is no capture 'x': the pattern 'a' captures nothing")]
    [InlineData("\"match\": \"{a}\", \"topic\": \"t\",\n\"key\": \"{b}\"", 3, "'key': there is no capture 'b': the pattern '{a}' has 'a'")]
    [InlineData("\"match\": \"{a}\", \"topic\": \"t\",\n\"key\": \"{a\"", 3, "'key': '{a', character 1: this '{' is not closed")]
    [InlineData("\"match\": \"{a}\", \"topic\": \"t\",\n\"key\": 1", 3, "'key' must be a text, or an object")]
    [InlineData("\"match\": \"{a}\", \"topic\": \"t\",\n\"key\": {}", 3, "'path' of 'key' is missing")]
    [InlineData("\"match\": \"{a}\", \"topic\": \"t\",\n\"key\": { \"path\": \"a..b\" }", 3, "'path' of 'key': the path 'a..b', character 3")]
    [InlineData("\"match\": \"{a}\", \"topic\": \"t\", \"headers\": {\n\"h\": \"{b}\" }", 3, "'headers', 'h': there is no capture 'b'")]
    [InlineData("\"match\": \"a\", \"topic\": \"t\", \"headers\": {\n\"edge\": \"x\" }", 3, "'headers': 'edge' is a header of the agent's own")]
    [InlineData("\"match\": \"a\", \"topic\": \"t\", \"headers\": {\n\"tributary.mqtt.receipt\": \"x\" }", 3, "of the agent's own")]
    [InlineData("\"match\": \"a\", \"topic\": \"t\", \"headers\": {\n\"\": \"x\" }", 3, "'headers': a name must have")]
    [InlineData("\"match\": \"a\", \"topic\": \"t\", \"headers\": {\n\"h\": 5 }", 3, "'h' must be a text")]
    [InlineData("\"match\": \"a\", \"topic\": \"t\",\n\"headers\": []", 3, "'headers' must be an object")]
    [InlineData("\"match\": \"a\", \"topic\": \"t\",\n\"timestamp\": \"ts\"", 3, "'timestamp' must be an object")]
    [InlineData("\"match\": \"a\", \"topic\": \"t\",\n\"timestamp\": { \"path\": \"ts\" }", 3, "'format' of 'timestamp' is missing")]
    [InlineData("\"match\": \"a\", \"topic\": \"t\", \"timestamp\": {\n\"format\": \"ms\" }", 3, "it must be one of unix, unix_ms, unix_us, unix_ns, iso8601")]
    [InlineData("\"match\": \"a\", \"topic\": \"t\",\n\"timestamp\": { \"format\": \"unix\" }", 3, "'path' of 'timestamp' is missing")]
    [InlineData("\"match\": \"a\", \"topic\": \"t\",\n\"timestamp\": { \"format\": \"senml\", \"path\": \"t\" }", 3, "'path' of 'timestamp' can't be given")]
    [InlineData("\"match\": \"a\", \"topic\": \"t\", \"timestamp\": {\n\"zone\": \"UTC\" }", 3, "'zone' of 'timestamp' is unknown")]
    [InlineData("\"match\": \"a\", \"topic\": \"t\",\n\"sample\": {}", 3, "either 'every' or 'period'")]
    [InlineData("\"match\": \"a\", \"topic\": \"t\",\n\"sample\": { \"every\": 2, \"period\": \"1s\" }", 3, "either 'every' or 'period'")]
    [InlineData("\"match\": \"a\", \"topic\": \"t\", \"sample\": {\n\"every\": 1 }", 3, "'every' of 'sample' must be a whole number from 2")]
    [InlineData("\"match\": \"a\", \"topic\": \"t\", \"sample\": {\n\"every\": 2.5 }", 3, "'every' of 'sample'")]
    [InlineData("\"match\": \"a\", \"topic\": \"t\", \"sample\": {\n\"period\": 5 }", 3, "'period' of 'sample' must be a duration")]
    [InlineData("\"match\": \"a\", \"topic\": \"t\", \"sample\": {\n\"period\": \"0s\" }", 3, "'period' of 'sample' must be a duration")]
    [InlineData("\"match\": \"a\", \"topic\": \"t\",\n\"deadband\": { \"change\": 1 }", 3, "'path' of 'deadband' is missing")]
    [InlineData("\"match\": \"a\", \"topic\": \"t\",\n\"deadband\": { \"path\": \"v\" }", 3, "either 'change' or 'percent'")]
    [InlineData("\"match\": \"a\", \"topic\": \"t\",\n\"deadband\": { \"path\": \"v\", \"change\": 1, \"percent\": 1 }", 3, "either 'change' or 'percent'")]
    [InlineData("\"match\": \"a\", \"topic\": \"t\", \"deadband\": { \"path\": \"v\",\n\"change\": -1 }", 3, "'change' of 'deadband' must be a number from 0")]
    [InlineData("\"match\": \"a\", \"topic\": \"t\", \"deadband\": { \"path\": \"v\", \"change\": 1 },\n\"sample\": { \"every\": 2 }", 3, "'sample' and 'deadband' can't stand in one route")]
    [InlineData("\"match\": \"a\", \"drop\": true,\n\"topic\": \"t\"", 3, "'topic' can't stand beside 'drop'")]
    [InlineData("\"match\": \"a\", \"drop\": true,\n\"sample\": { \"every\": 2 }", 3, "'sample' can't stand beside 'drop'")]
    [InlineData("\"match\": \"a\", \"topic\": \"t\",\n\"drop\": 1", 3, "'drop' must be true or false")]
    [InlineData("\"match\": \"a\", \"topic\": \"t\",\n\"base\": \"b\"", 3, "'base' belongs to a 'preset'")]
    [InlineData("\"match\": \"a\", \"topic\": \"t\",\n\"name\": \"\"", 3, "'name': a name must have")]
    [InlineData("\"match\": \"a\", \"topic\": \"t\",\n\"name\": \"unrouted\"", 3, "'name' can't be 'unrouted'")]
    [InlineData("\"match\": \"a\", \"topic\": \"t\" }, {\n\"match\": \"a\", \"topic\": \"u\"", 3, "'a' is also matched by the route 'a' before it")]
    [InlineData("\"match\": \"a\", \"topic\": \"t\", \"name\": \"n\" }, {\n\"name\": \"n\", \"match\": \"b\", \"topic\": \"u\"", 3, "two routes of the name 'n'")]
    [InlineData("\n\"preset\": \"zigbee\"", 3, "'preset' is 'zigbee'; there are zigbee2mqtt, tasmota, homie5, sparkplug_b, senml")]
    [InlineData("\"preset\": \"tasmota\",\n\"match\": \"a\"", 3, "'match' can't stand beside 'preset'")]
    [InlineData("\"preset\": \"tasmota\",\n\"base\": \"a/#\"", 3, "'base' is the first levels of topics")]
    [InlineData("\"preset\": \"tasmota\",\n\"base\": \"a/\"", 3, "'base' must have no '/'")]
    [InlineData("\"preset\": \"tasmota\",\n\"topic\": \"{device}\"", 3, "'topic' is '{device}', which can't be the name")]
    [InlineData("\"preset\": \"tasmota\" },\n{ \"preset\": \"tasmota\"", 3, "two routes of the name 'tasmota'; give 'name'")]
    [InlineData("\"preset\": \"tasmota\" },\n{ \"name\": \"b\", \"preset\": \"tasmota\"", 3, "is also matched by the route 'tasmota'")]
    public void What_is_wrong_in_a_route_is_told_with_line_and_member(string members, int line, string reason) =>
        AssertRefused($"{{ \"routes\": [\n{{ {members} }} ] }}", line, reason);

    [Fact]
    public void Bytes_that_are_no_text_are_told_with_their_line()
    {
        byte[] bytes = [.. "{ \"routes\": [ {\n\"match\": \""u8, 0xFF, .. "\" } ] }"u8];
        Assert.Contains("line 2", Assert.Throws<RoutesFileException>(() => RoutesFile.Parse(bytes, "f")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Routes_headers_and_bytes_have_limits()
    {
        string routes = string.Join(",\n", Enumerable.Range(0, RouteTable.MaxRoutes + 1).Select(i => $"{{ \"match\": \"{i}\", \"topic\": \"t\" }}"));
        AssertRefused($"{{ \"routes\": [\n{routes} ] }}", RouteTable.MaxRoutes + 2, "more than 256 routes");
        string headers = string.Join(", ", Enumerable.Range(0, Route.MaxHeaders + 1).Select(i => $"\"h{i}\": \"v\""));
        AssertRefused($"{{ \"routes\": [ {{ \"match\": \"a\", \"topic\": \"t\", \"headers\": {{ {headers} }} }} ] }}", 1, "more than 16 headers");
        using var directory = new Tributary.Tests.Cloud.Support.TemporaryDirectory();
        File.WriteAllText(directory.File("routes.json"), new string(' ', RoutesFile.MaxBytes + 1));
        Assert.Contains("it may have 1048576", Assert.Throws<RoutesFileException>(() => RoutesFile.Read(directory.File("routes.json"))).Message, StringComparison.Ordinal);
        Assert.Contains("can't be read", Assert.Throws<RoutesFileException>(() => RoutesFile.Read(directory.File("none.json"))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_example_of_the_documentation_is_right()
    {
        string text = File.ReadAllText(Path.Combine(Host.SettingValuesTests.Repository(), "edge", "Tributary.Edge", "ROUTES.md"));
        int start = text.IndexOf("```json", StringComparison.Ordinal) + "```json".Length;
        RouteTable table = Parse(text[start..text.IndexOf("```", start, StringComparison.Ordinal)]);
        Assert.Equal("site.north p1 mqtt.topic=site/north/p1/rpm edge=e", Describe(table, "site/north/p1/rpm"));
        Assert.Equal("telemetry lamp mqtt.topic=zigbee2mqtt/lamp metric=state edge=e", Describe(table, "zigbee2mqtt/lamp"));
        Assert.Equal("(nowhere)", Describe(table, "plant/1/debug/x"));
        Assert.Equal("pumps p7 mqtt.topic=plant/1/p7/rpm line=1 metric=rpm edge=e", Describe(table, "plant/1/p7/rpm"));
    }

    [Fact]
    public void A_damaged_file_is_refused_with_a_sentence_or_taken()
    {
        byte[] whole =
            """
            { "routes": [ // all there is
              { "match": "a/{device}", "topic": "t-{device}", "key": { "path": "id" }, "timestamp": { "path": "a.b[0].ts", "format": "unix_ms" },
                "deadband": { "path": "v", "percent": 2, "atLeastEvery": "1m" }, "userProperties": false, "headers": { "h": "{device}" } },
              { "preset": "tasmota", "base": "home", "name": "n" }, { "match": "b", "topic": "t", "sample": { "every": 10 } }, { "match": "c", "drop": true } ],
              "unrouted": "drop" }
            """u8.ToArray();
        var random = new Random(7);
        int refused = 0;
        for (int i = 0; i < 20_000; i++)
        {
            byte[] damaged = [.. whole.AsSpan(0, random.Next(4) == 0 ? random.Next(whole.Length) : whole.Length)];
            for (int n = random.Next(1, 4); n > 0 && damaged.Length > 0; n--)
            {
                damaged[random.Next(damaged.Length)] = random.Next(2) == 0 ? (byte)random.Next(256) : whole[random.Next(whole.Length)];
            }
            try
            {
                RoutesFile.Parse(damaged, "routes.json");
            }
            catch (RoutesFileException e)
            {
                Assert.Matches("^the routes file routes.json, line [1-6]", e.Message);
                refused++;
            }
        }
        Assert.InRange(refused, 5_000, 20_000);
    }

    internal static RouteTable Parse(string json) => RoutesFile.Parse(Encoding.UTF8.GetBytes(json), "routes.json");

    /// <summary>Kafka topic, key and headers of an MQTT topic's messages.</summary>
    internal static string Describe(RouteTable table, string mqttTopic)
    {
        RoutedTopic routed = table.Resolve(Encoding.UTF8.GetBytes(mqttTopic), "e");
        if (routed.Topic is null)
        {
            return "(nowhere)";
        }
        var headers = new HeaderReader(routed.Headers.Bytes.Span, routed.Headers.Count);
        var text = new StringBuilder($"{routed.Topic} {(routed.Key is null ? "(client)" : Encoding.UTF8.GetString(routed.Key))}");
        while (headers.Read(out ReadOnlySpan<byte> name, out ReadOnlySpan<byte> value, out _))
        {
            text.Append($" {Encoding.UTF8.GetString(name)}={Encoding.UTF8.GetString(value)}");
        }
        return text.ToString();
    }

    private static void AssertRefused(string json, int line, string reason)
    {
        string message = Assert.Throws<RoutesFileException>(() => Parse(json)).Message;
        Assert.Contains($"routes.json, line {line}", message, StringComparison.Ordinal);
        Assert.Contains(reason, message, StringComparison.Ordinal);
    }
}
