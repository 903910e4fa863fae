using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>Deletes offsets of topics that nobody in the group reads (KIP-496). A topic that is gone has no offsets to delete.</summary>
internal sealed class OffsetDeleteHandler(BrokerContext broker) : GroupHandler<OffsetDeleteRequest, OffsetDeleteResponse>(broker)
{
    /// <inheritdoc/>
    protected override async ValueTask<OffsetDeleteResponse> AnswerAsync(
        Request request, OffsetDeleteRequest body, CancellationToken cancellation)
    {
        OffsetDeleteResponse response = IsValid(body.GroupId, mayBeEmpty: true)
            ? await AskAsync(body.GroupId, groups => groups.DeleteOffsetsAsync(body, CallerOf(request), cancellation), Refuse, cancellation)
            : Refuse(ErrorCode.InvalidGroupId);
        Counted(response.ErrorCode);
        foreach (OffsetDeleteResponse.OffsetDeleteResponseTopic topic in response.Topics)
        {
            bool isKnown = Broker.Control.Snapshot.Topics.ContainsKey(topic.Name);
            foreach (OffsetDeleteResponse.OffsetDeleteResponsePartition partition in topic.Partitions)
            {
                partition.ErrorCode = Counted(isKnown ? partition.ErrorCode : ErrorCode.UnknownTopicOrPartition);
            }
        }
        return response;
    }

    private static OffsetDeleteResponse Refuse(ErrorCode error) => new() { ErrorCode = error };
}
