using Tributary.Contracts.Kafka.Messages;
using Tributary.Tests.Broker.Support;
using Xunit;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Broker.Gateway;

/// <summary>DescribeCluster, DescribeLogDirs, DescribeTopicPartitions, ElectLeaders and the reassignments.</summary>
public sealed class ClusterTests
{
    [Theory]
    [EveryVersion<DescribeClusterRequest>]
    public async Task Every_version_of_DescribeCluster_names_the_brokers(short version)
    {
        await using var broker = new TestBroker();
        await using TestClient client = broker.Connect();
        DescribeClusterResponse plain = await client.AskAsync(new DescribeClusterRequest(), version);
        Assert.Equal((ErrorCode.None, broker.Control.Snapshot.ClusterId, 1), (plain.ErrorCode, plain.ClusterId, plain.ControllerId));
        Assert.Equal([(1, "localhost", 9092, false)], plain.Brokers.Select(node => (node.BrokerId, node.Host, node.Port, node.IsFenced)));
        Assert.Equal(int.MinValue, plain.ClusterAuthorizedOperations);
        DescribeClusterResponse more = await client.AskAsync(new DescribeClusterRequest { IncludeClusterAuthorizedOperations = true }, version);
        Assert.True(more.ClusterAuthorizedOperations > 0);
    }

    [Theory]
    [InlineData(2, ErrorCode.MismatchedEndpointType)]
    [InlineData(3, ErrorCode.UnsupportedEndpointType)]
    public async Task Only_brokers_are_described(sbyte endpoint, ErrorCode expected)
    {
        await using var broker = new TestBroker();
        await using TestClient client = broker.Connect();
        DescribeClusterResponse response = await client.AskAsync(new DescribeClusterRequest { EndpointType = endpoint }, 1);
        Assert.Equal(expected, response.ErrorCode);
        Assert.NotNull(response.ErrorMessage);
    }

    [Theory]
    [EveryVersion<DescribeLogDirsRequest>]
    public async Task Every_version_of_DescribeLogDirs_tells_the_size_of_partitions(short version)
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("a", 2);
        await broker.CreateTopicAsync("b");
        await using TestClient client = broker.Connect();
        await client.AskAsync(Ask.Produce("a", Batches.Of(valueBytes: 1000)), 9);
        DescribeLogDirsResponse.DescribeLogDirsResult all =
            (await client.AskAsync(new DescribeLogDirsRequest { Topics = null }, version)).Results.Single();
        Assert.Equal((ErrorCode.None, "data/log"), (all.ErrorCode, all.LogDir));
        Assert.Equal([("a", 2), ("b", 1)], all.Topics.Select(topic => (topic.Name, topic.Partitions.Length)));
        Assert.True(all.Topics[0].Partitions[0].PartitionSize > 1000);
        Assert.Equal(version >= 4, all.UsableBytes >= 0);
        DescribeLogDirsResponse some = await client.AskAsync(
            new DescribeLogDirsRequest
            {
                Topics = [new() { Topic = "a", Partitions = [1, 1, 9] }, new() { Topic = "a", Partitions = [1] }, new() { Topic = "unknown", Partitions = [0] }],
            },
            version);
        Assert.Equal([("a", 1)], some.Results.Single().Topics.SelectMany(topic => topic.Partitions.Select(one => (topic.Name, one.PartitionIndex))));
    }

    [Fact]
    public async Task Partitions_are_described_page_by_page_in_order_and_none_twice()
    {
        await using var broker = new TestBroker();
        foreach ((string name, int partitions) in new[] { ("b", 3), ("a", 2), ("c", 4) })
        {
            await broker.CreateTopicAsync(name, partitions);
        }
        await using TestClient client = broker.Connect();
        foreach (int limit in new[] { 1, 2, 3, 5, 9, 2000 })
        {
            var seen = new List<(string, int)>();
            var request = new DescribeTopicPartitionsRequest { ResponsePartitionLimit = limit };
            do
            {
                DescribeTopicPartitionsResponse page = await client.AskAsync(request, 0);
                (string, int)[] found = [.. page.Topics.SelectMany(topic => topic.Partitions.Select(one => (topic.Name!, one.PartitionIndex)))];
                Assert.InRange(found.Length, 1, limit);
                Assert.All(page.Topics, topic => Assert.Equal(broker.Control.Snapshot.Topics[topic.Name!].Id, topic.TopicId));
                seen.AddRange(found);
                request.Cursor = page.NextCursor is { } next ? new() { TopicName = next.TopicName, PartitionIndex = next.PartitionIndex } : null;
            }
            while (request.Cursor is not null);
            Assert.Equal(
                [("a", 0), ("a", 1), ("b", 0), ("b", 1), ("b", 2), ("c", 0), ("c", 1), ("c", 2), ("c", 3)], seen);
        }
    }

    [Fact]
    public async Task Only_the_topics_asked_for_are_described_from_the_cursor_on()
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("a", 2);
        await broker.CreateTopicAsync("c", 2);
        await using TestClient client = broker.Connect();
        DescribeTopicPartitionsResponse response = await client.AskAsync(
            new DescribeTopicPartitionsRequest
            {
                Topics = [new() { Name = "c" }, new() { Name = "unknown" }, new() { Name = "a" }, new() { Name = "no/name" }],
                Cursor = new() { TopicName = "c", PartitionIndex = 1 },
            },
            0);
        Assert.Equal(
            [("c", ErrorCode.None, 1), ("no/name", ErrorCode.InvalidTopicException, 0), ("unknown", ErrorCode.UnknownTopicOrPartition, 0)],
            response.Topics.Select(topic => (topic.Name, topic.ErrorCode, topic.Partitions.Length)));
        Assert.Null(response.NextCursor);
    }

    [Theory]
    [EveryVersion<ElectLeadersRequest>]
    public async Task A_broker_that_is_alone_needs_no_election(short version)
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        ElectLeadersResponse response = await client.AskAsync(
            new ElectLeadersRequest { TopicPartitions = [new() { Topic = "t", Partitions = [0, 1] }, new() { Topic = "u", Partitions = [0] }] }, version);
        Assert.Equal(
            [("t", 0, ErrorCode.ElectionNotNeeded), ("t", 1, ErrorCode.UnknownTopicOrPartition), ("u", 0, ErrorCode.UnknownTopicOrPartition)],
            response.ReplicaElectionResults.SelectMany(topic => topic.PartitionResult.Select(one => (topic.Topic, one.PartitionId, one.ErrorCode))));
        Assert.Empty((await client.AskAsync(new ElectLeadersRequest { TopicPartitions = null }, version)).ReplicaElectionResults);
    }

    [Fact]
    public async Task A_partition_may_be_asked_to_be_where_it_is_and_no_move_can_be_ended()
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t", 2);
        await using TestClient client = broker.Connect();
        AlterPartitionReassignmentsResponse response = await client.AskAsync(
            new AlterPartitionReassignmentsRequest
            {
                Topics =
                [
                    new()
                    {
                        Name = "t",
                        Partitions =
                        [
                            new() { PartitionIndex = 0, Replicas = [1] }, new() { PartitionIndex = 1, Replicas = [2] },
                            new() { PartitionIndex = 1, Replicas = [] }, new() { PartitionIndex = 0, Replicas = [1, 1] },
                            new() { PartitionIndex = 0, Replicas = null }, new() { PartitionIndex = 2, Replicas = [1] },
                        ],
                    },
                    new() { Name = "unknown", Partitions = [new() { PartitionIndex = 0, Replicas = null }] },
                ],
            }, 0);
        Assert.Equal((ErrorCode.None, null), (response.ErrorCode, response.ErrorMessage));
        Assert.Equal(["t", "unknown"], response.Responses.Select(topic => topic.Name));
        Assert.Equal(
            [
                (0, ErrorCode.None), (1, ErrorCode.InvalidReplicaAssignment), (1, ErrorCode.InvalidReplicaAssignment),
                (0, ErrorCode.InvalidReplicaAssignment), (0, ErrorCode.NoReassignmentInProgress), (2, ErrorCode.UnknownTopicOrPartition),
                (0, ErrorCode.UnknownTopicOrPartition),
            ],
            response.Responses.SelectMany(topic => topic.Partitions).Select(one => (one.PartitionIndex, one.ErrorCode)));
        Assert.All(
            response.Responses.SelectMany(topic => topic.Partitions),
            one => Assert.Equal(one.ErrorCode == ErrorCode.None, one.ErrorMessage is null));
    }

    [Fact]
    public async Task No_partition_moves()
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        ListPartitionReassignmentsResponse response = await client.AskAsync(new ListPartitionReassignmentsRequest(), 0);
        Assert.Equal(ErrorCode.None, response.ErrorCode);
        Assert.Empty(response.Topics);
    }
}
