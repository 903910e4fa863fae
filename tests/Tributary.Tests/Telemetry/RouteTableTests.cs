using System.Text;
using Tributary.Contracts.Records;
using Tributary.Contracts.Telemetry;
using Xunit;

namespace Tributary.Tests.Telemetry;

public sealed class RouteTableTests
{
    [Fact]
    public void The_default_route_keys_by_device()
    {
        RoutedTopic routed = RouteTable.Default.Resolve("devices/d1/motor/speed"u8, "edge-7");

        Assert.Equal("telemetry", routed.Topic);
        Assert.Equal("d1"u8, routed.Key.AsSpan());
        Assert.Equal(["mqtt.topic=devices/d1/motor/speed", "metric=motor/speed", "edge=edge-7"], Decode(routed.Headers));
    }

    [Fact]
    public void What_no_route_takes_goes_to_unrouted_without_a_key_of_its_own()
    {
        RoutedTopic routed = RouteTable.Default.Resolve("homie/thing"u8, "edge-7");

        Assert.Equal("unrouted", routed.Topic);
        Assert.Null(routed.Key);
        Assert.Equal(["mqtt.topic=homie/thing", "edge=edge-7"], Decode(routed.Headers));
    }

    [Fact]
    public void The_first_route_that_takes_a_topic_has_it()
    {
        var table = new RouteTable(
        [
            new Route(TopicPattern.Parse("a/{x}"), "first", "x"),
            new Route(TopicPattern.Parse("{y}/{z...}"), "second", "z"),
        ]);

        Assert.Equal("first", table.Resolve("a/1"u8, "e").Topic);
        Assert.Equal("second", table.Resolve("a/1/2"u8, "e").Topic);
        Assert.Equal("1/2"u8, table.Resolve("a/1/2"u8, "e").Key.AsSpan());
    }

    [Fact]
    public void A_key_or_header_that_the_pattern_does_not_capture_is_refused()
    {
        TopicPattern pattern = TopicPattern.Parse("a/{x}");

        Assert.Contains("key", Assert.Throws<FormatException>(() => new Route(pattern, "t", "device")).Message, StringComparison.Ordinal);
        Assert.Contains("header 'm'", Assert.Throws<FormatException>(() => new Route(pattern, "t", "x", new KeyValuePair<string, string>("m", "y"))).Message,
            StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData(".")]
    [InlineData("..")]
    [InlineData("a/b")]
    [InlineData("ü")]
    public void A_name_that_Kafka_does_not_take_is_refused(string topic) =>
        Assert.Throws<FormatException>(() => new Route(TopicPattern.Parse("a/{x}"), topic, "x"));

    private static List<string> Decode(EncodedHeaders headers)
    {
        ReadOnlySpan<byte> bytes = headers.Bytes.Span;
        var decoded = new List<string>();
        for (int i = 0; i < headers.Count; i++)
        {
            // Names and values in these tests are shorter than 64 bytes: their zigzag lengths take one byte.
            string key = Encoding.UTF8.GetString(bytes.Slice(1, bytes[0] >> 1));
            bytes = bytes[(1 + (bytes[0] >> 1))..];
            decoded.Add($"{key}={Encoding.UTF8.GetString(bytes.Slice(1, bytes[0] >> 1))}");
            bytes = bytes[(1 + (bytes[0] >> 1))..];
        }
        Assert.True(bytes.IsEmpty);
        return decoded;
    }
}
