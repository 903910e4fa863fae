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

    [Theory]
    [InlineData("plant-1.a_b", "plant-1.a_b")]
    [InlineData("a/b c", "a_b_c")]
    [InlineData("Gerät", "Ger_t")]
    [InlineData("😀", "_")]
    [InlineData(".", "__")]
    [InlineData("..", "___")]
    [InlineData("", "_")]
    [InlineData("__consumer_offsets", "-_consumer_offsets")]
    public void A_name_of_a_devices_choice_becomes_one_that_Kafka_takes(string text, string name)
    {
        Assert.Equal(name, KafkaTopicName.Sanitize(System.Text.Encoding.UTF8.GetBytes(text)));
        Assert.True(KafkaTopicName.IsValid(name));
    }

    [Fact]
    public void A_name_of_a_devices_choice_is_cut_at_the_longest_that_Kafka_takes() =>
        Assert.Equal(new string('x', KafkaTopicName.MaxLength), KafkaTopicName.Sanitize(System.Text.Encoding.UTF8.GetBytes(new string('x', 300))));
}
