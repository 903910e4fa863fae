using Microsoft.Extensions.Logging;
using Tributary.Cloud;
using Tributary.Cloud.Cli;
using Tributary.Tests.Cloud.Support;
using Xunit;

namespace Tributary.Tests.Cloud.Cli;

public sealed class SettingsTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Fact]
    public void Without_settings_it_listens_on_the_loopback_address()
    {
        CloudOptions options = Apply("data=x");

        Assert.Equal(new HostPort("127.0.0.1", 9092), options.Kafka);
        Assert.Equal(new HostPort("127.0.0.1", 8080), options.Http);
        Assert.Null(options.KafkaAdvertised);
        Assert.Null(options.Silo);
        Assert.Equal(4, options.Broker.DefaultPartitions);
    }

    [Theory]
    [InlineData("broker:defaultPartitions=7")]
    [InlineData("BROKER:DEFAULT_PARTITIONS=7")]
    [InlineData("num.partitions=7")]
    [InlineData("broker:num.partitions=7")]
    public void A_setting_of_the_broker_goes_by_its_own_name_and_by_Kafkas(string assignment) =>
        Assert.Equal(7, Apply("data=x", assignment).Broker.DefaultPartitions);

    [Fact]
    public void Every_setting_has_one_name_of_its_own()
    {
        IEnumerable<string> names = Settings.All.SelectMany(setting => new[] { setting.Name, setting.KafkaName }).OfType<string>();

        Assert.All(names, name => Assert.Single(Settings.All, setting => setting.IsCalled(name)));
    }

    [Fact]
    public void Every_setting_is_documented_and_nothing_else()
    {
        string directory = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(directory, "Iot.sln")))
        {
            directory = Path.GetDirectoryName(directory) ?? throw new DirectoryNotFoundException("the tests run outside of the repository");
        }
        IEnumerable<string> documented = File.ReadLines(Path.Combine(directory, "cloud", "Tributary.Cloud", "SETTINGS.md"))
            .Where(line => line.StartsWith("| `", StringComparison.Ordinal)).Select(line => line.Split('`')[1]);

        Assert.Equal(Settings.All.Select(setting => setting.Name).Order(StringComparer.Ordinal), documented.Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Every_setting_can_be_set_and_changes_something()
    {
        var samples = new Dictionary<string, string>
        {
            ["data"] = "dir",
            ["kafka"] = "h:1",
            ["kafkaAdvertised"] = "h:2",
            ["http"] = "h:3",
            ["silo"] = "h:4",
            ["logLevel"] = "error",
            ["broker:autoCreateTopics"] = "false",
            ["log:allowVolatile"] = "true",
        };

        Assert.All(Settings.All, setting => Assert.NotEqual(
            new CloudOptions(), setting.Apply(new CloudOptions(), samples.GetValueOrDefault(setting.Name, "12345"))));
    }

    [Fact]
    public void Flags_win_over_the_environment_and_the_environment_over_the_file()
    {
        string file = Write("""
            {
              // comments are fine
              "data": "of the file", "kafka-advertised": "file:1", "http": "file:2", "logLevel": "Error",
              "broker": { "maxConnections": 10, "connections.max.idle.ms": 700000 },
            }
            """);
        var ignored = new List<string>();
        IReadOnlyList<FoundSetting> environment = SettingSources.ReadEnvironment(
            new Dictionary<string, string>
            {
                ["TRIBUTARY__KAFKA_ADVERTISED"] = "environment:1",
                ["TRIBUTARY__HTTP"] = "environment:2",
                ["tributary__broker__maxconnections"] = "20",
                ["TRIBUTARY__CONFIG"] = file,
                ["TRIBUTARY__MQTT"] = "of the edge",
                ["OTHER"] = "x",
            },
            ignored);

        CloudOptions options = SettingSources.Apply(
            [.. SettingSources.ReadFile(file), .. environment, SettingSources.ReadAssignment("http=flag:3")]);

        Assert.Equal("of the file", options.DataDirectory);
        Assert.Equal(new HostPort("environment", 1), options.KafkaAdvertised);
        Assert.Equal(new HostPort("flag", 3), options.Http);
        Assert.Equal(LogLevel.Error, options.LogLevel);
        Assert.Equal(20, options.Broker.MaxConnections);
        Assert.Equal(TimeSpan.FromMilliseconds(700_000), options.Broker.IdleLimit);
        Assert.Equal(["TRIBUTARY__MQTT"], ignored);
    }

    [Theory]
    [InlineData("kafka=nowhere", "the setting 'kafka' is 'nowhere' (--set); it must be HOST:PORT")]
    [InlineData("maxTopics=many", "the setting 'maxTopics' is 'many' (--set); it must be a whole number below 2^31")]
    [InlineData("maxTopics=0", "the setting 'maxTopics' must be positive")]
    [InlineData("shutdownLimitMs=-1", "the setting 'shutdownLimitMs' is '-1' (--set); it must be a number of milliseconds")]
    [InlineData("broker:autoCreateTopics=maybe", "the setting 'broker:autoCreateTopics' is 'maybe' (--set); it must be true or false")]
    [InlineData("num.partitions=2000", "the setting 'broker:defaultPartitions' must be 1 to broker:maxPartitionsPerTopic")]
    [InlineData("broker:idleLimitMs=0", "the setting 'broker:idleLimitMs' must be above zero and at most a day")]
    [InlineData("broker:maxFetchWaitMs=600000", "the setting 'broker:maxFetchWaitMs' must be below broker:idleLimitMs")]
    [InlineData("logLevel=7", "the setting 'logLevel' is '7' (--set); it must be trace, debug, information, warning, error, critical or none")]
    [InlineData("num.partition=1", "'num.partition' (--set) is no setting; 'tributary serve --help' lists them")]
    [InlineData("kafka", "'--set kafka' isn't NAME=VALUE")]
    public void What_can_not_be_set_is_refused_in_the_users_words(string assignment, string expected) =>
        Assert.Equal(expected, Assert.Throws<SettingException>(() => Apply("data=x", assignment)).Message);

    [Fact]
    public void Data_must_be_given() =>
        Assert.Contains("--data", Assert.Throws<SettingException>(() => Apply()).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("{ \"broker\": { \"partitions\": 1 } }", "'broker:partitions'")]
    [InlineData("{ \"kafka\": [1] }", "the setting 'kafka'")]
    [InlineData("[]", "must be an object")]
    [InlineData("{", "can't be read")]
    public void A_file_that_is_wrong_is_refused_with_a_sentence(string content, string expected)
    {
        string file = Write(content);

        string message = Assert.Throws<SettingException>(() => SettingSources.ReadFile(file)).Message;

        Assert.Contains(expected, message, StringComparison.Ordinal);
        Assert.Contains(file, message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_that_is_not_there_is_refused_with_a_sentence()
    {
        string message = Assert.Throws<SettingException>(() => SettingSources.ReadFile(_directory.File("none.json"))).Message;

        Assert.Contains("none.json", message, StringComparison.Ordinal);
    }

    private string Write(string content)
    {
        string file = _directory.File("settings.json");
        File.WriteAllText(file, content);
        return file;
    }

    private static CloudOptions Apply(params string[] assignments) =>
        SettingSources.Apply(assignments.Select(SettingSources.ReadAssignment));
}
