using System.Globalization;
using Confluent.Kafka;
using Tributary.Conformance.Harness;
using Xunit;

namespace Tributary.Conformance;

/// <summary>Consumers that go where they want in a topic: they seek, pause, look for times, come to ends and lose their place.</summary>
public sealed class ConsumerPositionTests(CloudFixture fixture) : IClassFixture<CloudFixture>
{
    private const int Records = 50;
    private static readonly DateTimeOffset Start = new(2026, 3, 1, 0, 0, 0, TimeSpan.Zero);
    private readonly string _kafka = fixture.System.Kafka;

    [Fact]
    public async Task A_consumer_seeks_back_and_forth()
    {
        TopicPartition[] partitions = await FillAsync("seek", 1);
        using IConsumer<Ignore, string> consumer = Assign(partitions.Select(partition => new TopicPartitionOffset(partition, 0)));
        Assert.Equal(["0", "1", "2"], Read(consumer, 3));
        consumer.Seek(new TopicPartitionOffset(partitions[0], 40));
        Assert.Equal(["40", "41"], Read(consumer, 2));
        consumer.Seek(new TopicPartitionOffset(partitions[0], 7));
        Assert.Equal(["7", "8"], Read(consumer, 2));
        consumer.Seek(new TopicPartitionOffset(partitions[0], Offset.Beginning));
        Assert.Equal(["0"], Read(consumer, 1));
    }

    [Fact]
    public async Task A_paused_partition_stands_still_while_another_goes_on()
    {
        TopicPartition[] partitions = await FillAsync("pause", 2);
        using IConsumer<Ignore, string> consumer = Assign([new TopicPartitionOffset(partitions[0], 0)]);
        Assert.Equal(["0", "1"], Read(consumer, 2));
        consumer.IncrementalAssign([new TopicPartitionOffset(partitions[1], 0)]);
        consumer.Pause([partitions[0]]);
        for (int i = 0; i < Records; i++)
        {
            ConsumeResult<Ignore, string> next = Consume(consumer);
            Assert.Equal((partitions[1], $"{i}"), (next.TopicPartition, next.Message.Value));
        }
        consumer.Resume([partitions[0]]);
        Assert.Equal(Enumerable.Range(2, Records - 2).Select(i => $"{i}"), Read(consumer, Records - 2));
    }

    [Fact]
    public async Task The_end_of_a_partition_is_told_again_each_time_that_it_is_reached()
    {
        TopicPartition partition = (await FillAsync("eof", 1)).Single();
        using IConsumer<Ignore, string> consumer = Assign([new TopicPartitionOffset(partition, Records - 2)], config => config.EnablePartitionEof = true);
        for (int more = 0; more < 2; more++)
        {
            for (int i = 0; i < (more == 0 ? 2 : 1); i++)
            {
                Assert.False(Consume(consumer).IsPartitionEOF);
            }
            ConsumeResult<Ignore, string> end = Consume(consumer);
            Assert.Equal((true, Records + more), (end.IsPartitionEOF, end.Offset.Value));
            await ProduceAsync(partition, 1);
        }
    }

    [Theory]
    [InlineData(CompressionType.None)]
    [InlineData(CompressionType.Gzip)]
    [InlineData(CompressionType.Snappy)]
    [InlineData(CompressionType.Lz4)]
    [InlineData(CompressionType.Zstd)]
    public async Task A_time_is_found_inside_of_a_batch(CompressionType codec)
    {
        TopicPartition partition = (await FillAsync($"times-{codec}".ToLowerInvariant(), 1, codec)).Single();
        using IConsumer<Ignore, string> consumer = Assign([]);
        foreach ((double minute, long expected) in ((double, long)[])[(-5, 0), (0, 0), (17, 17), (17.5, 18), (49, 49), (49.5, -1)])
        {
            TopicPartitionOffset found = consumer.OffsetsForTimes(
                [new TopicPartitionTimestamp(partition, new Timestamp(Start.AddMinutes(minute)))], Until.Deadline).Single();
            Assert.Equal((expected, $"at {minute}"), (found.Offset.Value, $"at {minute}"));
        }
        string at17 = Start.AddMinutes(17).ToUnixTimeMilliseconds().ToString(CultureInfo.InvariantCulture);
        string at20 = Start.AddMinutes(20).ToUnixTimeMilliseconds().ToString(CultureInfo.InvariantCulture);
        Assert.Equal(["17", "18", "19"], await KcatAsync("-C", "-t", partition.Topic, "-p", "0", "-o", "s@" + at17, "-o", "e@" + at20, "-e"));
        Assert.Equal([$"{partition.Topic} [0] offset 17"], await KcatAsync("-Q", "-t", $"{partition.Topic}:0:{at17}"));
    }

    [Theory]
    [InlineData(AutoOffsetReset.Earliest, "0")]
    [InlineData(AutoOffsetReset.Latest, "new")]
    [InlineData(AutoOffsetReset.Error, null)]
    public async Task A_consumer_whose_place_is_gone_does_as_it_was_told(AutoOffsetReset reset, string? first)
    {
        TopicPartition partition = (await FillAsync($"reset-{reset}".ToLowerInvariant(), 1)).Single();
        using IConsumer<Ignore, string> consumer = Assign(
            [new TopicPartitionOffset(partition, Records + 1000)], config => (config.AutoOffsetReset, config.EnablePartitionEof) = (reset, true));
        if (first is null)
        {
            ConsumeException lost = Assert.Throws<ConsumeException>(() => Consume(consumer));
            Assert.Equal(ErrorCode.Local_AutoOffsetReset, lost.Error.Code);
            return;
        }
        ConsumeResult<Ignore, string> next = Consume(consumer);
        if (reset == AutoOffsetReset.Latest)
        {
            Assert.Equal((true, Records), (next.IsPartitionEOF, next.Offset.Value));
            await ProduceAsync(partition, 1, static _ => "new");
            next = Consume(consumer);
        }
        Assert.Equal(first, next.Message.Value);
    }

    [Fact]
    public async Task Kcat_begins_at_an_offset_at_an_end_and_so_many_records_before_it()
    {
        await FillAsync("kcat-positions", 1);
        Assert.Equal(["0", "1"], await KcatAsync("-C", "-t", "kcat-positions", "-p", "0", "-o", "beginning", "-c", "2"));
        Assert.Equal(["30", "31"], await KcatAsync("-C", "-t", "kcat-positions", "-p", "0", "-o", "30", "-c", "2"));
        Assert.Equal(["47", "48", "49"], await KcatAsync("-C", "-t", "kcat-positions", "-p", "0", "-o", "-3", "-e"));
        Assert.Empty(await KcatAsync("-C", "-t", "kcat-positions", "-p", "0", "-o", "end", "-e"));
    }

    /// <returns>The lines that it wrote.</returns>
    private async Task<string[]> KcatAsync(params string[] arguments) =>
        (await Tool.RunAsync("kcat", ["-b", _kafka, "-q", .. arguments])).Split('\n', StringSplitOptions.RemoveEmptyEntries);

    /// <summary>Fills partitions with numbers, one a minute, in one batch each.</summary>
    private async Task<TopicPartition[]> FillAsync(string topic, int partitions, CompressionType codec = CompressionType.None)
    {
        TopicPartition[] filled = [.. Enumerable.Range(0, partitions).Select(index => new TopicPartition(topic, index))];
        foreach (TopicPartition partition in filled)
        {
            await ProduceAsync(partition, Records, codec: codec);
        }
        return filled;
    }

    private async Task ProduceAsync(
        TopicPartition partition, int count, Func<int, string>? value = null, CompressionType codec = CompressionType.None)
    {
        var config = new ProducerConfig { BootstrapServers = _kafka, Acks = Acks.All, LingerMs = 200, CompressionType = codec };
        using IProducer<Null, string> producer = new ProducerBuilder<Null, string>(config).SetLogHandler((_, _) => { }).Build();
        value ??= static i => i.ToString(CultureInfo.InvariantCulture);
        await Task.WhenAll(Enumerable.Range(0, count).Select(i => producer.ProduceAsync(
            partition, new Message<Null, string> { Value = value(i), Timestamp = new Timestamp(Start.AddMinutes(i)) })))
            .WaitAsync(Until.Deadline);
    }

    private IConsumer<Ignore, string> Assign(IEnumerable<TopicPartitionOffset> from, Action<ConsumerConfig>? change = null)
    {
        var config = new ConsumerConfig
        {
            BootstrapServers = _kafka,
            GroupId = "positions", // wanted by the client; no group is joined, since partitions are assigned
            EnableAutoCommit = false,
            AutoOffsetReset = AutoOffsetReset.Error,
            CheckCrcs = true,
        };
        change?.Invoke(config);
        IConsumer<Ignore, string> consumer = new ConsumerBuilder<Ignore, string>(config).SetLogHandler((_, _) => { }).Build();
        consumer.Assign(from);
        return consumer;
    }

    private static List<string> Read(IConsumer<Ignore, string> consumer, int count) =>
        [.. Enumerable.Range(0, count).Select(_ => Consume(consumer).Message.Value)];

    private static ConsumeResult<Ignore, string> Consume(IConsumer<Ignore, string> consumer) =>
        consumer.Consume(Until.Deadline) ?? throw new TimeoutException("no record came");
}
