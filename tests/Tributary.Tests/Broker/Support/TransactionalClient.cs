using Tributary.Broker.Transactions;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Contracts.Records;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Broker.Support;

/// <summary>A transactional producer that says each request for itself, in the newest versions unless it is told otherwise.</summary>
internal sealed class TransactionalClient(TestClient client, string id)
{
    private readonly Dictionary<(string, int), int> _sequences = [];

    public ProducerIdentity Producer { get; set; }

    public async Task<ErrorCode> InitializeAsync(int timeoutMs = 60_000)
    {
        InitProducerIdResponse given = await client.AskAsync(
            new InitProducerIdRequest { TransactionalId = id, TransactionTimeoutMs = timeoutMs, ProducerId = -1, ProducerEpoch = -1 },
            InitProducerIdRequest.Api.MaxVersion);
        if (given.ErrorCode == ErrorCode.None)
        {
            Producer = new ProducerIdentity(given.ProducerId, given.ProducerEpoch);
            _sequences.Clear();
        }
        return given.ErrorCode;
    }

    public async Task<ErrorCode> AddAsync(string topic, params int[] partitions) => (await client.AskAsync(
        new AddPartitionsToTxnRequest
        {
            TransactionalId = id,
            ProducerId = Producer.ProducerId,
            ProducerEpoch = Producer.Epoch,
            Topics = [new() { Name = topic, Partitions = partitions }],
        },
        AddPartitionsToTxnRequest.Api.MaxVersion)).ResultsByTopic.Single().ResultsByPartition[0].PartitionErrorCode;

    public async Task<ErrorCode> AddGroupAsync(string group) => (await client.AskAsync(
        new AddOffsetsToTxnRequest { TransactionalId = id, ProducerId = Producer.ProducerId, ProducerEpoch = Producer.Epoch, GroupId = group },
        AddOffsetsToTxnRequest.Api.MaxVersion)).ErrorCode;

    public async Task<ErrorCode> EndAsync(bool commit) => (await client.AskAsync(
        new EndTxnRequest { TransactionalId = id, ProducerId = Producer.ProducerId, ProducerEpoch = Producer.Epoch, Committed = commit },
        EndTxnRequest.Api.MaxVersion)).ErrorCode;

    public async Task<ErrorCode> ProduceAsync(
        string topic, int partition = 0, int records = 1, bool isTransactional = true, bool namesId = true, short? version = null)
    {
        int sequence = _sequences.GetValueOrDefault((topic, partition));
        ProduceRequest request = Ask.Produce(
            topic,
            Batches.Of(records, new BatchProducer(Producer.ProducerId, Producer.Epoch, sequence), isTransactional: isTransactional),
            partition: partition);
        request.TransactionalId = namesId ? id : null;
        ErrorCode error = (await client.AskAsync(request, version ?? ProduceRequest.Api.MaxVersion)).Single().ErrorCode;
        if (error == ErrorCode.None)
        {
            _sequences[(topic, partition)] = sequence + records;
        }
        return error;
    }

    public async Task<ErrorCode> CommitOffsetAsync(
        string group, string topic, long offset, short? version = null, (string Id, int Generation)? member = null) => (await client.AskAsync(
        new TxnOffsetCommitRequest
        {
            TransactionalId = id,
            GroupId = group,
            MemberId = member?.Id ?? "",
            GenerationId = member?.Generation ?? -1,
            ProducerId = Producer.ProducerId,
            ProducerEpoch = Producer.Epoch,
            Topics = [new() { Name = topic, Partitions = [new() { PartitionIndex = 0, CommittedOffset = offset, CommittedMetadata = "m" }] }],
        },
        version ?? TxnOffsetCommitRequest.Api.MaxVersion)).Topics.Single().Partitions.Single().ErrorCode;
}
