using Tributary.Broker.Configs;
using Xunit;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Broker.Configs;

public sealed class BrokerConfigEditsTests
{
    [Fact]
    public void Every_config_has_a_default_that_it_takes() => Assert.All(
        DynamicConfigs.All.Where(config => !config.IsNullByDefault),
        config => Assert.Equal((ErrorCode.None, null), Apply(BrokerOverrides.None, true, out _, Set(config.Name, config.Default))));

    [Fact]
    public void A_config_can_be_changed_or_not_but_not_both() => Assert.All(
        DynamicConfigs.All, config => Assert.False(FixedConfigs.Contains(config.Name) || FixedConfigs.IsOfListeners(config.Name)));

    [Theory]
    [InlineData("broker.id", "5", "Cannot update these configs dynamically: [broker.id]. They are settings of the program.")]
    [InlineData("num.partitions", "5", "Cannot update these configs dynamically: [num.partitions]. They are settings of the program.")]
    [InlineData("log.dirs", "/x", "Cannot update these configs dynamically: [log.dirs]. They are settings of the program.")]
    [InlineData("listener.name.x.ssl.client.auth", "required",
        "Cannot update these configs dynamically: [listener.name.x.ssl.client.auth]. They are settings of the program.")]
    [InlineData("ssl.keystore.password", "x",
        "These security configs can be dynamically updated only per-listener using the listener prefix: [ssl.keystore.password]. "
        + "Listeners are settings of the program.")]
    [InlineData("message.max.bytes", "many", "Invalid value many for configuration message.max.bytes: Not a number of type INT")]
    [InlineData("sasl.login.refresh.buffer.seconds", "40000",
        "Invalid value 40000 for configuration sasl.login.refresh.buffer.seconds: Not a number of type SHORT")]
    [InlineData("max.connections", "0", "Invalid value 0 for configuration max.connections: Value must be at least 1")]
    [InlineData("num.network.threads", "7",
        "Dynamic thread count update validation failed for num.network.threads=7, value should not be greater than double the current value 3")]
    [InlineData("num.io.threads", "3",
        "Dynamic thread count update validation failed for num.io.threads=3, value should be at least half the current value 8")]
    [InlineData("log.cleaner.threads", "0", "Dynamic thread count update validation failed for log.cleaner.threads=0, value should be at least 1")]
    [InlineData("log.local.retention.ms", "604800001",
        "Invalid value 604800001 for configuration log.local.retention.ms: Value must not be more than property: log.retention.ms value.")]
    public void What_can_not_be_is_refused_with_a_sentence(string name, string value, string sentence) =>
        Assert.Equal((ErrorCode.InvalidRequest, sentence), Apply(BrokerOverrides.None, true, out _, Set(name, value)));

    [Fact]
    public void What_Kafka_takes_for_one_broker_only_is_refused_for_all()
    {
        ConfigEdit edit = Set("sasl.kerberos.min.time.before.relogin", "5");
        Assert.Equal((ErrorCode.None, null), Apply(BrokerOverrides.None, true, out _, edit));
        Assert.Equal(
            (ErrorCode.InvalidRequest,
                "Cannot update these configs at default cluster level, broker id must be specified: [sasl.kerberos.min.time.before.relogin]"),
            Apply(BrokerOverrides.None, false, out _, edit));
    }

    [Fact]
    public void Malformed_changes_are_refused_whole()
    {
        ConfigEdit good = Set("message.max.bytes", "5");
        Assert.Equal((ErrorCode.InvalidRequest, "Error due to duplicate config keys: message.max.bytes"), Apply(good, good));
        Assert.Equal((ErrorCode.InvalidRequest, "Null value not supported for : a, b"), Apply(good, Set("a", null), Set("b", null)));
        Assert.Equal((ErrorCode.InvalidRequest, "Unknown operations type 9"), Apply(good, new ConfigEdit("a", (ConfigOperation)9, "1")));
        Assert.Equal((ErrorCode.InvalidConfig, "Unknown config name: a"), Apply(good, new ConfigEdit("a", ConfigOperation.Append, "1")));
        Assert.Equal(
            (ErrorCode.InvalidRequest, "Config value append is not allowed for config key: num.io.threads"),
            Apply(good, new ConfigEdit("num.io.threads", ConfigOperation.Append, "1")));
        Assert.Equal(ErrorCode.InvalidRequest, Apply(good, new ConfigEdit("log.dirs", ConfigOperation.Append, "1")).Error);
        Assert.Equal((ErrorCode.None, null), Apply(good, new ConfigEdit("broker.id", ConfigOperation.Delete, null)));

        static (ErrorCode Error, string?) Apply(params ConfigEdit[] edits)
        {
            (ErrorCode, string?) outcome = BrokerConfigEditsTests.Apply(BrokerOverrides.None, true, out BrokerOverrides next, edits);
            Assert.Equal(outcome.Item1 != ErrorCode.None, ReferenceEquals(next, BrokerOverrides.None));
            return outcome;
        }
    }

    [Fact]
    public void Configs_are_limited_in_number_and_length()
    {
        Assert.Equal(ErrorCode.None, SetMany(BrokerConfigEdits.MaxConfigs, 1));
        Assert.Equal(ErrorCode.PolicyViolation, SetMany(BrokerConfigEdits.MaxConfigs + 1, 1));
        Assert.Equal(ErrorCode.PolicyViolation, SetMany(3, BrokerConfigEdits.MaxTotalLength / 3));
        Assert.Equal(ErrorCode.PolicyViolation, Apply(BrokerOverrides.None, true, out _, Set(new string('n', BrokerConfigEdits.MaxNameLength + 1), "1")).Error);
        Assert.Equal(ErrorCode.PolicyViolation, Apply(BrokerOverrides.None, true, out _, Set("", "1")).Error);

        static ErrorCode SetMany(int count, int length) =>
            Apply(BrokerOverrides.None, false, out _, [.. Enumerable.Range(0, count).Select(i => Set($"plug.in.{i}", new string('v', length)))]).Error;
    }

    [Fact]
    public void Threads_are_counted_from_what_the_broker_goes_by()
    {
        Apply(BrokerOverrides.None, false, out BrokerOverrides six, Set("num.network.threads", "6"));
        Assert.Equal(ErrorCode.None, Apply(six, true, out _, Set("num.network.threads", "12")).Error);
        Assert.Equal(ErrorCode.InvalidRequest, Apply(six, true, out _, Set("num.network.threads", "2")).Error);
        Apply(six, true, out BrokerOverrides both, Set("num.network.threads", "12"));
        Assert.Equal(ErrorCode.None, Apply(both, false, out _, Set("num.network.threads", "1")).Error); // the broker goes by its own
        Assert.Equal("12", both.Find("num.network.threads"));
    }

    private static ConfigEdit Set(string name, string? value) => new(name, ConfigOperation.Set, value);

    private static (ErrorCode Error, string? Message) Apply(BrokerOverrides now, bool ofNode, out BrokerOverrides next, params ConfigEdit[] edits) =>
        BrokerConfigEdits.Apply(now, ofNode, edits, replaceAll: false, out next);
}
