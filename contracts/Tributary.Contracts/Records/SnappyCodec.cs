using System.Buffers.Binary;
using Snappier;

namespace Tributary.Contracts.Records;

/// <summary>
/// Snappy. Written is one raw block, as librdkafka writes it: its readers and Java's (which fall back to the raw format when the framing's
/// magic is absent) take it. Read are raw blocks and the framing of snappy-java, which Java's producers write: a header of 16 bytes, then
/// chunks of an int32 length and a raw block.
/// </summary>
internal static class SnappyCodec
{
    /// <summary>The densest element copies 64 bytes by 3, so that a block's stated length can be doubted before memory is taken for it.</summary>
    private const int MaxRatio = 22;
    private const int FramingHeaderSize = 16;
    private const int LeastFramingVersion = 1;

    private static ReadOnlySpan<byte> FramingMagic => [0x82, (byte)'S', (byte)'N', (byte)'A', (byte)'P', (byte)'P', (byte)'Y', 0];

    public static int Compress(ReadOnlySpan<byte> payload, ref byte[]? pooled, int reserve)
    {
        PooledBuffer.Ensure(ref pooled, (long)reserve + Snappy.GetMaxCompressedLength(payload.Length));
        return reserve + Snappy.Compress(payload, pooled.AsSpan(reserve));
    }

    public static int Decompress(ReadOnlySpan<byte> payload, ref byte[]? pooled, int limit)
    {
        if (!payload.StartsWith(FramingMagic))
        {
            int size = StatedSize(payload, limit);
            PooledBuffer.Ensure(ref pooled, size);
            DecompressBlock(payload, pooled.AsSpan(0, size));
            return size;
        }
        if (payload.Length < FramingHeaderSize
            || BinaryPrimitives.ReadInt32BigEndian(payload[FramingMagic.Length..]) < LeastFramingVersion)
        {
            throw new InvalidDataException("the header of the snappy framing is cut off or of an unknown version");
        }
        return DecompressChunks(payload[FramingHeaderSize..], ref pooled, limit);
    }

    private static int DecompressChunks(ReadOnlySpan<byte> chunks, ref byte[]? pooled, int limit)
    {
        int total = 0;
        for (ReadOnlySpan<byte> rest = chunks; !rest.IsEmpty;)
        {
            total += StatedSize(NextChunk(ref rest), limit - total);
        }
        PooledBuffer.Ensure(ref pooled, total);
        int used = 0;
        for (ReadOnlySpan<byte> rest = chunks; !rest.IsEmpty;)
        {
            ReadOnlySpan<byte> block = NextChunk(ref rest);
            int size = StatedSize(block, limit - used);
            DecompressBlock(block, pooled.AsSpan(used, size));
            used += size;
        }
        return used;
    }

    private static ReadOnlySpan<byte> NextChunk(ref ReadOnlySpan<byte> rest)
    {
        if (!BinaryPrimitives.TryReadInt32BigEndian(rest, out int length) || length < 0 || length > rest.Length - sizeof(int))
        {
            throw new InvalidDataException("a chunk of the snappy framing is cut off");
        }
        ReadOnlySpan<byte> block = rest.Slice(sizeof(int), length);
        rest = rest[(sizeof(int) + length)..];
        return block;
    }

    private static int StatedSize(ReadOnlySpan<byte> block, int limit)
    {
        uint size = 0;
        for (int at = 0; at < block.Length && at < 5; at++)
        {
            uint bits = block[at] & 0x7Fu;
            if (at == 4 && bits > 0x0F)
            {
                break;
            }
            size |= bits << (7 * at);
            if (block[at] < 0x80)
            {
                if (size > (ulong)MaxRatio * (uint)block.Length)
                {
                    throw new InvalidDataException("the snappy block states a size that its bytes can't make");
                }
                return size <= limit ? (int)size : throw Compression.TooLarge(limit);
            }
        }
        throw new InvalidDataException("the snappy block has no size");
    }

    private static void DecompressBlock(ReadOnlySpan<byte> block, Span<byte> to)
    {
        int written;
        try
        {
            written = Snappy.Decompress(block, to);
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            throw new InvalidDataException("the snappy block is damaged", e);
        }
        if (written != to.Length)
        {
            throw new InvalidDataException("the snappy block ends before the size that it states");
        }
    }
}
