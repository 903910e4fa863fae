using System.Collections.Immutable;
using Tributary.Broker.Configs;
using Tributary.Broker.Metadata;
using Tributary.Cloud.Grains;
using Xunit;

namespace Tributary.Tests.Cloud.Grains;

/// <summary>The decisions by themselves, without a silo.</summary>
public sealed class RecordTests
{
    [Fact]
    public void A_broker_keeps_its_node_id_and_gets_a_higher_epoch_at_each_start()
    {
        ClusterRecord record = new ClusterRecord().Register("a", "h", 1, "first").Register("b", "h", 2, "second").Register(
            "a", "other", 3, "third");

        Assert.Equal("first", record.ClusterId);
        Assert.Equal(
            [
                new BrokerRecord { Name = "a", NodeId = 1, Epoch = 1, Host = "other", Port = 3 },
                new BrokerRecord { Name = "b", NodeId = 2, Epoch = 0, Host = "h", Port = 2 },
            ],
            record.Brokers);
    }

    [Fact]
    public void Configs_of_a_broker_are_kept_beside_those_of_others_and_of_all()
    {
        BrokerOverrides one = BrokerOverrides.From([KeyValuePair.Create("a", "1")], [KeyValuePair.Create("a", "0")]);
        ClusterRecord record = new ClusterRecord().Override(1, one);
        record = record.Override(2, record.OverridesOf(2) with { OfNode = one.OfNode.SetItem("a", "2") });

        Assert.Equal(["1", "2", "0"], new[] { 1, 2, 3 }.Select(node => record.OverridesOf(node).Find("a")));
        Assert.Equal("0", record.Override(1, record.OverridesOf(1) with { OfNode = one.OfNode.Clear() }).OverridesOf(1).Find("a"));
        Assert.Empty(new ClusterRecord().Override(1, BrokerOverrides.None).BrokerConfigs);
    }

    [Fact]
    public void Leaders_and_replicas_of_a_new_topic_go_around_the_brokers()
    {
        TopicRecord topic = TopicRecord.Create(Spec("t", 4), Guid.NewGuid(), [1, 2, 3], replicationFactor: 2);

        Assert.Equal([1, 2, 3, 1], topic.Partitions.Select(partition => partition.Leader));
        Assert.Equal([1, 2], topic.Partitions[0].Replicas);
        Assert.Equal([3, 1], topic.Partitions[2].Replicas);
        Assert.All(topic.Partitions, partition => Assert.Equal(partition.Replicas.AsEnumerable(), partition.InSync));
        Assert.All(topic.Partitions, partition => Assert.Equal(0, partition.LeaderEpoch));
    }

    [Fact]
    public void A_start_begins_new_epochs_where_the_broker_led_and_where_nobody_did_while_it_is_in_sync()
    {
        var topic = new TopicRecord
        {
            Partitions =
            [
                new PartitionRecord { Replicas = [1, 2], InSync = [1, 2], Leader = 1, LeaderEpoch = 5, PartitionEpoch = 9 },
                new PartitionRecord { Replicas = [2, 1], InSync = [2, 1], Leader = 2, LeaderEpoch = 3, PartitionEpoch = 4 },
                new PartitionRecord { Replicas = [1, 2], InSync = [1], Leader = PartitionRecord.NoLeader, LeaderEpoch = 2 },
                new PartitionRecord { Replicas = [2, 1], InSync = [2], Leader = PartitionRecord.NoLeader, LeaderEpoch = 1 },
            ],
        };

        TopicRecord started = topic.BrokerStarted(1);

        Assert.Equal([6, 3, 3, 1], started.Partitions.Select(partition => partition.LeaderEpoch));
        Assert.Equal([10, 4, 1, 0], started.Partitions.Select(partition => partition.PartitionEpoch));
        Assert.Equal([1, 2, 1, -1], started.Partitions.Select(partition => partition.Leader));
        Assert.Same(topic, topic.BrokerStarted(7));
    }

    [Fact]
    public void A_topic_is_told_to_brokers_with_all_it_has()
    {
        TopicRecord topic = TopicRecord.Create(Spec("t", 2), Guid.NewGuid(), [1], replicationFactor: 1).BrokerStarted(1);

        TopicInfo info = topic.ToInfo();

        Assert.Equal((topic.Name, topic.Id), (info.Name, info.Id));
        Assert.Equal([0, 1], info.Partitions.Select(partition => partition.Index));
        Assert.All(info.Partitions, partition => Assert.Equal((1, 1), (partition.Leader, partition.LeaderEpoch)));
        Assert.Equal("60000", info.Configs["retention.ms"]);
    }

    private static TopicSpec Spec(string name, int partitions) => new(
        name, partitions, 1, ImmutableDictionary<string, string>.Empty.Add("retention.ms", "60000"), ValidateOnly: false);
}
