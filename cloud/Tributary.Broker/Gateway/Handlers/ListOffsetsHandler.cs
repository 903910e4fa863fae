using Tributary.Broker.Partitions;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Log;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>
/// Finds offsets by time, looking inside of batches, and the two ends of a log, as far as the high watermark reaches, or the last stable
/// offset for those who read what is committed.
/// </summary>
internal sealed class ListOffsetsHandler(BrokerContext broker) : ApiHandler<ListOffsetsRequest, ListOffsetsResponse>(broker)
{
    private const short OffsetNotAvailableSince = 5;
    private const sbyte ReadCommitted = 1;

    /// <summary>What a timestamp below 0 asks for, and the first version that has it.</summary>
    private enum Question : long
    {
        Latest = -1,
        Earliest = -2,

        /// <summary>The record with the greatest timestamp (KIP-734).</summary>
        MaxTimestamp = -3,

        /// <summary>The first record on local disk (KIP-405); nothing is elsewhere.</summary>
        EarliestLocal = -4,

        /// <summary>The last record in tiered storage (KIP-1005); there is none.</summary>
        LatestTiered = -5,
    }

    /// <summary>
    /// A partition that is named twice is an error, as in Kafka: a look-up by time may decompress a batch, and a request is to cause one
    /// for each partition at most.
    /// </summary>
    protected override ValueTask<ListOffsetsResponse> AnswerAsync(
        Request request, ListOffsetsRequest body, CancellationToken cancellation)
    {
        var named = new HashSet<(string, int)>();
        var twice = new HashSet<(string, int)>();
        foreach (ListOffsetsRequest.ListOffsetsTopic topic in body.Topics)
        {
            foreach (ListOffsetsRequest.ListOffsetsPartition partition in topic.Partitions)
            {
                if (!named.Add((topic.Name, partition.PartitionIndex)))
                {
                    twice.Add((topic.Name, partition.PartitionIndex));
                }
            }
        }
        var topics = new ListOffsetsResponse.ListOffsetsTopicResponse[body.Topics.Length];
        for (int i = 0; i < topics.Length; i++)
        {
            ListOffsetsRequest.ListOffsetsTopic topic = body.Topics[i];
            var partitions = new ListOffsetsResponse.ListOffsetsPartitionResponse[topic.Partitions.Length];
            for (int j = 0; j < partitions.Length; j++)
            {
                cancellation.ThrowIfCancellationRequested();
                ListOffsetsRequest.ListOffsetsPartition asked = topic.Partitions[j];
                partitions[j] = twice.Contains((topic.Name, asked.PartitionIndex))
                    ? new() { PartitionIndex = asked.PartitionIndex, ErrorCode = Counted(ErrorCode.InvalidRequest) }
                    : Answer(topic.Name, asked, body.IsolationLevel == ReadCommitted, request.Version);
            }
            topics[i] = new() { Name = topic.Name, Partitions = partitions };
        }
        return new(new ListOffsetsResponse { Topics = topics });
    }

    private ListOffsetsResponse.ListOffsetsPartitionResponse Answer(
        string topic, ListOffsetsRequest.ListOffsetsPartition asked, bool isCommittedOnly, short version)
    {
        var answer = new ListOffsetsResponse.ListOffsetsPartitionResponse { PartitionIndex = asked.PartitionIndex };
        ErrorCode error = Broker.Partitions.Get(topic, asked.PartitionIndex, out Partition? partition);
        if (error == ErrorCode.None)
        {
            error = TopicLookup.CheckEpoch(partition!, asked.CurrentLeaderEpoch);
        }
        if (error == ErrorCode.None)
        {
            error = Find(partition!, asked.Timestamp, isCommittedOnly, version, answer);
        }
        answer.ErrorCode = Counted(error);
        return answer;
    }

    private ErrorCode Find(
        Partition partition, long timestamp, bool isCommittedOnly, short version, ListOffsetsResponse.ListOffsetsPartitionResponse answer)
    {
        long readableEnd = isCommittedOnly ? partition.LastStableOffset : partition.HighWatermark;
        switch (timestamp)
        {
            case < 0 when version < FirstVersionOf((Question)timestamp):
                return ErrorCode.UnsupportedVersion;
            case (long)Question.LatestTiered:
                return ErrorCode.None;
            case (long)Question.Earliest or (long)Question.EarliestLocal:
                answer.Offset = partition.Log.StartOffset;
                answer.LeaderEpoch = partition.Log.EpochOf(answer.Offset);
                return ErrorCode.None;
            case (long)Question.Latest:
                answer.Offset = readableEnd;
                answer.LeaderEpoch = partition.LeaderEpoch;
                return partition.HighWatermark >= partition.EpochStart ? ErrorCode.None
                    : version >= OffsetNotAvailableSince ? ErrorCode.OffsetNotAvailable
                    : ErrorCode.LeaderNotAvailable;
            default:
                return FindRecord(partition, timestamp, readableEnd, answer);
        }
    }

    private ErrorCode FindRecord(
        Partition partition, long timestamp, long readableEnd, ListOffsetsResponse.ListOffsetsPartitionResponse answer)
    {
        try
        {
            TimestampedOffset? found = timestamp == (long)Question.MaxTimestamp
                ? partition.Log.FindMaxTimestamp(readableEnd)
                : partition.Log.FindByTimestamp(timestamp, readableEnd);
            if (found is { } record)
            {
                answer.Offset = record.Offset;
                answer.Timestamp = record.Timestamp;
                answer.LeaderEpoch = record.LeaderEpoch;
            }
            return ErrorCode.None;
        }
        catch (IOException e)
        {
            return TopicLookup.ReadFailure(partition, e, Broker.Logger);
        }
    }

    private static short FirstVersionOf(Question question) => question switch
    {
        Question.Latest or Question.Earliest => 0,
        Question.MaxTimestamp => 7,
        Question.EarliestLocal => 8,
        Question.LatestTiered => 9,
        _ => short.MaxValue,
    };
}
