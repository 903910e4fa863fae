using Tributary.Broker;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Tests.Broker.Support;
using Xunit;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Broker.Gateway;

public sealed class MetadataTests
{
    [Theory]
    [EveryVersion<MetadataRequest>]
    public async Task Every_version_tells_brokers_topics_and_leaders(short version)
    {
        await using var broker = new TestBroker();
        Guid id = await broker.CreateTopicAsync("t", partitions: 3);
        await using TestClient client = broker.Connect();
        MetadataResponse response = await client.AskAsync(Ask.Metadata("t"), version);
        MetadataResponse.MetadataResponseBroker node = response.Brokers.Single();
        Assert.Equal((TestControlPlane.NodeId, "localhost", 9092), (node.NodeId, node.Host, node.Port));
        MetadataResponse.MetadataResponseTopic topic = response.Topics.Single();
        Assert.Equal(ErrorCode.None, topic.ErrorCode);
        Assert.Equal("t", topic.Name);
        Assert.Equal(version >= 10 ? id : Guid.Empty, topic.TopicId);
        Assert.Equal([0, 1, 2], topic.Partitions.Select(partition => partition.PartitionIndex));
        Assert.All(topic.Partitions, partition =>
        {
            Assert.Equal(ErrorCode.None, partition.ErrorCode);
            Assert.Equal(TestControlPlane.NodeId, partition.LeaderId);
            Assert.Equal(version >= 7 ? 0 : -1, partition.LeaderEpoch);
            Assert.Equal([TestControlPlane.NodeId], partition.ReplicaNodes);
            Assert.Equal([TestControlPlane.NodeId], partition.IsrNodes);
        });
        Assert.Equal(version >= 1 ? TestControlPlane.NodeId : -1, response.ControllerId);
        Assert.Equal(version >= 2 ? broker.Control.Snapshot.ClusterId : null, response.ClusterId);
    }

    [Theory]
    [InlineData(0, false, 2)]
    [EveryVersion<MetadataRequest>(false, 0, Since = 1)]
    [EveryVersion<MetadataRequest>(true, 2, Since = 1)]
    public async Task Null_asks_for_all_topics_and_an_empty_list_for_none_but_in_version_0(short version, bool isNull, int expected)
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("a");
        await broker.CreateTopicAsync("b");
        await using TestClient client = broker.Connect();
        MetadataResponse response = await client.AskAsync(new MetadataRequest { Topics = isNull ? null : [] }, version);
        Assert.Equal(expected, response.Topics.Length);
    }

    [Theory]
    [EveryVersion<MetadataRequest>]
    public async Task An_unknown_topic_is_created_with_the_default_partitions_and_can_be_used_at_once(short version)
    {
        await using var broker = new TestBroker();
        await using TestClient client = broker.Connect();
        MetadataResponse.MetadataResponseTopic topic = (await client.AskAsync(Ask.Metadata("new.topic"), version)).Topics.Single();
        Assert.Equal(ErrorCode.None, topic.ErrorCode);
        Assert.Equal(broker.Server.Partitions.All.Count(), topic.Partitions.Length);
        Assert.Equal(4, topic.Partitions.Length);
        ProduceResponse produced = await client.AskAsync(Ask.Produce("new.topic", Batches.Of(), partition: 3), 11);
        Assert.Equal(ErrorCode.None, produced.Single().ErrorCode);
    }

    [Theory]
    [EveryVersion<MetadataRequest>(false)]
    [EveryVersion<MetadataRequest>(true, Since = 4)]
    public async Task An_unknown_topic_is_not_created_when_client_or_broker_do_not_want_it(short version, bool brokerWants)
    {
        await using var broker = new TestBroker(new BrokerOptions { AutoCreateTopics = brokerWants });
        await using TestClient client = broker.Connect();
        MetadataResponse response = await client.AskAsync(Ask.Metadata("t", create: !brokerWants), version);
        Assert.Equal(ErrorCode.UnknownTopicOrPartition, response.Topics.Single().ErrorCode);
        Assert.Empty(broker.Control.Asked);
    }

    [Theory]
    [EveryVersion<MetadataRequest>("")]
    [EveryVersion<MetadataRequest>("..")]
    [EveryVersion<MetadataRequest>("no spaces")]
    public async Task An_invalid_name_is_refused_and_not_created(short version, string name)
    {
        await using var broker = new TestBroker();
        await using TestClient client = broker.Connect();
        MetadataResponse response = await client.AskAsync(Ask.Metadata(name), version);
        Assert.Equal(ErrorCode.InvalidTopicException, response.Topics.Single().ErrorCode);
        Assert.Empty(broker.Control.Asked);
    }

    [Theory]
    [EveryVersion<MetadataRequest>(Since = 12)]
    public async Task A_topic_is_found_by_its_id_and_an_id_of_no_topic_is_unknown(short version)
    {
        await using var broker = new TestBroker();
        Guid id = await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        var other = Guid.NewGuid();
        var request = new MetadataRequest { Topics = [new() { Name = null, TopicId = id }, new() { Name = null, TopicId = other }] };
        MetadataResponse response = await client.AskAsync(request, version);
        Assert.Equal(
            [("t", id, ErrorCode.None), (null, other, ErrorCode.UnknownTopicId)],
            response.Topics.Select(topic => (topic.Name, topic.TopicId, topic.ErrorCode)));
    }

    [Theory]
    [EveryVersion<MetadataRequest>(Since = 10, Until = 11)]
    public async Task Versions_that_have_ids_and_no_look_up_by_them_refuse_it(short version)
    {
        await using var broker = new TestBroker();
        Guid id = await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        MetadataResponse response = await client.AskAsync(new MetadataRequest { Topics = [new() { Name = null, TopicId = id }] }, version);
        Assert.Equal(ErrorCode.InvalidRequest, response.Topics.Single().ErrorCode);
    }

    [Theory]
    [EveryVersion<MetadataRequest>]
    public async Task A_control_plane_that_fails_gives_an_error_that_clients_try_again(short version)
    {
        await using var broker = new TestBroker();
        broker.Control.Failure = new IOException("no store");
        await using TestClient client = broker.Connect();
        Assert.Equal(ErrorCode.LeaderNotAvailable, (await client.AskAsync(Ask.Metadata("t"), version)).Topics.Single().ErrorCode);
        broker.Control.Failure = null;
        Assert.Equal(ErrorCode.None, (await client.AskAsync(Ask.Metadata("t"), version)).Topics.Single().ErrorCode);
    }

    [Theory]
    [EveryVersion<MetadataRequest>]
    public async Task One_request_creates_a_limited_number_of_topics(short version)
    {
        await using var broker = new TestBroker(new BrokerOptions { MaxTopicsPerCreate = 2, DefaultPartitions = 1 });
        await using TestClient client = broker.Connect();
        MetadataResponse response = await client.AskAsync(
            new MetadataRequest { Topics = [.. "abcd".Select(name => new MetadataRequest.MetadataRequestTopic { Name = $"{name}" })] }, version);
        Assert.Equal(
            [ErrorCode.None, ErrorCode.None, ErrorCode.PolicyViolation, ErrorCode.PolicyViolation],
            response.Topics.Select(topic => topic.ErrorCode));
        Assert.Equal(2, broker.Control.Asked.Count);
    }

    [Theory]
    [EveryVersion<MetadataRequest>]
    public async Task A_partition_without_leader_says_so(short version)
    {
        await using var broker = new TestBroker();
        await broker.Control.SetAsync(TestControlPlane.Make("t", Guid.NewGuid(), 1, leader: -1));
        await using TestClient client = broker.Connect();
        MetadataResponse response = await client.AskAsync(Ask.Metadata("t"), version);
        Assert.Equal(ErrorCode.LeaderNotAvailable, response.Topics.Single().Partitions.Single().ErrorCode);
        Assert.Equal(-1, response.Topics.Single().Partitions.Single().LeaderId);
    }

    [Fact]
    public async Task Operations_are_told_only_to_whom_asks()
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        MetadataResponse without = await client.AskAsync(Ask.Metadata("t"), 8);
        Assert.Equal(
            (int.MinValue, int.MinValue), (without.ClusterAuthorizedOperations, without.Topics.Single().TopicAuthorizedOperations));
        MetadataRequest asking = Ask.Metadata("t");
        asking.IncludeClusterAuthorizedOperations = asking.IncludeTopicAuthorizedOperations = true;
        MetadataResponse with = await client.AskAsync(asking, 8);
        Assert.Equal((8096, 3576), (with.ClusterAuthorizedOperations, with.Topics.Single().TopicAuthorizedOperations));
    }
}
