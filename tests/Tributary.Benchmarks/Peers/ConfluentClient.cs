using System.Diagnostics;
using Confluent.Kafka;
using Confluent.Kafka.Admin;
using Tributary.Benchmarks.Harness;
using Tributary.Benchmarks.Load;

namespace Tributary.Benchmarks.Peers;

/// <summary>
/// Confluent.Kafka as applications use it. Against librdkafka's own mock broker, which keeps what it gets in memory and flushes nothing,
/// it shows what the client itself can do.
/// </summary>
internal static class ConfluentClient
{
    /// <summary>Makes a topic.</summary>
    public static async Task CreateTopicAsync(string servers, string topic, int partitions)
    {
        using IAdminClient admin = new AdminClientBuilder(new AdminClientConfig { BootstrapServers = servers }).Build();
        await admin.CreateTopicsAsync([new TopicSpecification { Name = topic, NumPartitions = partitions, ReplicationFactor = 1 }]);
    }

    /// <summary>Produces so many records, idempotent, with acks=all, and waits for all reports.</summary>
    /// <param name="servers">Bootstrap servers; null: librdkafka's mock broker.</param>
    /// <param name="topic">Topic.</param>
    /// <param name="count">Records.</param>
    /// <param name="valueBytes">Bytes of a value.</param>
    /// <param name="codec">Compression.</param>
    public static KafkaResult Produce(string? servers, string topic, int count, int valueBytes, CompressionType codec)
    {
        var config = new ProducerConfig
        {
            BootstrapServers = servers ?? "mock:1",
            EnableIdempotence = true,
            CompressionType = codec,
            LingerMs = 5,
            BatchSize = 1_000_000,
            QueueBufferingMaxMessages = 1_000_000,
            DeliveryReportFields = "status",
        };
        if (servers is null)
        {
            config.Set("test.mock.num.brokers", "1");
        }
        long failed = 0;
        using IProducer<Null, byte[]> producer = new ProducerBuilder<Null, byte[]>(config).Build();
        byte[] value = new byte[valueBytes];
        Random.Shared.NextBytes(value.AsSpan(0, valueBytes / 2));
        var message = new Message<Null, byte[]> { Value = value };
        Action<DeliveryReport<Null, byte[]>> onReport = report => failed += report.Error.IsError ? 1 : 0;
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < count; i++)
        {
            while (!TryProduce(producer, topic, message, onReport))
            {
                producer.Poll(TimeSpan.FromMilliseconds(10));
            }
        }
        producer.Flush(TimeSpan.FromMinutes(10));
        TimeSpan elapsed = Stopwatch.GetElapsedTime(start);
        return failed == 0
            ? new KafkaResult(count, (long)count * valueBytes, elapsed, new Histogram())
            : throw new InvalidOperationException($"{failed} of {count} records could not be produced");
    }

    /// <summary>Consumes all partitions to their ends.</summary>
    public static KafkaResult Consume(string servers, string topic, int partitions)
    {
        using IConsumer<Ignore, byte[]> consumer = new ConsumerBuilder<Ignore, byte[]>(new ConsumerConfig
        {
            BootstrapServers = servers,
            GroupId = "benchmark",
            EnableAutoCommit = false,
            EnablePartitionEof = true,
            AutoOffsetReset = AutoOffsetReset.Earliest,
        }).Build();
        long start = Stopwatch.GetTimestamp();
        consumer.Assign(Enumerable.Range(0, partitions).Select(partition => new TopicPartitionOffset(topic, partition, Offset.Beginning)));
        long records = 0;
        long bytes = 0;
        for (int ended = 0; ended < partitions;)
        {
            ConsumeResult<Ignore, byte[]> result = consumer.Consume(TimeSpan.FromSeconds(60)) ?? throw new TimeoutException("nothing came");
            if (result.IsPartitionEOF)
            {
                ended++;
                continue;
            }
            records++;
            bytes += result.Message.Value.Length;
        }
        return new KafkaResult(records, bytes, Stopwatch.GetElapsedTime(start), new Histogram());
    }

    private static bool TryProduce(
        IProducer<Null, byte[]> producer, string topic, Message<Null, byte[]> message, Action<DeliveryReport<Null, byte[]>> onReport)
    {
        try
        {
            producer.Produce(topic, message, onReport);
            return true;
        }
        catch (ProduceException<Null, byte[]> e) when (e.Error.Code == Confluent.Kafka.ErrorCode.Local_QueueFull)
        {
            return false;
        }
    }
}
