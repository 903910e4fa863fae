using System.Text;
using Tributary.Edge.Mqtt;
using Tributary.Edge.Mqtt.Protocol;
using Xunit;

namespace Tributary.Tests.Edge.Mqtt.Protocol;

public sealed class TopicRulesTests
{
    [Theory]
    [InlineData("a", true)]
    [InlineData("/", true)]
    [InlineData("#", true)]
    [InlineData("+", true)]
    [InlineData("+/+", true)]
    [InlineData("/+", true)]
    [InlineData("a/+/b/#", true)]
    [InlineData("+/", true)]
    [InlineData("", false)]
    [InlineData("a#", false)]
    [InlineData("a/b#", false)]
    [InlineData("a/#/b", false)]
    [InlineData("#/", false)]
    [InlineData("a+", false)]
    [InlineData("a/+b/c", false)]
    [InlineData("##", false)]
    [InlineData("++", false)]
    [InlineData("a/+#", false)]
    public void Wildcards_stand_alone_in_their_levels(string filter, bool isFilter) =>
        Assert.Equal(isFilter, TopicRules.IsFilter(Encoding.UTF8.GetBytes(filter)));

    [Fact]
    public void Names_have_no_wildcards_and_are_not_empty()
    {
        Assert.True(TopicRules.IsName("a//b/"u8));
        Assert.False(TopicRules.IsName(""u8));
        Assert.False(TopicRules.IsName("a/+"u8));
        Assert.False(TopicRules.IsName("a#b"u8));
    }

    [Fact]
    public void Length_and_levels_are_limited()
    {
        var options = new MqttOptions { MaxTopicBytes = 10, MaxTopicLevels = 3 };
        Assert.True(TopicRules.IsWithin("a/b/567890"u8, options));
        Assert.False(TopicRules.IsWithin("a/b/5678901"u8, options));
        Assert.False(TopicRules.IsWithin("a/b/c/"u8, options));
    }
}
