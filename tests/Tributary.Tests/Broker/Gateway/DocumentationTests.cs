using System.Text.RegularExpressions;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Tributary.Broker;
using Tributary.Broker.Configs;
using Tributary.Broker.Gateway;
using Tributary.Broker.Gateway.Handlers;
using Tributary.Tests.Broker.Support;
using Xunit;

namespace Tributary.Tests.Broker.Gateway;

/// <summary>What users read about APIs and configs is what is served.</summary>
public sealed partial class DocumentationTests
{
    [Fact]
    public void Every_API_stands_in_the_architecture_with_its_versions_and_nothing_else()
    {
        using var metrics = new BrokerMetrics();
        var dispatcher = new RequestDispatcher(new BrokerContext(
            new BrokerOptions(), null!, null!, new TestControlPlane(), null!, null!, new FakeTimeProvider(), metrics, NullLogger.Instance));
        Assert.Equal(
            dispatcher.Handlers.OrderBy(handler => handler.Api.Key).Select(Row),
            File.ReadLines(Repository("ARCHITECTURE.md")).SkipWhile(line => line != "## Kafka APIs").Skip(4).TakeWhile(line => line.StartsWith('|')));
    }

    [Fact]
    public void Every_topic_config_stands_in_its_table_with_its_default_and_effect_and_nothing_else() => Assert.Equal(
        TopicConfigs.All.Select(Row),
        File.ReadLines(Repository("cloud/Tributary.Cloud/TOPICS.md")).Where(line => line.StartsWith("| `", StringComparison.Ordinal)));

    [Fact]
    public void Every_config_of_brokers_that_can_be_changed_stands_in_its_table_and_nothing_else() => Assert.Equal(
        DynamicConfigs.All.Select(BrokerRow),
        File.ReadLines(Repository("cloud/Tributary.Cloud/BROKERS.md")).Where(line => line.StartsWith("| `", StringComparison.Ordinal)));

    [Fact]
    public void Every_trap_has_a_test()
    {
        string[] named = [.. File.ReadLines(Repository("tests/Tributary.Tests/Broker/Gateway/TRAPS.md"))
            .SelectMany(line => TestName().Matches(line)).Select(name => name.Groups[1].Value)];
        var tests = typeof(DocumentationTests).Assembly.GetTypes()
            .SelectMany(type => type.GetMethods().Where(method => method.IsDefined(typeof(FactAttribute), inherit: true)).Select(method => $"{type.Name}.{method.Name}"))
            .ToHashSet();
        Assert.NotEmpty(named);
        Assert.Empty(named.Except(tests));
    }

    [GeneratedRegex("`(\\w+Tests\\.\\w+)`")]
    private static partial Regex TestName();

    private static string Row(ApiHandler handler) => handler.MinVersion == handler.MaxVersion
        ? $"| {handler.Api.Key} | {handler.Name} | {handler.MinVersion} |"
        : $"| {handler.Api.Key} | {handler.Name} | {handler.MinVersion}–{handler.MaxVersion} |";

    private static string Row(ConfigDefinition config) =>
        $"| `{config.Name}` | {DefaultOf(config)} | {(config.HasEffect ? "yes" : "no")} | {config.Documentation} |";

    private static string BrokerRow(ConfigDefinition config) =>
        $"| `{config.Name}` | {DefaultOf(config)} | {(DynamicConfigs.IsPerBroker(config.Name) ? "one" : "one or all")} | {(config.HasEffect ? "yes" : "no")} "
        + $"| {config.Documentation} |";

    private static string DefaultOf(ConfigDefinition config) =>
        config.IsNullByDefault ? "none" : config.Default.Length == 0 ? "empty" : $"`{config.Default}`";

    private static string Repository(string path)
    {
        string directory = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(directory, "Iot.sln")))
        {
            directory = Path.GetDirectoryName(directory) ?? throw new DirectoryNotFoundException("the tests run outside of the repository");
        }
        return Path.Combine(directory, path);
    }
}
