using System.Globalization;
using System.Text.Json.Nodes;
using Confluent.Kafka;
using Confluent.Kafka.Admin;
using Tributary.Conformance.Clients;
using Tributary.Conformance.Harness;
using Xunit;

namespace Tributary.Conformance;

/// <summary>Groups of real consumers whose members join, leave and are killed, on a server that is killed.</summary>
public sealed class ConsumerGroupTests : IAsyncLifetime
{
    private const int PartitionCount = 6;
    private const string Topic = "numbers";
    private const string Group = "readers";
    private static readonly TimeSpan AdminTimeout = TimeSpan.FromSeconds(30);

    private readonly TestSystem _system = new()
    {
        CloudSettings = new Dictionary<string, string>
        {
            ["groups:initialRebalanceDelayMs"] = "100",
            ["groups:consumerHeartbeatIntervalMs"] = "300",
            ["groups:consumerSessionTimeoutMs"] = "15000",
        },
    };

    private int _produced;

    public async ValueTask InitializeAsync()
    {
        await _system.StartCloudAsync();
        using IAdminClient admin = Admin();
        await admin.CreateTopicsAsync([new TopicSpecification { Name = Topic, NumPartitions = PartitionCount, ReplicationFactor = 1 }]);
    }

    public ValueTask DisposeAsync() => _system.DisposeAsync();

    [Theory]
    [InlineData(PartitionAssignmentStrategy.Range)]
    [InlineData(PartitionAssignmentStrategy.RoundRobin)]
    [InlineData(PartitionAssignmentStrategy.CooperativeSticky)]
    [InlineData(null)]
    public async Task Members_join_and_leave_and_every_record_is_read_in_the_order_of_its_key(PartitionAssignmentStrategy? strategy)
    {
        var all = new List<GroupConsumer>();
        try
        {
            GroupConsumer first = Join(all, strategy);
            await SharedByAsync(first);
            await ProduceAsync(300);
            GroupConsumer second = Join(all, strategy);
            GroupConsumer third = Join(all, strategy);
            await SharedByAsync(first, second, third);
            await ProduceAsync(300);
            await second.DisposeAsync();
            await SharedByAsync(first, third);
            await ProduceAsync(300);
            await AllReadAsync(all);
            Assert.All(all, AssertOrdered);
            await AssertCommittedAsync(all);
        }
        finally
        {
            await LeaveAsync(all);
        }
    }

    [Theory]
    [InlineData(PartitionAssignmentStrategy.Range)]
    [InlineData(null)]
    public async Task A_static_member_that_restarts_gets_its_partitions_back_and_the_others_notice_nothing(PartitionAssignmentStrategy? strategy)
    {
        var all = new List<GroupConsumer>();
        try
        {
            GroupConsumer first = Join(all, strategy, "a");
            GroupConsumer second = Join(all, strategy, "b");
            await SharedByAsync(first, second);
            int[] before = second.Partitions;
            int changes = first.Changes;
            await second.DisposeAsync();
            GroupConsumer back = Join(all, strategy, "b");
            await SharedByAsync(first, back);
            await ProduceAsync(200);
            await AllReadAsync(all);
            Assert.Equal(before, back.Partitions);
            Assert.Equal(changes, first.Changes);
        }
        finally
        {
            await LeaveAsync(all);
        }
    }

    [Fact]
    public async Task What_a_killed_kcat_had_is_read_by_the_others_when_its_session_is_over()
    {
        var all = new List<GroupConsumer>();
        try
        {
            await using var kcat = RunningProcess.Start(
                "kcat", "kcat",
                [
                    "-b", _system.Kafka, "-G", Group, "-u", "-q", "-X", "session.timeout.ms=6000", "-X", "heartbeat.interval.ms=300",
                    "-X", "auto.offset.reset=earliest", "-X", "auto.commit.interval.ms=100", "-X", "partition.assignment.strategy=range",
                    "-f", "%s\n", Topic,
                ]);
            await Until.TrueAsync(async () => (await MembersAsync()).Length == 1, kcat.Story);
            GroupConsumer other = Join(all, PartitionAssignmentStrategy.Range);
            await Until.TrueAsync(() => Task.FromResult(other.Partitions.Length == PartitionCount / 2), other.Story);
            await ProduceAsync(300);
            await Until.TrueAsync(() => Task.FromResult(kcat.Output.Length > 0 && other.Records.Length > 0), kcat.Story);
            await kcat.KillAsync();
            await ProduceAsync(300);
            await SharedByAsync(other);
            HashSet<string> ofKcat = [.. kcat.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries)];
            await Until.TrueAsync(
                () => Task.FromResult(ofKcat.Union(other.Records.Select(record => record.Value)).Count() >= _produced), other.Story);
            AssertOrdered(other);
        }
        finally
        {
            await LeaveAsync(all);
        }
    }

    [Fact]
    public async Task What_a_killed_member_of_another_client_had_is_read_by_the_others_when_its_session_is_over()
    {
        var all = new List<GroupConsumer>();
        try
        {
            await using RunningProcess member = NodeClient.Start(NodeClientKind.Platformatic, "member", _system.Kafka, new JsonObject
            {
                ["topic"] = Topic,
                ["group"] = Group,
                ["protocol"] = "consumer",
            });
            await ProduceAsync(100);
            await Until.TrueAsync(() => Task.FromResult(Values(member).Count == _produced), member.Story);
            GroupConsumer other = Join(all, null);
            await Until.TrueAsync(() => Task.FromResult(other.Partitions.Length == PartitionCount / 2), other.Story);
            await ProduceAsync(300);
            await Until.TrueAsync(
                () => Task.FromResult(Values(member).Union(other.Records.Select(record => record.Value)).Count() == _produced),
                () => $"{member.Story()}\n{other.Story()}");
            await member.KillAsync();
            await ProduceAsync(300);
            await SharedByAsync(other);
            await Until.TrueAsync(
                () => Task.FromResult(Values(member).Union(other.Records.Select(record => record.Value)).Count() == _produced), other.Story);
            AssertOrdered(other);
        }
        finally
        {
            await LeaveAsync(all);
        }
    }

    [Theory]
    [InlineData(PartitionAssignmentStrategy.Range)]
    [InlineData(PartitionAssignmentStrategy.CooperativeSticky)]
    public async Task A_group_goes_from_the_classic_protocol_to_the_newer_and_back_member_by_member(PartitionAssignmentStrategy strategy)
    {
        var all = new List<GroupConsumer>();
        try
        {
            GroupConsumer[] classic = [Join(all, strategy), Join(all, strategy)];
            await SharedByAsync(classic);
            await ProduceAsync(200);
            GroupConsumer modern = Join(all, null);
            await SharedByAsync([.. classic, modern]);
            await ProduceAsync(200);
            await AllReadAsync(all);
            await classic[0].DisposeAsync();
            GroupConsumer second = Join(all, null);
            await SharedByAsync(classic[1], modern, second);
            await classic[1].DisposeAsync();
            await SharedByAsync(modern, second);
            await ProduceAsync(200);
            await AllReadAsync(all);
            GroupConsumer back = Join(all, strategy);
            await SharedByAsync(modern, second, back);
            await ProduceAsync(200);
            await modern.DisposeAsync();
            await second.DisposeAsync();
            await SharedByAsync(back);
            await ProduceAsync(200);
            await AllReadAsync(all);
            Assert.All(all, AssertOrdered);
            await AssertCommittedAsync(all);
        }
        finally
        {
            await LeaveAsync(all);
        }
    }

    [Fact]
    public async Task A_member_that_subscribes_by_an_expression_reads_topics_that_come_later_too()
    {
        var consumer = GroupConsumer.Start(_system.Kafka, "expression", "^num.*", null);
        try
        {
            await Until.TrueAsync(() => Task.FromResult(consumer.Partitions.Length == PartitionCount), consumer.Story);
            using IAdminClient admin = Admin();
            await admin.CreateTopicsAsync([new TopicSpecification { Name = "numeral", NumPartitions = 3, ReplicationFactor = 1 }]);
            await Until.TrueAsync(() => Task.FromResult(consumer.Partitions.Length == PartitionCount + 3), consumer.Story);
        }
        finally
        {
            await consumer.DisposeAsync();
        }
    }

    [Theory]
    [InlineData(PartitionAssignmentStrategy.Range)]
    [InlineData(null)]
    public async Task Members_go_on_in_their_generation_after_the_server_was_killed(PartitionAssignmentStrategy? strategy)
    {
        var all = new List<GroupConsumer>();
        try
        {
            GroupConsumer first = Join(all, strategy);
            GroupConsumer second = Join(all, strategy);
            await SharedByAsync(first, second);
            await ProduceAsync(100);
            await AllReadAsync(all);
            string[] members = strategy is null ? [] : await MembersAsync(); // the client's admin knows the classic API alone
            int[] changes = [first.Changes, second.Changes];
            await _system.KillCloudAsync();
            await _system.StartCloudAsync();
            await ProduceAsync(100);
            await AllReadAsync(all);
            Assert.Equal(members, strategy is null ? [] : await MembersAsync());
            Assert.Equal((changes[0], changes[1]), (first.Changes, second.Changes));
            await AssertCommittedAsync(all);
        }
        finally
        {
            await LeaveAsync(all);
        }
    }

    [Theory]
    [InlineData(PartitionAssignmentStrategy.CooperativeSticky)]
    [InlineData(null)]
    public async Task Whenever_the_server_is_killed_acknowledged_commits_are_there_afterwards_and_every_record_is_read(
        PartitionAssignmentStrategy? strategy)
    {
        int kills = int.TryParse(Environment.GetEnvironmentVariable("TRIBUTARY_KILLS"), CultureInfo.InvariantCulture, out int set) ? set : 3;
        var random = new Random(848);
        var all = new List<GroupConsumer>();
        try
        {
            for (int i = 0; i < kills; i++)
            {
                GroupConsumer joining = Join(all, strategy);
                Task producing = ProduceAsync(100);
                await Task.Delay(random.Next(50, 1500), TestContext.Current.CancellationToken); // somewhere in the rebalance or the commits
                await _system.KillCloudAsync();
                IReadOnlyDictionary<int, long> acknowledged = Latest(all);
                await _system.StartCloudAsync();
                await producing;
                IReadOnlyDictionary<int, long> committed = await CommittedAsync();
                Assert.All(acknowledged, one => Assert.True(
                    committed.GetValueOrDefault(one.Key, -1) >= one.Value, $"partition {one.Key}: {one.Value} was acknowledged, {joining.Story()}"));
                if (i % 2 == 1)
                {
                    await all[i - 1].DisposeAsync();
                }
            }
            await AllReadAsync(all);
            await AssertCommittedAsync(all);
        }
        finally
        {
            await LeaveAsync(all);
        }
    }

    private static void AssertOrdered(GroupConsumer consumer)
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

    private static Dictionary<int, long> Latest(IEnumerable<GroupConsumer> all) =>
        all.SelectMany(one => one.Acknowledged).GroupBy(one => one.Key).ToDictionary(one => one.Key, one => one.Max(each => each.Value));

    private static async Task LeaveAsync(List<GroupConsumer> all)
    {
        foreach (GroupConsumer consumer in all)
        {
            await consumer.DisposeAsync();
        }
    }

    private IAdminClient Admin() =>
        new AdminClientBuilder(new AdminClientConfig { BootstrapServers = _system.Kafka }).SetLogHandler((_, _) => { }).Build();

    private static HashSet<string> Values(RunningProcess member) =>
    [
        .. NodeClient.Lines(member).Where(line => line.GetProperty("event").GetString() == "record").Select(line => line.GetProperty("value").GetString()!),
    ];

    private GroupConsumer Join(List<GroupConsumer> all, PartitionAssignmentStrategy? strategy, string? instance = null)
    {
        var consumer = GroupConsumer.Start(_system.Kafka, Group, Topic, strategy, instance);
        all.Add(consumer);
        return consumer;
    }

    /// <summary>Waits until these have all partitions between them.</summary>
    private Task SharedByAsync(params GroupConsumer[] members) => Until.TrueAsync(
        () => Task.FromResult(
            members.All(member => member.Partitions.Length > 0)
            && members.SelectMany(member => member.Partitions).Order().SequenceEqual(Enumerable.Range(0, PartitionCount))),
        () => $"{string.Join('\n', members.Select(member => member.Story()))}\n{_system.Cloud.Story()}");

    private async Task ProduceAsync(int count)
    {
        var config = new ProducerConfig { BootstrapServers = _system.Kafka, EnableIdempotence = true, ReconnectBackoffMaxMs = 200 };
        using IProducer<string, string> producer = new ProducerBuilder<string, string>(config)
            .SetLogHandler((_, _) => { }).SetErrorHandler((_, _) => { }).Build();
        int first = _produced;
        _produced += count;
        await Task.WhenAll(Enumerable.Range(first, count).Select(number => producer.ProduceAsync(
            Topic,
            new Message<string, string> { Key = $"key-{number % 17}", Value = number.ToString(CultureInfo.InvariantCulture) })));
    }

    /// <summary>Waits until everything that was produced has been read by somebody.</summary>
    private Task AllReadAsync(List<GroupConsumer> all) => Until.TrueAsync(
        () => Task.FromResult(all.SelectMany(one => one.Records).Select(record => record.Value).Distinct().Count() == _produced),
        () => $"{string.Join('\n', all.Select(one => one.Story()))}\n{_system.Cloud.Story()}");

    private async Task AssertCommittedAsync(List<GroupConsumer> all)
    {
        IReadOnlyDictionary<int, long> acknowledged = Latest(all);
        IReadOnlyDictionary<int, long> committed = await CommittedAsync();
        Assert.All(acknowledged, one => Assert.True(committed[one.Key] >= one.Value, $"partition {one.Key}: {committed[one.Key]} < {one.Value}"));
    }

    private async Task<IReadOnlyDictionary<int, long>> CommittedAsync()
    {
        using IAdminClient admin = Admin();
        List<ListConsumerGroupOffsetsResult> results = await admin.ListConsumerGroupOffsetsAsync(
            [new ConsumerGroupTopicPartitions(Group, null)], new ListConsumerGroupOffsetsOptions { RequestTimeout = AdminTimeout });
        return results.Single().Partitions.ToDictionary(one => one.Partition.Value, one => one.Offset.Value);
    }

    private async Task<string[]> MembersAsync()
    {
        using IAdminClient admin = Admin();
        DescribeConsumerGroupsResult result = await admin.DescribeConsumerGroupsAsync(
            [Group], new DescribeConsumerGroupsOptions { RequestTimeout = AdminTimeout });
        return [.. result.ConsumerGroupDescriptions.Single().Members.Select(member => member.ConsumerId).Order()];
    }
}
