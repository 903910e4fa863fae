using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Groups;

/// <summary>The messages about offsets, walked through partition by partition.</summary>
internal static class OffsetMessages
{
    private const long None = -1;

    /// <summary>What a commit says of a partition.</summary>
    public static CommittedOffset Committed(
        OffsetCommitRequest request, OffsetCommitRequest.OffsetCommitRequestPartition partition, Guid topicId, long now) => new(
            partition.CommittedOffset,
            partition.CommittedLeaderEpoch,
            partition.CommittedMetadata ?? "",
            topicId,
            now,
            request.RetentionTimeMs >= 0 ? now + request.RetentionTimeMs : null);

    /// <summary>Answers each partition of a commit.</summary>
    public static OffsetCommitResponse AnswerCommit(
        OffsetCommitRequest request, Func<GroupPartition, OffsetCommitRequest.OffsetCommitRequestPartition, ErrorCode> answer)
    {
        var topics = new OffsetCommitResponse.OffsetCommitResponseTopic[request.Topics.Length];
        for (int i = 0; i < topics.Length; i++)
        {
            OffsetCommitRequest.OffsetCommitRequestTopic topic = request.Topics[i];
            var partitions = new OffsetCommitResponse.OffsetCommitResponsePartition[topic.Partitions.Length];
            for (int j = 0; j < partitions.Length; j++)
            {
                OffsetCommitRequest.OffsetCommitRequestPartition asked = topic.Partitions[j];
                partitions[j] = new()
                {
                    PartitionIndex = asked.PartitionIndex,
                    ErrorCode = answer(new GroupPartition(topic.Name, asked.PartitionIndex), asked),
                };
            }
            topics[i] = new() { Name = topic.Name, Partitions = partitions };
        }
        return new OffsetCommitResponse { Topics = topics };
    }

    /// <summary>Answers each partition of a transaction's commit.</summary>
    public static TxnOffsetCommitResponse AnswerCommit(
        TxnOffsetCommitRequest request, Func<GroupPartition, TxnOffsetCommitRequest.TxnOffsetCommitRequestPartition, ErrorCode> answer) => new()
        {
            Topics =
        [
            .. request.Topics.Select(topic => new TxnOffsetCommitResponse.TxnOffsetCommitResponseTopic
            {
                Name = topic.Name,
                Partitions =
                [
                    .. topic.Partitions.Select(asked => new TxnOffsetCommitResponse.TxnOffsetCommitResponsePartition
                    {
                        PartitionIndex = asked.PartitionIndex,
                        ErrorCode = answer(new GroupPartition(topic.Name, asked.PartitionIndex), asked),
                    }),
                ],
            }),
        ],
        };

    /// <summary>Answers each partition of a deletion.</summary>
    public static OffsetDeleteResponse AnswerDelete(OffsetDeleteRequest request, Func<GroupPartition, ErrorCode> answer) => new()
    {
        Topics =
        [
            .. request.Topics.Select(topic => new OffsetDeleteResponse.OffsetDeleteResponseTopic
            {
                Name = topic.Name,
                Partitions =
                [
                    .. topic.Partitions.Select(partition => new OffsetDeleteResponse.OffsetDeleteResponsePartition
                    {
                        PartitionIndex = partition.PartitionIndex,
                        ErrorCode = answer(new GroupPartition(topic.Name, partition.PartitionIndex)),
                    }),
                ],
            }),
        ],
    };

    /// <summary>The offsets that are asked for; all if no topics are named.</summary>
    /// <param name="asked">What is asked.</param>
    /// <param name="offsets">What there is.</param>
    /// <param name="isShown">Whether one is of the topic that has the name now.</param>
    /// <param name="isUnstable">Whether an open transaction may change one, and whoever asks is to wait for it.</param>
    public static OffsetFetchResponse AnswerFetch(
        OffsetFetchRequest.OffsetFetchRequestGroup asked, GroupOffsets offsets, Func<GroupPartition, CommittedOffset, bool> isShown,
        Func<GroupPartition, bool> isUnstable)
    {
        IEnumerable<OffsetFetchResponse.OffsetFetchResponseTopics> topics = asked.Topics is null
            ? offsets.All.Where(one => isShown(one.Key, one.Value)).GroupBy(one => one.Key.Topic, StringComparer.Ordinal)
                .Select(topic => new OffsetFetchResponse.OffsetFetchResponseTopics
                {
                    Name = topic.Key,
                    Partitions = [.. topic.Select(one => Of(one.Key, one.Value))],
                })
            : asked.Topics.Select(topic => new OffsetFetchResponse.OffsetFetchResponseTopics
            {
                Name = topic.Name,
                Partitions = [.. topic.PartitionIndexes.Select(index => Find(new GroupPartition(topic.Name, index)))],
            });
        return new OffsetFetchResponse { Groups = [new() { GroupId = asked.GroupId, Topics = [.. topics] }] };

        OffsetFetchResponse.OffsetFetchResponsePartitions Find(GroupPartition partition) =>
            Of(partition, offsets.TryGet(partition, out CommittedOffset? offset) && isShown(partition, offset) ? offset : null);

        OffsetFetchResponse.OffsetFetchResponsePartitions Of(GroupPartition partition, CommittedOffset? offset)
        {
            bool mustWait = isUnstable(partition);
            return Answer(partition.Partition, mustWait ? null : offset, mustWait ? ErrorCode.UnstableOffsetCommit : ErrorCode.None);
        }
    }

    private static OffsetFetchResponse.OffsetFetchResponsePartitions Answer(int index, CommittedOffset? offset, ErrorCode error) => new()
    {
        PartitionIndex = index,
        CommittedOffset = offset?.Offset ?? None,
        CommittedLeaderEpoch = offset?.LeaderEpoch ?? (int)None,
        Metadata = offset?.Metadata ?? "",
        ErrorCode = error,
    };
}
