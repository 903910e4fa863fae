using Tributary.Broker.Configs;
using Tributary.Broker.Partitions;
using Tributary.Log;
using Xunit;

namespace Tributary.Tests.Broker.Partitions;

public sealed class TopicSettingsTests
{
    [Fact]
    public void Defaults_that_are_set_are_the_default_settings() => Assert.Equal(
        TopicSettings.Default,
        TopicSettings.From(TopicConfigs.All.Select(config => KeyValuePair.Create(config.Name, config.Default))));

    [Fact]
    public void Values_of_a_newer_broker_are_ignored()
    {
        TopicSettings settings = Of(("retention.ms", "for a while"), ("no.such.config", "1"), ("segment.ms", "5"));
        Assert.Equal(TopicSettings.Default with { SegmentMs = 5 }, settings);
    }

    [Theory]
    [InlineData("-1")]
    [InlineData("9223372036854775807")]
    public void Retention_for_ever_reaches_the_log_without_overflow(string value) =>
        Assert.True(Log(("retention.ms", value), ("segment.ms", "9223372036854775807")).RetentionTime is null or { TotalDays: > 365_000 });

    [Fact]
    public void Only_a_topic_that_is_not_just_compacted_gives_up_by_time_and_size()
    {
        (string, string)[] retention = [("retention.ms", "5"), ("retention.bytes", "6")];
        Assert.Equal((TimeSpan.FromMilliseconds(5), 6L), Retention(retention));
        Assert.Equal((TimeSpan.FromMilliseconds(5), 6L), Retention([.. retention, ("cleanup.policy", "compact,delete")]));
        Assert.Equal(((TimeSpan?)null, (long?)null), Retention([.. retention, ("cleanup.policy", "compact")]));
    }

    [Fact]
    public void The_older_bound_of_timestamps_holds_where_it_is_the_closer_one()
    {
        TopicSettings settings = Of(("message.timestamp.difference.max.ms", "10"), ("message.timestamp.after.max.ms", "5"));
        Assert.Equal((10, 5), (settings.TimestampBeforeMaxMs, settings.TimestampAfterMaxMs));
    }

    private static TopicSettings Of(params (string Name, string Value)[] configs) =>
        TopicSettings.From(configs.Select(config => KeyValuePair.Create(config.Name, config.Value)));

    private static PartitionLogOptions Log(params (string Name, string Value)[] configs) => Of(configs).ToLogOptions(TimeSpan.FromDays(1));

    private static (TimeSpan?, long?) Retention((string, string)[] configs) => (Log(configs).RetentionTime, Log(configs).RetentionBytes);
}
