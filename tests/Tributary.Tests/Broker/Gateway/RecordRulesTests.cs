using Tributary.Contracts.Kafka.Messages;
using Tributary.Contracts.Records;
using Tributary.Tests.Broker.Support;
using Xunit;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Broker.Gateway;

/// <summary>What a topic's configs ask of each record that is produced.</summary>
public sealed class RecordRulesTests
{
    [Theory]
    [EveryVersion<ProduceRequest>]
    public async Task A_compacted_topic_refuses_records_without_a_key_and_says_which(short version)
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t", 1, ("cleanup.policy", "compact"));
        await using TestClient client = broker.Connect();
        ProduceResponse.PartitionProduceResponse refused = (await client.AskAsync(Ask.Produce("t", Batch((1, true), (2, false), (3, true), (4, false))), version)).Single();
        Assert.Equal((ErrorCode.InvalidRecord, -1L), (refused.ErrorCode, refused.BaseOffset));
        Assert.Equal(version >= 8 ? [1, 3] : [], refused.RecordErrors.Select(error => error.BatchIndex));
        Assert.Equal(version >= 8, refused.ErrorMessage is not null);
        Assert.Equal(ErrorCode.None, (await client.AskAsync(Ask.Produce("t", Batch((1, true))), version)).Single().ErrorCode);
        Assert.Equal(1, broker.Partition("t").Log.AppendedEnd);
    }

    [Theory]
    [EveryVersion<ProduceRequest>]
    public async Task Timestamps_too_far_from_the_brokers_clock_are_refused_by_record(short version)
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t", 1, ("message.timestamp.before.max.ms", "1000"), ("message.timestamp.after.max.ms", "500"));
        await using TestClient client = broker.Connect();
        long now = broker.Time.GetUtcNow().ToUnixTimeMilliseconds();
        byte[] mixed = Batch((now - 1000, true), (now - 1001, true), (now + 500, true), (now + 501, true), (-1, true));
        ProduceResponse.PartitionProduceResponse refused = (await client.AskAsync(Ask.Produce("t", mixed), version)).Single();
        Assert.Equal(ErrorCode.InvalidTimestamp, refused.ErrorCode);
        Assert.Equal(version >= 8 ? [1, 3] : [], refused.RecordErrors.Select(error => error.BatchIndex));
        byte[] good = Batch((now - 1000, true), (now + 500, true), (-1, false));
        Assert.Equal(ErrorCode.None, (await client.AskAsync(Ask.Produce("t", good), version)).Single().ErrorCode);
        Assert.Equal(
            ErrorCode.InvalidTimestamp, (await client.AskAsync(Ask.Produce("t", Batch((long.MinValue + 1, true))), version)).Single().ErrorCode);
    }

    [Theory]
    [EveryVersion<ProduceRequest>]
    public async Task With_LogAppendTime_and_without_bounds_any_timestamp_will_do(short version)
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("stamped", 1, ("message.timestamp.type", "LogAppendTime"), ("message.timestamp.before.max.ms", "1"));
        await broker.CreateTopicAsync("free");
        await using TestClient client = broker.Connect();
        foreach (string topic in new[] { "stamped", "free" })
        {
            Assert.Equal(ErrorCode.None, (await client.AskAsync(Ask.Produce(topic, Batch((1, true))), version)).Single().ErrorCode);
        }
    }

    [Theory]
    [EveryVersion<ProduceRequest>(Since = 8)]
    public async Task A_limited_number_of_wrong_records_is_listed(short version)
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t", 1, ("cleanup.policy", "compact"));
        await using TestClient client = broker.Connect();
        byte[] batch = Batch([.. Enumerable.Range(0, 1_500).Select(i => ((long)i, false))]);
        Assert.Equal(1_000, (await client.AskAsync(Ask.Produce("t", batch), version)).Single().RecordErrors.Length);
    }

    [Theory]
    [EveryVersion<ProduceRequest>(CompressionCodec.Gzip)]
    [EveryVersion<ProduceRequest>(CompressionCodec.Snappy)]
    [EveryVersion<ProduceRequest>(CompressionCodec.Lz4)]
    [EveryVersion<ProduceRequest>(CompressionCodec.Zstd, Since = 7)]
    public async Task Compressed_records_are_looked_at_too(short version, CompressionCodec codec)
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t", 1, ("cleanup.policy", "compact"));
        await using TestClient client = broker.Connect();
        using var builder = new RecordBatchBuilder();
        builder.Add(1, [], hasKey: false, "v"u8, hasValue: true, [], 0);
        byte[] batch = builder.Build(BatchProducer.None, codec).ToArray();
        Assert.Equal(ErrorCode.InvalidRecord, (await client.AskAsync(Ask.Produce("t", batch), version)).Single().ErrorCode);
    }

    private static byte[] Batch(params (long Time, bool HasKey)[] records)
    {
        using var builder = new RecordBatchBuilder();
        foreach ((long time, bool hasKey) in records)
        {
            builder.Add(time, hasKey ? "k"u8 : [], hasKey, "v"u8, hasValue: true, [], 0);
        }
        return builder.Build(BatchProducer.None, CompressionCodec.None).ToArray();
    }
}
