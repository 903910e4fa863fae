using Tributary.Broker.Partitions;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Tests.Broker.Support;
using Xunit;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Broker.Gateway;

public sealed class LongPollTests
{
    private static readonly int BatchSize = Batches.Of().Length;

    [Fact]
    public async Task A_fetch_at_the_end_wakes_when_the_next_batch_is_committed_and_not_when_it_is_appended()
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient reader = broker.Connect();
        await using TestClient writer = broker.Connect();
        int fetch = await reader.SendAsync(Ask.Fetch("t", 0, maxWaitMs: 60_000), 11);
        await ReadersAsync(broker, 1);
        broker.Storage.Close();
        await writer.SendAsync(Ask.Produce("t", Batches.Of()), 9);
        await Eventually.HoldsAsync(() => broker.Storage.HeldUp > 0);
        Assert.False(reader.HasResponse());
        broker.Storage.Open();
        FetchResponse.PartitionData answer = (await reader.ReceiveAsync<FetchResponse>(fetch, 11)).Single();
        Assert.Equal((1, 1), (answer.HighWatermark, Batches.Split(answer.Records.Span).Count));
        Assert.Equal((0, 0), broker.Partition("t").Waiters);
    }

    [Fact]
    public async Task It_ends_empty_at_its_deadline_and_not_before()
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient reader = broker.Connect();
        int fetch = await reader.SendAsync(Ask.Fetch("t", 0, maxWaitMs: 500), 11);
        await ReadersAsync(broker, 1);
        broker.Time.Advance(TimeSpan.FromMilliseconds(499));
        Assert.False(reader.HasResponse());
        broker.Time.Advance(TimeSpan.FromMilliseconds(1));
        FetchResponse.PartitionData answer = (await reader.ReceiveAsync<FetchResponse>(fetch, 11)).Single();
        Assert.Equal((ErrorCode.None, 0), (answer.ErrorCode, answer.Records.Size));
        Assert.Equal((0, 0), broker.Partition("t").Waiters);
    }

    [Fact]
    public async Task It_waits_for_as_many_bytes_as_it_wants_over_all_its_partitions()
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t", partitions: 3);
        await using TestClient reader = broker.Connect();
        await using TestClient writer = broker.Connect();
        int fetch = await reader.SendAsync(OfAll("t", 3, minBytes: 6 * BatchSize), 11);
        await ReadersAsync(broker, 1);
        for (int i = 0; i < 5; i++)
        {
            await writer.AskAsync(Ask.Produce("t", Batches.Of(), partition: i % 3), 9);
        }
        Assert.False(reader.HasResponse());
        await writer.AskAsync(Ask.Produce("t", Batches.Of(), partition: 2), 9);
        FetchResponse response = await reader.ReceiveAsync<FetchResponse>(fetch, 11);
        Assert.Equal([2, 2, 2], response.Responses[0].Partitions.Select(partition => Batches.Split(partition.Records.Span).Count));
        for (int index = 0; index < 3; index++)
        {
            Assert.Equal((0, 0), broker.Partition("t", index).Waiters);
        }
    }

    [Fact]
    public async Task At_its_deadline_it_gets_the_little_there_is()
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient reader = broker.Connect();
        await using TestClient writer = broker.Connect();
        await writer.AskAsync(Ask.Produce("t", Batches.Of()), 9);
        int fetch = await reader.SendAsync(Ask.Fetch("t", 0, maxWaitMs: 500, minBytes: 100_000), 11);
        await ReadersAsync(broker, 1);
        await writer.AskAsync(Ask.Produce("t", Batches.Of()), 9);
        Assert.False(reader.HasResponse());
        broker.Time.Advance(TimeSpan.FromMilliseconds(500));
        FetchResponse.PartitionData answer = (await reader.ReceiveAsync<FetchResponse>(fetch, 11)).Single();
        Assert.Equal([(0, 1), (1, 1)], Batches.Split(answer.Records.Span));
    }

    [Fact]
    public async Task It_does_not_wait_for_more_than_its_partitions_may_give()
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        await client.AskAsync(Ask.Produce("t", Batches.Of()), 9);
        await client.AskAsync(Ask.Produce("t", Batches.Of()), 9);
        FetchRequest request = Ask.Fetch("t", 0, maxWaitMs: int.MaxValue, minBytes: 100_000);
        request.Topics[0].Partitions[0].PartitionMaxBytes = BatchSize + 1;
        Assert.Equal([(0, 1)], Batches.Split((await client.AskAsync(request, 11)).Single().Records.Span));
        request = Ask.Fetch("t", 0, maxWaitMs: int.MaxValue, minBytes: 100_000, maxBytes: BatchSize);
        Assert.Equal([(0, 1)], Batches.Split((await client.AskAsync(request, 11)).Single().Records.Span));
    }

    [Fact]
    public async Task Without_a_minimum_it_does_not_wait()
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        Assert.Equal(0, (await client.AskAsync(Ask.Fetch("t", 0, maxWaitMs: int.MaxValue, minBytes: 0), 11)).Single().Records.Size);
    }

    [Fact]
    public async Task It_ends_when_the_broker_gives_the_partition_up()
    {
        await using var broker = new TestBroker();
        Guid id = await broker.CreateTopicAsync("t");
        await using TestClient reader = broker.Connect();
        int fetch = await reader.SendAsync(Ask.Fetch("t", 0, maxWaitMs: 60_000), 12);
        await ReadersAsync(broker, 1);
        Partition partition = broker.Partition("t");
        await broker.Control.SetAsync(TestControlPlane.Make("t", id, 1, leaderEpoch: 3, leader: 2));
        FetchResponse.PartitionData answer = (await reader.ReceiveAsync<FetchResponse>(fetch, 12)).Single();
        Assert.Equal(ErrorCode.NotLeaderOrFollower, answer.ErrorCode);
        Assert.Equal((2, 3), (answer.CurrentLeader!.LeaderId, answer.CurrentLeader.LeaderEpoch));
        Assert.Equal((0, 0), partition.Waiters);
    }

    [Fact]
    public async Task It_ends_with_its_connection()
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient reader = broker.Connect();
        await reader.SendAsync(Ask.Fetch("t", 0, maxWaitMs: 60_000), 12);
        await ReadersAsync(broker, 1);
        await reader.CloseAsync();
        await reader.Ended;
        Assert.Equal((0, 0), broker.Partition("t").Waiters);
    }

    [Fact]
    public async Task Many_readers_of_a_partition_get_every_batch_once_and_in_order()
    {
        await using var broker = new TestBroker(time: TimeProvider.System);
        await broker.CreateTopicAsync("t");
        const int Count = 200;
        Task<List<long>>[] readers = [.. Enumerable.Range(0, 8).Select(_ => Task.Run(() => ReadAsync(broker, Count)))];
        await using TestClient writer = broker.Connect();
        for (int i = 0; i < Count; i++)
        {
            await writer.AskAsync(Ask.Produce("t", Batches.Of()), 9);
        }
        foreach (Task<List<long>> reader in readers)
        {
            Assert.Equal(Enumerable.Range(0, Count).Select(offset => (long)offset), await reader.WaitAsync(TimeSpan.FromSeconds(60)));
        }
        Assert.Equal((0, 0), broker.Partition("t").Waiters);
    }

    private static async Task<List<long>> ReadAsync(TestBroker broker, int count)
    {
        await using TestClient client = broker.Connect();
        var offsets = new List<long>();
        while (offsets.Count < count)
        {
            FetchResponse response = await client.AskAsync(Ask.Fetch("t", offsets.Count, maxWaitMs: 30_000), 11);
            offsets.AddRange(Batches.Split(response.Single().Records.Span).Select(batch => batch.BaseOffset));
        }
        return offsets;
    }

    private static FetchRequest OfAll(string topic, int partitions, int minBytes)
    {
        FetchRequest request = Ask.Fetch(topic, 0, maxWaitMs: 60_000, minBytes: minBytes);
        IEnumerable<int> indexes = Enumerable.Range(0, partitions);
        request.Topics[0].Partitions =
            [.. indexes.Select(index => new FetchRequest.FetchPartition { Partition = index, PartitionMaxBytes = 1 << 20 })];
        return request;
    }

    private static Task ReadersAsync(TestBroker broker, int count) =>
        Eventually.HoldsAsync(() => broker.Partition("t").Waiters.Readers == count);
}
