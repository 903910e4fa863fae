using System.Text.Json.Nodes;
using Confluent.Kafka;
using Confluent.Kafka.Admin;
using Tributary.Conformance.Clients;
using Tributary.Conformance.Harness;
using Xunit;

namespace Tributary.Conformance;

/// <summary>Groups of real consumers whose members join, leave and are killed.</summary>
public sealed class ConsumerGroupTests : GroupScenario
{
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
                    "-b", Server.Kafka, "-G", Group, "-u", "-q", "-X", "session.timeout.ms=6000", "-X", "heartbeat.interval.ms=300",
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
                () => Task.FromResult(ofKcat.Union(other.Records.Select(record => record.Value)).Count() >= Produced), other.Story);
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
            await using RunningProcess member = NodeClient.Start(NodeClientKind.Platformatic, "member", Server.Kafka, new JsonObject
            {
                ["topic"] = Topic,
                ["group"] = Group,
                ["protocol"] = "consumer",
            });
            await ProduceAsync(100);
            await Until.TrueAsync(() => Task.FromResult(Values(member).Count == Produced), member.Story);
            GroupConsumer other = Join(all, null);
            await Until.TrueAsync(() => Task.FromResult(other.Partitions.Length == PartitionCount / 2), other.Story);
            await ProduceAsync(300);
            await Until.TrueAsync(
                () => Task.FromResult(Values(member).Union(other.Records.Select(record => record.Value)).Count() == Produced),
                () => $"{member.Story()}\n{other.Story()}");
            await member.KillAsync();
            await ProduceAsync(300);
            await SharedByAsync(other);
            await Until.TrueAsync(
                () => Task.FromResult(Values(member).Union(other.Records.Select(record => record.Value)).Count() == Produced), other.Story);
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
        var consumer = GroupConsumer.Start(Server.Kafka, "expression", "^num.*", null);
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

    private static HashSet<string> Values(RunningProcess member) =>
    [
        .. NodeClient.Lines(member).Where(line => line.GetProperty("event").GetString() == "record").Select(line => line.GetProperty("value").GetString()!),
    ];
}
