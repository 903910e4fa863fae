using Tributary.Broker.Partitions;
using Tributary.Broker.Transactions;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Contracts.Records;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>What the coordinator has said of a batch.</summary>
/// <param name="Error">None, or why it is refused.</param>
/// <param name="Number">What <see cref="Partition.BeginVerification"/> gave out.</param>
/// <param name="Message">Why, for the client.</param>
internal readonly record struct BatchVerification(ErrorCode Error, long Number, string? Message);

/// <summary>
/// Asks the coordinator, for each batch of a Produce request that would begin its producer's transaction in a partition, whether the
/// partition belongs to the open transaction (KIP-890).
/// </summary>
internal static class TransactionVerification
{
    /// <returns>What was said, in the order of the request's partitions.</returns>
    public static async Task<BatchVerification[]> VerifyAsync(BrokerContext broker, ProduceRequest body, CancellationToken cancellation)
    {
        var asked = new List<Task<BatchVerification>>();
        foreach (ProduceRequest.TopicProduceData topic in body.TopicData)
        {
            foreach (ProduceRequest.PartitionProduceData data in topic.PartitionData)
            {
                asked.Add(VerifyAsync(broker, body.TransactionalId!, topic.Name, data, cancellation));
            }
        }
        return await Task.WhenAll(asked);
    }

    private static Task<BatchVerification> VerifyAsync(
        BrokerContext broker, string transactionalId, string topic, ProduceRequest.PartitionProduceData data, CancellationToken cancellation)
    {
        if (RecordBatch.TryRead(data.Records.Span, out RecordBatch batch) != BatchStatus.Ok || !batch.IsTransactional || batch.ProducerId < 0
            || broker.Partitions.Get(topic, data.Index, out Partition? partition) != ErrorCode.None)
        {
            return Task.FromResult(default(BatchVerification)); // whatever is wrong with it is found when it is appended
        }
        long number = partition!.BeginVerification(batch.ProducerId, batch.ProducerEpoch);
        return number == 0
            ? Task.FromResult(default(BatchVerification))
            : AskAsync(
                broker, transactionalId, new ProducerIdentity(batch.ProducerId, batch.ProducerEpoch),
                new TransactionPartition(topic, partition.TopicId, data.Index), number, cancellation);
    }

    private static async Task<BatchVerification> AskAsync(
        BrokerContext broker, string transactionalId, ProducerIdentity producer, TransactionPartition partition, long number,
        CancellationToken cancellation)
    {
        try
        {
            ErrorCode error = await broker.Transactions.VerifyAsync(transactionalId, producer, partition, cancellation);
            return error == ErrorCode.None ? new(error, number, null) : new(ForProducers(error), number, Why(error));
        }
        catch (Exception e) when (e is not OperationCanceledException || !cancellation.IsCancellationRequested)
        {
            broker.Logger.TransactionNotVerified(e, transactionalId);
            return new(ErrorCode.NotEnoughReplicas, number, Why(ErrorCode.CoordinatorNotAvailable));
        }
    }

    /// <summary>Producers of any age know these errors, and whether to try again.</summary>
    private static ErrorCode ForProducers(ErrorCode error) => error switch
    {
        ErrorCode.ProducerFenced => ErrorCode.InvalidProducerEpoch,
        ErrorCode.ConcurrentTransactions or ErrorCode.CoordinatorLoadInProgress or ErrorCode.CoordinatorNotAvailable
            or ErrorCode.NotCoordinator => ErrorCode.NotEnoughReplicas,
        _ => error,
    };

    private static string Why(ErrorCode error) =>
        $"the partition could not be verified to belong to the open transaction: {error}";
}
