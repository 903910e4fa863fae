using System.Buffers;
using System.Buffers.Binary;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Contracts.Records;
using Tributary.Tests.Broker.Support;

namespace Tributary.Tests.Fuzz;

/// <summary>Requests of each API in each version, with batches of each codec, and what becomes of them.</summary>
internal sealed class KafkaInputs
{
    private const int CorrelationAt = 4;
    private const int BombBytes = 4 << 20;
    private static readonly CompressionCodec[] Codecs = Enum.GetValues<CompressionCodec>();
    private readonly List<byte[]> _requests = [];
    private readonly byte[][] _bombs;

    /// <param name="topic">A topic that there is.</param>
    /// <param name="id">Its id.</param>
    public KafkaInputs(string topic, Guid id)
    {
        foreach (CompressionCodec codec in Codecs)
        {
            Add(Ask.Produce(topic, Batches.Of(3, codec: codec), acks: 1, timeoutMs: 50));
        }
        Add(Ask.Produce(topic, Batches.Of(2, new BatchProducer(1, 0, 10)), timeoutMs: 50));
        Add(Ask.Produce(topic, Batches.Of(), acks: 0));
        Add(Ask.Fetch(topic, 0, maxWaitMs: 5, maxBytes: 4096, id: id));
        Add(Ask.Fetch(topic, 0, maxWaitMs: 5, id: id).InSession(0, 0), from: 7);
        Add(Ask.Fetch(topic, 0, maxWaitMs: 5, id: id).InSession(1, 1), from: 7);
        Add(Ask.Offsets(topic, Batches.Time + 1));
        Add(Ask.Offsets(topic, -1));
        Add(Ask.Metadata(topic));
        Add(new MetadataRequest { Topics = [new() { Name = "a" }, new() { Name = topic }, new() { Name = "ü" }] });
        Add(new ApiVersionsRequest { ClientSoftwareName = "fuzz", ClientSoftwareVersion = "1.0" }, from: 3);
        Add(new ApiVersionsRequest(), to: 2);
        Add(new CreateTopicsRequest
        {
            Topics =
            [
                new() { Name = "c", NumPartitions = 2, ReplicationFactor = 1, Configs = [new() { Name = "retention.ms", Value = "1000" }] },
                new() { Name = topic, NumPartitions = 1, ReplicationFactor = 1 },
            ],
            TimeoutMs = 50,
        });
        Add(new InitProducerIdRequest());
        AddTransactions(topic);
        Add(new OffsetForLeaderEpochRequest { ReplicaId = -2, Topics = [new() { Topic = topic, Partitions = [new() { LeaderEpoch = 0 }] }] });
        Add(new DescribeProducersRequest { Topics = [new() { Name = topic, PartitionIndexes = [0, 1] }], ProducerIds = [1, 2] });
        _bombs = [.. Codecs.Where(codec => codec != CompressionCodec.None).Select(codec => Batches.WithPayload(new byte[BombBytes], 1, codec))];
        Topic = topic;
    }

    private string Topic { get; }

    private void AddTransactions(string topic)
    {
        const string Id = "tx";
        Add(new InitProducerIdRequest { TransactionalId = Id, TransactionTimeoutMs = 1000, ProducerId = -1, ProducerEpoch = -1 });
        Add(new AddPartitionsToTxnRequest { TransactionalId = Id, ProducerId = 1, Topics = [new() { Name = topic, Partitions = [0, 1] }] });
        Add(new AddOffsetsToTxnRequest { TransactionalId = Id, ProducerId = 1, GroupId = "g" });
        Add(new EndTxnRequest { TransactionalId = Id, ProducerId = 1, Committed = true });
        Add(new DescribeTransactionsRequest { TransactionalIds = [Id, ""] });
        Add(new ListTransactionsRequest { StateFilters = ["Ongoing", "x"], ProducerIdFilters = [1, 2] });
    }

    /// <summary>Valid requests.</summary>
    public IReadOnlyList<byte[]> Requests => _requests;

    /// <summary>A frame's content, with its own correlation id if it is long enough to have one.</summary>
    public byte[] Next(Random random, int correlationId)
    {
        byte[] content = random.Next(20) switch
        {
            0 => Produce(Batches.Sealed(Damaged(Batches.Of(random.Next(1, 5)), random)), random),
            1 or 2 => Produce(Recompressed(random), random),
            3 when random.Next(50) == 0 => Produce(random.Pick(_bombs), random),
            _ => Mutator.Mutate(random.Pick(_requests), random.Pick(_requests), random),
        };
        if (content.Length >= CorrelationAt + sizeof(int))
        {
            BinaryPrimitives.WriteInt32BigEndian(content.AsSpan(CorrelationAt), correlationId);
        }
        return content;
    }

    /// <summary>Writes a frame. Now and then its length says something else.</summary>
    public static void WriteFrame(IBufferWriter<byte> to, byte[] content, Random random)
    {
        BinaryPrimitives.WriteInt32BigEndian(to.GetSpan(sizeof(int)), random.Next(200) == 0 ? random.Next() : content.Length);
        to.Advance(sizeof(int));
        to.Write(content);
    }

    /// <summary>A batch whose records are damaged and then compressed: header and CRC are right.</summary>
    private static byte[] Recompressed(Random random)
    {
        int records = random.Next(1, 5);
        byte[] whole = Batches.Of(records);
        byte[] payload = Tests.Support.Mutations.Damage(whole.AsSpan(BatchLayout.HeaderSize), random);
        return Batches.WithPayload(payload, records, random.Pick(Codecs));
    }

    /// <summary>Damaged behind the fields that say where the batch ends.</summary>
    private static byte[] Damaged(byte[] batch, Random random)
    {
        byte[] damaged = [.. batch];
        for (int edits = random.Next(1, 5); edits > 0; edits--)
        {
            damaged[random.Next(BatchLayout.Attributes, damaged.Length)] = (byte)random.Next(256);
        }
        return damaged;
    }

    private byte[] Produce(byte[] batch, Random random) =>
        TestClient.Encode(Ask.Produce(Topic, batch, acks: (short)random.Next(-1, 2), timeoutMs: 50), (short)random.Next(3, 12), 0);

    private void Add<TRequest, TResponse>(IKafkaRequest<TRequest, TResponse> request, short? from = null, short? to = null)
        where TRequest : IKafkaRequest<TRequest, TResponse>
        where TResponse : IKafkaMessage<TResponse>
    {
        for (short version = from ?? TRequest.Api.MinVersion; version <= (to ?? TRequest.Api.MaxVersion); version++)
        {
            try
            {
                _requests.Add(TestClient.Encode(request, version, 0));
            }
            catch (InvalidOperationException)
            {
                // What is asked can't be said in this version.
            }
        }
    }
}
