using System.Buffers.Binary;
using System.Text;

namespace Tributary.Contracts.Records;

/// <summary>
/// The control record that ends a producer's transaction in a partition (KIP-98, EndTxnMarker). Consumers look at its key alone. Ours
/// carries, as a header, where the transaction began in the partition: so which records an abort takes back is known from the log itself,
/// wherever one begins to read it.
/// </summary>
/// <param name="IsCommit">Whether the transaction's records count.</param>
/// <param name="CoordinatorEpoch">Who decided.</param>
/// <param name="FirstOffset">Offset of the transaction's first batch in this partition, −1 if it has written none, or isn't told.</param>
public readonly record struct ControlBatch(bool IsCommit, int CoordinatorEpoch, long FirstOffset)
{
    private const short Version = 0;
    private const short Abort = 0;
    private const short Commit = 1;
    private const int KeySize = 4;
    private const int ValueSize = 6;

    /// <summary>The header's name.</summary>
    private static ReadOnlySpan<byte> FirstHeader => "txn.first"u8;

    /// <summary>Makes the batch; its memory is the builder's.</summary>
    /// <param name="builder">An empty one.</param>
    /// <param name="producerId">Whose transaction.</param>
    /// <param name="producerEpoch">Its epoch.</param>
    /// <param name="timestampMs">When it ends, Unix ms.</param>
    public Memory<byte> Build(RecordBatchBuilder builder, long producerId, short producerEpoch, long timestampMs)
    {
        Span<byte> key = stackalloc byte[KeySize];
        BinaryPrimitives.WriteInt16BigEndian(key, Version);
        BinaryPrimitives.WriteInt16BigEndian(key[sizeof(short)..], IsCommit ? Commit : Abort);
        Span<byte> value = stackalloc byte[ValueSize];
        BinaryPrimitives.WriteInt16BigEndian(value, Version);
        BinaryPrimitives.WriteInt32BigEndian(value[sizeof(short)..], CoordinatorEpoch);
        EncodedHeaders headers = EncodedHeaders.None;
        if (FirstOffset >= 0)
        {
            byte[] first = new byte[sizeof(long)];
            BinaryPrimitives.WriteInt64BigEndian(first, FirstOffset);
            headers = new EncodedHeaders([new(Encoding.UTF8.GetString(FirstHeader), first)]);
        }
        builder.Add(timestampMs, key, value, headers);
        return builder.Build(
            new BatchProducer(producerId, producerEpoch, -1), attributes: BatchAttributes.Control | BatchAttributes.Transactional);
    }

    /// <summary>Reads the marker in a control batch.</summary>
    /// <returns>False if the batch is none, holds no record any more, or a control record of another kind.</returns>
    public static bool TryRead(RecordBatch batch, out ControlBatch marker)
    {
        marker = default;
        if (!batch.IsControl || batch.RecordCount != 1 || batch.Codec != CompressionCodec.None)
        {
            return false;
        }
        var reader = new RecordReader(batch.Payload, batch.RecordCount);
        if (!reader.Read(out Record record) || record.Key.Length < KeySize)
        {
            return false;
        }
        short type = BinaryPrimitives.ReadInt16BigEndian(record.Key[sizeof(short)..]);
        if (type is not (Abort or Commit))
        {
            return false;
        }
        int epoch = record.Value.Length < ValueSize ? -1 : BinaryPrimitives.ReadInt32BigEndian(record.Value[sizeof(short)..]);
        long first = -1;
        HeaderReader headers = record.ReadHeaders();
        while (headers.Read(out ReadOnlySpan<byte> key, out ReadOnlySpan<byte> value, out _))
        {
            if (key.SequenceEqual(FirstHeader) && value.Length == sizeof(long))
            {
                first = BinaryPrimitives.ReadInt64BigEndian(value);
            }
        }
        marker = new ControlBatch(type == Commit, epoch, first);
        return true;
    }
}
