using Tributary.Broker;
using Tributary.Broker.Metadata;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Contracts.Records;
using Tributary.Tests.Broker.Support;
using Xunit;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Broker.Gateway;

public sealed class FetchTests
{
    [Theory]
    [EveryVersion<FetchRequest>]
    public async Task Every_version_gets_the_batches_below_the_high_watermark(short version)
    {
        await using var broker = new TestBroker();
        Guid id = await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        await client.AskAsync(Ask.Produce("t", Batches.Of(3)), 9);
        await client.AskAsync(Ask.Produce("t", Batches.Of(2)), 9);
        FetchRequest request = Ask.Fetch("t", 0, id: id);
        request.IsolationLevel = 1;
        FetchResponse response = await client.AskAsync(request, version);
        FetchResponse.FetchableTopicResponse topic = response.Responses.Single();
        Assert.Equal((version >= 13 ? "" : "t", version >= 13 ? id : Guid.Empty), (topic.Topic, topic.TopicId));
        FetchResponse.PartitionData partition = response.Single();
        Assert.Equal((ErrorCode.None, 5L, 5L), (partition.ErrorCode, partition.HighWatermark, partition.LastStableOffset));
        Assert.Equal(-1, partition.PreferredReadReplica);
        Assert.Equal(version >= 5 ? 0 : -1, partition.LogStartOffset);
        Assert.Equal([], partition.AbortedTransactions!);
        Assert.Equal([(0, 3), (3, 2)], Batches.Split(partition.Records.Span));
        Assert.Equal((ErrorCode.None, 0), (response.ErrorCode, response.SessionId));
        Assert.Equal(partition.Records.Size, broker.Server.Metrics.FetchedBytes);
    }

    [Fact]
    public async Task An_offset_inside_a_batch_gets_the_batch_that_contains_it()
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        await client.AskAsync(Ask.Produce("t", Batches.Of(3)), 9);
        await client.AskAsync(Ask.Produce("t", Batches.Of(5, codec: CompressionCodec.Zstd)), 9);
        Assert.Equal([(3, 5)], Batches.Split((await client.AskAsync(Ask.Fetch("t", 6), 11)).Single().Records.Span));
    }

    [Fact]
    public async Task The_first_batch_is_sent_whole_whatever_its_size_and_no_other_exceeds_the_limit()
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t", partitions: 2);
        await using TestClient client = broker.Connect();
        foreach (int index in (int[])[0, 0, 1])
        {
            await client.AskAsync(Ask.Produce("t", Batches.Of(valueBytes: 1000), partition: index), 9);
        }
        FetchRequest request = Ask.Fetch("t", 0, maxBytes: 10);
        request.Topics[0].Partitions =
        [
            new() { Partition = 0, FetchOffset = 0, PartitionMaxBytes = 10 },
            new() { Partition = 1, FetchOffset = 0, PartitionMaxBytes = 1000 },
        ];
        FetchResponse response = await client.AskAsync(request, 11);
        Assert.Equal([(0, 1)], Batches.Split(response.Responses[0].Partitions[0].Records.Span));
        Assert.Equal(0, response.Responses[0].Partitions[1].Records.Size);
        Assert.Equal(1, response.Responses[0].Partitions[1].HighWatermark);

        request.MaxBytes = 5000;
        response = await client.AskAsync(request, 11);
        Assert.Equal([(0, 1)], Batches.Split(response.Responses[0].Partitions[0].Records.Span));
        Assert.Equal(0, response.Responses[0].Partitions[1].Records.Size); // above its own limit, and not the first

        request.Topics[0].Partitions[1].PartitionMaxBytes = 5000;
        response = await client.AskAsync(request, 11);
        Assert.Equal([(0, 1)], Batches.Split(response.Responses[0].Partitions[1].Records.Span));
    }

    [Fact]
    public async Task A_limit_cuts_between_batches()
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        int size = Batches.Of().Length;
        for (int i = 0; i < 5; i++)
        {
            await client.AskAsync(Ask.Produce("t", Batches.Of()), 9);
        }
        FetchResponse response = await client.AskAsync(Ask.Fetch("t", 1, maxBytes: (3 * size) - 1), 11);
        Assert.Equal([(1, 1), (2, 1)], Batches.Split(response.Single().Records.Span));
    }

    [Fact]
    public async Task The_broker_sets_a_limit_of_its_own()
    {
        await using var broker = new TestBroker(new BrokerOptions { MaxFetchBytes = 1024 });
        await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        for (int i = 0; i < 5; i++)
        {
            await client.AskAsync(Ask.Produce("t", Batches.Of(valueBytes: 400)), 9);
        }
        FetchResponse response = await client.AskAsync(Ask.Fetch("t", 0, maxBytes: int.MaxValue), 11);
        Assert.Equal([(0, 1), (1, 1)], Batches.Split(response.Single().Records.Span));
    }

    [Fact]
    public async Task Large_responses_from_disk_arrive_whole_and_their_memory_is_given_back()
    {
        await using var broker = new TestBroker(tailCacheBytes: 0);
        await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        for (int i = 0; i < 40; i++)
        {
            await client.AskAsync(Ask.Produce("t", Batches.Of(valueBytes: 100_000)), 9);
        }
        long next = 0;
        while (next < 40)
        {
            FetchRequest request = Ask.Fetch("t", next, maxBytes: 10 << 20);
            request.Topics[0].Partitions[0].PartitionMaxBytes = 10 << 20;
            FetchResponse response = await client.AskAsync(request, 11);
            foreach ((long offset, _) in Batches.Split(response.Single().Records.Span))
            {
                Assert.Equal(next++, offset);
            }
        }
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(2)]
    [InlineData(long.MaxValue)]
    [InlineData(long.MinValue)]
    public async Task An_offset_outside_of_the_log_is_told_at_once(long offset)
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        await client.AskAsync(Ask.Produce("t", Batches.Of()), 9);
        FetchResponse.PartitionData answer = (await client.AskAsync(Ask.Fetch("t", offset, maxWaitMs: int.MaxValue), 11)).Single();
        Assert.Equal((ErrorCode.OffsetOutOfRange, -1L, -1L), (answer.ErrorCode, answer.HighWatermark, answer.LogStartOffset));
        Assert.Equal(0, answer.Records.Size);
    }

    [Fact]
    public async Task What_is_not_there_is_told_at_once_even_beside_what_is()
    {
        await using var broker = new TestBroker();
        Guid id = await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        FetchRequest request = Ask.Fetch("t", 0, maxWaitMs: int.MaxValue, minBytes: 1000, id: id);
        request.Topics =
        [
            request.Topics[0], new() { TopicId = Guid.NewGuid(), Topic = "none", Partitions = [new() { Partition = 0 }] },
            new() { TopicId = id, Topic = "t", Partitions = [new() { Partition = 1 }] },
        ];
        Assert.Equal(
            [ErrorCode.None, ErrorCode.UnknownTopicId, ErrorCode.UnknownTopicOrPartition],
            (await client.AskAsync(request, 13)).Responses.Select(topic => topic.Partitions.Single().ErrorCode));
        Assert.Equal(
            [ErrorCode.None, ErrorCode.UnknownTopicOrPartition, ErrorCode.UnknownTopicOrPartition],
            (await client.AskAsync(request, 12)).Responses.Select(topic => topic.Partitions.Single().ErrorCode));
    }

    [Theory]
    [EveryVersion<FetchRequest>(Since = 13)]
    public async Task A_topic_made_anew_is_not_read_by_its_former_id(short version)
    {
        await using var broker = new TestBroker();
        Guid former = await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        await client.AskAsync(Ask.Produce("t", Batches.Of()), 9);
        Guid now = await broker.CreateTopicAsync("t");
        Assert.Equal(ErrorCode.UnknownTopicId, (await client.AskAsync(Ask.Fetch("t", 0, id: former), version)).Single().ErrorCode);
        FetchResponse.PartitionData anew = (await client.AskAsync(Ask.Fetch("t", 0, id: now), version)).Single();
        Assert.Equal((ErrorCode.None, 0L), (anew.ErrorCode, anew.HighWatermark));
    }

    [Theory]
    [InlineData(3, ErrorCode.FencedLeaderEpoch)]
    [InlineData(4, ErrorCode.None)]
    [InlineData(5, ErrorCode.UnknownLeaderEpoch)]
    [InlineData(-1, ErrorCode.None)]
    public async Task A_leader_epoch_that_is_not_the_current_one_is_refused(int epoch, ErrorCode expected)
    {
        await using var broker = new TestBroker();
        await broker.Control.SetAsync(TestControlPlane.Make("t", Guid.NewGuid(), 1, leaderEpoch: 4));
        await using TestClient client = broker.Connect();
        FetchRequest request = Ask.Fetch("t", 0);
        request.Topics[0].Partitions[0].CurrentLeaderEpoch = epoch;
        FetchResponse.PartitionData answer = (await client.AskAsync(request, 12)).Single();
        Assert.Equal(expected, answer.ErrorCode);
        Assert.Equal(expected == ErrorCode.FencedLeaderEpoch ? 4 : null, answer.CurrentLeader?.LeaderEpoch);
        Assert.Equal(expected, (await client.AskAsync(Ask.Offsets("t", -1, epoch), 7)).Single().ErrorCode);
    }

    [Fact]
    public async Task A_reader_whose_log_departs_is_told_where()
    {
        await using var broker = new TestBroker();
        var id = Guid.NewGuid();
        await broker.Control.SetAsync(TestControlPlane.Make("t", id, 1, leaderEpoch: 1));
        await using TestClient client = broker.Connect();
        await client.AskAsync(Ask.Produce("t", Batches.Of(3)), 9);
        await broker.Control.SetAsync(TestControlPlane.Make("t", id, 1, leaderEpoch: 4));
        await client.AskAsync(Ask.Produce("t", Batches.Of(3)), 9);

        FetchRequest request = Ask.Fetch("t", 5, maxWaitMs: int.MaxValue);
        request.Topics[0].Partitions[0].LastFetchedEpoch = 1;
        FetchResponse.PartitionData diverging = (await client.AskAsync(request, 12)).Single();
        Assert.Equal((ErrorCode.None, 0), (diverging.ErrorCode, diverging.Records.Size));
        Assert.Equal((1, 3L), (diverging.DivergingEpoch!.Epoch, diverging.DivergingEpoch.EndOffset));

        request.Topics[0].Partitions[0].FetchOffset = 3;
        FetchResponse.PartitionData agreeing = (await client.AskAsync(request, 12)).Single();
        Assert.Null(agreeing.DivergingEpoch);
        Assert.Equal([(3, 3)], Batches.Split(agreeing.Records.Span));
    }

    [Fact]
    public async Task A_fetch_of_nothing_is_answered_at_once()
    {
        await using var broker = new TestBroker();
        await using TestClient client = broker.Connect();
        FetchRequest request = Ask.Fetch("t", 0, maxWaitMs: int.MaxValue);
        request.Topics = [];
        Assert.Empty((await client.AskAsync(request, 12)).Responses);
    }

    [Fact]
    public async Task Who_leads_the_partition_instead_is_told()
    {
        await using var broker = new TestBroker();
        await broker.Control.ApplyAsync(
            broker.Control.Snapshot with { Brokers = [new BrokerNode(1, "here", 1), new BrokerNode(2, "there", 9094)] });
        var id = Guid.NewGuid();
        await broker.Control.SetAsync(TestControlPlane.Make("t", id, 1, leaderEpoch: 5, leader: 2));
        await using TestClient client = broker.Connect();
        FetchResponse response = await client.AskAsync(Ask.Fetch("t", 0, id: id), 16);
        Assert.Equal(ErrorCode.NotLeaderOrFollower, response.Single().ErrorCode);
        Assert.Equal((2, 5), (response.Single().CurrentLeader!.LeaderId, response.Single().CurrentLeader!.LeaderEpoch));
        Assert.Equal((2, "there", 9094), response.NodeEndpoints.Select(node => (node.NodeId, node.Host, node.Port)).Single());
    }
}
