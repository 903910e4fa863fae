using Tributary.Broker.Metadata;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Contracts.Telemetry;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>Tells who leads the partitions of topics, a page at a time, in the order of names and indexes (KIP-966).</summary>
internal sealed class DescribeTopicPartitionsHandler(BrokerContext broker)
    : ApiHandler<DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse>(broker)
{
    /// <summary>Most partitions of a page, whatever is asked for (Kafka's <c>max.request.partition.size.limit</c>).</summary>
    internal const int MaxPartitions = 2_000;

    private const int PartitionBytes = 48;

    /// <inheritdoc/>
    protected override long Prepare(DescribeTopicPartitionsRequest body) => PartitionBytes * (long)Limit(body);

    /// <inheritdoc/>
    protected override ValueTask<DescribeTopicPartitionsResponse> AnswerAsync(
        Request request, DescribeTopicPartitionsRequest body, CancellationToken cancellation)
    {
        ClusterSnapshot snapshot = Broker.Control.Snapshot;
        DescribeTopicPartitionsRequest.StartCursor? start = body.Cursor;
        IEnumerable<string> names = (body.Topics.Length > 0 ? body.Topics.Select(topic => topic.Name).Distinct(StringComparer.Ordinal) : snapshot.Topics.Keys)
            .Where(name => start is null || string.CompareOrdinal(name, start.TopicName) >= 0)
            .Order(StringComparer.Ordinal);
        int left = Limit(body);
        var response = new DescribeTopicPartitionsResponse();
        var topics = new List<DescribeTopicPartitionsResponse.DescribeTopicPartitionsResponseTopic>();
        foreach (string name in names)
        {
            if (!snapshot.Topics.TryGetValue(name, out TopicInfo? topic))
            {
                topics.Add(Unknown(name));
                continue;
            }
            int from = start?.TopicName == name ? Math.Clamp(start.PartitionIndex, 0, topic.Partitions.Length) : 0;
            int to = Math.Min(topic.Partitions.Length, from + left);
            if (left == 0 || to < topic.Partitions.Length)
            {
                response.NextCursor = new() { TopicName = name, PartitionIndex = to };
            }
            if (left > 0)
            {
                topics.Add(Describe(topic, from, to));
            }
            left -= to - from;
            if (response.NextCursor is not null)
            {
                break;
            }
        }
        response.Topics = [.. topics];
        return new(response);
    }

    private static int Limit(DescribeTopicPartitionsRequest body) => Math.Clamp(body.ResponsePartitionLimit, 1, MaxPartitions);

    private DescribeTopicPartitionsResponse.DescribeTopicPartitionsResponseTopic Unknown(string name) => new()
    {
        Name = name,
        ErrorCode = Counted(KafkaTopicName.IsValid(name) ? ErrorCode.UnknownTopicOrPartition : ErrorCode.InvalidTopicException),
    };

    private static DescribeTopicPartitionsResponse.DescribeTopicPartitionsResponseTopic Describe(TopicInfo topic, int from, int to) => new()
    {
        Name = topic.Name,
        TopicId = topic.Id,
        TopicAuthorizedOperations = AuthorizedOperations.OfTopic,
        Partitions =
        [
            .. topic.Partitions.Take(from..to).Select(partition => new DescribeTopicPartitionsResponse.DescribeTopicPartitionsResponsePartition
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
