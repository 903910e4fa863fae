using Tributary.Contracts.Telemetry;
using Xunit;

namespace Tributary.Tests.Telemetry;

public sealed class KafkaTopicNameTests
{
    [Theory]
    [InlineData("telemetry")]
    [InlineData("a")]
    [InlineData("with.dots_and-dashes.9")]
    public void A_good_topic_name_is_accepted(string name) => Assert.Null(KafkaTopicName.Fault(name));

    [Theory]
    [InlineData("")]
    [InlineData(".")]
    [InlineData("..")]
    [InlineData("a b")]
    [InlineData("a/b")]
    [InlineData("ä")]
    public void A_bad_topic_name_is_refused(string name) => Assert.NotNull(KafkaTopicName.Fault(name));

    [Fact]
    public void A_topic_name_has_249_characters_at_most()
    {
        Assert.Null(KafkaTopicName.Fault(new string('x', 249)));
        Assert.NotNull(KafkaTopicName.Fault(new string('x', 250)));
    }
}
