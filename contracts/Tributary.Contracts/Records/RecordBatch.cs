using System.Buffers.Binary;

namespace Tributary.Contracts.Records;

/// <summary>What was found at the start of some bytes.</summary>
public enum BatchStatus
{
    /// <summary>A whole batch with a plausible header. Its CRC has not been checked.</summary>
    Ok,

    /// <summary>The bytes end before the batch does; more of them may complete it.</summary>
    Incomplete,

    /// <summary>No batch of magic 2: a length, count or delta that cannot be.</summary>
    Malformed,
}

/// <summary>
/// One record batch (magic 2) over bytes that somebody else owns. Reading a property decodes it from the bytes;
/// nothing is allocated. <see cref="TryRead"/> checks that lengths and counts are possible, <see cref="IsCrcValid"/>
/// that the bytes are the ones that were written.
/// </summary>
public readonly ref struct RecordBatch
{
    private readonly ReadOnlySpan<byte> _bytes;

    private RecordBatch(ReadOnlySpan<byte> bytes) => _bytes = bytes;

    /// <summary>The whole batch, header included.</summary>
    public ReadOnlySpan<byte> Bytes => _bytes;

    /// <summary>Bytes of the whole batch.</summary>
    public int Size => _bytes.Length;

    /// <summary>Offset of the first record.</summary>
    public long BaseOffset => BinaryPrimitives.ReadInt64BigEndian(_bytes[BatchLayout.BaseOffset..]);

    /// <summary>Offset of the last record.</summary>
    public long LastOffset => BaseOffset + LastOffsetDelta;

    /// <summary>The offset after the last record.</summary>
    public long NextOffset => LastOffset + 1;

    /// <summary>Last offset minus base offset.</summary>
    public int LastOffsetDelta => BinaryPrimitives.ReadInt32BigEndian(_bytes[BatchLayout.LastOffsetDelta..]);

    /// <summary>Leader epoch that the broker stamped, −1 for none.</summary>
    public int LeaderEpoch => BinaryPrimitives.ReadInt32BigEndian(_bytes[BatchLayout.LeaderEpoch..]);

    /// <summary>The stored checksum.</summary>
    public uint Crc => BinaryPrimitives.ReadUInt32BigEndian(_bytes[BatchLayout.Crc..]);

    /// <summary>Attributes.</summary>
    public BatchAttributes Attributes => (BatchAttributes)BinaryPrimitives.ReadInt16BigEndian(_bytes[BatchLayout.Attributes..]);

    /// <summary>Compression of <see cref="Payload"/>. Values above 4 are possible and unsupported.</summary>
    public CompressionCodec Codec => (CompressionCodec)(Attributes & BatchAttributes.CodecMask);

    /// <summary>Whether the batch is part of a transaction.</summary>
    public bool IsTransactional => (Attributes & BatchAttributes.Transactional) != 0;

    /// <summary>Whether the batch holds a control record.</summary>
    public bool IsControl => (Attributes & BatchAttributes.Control) != 0;

    /// <summary>Unix milliseconds that record timestamps count from.</summary>
    public long BaseTimestamp => BinaryPrimitives.ReadInt64BigEndian(_bytes[BatchLayout.BaseTimestamp..]);

    /// <summary>The greatest timestamp, Unix milliseconds.</summary>
    public long MaxTimestamp => BinaryPrimitives.ReadInt64BigEndian(_bytes[BatchLayout.MaxTimestamp..]);

    /// <summary>Producer id, −1 for none.</summary>
    public long ProducerId => BinaryPrimitives.ReadInt64BigEndian(_bytes[BatchLayout.ProducerId..]);

    /// <summary>Producer epoch, −1 for none.</summary>
    public short ProducerEpoch => BinaryPrimitives.ReadInt16BigEndian(_bytes[BatchLayout.ProducerEpoch..]);

    /// <summary>Sequence of the first record, −1 for none.</summary>
    public int BaseSequence => BinaryPrimitives.ReadInt32BigEndian(_bytes[BatchLayout.BaseSequence..]);

    /// <summary>Sequence of the last record, −1 for none; wraps from 2³¹−1 to 0.</summary>
    public int LastSequence => BaseSequence < 0 ? -1 : Sequence.Add(BaseSequence, LastOffsetDelta);

    /// <summary>Number of records.</summary>
    public int RecordCount => BinaryPrimitives.ReadInt32BigEndian(_bytes[BatchLayout.RecordCount..]);

    /// <summary>The records, compressed as <see cref="Codec"/> says.</summary>
    public ReadOnlySpan<byte> Payload => _bytes[BatchLayout.HeaderSize..];

    /// <summary>Whether the checksum matches the bytes.</summary>
    public bool IsCrcValid() => Crc32C.Compute(_bytes[BatchLayout.Attributes..]) == Crc;

    /// <summary>
    /// Reads the batch at the start of <paramref name="bytes"/>. Never throws on bad bytes and never looks beyond them.
    /// </summary>
    /// <param name="bytes">Bytes that start with a batch.</param>
    /// <param name="batch">The batch, when the answer is <see cref="BatchStatus.Ok"/>.</param>
    public static BatchStatus TryRead(ReadOnlySpan<byte> bytes, out RecordBatch batch)
    {
        batch = default;
        if (bytes.Length < BatchLayout.LengthOverhead)
        {
            return BatchStatus.Incomplete;
        }
        int length = BinaryPrimitives.ReadInt32BigEndian(bytes[BatchLayout.Length..]);
        if (length is < BatchLayout.HeaderSize - BatchLayout.LengthOverhead or > int.MaxValue - BatchLayout.LengthOverhead)
        {
            return BatchStatus.Malformed;
        }
        if (bytes.Length > BatchLayout.Magic && bytes[BatchLayout.Magic] != BatchLayout.CurrentMagic)
        {
            return BatchStatus.Malformed;
        }
        int size = length + BatchLayout.LengthOverhead;
        if (bytes.Length < size)
        {
            return BatchStatus.Incomplete;
        }
        var found = new RecordBatch(bytes[..size]);
        if (found.BaseOffset < 0 || found.LastOffsetDelta < 0 || found.NextOffset < 0 // past 63 bits
            || found.RecordCount < 0 || found.RecordCount > (long)found.LastOffsetDelta + 1)
        {
            return BatchStatus.Malformed;
        }
        batch = found;
        return BatchStatus.Ok;
    }

    /// <summary>
    /// The size that the batch at the start of <paramref name="bytes"/> says it has, or −1 if fewer than 12 bytes are there.
    /// </summary>
    public static long PeekSize(ReadOnlySpan<byte> bytes) => bytes.Length < BatchLayout.LengthOverhead
        ? -1
        : (long)BinaryPrimitives.ReadInt32BigEndian(bytes[BatchLayout.Length..]) + BatchLayout.LengthOverhead;

    /// <summary>Stamps offset and leader epoch, which the CRC does not cover.</summary>
    public static void Stamp(Span<byte> batch, long baseOffset, int leaderEpoch)
    {
        BinaryPrimitives.WriteInt64BigEndian(batch[BatchLayout.BaseOffset..], baseOffset);
        BinaryPrimitives.WriteInt32BigEndian(batch[BatchLayout.LeaderEpoch..], leaderEpoch);
    }
}

/// <summary>Arithmetic on producer sequences, which wrap from 2³¹−1 to 0.</summary>
public static class Sequence
{
    /// <summary><paramref name="sequence"/> moved on by <paramref name="count"/> records.</summary>
    public static int Add(int sequence, int count) => (int)(((long)sequence + count) & int.MaxValue);

    /// <summary>The sequence of the record with this ordinal since the producer epoch began.</summary>
    public static int FromOrdinal(long ordinal) => (int)(ordinal & int.MaxValue);
}
