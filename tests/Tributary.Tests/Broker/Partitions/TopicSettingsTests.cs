using System.Collections.Immutable;
using Tributary.Broker.Partitions;
using Xunit;

namespace Tributary.Tests.Broker.Partitions;

public sealed class TopicSettingsTests
{
    [Theory]
    [InlineData("retention.ms", "-1")]
    [InlineData("retention.ms", "3600000")]
    [InlineData("retention.bytes", "9223372036854775807")]
    [InlineData("segment.bytes", "1048576")]
    [InlineData("max.message.bytes", "0")]
    [InlineData("min.insync.replicas", "1")]
    [InlineData("message.timestamp.type", "LogAppendTime")]
    [InlineData("cleanup.policy", "delete")]
    [InlineData("compression.type", "producer")]
    public void A_good_value_is_accepted(string name, string value) => Assert.Null(TopicSettings.Validate(name, value));

    [Theory]
    [InlineData("retention.ms", "-2")]
    [InlineData("retention.ms", "soon")]
    [InlineData("retention.ms", "9223372036854775808")]
    [InlineData("retention.ms", null)]
    [InlineData("segment.bytes", "1")]
    [InlineData("max.message.bytes", "2147483648")]
    [InlineData("min.insync.replicas", "0")]
    [InlineData("message.timestamp.type", "createtime")]
    [InlineData("cleanup.policy", "compact")]
    [InlineData("no.such.config", "1")]
    public void A_bad_value_is_refused_and_named(string name, string? value) => Assert.Contains(name, TopicSettings.Validate(name, value));

    [Fact]
    public void Defaults_described_are_valid_and_give_the_default_settings()
    {
        (string Name, string Value, bool IsSet)[] described = [.. TopicSettings.Describe(ImmutableSortedDictionary<string, string>.Empty)];
        Assert.All(described, config => Assert.Null(TopicSettings.Validate(config.Name, config.Value)));
        Assert.All(described, config => Assert.False(config.IsSet));
        Assert.Equal(
            TopicSettings.Default, TopicSettings.From(described.Select(config => KeyValuePair.Create(config.Name, config.Value))));
    }

    [Fact]
    public void What_was_set_is_described_as_set()
    {
        ImmutableSortedDictionary<string, string> configs = ImmutableSortedDictionary<string, string>.Empty.Add("retention.ms", "5");
        Assert.Contains(("retention.ms", "5", true), TopicSettings.Describe(configs));
        Assert.Equal(5, TopicSettings.From(configs).RetentionMs);
        Assert.Equal(TimeSpan.FromMilliseconds(5), TopicSettings.From(configs).ToLogOptions(TimeSpan.FromDays(1)).RetentionTime);
    }

    [Theory]
    [InlineData("-1")]
    [InlineData("9223372036854775807")]
    public void Retention_for_ever_reaches_the_log_without_overflow(string value)
    {
        TopicSettings settings = TopicSettings.From([KeyValuePair.Create("retention.ms", value)]);
        Assert.True(settings.ToLogOptions(TimeSpan.FromDays(1)).RetentionTime is null or { TotalDays: > 365_000 });
    }
}
