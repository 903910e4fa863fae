using Tributary.Contracts.Telemetry;
using Tributary.Edge.Routes;
using Xunit;

namespace Tributary.Tests.Edge.Routes;

public sealed class RouteProbeTests
{
    [Fact]
    public async Task A_message_is_described_as_an_agent_would_store_it()
    {
        await using var probe = new RouteProbe(
            RoutesFileTests.Parse(
                """
                { "routes": [
                  { "name": "r", "match": "a/{device}", "topic": "t.{device}", "timestamp": { "path": "ts", "format": "unix" } },
                  { "name": "s", "match": "s", "topic": "u", "deadband": { "path": "", "change": 1 } },
                  { "match": "n", "drop": true }
                ] }
                """),
            "edge", TimeProvider.System);

        ProbeResult result = probe.Try("c", "a/d", """{"ts":1700000000}"""u8);
        Assert.Equal(("r", "stored"), (result.Route, result.Outcome));
        Assert.Equal(("t.d", "d", true, 17), (result.Record!.Topic, result.Record.Key, result.Record.IsTimeOfPayload, result.Record.ValueBytes));
        Assert.Equal(DateTimeOffset.FromUnixTimeSeconds(1_700_000_000), result.Record.Timestamp);
        Assert.Equal([new("mqtt.topic", "a/d"), new("edge", "edge")], result.Record.Headers);
        Assert.False(probe.Try("c", "a/d", "none"u8).Record!.IsTimeOfPayload);
        Assert.Equal("c", probe.Try("c", "s", "1"u8).Record!.Key);
        Assert.Equal("deadband", probe.Try("c", "s", "1.5"u8).Outcome);
        Assert.Equal(new ProbeResult("n", "dropped", null), probe.Try("c", "n", ""u8) with { Route = "n" });
        Assert.Equal((null, RouteTable.UnroutedTopic), (probe.Try("c", "x", ""u8).Route, probe.Try("c", "x", ""u8).Record!.Topic));
    }

    [Fact]
    public async Task A_file_with_as_many_topics_as_there_can_be_is_tried()
    {
        string routes = string.Join(",", Enumerable.Range(0, RouteTable.MaxRoutes).Select(i => $$"""{ "match": "a/{{i}}", "topic": "t{{i}}" }"""));
        await using var probe = new RouteProbe(RoutesFileTests.Parse($$"""{ "routes": [ {{routes}} ] }"""), "edge", TimeProvider.System);
        Assert.Equal("t255", probe.Try("c", "a/255", "v"u8).Record!.Topic);
    }
}
