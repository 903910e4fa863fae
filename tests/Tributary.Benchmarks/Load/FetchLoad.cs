using System.Diagnostics;
using System.Net;
using Tributary.Benchmarks.Harness;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Contracts.Records;

namespace Tributary.Benchmarks.Load;

/// <summary>
/// Reads partitions from their beginning to their end, a connection and a thread for each, one request after the other. Batches are
/// counted, not decoded, so that the server is measured.
/// </summary>
internal static class FetchLoad
{
    private const short Version = 11;
    private const int MaxWaitMs = 500;

    /// <param name="kafka">Where the server listens.</param>
    /// <param name="topic">Topic.</param>
    /// <param name="partitions">Its partitions.</param>
    /// <param name="partitionBytes">Most bytes of an answer.</param>
    public static KafkaResult Run(IPEndPoint kafka, string topic, int partitions, int partitionBytes)
    {
        long records = 0;
        long bytes = 0;
        var all = new Histogram();
        var failures = new List<Exception>();
        long start = Stopwatch.GetTimestamp();
        Thread[] threads = [.. Enumerable.Range(0, partitions).Select(partition => new Thread(() =>
        {
            try
            {
                (long ownRecords, long ownBytes, Histogram own) = Fetch(kafka, topic, partition, partitionBytes);
                lock (all)
                {
                    records += ownRecords;
                    bytes += ownBytes;
                    all.Add(own);
                }
            }
            catch (Exception e)
            {
                lock (all)
                {
                    failures.Add(e);
                }
            }
        }))];
        Array.ForEach(threads, thread => thread.Start());
        Array.ForEach(threads, thread => thread.Join());
        if (failures is [var first, ..])
        {
            throw new InvalidOperationException($"fetching failed: {first.Message}", first);
        }
        return new KafkaResult(records, bytes, Stopwatch.GetElapsedTime(start), all);
    }

    private static (long Records, long Bytes, Histogram Latencies) Fetch(IPEndPoint kafka, string topic, int partition, int partitionBytes)
    {
        using var wire = new KafkaWire(kafka);
        var latencies = new Histogram();
        long records = 0;
        long bytes = 0;
        long offset = 0;
        while (true)
        {
            var request = new FetchRequest
            {
                MaxWaitMs = MaxWaitMs,
                MinBytes = 1,
                MaxBytes = partitionBytes,
                Topics =
                [
                    new() { Topic = topic, Partitions = [new() { Partition = partition, FetchOffset = offset, PartitionMaxBytes = partitionBytes }] },
                ],
            };
            long sent = Stopwatch.GetTimestamp();
            wire.Send(KafkaWire.Frame(request, Version, 1).Span);
            FetchResponse response = KafkaFrame.ReadResponse<FetchResponse>(wire.Receive(out _), Version);
            latencies.Add(Stopwatch.GetTimestamp() - sent);
            FetchResponse.PartitionData data = response.Responses[0].Partitions[0];
            if (data.ErrorCode != ErrorCode.None)
            {
                throw new IOException($"partition {partition} at offset {offset}: {data.ErrorCode}");
            }
            ReadOnlySpan<byte> batches = data.Records.Span;
            bytes += batches.Length;
            long before = offset;
            while (RecordBatch.TryRead(batches, out RecordBatch batch) == BatchStatus.Ok)
            {
                records += batch.RecordCount;
                offset = batch.NextOffset;
                batches = batches[batch.Size..];
            }
            if (offset >= data.HighWatermark)
            {
                return (records, bytes, latencies);
            }
            if (offset == before)
            {
                throw new IOException($"partition {partition} gives nothing at offset {offset} of {data.HighWatermark}");
            }
        }
    }
}
