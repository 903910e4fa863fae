using System.Text;
using Tributary.Contracts.Telemetry;
using Xunit;

namespace Tributary.Tests.Telemetry;

public sealed class TopicPatternTests
{
    [Theory]
    [InlineData("devices/{device}/{metric...}", "devices/d1/temperature", "d1|temperature")]
    [InlineData("devices/{device}/{metric...}", "devices/d1/motor/1/speed", "d1|motor/1/speed")]
    [InlineData("devices/{device}/{metric...}", "devices/d1//x", "d1|/x")]
    [InlineData("devices/{device}/{metric...}", "devices/Gerät ü/°C", "Gerät ü|°C")]
    [InlineData("{site}/x/{device}", "berlin/x/d1", "berlin|d1")]
    [InlineData("plain", "plain", "")]
    [InlineData("/a/", "/a/", "")]
    [InlineData("{all...}", "a/b", "a/b")]
    [InlineData("z/{device...}/set", "z/kitchen/set", "kitchen")]
    [InlineData("z/{device...}/set", "z/kitchen/lamp/set", "kitchen/lamp")]
    [InlineData("z/{device...}/set", "z/set/set", "set")]
    [InlineData("z/{device...}/set/{attribute}", "z/a/b/set/state", "a/b|state")]
    [InlineData("{site}/{path...}/{last}", "a/b/c/d", "a|b/c|d")]
    [InlineData("{path...}/x/{a}/{b}", "p/q/x/1/2", "p/q|1|2")]
    [InlineData("{path...}/", "a/b/", "a/b")]
    public void A_topic_is_taken_with_its_captures(string pattern, string topic, string captures)
    {
        TopicPattern compiled = TopicPattern.Parse(pattern);
        byte[] bytes = Encoding.UTF8.GetBytes(topic);

        Assert.True(compiled.TryMatch(bytes, out TopicCaptures captured));

        string[] found = new string[compiled.Captures.Count];
        for (int i = 0; i < found.Length; i++)
        {
            found[i] = Encoding.UTF8.GetString(bytes.AsSpan(captured[i]));
        }
        Assert.Equal(captures, string.Join('|', found));
    }

    [Theory]
    [InlineData("devices/{device}/{metric...}", "devices/d1")]
    [InlineData("devices/{device}/{metric...}", "devices/d1/")]
    [InlineData("devices/{device}/{metric...}", "devices//temperature")]
    [InlineData("devices/{device}/{metric...}", "Devices/d1/temperature")]
    [InlineData("devices/{device}/{metric...}", "/devices/d1/temperature")]
    [InlineData("devices/{device}", "devices/d1/temperature")]
    [InlineData("devices/{device}", "devices/d1/")]
    [InlineData("devices/{device}", "devices")]
    [InlineData("plain", "plain/")]
    [InlineData("plain", "plainer")]
    [InlineData("plain", "")]
    [InlineData("{all...}", "$SYS/uptime")]
    [InlineData("{first}/{rest...}", "$share/a")]
    [InlineData("z/{device...}/set", "z/set")]
    [InlineData("z/{device...}/set", "z//set")]
    [InlineData("z/{device...}/set", "z/kitchen/get")]
    [InlineData("z/{device...}/set", "z/kitchen/set/x")]
    [InlineData("z/{device...}/{last}", "z/kitchen")]
    [InlineData("z/{device...}/{last}", "z/kitchen/")]
    [InlineData("z/{device...}/a/b", "z/a/b")]
    public void A_topic_of_another_shape_is_not_taken(string pattern, string topic) =>
        Assert.False(TopicPattern.Parse(pattern).TryMatch(Encoding.UTF8.GetBytes(topic), out _));

    [Fact]
    public void A_literal_may_begin_with_a_dollar() => Assert.True(TopicPattern.Parse("$SYS/{name}").TryMatch("$SYS/uptime"u8, out _));

    [Theory]
    [InlineData("", 1, "1 to 1024 characters")]
    [InlineData("a/+/b", 3, "wildcard")]
    [InlineData("a/b#", 4, "wildcard")]
    [InlineData("a/x{b}", 4, "must follow a '/'")]
    [InlineData("a/{b}x", 6, "must follow it")]
    [InlineData("a/{b", 3, "not closed")]
    [InlineData("a/{b/c}", 3, "not closed")]
    [InlineData("a/b}", 4, "closes nothing")]
    [InlineData("a/{}", 4, "needs a name")]
    [InlineData("a/{...}", 4, "needs a name")]
    [InlineData("a/{b c}", 5, "' ' can't stand in the name")]
    [InlineData("{a}/{a}", 6, "two captures 'a'")]
    [InlineData("{a...}/{b...}", 8, "only one capture")]
    [InlineData("a/\0", 3, "U+0000")]
    [InlineData("{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}", 34, "at most 8 captures")]
    public void A_bad_pattern_names_the_position(string pattern, int character, string reason)
    {
        FormatException error = Assert.Throws<FormatException>(() => TopicPattern.Parse(pattern));

        Assert.Contains($"character {character}:", error.Message, StringComparison.Ordinal);
        Assert.Contains(reason, error.Message, StringComparison.Ordinal);
    }
}
