namespace Tributary.Contracts.Records;

/// <summary>
/// The codecs of record batches. Decompression is bounded: a small input can't be made to fill the memory, since a buffer grows only as
/// far as the bytes that are there can reach, and never past the caller's limit. Safe for concurrent use.
/// </summary>
public static class Compression
{
    /// <summary>
    /// Compresses <paramref name="payload"/> into <paramref name="pooled"/> behind its first <paramref name="reserve"/> bytes, whose
    /// content is left undefined. The buffer comes from the shared array pool, is replaced by a larger one when it must grow, and belongs
    /// to the caller.
    /// </summary>
    /// <param name="codec">The codec; <see cref="CompressionCodec.None"/> is none.</param>
    /// <param name="payload">The records of a batch, at least one byte.</param>
    /// <param name="pooled">The caller's buffer, or null to rent one.</param>
    /// <param name="reserve">Bytes to leave free at the start.</param>
    /// <param name="level">
    /// The codec's own level, 0 for its default: gzip 1 to 9, lz4 1 to 17, zstd −131072 to 22 (KIP-390); snappy has none.
    /// </param>
    /// <returns>Bytes used of the buffer, <paramref name="reserve"/> included.</returns>
    /// <exception cref="NotSupportedException">Unknown codec.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The codec has no such level, or the payload is empty.</exception>
    public static int Compress(CompressionCodec codec, ReadOnlySpan<byte> payload, ref byte[]? pooled, int reserve, int level)
    {
        (int least, int most) = Levels(codec);
        ArgumentOutOfRangeException.ThrowIfZero(payload.Length);
        ArgumentOutOfRangeException.ThrowIfLessThan(level, least);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(level, most);
        return codec switch
        {
            CompressionCodec.Gzip => GzipCodec.Compress(payload, ref pooled, reserve, level),
            CompressionCodec.Snappy => SnappyCodec.Compress(payload, ref pooled, reserve),
            CompressionCodec.Lz4 => Lz4Codec.Compress(payload, ref pooled, reserve, level),
            _ => ZstdCodec.Compress(payload, ref pooled, reserve, level),
        };
    }

    /// <summary>Decompresses a batch's payload into <paramref name="pooled"/>, on the same terms as <see cref="Compress"/>.</summary>
    /// <param name="codec">The codec; <see cref="CompressionCodec.None"/> is none.</param>
    /// <param name="payload">The compressed records of a batch.</param>
    /// <param name="pooled">The caller's buffer, or null to rent one. May have been replaced when this throws.</param>
    /// <param name="limit">The most bytes that may come out.</param>
    /// <returns>Bytes used of the buffer.</returns>
    /// <exception cref="InvalidDataException">
    /// The bytes are not of this codec, or more than <paramref name="limit"/> would come out.
    /// </exception>
    /// <exception cref="NotSupportedException">Unknown codec.</exception>
    public static int Decompress(CompressionCodec codec, ReadOnlySpan<byte> payload, ref byte[]? pooled, int limit)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(limit);
        limit = Math.Min(limit, Array.MaxLength);
        return codec switch
        {
            CompressionCodec.Gzip => GzipCodec.Decompress(payload, ref pooled, limit),
            CompressionCodec.Snappy => SnappyCodec.Decompress(payload, ref pooled, limit),
            CompressionCodec.Lz4 => Lz4Codec.Decompress(payload, ref pooled, limit),
            CompressionCodec.Zstd => ZstdCodec.Decompress(payload, ref pooled, limit),
            _ => throw Unknown(codec),
        };
    }

    /// <summary>The least and the greatest level of a codec; 0, which lies between them, is its default.</summary>
    /// <exception cref="NotSupportedException">Unknown codec.</exception>
    public static (int Least, int Most) Levels(CompressionCodec codec) => codec switch
    {
        CompressionCodec.Gzip => (0, 9),
        CompressionCodec.Snappy => (0, 0),
        CompressionCodec.Lz4 => (0, 17),
        CompressionCodec.Zstd => (-131072, 22),
        _ => throw Unknown(codec),
    };

    internal static InvalidDataException TooLarge(int limit) => new($"the compressed records exceed {limit} bytes");

    private static NotSupportedException Unknown(CompressionCodec codec) => new($"compression codec {(int)codec} is not supported");
}
