using Tributary.Broker;
using Tributary.Broker.Configs;
using Tributary.Broker.Metadata;
using Tributary.Broker.Transactions;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Tests.Broker.Support;
using Xunit;
using static Tributary.Tests.Broker.Support.ConfigWords;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;
using Result = Tributary.Contracts.Kafka.Messages.DescribeConfigsResponse.DescribeConfigsResourceResult;

namespace Tributary.Tests.Broker.Gateway;

/// <summary>Configs of brokers, which are described and changed while they run (KIP-226).</summary>
public sealed class BrokerConfigsTests
{
    private const string This = "1";
    private const string All = "";

    [Theory]
    [EveryVersion<DescribeConfigsRequest>]
    public async Task A_broker_tells_its_settings_and_which_of_its_configs_can_be_changed(short version)
    {
        await using var broker = new TestBroker(new BrokerOptions { DefaultPartitions = 7 });
        await using TestClient client = broker.Connect();
        Result[] told = await TellAsync(
            client, version, This, "num.partitions", "auto.create.topics.enable", "log.retention.ms", "broker.id", "num.io.threads", "no.such");
        Assert.Equal(
            [
                ("auto.create.topics.enable", "true", 5, true), ("broker.id", "1", 4, true), ("log.retention.ms", "604800000", 5, false),
                ("num.io.threads", "8", 5, false), ("num.partitions", "7", 4, true),
            ],
            told.Select(config => (config.Name, config.Value!, (int)config.ConfigSource, config.ReadOnly)).Order());
        Assert.Equal([("num.partitions", "7", 4), ("num.partitions", "4", 5)], Synonyms(told.Single(config => config.Name == "num.partitions")));
        Assert.Equal(
            [("log.retention.ms", "604800000", 5), ("log.retention.hours", "168", 5)],
            Synonyms(told.Single(config => config.Name == "log.retention.ms")));
        string[] names = [.. DynamicConfigs.All.Select(config => config.Name), "log.dirs", "advertised.listeners", "log.retention.minutes"];
        Assert.Empty(names.Except((await TellAsync(client, version, This)).Select(config => config.Name)));
        Assert.Empty(await TellAsync(client, version, All));
    }

    [Theory]
    [EveryVersion<DescribeConfigsRequest>]
    public async Task A_broker_tells_how_long_transactions_and_their_ids_may_last(short version)
    {
        var transactions = new TransactionOptions { MaxTimeout = TimeSpan.FromMinutes(1) };
        await using var broker = new TestBroker(new BrokerOptions { Transactions = transactions });
        await using TestClient client = broker.Connect();
        Result[] told = await TellAsync(
            client, version, This, "transaction.max.timeout.ms", "transactional.id.expiration.ms",
            "transaction.abort.timed.out.transaction.cleanup.interval.ms");
        Assert.Equal(
            [
                ("transaction.abort.timed.out.transaction.cleanup.interval.ms", "10000", 5, true), ("transaction.max.timeout.ms", "60000", 4, true),
                ("transactional.id.expiration.ms", "604800000", 5, true),
            ],
            told.Select(config => (config.Name, config.Value!, (int)config.ConfigSource, config.ReadOnly)).Order());
        Assert.NotEqual(
            (ErrorCode.None, null), await AlterAsync(client, 1, OfBroker, This, ("transaction.max.timeout.ms", "120000")));
    }

    [Theory]
    [EveryVersion<AlterConfigsRequest>]
    public async Task AlterConfigs_replaces_what_was_set_on_a_broker(short version)
    {
        await using var broker = new TestBroker();
        await using TestClient client = broker.Connect();
        Assert.Equal((ErrorCode.None, null), await AlterAsync(client, version, OfBroker, This, ("num.network.threads", "2"), ("log.cleaner.threads", "2")));
        Assert.Equal((ErrorCode.None, null), await AlterAsync(client, version, OfBroker, This, ("sasl.kerberos.min.time.before.relogin", "58000")));
        Result[] told = await TellAsync(client, 4, This, "num.network.threads", "sasl.kerberos.min.time.before.relogin");
        Assert.Equal(
            [("num.network.threads", "3", 5), ("sasl.kerberos.min.time.before.relogin", "58000", 2)],
            told.Select(config => (config.Name, config.Value, (int)config.ConfigSource)));
        Assert.Equal((ErrorCode.None, null), await AlterAsync(client, version, OfBroker, This));
        Assert.Empty(broker.Control.Snapshot.Overrides.OfNode);
    }

    [Theory]
    [EveryVersion<IncrementalAlterConfigsRequest>]
    public async Task IncrementalAlterConfigs_changes_what_it_names_on_a_broker_and_on_all(short version)
    {
        await using var broker = new TestBroker();
        await using TestClient client = broker.Connect();
        Assert.Equal((ErrorCode.None, null), await ChangeAsync(client, version, OfBroker, All, ("message.max.bytes", ConfigOperation.Set, "2000000")));
        Assert.Equal(
            (ErrorCode.None, null),
            await ChangeAsync(
                client, version, OfBroker, This, ("message.max.bytes", ConfigOperation.Set, "3000000"), ("log.cleanup.policy", ConfigOperation.Append, "compact")));
        Assert.Equal(
            [("message.max.bytes", "3000000", 2), ("message.max.bytes", "2000000", 3), ("message.max.bytes", "1048588", 5)],
            Synonyms(Assert.Single(await TellAsync(client, 4, This, "message.max.bytes"))));
        Assert.Equal("delete,compact", Assert.Single(await TellAsync(client, 4, This, "log.cleanup.policy")).Value);
        Result ofAll = Assert.Single(await TellAsync(client, 4, All));
        Assert.Equal(("message.max.bytes", "2000000", 3, false, 3), (ofAll.Name, ofAll.Value, ofAll.ConfigSource, ofAll.ReadOnly, ofAll.ConfigType));
        Assert.Equal([("message.max.bytes", "2000000", 3)], Synonyms(ofAll));

        Assert.Equal(
            (ErrorCode.None, null),
            await ChangeAsync(
                client, version, OfBroker, This, ("message.max.bytes", ConfigOperation.Delete, null), ("log.cleanup.policy", ConfigOperation.Subtract, "delete")));
        Assert.Equal("2000000", Assert.Single(await TellAsync(client, 4, This, "message.max.bytes")).Value);
        Assert.Equal("compact", Assert.Single(await TellAsync(client, 4, This, "log.cleanup.policy")).Value);
    }

    [Theory]
    [EveryVersion<DescribeConfigsRequest>]
    public async Task A_topic_tells_what_it_has_from_its_broker_in_the_order_in_which_it_counts(short version)
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t", 1, ("retention.ms", "5"));
        await using TestClient client = broker.Connect();
        await ChangeAsync(client, 1, OfBroker, This, ("log.retention.ms", ConfigOperation.Set, "6"), ("log.segment.bytes", ConfigOperation.Set, "2000000"));
        await ChangeAsync(client, 1, OfBroker, All, ("log.retention.ms", ConfigOperation.Set, "7"), ("log.roll.ms", ConfigOperation.Set, "8"));
        DescribeConfigsRequest request = Describe(OfTopic, "t", "retention.ms", "segment.bytes", "segment.ms", "preallocate");
        request.IncludeSynonyms = true;
        Result[] told = (await client.AskAsync(request, version)).Results.Single().Configs;
        Assert.Equal(
            [("preallocate", "false", 5), ("retention.ms", "5", 1), ("segment.bytes", "2000000", 2), ("segment.ms", "8", 3)],
            told.Select(config => (config.Name, config.Value, (int)config.ConfigSource)));
        Assert.Equal(
            [
                ("retention.ms", "5", 1), ("log.retention.ms", "6", 2), ("log.retention.ms", "7", 3), ("log.retention.ms", "604800000", 5),
                ("log.retention.hours", "168", 5),
            ],
            Synonyms(told[1]));
        CreateTopicsRequest create = new()
        {
            Topics = [new() { Name = "new", NumPartitions = 1, ReplicationFactor = 1, Configs = [new() { Name = "retention.ms", Value = "9" }] }],
        };
        CreateTopicsResponse.CreatableTopicConfigs[] made = (await client.AskAsync(create, 7)).Topics.Single().Configs!;
        Assert.Equal(
            [("retention.ms", "9", 1), ("segment.bytes", "2000000", 2), ("segment.ms", "8", 3)],
            made.Where(config => config.ConfigSource != 5).Select(config => (config.Name, config.Value!, (int)config.ConfigSource)));
    }

    [Theory]
    [EveryVersion<IncrementalAlterConfigsRequest>]
    public async Task A_default_of_topics_holds_at_once_for_topics_that_have_no_own_value_and_over_a_restart(short version)
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("own", 1, ("max.message.bytes", "1000000"));
        await broker.CreateTopicAsync("usual");
        await using TestClient client = broker.Connect();
        Assert.Equal(ErrorCode.None, await ProduceAsync(client, "usual"));
        Assert.Equal((ErrorCode.None, null), await ChangeAsync(client, version, OfBroker, All, ("message.max.bytes", ConfigOperation.Set, "100")));
        Assert.Equal([ErrorCode.MessageTooLarge, ErrorCode.None], [await ProduceAsync(client, "usual"), await ProduceAsync(client, "own")]);
        await broker.RestartAsync();
        await using TestClient again = broker.Connect();
        Assert.Equal([ErrorCode.MessageTooLarge, ErrorCode.None], [await ProduceAsync(again, "usual"), await ProduceAsync(again, "own")]);
        Assert.Equal((ErrorCode.None, null), await ChangeAsync(again, version, OfBroker, All, ("message.max.bytes", ConfigOperation.Delete, null)));
        Assert.Equal(ErrorCode.None, await ProduceAsync(again, "usual"));
    }

    [Fact]
    public async Task Every_default_of_topics_that_means_something_here_holds_and_partitions_keep_their_records()
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        await ProduceAsync(client, "t");
        Assert.Equal(
            (ErrorCode.None, null),
            await AlterAsync(
                client, 2, OfBroker, All, ("log.retention.ms", "11"), ("log.retention.bytes", "12"), ("log.segment.bytes", "2000000"), ("log.roll.ms", "13"),
                ("log.index.interval.bytes", "14"), ("message.max.bytes", "15"), ("min.insync.replicas", "2"),
                ("log.message.timestamp.type", "LogAppendTime"), ("log.message.timestamp.before.max.ms", "16"), ("log.message.timestamp.after.max.ms", "17"),
                ("log.cleanup.policy", "compact,delete"), ("producer.id.expiration.ms", "18")));
        Tributary.Broker.Partitions.TopicSettings settings = broker.Partition("t").Settings;
        Assert.Equal(
            (11, 12, 2_000_000, 13, 14, 15),
            (settings.RetentionMs, settings.RetentionBytes, settings.SegmentBytes, settings.SegmentMs, settings.IndexIntervalBytes, settings.MaxMessageBytes));
        Assert.Equal((2, true, 16, 17), (settings.MinInSyncReplicas, settings.LogAppendTime, settings.TimestampBeforeMaxMs, settings.TimestampAfterMaxMs));
        Assert.True(settings.Compact && settings.Delete);
        Assert.Equal(1, broker.Partition("t").HighWatermark);
        Assert.Equal("18", Assert.Single(await TellAsync(client, 4, This, "producer.id.expiration.ms")).Value);
    }

    [Fact]
    public async Task The_limit_of_connections_is_the_one_that_was_set_last()
    {
        await using var broker = new TestBroker();
        await using TestClient client = broker.Connect();
        Assert.Equal((ErrorCode.None, null), await ChangeAsync(client, 1, OfBroker, This, ("max.connections", ConfigOperation.Set, "1")));
        await using TestClient refused = broker.Connect();
        await refused.Ended;
        Assert.True(refused.IsAborted);
        Assert.Equal((ErrorCode.None, null), await ChangeAsync(client, 1, OfBroker, This, ("max.connections", ConfigOperation.Delete, null)));
        await using TestClient welcome = broker.Connect();
        Assert.NotEmpty(await TellAsync(welcome, 4, This));
    }

    [Theory]
    [EveryVersion<IncrementalAlterConfigsRequest>]
    public async Task A_config_of_a_plug_in_is_kept_and_not_told(short version)
    {
        await using var broker = new TestBroker();
        await using TestClient client = broker.Connect();
        Assert.Equal((ErrorCode.None, null), await ChangeAsync(client, version, OfBroker, This, ("plug.in.password", ConfigOperation.Set, "secret")));
        Result told = Assert.Single(await TellAsync(client, 4, This, "plug.in.password"));
        Assert.Equal((null, true, true, 2, 0), (told.Value, told.IsSensitive, told.ReadOnly, told.ConfigSource, told.ConfigType));
        Assert.Null(Assert.Single(told.Synonyms).Value);
        Assert.Equal("secret", broker.Control.Snapshot.Overrides.OfNode["plug.in.password"]);
    }

    [Theory]
    [EveryVersion<IncrementalAlterConfigsRequest>]
    public async Task A_check_of_a_broker_changes_nothing_and_finds_what_is_wrong(short version)
    {
        await using var broker = new TestBroker();
        await using TestClient client = broker.Connect();
        ClusterSnapshot before = broker.Control.Snapshot;
        foreach ((string value, ErrorCode expected) in new[] { ("6", ErrorCode.None), ("-6", ErrorCode.InvalidRequest) })
        {
            IncrementalAlterConfigsRequest request = new()
            {
                Resources = [new() { ResourceType = OfBroker, ResourceName = This, Configs = [new() { Name = "log.retention.ms", Value = value }] }],
                ValidateOnly = true,
            };
            Assert.Equal(expected, (await client.AskAsync(request, version)).Responses.Single().ErrorCode);
            AlterConfigsRequest whole = Alter(OfBroker, This, ("log.retention.ms", value));
            whole.ValidateOnly = true;
            Assert.Equal(expected, (await client.AskAsync(whole, version)).Responses.Single().ErrorCode);
        }
        Assert.Same(before, broker.Control.Snapshot);
    }

    [Theory]
    [EveryVersion<AlterConfigsRequest>]
    public async Task Another_broker_or_none_is_refused_in_the_words_of_Kafka(short version)
    {
        await using var broker = new TestBroker();
        await using TestClient client = broker.Connect();
        Assert.Equal(
            (ErrorCode.InvalidRequest, "Unexpected broker id, expected 1, but received 7"),
            await AlterAsync(client, version, OfBroker, "7", ("log.retention.ms", "5")));
        Assert.Equal(
            (ErrorCode.InvalidRequest, "Node id must be an integer, but it is: one"),
            await AlterAsync(client, version, OfBroker, "one", ("log.retention.ms", "5")));
    }

    [Fact]
    public async Task A_control_plane_that_fails_is_tried_again_by_clients()
    {
        await using var broker = new TestBroker();
        await using TestClient client = broker.Connect();
        broker.Control.Failure = new IOException("the disk is gone");
        (ErrorCode error, _) = await AlterAsync(client, 2, OfBroker, This, ("log.retention.ms", "5"));
        Assert.Equal(ErrorCode.RequestTimedOut, error);
    }

    private static async Task<Result[]> TellAsync(TestClient client, short version, string node, params string[] names)
    {
        DescribeConfigsRequest request = Describe(OfBroker, node, names);
        request.IncludeSynonyms = true;
        DescribeConfigsResponse.DescribeConfigsResult result = (await client.AskAsync(request, version)).Results.Single();
        Assert.Equal(ErrorCode.None, result.ErrorCode);
        return result.Configs;
    }

    private static IEnumerable<(string Name, string? Value, int Source)> Synonyms(Result config) =>
        config.Synonyms.Select(synonym => (synonym.Name, synonym.Value, (int)synonym.Source));

    private static async Task<ErrorCode> ProduceAsync(TestClient client, string topic) =>
        (await client.AskAsync(Ask.Produce(topic, Batches.Of(valueBytes: 100)), 9)).Single().ErrorCode;
}
