using Tributary.Contracts.Kafka.Messages;
using Tributary.Tests.Broker.Support;
using Xunit;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Broker.Gateway;

public sealed class DeleteRecordsTests
{
    [Theory]
    [EveryVersion<DeleteRecordsRequest>]
    public async Task Every_version_moves_the_start_and_a_crash_does_not_bring_it_back(short version)
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using (TestClient client = broker.Connect())
        {
            await client.AskAsync(Ask.Produce("t", Batches.Of(10)), 9);
            Assert.Equal((ErrorCode.None, 4L), await DeleteAsync(client, "t", 4, version));
            Assert.Equal((ErrorCode.None, 4L), await DeleteAsync(client, "t", 2, version));
            Assert.Equal(ErrorCode.OffsetOutOfRange, (await client.AskAsync(Ask.Fetch("t", 3), 11)).Single().ErrorCode);
        }
        await broker.CrashAsync();
        await using TestClient again = broker.Connect();
        FetchResponse.PartitionData partition = (await again.AskAsync(Ask.Fetch("t", 4), 11)).Single();
        Assert.Equal((ErrorCode.None, 4L, 10L), (partition.ErrorCode, partition.LogStartOffset, partition.HighWatermark));
        Assert.Equal(4, (await again.AskAsync(Ask.Offsets("t", -2), 5)).Single().Offset);
    }

    [Theory]
    [EveryVersion<DeleteRecordsRequest>]
    public async Task Minus_1_is_the_high_watermark_and_nothing_above_it_can_be_deleted(short version)
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        await client.AskAsync(Ask.Produce("t", Batches.Of(10)), 9);
        Assert.Equal((ErrorCode.OffsetOutOfRange, -1L), await DeleteAsync(client, "t", 11, version));
        Assert.Equal((ErrorCode.OffsetOutOfRange, -1L), await DeleteAsync(client, "t", -2, version));
        Assert.Equal((ErrorCode.None, 10L), await DeleteAsync(client, "t", -1, version));
        Assert.Equal(10, (await client.AskAsync(Ask.Produce("t", Batches.Of()), 9)).Single().BaseOffset);
    }

    [Theory]
    [EveryVersion<DeleteRecordsRequest>]
    public async Task Of_an_unknown_partition_or_a_topic_that_is_only_compacted_nothing_is_deleted(short version)
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("compacted", 1, ("cleanup.policy", "compact"));
        await broker.CreateTopicAsync("both", 1, ("cleanup.policy", "compact,delete"));
        await using TestClient client = broker.Connect();
        Assert.Equal((ErrorCode.UnknownTopicOrPartition, -1L), await DeleteAsync(client, "unknown", 0, version));
        Assert.Equal((ErrorCode.PolicyViolation, -1L), await DeleteAsync(client, "compacted", 0, version));
        Assert.Equal((ErrorCode.None, 0L), await DeleteAsync(client, "both", 0, version));
    }

    private static async Task<(ErrorCode, long)> DeleteAsync(TestClient client, string topic, long offset, short version)
    {
        DeleteRecordsResponse response = await client.AskAsync(
            new DeleteRecordsRequest { Topics = [new() { Name = topic, Partitions = [new() { Offset = offset }] }], TimeoutMs = 1000 }, version);
        DeleteRecordsResponse.DeleteRecordsPartitionResult result = response.Topics.Single().Partitions.Single();
        return (result.ErrorCode, result.LowWatermark);
    }
}
