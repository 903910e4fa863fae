using Tributary.Contracts.Kafka.Messages;
using Tributary.Tests.Broker.Support;
using Xunit;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Broker.Gateway;

public sealed class DeleteTopicsTests
{
    [Theory]
    [EveryVersion<DeleteTopicsRequest>]
    public async Task Every_version_deletes_by_name(short version)
    {
        await using var broker = new TestBroker();
        Guid id = await broker.CreateTopicAsync("t", 2);
        await using TestClient client = broker.Connect();
        await client.AskAsync(Ask.Produce("t", Batches.Of()), 9);
        DeleteTopicsResponse response = await client.AskAsync(ByName(version, "t", "unknown"), version);
        Assert.Equal([("t", ErrorCode.None), ("unknown", ErrorCode.UnknownTopicOrPartition)], response.Responses.Select(one => (one.Name, one.ErrorCode)));
        Assert.Equal(version >= 6 ? id : Guid.Empty, response.Responses[0].TopicId);
        Assert.Equal(version >= 5, response.Responses[1].ErrorMessage is not null);
        Assert.Empty(broker.Control.Snapshot.Topics);
        Assert.Empty(broker.Logs.List());
        Assert.Equal(ErrorCode.UnknownTopicOrPartition, (await client.AskAsync(Ask.Produce("t", Batches.Of()), 9)).Single().ErrorCode);
    }

    [Fact]
    public async Task A_topic_is_deleted_by_its_id_and_a_name_with_an_id_is_refused()
    {
        await using var broker = new TestBroker();
        Guid id = await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        DeleteTopicsResponse refused = await client.AskAsync(
            new DeleteTopicsRequest { Topics = [new() { Name = "t", TopicId = id }, new(), new() { TopicId = Guid.NewGuid() }], TimeoutMs = 1000 }, 6);
        Assert.Equal(
            [ErrorCode.InvalidRequest, ErrorCode.InvalidRequest, ErrorCode.UnknownTopicId], refused.Responses.Select(one => one.ErrorCode));
        DeleteTopicsResponse done = await client.AskAsync(new DeleteTopicsRequest { Topics = [new() { TopicId = id }], TimeoutMs = 1000 }, 6);
        Assert.Equal(("t", id, ErrorCode.None), (done.Responses.Single().Name, done.Responses.Single().TopicId, done.Responses.Single().ErrorCode));
    }

    [Fact]
    public async Task A_topic_that_is_named_twice_stays()
    {
        await using var broker = new TestBroker();
        Guid id = await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        DeleteTopicsResponse response = await client.AskAsync(
            new DeleteTopicsRequest { Topics = [new() { Name = "t" }, new() { TopicId = id }], TimeoutMs = 1000 }, 6);
        Assert.All(response.Responses, one => Assert.Equal(ErrorCode.InvalidRequest, one.ErrorCode));
        Assert.Single(broker.Control.Snapshot.Topics);
    }

    [Theory]
    [EveryVersion<DeleteTopicsRequest>]
    public async Task Whoever_waits_for_records_or_for_a_flush_is_answered(short version)
    {
        await using var broker = new TestBroker();
        Guid id = await broker.CreateTopicAsync("t");
        await using TestClient reader = broker.Connect();
        await using TestClient writer = broker.Connect();
        await using TestClient admin = broker.Connect();
        int fetch = await reader.SendAsync(Ask.Fetch("t", 0, maxWaitMs: 60_000, id: id), 13);
        await Eventually.HoldsAsync(() => broker.Partition("t").Waiters.Readers == 1);
        broker.Storage.Close();
        int produce = await writer.SendAsync(Ask.Produce("t", Batches.Of()), 9);
        await Eventually.HoldsAsync(() => broker.Storage.HeldUp == 1 && broker.Partition("t").Waiters.Waiting == 1);
        int delete = await admin.SendAsync(ByName(version, "t"), version);
        Assert.Equal(
            ErrorCode.UnknownTopicOrPartition, (await writer.ReceiveAsync<ProduceResponse>(produce, 9)).Single().ErrorCode);
        Assert.Contains(
            (await reader.ReceiveAsync<FetchResponse>(fetch, 13)).Single().ErrorCode,
            new[] { ErrorCode.UnknownTopicId, ErrorCode.UnknownTopicOrPartition });
        broker.Storage.Open();
        Assert.Equal(ErrorCode.None, (await admin.ReceiveAsync<DeleteTopicsResponse>(delete, version)).Responses.Single().ErrorCode);
    }

    [Theory]
    [EveryVersion<DeleteTopicsRequest>]
    public async Task A_topic_that_is_made_anew_has_another_id_and_none_of_the_old_records(short version)
    {
        await using var broker = new TestBroker();
        Guid old = await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        await client.AskAsync(Ask.Produce("t", Batches.Of(3)), 9);
        await client.AskAsync(ByName(version, "t"), version);
        Guid now = await broker.CreateTopicAsync("t");
        Assert.NotEqual(old, now);
        Assert.Equal(ErrorCode.UnknownTopicId, (await client.AskAsync(Ask.Fetch("", 0, id: old), 13)).Single().ErrorCode);
        Assert.Equal(0, (await client.AskAsync(Ask.Fetch("", 0, id: now), 13)).Single().HighWatermark);
        Assert.Equal(0, (await client.AskAsync(Ask.Produce("t", Batches.Of()), 9)).Single().BaseOffset);
    }

    [Theory]
    [EveryVersion<DeleteTopicsRequest>]
    public async Task A_control_plane_that_fails_gives_an_error_that_clients_try_again(short version)
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        broker.Control.Failure = new IOException("no store");
        Assert.Equal(ErrorCode.RequestTimedOut, (await client.AskAsync(ByName(version, "t"), version)).Responses.Single().ErrorCode);
    }

    private static DeleteTopicsRequest ByName(short version, params string[] names) => version >= 6
        ? new() { Topics = [.. names.Select(name => new DeleteTopicsRequest.DeleteTopicState { Name = name })], TimeoutMs = 30_000 }
        : new() { TopicNames = names, TimeoutMs = 30_000 };
}
