using Tributary.Broker.Metadata;
using Tributary.Broker.Transactions;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>Adds partitions to a transaction, all or none: when one doesn't exist, nothing is done for the others.</summary>
internal sealed class AddPartitionsToTxnHandler(BrokerContext broker)
    : TransactionHandler<AddPartitionsToTxnRequest, AddPartitionsToTxnResponse>(broker)
{
    private const short FencedSince = 2;

    /// <inheritdoc/>
    protected override async ValueTask<AddPartitionsToTxnResponse> AnswerAsync(
        Request request, AddPartitionsToTxnRequest body, CancellationToken cancellation)
    {
        IReadOnlyDictionary<string, TopicInfo> topics = Broker.Control.Snapshot.Topics;
        var partitions = new List<TransactionPartition>();
        var unknown = new HashSet<(string Topic, int Index)>();
        foreach (AddPartitionsToTxnRequest.AddPartitionsToTxnTopic topic in body.Topics)
        {
            TopicInfo? info = topics.GetValueOrDefault(topic.Name);
            foreach (int index in topic.Partitions)
            {
                if (TopicLookup.FindAssignment(info, index) is null)
                {
                    unknown.Add((topic.Name, index));
                }
                else
                {
                    partitions.Add(new TransactionPartition(topic.Name, info!.Id, index));
                }
            }
        }
        if (unknown.Count > 0)
        {
            return Answer(body, (topic, index) =>
                unknown.Contains((topic, index)) ? ErrorCode.UnknownTopicOrPartition : ErrorCode.OperationNotAttempted);
        }
        ErrorCode error = partitions.Count == 0 ? ErrorCode.None : await AddAsync(body, partitions, cancellation);
        return Answer(body, (_, _) => ForVersion(error, request.Version, FencedSince));
    }

    private Task<ErrorCode> AddAsync(
        AddPartitionsToTxnRequest body, IReadOnlyCollection<TransactionPartition> partitions, CancellationToken cancellation) => AskAsync(
        body.TransactionalId,
        () => Transactions.AddPartitionsAsync(
            body.TransactionalId, new ProducerIdentity(body.ProducerId, body.ProducerEpoch), partitions, cancellation),
        error => error, cancellation);

    private AddPartitionsToTxnResponse Answer(AddPartitionsToTxnRequest body, Func<string, int, ErrorCode> errorOf) => new()
    {
        ResultsByTopic =
        [
            .. body.Topics.Select(topic => new AddPartitionsToTxnResponse.AddPartitionsToTxnTopicResult
            {
                Name = topic.Name,
                ResultsByPartition =
                [
                    .. topic.Partitions.Select(index => new AddPartitionsToTxnResponse.AddPartitionsToTxnPartitionResult
                    {
                        PartitionIndex = index,
                        PartitionErrorCode = Counted(errorOf(topic.Name, index)),
                    }),
                ],
            }),
        ],
    };
}
