namespace Tributary.Contracts.Records;

/// <summary>The codecs of record batches. Decompression is bounded: a small input can't be made to fill the memory.</summary>
public static class Compression
{
    /// <summary>
    /// Compresses <paramref name="payload"/> into <paramref name="pooled"/> behind its first <paramref name="reserve"/> bytes. The buffer
    /// comes from the shared array pool, is replaced by a larger one when it must grow, and belongs to the caller.
    /// </summary>
    /// <param name="level">The codec's own level, 0 for its default.</param>
    /// <returns>Bytes used of the buffer, <paramref name="reserve"/> included.</returns>
    /// <exception cref="NotSupportedException">Unknown codec.</exception>
    public static int Compress(CompressionCodec codec, ReadOnlySpan<byte> payload, ref byte[]? pooled, int reserve, int level) =>
        throw new NotSupportedException($"compression codec {codec}");

    /// <summary>Decompresses a batch's payload into <paramref name="pooled"/>, on the same terms as <see cref="Compress"/>.</summary>
    /// <param name="limit">The most bytes that may come out.</param>
    /// <returns>Bytes used of the buffer.</returns>
    /// <exception cref="InvalidDataException">The bytes are not of this codec, or more than <paramref name="limit"/> would come out.</exception>
    /// <exception cref="NotSupportedException">Unknown codec.</exception>
    public static int Decompress(CompressionCodec codec, ReadOnlySpan<byte> payload, ref byte[]? pooled, int limit) =>
        throw new NotSupportedException($"compression codec {codec}");
}
