using System.Buffers.Binary;
using System.Text;
using Tributary.Contracts.Records;

namespace Tributary.Tests.Broker.Support;

/// <summary>Record batches as clients send them.</summary>
internal static class Batches
{
    /// <summary>Time of the first record, Unix milliseconds; each further one is a millisecond later.</summary>
    public const long Time = 1_700_000_000_000;

    /// <summary>A batch of records with small values.</summary>
    public static byte[] Of(
        int records = 1, BatchProducer? producer = null, CompressionCodec codec = CompressionCodec.None, long time = Time, int valueBytes = 8,
        bool isTransactional = false)
    {
        using var builder = new RecordBatchBuilder();
        for (int i = 0; i < records; i++)
        {
            byte[] value = new byte[valueBytes];
            Encoding.ASCII.GetBytes($"{i}", value);
            builder.Add(time + i, Encoding.ASCII.GetBytes($"key-{i}"), hasKey: true, value, hasValue: true, [], 0);
        }
        return builder.Build(
            producer ?? BatchProducer.None, codec, attributes: isTransactional ? BatchAttributes.Transactional : BatchAttributes.None).ToArray();
    }

    /// <summary>A batch whose header and CRC are right, whatever its payload is: compressed with the codec, or as it is.</summary>
    public static byte[] WithPayload(byte[] payload, int records, CompressionCodec codec = CompressionCodec.None)
    {
        byte[]? pooled = null;
        byte[] kept = payload;
        if (codec != CompressionCodec.None && payload.Length > 0)
        {
            int size = Compression.Compress(codec, payload, ref pooled, reserve: 0, level: 0);
            kept = pooled.AsSpan(0, size).ToArray();
        }
        byte[] batch = [.. Of(records).AsSpan(0, BatchLayout.HeaderSize), .. kept];
        batch[BatchLayout.Attributes + 1] = (byte)codec;
        BinaryPrimitives.WriteInt32BigEndian(batch.AsSpan(BatchLayout.Length), batch.Length - BatchLayout.LengthOverhead);
        return Sealed(batch);
    }

    /// <summary>The batch with the CRC that its bytes ask for.</summary>
    public static byte[] Sealed(byte[] batch)
    {
        BinaryPrimitives.WriteUInt32BigEndian(batch.AsSpan(BatchLayout.Crc), Crc32C.Compute(batch.AsSpan(BatchLayout.Attributes)));
        return batch;
    }

    /// <summary>The batches that lie one behind the other in a response, each with its offset and number of records.</summary>
    public static List<(long BaseOffset, int Records)> Split(ReadOnlySpan<byte> bytes)
    {
        var found = new List<(long, int)>();
        while (!bytes.IsEmpty)
        {
            if (RecordBatch.TryRead(bytes, out RecordBatch batch) != BatchStatus.Ok || !batch.IsCrcValid())
            {
                throw new InvalidDataException($"no batch is at {bytes.Length} bytes from the end");
            }
            found.Add((batch.BaseOffset, batch.RecordCount));
            bytes = bytes[batch.Size..];
        }
        return found;
    }
}
