using Tributary.Broker.Metadata;
using Tributary.Broker.Partitions;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Contracts.Telemetry;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>
/// Names brokers, topics and who leads their partitions; creates topics that a client asks for and that aren't there yet.
/// </summary>
internal sealed class MetadataHandler(BrokerContext broker) : ApiHandler<MetadataRequest, MetadataResponse>(broker)
{
    private const short EmptyAsksForAll = 0;
    private const short TopicsByIdSince = 12;

    /// <summary>About what a topic and a partition take in the answer.</summary>
    private const int TopicBytes = 64;
    private const int PartitionBytes = 48;

    private readonly TopicCreation _creation = new(broker);

    /// <summary>Names each topic once: a request that repeats one must not get its partitions as often.</summary>
    protected override long Prepare(MetadataRequest body)
    {
        ClusterSnapshot snapshot = Broker.Control.Snapshot;
        if (body.Topics is not { Length: > 0 })
        {
            return snapshot.Topics.Values.Sum(SizeOf);
        }
        if (body.Topics.Length > 1)
        {
            body.Topics = [.. body.Topics.DistinctBy(topic => (topic.Name, topic.TopicId))];
        }
        return body.Topics.Sum(topic =>
            (topic.Name is null ? snapshot.TopicsById.GetValueOrDefault(topic.TopicId) : snapshot.Topics.GetValueOrDefault(topic.Name))
            is { } known ? SizeOf(known) : 0);

        static long SizeOf(TopicInfo topic) => TopicBytes + ((long)PartitionBytes * topic.Partitions.Length);
    }

    /// <inheritdoc/>
    protected override async ValueTask<MetadataResponse> AnswerAsync(Request request, MetadataRequest body, CancellationToken cancellation)
    {
        MetadataRequest.MetadataRequestTopic[]? asked = body.Topics;
        bool isAll = asked is null || (asked.Length == 0 && request.Version == EmptyAsksForAll);
        Dictionary<string, ErrorCode> creations = isAll || !body.AllowAutoTopicCreation || !Broker.Options.AutoCreateTopics
            ? []
            : await CreateMissingAsync(asked!, cancellation);
        ClusterSnapshot snapshot = Broker.Control.Snapshot;
        MetadataResponse.MetadataResponseTopic[] topics = isAll
            ? [.. snapshot.Topics.Values.OrderBy(topic => topic.Name, StringComparer.Ordinal).Select(Describe)]
            : [.. asked!.Select(topic => Find(snapshot, topic, request.Version, creations))];
        if (body.IncludeTopicAuthorizedOperations)
        {
            foreach (MetadataResponse.MetadataResponseTopic topic in topics.Where(topic => topic.ErrorCode == ErrorCode.None))
            {
                topic.TopicAuthorizedOperations = AuthorizedOperations.OfTopic;
            }
        }
        return new MetadataResponse
        {
            Brokers =
            [
                .. snapshot.Brokers.Select(node => new MetadataResponse.MetadataResponseBroker
                {
                    NodeId = node.NodeId,
                    Host = node.Host,
                    Port = node.Port,
                }),
            ],
            ClusterId = snapshot.ClusterId,
            ControllerId = snapshot.ControllerId,
            Topics = topics,
            ClusterAuthorizedOperations = body.IncludeClusterAuthorizedOperations ? AuthorizedOperations.OfCluster : AuthorizedOperations.Omitted,
        };
    }

    /// <returns>What became of the topics that weren't there, where it isn't success.</returns>
    private async ValueTask<Dictionary<string, ErrorCode>> CreateMissingAsync(
        MetadataRequest.MetadataRequestTopic[] asked, CancellationToken cancellation)
    {
        var failed = new Dictionary<string, ErrorCode>(StringComparer.Ordinal);
        int tried = 0;
        foreach (MetadataRequest.MetadataRequestTopic topic in asked)
        {
            if (topic.Name is not { } name || Broker.Control.Snapshot.Topics.ContainsKey(name) || !KafkaTopicName.IsValid(name)
                || failed.ContainsKey(name))
            {
                continue;
            }
            ErrorCode error = tried++ < Broker.Options.MaxTopicsPerCreate
                ? await _creation.CreateDefaultAsync(name, cancellation)
                : ErrorCode.PolicyViolation;
            if (error != ErrorCode.None)
            {
                // A creation that isn't over is no error to a client that goes on asking.
                failed.Add(name, error == ErrorCode.RequestTimedOut ? ErrorCode.LeaderNotAvailable : error);
            }
        }
        return failed;
    }

    private MetadataResponse.MetadataResponseTopic Find(
        ClusterSnapshot snapshot, MetadataRequest.MetadataRequestTopic asked, short version, Dictionary<string, ErrorCode> creations)
    {
        if (version < TopicsByIdSince && (asked.Name is null || asked.TopicId != Guid.Empty))
        {
            return Fail(asked.Name ?? "", asked.TopicId, ErrorCode.InvalidRequest);
        }
        if (asked.Name is not { } name)
        {
            return snapshot.TopicsById.TryGetValue(asked.TopicId, out TopicInfo? known)
                ? Describe(known)
                : Fail(null, asked.TopicId, ErrorCode.UnknownTopicId);
        }
        if (snapshot.Topics.TryGetValue(name, out TopicInfo? topic))
        {
            return Describe(topic);
        }
        return Fail(
            name, Guid.Empty,
            !KafkaTopicName.IsValid(name) ? ErrorCode.InvalidTopicException
            : creations.GetValueOrDefault(name) is var error and not ErrorCode.None ? error
            : ErrorCode.UnknownTopicOrPartition);
    }

    private MetadataResponse.MetadataResponseTopic Fail(string? name, Guid id, ErrorCode error) =>
        new() { Name = name, TopicId = id, ErrorCode = Counted(error) };

    private static MetadataResponse.MetadataResponseTopic Describe(TopicInfo topic) => new()
    {
        Name = topic.Name,
        TopicId = topic.Id,
        Partitions =
        [
            .. topic.Partitions.Select(partition => new MetadataResponse.MetadataResponsePartition
            {
                ErrorCode = partition.Leader < 0 ? ErrorCode.LeaderNotAvailable : ErrorCode.None,
                PartitionIndex = partition.Index,
                LeaderId = partition.Leader,
                LeaderEpoch = partition.LeaderEpoch,
                ReplicaNodes = [.. partition.Replicas],
                IsrNodes = [.. partition.InSync],
            }),
        ],
    };
}
