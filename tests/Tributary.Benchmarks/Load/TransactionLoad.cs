using System.Diagnostics;
using System.Net;
using Tributary.Benchmarks.Harness;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Contracts.Records;

namespace Tributary.Benchmarks.Load;

/// <summary>
/// Clients that write the same records over and over, one request at a time: in transactions, or, for comparison, as idempotent producers
/// without. Each has a producer id of its own.
/// </summary>
/// <param name="kafka">The server.</param>
/// <param name="topic">Topic.</param>
/// <param name="partitions">Partitions that the records of a transaction are spread over, one batch for each.</param>
/// <param name="records">Records of a transaction.</param>
/// <param name="valueBytes">Bytes of a value.</param>
internal sealed class TransactionLoad(IPEndPoint kafka, string topic, int partitions, int records, int valueBytes)
{
    private const short AcksAll = -1;

    /// <summary>Runs so many clients for a while.</summary>
    /// <returns>Rounds a second, and how long one took.</returns>
    public async Task<(double Rate, Histogram Latencies)> RunAsync(int clients, bool inTransactions, TimeSpan time)
    {
        long begin = Stopwatch.GetTimestamp();
        Histogram[] each = await Task.WhenAll(Enumerable.Range(0, clients).Select(client => Task.Run(
            () => WriteAsync(inTransactions ? $"bench-{partitions}-{client}" : null, begin, time))));
        TimeSpan elapsed = Stopwatch.GetElapsedTime(begin);
        var all = new Histogram();
        Array.ForEach(each, all.Add);
        return (all.Total / elapsed.TotalSeconds, all);
    }

    private async Task<Histogram> WriteAsync(string? id, long begin, TimeSpan time)
    {
        var latencies = new Histogram();
        using KafkaSession session = await KafkaSession.OpenAsync(kafka);
        using var builder = new RecordBatchBuilder();
        (long producer, short epoch) = await InitializeAsync(session, id);
        byte[] value = new byte[valueBytes];
        Random.Shared.NextBytes(value.AsSpan(0, valueBytes / 2));
        int each = records / partitions;
        int sequence = 0;
        while (Stopwatch.GetElapsedTime(begin) < time)
        {
            long start = Stopwatch.GetTimestamp();
            if (id is not null)
            {
                await AddAsync(session, id, producer, epoch);
            }
            await ProduceAsync(session, id, builder, new BatchProducer(producer, epoch, sequence), each, value);
            if (id is not null)
            {
                var end = new EndTxnRequest { TransactionalId = id, ProducerId = producer, ProducerEpoch = epoch, Committed = true };
                Check((await session.AskAsync(end, EndTxnRequest.Api.MaxVersion)).ErrorCode);
            }
            latencies.Add(Stopwatch.GetTimestamp() - start);
            sequence = Sequence.Add(sequence, each);
        }
        return latencies;
    }

    private static async Task<(long Producer, short Epoch)> InitializeAsync(KafkaSession session, string? id)
    {
        var request = new InitProducerIdRequest { TransactionalId = id, TransactionTimeoutMs = 60_000, ProducerId = -1, ProducerEpoch = -1 };
        while (true)
        {
            InitProducerIdResponse given = await session.AskAsync(request, InitProducerIdRequest.Api.MaxVersion);
            if (given.ErrorCode != ErrorCode.ConcurrentTransactions)
            {
                Check(given.ErrorCode);
                return (given.ProducerId, given.ProducerEpoch);
            }
        }
    }

    private async Task AddAsync(KafkaSession session, string id, long producer, short epoch)
    {
        var request = new AddPartitionsToTxnRequest
        {
            TransactionalId = id,
            ProducerId = producer,
            ProducerEpoch = epoch,
            Topics = [new() { Name = topic, Partitions = [.. Enumerable.Range(0, partitions)] }],
        };
        ErrorCode error;
        do
        {
            AddPartitionsToTxnResponse answer = await session.AskAsync(request, AddPartitionsToTxnRequest.Api.MaxVersion);
            error = answer.ResultsByTopic[0].ResultsByPartition[0].PartitionErrorCode;
        }
        while (error == ErrorCode.ConcurrentTransactions); // the markers of the one before are being written
        Check(error);
    }

    private async Task ProduceAsync(
        KafkaSession session, string? id, RecordBatchBuilder builder, BatchProducer producer, int count, byte[] value)
    {
        builder.Reset();
        for (int i = 0; i < count; i++)
        {
            builder.Add(Environment.TickCount64, [], hasKey: false, value, hasValue: true, [], 0);
        }
        RecordBytes batch = builder.Build(
            producer, attributes: id is null ? BatchAttributes.None : BatchAttributes.Transactional).ToArray();
        var request = new ProduceRequest
        {
            TransactionalId = id,
            Acks = AcksAll,
            TimeoutMs = 30_000,
            TopicData =
            [
                new()
                {
                    Name = topic,
                    PartitionData = [.. Enumerable.Range(0, partitions).Select(
                        index => new ProduceRequest.PartitionProduceData { Index = index, Records = batch })],
                },
            ],
        };
        ProduceResponse answer = await session.AskAsync(request, ProduceRequest.Api.MaxVersion);
        foreach (ProduceResponse.PartitionProduceResponse partition in answer.Responses[0].PartitionResponses)
        {
            Check(partition.ErrorCode);
        }
    }

    private static void Check(ErrorCode error)
    {
        if (error != ErrorCode.None)
        {
            throw new InvalidOperationException($"the server answered {error}");
        }
    }
}
