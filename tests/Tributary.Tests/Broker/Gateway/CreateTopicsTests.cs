using Tributary.Broker;
using Tributary.Broker.Metadata;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Tests.Broker.Support;
using Xunit;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Broker.Gateway;

public sealed class CreateTopicsTests
{
    [Theory]
    [EveryVersion<CreateTopicsRequest>]
    public async Task Every_version_creates_a_topic_that_can_be_used_at_once(short version)
    {
        await using var broker = new TestBroker();
        await using TestClient client = broker.Connect();
        CreateTopicsRequest.CreatableTopic topic = New("t", partitions: 3);
        topic.Configs = [new() { Name = "retention.ms", Value = "1234" }];
        CreateTopicsResponse.CreatableTopicResult result = await CreateAsync(client, topic, version);
        Assert.Equal((ErrorCode.None, null), (result.ErrorCode, result.ErrorMessage));
        Assert.Equal(version >= 7 ? broker.Control.Snapshot.Topics["t"].Id : Guid.Empty, result.TopicId);
        if (version >= 5)
        {
            Assert.Equal((3, (short)1), (result.NumPartitions, result.ReplicationFactor));
            Assert.Contains(result.Configs!, config => config is { Name: "retention.ms", Value: "1234", ConfigSource: 1 });
            Assert.Contains(result.Configs!, config => config is { Name: "cleanup.policy", Value: "delete", ConfigSource: 5 });
        }
        Assert.Equal(1234, broker.Partition("t", 2).Settings.RetentionMs);
        Assert.Equal(ErrorCode.None, (await client.AskAsync(Ask.Produce("t", Batches.Of(), partition: 2), 9)).Single().ErrorCode);
    }

    [Theory]
    [EveryVersion<CreateTopicsRequest>]
    public async Task Defaults_are_asked_for_by_minus_1_in_every_version(short version)
    {
        await using var broker = new TestBroker();
        await using TestClient client = broker.Connect();
        Assert.Equal(ErrorCode.None, (await CreateAsync(client, New("t", partitions: -1, factor: -1), version)).ErrorCode);
        Assert.Equal(4, broker.Control.Snapshot.Topics["t"].Partitions.Length);
    }

    [Theory]
    [EveryVersion<CreateTopicsRequest>]
    public async Task A_check_creates_nothing(short version)
    {
        await using var broker = new TestBroker();
        await using TestClient client = broker.Connect();
        CreateTopicsResponse response = await client.AskAsync(
            new CreateTopicsRequest { Topics = [New("t", 3)], TimeoutMs = 1000, ValidateOnly = true }, version);
        Assert.Equal((ErrorCode.None, version >= 5 ? 3 : -1), (response.Topics.Single().ErrorCode, response.Topics.Single().NumPartitions));
        Assert.Empty(broker.Control.Snapshot.Topics);
    }

    public static TheoryData<string, ErrorCode, short> Bad
    {
        get
        {
            var data = new TheoryData<string, ErrorCode, short>();
            foreach ((string what, ErrorCode expected) in Faults)
            {
                for (short version = CreateTopicsRequest.MinVersion; version <= CreateTopicsRequest.MaxVersion; version++)
                {
                    data.Add(what, expected, version);
                }
            }
            return data;
        }
    }

    private static (string What, ErrorCode Expected)[] Faults =>
    [
        ("name", ErrorCode.InvalidTopicException),
        ("no partitions", ErrorCode.InvalidPartitions),
        ("too many partitions", ErrorCode.InvalidPartitions),
        ("no replicas", ErrorCode.InvalidReplicationFactor),
        ("more replicas than brokers", ErrorCode.InvalidReplicationFactor),
        ("unknown config", ErrorCode.InvalidConfig),
        ("bad config", ErrorCode.InvalidConfig),
        ("null config", ErrorCode.InvalidConfig),
        ("config twice", ErrorCode.InvalidConfig),
        ("assignment and count", ErrorCode.InvalidRequest),
        ("assignment with a gap", ErrorCode.InvalidReplicaAssignment),
        ("assignment to nobody", ErrorCode.InvalidReplicaAssignment),
    ];

    [Theory]
    [MemberData(nameof(Bad))]
    public async Task What_cannot_be_is_refused_with_a_sentence_and_does_not_hold_up_another_topic(string what, ErrorCode expected, short version)
    {
        await using var broker = new TestBroker();
        await using TestClient client = broker.Connect();
        CreateTopicsResponse response = await client.AskAsync(
            new CreateTopicsRequest { Topics = [BadTopic(what), New("good", 1)], TimeoutMs = 1000 }, version);
        Assert.Equal([expected, ErrorCode.None], response.Topics.Select(topic => topic.ErrorCode));
        Assert.NotNull(response.Topics[0].ErrorMessage);
        Assert.Equal(["good"], broker.Control.Snapshot.Topics.Keys);
    }

    [Theory]
    [EveryVersion<CreateTopicsRequest>]
    public async Task An_assignment_that_leaves_no_choice_is_taken(short version)
    {
        await using var broker = new TestBroker();
        await using TestClient client = broker.Connect();
        CreateTopicsRequest.CreatableTopic topic = New("t", -1, -1);
        topic.Assignments = [new() { PartitionIndex = 1, BrokerIds = [1] }, new() { PartitionIndex = 0, BrokerIds = [1] }];
        CreateTopicsResponse.CreatableTopicResult result = await CreateAsync(client, topic, version);
        Assert.Equal((ErrorCode.None, version >= 5 ? 2 : -1), (result.ErrorCode, result.NumPartitions));
    }

    [Theory]
    [EveryVersion<CreateTopicsRequest>]
    public async Task A_topic_that_exists_or_is_named_twice_is_refused(short version)
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        CreateTopicsResponse.CreatableTopicResult exists = await CreateAsync(client, New("t", 1), version);
        Assert.Equal((ErrorCode.TopicAlreadyExists, "Topic 't' already exists."), (exists.ErrorCode, exists.ErrorMessage));
        foreach (string what in new[] { "no partitions", "more replicas than brokers", "unknown config", "assignment to nobody" })
        {
            Assert.Equal(ErrorCode.TopicAlreadyExists, (await CreateAsync(client, BadTopic(what), version)).ErrorCode); // whatever else is wrong
        }
        CreateTopicsResponse twice = await client.AskAsync(
            new CreateTopicsRequest { Topics = [New("a", 1), New("b", 1), New("a", 2)], TimeoutMs = 1000 }, version);
        Assert.Equal([ErrorCode.InvalidRequest, ErrorCode.None, ErrorCode.InvalidRequest], twice.Topics.Select(topic => topic.ErrorCode));
    }

    [Fact]
    public async Task A_control_plane_that_fails_or_is_slow_gives_an_error_that_clients_try_again()
    {
        await using var broker = new TestBroker();
        await using TestClient client = broker.Connect();
        broker.Control.Failure = new IOException("no store");
        Assert.Equal(ErrorCode.RequestTimedOut, (await CreateAsync(client, New("t", 1), 7)).ErrorCode);
        broker.Control.Failure = null;
        broker.Control.Hold();
        int id = await client.SendAsync(new CreateTopicsRequest { Topics = [New("t", 1)], TimeoutMs = 1000 }, 7);
        while (!client.HasResponse())
        {
            broker.Time.Advance(TimeSpan.FromSeconds(1));
            await Task.Yield();
        }
        Assert.Equal(ErrorCode.RequestTimedOut, (await client.ReceiveAsync<CreateTopicsResponse>(id, 7)).Topics.Single().ErrorCode);
    }

    [Theory]
    [EveryVersion<CreateTopicsRequest>]
    public async Task One_request_creates_a_limited_number_of_topics(short version)
    {
        await using var broker = new TestBroker(new BrokerOptions { MaxTopicsPerCreate = 1 });
        await using TestClient client = broker.Connect();
        CreateTopicsResponse response = await client.AskAsync(
            new CreateTopicsRequest { Topics = [New("a", 1), New("b", 1)], TimeoutMs = 1000 }, version);
        Assert.Equal([ErrorCode.None, ErrorCode.PolicyViolation], response.Topics.Select(topic => topic.ErrorCode));
    }

    private static CreateTopicsRequest.CreatableTopic New(string name, int partitions, short factor = 1) =>
        new() { Name = name, NumPartitions = partitions, ReplicationFactor = factor };

    private static CreateTopicsRequest.CreatableTopic BadTopic(string what)
    {
        CreateTopicsRequest.CreatableTopic topic = New("t", 1);
        switch (what)
        {
            case "name":
                topic.Name = "no/name";
                break;
            case "no partitions":
                topic.NumPartitions = 0;
                break;
            case "too many partitions":
                topic.NumPartitions = 1001;
                break;
            case "no replicas":
                topic.ReplicationFactor = 0;
                break;
            case "more replicas than brokers":
                topic.ReplicationFactor = 2;
                break;
            case "unknown config":
                topic.Configs = [new() { Name = "no.such", Value = "1" }];
                break;
            case "bad config":
                topic.Configs = [new() { Name = "retention.ms", Value = "long" }];
                break;
            case "null config":
                topic.Configs = [new() { Name = "retention.ms", Value = null }];
                break;
            case "config twice":
                topic.Configs = [new() { Name = "retention.ms", Value = "1" }, new() { Name = "retention.ms", Value = "1" }];
                break;
            case "assignment and count":
                topic.Assignments = [new() { PartitionIndex = 0, BrokerIds = [1] }];
                break;
            case "assignment with a gap":
                topic = New("t", -1, -1);
                topic.Assignments = [new() { PartitionIndex = 1, BrokerIds = [1] }];
                break;
            case "assignment to nobody":
                topic = New("t", -1, -1);
                topic.Assignments = [new() { PartitionIndex = 0, BrokerIds = [7] }];
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(what));
        }
        return topic;
    }

    private static async Task<CreateTopicsResponse.CreatableTopicResult> CreateAsync(
        TestClient client, CreateTopicsRequest.CreatableTopic topic, short version) =>
        (await client.AskAsync(new CreateTopicsRequest { Topics = [topic], TimeoutMs = 1000 }, version)).Topics.Single();
}
