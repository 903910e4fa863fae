using Tributary.Contracts.Kafka.Messages;
using Tributary.Tests.Broker.Support;
using Xunit;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Broker.Gateway;

/// <summary>Epoch 1 has offsets 0 to 3, epoch 4 has 3 to 5; epoch 6 has begun and has none.</summary>
public sealed class OffsetForLeaderEpochTests : IAsyncLifetime
{
    private readonly TestBroker _broker = new();
    private TestClient _client = null!;

    public async ValueTask InitializeAsync()
    {
        var id = Guid.NewGuid();
        _client = _broker.Connect();
        await _broker.Control.SetAsync(TestControlPlane.Make("t", id, 2, leaderEpoch: 1));
        await _client.AskAsync(Ask.Produce("t", Batches.Of(3)), 9);
        await _broker.Control.SetAsync(TestControlPlane.Make("t", id, 2, leaderEpoch: 4));
        await _client.AskAsync(Ask.Produce("t", Batches.Of(2)), 9);
        await _broker.Control.SetAsync(TestControlPlane.Make("t", id, 2, leaderEpoch: 6));
    }

    public async ValueTask DisposeAsync()
    {
        await _client.DisposeAsync();
        await _broker.DisposeAsync();
    }

    [Theory]
    [EveryVersion<OffsetForLeaderEpochRequest>]
    public async Task Every_version_tells_where_an_epoch_ends(short version)
    {
        Assert.Equal((ErrorCode.None, 0, 0L), await AskAsync(0, version)); // before the first: it ends where that begins
        Assert.Equal((ErrorCode.None, 1, 3L), await AskAsync(1, version));
        Assert.Equal((ErrorCode.None, 1, 3L), await AskAsync(3, version)); // never was: the one before it
        Assert.Equal((ErrorCode.None, 4, 5L), await AskAsync(4, version));
        Assert.Equal((ErrorCode.None, 6, 5L), await AskAsync(6, version));
    }

    [Theory]
    [EveryVersion<OffsetForLeaderEpochRequest>]
    public async Task An_epoch_that_is_not_known_has_no_end(short version)
    {
        Assert.Equal((ErrorCode.None, -1, -1L), await AskAsync(7, version));
        Assert.Equal((ErrorCode.None, -1, -1L), await AskAsync(-1, version));
    }

    [Theory]
    [EveryVersion<OffsetForLeaderEpochRequest>]
    public async Task A_client_with_another_leader_epoch_is_told(short version)
    {
        Assert.Equal((ErrorCode.FencedLeaderEpoch, -1, -1L), await AskAsync(4, version, current: 5));
        Assert.Equal((ErrorCode.None, 4, 5L), await AskAsync(4, version, current: 6));
        Assert.Equal((ErrorCode.UnknownLeaderEpoch, -1, -1L), await AskAsync(4, version, current: 7));
    }

    [Theory]
    [EveryVersion<OffsetForLeaderEpochRequest>]
    public async Task What_is_not_there_is_told(short version)
    {
        Assert.Equal(ErrorCode.UnknownTopicOrPartition, (await AskAsync(1, version, topic: "none")).Error);
        Assert.Equal(ErrorCode.UnknownTopicOrPartition, (await AskAsync(1, version, partition: 2)).Error);
    }

    [Fact]
    public async Task The_end_of_the_present_epoch_is_not_below_what_was_read_before_the_high_watermark_is_known_again()
    {
        await _broker.CrashAsync();
        await using TestClient client = _broker.Connect();
        OffsetForLeaderEpochResponse response = await client.AskAsync(Request(7, -1, "t", 0), 4);
        Assert.Equal((7, 5L), (response.Topics[0].Partitions[0].LeaderEpoch, response.Topics[0].Partitions[0].EndOffset));
    }

    private async Task<(ErrorCode Error, int Epoch, long End)> AskAsync(
        int epoch, short version, int current = -1, string topic = "t", int partition = 0)
    {
        OffsetForLeaderEpochResponse response = await _client.AskAsync(Request(epoch, current, topic, partition), version);
        OffsetForLeaderEpochResponse.EpochEndOffset answer = response.Topics.Single().Partitions.Single();
        Assert.Equal((topic, partition, 0), (response.Topics.Single().Topic, answer.Partition, response.ThrottleTimeMs));
        return (answer.ErrorCode, answer.LeaderEpoch, answer.EndOffset);
    }

    private static OffsetForLeaderEpochRequest Request(int epoch, int current, string topic, int partition) => new()
    {
        ReplicaId = -1,
        Topics = [new() { Topic = topic, Partitions = [new() { Partition = partition, CurrentLeaderEpoch = current, LeaderEpoch = epoch }] }],
    };
}
