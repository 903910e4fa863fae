using Tributary.Broker.Partitions;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>
/// Tells where leader epochs end (KIP-101, KIP-320): a consumer learns after a change of leaders whether what it has read is still there. The
/// end of the present epoch is the log's, not the high watermark, which a new leader may not know yet: a consumer would take a lower one
/// for a truncation.
/// </summary>
internal sealed class OffsetForLeaderEpochHandler(BrokerContext broker)
    : ApiHandler<OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse>(broker)
{
    /// <inheritdoc/>
    protected override ValueTask<OffsetForLeaderEpochResponse> AnswerAsync(
        Request request, OffsetForLeaderEpochRequest body, CancellationToken cancellation)
    {
        var topics = new OffsetForLeaderEpochResponse.OffsetForLeaderTopicResult[body.Topics.Length];
        for (int i = 0; i < topics.Length; i++)
        {
            OffsetForLeaderEpochRequest.OffsetForLeaderTopic topic = body.Topics[i];
            topics[i] = new() { Topic = topic.Topic, Partitions = Array.ConvertAll(topic.Partitions, asked => Answer(topic.Topic, asked)) };
        }
        return new(new OffsetForLeaderEpochResponse { Topics = topics });
    }

    private OffsetForLeaderEpochResponse.EpochEndOffset Answer(
        string topic, OffsetForLeaderEpochRequest.OffsetForLeaderPartition asked)
    {
        var answer = new OffsetForLeaderEpochResponse.EpochEndOffset { Partition = asked.Partition };
        ErrorCode error = Broker.Partitions.Get(topic, asked.Partition, out Partition? partition);
        if (error == ErrorCode.None)
        {
            error = TopicLookup.CheckEpoch(partition!, asked.CurrentLeaderEpoch);
        }
        if (error == ErrorCode.None && partition!.Log.EndOffsetForEpoch(asked.LeaderEpoch) is { } end)
        {
            (answer.LeaderEpoch, answer.EndOffset) = end;
        }
        answer.ErrorCode = Counted(error);
        return answer;
    }
}
