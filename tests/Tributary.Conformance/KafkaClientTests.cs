using System.Text;
using Confluent.Kafka;
using Confluent.Kafka.Admin;
using Tributary.Conformance.Clients;
using Tributary.Conformance.Harness;
using Xunit;

namespace Tributary.Conformance;

/// <summary>One cloud for all tests of <see cref="KafkaClientTests"/>.</summary>
public sealed class CloudFixture : IAsyncLifetime
{
    internal TestSystem System { get; } = new();

    public async ValueTask InitializeAsync() => await System.StartCloudAsync();

    public ValueTask DisposeAsync() => System.DisposeAsync();
}

/// <summary>Kafka clients that know nothing of Tributary write and read topics of the cloud.</summary>
public sealed class KafkaClientTests(CloudFixture fixture) : IClassFixture<CloudFixture>
{
    private const int Records = 300;
    private readonly string _kafka = fixture.System.Kafka;

    public static TheoryData<CompressionType, Acks, bool> Producers()
    {
        var producers = new TheoryData<CompressionType, Acks, bool>();
        foreach (CompressionType codec in Enum.GetValues<CompressionType>())
        {
            producers.Add(codec, Acks.None, false);
            producers.Add(codec, Acks.Leader, false);
            producers.Add(codec, Acks.All, false);
            producers.Add(codec, Acks.All, true);
        }
        return producers;
    }

    [Theory]
    [MemberData(nameof(Producers))]
    public async Task What_Confluent_Kafka_produces_comes_back_equal(CompressionType codec, Acks acks, bool isIdempotent)
    {
        string topic = $"confluent-{codec}-{acks}-{isIdempotent}".ToLowerInvariant();
        var config = new ProducerConfig
        {
            BootstrapServers = _kafka,
            CompressionType = codec,
            Acks = acks,
            EnableIdempotence = isIdempotent,
            LingerMs = 5,
            Partitioner = Partitioner.Murmur2Random,
        };
        using (IProducer<byte[]?, byte[]> producer = new ProducerBuilder<byte[]?, byte[]>(config).SetLogHandler((_, _) => { }).Build())
        {
            DeliveryReport<byte[]?, byte[]>[] reports = await ProduceAsync(producer, topic);
            Assert.All(reports, report => Assert.False(report.Error.IsError, report.Error.ToString()));
        }
        List<Consumed> records = await KafkaReader.ReadUntilAsync(
            _kafka, topic, records => records.Count >= Records, fixture.System.Cloud.Story);
        Assert.Equal(Records, records.Count);
        foreach (Consumed record in records)
        {
            int i = int.Parse(record.Headers[0].Value);
            Message<byte[]?, byte[]> sent = Message(i);
            Assert.Equal(sent.Key is null ? null : Encoding.UTF8.GetString(sent.Key), record.Key);
            Assert.Equal(sent.Value, record.Value);
            Assert.Equal(sent.Timestamp.UnixTimestampMs, record.Timestamp.ToUnixTimeMilliseconds());
            Assert.Equal(["number", "empty"], record.Headers.Select(header => header.Key));
        }
        Assert.Equal(Records, records.Select(record => record.Headers[0].Value).Distinct().Count());
        Assert.All(records.GroupBy(record => record.Partition), partition =>
        {
            Assert.Equal(Enumerable.Range(0, partition.Count()).Select(i => (long)i), partition.Select(record => record.Offset));
        });
        Assert.All(records.Where(record => record.Key is not null).GroupBy(record => record.Key), key =>
        {
            Assert.Single(key.Select(record => record.Partition).Distinct());
            int[] numbers = [.. key.Select(record => int.Parse(record.Headers[0].Value))];
            Assert.Equal(numbers.Order(), numbers);
        });
    }

    [Theory]
    [InlineData("none")]
    [InlineData("gzip")]
    [InlineData("snappy")]
    [InlineData("lz4")]
    [InlineData("zstd")]
    public async Task What_kcat_produces_comes_back_equal(string codec)
    {
        string topic = "kcat-" + codec;
        string file = fixture.System.At(topic);
        string[] lines = [.. Enumerable.Range(0, 200).Select(i => $"key-{i % 7}:value {i} {new string('x', i)}")];
        await File.WriteAllLinesAsync(file, lines);
        await Tool.RunAsync("kcat", "-b", _kafka, "-P", "-t", topic, "-K", ":", "-z", codec, "-X", "enable.idempotence=true", "-l", file);
        string output = await Tool.RunAsync("kcat", "-b", _kafka, "-C", "-q", "-t", topic, "-o", "beginning", "-e", "-f", "%k:%s\n");
        Assert.Equal(
            lines.Order(StringComparer.Ordinal), output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task A_topic_is_created_with_four_partitions_by_default_and_with_as_many_as_are_asked_for()
    {
        using IAdminClient admin = new AdminClientBuilder(new AdminClientConfig { BootstrapServers = _kafka }).SetLogHandler((_, _) => { }).Build();
        await admin.CreateTopicsAsync([new TopicSpecification { Name = "seven", NumPartitions = 7, ReplicationFactor = 1 }]);
        CreateTopicsException again = await Assert.ThrowsAsync<CreateTopicsException>(
            () => admin.CreateTopicsAsync([new TopicSpecification { Name = "seven", NumPartitions = 7, ReplicationFactor = 1 }]));
        Assert.Equal(ErrorCode.TopicAlreadyExists, again.Results.Single().Error.Code);
        await Tool.RunAsync("bash", "-c", $"echo 1 | kcat -b {_kafka} -P -t auto");
        Metadata metadata = admin.GetMetadata(TimeSpan.FromSeconds(30));
        Assert.Equal(7, metadata.Topics.Single(topic => topic.Topic == "seven").Partitions.Count);
        Assert.Equal(4, metadata.Topics.Single(topic => topic.Topic == "auto").Partitions.Count);
    }

    [Fact]
    public async Task Offsets_are_found_by_time_and_by_end()
    {
        var config = new ProducerConfig { BootstrapServers = _kafka, Acks = Acks.All };
        var start = new DateTimeOffset(2026, 3, 1, 0, 0, 0, TimeSpan.Zero);
        using (IProducer<Null, string> producer = new ProducerBuilder<Null, string>(config).SetLogHandler((_, _) => { }).Build())
        {
            for (int i = 0; i < 10; i++)
            {
                await producer.ProduceAsync(
                    new TopicPartition("times", 2), new Message<Null, string> { Value = $"{i}", Timestamp = new Timestamp(start.AddMinutes(i)) });
            }
        }
        var reading = new ConsumerConfig { BootstrapServers = _kafka, GroupId = "times" };
        using IConsumer<Ignore, string> consumer = new ConsumerBuilder<Ignore, string>(reading).SetLogHandler((_, _) => { }).Build();
        var partition = new TopicPartition("times", 2);
        List<TopicPartitionOffset> found = consumer.OffsetsForTimes(
            [new TopicPartitionTimestamp(partition, new Timestamp(start.AddMinutes(3.5)))], TimeSpan.FromSeconds(30));
        Assert.Equal(4, found.Single().Offset.Value);
        WatermarkOffsets ends = consumer.QueryWatermarkOffsets(partition, TimeSpan.FromSeconds(30));
        Assert.Equal((0L, 10L), (ends.Low.Value, ends.High.Value));
        consumer.Assign(new TopicPartitionOffset(partition, found.Single().Offset));
        Assert.Equal("4", consumer.Consume(Until.Deadline).Message.Value);
    }

    private static Message<byte[]?, byte[]> Message(int i) => new()
    {
        Key = i % 10 == 0 ? null : Encoding.UTF8.GetBytes($"key-{i % 13}"),
        Value = [.. Encoding.UTF8.GetBytes($"value {i} "), .. Enumerable.Range(0, i * 5).Select(j => (byte)(j % 7))],
        Timestamp = new Timestamp(DateTimeOffset.FromUnixTimeMilliseconds(1_770_000_000_000 + i)),
        Headers = [new Header("number", Encoding.UTF8.GetBytes($"{i}")), new Header("empty", [])],
    };

    private static async Task<DeliveryReport<byte[]?, byte[]>[]> ProduceAsync(IProducer<byte[]?, byte[]> producer, string topic)
    {
        var reports = new TaskCompletionSource<DeliveryReport<byte[]?, byte[]>>[Records];
        for (int i = 0; i < Records; i++)
        {
            TaskCompletionSource<DeliveryReport<byte[]?, byte[]>> report = reports[i] = new(
                TaskCreationOptions.RunContinuationsAsynchronously);
            producer.Produce(topic, Message(i), report.SetResult);
        }
        return await Task.WhenAll(reports.Select(report => report.Task)).WaitAsync(Until.Deadline);
    }
}
