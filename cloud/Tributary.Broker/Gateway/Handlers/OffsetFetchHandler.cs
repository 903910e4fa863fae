using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>
/// Tells how far groups have read; from version 8 on several groups at once. What is told is durable and committed by no transaction, so
/// it is always stable (KIP-447).
/// </summary>
internal sealed class OffsetFetchHandler(BrokerContext broker) : GroupHandler<OffsetFetchRequest, OffsetFetchResponse>(broker)
{
    private const short ManySince = 8;
    private const short GroupErrorSince = 2;
    private const short InternalVersion = 9;
    private const long NoOffset = -1;

    /// <inheritdoc/>
    protected override async ValueTask<OffsetFetchResponse> AnswerAsync(
        Request request, OffsetFetchRequest body, CancellationToken cancellation)
    {
        if (request.Version >= ManySince)
        {
            var groups = new OffsetFetchResponse.OffsetFetchResponseGroup[body.Groups.Length];
            for (int i = 0; i < groups.Length; i++)
            {
                groups[i] = await FetchAsync(request, body.Groups[i], body.RequireStable, cancellation);
            }
            return new OffsetFetchResponse { Groups = groups };
        }
        var asked = new OffsetFetchRequest.OffsetFetchRequestGroup
        {
            GroupId = body.GroupId,
            Topics = body.Topics is null
                ? null
                : [.. body.Topics.Select(topic => new OffsetFetchRequest.OffsetFetchRequestTopics
                {
                    Name = topic.Name,
                    PartitionIndexes = topic.PartitionIndexes,
                })],
        };
        OffsetFetchResponse.OffsetFetchResponseGroup group = await FetchAsync(request, asked, body.RequireStable, cancellation);
        return request.Version >= GroupErrorSince || group.ErrorCode == ErrorCode.None
            ? ToOne(group)
            : ErrorForEach(body, group.ErrorCode);
    }

    private async Task<OffsetFetchResponse.OffsetFetchResponseGroup> FetchAsync(
        Request request, OffsetFetchRequest.OffsetFetchRequestGroup asked, bool requireStable, CancellationToken cancellation)
    {
        OffsetFetchResponse Refuse(ErrorCode error) => new() { Groups = [new() { GroupId = asked.GroupId, ErrorCode = error }] };

        var one = new OffsetFetchRequest { Groups = [asked], RequireStable = requireStable };
        OffsetFetchResponse response = IsValid(asked.GroupId, mayBeEmpty: true)
            ? await AskAsync(
                asked.GroupId,
                groups => groups.FetchOffsetsAsync(one, CallerOf(request, InternalVersion), cancellation), Refuse, cancellation)
            : Refuse(ErrorCode.InvalidGroupId);
        OffsetFetchResponse.OffsetFetchResponseGroup group = response.Groups.Single();
        Counted(group.ErrorCode);
        return group;
    }

    private static OffsetFetchResponse ToOne(OffsetFetchResponse.OffsetFetchResponseGroup group) => new()
    {
        ErrorCode = group.ErrorCode,
        Topics =
        [
            .. group.Topics.Select(topic => new OffsetFetchResponse.OffsetFetchResponseTopic
            {
                Name = topic.Name,
                Partitions =
                [
                    .. topic.Partitions.Select(partition => new OffsetFetchResponse.OffsetFetchResponsePartition
                    {
                        PartitionIndex = partition.PartitionIndex,
                        CommittedOffset = partition.CommittedOffset,
                        CommittedLeaderEpoch = partition.CommittedLeaderEpoch,
                        Metadata = partition.Metadata,
                        ErrorCode = partition.ErrorCode,
                    }),
                ],
            }),
        ],
    };

    /// <summary>Version 1 has no error of the group: each partition says it.</summary>
    private static OffsetFetchResponse ErrorForEach(OffsetFetchRequest body, ErrorCode error) => new()
    {
        Topics =
        [
            .. body.Topics!.Select(topic => new OffsetFetchResponse.OffsetFetchResponseTopic
            {
                Name = topic.Name,
                Partitions =
                [
                    .. topic.PartitionIndexes.Select(index => new OffsetFetchResponse.OffsetFetchResponsePartition
                    {
                        PartitionIndex = index,
                        CommittedOffset = NoOffset,
                        Metadata = "",
                        ErrorCode = error,
                    }),
                ],
            }),
        ],
    };
}
