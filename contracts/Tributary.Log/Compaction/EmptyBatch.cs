using System.Buffers.Binary;
using Tributary.Contracts.Records;

namespace Tributary.Log.Compaction;

/// <summary>
/// Batches without records: what compaction leaves in the place of batches that it took out, since offsets on disk have no gaps. Kafka's
/// compacted logs hold such batches too, and clients step over them.
/// </summary>
internal static class EmptyBatch
{
    public const int Size = BatchLayout.HeaderSize;

    private const long NoTimestamp = -1;

    /// <summary>One that spans offsets of which nothing is known any more.</summary>
    public static void WriteSpan(Span<byte> to, long baseOffset, long nextOffset, int leaderEpoch) =>
        Write(to, baseOffset, (int)(nextOffset - baseOffset - 1), leaderEpoch, BatchAttributes.None, BatchProducer.None);

    /// <summary>What is left of a batch whose producer must be remembered: its place and its sequence.</summary>
    public static void WriteRest(Span<byte> to, RecordBatch batch) => Write(
        to, batch.BaseOffset, batch.LastOffsetDelta, batch.LeaderEpoch, batch.Attributes & BatchAttributes.Transactional,
        new BatchProducer(batch.ProducerId, batch.ProducerEpoch, batch.BaseSequence));

    private static void Write(Span<byte> to, long baseOffset, int lastDelta, int leaderEpoch, BatchAttributes attributes, BatchProducer producer)
    {
        to = to[..Size];
        RecordBatch.Stamp(to, baseOffset, leaderEpoch);
        BinaryPrimitives.WriteInt32BigEndian(to[BatchLayout.Length..], Size - BatchLayout.LengthOverhead);
        to[BatchLayout.Magic] = BatchLayout.CurrentMagic;
        BinaryPrimitives.WriteInt16BigEndian(to[BatchLayout.Attributes..], (short)attributes);
        BinaryPrimitives.WriteInt32BigEndian(to[BatchLayout.LastOffsetDelta..], lastDelta);
        BinaryPrimitives.WriteInt64BigEndian(to[BatchLayout.BaseTimestamp..], NoTimestamp);
        BinaryPrimitives.WriteInt64BigEndian(to[BatchLayout.MaxTimestamp..], NoTimestamp);
        BinaryPrimitives.WriteInt64BigEndian(to[BatchLayout.ProducerId..], producer.Id);
        BinaryPrimitives.WriteInt16BigEndian(to[BatchLayout.ProducerEpoch..], producer.Epoch);
        BinaryPrimitives.WriteInt32BigEndian(to[BatchLayout.BaseSequence..], producer.BaseSequence);
        BinaryPrimitives.WriteInt32BigEndian(to[BatchLayout.RecordCount..], 0);
        BinaryPrimitives.WriteUInt32BigEndian(to[BatchLayout.Crc..], Crc32C.Compute(to[BatchLayout.Attributes..]));
    }
}
