using System.Text;
using Tributary.Contracts.Records;
using Tributary.Log;

namespace Tributary.Tests.Log.Support;

/// <summary>A record as a reader of a compacted log sees it.</summary>
internal sealed record KeyedRecord(long Offset, string? Key, string? Value, long Timestamp, long ProducerId);

/// <summary>Batches of records with keys, and what is left of them.</summary>
internal static class KeyedBatch
{
    private const int MaxDecompressed = 1 << 20;

    public static byte[] Of(params (string? Key, string? Value)[] records) => Of(BatchProducer.None, records);

    public static byte[] Of(BatchProducer producer, params (string? Key, string? Value)[] records) =>
        Of(records, producer, CompressionCodec.None, isTransactional: false, 1_000);

    public static byte[] Of(
        (string? Key, string? Value)[] records, BatchProducer producer, CompressionCodec codec, bool isTransactional, long timestamp)
    {
        using var builder = new RecordBatchBuilder();
        foreach ((string? key, string? value) in records)
        {
            builder.Add(timestamp++, Bytes(key), key is not null, Bytes(value), value is not null, default, 0);
        }
        return builder.Build(
            producer, codec, attributes: isTransactional ? BatchAttributes.Transactional : BatchAttributes.None).ToArray();
    }

    /// <summary>All batches from an offset on, as a reader gets them; checks that there is no gap.</summary>
    public static List<RecordBatchCopy> Batches(PartitionLog log, long from, int maxBytes = 1 << 20)
    {
        var batches = new List<RecordBatchCopy>();
        for (long at = from; at < log.AppendedEnd;)
        {
            using LogRead read = log.Read(at, maxBytes, long.MaxValue);
            foreach (RecordBatchCopy batch in LogHarness.Batches(read))
            {
                if (!batch.IsCrcValid || batch.BaseOffset > at || batch.NextOffset <= at)
                {
                    throw new InvalidOperationException($"at {at} there is a batch of {batch.BaseOffset} to {batch.NextOffset}, whole: {batch.IsCrcValid}");
                }
                batches.Add(batch);
                at = batch.NextOffset;
            }
            if (read.NextOffset < at || (read.Size == 0 && read.NextOffset == at))
            {
                throw new InvalidOperationException($"nothing at {at}");
            }
            at = read.NextOffset;
        }
        return batches;
    }

    /// <summary>The records of all batches from an offset on; without those of markers.</summary>
    public static List<KeyedRecord> Records(PartitionLog log, long from, int maxBytes = 1 << 20) =>
        [.. Batches(log, from, maxBytes).SelectMany(Records).Where(record => record.Offset >= from)];

    public static List<KeyedRecord> Records(RecordBatchCopy copy)
    {
        var records = new List<KeyedRecord>();
        RecordBatch.TryRead(copy.Bytes, out RecordBatch batch);
        if (batch.IsControl)
        {
            return records;
        }
        byte[]? pooled = null;
        ReadOnlySpan<byte> payload = batch.Payload;
        if (batch.Codec != CompressionCodec.None)
        {
            int size = Compression.Decompress(batch.Codec, payload, ref pooled, MaxDecompressed);
            payload = pooled.AsSpan(0, size);
        }
        var reader = new RecordReader(payload, batch.RecordCount);
        while (reader.Read(out Record record))
        {
            records.Add(new KeyedRecord(
                batch.BaseOffset + record.OffsetDelta, Text(record.HasKey, record.Key), Text(record.HasValue, record.Value),
                batch.BaseTimestamp + record.TimestampDelta, batch.ProducerId));
        }
        return reader.IsMalformed ? throw new InvalidOperationException($"the batch at {batch.BaseOffset} is malformed") : records;
    }

    private static byte[] Bytes(string? text) => Encoding.UTF8.GetBytes(text ?? "");

    private static string? Text(bool present, ReadOnlySpan<byte> bytes) => present ? Encoding.UTF8.GetString(bytes) : null;
}
