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
    /// <summary>A longer literal has its length in one to four bytes after the tag.</summary>
    private const int LongestShortLiteral = 60;
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
            int size = Measure(payload, limit);
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
            total += Measure(NextChunk(ref rest), limit - total);
        }
        PooledBuffer.Ensure(ref pooled, total);
        int used = 0;
        for (ReadOnlySpan<byte> rest = chunks; !rest.IsEmpty;)
        {
            ReadOnlySpan<byte> block = NextChunk(ref rest);
            ReadOnlySpan<byte> elements = block;
            int size = (int)ReadStatedSize(ref elements);
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

    /// <summary>
    /// Bytes that the elements of a block make, which must be what the block states. The package's decoder takes less and more, which
    /// other readers refuse, and memory is taken only for what will come out.
    /// </summary>
    private static int Measure(ReadOnlySpan<byte> block, int limit)
    {
        uint stated = ReadStatedSize(ref block);
        long made = 0;
        int at = 0;
        while (at < block.Length)
        {
            int tag = block[at++];
            long length = (tag >> 2) + 1;
            switch (tag & 3)
            {
                case 0:
                    int extra = (int)length - LongestShortLiteral;
                    if (extra > 0)
                    {
                        length = ReadLiteralLength(block, at, extra);
                        at += extra;
                    }
                    at = (int)Math.Min(at + length, int.MaxValue);
                    break;
                case 1:
                    length = 4 + ((tag >> 2) & 7);
                    at += 1;
                    break;
                case 2:
                    at += 2;
                    break;
                default:
                    at += 4;
                    break;
            }
            made += length;
        }
        if (at != block.Length || made != stated)
        {
            throw new InvalidDataException("the snappy block is cut off, or is not of the size that it states");
        }
        return made <= limit ? (int)made : throw Compression.TooLarge(limit);
    }

    private static long ReadLiteralLength(ReadOnlySpan<byte> block, int at, int bytes)
    {
        if (bytes > block.Length - at)
        {
            throw new InvalidDataException("a literal of the snappy block is cut off");
        }
        long length = 0;
        for (int i = 0; i < bytes; i++)
        {
            length |= (long)block[at + i] << (8 * i);
        }
        return length + 1;
    }

    private static uint ReadStatedSize(ref ReadOnlySpan<byte> block)
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
                block = block[(at + 1)..];
                return size;
            }
        }
        throw new InvalidDataException("the snappy block has no size");
    }

    private static void DecompressBlock(ReadOnlySpan<byte> block, Span<byte> to)
    {
        try
        {
            if (Snappy.Decompress(block, to) == to.Length)
            {
                return;
            }
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            throw new InvalidDataException("the snappy block is damaged", e);
        }
        throw new InvalidDataException("the snappy block is damaged");
    }
}
