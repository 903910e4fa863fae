using Tributary.Broker;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Contracts.Records;
using Tributary.Tests.Broker.Support;
using Xunit;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Broker.Gateway;

public sealed class DescribeProducersTests
{
    [Fact]
    public async Task All_producers_are_told_or_only_the_wanted_ones()
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        await WriteAsync(client, id: 10, epoch: 3, sequence: 0, records: 4);
        await WriteAsync(client, id: 11, epoch: 0, sequence: 7, records: 1);
        await WriteAsync(client, id: 12, epoch: 0, sequence: int.MaxValue, records: 2);
        DescribeProducersResponse.PartitionResponse all = (await client.AskAsync(Ask.Producers("t"), 0)).Single();
        Assert.Equal(
            [(10, 3, 3), (11, 0, 7), (12, 0, 0)],
            all.ActiveProducers.OrderBy(one => one.ProducerId).Select(one => (one.ProducerId, one.ProducerEpoch, one.LastSequence)));
        Assert.All(all.ActiveProducers, one => Assert.Equal(
            (broker.Time.GetUtcNow().ToUnixTimeMilliseconds(), -1, -1), (one.LastTimestamp, one.CoordinatorEpoch, one.CurrentTxnStartOffset)));
        DescribeProducersResponse.PartitionResponse wanted = (await client.AskAsync(Ask.Producers("t", 11, 99, 11), 0)).Single();
        Assert.Equal((11, 7), wanted.ActiveProducers.Select(one => (one.ProducerId, one.LastSequence)).Single());
    }

    [Fact]
    public async Task The_answer_waits_until_what_it_tells_is_committed()
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient writer = broker.Connect();
        await using TestClient asking = broker.Connect();
        await WriteAsync(writer, id: 10, epoch: 0, sequence: 0, records: 1);
        broker.Storage.Close();
        await writer.SendAsync(Request(id: 11, epoch: 0, sequence: 5, records: 1), 9);
        await Eventually.HoldsAsync(() => broker.Storage.HeldUp > 0);
        Assert.Equal(0, (await asking.AskAsync(Ask.Producers("t", 10), 0)).Single().ActiveProducers.Single().LastSequence);
        int question = await asking.SendAsync(Ask.Producers("t", 11), 0);
        await Eventually.HoldsAsync(() => broker.Partition("t").Waiters.Waiting == 2);
        Assert.False(asking.HasResponse());
        broker.Storage.Open();
        DescribeProducersResponse.PartitionResponse answer = (await asking.ReceiveAsync<DescribeProducersResponse>(question, 0)).Single();
        Assert.Equal((ErrorCode.None, 5), (answer.ErrorCode, answer.ActiveProducers.Single().LastSequence));
    }

    [Fact]
    public async Task A_request_that_repeats_partitions_and_producers_is_answered_once_for_each()
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t", partitions: 2);
        await using TestClient client = broker.Connect();
        await WriteAsync(client, id: 10, epoch: 0, sequence: 0, records: 1);
        DescribeProducersResponse answer = await client.AskAsync(
            new DescribeProducersRequest
            {
                Topics =
                [
                    new() { Name = "t", PartitionIndexes = [.. Enumerable.Range(0, 20_000).Select(i => i % 2)] },
                    new() { Name = "t", PartitionIndexes = [1, 0, 1] },
                ],
                ProducerIds = [.. Enumerable.Repeat(10L, 20_000)],
            },
            0);
        DescribeProducersResponse.TopicResponse topic = Assert.Single(answer.Topics);
        Assert.Equal([(0, 1), (1, 0)], topic.Partitions.Select(one => (one.PartitionIndex, one.ActiveProducers.Length)));
    }

    [Fact]
    public async Task A_request_for_more_producers_than_allowed_is_refused_for_the_partitions_that_exceed_it()
    {
        await using var broker = new TestBroker(new BrokerOptions { MaxDescribedProducers = 3 });
        await broker.CreateTopicAsync("t", partitions: 3);
        await using TestClient client = broker.Connect();
        foreach (long id in (long[])[10, 11, 12, 13])
        {
            await WriteAsync(client, id, epoch: 0, sequence: 0, records: 1);
        }
        DescribeProducersResponse named = await client.AskAsync(Asking(10, 11), 0);
        Assert.Equal(
            [(ErrorCode.None, 2), (ErrorCode.PolicyViolation, 0), (ErrorCode.PolicyViolation, 0)],
            named.Topics.Single().Partitions.Select(one => (one.ErrorCode, one.ActiveProducers.Length)));
        Assert.Contains("broker:maxDescribedProducers", named.Topics.Single().Partitions[1].ErrorMessage);
        DescribeProducersResponse all = await client.AskAsync(Asking(), 0);
        Assert.Equal(
            [(ErrorCode.None, 4), (ErrorCode.PolicyViolation, 0), (ErrorCode.PolicyViolation, 0)],
            all.Topics.Single().Partitions.Select(one => (one.ErrorCode, one.ActiveProducers.Length)));

        static DescribeProducersRequest Asking(params long[] ids) =>
            new() { Topics = [new() { Name = "t", PartitionIndexes = [0, 1, 2] }], ProducerIds = ids };
    }

    [Fact]
    public async Task What_a_failed_flush_took_back_is_not_told()
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient writer = broker.Connect();
        await using TestClient asking = broker.Connect();
        await WriteAsync(writer, id: 10, epoch: 0, sequence: 0, records: 1);
        broker.Storage.Close();
        await writer.SendAsync(Request(id: 10, epoch: 0, sequence: 1, records: 1), 9);
        await Eventually.HoldsAsync(() => broker.Storage.HeldUp > 0);
        int question = await asking.SendAsync(Ask.Producers("t", 10), 0);
        await Eventually.HoldsAsync(() => broker.Partition("t").Waiters.Waiting == 2);
        broker.Storage.FailNextFlush();
        broker.Storage.Open();
        DescribeProducersResponse.PartitionResponse lost = (await asking.ReceiveAsync<DescribeProducersResponse>(question, 0)).Single();
        Assert.Equal(ErrorCode.KafkaStorageError, lost.ErrorCode);
        Assert.Empty(lost.ActiveProducers);
        Assert.Equal(0, (await asking.AskAsync(Ask.Producers("t", 10), 0)).Single().ActiveProducers.Single().LastSequence);
    }

    [Fact]
    public async Task A_commit_that_takes_too_long_is_an_error_that_is_tried_again()
    {
        await using var broker = new TestBroker(new BrokerOptions { DescribeProducersWait = TimeSpan.FromSeconds(2) });
        await broker.CreateTopicAsync("t");
        await using TestClient writer = broker.Connect();
        await using TestClient asking = broker.Connect();
        broker.Storage.Close();
        await writer.SendAsync(Request(id: 10, epoch: 0, sequence: 0, records: 1), 9);
        await Eventually.HoldsAsync(() => broker.Storage.HeldUp > 0);
        int question = await asking.SendAsync(Ask.Producers("t"), 0);
        await Eventually.HoldsAsync(() => broker.Partition("t").Waiters.Waiting == 2);
        while (!asking.HasResponse())
        {
            broker.Time.Advance(TimeSpan.FromSeconds(2)); // the timer may be made after the first
            await Task.Yield();
        }
        DescribeProducersResponse.PartitionResponse late = (await asking.ReceiveAsync<DescribeProducersResponse>(question, 0)).Single();
        Assert.Equal(ErrorCode.RequestTimedOut, late.ErrorCode);
        Assert.NotNull(late.ErrorMessage);
    }

    [Fact]
    public async Task A_restart_of_the_broker_keeps_what_is_known_of_producers()
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using (TestClient client = broker.Connect())
        {
            await WriteAsync(client, id: 10, epoch: 2, sequence: 0, records: 9);
        }
        await broker.RestartAsync();
        await using TestClient again = broker.Connect();
        DescribeProducersResponse.ProducerState kept = (await again.AskAsync(Ask.Producers("t", 10), 0)).Single().ActiveProducers.Single();
        Assert.Equal((2, 8), (kept.ProducerEpoch, kept.LastSequence));
    }

    [Theory]
    [InlineData("none", ErrorCode.UnknownTopicOrPartition)]
    [InlineData("not a name", ErrorCode.InvalidTopicException)]
    public async Task A_topic_that_is_not_there_is_told(string topic, ErrorCode expected)
    {
        await using var broker = new TestBroker();
        await using TestClient client = broker.Connect();
        Assert.Equal(expected, (await client.AskAsync(Ask.Producers(topic), 0)).Single().ErrorCode);
    }

    private static ProduceRequest Request(long id, short epoch, int sequence, int records) =>
        Ask.Produce("t", Batches.Of(records, new BatchProducer(id, epoch, sequence)));

    private static async Task WriteAsync(TestClient client, long id, short epoch, int sequence, int records) =>
        Assert.Equal(ErrorCode.None, (await client.AskAsync(Request(id, epoch, sequence, records), 9)).Single().ErrorCode);
}
