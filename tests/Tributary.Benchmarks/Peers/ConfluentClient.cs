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
        using IProducer<Null, byte[]> producer = Producer(servers, codec);
        long start = Stopwatch.GetTimestamp();
        Produce(producer, topic, count, valueBytes);
        return new KafkaResult(count, (long)count * valueBytes, Stopwatch.GetElapsedTime(start), new Histogram());
    }

    /// <summary>Produces as <see cref="Produce(string?, string, int, int, CompressionType)"/> does while a consumer reads it all.</summary>
    /// <returns>Measured to the last record that was consumed.</returns>
    public static async Task<KafkaResult> ProduceAndConsumeAsync(
        string servers, string topic, int partitions, int count, int valueBytes, CompressionType codec)
    {
        using IProducer<Null, byte[]> producer = Producer(servers, codec);
        using IConsumer<Ignore, byte[]> consumer = Consumer(servers);
        Dictionary<int, Offset> ends = Enumerable.Range(0, partitions).ToDictionary(
            partition => partition, partition => consumer.QueryWatermarkOffsets(new TopicPartition(topic, partition), TimeSpan.FromSeconds(30)).High);
        consumer.Assign(ends.Select(end => new TopicPartitionOffset(topic, end.Key, end.Value)));
        long start = Stopwatch.GetTimestamp();
        Task producing = Task.Run(() => Produce(producer, topic, count, valueBytes));
        long bytes = 0;
        for (int i = 0; i < count;)
        {
            ConsumeResult<Ignore, byte[]> result = consumer.Consume(TimeSpan.FromSeconds(60)) ?? throw new TimeoutException("nothing came");
            if (!result.IsPartitionEOF)
            {
                i++;
                bytes += result.Message.Value.Length;
            }
        }
        TimeSpan elapsed = Stopwatch.GetElapsedTime(start);
        await producing;
        return new KafkaResult(count, bytes, elapsed, new Histogram());
    }

    private static IProducer<Null, byte[]> Producer(string? servers, CompressionType codec)
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
        return new ProducerBuilder<Null, byte[]>(config).SetLogHandler(static (_, _) => { }).Build();
    }

    private static void Produce(IProducer<Null, byte[]> producer, string topic, int count, int valueBytes)
    {
        long failed = 0;
        byte[] value = new byte[valueBytes];
        Random.Shared.NextBytes(value.AsSpan(0, valueBytes / 2));
        var message = new Message<Null, byte[]> { Value = value };
        Action<DeliveryReport<Null, byte[]>> onReport = report => failed += report.Error.IsError ? 1 : 0;
        for (int i = 0; i < count; i++)
        {
            while (!TryProduce(producer, topic, message, onReport))
            {
                producer.Poll(TimeSpan.FromMilliseconds(10));
            }
        }
        producer.Flush(TimeSpan.FromMinutes(10));
        if (failed > 0)
        {
            throw new InvalidOperationException($"{failed} of {count} records could not be produced");
        }
    }

    /// <summary>Consumes all partitions to their ends.</summary>
    public static KafkaResult Consume(string servers, string topic, int partitions)
    {
        using IConsumer<Ignore, byte[]> consumer = Consumer(servers);
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

    private static IConsumer<Ignore, byte[]> Consumer(string servers) => new ConsumerBuilder<Ignore, byte[]>(new ConsumerConfig
    {
        BootstrapServers = servers,
        GroupId = "benchmark",
        EnableAutoCommit = false,
        EnablePartitionEof = true,
        AutoOffsetReset = AutoOffsetReset.Earliest,
    }).Build();

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
