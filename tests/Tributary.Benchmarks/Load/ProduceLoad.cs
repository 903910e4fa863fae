using System.Buffers.Binary;
using System.Diagnostics;
using System.Net;
using Tributary.Benchmarks.Harness;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Contracts.Records;

namespace Tributary.Benchmarks.Load;

/// <summary>What was produced or fetched.</summary>
internal sealed record KafkaResult(long Records, long Bytes, TimeSpan Elapsed, Histogram Latencies)
{
    public double Rate => Records / Elapsed.TotalSeconds;

    public double BytesPerSecond => Bytes / Elapsed.TotalSeconds;
}

/// <summary>
/// Produce requests encoded once and sent again and again, five in flight on each connection, with acks=all: nothing but the server and
/// two system calls for each request is measured. A connection has its thread and partition.
/// </summary>
internal static class ProduceLoad
{
    private const short Version = 9;
    private const int InFlight = 5;
    private const int CorrelationIdOffset = 8;

    /// <param name="kafka">Where the server listens.</param>
    /// <param name="topic">A topic with <paramref name="partitions"/> partitions.</param>
    /// <param name="partitions">Partitions.</param>
    /// <param name="connections">Connections; each has the partition after the one before.</param>
    /// <param name="batch">The batch of each request.</param>
    /// <param name="time">How long.</param>
    public static KafkaResult Run(IPEndPoint kafka, string topic, int partitions, int connections, byte[] batch, TimeSpan time)
    {
        RecordBatch.TryRead(batch, out RecordBatch read);
        int records = read.RecordCount;
        var all = new Histogram();
        var failures = new List<Exception>();
        long start = Stopwatch.GetTimestamp();
        Thread[] threads = [.. Enumerable.Range(0, connections).Select(number => new Thread(() =>
        {
            try
            {
                Histogram own = Produce(kafka, topic, number % partitions, batch, start, time);
                lock (all)
                {
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
            throw new InvalidOperationException($"producing failed: {first.Message}", first);
        }
        return new KafkaResult(all.Total * records, all.Total * batch.Length, Stopwatch.GetElapsedTime(start), all);
    }

    /// <summary>A batch of so many records, about so large.</summary>
    public static byte[] Batch(int records, int valueBytes, CompressionCodec codec)
    {
        using var builder = new RecordBatchBuilder();
        var random = new Random(1);
        byte[] value = new byte[valueBytes];
        for (int i = 0; i < records; i++)
        {
            // Half noise, half text: compresses to about half, as readings do.
            random.NextBytes(value.AsSpan(0, valueBytes / 2));
            value.AsSpan(valueBytes / 2).Fill((byte)'x');
            builder.Add(1_700_000_000_000 + i, "device-1234"u8, value, EncodedHeaders.None);
        }
        return builder.Build(BatchProducer.None, codec).ToArray();
    }

    private static Histogram Produce(IPEndPoint kafka, string topic, int partition, byte[] batch, long start, TimeSpan time)
    {
        var request = new ProduceRequest
        {
            Acks = -1,
            TimeoutMs = 30_000,
            TopicData =
            [
                new() { Name = topic, PartitionData = [new() { Index = partition, Records = batch }] },
            ],
        };
        byte[] frame = KafkaWire.Frame(request, Version, 0).ToArray();
        using var wire = new KafkaWire(kafka);
        var latencies = new Histogram();
        long[] sentAt = new long[InFlight];
        int sent = 0;
        int answered = 0;
        bool over = false;
        while (!over || answered < sent)
        {
            while (!over && sent - answered < InFlight)
            {
                BinaryPrimitives.WriteInt32BigEndian(frame.AsSpan(CorrelationIdOffset), sent);
                sentAt[sent++ % InFlight] = Stopwatch.GetTimestamp();
                wire.Send(frame);
            }
            ReadOnlyMemory<byte> answer = wire.Receive(out int correlationId);
            ErrorCode error = KafkaFrame.ReadResponse<ProduceResponse>(answer, Version).Responses[0].PartitionResponses[0].ErrorCode;
            if (correlationId != answered || error != ErrorCode.None)
            {
                throw new IOException($"request {answered} was answered with {error} as {correlationId}");
            }
            long now = Stopwatch.GetTimestamp();
            latencies.Add(now - sentAt[answered++ % InFlight]);
            over = Stopwatch.GetElapsedTime(start, now) >= time;
        }
        return latencies;
    }
}
