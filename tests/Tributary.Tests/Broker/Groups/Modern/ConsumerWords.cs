using System.Buffers;
using Tributary.Broker.Groups;
using Tributary.Broker.Metadata;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Tests.Broker.Groups.Modern;

/// <summary>What consumers of the classic protocol tell each other.</summary>
internal static class ConsumerWords
{
    /// <summary>A consumer's metadata in version 3.</summary>
    public static byte[] Subscription(string[] topics, IReadOnlyList<(string Topic, int[] Partitions)> owned, int generation)
    {
        var output = new ArrayBufferWriter<byte>();
        var writer = new KafkaWriter(output);
        writer.WriteInt16(3);
        writer.WriteCount("topics", topics.Length, compact: false);
        foreach (string topic in topics)
        {
            writer.WriteString("topic", topic, compact: false);
        }
        writer.WriteBytes("user data", null, compact: false, nullable: true);
        writer.WriteCount("owned", owned.Count, compact: false);
        foreach ((string topic, int[] partitions) in owned)
        {
            writer.WriteString("topic", topic, compact: false);
            writer.WriteCount("partitions", partitions.Length, compact: false);
            foreach (int partition in partitions)
            {
                writer.WriteInt32(partition);
            }
        }
        writer.WriteInt32(generation);
        writer.WriteString("rack", null, compact: false, nullable: true);
        return output.WrittenSpan.ToArray();
    }

    /// <summary>Deals partitions out as a leader does; what another member still has is left out until it has given it up.</summary>
    public static SyncGroupRequest.SyncGroupRequestAssignment[] Lead(JoinGroupResponse joined, IReadOnlyDictionary<string, TopicInfo> topics)
    {
        (string Id, ConsumerSubscription Says)[] members =
            [.. joined.Members.Select(member => (member.MemberId, ConsumerSubscription.Parse(member.Metadata)!)).OrderBy(member => member.MemberId)];
        var owners = new Dictionary<GroupPartition, string>();
        foreach ((string id, ConsumerSubscription says) in members)
        {
            foreach (GroupPartition partition in says.Owned)
            {
                owners.TryAdd(partition, id);
            }
        }
        var given = members.ToDictionary(member => member.Id, _ => new List<GroupPartition>());
        int next = 0;
        foreach (TopicInfo topic in topics.Values.OrderBy(topic => topic.Name))
        {
            string[] readers = [.. members.Where(member => member.Says.Topics.Contains(topic.Name)).Select(member => member.Id)];
            for (int i = 0; i < topic.Partitions.Length && readers.Length > 0; i++)
            {
                var partition = new GroupPartition(topic.Name, i);
                string reader = readers[next++ % readers.Length];
                if (!owners.TryGetValue(partition, out string? owner) || owner == reader)
                {
                    given[reader].Add(partition);
                }
            }
        }
        return
        [
            .. given.Select(one => new SyncGroupRequest.SyncGroupRequestAssignment
            {
                MemberId = one.Key,
                Assignment = ConsumerAssignment.Write(
                    [.. one.Value.GroupBy(partition => partition.Topic).Select(topic => (topic.Key, topic.Select(each => each.Partition).ToArray()))]),
            }),
        ];
    }
}
