using Tributary.Contracts.Kafka.Messages;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Broker.Support;

/// <summary>A member of the newer consumer protocol that sends exactly the heartbeats that a test wants sent.</summary>
internal sealed class ConsumerTestMember(TestClient client, string group = "g", short version = 1, string? instance = null) : IAsyncDisposable
{
    public string Id { get; set; } = Guid.NewGuid().ToString();

    public int Epoch { get; set; }

    public string[]? Topics { get; set; } = ["t"];

    public string? Pattern { get; set; }

    public string? Assignor { get; set; }

    public int RebalanceTimeoutMs { get; set; } = 60_000;

    /// <summary>What it was told that it may use, and takes at once.</summary>
    public (Guid Topic, int Partition)[] Owned { get; set; } = [];

    public ConsumerGroupHeartbeatResponse Last { get; private set; } = new();

    public int[] Partitions => [.. Owned.Select(one => one.Partition).Order()];

    /// <summary>All that it could say.</summary>
    public ConsumerGroupHeartbeatRequest Whole() => new()
    {
        GroupId = group,
        MemberId = Id,
        MemberEpoch = Epoch,
        InstanceId = instance,
        RebalanceTimeoutMs = RebalanceTimeoutMs,
        SubscribedTopicNames = Topics,
        SubscribedTopicRegex = version >= 1 ? Pattern : null,
        ServerAssignor = Assignor,
        TopicPartitions = [.. Owned.GroupBy(one => one.Topic).Select(topic => new ConsumerGroupHeartbeatRequest.OwnedTopicPartitions
        {
            TopicId = topic.Key,
            Partitions = [.. topic.Select(one => one.Partition)],
        })],
    };

    public async Task<ErrorCode> JoinAsync()
    {
        (Epoch, Owned) = (0, []);
        return await AskAsync(Whole());
    }

    /// <summary>Says all, and does what it is told.</summary>
    public Task<ErrorCode> TellAsync() => AskAsync(Whole());

    /// <summary>Says that nothing has changed.</summary>
    public Task<ErrorCode> LiveAsync() =>
        AskAsync(new ConsumerGroupHeartbeatRequest { GroupId = group, MemberId = Id, MemberEpoch = Epoch, InstanceId = instance });

    public Task<ErrorCode> LeaveAsync(int epoch = -1) =>
        AskAsync(new ConsumerGroupHeartbeatRequest { GroupId = group, MemberId = Id, MemberEpoch = epoch, InstanceId = instance });

    public async Task<ErrorCode> AskAsync(ConsumerGroupHeartbeatRequest request)
    {
        Last = await client.AskAsync(request, version);
        if (Last.ErrorCode == ErrorCode.None)
        {
            (Id, Epoch) = (Last.MemberId!, Last.MemberEpoch);
            if (Last.Assignment is { } assignment)
            {
                Owned = [.. assignment.TopicPartitions.SelectMany(topic => topic.Partitions.Select(partition => (topic.TopicId, partition)))];
            }
        }
        return Last.ErrorCode;
    }

    public async Task<ErrorCode> CommitAsync(long offset, short version = 9, string topic = "t") => (await client.AskAsync(
        new OffsetCommitRequest
        {
            GroupId = group,
            GenerationId = Epoch,
            MemberId = Id,
            Topics = [new() { Name = topic, Partitions = [new() { PartitionIndex = 0, CommittedOffset = offset }] }],
        },
        version)).Topics.Single().Partitions.Single().ErrorCode;

    public async Task<(ErrorCode Error, long Offset)> CommittedAsync(string? member, int epoch, string topic = "t")
    {
        OffsetFetchResponse.OffsetFetchResponseGroup response = (await client.AskAsync(
            new OffsetFetchRequest
            {
                Groups = [new() { GroupId = group, MemberId = member, MemberEpoch = epoch, Topics = [new() { Name = topic, PartitionIndexes = [0] }] }],
            },
            9)).Groups.Single();
        return (response.ErrorCode, response.ErrorCode == ErrorCode.None ? response.Topics.Single().Partitions.Single().CommittedOffset : -1);
    }

    public ValueTask DisposeAsync() => client.DisposeAsync();
}
