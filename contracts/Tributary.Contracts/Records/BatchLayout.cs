namespace Tributary.Contracts.Records;

/// <summary>
/// Byte positions in a record batch of magic 2, as Kafka lays it out (KIP-98; all integers big-endian).
/// The CRC covers everything from <see cref="Attributes"/> to the end, so <see cref="BaseOffset"/>,
/// <see cref="Length"/> and <see cref="LeaderEpoch"/> can be stamped without recomputing it.
/// </summary>
public static class BatchLayout
{
    /// <summary>int64: offset of the first record.</summary>
    public const int BaseOffset = 0;

    /// <summary>int32: bytes that follow this field.</summary>
    public const int Length = 8;

    /// <summary>int32: leader epoch, stamped by the broker.</summary>
    public const int LeaderEpoch = 12;

    /// <summary>int8: always 2.</summary>
    public const int Magic = 16;

    /// <summary>uint32: CRC-32C of the bytes from <see cref="Attributes"/> on.</summary>
    public const int Crc = 17;

    /// <summary>int16: see <see cref="BatchAttributes"/>.</summary>
    public const int Attributes = 21;

    /// <summary>int32: last offset minus base offset.</summary>
    public const int LastOffsetDelta = 23;

    /// <summary>int64: Unix milliseconds that the records' timestamp deltas count from.</summary>
    public const int BaseTimestamp = 27;

    /// <summary>int64: the greatest timestamp, Unix milliseconds.</summary>
    public const int MaxTimestamp = 35;

    /// <summary>int64: producer id, −1 for none.</summary>
    public const int ProducerId = 43;

    /// <summary>int16: producer epoch, −1 for none.</summary>
    public const int ProducerEpoch = 51;

    /// <summary>int32: sequence of the first record, −1 for none.</summary>
    public const int BaseSequence = 53;

    /// <summary>int32: number of records.</summary>
    public const int RecordCount = 57;

    /// <summary>Bytes of the header; the (possibly compressed) records follow.</summary>
    public const int HeaderSize = 61;

    /// <summary>Bytes before the part that <see cref="Length"/> counts.</summary>
    public const int LengthOverhead = 12;

    /// <summary>The only magic that is served.</summary>
    public const byte CurrentMagic = 2;
}

/// <summary>The attributes field of a record batch.</summary>
[Flags]
public enum BatchAttributes : short
{
    /// <summary>Create time, not transactional, uncompressed.</summary>
    None = 0,

    /// <summary>The bits that hold a <see cref="CompressionCodec"/>.</summary>
    CodecMask = 0x07,

    /// <summary>Timestamps were set by the log, not by the producer.</summary>
    LogAppendTime = 0x08,

    /// <summary>Part of a transaction.</summary>
    Transactional = 0x10,

    /// <summary>Holds a control record, which is never shown to consumers.</summary>
    Control = 0x20,

    /// <summary>
    /// The base timestamp is the time, Unix ms, from which compaction may take tombstones and markers out of the batch (KIP-534).
    /// </summary>
    DeleteHorizon = 0x40,
}

/// <summary>Compression of the records of a batch.</summary>
public enum CompressionCodec : byte
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>gzip (RFC 1952).</summary>
    Gzip = 1,

    /// <summary>Snappy, raw or in xerial's framing.</summary>
    Snappy = 2,

    /// <summary>LZ4 frame format.</summary>
    Lz4 = 3,

    /// <summary>Zstandard (RFC 8878; KIP-110).</summary>
    Zstd = 4,
}
