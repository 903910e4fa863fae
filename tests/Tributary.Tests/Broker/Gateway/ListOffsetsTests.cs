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

    public static TheoryData<CompressionCodec, short> CodecsAndVersions
    {
        get
        {
            var data = new TheoryData<CompressionCodec, short>();
            foreach (CompressionCodec codec in Enum.GetValues<CompressionCodec>())
            {
                foreach (short version in Enumerable.Range(1, 10).Select(version => (short)version))
                {
                    data.Add(codec, version);
                }
            }
            return data;
        }
    }

    public static TheoryData<short> VersionsWithEpochs => [.. Enumerable.Range(4, 7).Select(version => (short)version)];

    public static TheoryData<short> Versions => [.. Enumerable.Range(1, 10).Select(version => (short)version)];

    [Theory]
    [MemberData(nameof(Versions))]
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
    [MemberData(nameof(CodecsAndVersions))]
    public async Task A_time_is_found_inside_of_a_compressed_batch(CompressionCodec codec, short version)
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        await client.AskAsync(Ask.Produce("t", Batches.Of(50, codec: codec)), 9);
        Assert.Equal((ErrorCode.None, 37, Batches.Time + 37, version >= 4 ? 0 : -1), await FindAsync(client, Batches.Time + 37, version));
    }

    [Fact]
    public async Task The_greatest_timestamp_is_found_wherever_it_lies()
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        Assert.Equal((ErrorCode.None, -1, -1, -1), await FindAsync(client, MaxTimestamp, 7));
        await client.AskAsync(Ask.Produce("t", Batches.Of(5, codec: CompressionCodec.Zstd)), 9);
        await client.AskAsync(Ask.Produce("t", Batches.Of(5, time: Batches.Time - 1000)), 9);
        Assert.Equal((ErrorCode.None, 4, Batches.Time + 4, 0), await FindAsync(client, MaxTimestamp, 7));
    }

    [Fact]
    public async Task A_question_that_the_version_does_not_know_is_refused()
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        foreach ((long question, short since) in ((long, short)[])[(MaxTimestamp, 7), (EarliestLocal, 8), (LatestTiered, 9)])
        {
            Assert.Equal(ErrorCode.UnsupportedVersion, (await FindAsync(client, question, (short)(since - 1))).Error);
            Assert.Equal(ErrorCode.None, (await FindAsync(client, question, since)).Error);
        }
        Assert.Equal(ErrorCode.UnsupportedVersion, (await FindAsync(client, -6, 10)).Error);
        Assert.Equal(ErrorCode.UnsupportedVersion, (await FindAsync(client, long.MinValue, 10)).Error);
        Assert.Equal((ErrorCode.None, 0, -1, 0), await FindAsync(client, EarliestLocal, 10));
        Assert.Equal((ErrorCode.None, -1, -1, -1), await FindAsync(client, LatestTiered, 10));
    }

    [Fact]
    public async Task What_is_not_committed_is_not_told()
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient writer = broker.Connect();
        await using TestClient reader = broker.Connect();
        await writer.AskAsync(Ask.Produce("t", Batches.Of(2)), 9);
        broker.Storage.Close();
        await writer.SendAsync(Ask.Produce("t", Batches.Of(2, time: Batches.Time + 1000)), 9);
        await Eventually.HoldsAsync(() => broker.Storage.HeldUp > 0);
        Assert.Equal((ErrorCode.None, 2, -1, 0), await FindAsync(reader, Latest, 7));
        Assert.Equal((ErrorCode.None, -1, -1, -1), await FindAsync(reader, Batches.Time + 1000, 7));
        Assert.Equal((ErrorCode.None, 1, Batches.Time + 1, 0), await FindAsync(reader, MaxTimestamp, 7));
    }

    [Fact]
    public async Task The_end_is_not_told_until_the_high_watermark_has_reached_the_epoch()
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
        Assert.Equal(ErrorCode.OffsetNotAvailable, (await FindAsync(reader, Latest, 5)).Error);
        Assert.Equal(ErrorCode.LeaderNotAvailable, (await FindAsync(reader, Latest, 4)).Error);
        broker.Storage.Open();
        Assert.Equal(ErrorCode.None, (await writer.ReceiveAsync<ProduceResponse>(sent, 9)).Single().ErrorCode);
        Assert.Equal((ErrorCode.None, 2, -1, 1), await FindAsync(reader, Latest, 5));
    }

    [Theory]
    [MemberData(nameof(VersionsWithEpochs))]
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

    [Fact]
    public async Task The_beginning_is_told_with_the_epoch_of_the_record_there()
    {
        await using var broker = new TestBroker();
        var id = Guid.NewGuid();
        await broker.Control.SetAsync(TestControlPlane.Make("t", id, 1, leaderEpoch: 2));
        await using TestClient client = broker.Connect();
        await client.AskAsync(Ask.Produce("t", Batches.Of(2)), 9);
        await broker.Control.SetAsync(TestControlPlane.Make("t", id, 1, leaderEpoch: 5));
        await client.AskAsync(Ask.Produce("t", Batches.Of(2)), 9);
        Assert.Equal((ErrorCode.None, 0, -1, 2), await FindAsync(client, Earliest, 4));
        broker.Partition("t").Log.AdvanceStart(3);
        Assert.Equal((ErrorCode.None, 3, -1, 5), await FindAsync(client, Earliest, 4));
        Assert.Equal((ErrorCode.None, 3, -1, 5), await FindAsync(client, EarliestLocal, 8));
    }

    [Theory]
    [MemberData(nameof(Versions))]
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
