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
    private const int BatchBytes = 1_000_000;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    /// <summary>Makes a topic.</summary>
    public static async Task CreateTopicAsync(string servers, string topic, int partitions)
    {
        using IAdminClient admin = new AdminClientBuilder(new AdminClientConfig { BootstrapServers = servers }).Build();
        await admin.CreateTopicsAsync([new TopicSpecification { Name = topic, NumPartitions = partitions, ReplicationFactor = 1 }]);
    }

    /// <summary>Produces for so long, idempotent, with acks=all, and waits for all reports.</summary>
    /// <param name="servers">Bootstrap servers; null: librdkafka's mock broker in this process.</param>
    /// <param name="topic">Topic.</param>
    /// <param name="load">What to produce.</param>
    /// <param name="time">How long; the reports come in addition.</param>
    public static KafkaResult Produce(string? servers, string topic, RecordLoad load, TimeSpan time)
    {
        using IProducer<Null, byte[]> producer = Producer(servers, load);
        long start = Stopwatch.GetTimestamp();
        long count = Produce(producer, new TopicPartition(topic, Partition.Any), load, _ => Stopwatch.GetElapsedTime(start) < time);
        return new KafkaResult(count, count * load.ValueBytes, Stopwatch.GetElapsedTime(start), new Histogram());
    }

    /// <summary>Puts so many records into each partition.</summary>
    public static void Fill(string servers, string topic, int partitions, int count, RecordLoad load)
    {
        using IProducer<Null, byte[]> producer = Producer(servers, load);
        for (int partition = 0; partition < partitions; partition++)
        {
            Produce(producer, new TopicPartition(topic, partition), load, done => done < count);
        }
    }

    /// <summary>Produces as <see cref="Produce(string?, string, RecordLoad, TimeSpan)"/> does while a consumer reads it all.</summary>
    /// <returns>Measured to the last record that was consumed.</returns>
    public static async Task<KafkaResult> ProduceAndConsumeAsync(string servers, string topic, int partitions, RecordLoad load, TimeSpan time)
    {
        using IProducer<Null, byte[]> producer = Producer(servers, load);
        using IConsumer<Ignore, byte[]> consumer = Consumer(servers);
        Dictionary<int, Offset> ends = Enumerable.Range(0, partitions).ToDictionary(
            partition => partition, partition => consumer.QueryWatermarkOffsets(new TopicPartition(topic, partition), Patience).High);
        consumer.Assign(ends.Select(end => new TopicPartitionOffset(topic, end.Key, end.Value)));
        long start = Stopwatch.GetTimestamp();
        Task<long> producing = Task.Run(
            () => Produce(producer, new TopicPartition(topic, Partition.Any), load, _ => Stopwatch.GetElapsedTime(start) < time));
        long bytes = 0;
        long records = 0;
        while (!producing.IsCompletedSuccessfully || records < producing.Result)
        {
            if (producing.IsFaulted)
            {
                await producing;
            }
            if (consumer.Consume(TimeSpan.FromMilliseconds(100)) is { IsPartitionEOF: false } result)
            {
                records++;
                bytes += result.Message.Value.Length;
            }
        }
        return new KafkaResult(records, bytes, Stopwatch.GetElapsedTime(start), new Histogram());
    }

    /// <summary>Consumes all partitions from their beginnings to their ends, again and again, for at least so long.</summary>
    /// <returns>Measured from each assignment to the last record.</returns>
    public static KafkaResult Consume(string servers, string topic, int partitions, TimeSpan time)
    {
        using IConsumer<Ignore, byte[]> consumer = Consumer(servers);
        var elapsed = TimeSpan.Zero;
        long records = 0;
        long bytes = 0;
        while (elapsed < time)
        {
            long start = Stopwatch.GetTimestamp();
            long last = start;
            consumer.Assign(Enumerable.Range(0, partitions).Select(partition => new TopicPartitionOffset(topic, partition, Offset.Beginning)));
            for (int ended = 0; ended < partitions;)
            {
                ConsumeResult<Ignore, byte[]> result = consumer.Consume(Patience) ?? throw new TimeoutException("nothing came");
                if (result.IsPartitionEOF)
                {
                    ended++;
                    continue;
                }
                records++;
                bytes += result.Message.Value.Length;
                last = Stopwatch.GetTimestamp();
            }
            elapsed += Stopwatch.GetElapsedTime(start, last);
        }
        return new KafkaResult(records, bytes, elapsed, new Histogram());
    }

    /// <summary>A producer, idempotent, with acks=all.</summary>
    public static IProducer<Null, byte[]> Producer(string? servers, RecordLoad load, double lingerMs = 5)
    {
        var config = new ProducerConfig
        {
            BootstrapServers = servers ?? "mock:1",
            EnableIdempotence = true,
            CompressionType = load.Codec,
            LingerMs = lingerMs,
            BatchSize = BatchBytes,
            QueueBufferingMaxMessages = 1_000_000,
            DeliveryReportFields = "status",
        };
        if (servers is null)
        {
            config.Set("test.mock.num.brokers", "1");
        }
        return new ProducerBuilder<Null, byte[]>(config).SetLogHandler(static (_, _) => { }).Build();
    }

    /// <summary>A consumer that is told where partitions end.</summary>
    public static IConsumer<Ignore, byte[]> Consumer(string servers) => new ConsumerBuilder<Ignore, byte[]>(new ConsumerConfig
    {
        BootstrapServers = servers,
        GroupId = "benchmark",
        EnableAutoCommit = false,
        EnablePartitionEof = true,
        FetchWaitMaxMs = 20, // an assignment waits for the Fetch of the one before
        AutoOffsetReset = AutoOffsetReset.Error, // nothing may be missing
    }).SetLogHandler(static (_, _) => { }).Build();

    /// <summary>Produces while <paramref name="more"/> of what is done already says so; returns how many.</summary>
    private static long Produce(IProducer<Null, byte[]> producer, TopicPartition target, RecordLoad load, Func<long, bool> more)
    {
        long failed = 0;
        var message = new Message<Null, byte[]> { Value = load.Value() };
        Action<DeliveryReport<Null, byte[]>> onReport = report => failed += report.Error.IsError ? 1 : 0;
        long count = 0;
        for (; more(count); count++)
        {
            while (!TryProduce(producer, target, message, onReport))
            {
                producer.Poll(TimeSpan.FromMilliseconds(10));
            }
        }
        int left = producer.Flush(Patience);
        return failed + left == 0 ? count : throw new InvalidOperationException($"{failed + left} of {count} records could not be produced");
    }

    private static bool TryProduce(
        IProducer<Null, byte[]> producer, TopicPartition target, Message<Null, byte[]> message, Action<DeliveryReport<Null, byte[]>> onReport)
    {
        try
        {
            producer.Produce(target, message, onReport);
            return true;
        }
        catch (ProduceException<Null, byte[]> e) when (e.Error.Code == Confluent.Kafka.ErrorCode.Local_QueueFull)
        {
            return false;
        }
    }
}

/// <summary>Records of a size, and how they are compressed.</summary>
/// <param name="ValueBytes">Bytes of a value.</param>
/// <param name="Codec">Compression.</param>
internal sealed record RecordLoad(int ValueBytes, CompressionType Codec)
{
    /// <summary>A value, half of which is noise.</summary>
    public byte[] Value()
    {
        byte[] value = new byte[ValueBytes];
        Random.Shared.NextBytes(value.AsSpan(0, ValueBytes / 2));
        return value;
    }
}
