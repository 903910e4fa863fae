using System.Buffers;
using Tributary.Contracts.Kafka;

namespace Tributary.Broker.Groups;

/// <summary>
/// What a consumer of the classic protocol is told to read (Kafka's ConsumerProtocolAssignment), the same in every version: int16 version,
/// an array of topics with arrays of partition numbers, and bytes of the assignor's.
/// </summary>
internal static class ConsumerAssignment
{
    private const int MinTopicSize = sizeof(short) + sizeof(int);

    /// <summary>The partitions; null if the bytes are something else. No bytes are no partitions.</summary>
    public static List<GroupPartition>? Parse(byte[] assignment)
    {
        if (assignment.Length == 0)
        {
            return [];
        }
        try
        {
            var reader = new KafkaReader(assignment);
            return reader.ReadInt16("version") < 0 ? null : ReadPartitions(ref reader);
        }
        catch (KafkaProtocolException)
        {
            return null;
        }
    }

    /// <summary>Writes partitions by their topics.</summary>
    public static byte[] Write(IReadOnlyList<(string Topic, int[] Partitions)> topics)
    {
        var output = new ArrayBufferWriter<byte>();
        var writer = new KafkaWriter(output);
        writer.WriteInt16(0);
        writer.WriteCount("topics", topics.Count, compact: false);
        foreach ((string topic, int[] partitions) in topics)
        {
            writer.WriteString("topic", topic, compact: false);
            writer.WriteCount("partitions", partitions.Length, compact: false);
            foreach (int partition in partitions)
            {
                writer.WriteInt32(partition);
            }
        }
        writer.WriteBytes("user data", null, compact: false, nullable: true);
        return output.WrittenSpan.ToArray();
    }

    /// <summary>Reads an array of topics with their partitions.</summary>
    /// <exception cref="KafkaProtocolException">It is something else.</exception>
    internal static List<GroupPartition> ReadPartitions(ref KafkaReader reader)
    {
        var read = new List<GroupPartition>();
        int topics = reader.ReadCount("topics", compact: false, nullable: false, MinTopicSize);
        for (int i = 0; i < topics; i++)
        {
            string topic = reader.ReadString("topic", compact: false);
            int partitions = reader.ReadCount("partitions", compact: false, nullable: false, sizeof(int));
            for (int j = 0; j < partitions; j++)
            {
                read.Add(new GroupPartition(topic, reader.ReadInt32("partition")));
            }
        }
        return read;
    }
}
