using Tributary.Broker.Groups;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>Stores how far a group has read. Answered when it is durable; partitions that don't exist are refused.</summary>
internal sealed class OffsetCommitHandler(BrokerContext broker) : GroupHandler<OffsetCommitRequest, OffsetCommitResponse>(broker)
{
    /// <inheritdoc/>
    protected override async ValueTask<OffsetCommitResponse> AnswerAsync(
        Request request, OffsetCommitRequest body, CancellationToken cancellation)
    {
        OffsetCommitResponse response = IsValid(body.GroupId, mayBeEmpty: true)
            ? await CommitAsync(request, body, cancellation)
            : OffsetMessages.AnswerCommit(body, (_, _) => ErrorCode.InvalidGroupId);
        foreach (OffsetCommitResponse.OffsetCommitResponseTopic topic in response.Topics)
        {
            foreach (OffsetCommitResponse.OffsetCommitResponsePartition partition in topic.Partitions)
            {
                Counted(partition.ErrorCode);
            }
        }
        return response;
    }

    private async Task<OffsetCommitResponse> CommitAsync(Request request, OffsetCommitRequest body, CancellationToken cancellation)
    {
        bool Exists(GroupPartition partition) =>
            TopicLookup.FindAssignment(Broker.Control.Snapshot.Topics.GetValueOrDefault(partition.Topic), partition.Partition) is not null;

        bool isWhole = body.Topics.All(topic => topic.Partitions.All(one => Exists(new(topic.Name, one.PartitionIndex))));
        if (isWhole)
        {
            return await AskAsync(
                body.GroupId,
                groups => groups.CommitAsync(body, CallerOf(request), cancellation),
                error => OffsetMessages.AnswerCommit(body, (_, _) => error),
                cancellation);
        }
        OffsetCommitRequest known = Without(body, partition => !Exists(partition));
        OffsetCommitResponse answer = known.Topics.Length == 0
            ? new OffsetCommitResponse()
            : await AskAsync(
                body.GroupId,
                groups => groups.CommitAsync(known, CallerOf(request), cancellation),
                error => OffsetMessages.AnswerCommit(known, (_, _) => error),
                cancellation);
        var answered = new Dictionary<GroupPartition, ErrorCode>();
        foreach (OffsetCommitResponse.OffsetCommitResponseTopic topic in answer.Topics)
        {
            foreach (OffsetCommitResponse.OffsetCommitResponsePartition partition in topic.Partitions)
            {
                answered[new(topic.Name, partition.PartitionIndex)] = partition.ErrorCode;
            }
        }
        return OffsetMessages.AnswerCommit(
            body, (partition, _) => answered.GetValueOrDefault(partition, ErrorCode.UnknownTopicOrPartition));
    }

    private static OffsetCommitRequest Without(OffsetCommitRequest body, Func<GroupPartition, bool> isUnwanted) => new()
    {
        GroupId = body.GroupId,
        GenerationId = body.GenerationId,
        MemberId = body.MemberId,
        GroupInstanceId = body.GroupInstanceId,
        RetentionTimeMs = body.RetentionTimeMs,
        Topics =
        [
            .. body.Topics.Select(topic => new OffsetCommitRequest.OffsetCommitRequestTopic
            {
                Name = topic.Name,
                Partitions = [.. topic.Partitions.Where(one => !isUnwanted(new(topic.Name, one.PartitionIndex)))],
            }).Where(topic => topic.Partitions.Length > 0),
        ],
    };
}
