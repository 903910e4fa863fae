using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Confluent.Kafka;
using Tributary.Conformance.Clients;
using Tributary.Conformance.Harness;
using Xunit;

namespace Tributary.Conformance;

/// <summary>The two Kafka clients that are written in JavaScript write, read and administer topics of the cloud.</summary>
public sealed class NodeClientTests(SharedCloud cloud) : IClassFixture<SharedCloud>
{
    private const int Records = 300;
    private const long FirstTimestamp = 1_770_000_000_000;

    public static TheoryData<NodeClientKind, string, int> Producers()
    {
        var producers = new TheoryData<NodeClientKind, string, int>();
        foreach (NodeClientKind client in Enum.GetValues<NodeClientKind>())
        {
            foreach (string codec in (string[])["none", "gzip", "snappy", "lz4", "zstd"])
            {
                producers.Add(client, codec, -1);
            }
            producers.Add(client, "none", 1);
            producers.Add(client, "none", 0);
        }
        return producers;
    }

    public static TheoryData<NodeClientKind> Clients() => [.. Enum.GetValues<NodeClientKind>()];

    [Theory]
    [MemberData(nameof(Producers))]
    public async Task What_it_produces_comes_back_equal(NodeClientKind client, string codec, int acks)
    {
        string topic = $"{client}-{codec}-{acks}";
        await NodeClient.RunAsync(client, "produce", cloud.Kafka, new JsonObject { ["topic"] = topic, ["codec"] = codec, ["acks"] = acks });
        List<Consumed> records = await KafkaReader.ReadUntilAsync(cloud.Kafka, topic, records => records.Count >= Records, cloud.Process.Story);
        Assert.Equal(Records, records.Count);
        Assert.Equal(Enumerable.Range(0, Records), records.Select(Number).Order());
        foreach (Consumed record in records)
        {
            int i = Number(record);
            Assert.Equal(KeyOf(i), record.Key);
            Assert.Equal(Bytes(ValueOf(i)), record.Value);
            Assert.Equal(FirstTimestamp + i, record.Timestamp.ToUnixTimeMilliseconds());
            Assert.Equal(["number", "empty"], record.Headers.Select(header => header.Key));
        }
        Assert.All(records.Where(record => record.Key is not null).GroupBy(record => record.Key), key =>
        {
            Assert.Single(key.Select(record => record.Partition).Distinct());
            Assert.Equal(key.Select(Number).Order(), key.Select(Number));
        });
    }

    [Theory]
    [MemberData(nameof(Clients))]
    public async Task It_consumes_in_a_group_what_librdkafka_produced_and_the_next_member_goes_on_where_it_left(NodeClientKind client)
    {
        string topic = $"{client}-consumes".ToLowerInvariant();
        foreach (CompressionType codec in Enum.GetValues<CompressionType>())
        {
            await ProduceAsync(topic, codec, (int)codec * Records / 5, Records / 5);
        }
        var arguments = new JsonObject { ["topic"] = topic, ["group"] = topic, ["count"] = 100 };
        List<JsonElement> first = await NodeClient.RunAsync(client, "consume", cloud.Kafka, arguments);
        arguments = new JsonObject { ["topic"] = topic, ["group"] = topic, ["count"] = Records - 100 };
        List<JsonElement> second = await NodeClient.RunAsync(client, "consume", cloud.Kafka, arguments);
        JsonElement[] records = [.. first.Concat(second).Where(line => Event(line) == "record")];
        Assert.Equal(
            Enumerable.Range(0, Records), records.Select(record => int.Parse(record.GetProperty("headers")[0][1].GetString()!)).Distinct().Order());
        foreach (JsonElement record in records)
        {
            int i = int.Parse(record.GetProperty("headers")[0][1].GetString()!);
            Assert.Equal((KeyOf(i), ValueOf(i)), (record.GetProperty("key").GetString(), record.GetProperty("value").GetString()));
            Assert.Equal(FirstTimestamp + i, record.GetProperty("timestamp").GetInt64());
        }
        Assert.InRange(records.Length, Records, Records + 100); // at least once: what was not committed may come again
    }

    [Theory]
    [MemberData(nameof(Clients))]
    public async Task It_seeks_and_pauses(NodeClientKind client)
    {
        string topic = $"{client}-seeks".ToLowerInvariant();
        for (int partition = 0; partition < 2; partition++)
        {
            await ProduceToAsync(topic, partition, 10);
        }
        List<JsonElement> lines = await NodeClient.RunAsync(
            client, "seek", cloud.Kafka, new JsonObject { ["topic"] = topic, ["group"] = topic, ["offset"] = 4, ["last"] = 9 });
        (int Partition, long Offset)[] seen =
            [.. lines.Single(line => Event(line) == "seen").GetProperty("seen").EnumerateArray().Select(at => (at[0].GetInt32(), at[1].GetInt64()))];
        long[] sought = [.. seen.Where(at => at.Partition == 0).Select(at => at.Offset)];
        Assert.Equal([4, 5, 6, 7, 8, 9], sought[^6..]);
        Assert.Equal(Enumerable.Range(0, 10).Select(i => (long)i), seen.Where(at => at.Partition == 1).Select(at => at.Offset));
    }

    [Theory]
    [MemberData(nameof(Clients))]
    public async Task It_finds_offsets_by_time_also_within_compressed_batches(NodeClientKind client)
    {
        string topic = $"{client}-times".ToLowerInvariant();
        await ProduceAsync(topic, CompressionType.Lz4, 0, Records);
        List<Consumed> records = await KafkaReader.ReadUntilAsync(cloud.Kafka, topic, records => records.Count == Records);
        List<JsonElement> lines = await NodeClient.RunAsync(
            client, "times", cloud.Kafka, new JsonObject { ["topic"] = topic, ["timestamp"] = FirstTimestamp + 100 });
        JsonElement times = lines.Single(line => Event(line) == "times");
        foreach (IGrouping<int, Consumed> partition in records.GroupBy(record => record.Partition))
        {
            long found = times.GetProperty("found").EnumerateArray().Single(at => at[0].GetInt32() == partition.Key)[1].GetInt64();
            Assert.Equal(partition.First(record => record.Timestamp.ToUnixTimeMilliseconds() >= FirstTimestamp + 100).Offset, found);
            JsonElement ends = times.GetProperty("ends").EnumerateArray().Single(at => at[0].GetInt32() == partition.Key);
            Assert.Equal((0, partition.Count()), (ends[1].GetInt32(), ends[2].GetInt32()));
        }
    }

    [Theory]
    [MemberData(nameof(Clients))]
    public async Task Two_members_share_the_partitions_and_the_one_that_stays_takes_over_from_one_that_leaves_or_is_killed(NodeClientKind client)
    {
        string topic = $"{client}-members".ToLowerInvariant();
        await ProduceAsync(topic, CompressionType.None, 0, Records);
        JsonObject arguments() => new() { ["topic"] = topic, ["group"] = topic, ["sessionTimeout"] = 6000 };
        await using RunningProcess stays = NodeClient.Start(client, "member", cloud.Kafka, arguments());
        await Until.TrueAsync(() => Task.FromResult(Partitions(stays).Length == 4), stays.Story);
        foreach (bool isKilled in (bool[])[false, true])
        {
            await using RunningProcess other = NodeClient.Start(client, "member", cloud.Kafka, arguments());
            await Until.TrueAsync(
                () => Task.FromResult(
                    Partitions(other).Length == 2 && Partitions(stays).Length == 2
                    && Partitions(other).Concat(Partitions(stays)).Distinct().Count() == 4),
                () => stays.Story() + other.Story());
            if (isKilled)
            {
                await other.KillAsync();
            }
            else
            {
                other.Stop();
                Assert.Equal(0, await other.ExitAsync());
            }
            await Until.TrueAsync(() => Task.FromResult(Partitions(stays).Length == 4), stays.Story);
        }
        stays.Stop();
        Assert.Equal(0, await stays.ExitAsync());
    }

    [Theory]
    [MemberData(nameof(Clients))]
    public async Task It_administers_topics_configs_and_groups(NodeClientKind client)
    {
        string topic = $"{client}-admin".ToLowerInvariant();
        List<JsonElement> lines = await NodeClient.RunAsync(client, "admin", cloud.Kafka, new JsonObject { ["topic"] = topic, ["group"] = $"{topic}-group" });
        JsonElement told = lines.Single(line => Event(line) == "admin");
        Assert.True(told.GetProperty("created").GetBoolean());
        Assert.False(told.GetProperty("again").GetBoolean());
        Assert.Equal(5, told.GetProperty("partitions").GetInt32());
        Assert.Equal("123456", told.GetProperty("configs").GetProperty("max.message.bytes").GetString());
        Assert.Equal("""[["log.cleaner.threads","2",2,false]]""", told.GetProperty("ofBroker").GetRawText());
        Assert.Equal(7, told.GetProperty("committed").GetProperty("0").GetInt64());
        Assert.Equal(9, told.GetProperty("committed").GetProperty("4").GetInt64());
        Assert.True(told.GetProperty("group").GetBoolean());
        Assert.Equal("EMPTY", told.GetProperty("state").GetString(), ignoreCase: true);
        Assert.Equal(1, told.GetProperty("brokers").GetInt32());
        Assert.Equal(4, told.GetProperty("low").GetInt64());
        Assert.True(told.GetProperty("gone").GetBoolean());
    }

    private static int[] Partitions(RunningProcess member) =>
        NodeClient.Lines(member).LastOrDefault(line => Event(line) == "joined") is { ValueKind: JsonValueKind.Object } joined
            ? [.. joined.GetProperty("partitions").EnumerateArray().Select(partition => partition.GetInt32())]
            : [];

    private static string? Event(JsonElement line) => line.GetProperty("event").GetString();

    private static int Number(Consumed record) => int.Parse(record.Headers[0].Value);

    private static string? KeyOf(int i) => i % 10 == 0 ? null : $"key-{i % 13}";

    private static string? ValueOf(int i) => i % 17 == 3 ? null : i % 19 == 5 ? "" : $"value {i} {new string('x', i)}";

    /// <summary>Messages with the numbers from <paramref name="first"/> on.</summary>
    private async Task ProduceAsync(string topic, CompressionType codec, int first, int count)
    {
        var config = new ProducerConfig { BootstrapServers = cloud.Kafka, CompressionType = codec, Acks = Acks.All, LingerMs = 20, Partitioner = Partitioner.Murmur2Random };
        using IProducer<byte[]?, byte[]?> producer = new ProducerBuilder<byte[]?, byte[]?>(config).SetLogHandler((_, _) => { }).Build();
        await Task.WhenAll(Enumerable.Range(first, count).Select(i => producer.ProduceAsync(topic, new Message<byte[]?, byte[]?>
        {
            Key = Bytes(KeyOf(i)),
            Value = Bytes(ValueOf(i)),
            Headers = [new Header("number", Encoding.UTF8.GetBytes($"{i}"))],
            Timestamp = new Timestamp(FirstTimestamp + i, TimestampType.CreateTime),
        }))).WaitAsync(Until.Deadline);
    }

    private async Task ProduceToAsync(string topic, int partition, int count)
    {
        var config = new ProducerConfig { BootstrapServers = cloud.Kafka, Acks = Acks.All };
        using IProducer<Null, string> producer = new ProducerBuilder<Null, string>(config).SetLogHandler((_, _) => { }).Build();
        for (int i = 0; i < count; i++)
        {
            await producer.ProduceAsync(new TopicPartition(topic, partition), new Message<Null, string> { Value = $"{i}" }).WaitAsync(Until.Deadline);
        }
    }

    private static byte[]? Bytes(string? text) => text is null ? null : Encoding.UTF8.GetBytes(text);
}
