using Tributary.Contracts.Kafka.Messages;
using Tributary.Contracts.Records;
using Tributary.Tests.Broker.Support;
using Xunit;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Broker.Gateway;

public sealed class ListOffsetsTests
{
    private const long Latest = -1;
    private const long Earliest = -2;
    private const long MaxTimestamp = -3;
    private const long EarliestLocal = -4;
    private const long LatestTiered = -5;

    [Theory]
    [EveryVersion<ListOffsetsRequest>]
    public async Task Every_version_finds_both_ends_and_records_by_time(short version)
    {
        await using var broker = new TestBroker();
        await broker.Control.SetAsync(TestControlPlane.Make("t", Guid.NewGuid(), 1, leaderEpoch: 6));
        await using TestClient client = broker.Connect();
        await client.AskAsync(Ask.Produce("t", Batches.Of(5)), 9);
        await client.AskAsync(Ask.Produce("t", Batches.Of(5, time: Batches.Time + 1000)), 9);
        int epoch = version >= 4 ? 6 : -1;
        Assert.Equal((ErrorCode.None, 10, -1, epoch), await FindAsync(client, Latest, version));
        Assert.Equal((ErrorCode.None, 0, -1, epoch), await FindAsync(client, Earliest, version));
        Assert.Equal((ErrorCode.None, 3, Batches.Time + 3, epoch), await FindAsync(client, Batches.Time + 3, version));
        Assert.Equal((ErrorCode.None, 5, Batches.Time + 1000, epoch), await FindAsync(client, Batches.Time + 5, version));
        Assert.Equal((ErrorCode.None, 0, Batches.Time, epoch), await FindAsync(client, 0, version));
        Assert.Equal((ErrorCode.None, -1, -1, -1), await FindAsync(client, Batches.Time + 1005, version));
    }

    [Theory]
    [EveryVersion<ListOffsetsRequest>(CompressionCodec.None)]
    [EveryVersion<ListOffsetsRequest>(CompressionCodec.Gzip)]
    [EveryVersion<ListOffsetsRequest>(CompressionCodec.Snappy)]
    [EveryVersion<ListOffsetsRequest>(CompressionCodec.Lz4)]
    [EveryVersion<ListOffsetsRequest>(CompressionCodec.Zstd)]
    public async Task A_time_is_found_inside_of_a_compressed_batch(short version, CompressionCodec codec)
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        await client.AskAsync(Ask.Produce("t", Batches.Of(50, codec: codec)), 9);
        Assert.Equal((ErrorCode.None, 37, Batches.Time + 37, version >= 4 ? 0 : -1), await FindAsync(client, Batches.Time + 37, version));
    }

    [Theory]
    [EveryVersion<ListOffsetsRequest>(Since = 7)]
    public async Task The_greatest_timestamp_is_found_wherever_it_lies(short version)
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        Assert.Equal((ErrorCode.None, -1, -1, -1), await FindAsync(client, MaxTimestamp, version));
        await client.AskAsync(Ask.Produce("t", Batches.Of(5, codec: CompressionCodec.Zstd)), 9);
        await client.AskAsync(Ask.Produce("t", Batches.Of(5, time: Batches.Time - 1000)), 9);
        Assert.Equal((ErrorCode.None, 4, Batches.Time + 4, 0), await FindAsync(client, MaxTimestamp, version));
    }

    [Theory]
    [EveryVersion<ListOffsetsRequest>]
    public async Task A_question_that_the_version_does_not_know_is_refused(short version)
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        foreach ((long question, short since) in ((long, short)[])[(MaxTimestamp, 7), (EarliestLocal, 8), (LatestTiered, 9)])
        {
            Assert.Equal(version < since ? ErrorCode.UnsupportedVersion : ErrorCode.None, (await FindAsync(client, question, version)).Error);
        }
        Assert.Equal(ErrorCode.UnsupportedVersion, (await FindAsync(client, -6, version)).Error);
        Assert.Equal(ErrorCode.UnsupportedVersion, (await FindAsync(client, long.MinValue, version)).Error);
    }

    [Theory]
    [EveryVersion<ListOffsetsRequest>(Since = 9)]
    public async Task All_of_the_log_is_local(short version)
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        Assert.Equal((ErrorCode.None, 0, -1, 0), await FindAsync(client, EarliestLocal, version));
        Assert.Equal((ErrorCode.None, -1, -1, -1), await FindAsync(client, LatestTiered, version));
    }

    [Theory]
    [EveryVersion<ListOffsetsRequest>]
    public async Task What_is_not_committed_is_not_told(short version)
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient writer = broker.Connect();
        await using TestClient reader = broker.Connect();
        await writer.AskAsync(Ask.Produce("t", Batches.Of(2)), 9);
        broker.Storage.Close();
        await writer.SendAsync(Ask.Produce("t", Batches.Of(2, time: Batches.Time + 1000)), 9);
        await Eventually.HoldsAsync(() => broker.Storage.HeldUp > 0);
        Assert.Equal((ErrorCode.None, 2, -1, version >= 4 ? 0 : -1), await FindAsync(reader, Latest, version));
        Assert.Equal((ErrorCode.None, -1, -1, -1), await FindAsync(reader, Batches.Time + 1000, version));
        if (version >= 7)
        {
            Assert.Equal((ErrorCode.None, 1, Batches.Time + 1, 0), await FindAsync(reader, MaxTimestamp, version));
        }
    }

    [Theory]
    [EveryVersion<ListOffsetsRequest>]
    public async Task The_end_is_not_told_until_the_high_watermark_has_reached_the_epoch(short version)
    {
        await using var broker = new TestBroker();
        var id = Guid.NewGuid();
        await broker.Control.SetAsync(TestControlPlane.Make("t", id, 1));
        await using TestClient writer = broker.Connect();
        await using TestClient reader = broker.Connect();
        broker.Storage.Close();
        int sent = await writer.SendAsync(Ask.Produce("t", Batches.Of(2)), 9);
        await Eventually.HoldsAsync(() => broker.Storage.HeldUp > 0);
        await broker.Control.SetAsync(TestControlPlane.Make("t", id, 1, leaderEpoch: 1));
        Assert.Equal(version >= 5 ? ErrorCode.OffsetNotAvailable : ErrorCode.LeaderNotAvailable, (await FindAsync(reader, Latest, version)).Error);
        broker.Storage.Open();
        Assert.Equal(ErrorCode.None, (await writer.ReceiveAsync<ProduceResponse>(sent, 9)).Single().ErrorCode);
        Assert.Equal((ErrorCode.None, 2, -1, version >= 4 ? 1 : -1), await FindAsync(reader, Latest, version));
    }

    [Theory]
    [EveryVersion<ListOffsetsRequest>(Since = 4)]
    public async Task Another_leader_epoch_is_refused_whatever_is_asked(short version)
    {
        await using var broker = new TestBroker();
        await broker.Control.SetAsync(TestControlPlane.Make("t", Guid.NewGuid(), 1, leaderEpoch: 6));
        await using TestClient client = broker.Connect();
        foreach (long question in (long[])[Latest, Earliest, Batches.Time])
        {
            Assert.Equal(ErrorCode.FencedLeaderEpoch, (await client.AskAsync(Ask.Offsets("t", question, 5), version)).Single().ErrorCode);
            Assert.Equal(ErrorCode.None, (await client.AskAsync(Ask.Offsets("t", question, 6), version)).Single().ErrorCode);
            Assert.Equal(ErrorCode.UnknownLeaderEpoch, (await client.AskAsync(Ask.Offsets("t", question, 7), version)).Single().ErrorCode);
        }
    }

    [Theory]
    [EveryVersion<ListOffsetsRequest>]
    public async Task The_beginning_is_told_with_the_epoch_of_the_record_there(short version)
    {
        await using var broker = new TestBroker();
        var id = Guid.NewGuid();
        await broker.Control.SetAsync(TestControlPlane.Make("t", id, 1, leaderEpoch: 2));
        await using TestClient client = broker.Connect();
        await client.AskAsync(Ask.Produce("t", Batches.Of(2)), 9);
        await broker.Control.SetAsync(TestControlPlane.Make("t", id, 1, leaderEpoch: 5));
        await client.AskAsync(Ask.Produce("t", Batches.Of(2)), 9);
        Assert.Equal((ErrorCode.None, 0, -1, version >= 4 ? 2 : -1), await FindAsync(client, Earliest, version));
        broker.Partition("t").Log.AdvanceStart(3);
        Assert.Equal((ErrorCode.None, 3, -1, version >= 4 ? 5 : -1), await FindAsync(client, Earliest, version));
        if (version >= 8)
        {
            Assert.Equal((ErrorCode.None, 3, -1, 5), await FindAsync(client, EarliestLocal, version));
        }
    }

    [Theory]
    [EveryVersion<ListOffsetsRequest>]
    public async Task An_unknown_topic_is_told(short version)
    {
        await using var broker = new TestBroker();
        await using TestClient client = broker.Connect();
        Assert.Equal(ErrorCode.UnknownTopicOrPartition, (await FindAsync(client, Latest, version)).Error);
    }

    private static async Task<(ErrorCode Error, long Offset, long Timestamp, int Epoch)> FindAsync(
        TestClient client, long timestamp, short version)
    {
        ListOffsetsResponse.ListOffsetsPartitionResponse answer = (await client.AskAsync(Ask.Offsets("t", timestamp), version)).Single();
        return (answer.ErrorCode, answer.Offset, answer.Timestamp, answer.LeaderEpoch);
    }
}
