using System.Text.Json;
using System.Text.Json.Nodes;
using Confluent.Kafka;
using Confluent.Kafka.Admin;
using Tributary.Conformance.Clients;
using Tributary.Conformance.Harness;
using Xunit;

namespace Tributary.Conformance;

/// <summary>
/// A topic that is compacted while it is written and read, by a server that is killed meanwhile. As many records as the environment
/// variable <c>TRIBUTARY_COMPACTION_RECORDS</c> says, over a tenth as many keys.
/// </summary>
public sealed class CompactionTests
{
    private const string Topic = "compacted";
    private const int Kills = 3;
    private static readonly int Records =
        int.TryParse(Environment.GetEnvironmentVariable("TRIBUTARY_COMPACTION_RECORDS"), out int records) ? records : 60_000;

    private static readonly int Keys = Records / 10;

    /// <summary>More for more records: ten thousand of them are written and compacted within a second, on a small machine.</summary>
    private static readonly TimeSpan Deadline = Until.Deadline + TimeSpan.FromSeconds(Records / 10_000);

    [Fact]
    public async Task The_last_value_of_each_key_is_left_for_every_client_whatever_is_killed_meanwhile()
    {
        await using var system = new TestSystem
        {
            CloudSettings = new Dictionary<string, string>
            {
                ["broker:compactionIntervalMs"] = "100",
                ["broker:compactionKeyMapBytes"] = Records > 1_000_000 ? "8388608" : "65536", // several passes
            },
        };
        await system.StartCloudAsync();
        await CreateAsync(system.Kafka);
        using var stop = new CancellationTokenSource();
        Task reader = Task.Run(() => Follow(system.Kafka, stop.Token));
        Task writer = Task.Run(() => Write(system.Kafka));
        for (int kill = 0; kill < Kills && !writer.IsCompleted; kill++)
        {
            await Task.WhenAny(writer, Task.Delay(TimeSpan.FromMilliseconds(700 + (kill * 400))));
            await system.KillCloudAsync();
            await system.StartCloudAsync();
        }
        await writer.WaitAsync(Deadline);
        List<Consumed> left = await Until.AnswerAsync(
            async () => await KafkaReader.ReadAllAsync(system.Kafka, Topic) is { } read && read.Count == Keys ? read : null,
            system.Cloud.Story, Deadline);
        await stop.CancelAsync();
        await reader.WaitAsync(Until.Deadline);
        Assert.Equal(Last(), left.Select(record => (record.Key!, record.Text)).ToHashSet());
        await CheckOtherClientsAsync(system);
    }

    private static HashSet<(string Key, string Value)> Last() =>
        [.. Enumerable.Range(Records - Keys, Keys).Select(i => ($"key {i % Keys}", ValueOf(i)))];

    private static string ValueOf(int number) => $"{number} {new string('x', number % 50)}";

    private static async Task CreateAsync(string kafka)
    {
        using IAdminClient admin = new AdminClientBuilder(new AdminClientConfig { BootstrapServers = kafka }).SetLogHandler((_, _) => { }).Build();
        await admin.CreateTopicsAsync(
        [
            new TopicSpecification
            {
                Name = Topic, NumPartitions = 1, ReplicationFactor = 1,
                Configs = new Dictionary<string, string>
                {
                    ["cleanup.policy"] = "compact", ["segment.bytes"] = "1048576", ["min.cleanable.dirty.ratio"] = "0.01",
                    ["max.compaction.lag.ms"] = "2000",
                },
            },
        ]);
    }

    private static void Write(string kafka)
    {
        var config = new ProducerConfig
        {
            BootstrapServers = kafka,
            EnableIdempotence = true,
            LingerMs = 2,
            CompressionType = CompressionType.Lz4,
            MessageTimeoutMs = (int)Deadline.TotalMilliseconds,
        };
        using IProducer<string, string> producer = new ProducerBuilder<string, string>(config).SetLogHandler((_, _) => { }).Build();
        Error? failed = null;
        for (int i = 0; i < Records; i++)
        {
            var message = new Message<string, string> { Key = $"key {i % Keys}", Value = ValueOf(i) };
            while (!TryProduce(producer, message, report => failed ??= report.Error.IsError ? report.Error : null))
            {
                producer.Poll(TimeSpan.FromMilliseconds(10));
            }
            if (i % (Math.Max(1, Records / 300)) == 0)
            {
                producer.Poll(TimeSpan.FromMilliseconds(10)); // so that it takes a few seconds, in which the server is killed
            }
        }
        producer.Flush(Deadline);
        Assert.Null(failed);
    }

    private static bool TryProduce(IProducer<string, string> producer, Message<string, string> message, Action<DeliveryReport<string, string>> done)
    {
        try
        {
            producer.Produce(new TopicPartition(Topic, 0), message, done);
            return true;
        }
        catch (ProduceException<string, string> e) when (e.Error.Code == ErrorCode.Local_QueueFull)
        {
            return false;
        }
    }

    /// <summary>Reads from the beginning to the end, again and again: offsets grow, and so do the numbers of each key.</summary>
    private static void Follow(string kafka, CancellationToken stop)
    {
        while (!stop.IsCancellationRequested)
        {
            var config = new ConsumerConfig
            {
                BootstrapServers = kafka,
                GroupId = "follower",
                EnableAutoCommit = false,
                AutoOffsetReset = AutoOffsetReset.Error,
                CheckCrcs = true,
                EnablePartitionEof = true,
                FetchMaxBytes = 200_000,
                MessageMaxBytes = 200_000,
            };
            using IConsumer<string, string> consumer = new ConsumerBuilder<string, string>(config).SetLogHandler((_, _) => { }).Build();
            consumer.Assign(new TopicPartitionOffset(Topic, 0, Offset.Beginning));
            var last = new Dictionary<string, int>();
            for (long before = -1; !stop.IsCancellationRequested;)
            {
                ConsumeResult<string, string>? result = consumer.Consume(TimeSpan.FromMilliseconds(200));
                if (result is { IsPartitionEOF: true })
                {
                    break;
                }
                if (result is null)
                {
                    continue;
                }
                int number = int.Parse(result.Message.Value.Split(' ')[0]);
                Assert.True(result.Offset.Value > before, $"{result.Offset} is read after {before}");
                Assert.True(number > last.GetValueOrDefault(result.Message.Key, -1), $"{number} is read after {last.GetValueOrDefault(result.Message.Key)}");
                (before, last[result.Message.Key]) = (result.Offset.Value, number);
            }
            consumer.Close();
        }
    }

    /// <summary>They step over the batches that hold nothing any more.</summary>
    private static async Task CheckOtherClientsAsync(TestSystem system)
    {
        string file = system.At("kcat.txt"); // more lines than are kept of a process's output
        await Tool.RunAsync("sh", "-c", $"kcat -b {system.Kafka} -C -q -t {Topic} -o beginning -e -f '%k:%s\\n' > '{file}'");
        Assert.Equal(
            Last().Order(),
            (await File.ReadAllLinesAsync(file)).Select(line => (line.Split(':')[0], line.Split(':')[1])).Order());
        if (Records > 1_000_000)
        {
            return; // the others say a line for each
        }
        foreach (NodeClientKind client in Enum.GetValues<NodeClientKind>())
        {
            List<JsonElement> lines = await NodeClient.RunAsync(
                client, "consume", system.Kafka, new JsonObject { ["topic"] = Topic, ["group"] = $"{client}", ["count"] = Keys, ["commits"] = false });
            Assert.Equal(
                Last().Order(),
                lines.Where(line => line.GetProperty("event").GetString() == "record")
                    .Select(line => (line.GetProperty("key").GetString()!, line.GetProperty("value").GetString()!)).Order());
        }
    }
}
