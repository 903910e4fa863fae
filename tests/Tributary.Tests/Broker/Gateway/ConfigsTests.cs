using Tributary.Broker.Configs;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Tests.Broker.Support;
using Xunit;
using static Tributary.Tests.Broker.Support.ConfigWords;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Broker.Gateway;

/// <summary>DescribeConfigs, AlterConfigs and IncrementalAlterConfigs.</summary>
public sealed class ConfigsTests
{

    [Theory]
    [EveryVersion<DescribeConfigsRequest>]
    public async Task Every_version_tells_all_configs_of_a_topic_with_where_they_come_from(short version)
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t", 1, ("retention.ms", "5"));
        await using TestClient client = broker.Connect();
        DescribeConfigsRequest request = Describe(OfTopic, "t");
        request.IncludeSynonyms = true;
        request.IncludeDocumentation = version >= 3;
        DescribeConfigsResponse.DescribeConfigsResult result = (await client.AskAsync(request, version)).Results.Single();
        Assert.Equal((ErrorCode.None, OfTopic, "t"), (result.ErrorCode, result.ResourceType, result.ResourceName));
        Assert.Equal(TopicConfigs.All.Select(config => config.Name), result.Configs.Select(config => config.Name));
        DescribeConfigsResponse.DescribeConfigsResourceResult set = result.Configs.Single(config => config.Name == "retention.ms");
        Assert.Equal(("5", false, false, 1), (set.Value, set.ReadOnly, set.IsSensitive, set.ConfigSource));
        Assert.Equal(
            [("retention.ms", "5", 1), ("log.retention.ms", "604800000", 5), ("log.retention.hours", "168", 5)],
            set.Synonyms.Select(synonym => (synonym.Name, synonym.Value!, (int)synonym.Source)));
        Assert.Equal(version >= 3 ? 5 : 0, set.ConfigType);
        Assert.Equal(version >= 3, set.Documentation is not null);
        DescribeConfigsResponse.DescribeConfigsResourceResult usual = result.Configs.Single(config => config.Name == "cleanup.policy");
        Assert.Equal(("delete", 5), (usual.Value, usual.ConfigSource));
    }

    [Theory]
    [InlineData(OfTopic, "unknown", ErrorCode.UnknownTopicOrPartition)]
    [InlineData(OfTopic, "no/name", ErrorCode.InvalidTopicException)]
    [InlineData(OfTopic, "", ErrorCode.InvalidRequest)]
    [InlineData(OfBroker, "7", ErrorCode.InvalidRequest)]
    [InlineData(OfBroker, "one", ErrorCode.InvalidRequest)]
    [InlineData(8, "1", ErrorCode.InvalidRequest)]
    public async Task What_has_no_configs_is_refused_with_a_sentence(sbyte type, string name, ErrorCode expected)
    {
        await using var broker = new TestBroker();
        await using TestClient client = broker.Connect();
        DescribeConfigsResponse.DescribeConfigsResult described = (await client.AskAsync(Describe(type, name), 4)).Results.Single();
        (ErrorCode altered, _) = await AlterAsync(client, 2, type, name, ("retention.ms", "5"));
        (ErrorCode changed, string? message) = await ChangeAsync(client, 1, type, name, ("retention.ms", ConfigOperation.Set, "5"));
        Assert.Equal([expected, expected, expected], [described.ErrorCode, altered, changed]);
        Assert.NotNull(described.ErrorMessage);
        Assert.NotNull(message);
    }

    [Theory]
    [EveryVersion<DescribeConfigsRequest>]
    public async Task A_resource_that_is_described_twice_is_answered_once(short version)
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        DescribeConfigsRequest request = Describe(OfTopic, "t");
        request.Resources = [request.Resources[0], request.Resources[0]];
        Assert.Single((await client.AskAsync(request, version)).Results);
    }

    [Theory]
    [EveryVersion<DescribeConfigsRequest>]
    public async Task A_topic_of_which_no_config_is_named_tells_all(short version)
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        DescribeConfigsRequest request = Describe(OfTopic, "t");
        request.Resources[0].ConfigurationKeys = []; // as kafkajs says it
        Assert.Equal(TopicConfigs.All.Length, (await client.AskAsync(request, version)).Results.Single().Configs.Length);
    }

    [Theory]
    [EveryVersion<AlterConfigsRequest>]
    public async Task AlterConfigs_replaces_everything_that_was_set(short version)
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t", 1, ("retention.ms", "5"), ("segment.bytes", "2000000"));
        await using TestClient client = broker.Connect();
        Assert.Equal((ErrorCode.None, null), await AlterAsync(client, version, OfTopic, "t", ("retention.ms", "6")));
        Assert.Equal([KeyValuePair.Create("retention.ms", "6")], broker.Control.Snapshot.Topics["t"].Configs);
        Assert.Equal((6, 64 << 20), (broker.Partition("t").Settings.RetentionMs, broker.Partition("t").Settings.SegmentBytes));
        (ErrorCode error, string? message) = await AlterAsync(client, version, OfTopic, "t", ("retention.ms", "soon"));
        Assert.Equal((ErrorCode.InvalidConfig, "Invalid value soon for configuration retention.ms: Not a number of type LONG"), (error, message));
        Assert.Equal((ErrorCode.None, null), await AlterAsync(client, version, OfTopic, "t"));
        Assert.Empty(broker.Control.Snapshot.Topics["t"].Configs);
    }

    [Theory]
    [EveryVersion<IncrementalAlterConfigsRequest>]
    public async Task IncrementalAlterConfigs_changes_what_it_names(short version)
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t", 1, ("retention.ms", "5"), ("segment.ms", "7"));
        await using TestClient client = broker.Connect();
        Assert.Equal(
            (ErrorCode.None, null),
            await ChangeAsync(
                client, version, OfTopic, "t", ("retention.ms", ConfigOperation.Delete, null), ("cleanup.policy", ConfigOperation.Append, "compact"),
                ("max.message.bytes", ConfigOperation.Set, "100")));
        Assert.Equal(
            [("cleanup.policy", "delete,compact"), ("max.message.bytes", "100"), ("segment.ms", "7")],
            broker.Control.Snapshot.Topics["t"].Configs.Select(config => (config.Key, config.Value)));
        Assert.Equal(ErrorCode.MessageTooLarge, (await client.AskAsync(Ask.Produce("t", Batches.Of(valueBytes: 100)), 9)).Single().ErrorCode);
        Assert.Equal(
            (ErrorCode.None, null), await ChangeAsync(client, version, OfTopic, "t", ("cleanup.policy", ConfigOperation.Subtract, "compact")));
        Assert.Equal("delete", broker.Control.Snapshot.Topics["t"].Configs["cleanup.policy"]);
        (ErrorCode error, _) = await ChangeAsync(client, version, OfTopic, "t", ("retention.ms", ConfigOperation.Append, "1"));
        Assert.Equal(ErrorCode.InvalidConfig, error);
    }

    [Theory]
    [EveryVersion<AlterConfigsRequest>]
    public async Task A_check_changes_nothing_and_finds_what_is_wrong(short version)
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        AlterConfigsRequest good = Alter(OfTopic, "t", ("retention.ms", "6"));
        AlterConfigsRequest bad = Alter(OfTopic, "t", ("retention.ms", "-6"));
        good.ValidateOnly = bad.ValidateOnly = true;
        Assert.Equal(ErrorCode.None, (await client.AskAsync(good, version)).Responses.Single().ErrorCode);
        Assert.Equal(ErrorCode.InvalidConfig, (await client.AskAsync(bad, version)).Responses.Single().ErrorCode);
        Assert.Empty(broker.Control.Snapshot.Topics["t"].Configs);
    }

    [Theory]
    [EveryVersion<IncrementalAlterConfigsRequest>]
    public async Task A_check_of_what_would_change_changes_nothing(short version)
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        foreach ((string value, ErrorCode expected) in new[] { ("6", ErrorCode.None), ("-6", ErrorCode.InvalidConfig), ("six", ErrorCode.InvalidConfig) })
        {
            IncrementalAlterConfigsResponse response = await client.AskAsync(
                new IncrementalAlterConfigsRequest
                {
                    Resources = [new() { ResourceType = OfTopic, ResourceName = "t", Configs = [new() { Name = "retention.ms", Value = value }] }],
                    ValidateOnly = true,
                },
                version);
            Assert.Equal(expected, response.Responses.Single().ErrorCode);
        }
        Assert.Empty(broker.Control.Snapshot.Topics["t"].Configs);
    }

    [Fact]
    public async Task A_resource_that_is_altered_twice_stays()
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        AlterConfigsRequest twice = Alter(OfTopic, "t", ("retention.ms", "6"));
        twice.Resources = [twice.Resources[0], twice.Resources[0]];
        Assert.All((await client.AskAsync(twice, 2)).Responses, one => Assert.Equal(ErrorCode.InvalidRequest, one.ErrorCode));
        Assert.Empty(broker.Control.Snapshot.Topics["t"].Configs);
    }
}
