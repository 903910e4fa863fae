using Tributary.Broker.Partitions;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Log;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>
/// Tells which producers have written to a partition and how far they came (KIP-664). Stronger than Kafka: what is told is committed, so
/// that a producer in doubt may go on behind it. Where a last batch isn't committed yet, the answer waits until it is; when that takes too
/// long, or the batch is lost, the client is told to ask again.
/// </summary>
internal sealed class DescribeProducersHandler(BrokerContext broker)
    : ApiHandler<DescribeProducersRequest, DescribeProducersResponse>(broker)
{
    /// <inheritdoc/>
    protected override async ValueTask<DescribeProducersResponse> AnswerAsync(
        Request request, DescribeProducersRequest body, CancellationToken cancellation)
    {
        var wait = new CommitWait(body.Topics.Sum(topic => topic.PartitionIndexes.Length));
        var found = new List<ProducerSummary[]>();
        foreach (DescribeProducersRequest.TopicRequest topic in body.Topics)
        {
            foreach (int index in topic.PartitionIndexes)
            {
                found.Add(Find(topic.Name, index, body.ProducerIds, wait, slot: found.Count));
            }
        }
        await WaitAsync(wait, cancellation);
        return Answer(body, found, wait);
    }

    private ProducerSummary[] Find(string topic, int index, long[] wanted, CommitWait wait, int slot)
    {
        ErrorCode error = TopicNames.Validate(topic) is null
            ? Broker.Partitions.Get(topic, index, out Partition? partition)
            : Fail(ErrorCode.InvalidTopicException, out partition);
        if (error != ErrorCode.None)
        {
            wait.Complete(slot, error);
            return [];
        }
        return partition!.DescribeProducers(wanted, wait, slot);
    }

    private async ValueTask WaitAsync(CommitWait wait, CancellationToken cancellation)
    {
        if (wait.IsOver)
        {
            return;
        }
        await using ITimer limit = Broker.Time.CreateTimer(
            static state => ((CommitWait)state!).Expire(), wait, Broker.Options.DescribeProducersWait, Timeout.InfiniteTimeSpan);
        await using CancellationTokenRegistration gone = cancellation.UnsafeRegister(static state => ((CommitWait)state!).Expire(), wait);
        await wait.Task;
        cancellation.ThrowIfCancellationRequested();
    }

    private DescribeProducersResponse Answer(DescribeProducersRequest body, List<ProducerSummary[]> found, CommitWait wait)
    {
        int slot = 0;
        return new DescribeProducersResponse
        {
            Topics =
            [
                .. body.Topics.Select(topic => new DescribeProducersResponse.TopicResponse
                {
                    Name = topic.Name,
                    Partitions = [.. topic.PartitionIndexes.Select(index => Answer(index, Counted(wait.Outcome(slot)), found[slot++]))],
                }),
            ],
        };
    }

    private static DescribeProducersResponse.PartitionResponse Answer(int index, ErrorCode error, ProducerSummary[] producers) =>
        error != ErrorCode.None
            ? new() { PartitionIndex = index, ErrorCode = error, ErrorMessage = MessageOf(error) }
            : new()
            {
                PartitionIndex = index,
                ActiveProducers =
                [
                    .. producers.Select(producer => new DescribeProducersResponse.ProducerState
                    {
                        ProducerId = producer.ProducerId,
                        ProducerEpoch = producer.Epoch,
                        LastSequence = producer.LastSequence,
                        LastTimestamp = producer.LastTimestamp,
                        CoordinatorEpoch = -1,
                        CurrentTxnStartOffset = -1,
                    }),
                ],
            };

    private static string? MessageOf(ErrorCode error) => error switch
    {
        ErrorCode.RequestTimedOut => "the last batches are not committed yet",
        ErrorCode.KafkaStorageError => "the last batches could not be stored",
        _ => null,
    };

    private static ErrorCode Fail(ErrorCode error, out Partition? partition)
    {
        partition = null;
        return error;
    }
}
