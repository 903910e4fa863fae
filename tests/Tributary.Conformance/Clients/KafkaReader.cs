using System.Text;
using Confluent.Kafka;
using Tributary.Conformance.Harness;

namespace Tributary.Conformance.Clients;

/// <summary>A record as a consumer got it.</summary>
/// <param name="Partition">Partition.</param>
/// <param name="Offset">Offset.</param>
/// <param name="Key">Key as text, null if there is none.</param>
/// <param name="Value">Value.</param>
/// <param name="Headers">Headers as text, in order.</param>
/// <param name="Timestamp">Timestamp.</param>
internal sealed record Consumed(
    int Partition, long Offset, string? Key, byte[] Value, IReadOnlyList<KeyValuePair<string, string>> Headers, DateTimeOffset Timestamp)
{
    /// <summary>The value as text.</summary>
    public string Text => Encoding.UTF8.GetString(Value);
}

/// <summary>Reads topics with Confluent.Kafka and assigned partitions, as a user without a consumer group does.</summary>
internal static class KafkaReader
{
    private static readonly TimeSpan RequestTimeout = TimeSpan.FromSeconds(10);

    /// <summary>Reads a topic from its beginning to the end that it has now.</summary>
    public static Task<List<Consumed>> ReadAllAsync(string bootstrap, string topic) => Task.Run(() => ReadAll(bootstrap, topic));

    /// <summary>Reads a topic again and again until something holds of what is in it.</summary>
    public static Task<List<Consumed>> ReadUntilAsync(string bootstrap, string topic, Func<List<Consumed>, bool> holds, Func<string>? story = null) =>
        Until.AnswerAsync(async () => await ReadAllAsync(bootstrap, topic) is { } records && holds(records) ? records : null, story);

    private static List<Consumed> ReadAll(string bootstrap, string topic)
    {
        var config = new ConsumerConfig
        {
            BootstrapServers = bootstrap,
            GroupId = "reader", // wanted by the client; no group is joined, since partitions are assigned
            EnableAutoCommit = false,
            AutoOffsetReset = AutoOffsetReset.Error,
            CheckCrcs = true,
            LogQueue = false,
        };
        using IConsumer<byte[]?, byte[]> consumer = new ConsumerBuilder<byte[]?, byte[]>(config).SetLogHandler((_, _) => { }).Build();
        // The ends are asked for first: of a topic that grows all the time a consumer may never see the end.
        var open = new Dictionary<int, long>();
        foreach (int partition in Partitions(config, topic))
        {
            WatermarkOffsets ends = consumer.QueryWatermarkOffsets(new TopicPartition(topic, partition), RequestTimeout);
            if (ends.High > ends.Low)
            {
                open.Add(partition, ends.High);
            }
        }
        consumer.Assign(open.Keys.Select(partition => new TopicPartitionOffset(topic, partition, Offset.Beginning)));
        var records = new List<Consumed>();
        long deadline = Environment.TickCount64 + (long)Until.Deadline.TotalMilliseconds;
        while (open.Count > 0)
        {
            ConsumeResult<byte[]?, byte[]>? result = consumer.Consume(TimeSpan.FromSeconds(1));
            if (result is null)
            {
                Check(Environment.TickCount64 < deadline, $"partitions {string.Join(", ", open.Keys)} of {topic} do not come to their ends");
            }
            else if (open.TryGetValue(result.Partition.Value, out long end))
            {
                Add(records, open, result, end);
            }
        }
        consumer.Close();
        return records;
    }

    private static void Add(List<Consumed> records, Dictionary<int, long> open, ConsumeResult<byte[]?, byte[]> result, long end)
    {
        if (result.Offset.Value < end)
        {
            records.Add(Convert(result));
        }
        if (result.Offset.Value >= end - 1)
        {
            open.Remove(result.Partition.Value);
        }
    }

    private static void Check(bool holds, string otherwise)
    {
        if (!holds)
        {
            throw new TimeoutException(otherwise);
        }
    }

    private static IEnumerable<int> Partitions(ClientConfig config, string topic)
    {
        using IAdminClient admin = new AdminClientBuilder(new AdminClientConfig { BootstrapServers = config.BootstrapServers })
            .SetLogHandler((_, _) => { }).Build();
        TopicMetadata metadata = admin.GetMetadata(topic, RequestTimeout).Topics.Single();
        return metadata.Error.IsError
            ? throw new KafkaException(metadata.Error)
            : metadata.Partitions.Select(partition => partition.PartitionId);
    }

    private static Consumed Convert(ConsumeResult<byte[]?, byte[]> result) => new(
        result.Partition.Value,
        result.Offset.Value,
        result.Message.Key is { } key ? Encoding.UTF8.GetString(key) : null,
        result.Message.Value,
        [.. result.Message.Headers.Select(header => KeyValuePair.Create(header.Key, Encoding.UTF8.GetString(header.GetValueBytes() ?? [])))],
        result.Message.Timestamp.UtcDateTime);
}
