using Confluent.Kafka;
using Tributary.Conformance.Harness;

namespace Tributary.Conformance.Clients;

/// <summary>Reads the values of a topic with Confluent.Kafka, from the beginning to the end that the isolation level lets it see.</summary>
internal static class TransactionReader
{
    /// <summary>Values by partition and offset.</summary>
    public static Task<List<string>> ReadAsync(string kafka, string topic, IsolationLevel isolation) => Task.Run(() => Read(kafka, topic, isolation));

    /// <summary>Reads again and again until something holds of what there is.</summary>
    public static Task<List<string>> ReadUntilAsync(
        string kafka, string topic, IsolationLevel isolation, Func<List<string>, bool> holds, Func<string>? story = null) =>
        Until.AnswerAsync(async () => await ReadAsync(kafka, topic, isolation) is { } values && holds(values) ? values : null, story);

    private static List<string> Read(string kafka, string topic, IsolationLevel isolation)
    {
        var config = new ConsumerConfig
        {
            BootstrapServers = kafka,
            GroupId = "transaction-reader",
            EnableAutoCommit = false,
            EnablePartitionEof = true,
            IsolationLevel = isolation,
            AutoOffsetReset = AutoOffsetReset.Error,
            CheckCrcs = true,
            FetchWaitMaxMs = 50,
        };
        using IAdminClient admin = new AdminClientBuilder(new AdminClientConfig { BootstrapServers = kafka }).SetLogHandler((_, _) => { }).Build();
        int[] partitions = [.. admin.GetMetadata(topic, TimeSpan.FromSeconds(10)).Topics.Single().Partitions.Select(one => one.PartitionId)];
        using IConsumer<string?, string> consumer = new ConsumerBuilder<string?, string>(config).SetLogHandler((_, _) => { }).Build();
        consumer.Assign(partitions.Select(partition => new TopicPartitionOffset(topic, partition, Offset.Beginning)));
        var values = new List<(int Partition, long Offset, string Value)>();
        var left = new HashSet<int>(partitions);
        DateTime deadline = DateTime.UtcNow + Until.Deadline;
        while (left.Count > 0)
        {
            if (DateTime.UtcNow > deadline)
            {
                throw new TimeoutException($"partitions {string.Join(", ", left)} of {topic} do not come to their ends");
            }
            if (consumer.Consume(TimeSpan.FromSeconds(1)) is not { } result)
            {
                continue;
            }
            if (result.IsPartitionEOF)
            {
                left.Remove(result.Partition.Value);
            }
            else
            {
                values.Add((result.Partition.Value, result.Offset.Value, result.Message.Value));
            }
        }
        consumer.Close();
        return [.. values.OrderBy(value => value.Partition).ThenBy(value => value.Offset).Select(value => value.Value)];
    }
}
