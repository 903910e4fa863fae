using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Tests.Broker.Support;

/// <summary>Requests as tests need them most, about one partition of one topic.</summary>
internal static class Ask
{
    public const short AcksAll = -1;

    public static ProduceRequest Produce(
        string topic, RecordBytes records, short acks = AcksAll, int timeoutMs = 30_000, int partition = 0) => new()
        {
            Acks = acks,
            TimeoutMs = timeoutMs,
            TopicData = [new() { Name = topic, PartitionData = [new() { Index = partition, Records = records }] }],
        };

    public static FetchRequest Fetch(
        string topic, long offset, int maxWaitMs = 0, int minBytes = 1, int maxBytes = 1 << 20, Guid id = default, int partition = 0) => new()
        {
            MaxWaitMs = maxWaitMs,
            MinBytes = minBytes,
            MaxBytes = maxBytes,
            Topics =
        [
            new()
            {
                Topic = topic,
                TopicId = id,
                Partitions = [new() { Partition = partition, FetchOffset = offset, PartitionMaxBytes = 1 << 20 }],
            },
        ],
        };

    /// <summary>The same, in a fetch session.</summary>
    public static FetchRequest InSession(this FetchRequest request, int id, int epoch)
    {
        (request.SessionId, request.SessionEpoch) = (id, epoch);
        return request;
    }

    /// <summary>An incremental request of a session that changes nothing.</summary>
    public static FetchRequest More(int session, int epoch, int maxWaitMs = 0, int minBytes = 1) =>
        new FetchRequest { MaxWaitMs = maxWaitMs, MinBytes = minBytes, MaxBytes = 1 << 20 }.InSession(session, epoch);

    public static ListOffsetsRequest Offsets(string topic, long timestamp, int leaderEpoch = -1) => new()
    {
        ReplicaId = -1,
        Topics = [new() { Name = topic, Partitions = [new() { PartitionIndex = 0, Timestamp = timestamp, CurrentLeaderEpoch = leaderEpoch }] }],
    };

    public static MetadataRequest Metadata(string name, bool create = true) => new()
    {
        Topics = [new() { Name = name }],
        AllowAutoTopicCreation = create,
    };

    public static DescribeProducersRequest Producers(string topic, params long[] ids) => new()
    {
        Topics = [new() { Name = topic, PartitionIndexes = [0] }],
        ProducerIds = ids,
    };

    /// <summary>The only partition of a response.</summary>
    public static ProduceResponse.PartitionProduceResponse Single(this ProduceResponse response) =>
        response.Responses.Single().PartitionResponses.Single();

    /// <inheritdoc cref="Single(ProduceResponse)"/>
    public static FetchResponse.PartitionData Single(this FetchResponse response) => response.Responses.Single().Partitions.Single();

    /// <inheritdoc cref="Single(ProduceResponse)"/>
    public static ListOffsetsResponse.ListOffsetsPartitionResponse Single(this ListOffsetsResponse response) =>
        response.Topics.Single().Partitions.Single();

    /// <inheritdoc cref="Single(ProduceResponse)"/>
    public static DescribeProducersResponse.PartitionResponse Single(this DescribeProducersResponse response) =>
        response.Topics.Single().Partitions.Single();
}
