using System.Globalization;
using Confluent.Kafka;
using Confluent.Kafka.Admin;
using Tributary.Conformance.Harness;
using Xunit;

namespace Tributary.Conformance.Clients;

/// <summary>A cloud of its own for each test, one topic of numbered records in it, and a group of real consumers who read that.</summary>
public abstract class GroupScenario : IAsyncLifetime
{
    private protected const int PartitionCount = 6;
    private protected const string Topic = "numbers";
    private protected const string Group = "readers";
    private static readonly TimeSpan AdminTimeout = TimeSpan.FromSeconds(30);

    private protected TestSystem Server { get; } = new()
    {
        CloudSettings = new Dictionary<string, string>
        {
            ["groups:initialRebalanceDelayMs"] = "100",
            ["groups:consumerHeartbeatIntervalMs"] = "300",
            ["groups:consumerSessionTimeoutMs"] = "15000",
        },
    };

    /// <summary>How many records were produced.</summary>
    private protected int Produced { get; private set; }

    public async ValueTask InitializeAsync()
    {
        await Server.StartCloudAsync();
        using IAdminClient admin = Admin();
        await admin.CreateTopicsAsync([new TopicSpecification { Name = Topic, NumPartitions = PartitionCount, ReplicationFactor = 1 }]);
    }

    public async ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        await Server.DisposeAsync();
    }

    private protected static void AssertOrdered(GroupConsumer consumer)
    {
        foreach (var partition in consumer.Records.GroupBy(record => record.Partition))
        {
            var seen = new Dictionary<long, string>();
            foreach ((_, long offset, _, string value) in partition)
            {
                Assert.True(seen.TryAdd(offset, value) || seen[offset] == value, $"offset {offset} of {partition.Key} has two values");
            }
        }
        foreach (var key in consumer.Records.GroupBy(record => record.Key))
        {
            int[] numbers = [.. key.DistinctBy(record => record.Value).OrderBy(record => record.Offset).Select(record => Number(record.Value))];
            Assert.Equal(numbers.Order(), numbers);
        }
    }

    private static int Number(string value) => int.Parse(value, CultureInfo.InvariantCulture);

    private protected static Dictionary<int, long> Latest(IEnumerable<GroupConsumer> all) =>
        all.SelectMany(one => one.Acknowledged).GroupBy(one => one.Key).ToDictionary(one => one.Key, one => one.Max(each => each.Value));

    private protected static async Task LeaveAsync(List<GroupConsumer> all)
    {
        foreach (GroupConsumer consumer in all)
        {
            await consumer.DisposeAsync();
        }
    }

    private protected IAdminClient Admin() =>
        new AdminClientBuilder(new AdminClientConfig { BootstrapServers = Server.Kafka }).SetLogHandler((_, _) => { }).Build();

    private protected GroupConsumer Join(List<GroupConsumer> all, PartitionAssignmentStrategy? strategy, string? instance = null)
    {
        var consumer = GroupConsumer.Start(Server.Kafka, Group, Topic, strategy, instance);
        all.Add(consumer);
        return consumer;
    }

    /// <summary>Waits until these have all partitions between them.</summary>
    private protected Task SharedByAsync(params GroupConsumer[] members) => Until.TrueAsync(
        () => Task.FromResult(
            members.All(member => member.Partitions.Length > 0)
            && members.SelectMany(member => member.Partitions).Order().SequenceEqual(Enumerable.Range(0, PartitionCount))),
        () => $"{string.Join('\n', members.Select(member => member.Story()))}\n{Server.Cloud.Story()}");

    private protected async Task ProduceAsync(int count)
    {
        var config = new ProducerConfig { BootstrapServers = Server.Kafka, EnableIdempotence = true, ReconnectBackoffMaxMs = 200 };
        using IProducer<string, string> producer = new ProducerBuilder<string, string>(config)
            .SetLogHandler((_, _) => { }).SetErrorHandler((_, _) => { }).Build();
        int first = Produced;
        Produced += count;
        await Task.WhenAll(Enumerable.Range(first, count).Select(number => producer.ProduceAsync(
            Topic,
            new Message<string, string> { Key = $"key-{number % 17}", Value = number.ToString(CultureInfo.InvariantCulture) })));
    }

    /// <summary>Waits until everything that was produced has been read by somebody.</summary>
    private protected Task AllReadAsync(List<GroupConsumer> all) => Until.TrueAsync(
        () => Task.FromResult(all.SelectMany(one => one.Records).Select(record => record.Value).Distinct().Count() == Produced),
        () => $"{string.Join('\n', all.Select(one => one.Story()))}\n{Server.Cloud.Story()}");

    private protected async Task AssertCommittedAsync(List<GroupConsumer> all)
    {
        IReadOnlyDictionary<int, long> acknowledged = Latest(all);
        IReadOnlyDictionary<int, long> committed = await CommittedAsync();
        Assert.All(acknowledged, one => Assert.True(committed[one.Key] >= one.Value, $"partition {one.Key}: {committed[one.Key]} < {one.Value}"));
    }

    private protected async Task<IReadOnlyDictionary<int, long>> CommittedAsync()
    {
        using IAdminClient admin = Admin();
        List<ListConsumerGroupOffsetsResult> results = await admin.ListConsumerGroupOffsetsAsync(
            [new ConsumerGroupTopicPartitions(Group, null)], new ListConsumerGroupOffsetsOptions { RequestTimeout = AdminTimeout });
        return results.Single().Partitions.ToDictionary(one => one.Partition.Value, one => one.Offset.Value);
    }

    private protected async Task<string[]> MembersAsync()
    {
        using IAdminClient admin = Admin();
        DescribeConsumerGroupsResult result = await admin.DescribeConsumerGroupsAsync(
            [Group], new DescribeConsumerGroupsOptions { RequestTimeout = AdminTimeout });
        return [.. result.ConsumerGroupDescriptions.Single().Members.Select(member => member.ConsumerId).Order()];
    }
}
