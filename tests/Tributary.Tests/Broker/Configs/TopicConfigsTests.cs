using System.Collections.Immutable;
using Tributary.Broker.Configs;
using Xunit;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Broker.Configs;

public sealed class TopicConfigsTests
{
    private static readonly ImmutableDictionary<string, string> None = ImmutableDictionary<string, string>.Empty;

    [Fact]
    public void Every_default_is_a_value_that_may_be_set_and_no_two_configs_share_a_name()
    {
        Assert.All(TopicConfigs.All, config => Assert.Null(config.FindFault(config.Default)));
        Assert.Equal(TopicConfigs.All.Length, TopicConfigs.All.Select(config => config.Name).Distinct().Count());
        Assert.Equal(TopicConfigs.All.Select(config => config.Name).Order(StringComparer.Ordinal), TopicConfigs.All.Select(config => config.Name));
        Assert.Null(TopicConfigs.FindConflict(TopicConfigs.All.ToDictionary(config => config.Name, config => config.Default)));
    }

    [Theory]
    [InlineData("retention.ms", "-1")]
    [InlineData("retention.ms", " 3600000 ")]
    [InlineData("retention.bytes", "9223372036854775807")]
    [InlineData("segment.bytes", "1048576")]
    [InlineData("max.message.bytes", "0")]
    [InlineData("message.timestamp.type", "LogAppendTime")]
    [InlineData("cleanup.policy", "compact")]
    [InlineData("cleanup.policy", "compact, delete")]
    [InlineData("compression.type", "zstd")]
    [InlineData("compression.gzip.level", "-1")]
    [InlineData("min.cleanable.dirty.ratio", "0.01")]
    [InlineData("preallocate", "TRUE")]
    [InlineData("leader.replication.throttled.replicas", "*")]
    [InlineData("leader.replication.throttled.replicas", "0:1,1:1")]
    public void A_good_value_is_accepted(string name, string value) => Assert.Null(TopicConfigs.FindFault(name, value));

    [Theory]
    [InlineData("retention.ms", "-2", "Invalid value -2 for configuration retention.ms: Value must be at least -1")]
    [InlineData("retention.ms", "soon", "Invalid value soon for configuration retention.ms: Not a number of type LONG")]
    [InlineData("retention.ms", "9223372036854775808", "Not a number of type LONG")]
    [InlineData("retention.ms", null, "Null value not supported for topic configs: retention.ms")]
    [InlineData("segment.bytes", "1", "Value must be at least 1048576")]
    [InlineData("max.message.bytes", "2147483648", "Not a number of type INT")]
    [InlineData("min.insync.replicas", "0", "Value must be at least 1")]
    [InlineData("min.cleanable.dirty.ratio", "1.5", "Value must be no more than 1")]
    [InlineData("message.timestamp.type", "createtime", "String must be one of: CreateTime, LogAppendTime")]
    [InlineData("cleanup.policy", "forget", "String must be one of: compact, delete")]
    [InlineData("cleanup.policy", "", "String must be one of: compact, delete")]
    [InlineData("preallocate", "yes", "Expected value to be either true or false")]
    [InlineData("leader.replication.throttled.replicas", "0", "must be the literal '*'")]
    [InlineData("no.such.config", "1", "Unknown topic config name: no.such.config")]
    public void A_bad_value_is_refused_in_the_words_of_Kafka(string name, string? value, string sentence) =>
        Assert.Contains(sentence, TopicConfigs.FindFault(name, value), StringComparison.Ordinal);

    [Theory]
    [InlineData("remote.storage.enable=true", "Tiered Storage functionality is disabled")]
    [InlineData("min.compaction.lag.ms=5;max.compaction.lag.ms=4", "conflict topic config setting")]
    [InlineData("retention.ms=5;local.retention.ms=6", "Value must not be more than property: retention.ms value")]
    [InlineData("retention.bytes=5;local.retention.bytes=-1", "Value must not be -1")]
    public void Values_that_contradict_each_other_are_refused(string configs, string sentence)
    {
        ConfigEdit[] edits = [.. configs.Split(';').Select(one => one.Split('=')).Select(pair => Set(pair[0], pair[1]))];
        (ErrorCode error, string? message) = ConfigEdits.Apply(None, edits, replaceAll: false, out ImmutableDictionary<string, string> next);
        Assert.Equal(ErrorCode.InvalidConfig, error);
        Assert.Contains(sentence, message, StringComparison.Ordinal);
        Assert.Same(None, next);
    }

    [Fact]
    public void A_list_is_appended_to_and_subtracted_from_its_default_included()
    {
        Assert.Equal("delete,compact", After(None, new("cleanup.policy", ConfigOperation.Append, "compact"))["cleanup.policy"]);
        ImmutableDictionary<string, string> both = None.Add("cleanup.policy", "compact,delete");
        Assert.Equal("compact,delete", After(both, new("cleanup.policy", ConfigOperation.Append, "compact"))["cleanup.policy"]);
        Assert.Equal("compact", After(both, new("cleanup.policy", ConfigOperation.Subtract, "delete"))["cleanup.policy"]);
        Assert.Empty(After(both, new("cleanup.policy", ConfigOperation.Delete, null)));
    }

    [Theory]
    [InlineData("retention.ms", ConfigOperation.Append, "1", ErrorCode.InvalidConfig)]
    [InlineData("cleanup.policy", ConfigOperation.Subtract, "delete", ErrorCode.InvalidConfig)]
    [InlineData("cleanup.policy", (ConfigOperation)4, "delete", ErrorCode.InvalidRequest)]
    [InlineData("cleanup.policy", ConfigOperation.Set, null, ErrorCode.InvalidRequest)]
    [InlineData("no.such.config", ConfigOperation.Delete, null, ErrorCode.InvalidConfig)]
    public void An_operation_that_makes_no_sense_is_refused(string name, ConfigOperation operation, string? value, ErrorCode expected)
    {
        (ErrorCode error, string? message) = ConfigEdits.Apply(None, [new(name, operation, value)], replaceAll: false, out _);
        Assert.Equal(expected, error);
        Assert.NotNull(message);
    }

    [Fact]
    public void All_changes_are_made_or_none_and_each_config_is_named_once()
    {
        ImmutableDictionary<string, string> before = None.Add("retention.ms", "5").Add("segment.ms", "6");
        Assert.Equal(
            ErrorCode.InvalidConfig,
            ConfigEdits.Apply(before, [Set("retention.ms", "7"), Set("segment.bytes", "1")], false, out ImmutableDictionary<string, string> next).Error);
        Assert.Same(before, next);
        Assert.Equal(ErrorCode.InvalidRequest, ConfigEdits.Apply(before, [Set("retention.ms", "7"), Set("retention.ms", "8")], false, out _).Error);
        Assert.Equal(ErrorCode.None, ConfigEdits.Apply(before, [Set("retention.ms", "7")], replaceAll: true, out next).Error);
        Assert.Equal([KeyValuePair.Create("retention.ms", "7")], next);
    }

    private static ConfigEdit Set(string name, string value) => new(name, ConfigOperation.Set, value);

    private static ImmutableDictionary<string, string> After(ImmutableDictionary<string, string> before, ConfigEdit edit)
    {
        Assert.Equal(ErrorCode.None, ConfigEdits.Apply(before, [edit], replaceAll: false, out ImmutableDictionary<string, string> after).Error);
        return after;
    }
}
