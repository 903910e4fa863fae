using Microsoft.Extensions.Logging;
using Tributary.Broker.Partitions;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Log;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>Gives up records from the start of partitions (KIP-107). Where it answers without error, no crash brings them back.</summary>
internal sealed class DeleteRecordsHandler(BrokerContext broker) : ApiHandler<DeleteRecordsRequest, DeleteRecordsResponse>(broker)
{
    private const long HighWatermark = -1;
    private const long NoLowWatermark = -1;

    /// <inheritdoc/>
    protected override async ValueTask<DeleteRecordsResponse> AnswerAsync(
        Request request, DeleteRecordsRequest body, CancellationToken cancellation)
    {
        var topics = new DeleteRecordsResponse.DeleteRecordsTopicResult[body.Topics.Length];
        for (int i = 0; i < topics.Length; i++)
        {
            DeleteRecordsRequest.DeleteRecordsTopic topic = body.Topics[i];
            topics[i] = new()
            {
                Name = topic.Name,
                Partitions = await TopicChange.ForEachAsync(topic.Partitions, (partition, _) => Task.Run(
                    () => Delete(topic.Name, partition.PartitionIndex, partition.Offset), cancellation)), // it waits for the disk
            };
        }
        return new DeleteRecordsResponse { Topics = topics };
    }

    private DeleteRecordsResponse.DeleteRecordsPartitionResult Delete(string topic, int index, long offset)
    {
        ErrorCode error = Broker.Partitions.Get(topic, index, out Partition? partition);
        if (error == ErrorCode.None)
        {
            error = Delete(partition!, offset);
        }
        return new()
        {
            PartitionIndex = index,
            ErrorCode = Counted(error),
            LowWatermark = error == ErrorCode.None ? partition!.Log.StartOffset : NoLowWatermark,
        };
    }

    private ErrorCode Delete(Partition partition, long offset)
    {
        if (partition.Unavailable is var unavailable and not ErrorCode.None)
        {
            return unavailable;
        }
        if (!partition.Settings.Delete)
        {
            return ErrorCode.PolicyViolation;
        }
        long committed = partition.HighWatermark;
        long first = offset == HighWatermark ? committed : offset;
        if (first < 0 || first > committed)
        {
            return ErrorCode.OffsetOutOfRange;
        }
        try
        {
            partition.Log.DeleteBefore(first);
            return ErrorCode.None;
        }
        catch (OffsetOutOfRangeException)
        {
            return ErrorCode.OffsetOutOfRange; // it was cut meanwhile
        }
        catch (IOException e)
        {
            return TopicLookup.ReadFailure(partition, e, Broker.Logger);
        }
    }
}
