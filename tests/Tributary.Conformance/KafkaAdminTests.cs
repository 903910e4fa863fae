using Confluent.Kafka;
using Confluent.Kafka.Admin;
using Tributary.Conformance.Harness;
using Xunit;

namespace Tributary.Conformance;

/// <summary>Kafka's administrators manage topics and configs of the cloud with clients that know nothing of Tributary.</summary>
public sealed class KafkaAdminTests : IAsyncLifetime
{
    private const int Kills = 4;
    private readonly TestSystem _system = new();

    public async ValueTask InitializeAsync() => await _system.StartCloudAsync();

    public ValueTask DisposeAsync() => _system.DisposeAsync();

    [Fact]
    public async Task Confluent_Kafka_creates_describes_alters_extends_empties_and_deletes_a_topic()
    {
        using IAdminClient admin = Connect();
        var resource = new ConfigResource { Type = ResourceType.Topic, Name = "t" };
        await admin.CreateTopicsAsync(
            [new TopicSpecification { Name = "t", NumPartitions = 1, ReplicationFactor = 1, Configs = new() { ["retention.ms"] = "60000" } }]);
        Assert.Equal("60000", await ValueAsync(admin, resource, "retention.ms"));

        await admin.IncrementalAlterConfigsAsync(new()
        {
            [resource] =
            [
                new ConfigEntry { Name = "retention.ms", Value = "70000", IncrementalOperation = AlterConfigOpType.Set },
                new ConfigEntry { Name = "cleanup.policy", Value = "compact", IncrementalOperation = AlterConfigOpType.Append },
            ],
        });
        Assert.Equal("70000", await ValueAsync(admin, resource, "retention.ms"));
        Assert.Equal("delete,compact", await ValueAsync(admin, resource, "cleanup.policy"));
        await admin.AlterConfigsAsync(new() { [resource] = [new ConfigEntry { Name = "segment.bytes", Value = "2097152" }] });
        Assert.Equal("604800000", await ValueAsync(admin, resource, "retention.ms"));

        await admin.CreatePartitionsAsync([new PartitionsSpecification { Topic = "t", IncreaseTo = 3 }]);
        Assert.Contains("3 partitions", await Tool.RunAsync("kcat", "-b", _system.Kafka, "-L", "-t", "t"), StringComparison.Ordinal);

        using (IProducer<Null, string> producer = new ProducerBuilder<Null, string>(new ProducerConfig { BootstrapServers = _system.Kafka }).Build())
        {
            for (int i = 0; i < 10; i++)
            {
                await producer.ProduceAsync(new TopicPartition("t", 2), new Message<Null, string> { Value = $"{i}" });
            }
        }
        List<DeleteRecordsResult> deleted = await admin.DeleteRecordsAsync([new TopicPartitionOffset("t", 2, 4)]);
        Assert.Equal(4, deleted.Single().Offset.Value);
        ListOffsetsResult offsets = await admin.ListOffsetsAsync(
            [new TopicPartitionOffsetSpec { TopicPartition = new TopicPartition("t", 2), OffsetSpec = OffsetSpec.Earliest() }]);
        Assert.Equal(4, offsets.ResultInfos.Single().TopicPartitionOffsetError.Offset.Value);
        DescribeTopicsResult described = await admin.DescribeTopicsAsync(TopicCollection.OfTopicNames(["t"]));
        Assert.Equal(3, described.TopicDescriptions.Single().Partitions.Count);
        DescribeClusterResult cluster = await admin.DescribeClusterAsync();
        Assert.Single(cluster.Nodes);

        await admin.DeleteTopicsAsync(["t"]);
        Assert.DoesNotContain(admin.GetMetadata(TimeSpan.FromSeconds(30)).Topics, topic => topic.Topic == "t");
        DeleteTopicsException gone = await Assert.ThrowsAsync<DeleteTopicsException>(() => admin.DeleteTopicsAsync(["t"]));
        Assert.Equal(ErrorCode.UnknownTopicOrPart, gone.Results.Single().Error.Code);
    }

    [Fact]
    public async Task A_broker_is_described_and_a_bad_config_is_refused_with_a_sentence()
    {
        using IAdminClient admin = Connect();
        int node = admin.GetMetadata(TimeSpan.FromSeconds(30)).Brokers.Single().BrokerId;
        Assert.Equal("4", await ValueAsync(admin, new ConfigResource { Type = ResourceType.Broker, Name = $"{node}" }, "num.partitions"));
        CreateTopicsException refused = await Assert.ThrowsAsync<CreateTopicsException>(() => admin.CreateTopicsAsync(
            [new TopicSpecification { Name = "bad", NumPartitions = 1, ReplicationFactor = 1, Configs = new() { ["retention.ms"] = "soon" } }]));
        Assert.Equal(ErrorCode.InvalidConfig, refused.Results.Single().Error.Code);
        Assert.Contains("Not a number of type LONG", refused.Results.Single().Error.Reason, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Configs_of_a_broker_hold_at_once_where_a_topic_has_no_own_and_after_a_kill()
    {
        using (IAdminClient admin = Connect())
        {
            await admin.CreateTopicsAsync(
            [
                new TopicSpecification { Name = "own", NumPartitions = 1, Configs = new() { ["max.message.bytes"] = "1000000" } },
                new TopicSpecification { Name = "usual", NumPartitions = 1 },
            ]);
            Assert.Equal([ErrorCode.NoError, ErrorCode.NoError], [await ProduceAsync("own"), await ProduceAsync("usual")]);
            ConfigResource broker = Broker(admin);
            await admin.AlterConfigsAsync(new() { [broker] = [new ConfigEntry { Name = "num.network.threads", Value = "2" }] });
            await admin.IncrementalAlterConfigsAsync(new()
            {
                [broker] =
                [
                    new ConfigEntry { Name = "message.max.bytes", Value = "1000", IncrementalOperation = AlterConfigOpType.Set },
                    new ConfigEntry { Name = "log.retention.ms", Value = "70000", IncrementalOperation = AlterConfigOpType.Set },
                ],
            });
            await AssertHoldAsync(admin);
        }
        await _system.KillCloudAsync();
        await _system.StartCloudAsync();
        using IAdminClient again = Connect();
        await AssertHoldAsync(again);

        AlterConfigsException refused = await Assert.ThrowsAsync<AlterConfigsException>(() => again.AlterConfigsAsync(
            new() { [Broker(again)] = [new ConfigEntry { Name = "num.partitions", Value = "2" }] }));
        Assert.Equal(ErrorCode.InvalidRequest, refused.Results.Single().Error.Code);
        Assert.StartsWith("Cannot update these configs dynamically: [num.partitions]", refused.Results.Single().Error.Reason, StringComparison.Ordinal);

        async Task AssertHoldAsync(IAdminClient admin)
        {
            Assert.Equal([ErrorCode.NoError, ErrorCode.MsgSizeTooLarge], [await ProduceAsync("own"), await ProduceAsync("usual")]);
            Dictionary<string, ConfigEntryResult> ofBroker = (await admin.DescribeConfigsAsync([Broker(admin)])).Single().Entries;
            Assert.Equal(
                ["2", "1000", "70000"],
                new[] { "num.network.threads", "message.max.bytes", "log.retention.ms" }.Select(name => ofBroker[name]).Select(config =>
                    (config.Source, config.IsReadOnly) == (ConfigSource.DynamicBrokerConfig, false) ? config.Value : $"{config.Source}"));
            Assert.True(ofBroker["num.partitions"].IsReadOnly);
            Assert.Equal("70000", await ValueAsync(admin, new ConfigResource { Type = ResourceType.Topic, Name = "usual" }, "retention.ms"));
        }
    }

    [Fact]
    public async Task What_was_answered_is_there_after_the_server_was_killed_amid_changes()
    {
        var present = new Dictionary<string, string>();
        var absent = new HashSet<string>();
        var doubtful = new HashSet<string>();
        int next = 0;
        for (int life = 0; life < Kills; life++)
        {
            using (IAdminClient admin = Connect())
            {
                using var stop = new CancellationTokenSource();
                Task changing = Task.Run(() => ChangeAsync(admin, stop.Token));
                await Until.TrueAsync(() => Task.FromResult(Volatile.Read(ref next) >= (life + 1) * 12), _system.Cloud.Story);
                await stop.CancelAsync();
                await _system.KillCloudAsync();
                await changing;
            }
            await _system.StartCloudAsync();
            using IAdminClient again = Connect();
            HashSet<string> topics = [.. again.GetMetadata(TimeSpan.FromSeconds(30)).Topics.Select(topic => topic.Topic)];
            Assert.Subset(topics, present.Keys.Except(doubtful).ToHashSet());
            Assert.Empty(topics.Intersect(absent.Except(doubtful)));
            foreach ((string topic, string retention) in present.Where(one => !doubtful.Contains(one.Key)))
            {
                Assert.Equal(retention, await ValueAsync(again, new ConfigResource { Type = ResourceType.Topic, Name = topic }, "retention.ms"));
            }
        }

        // Creates, alters and deletes; notes what was answered, and doubts what was not.
        async Task ChangeAsync(IAdminClient admin, CancellationToken cancellation)
        {
            while (!cancellation.IsCancellationRequested)
            {
                string topic = $"topic-{Interlocked.Increment(ref next)}";
                try
                {
                    doubtful.Add(topic);
                    await admin.CreateTopicsAsync(
                        [new TopicSpecification { Name = topic, NumPartitions = 2, ReplicationFactor = 1, Configs = new() { ["retention.ms"] = "1" } }],
                        new CreateTopicsOptions { RequestTimeout = TimeSpan.FromSeconds(10) });
                    await AlterAsync(admin, topic, $"{topic.Length + 1000}");
                    present[topic] = $"{topic.Length + 1000}";
                    if (next % 3 == 0)
                    {
                        await admin.DeleteTopicsAsync([topic], new DeleteTopicsOptions { RequestTimeout = TimeSpan.FromSeconds(10) });
                        present.Remove(topic);
                        absent.Add(topic);
                    }
                    doubtful.Remove(topic);
                }
                catch (KafkaException)
                {
                    return; // killed
                }
            }
        }
    }

    private static Task AlterAsync(IAdminClient admin, string topic, string retention) => admin.IncrementalAlterConfigsAsync(
        new()
        {
            [new ConfigResource { Type = ResourceType.Topic, Name = topic }] =
                [new ConfigEntry { Name = "retention.ms", Value = retention, IncrementalOperation = AlterConfigOpType.Set }],
        },
        new IncrementalAlterConfigsOptions { RequestTimeout = TimeSpan.FromSeconds(10) });

    private static ConfigResource Broker(IAdminClient admin) =>
        new() { Type = ResourceType.Broker, Name = $"{admin.GetMetadata(TimeSpan.FromSeconds(30)).Brokers.Single().BrokerId}" };

    /// <summary>Writes 10,000 bytes, uncompressed.</summary>
    private async Task<ErrorCode> ProduceAsync(string topic)
    {
        using IProducer<Null, byte[]> producer =
            new ProducerBuilder<Null, byte[]>(new ProducerConfig { BootstrapServers = _system.Kafka }).SetLogHandler((_, _) => { }).Build();
        try
        {
            await producer.ProduceAsync(topic, new Message<Null, byte[]> { Value = new byte[10_000] });
            return ErrorCode.NoError;
        }
        catch (ProduceException<Null, byte[]> e)
        {
            return e.Error.Code;
        }
    }

    private static async Task<string> ValueAsync(IAdminClient admin, ConfigResource resource, string name) =>
        (await admin.DescribeConfigsAsync([resource])).Single().Entries[name].Value;

    private IAdminClient Connect() =>
        new AdminClientBuilder(new AdminClientConfig { BootstrapServers = _system.Kafka }).SetLogHandler((_, _) => { }).Build();
}
