using Tributary.Broker;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Tests.Broker.Support;
using Xunit;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Broker.Gateway;

public sealed class CreatePartitionsTests
{
    [Theory]
    [EveryVersion<CreatePartitionsRequest>]
    public async Task Every_version_adds_partitions_that_can_be_used_at_once(short version)
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t", 1);
        await using TestClient client = broker.Connect();
        await client.AskAsync(Ask.Produce("t", Batches.Of()), 9);
        CreatePartitionsResponse response = await client.AskAsync(More(3), version);
        Assert.Equal(("t", ErrorCode.None, null), (response.Results[0].Name, response.Results[0].ErrorCode, response.Results[0].ErrorMessage));
        Assert.Equal(ErrorCode.None, (await client.AskAsync(Ask.Produce("t", Batches.Of(), partition: 2), 9)).Single().ErrorCode);
        Assert.Equal(1, (await client.AskAsync(Ask.Produce("t", Batches.Of()), 9)).Single().BaseOffset);
    }

    [Theory]
    [EveryVersion<CreatePartitionsRequest>]
    public async Task A_check_adds_nothing(short version)
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t", 1);
        await using TestClient client = broker.Connect();
        CreatePartitionsRequest request = More(3);
        request.ValidateOnly = true;
        Assert.Equal(ErrorCode.None, (await client.AskAsync(request, version)).Results.Single().ErrorCode);
        Assert.Single(broker.Control.Snapshot.Topics["t"].Partitions);
    }

    [Theory]
    [EveryVersion<CreatePartitionsRequest>(1, null, ErrorCode.InvalidPartitions)]
    [EveryVersion<CreatePartitionsRequest>(2, null, ErrorCode.InvalidPartitions)]
    [EveryVersion<CreatePartitionsRequest>(-1, null, ErrorCode.InvalidPartitions)]
    [EveryVersion<CreatePartitionsRequest>(11, null, ErrorCode.InvalidPartitions)]
    [EveryVersion<CreatePartitionsRequest>(4, new[] { 1 }, ErrorCode.InvalidReplicaAssignment)]
    [EveryVersion<CreatePartitionsRequest>(4, new[] { 1, 7 }, ErrorCode.InvalidReplicaAssignment)]
    [EveryVersion<CreatePartitionsRequest>(4, new[] { 1, 1 }, ErrorCode.None)]
    public async Task What_cannot_be_is_refused_with_a_sentence(short version, int count, int[]? brokers, ErrorCode expected)
    {
        await using var broker = new TestBroker(new BrokerOptions { MaxPartitionsPerTopic = 10 });
        await broker.CreateTopicAsync("t", 2);
        await using TestClient client = broker.Connect();
        CreatePartitionsRequest request = More(count);
        request.Topics[0].Assignments =
            brokers is null ? null : [.. brokers.Select(id => new CreatePartitionsRequest.CreatePartitionsAssignment { BrokerIds = [id] })];
        CreatePartitionsResponse.CreatePartitionsTopicResult result = (await client.AskAsync(request, version)).Results.Single();
        Assert.Equal(expected, result.ErrorCode);
        Assert.Equal(expected != ErrorCode.None, result.ErrorMessage is not null);
    }

    [Theory]
    [EveryVersion<CreatePartitionsRequest>]
    public async Task A_topic_that_is_unknown_or_named_twice_is_refused(short version)
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t", 1);
        await using TestClient client = broker.Connect();
        CreatePartitionsRequest request = More(3);
        request.Topics = [request.Topics[0], More(4).Topics[0], new() { Name = "unknown", Count = 2, Assignments = null }];
        Assert.Equal(
            [ErrorCode.InvalidRequest, ErrorCode.InvalidRequest, ErrorCode.UnknownTopicOrPartition],
            (await client.AskAsync(request, version)).Results.Select(result => result.ErrorCode));
    }

    private static CreatePartitionsRequest More(int count) =>
        new() { Topics = [new() { Name = "t", Count = count, Assignments = null }], TimeoutMs = 30_000 };
}
