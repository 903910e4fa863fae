using System.Buffers.Binary;
using K4os.Compression.LZ4;
using K4os.Hash.xxHash;

namespace Tributary.Contracts.Records;

/// <summary>
/// The LZ4 frame format (lz4_Frame_format.md, version 1.6) around LZ4 blocks, as Kafka's clients use it: one frame whose blocks are
/// independent. Java's reader takes no other, so linked blocks, dictionaries and a second frame are refused here too: a batch with them
/// would stop every Java consumer. Written are blocks of 64 KiB and the content's size, without checksums, since the batch has one
/// (and Java's reader computes the content's in a way of its own).
/// </summary>
internal static class Lz4Codec
{
    private const uint Magic = 0x184D2204;
    private const byte Version = 0x40;
    private const byte VersionMask = 0xC0;
    private const byte IndependentBlocks = 0x20;
    private const byte BlockChecksum = 0x10;
    private const byte ContentSize = 0x08;
    private const byte ContentChecksum = 0x04;
    private const byte FlagsRefused = 0x03; // reserved, dictionary id
    private const byte BlockSizeRefused = 0x8F; // reserved
    private const byte BlockOf64K = 0x40;
    private const int WrittenBlockSize = 64 * 1024;
    private const uint Uncompressed = 0x80000000;

    /// <summary>Magic, flags, block size, content size, header checksum.</summary>
    private const int WrittenHeaderSize = 4 + 1 + 1 + 8 + 1;

    /// <summary>A byte of a block makes at most 255: the densest element is a match length's continuation.</summary>
    private const long MaxRatio = 255;

    public static int Compress(ReadOnlySpan<byte> payload, ref byte[]? pooled, int reserve, int level)
    {
        int blocks = (int)(((long)payload.Length + WrittenBlockSize - 1) / WrittenBlockSize);
        PooledBuffer.Ensure(ref pooled, (long)reserve + WrittenHeaderSize + (long)blocks * sizeof(uint) + payload.Length + sizeof(uint));
        Span<byte> to = pooled.AsSpan(reserve);
        BinaryPrimitives.WriteUInt32LittleEndian(to, Magic);
        to[4] = Version | IndependentBlocks | ContentSize;
        to[5] = BlockOf64K;
        BinaryPrimitives.WriteInt64LittleEndian(to[6..], payload.Length);
        to[14] = HeaderChecksum(to[4..14]);
        int at = WrittenHeaderSize;
        LZ4Level speed = level < (int)LZ4Level.L03_HC ? LZ4Level.L00_FAST : (LZ4Level)Math.Min(level, (int)LZ4Level.L12_MAX);
        while (!payload.IsEmpty)
        {
            ReadOnlySpan<byte> block = payload[..Math.Min(payload.Length, WrittenBlockSize)];
            at += WriteBlock(block, to[at..], speed);
            payload = payload[block.Length..];
        }
        BinaryPrimitives.WriteUInt32LittleEndian(to[at..], 0);
        return reserve + at + sizeof(uint);
    }

    public static int Decompress(ReadOnlySpan<byte> payload, ref byte[]? pooled, int limit)
    {
        Frame frame = ReadHeader(ref payload);
        if (frame.Size > (ulong)limit)
        {
            throw Compression.TooLarge(limit);
        }
        int used = 0;
        while (true)
        {
            uint length = ReadUInt32(ref payload);
            if (length == 0)
            {
                break;
            }
            bool stored = (length & Uncompressed) != 0;
            length &= ~Uncompressed;
            if (length == 0 || length > frame.MaxBlockSize || length > payload.Length)
            {
                throw new InvalidDataException("a block of the LZ4 frame is cut off or too large");
            }
            ReadOnlySpan<byte> block = payload[..(int)length];
            payload = payload[(int)length..];
            if (frame.HasBlockChecksums && ReadUInt32(ref payload) != XXH32.DigestOf(block))
            {
                throw new InvalidDataException("the checksum of an LZ4 block is wrong");
            }
            used += ReadBlock(block, stored, frame.MaxBlockSize, ref pooled, used, limit);
        }
        if (frame.HasContentChecksum && ReadUInt32(ref payload) != XXH32.DigestOf(pooled.AsSpan(0, used)))
        {
            throw new InvalidDataException("the checksum of the LZ4 frame's content is wrong");
        }
        if (!payload.IsEmpty || (frame.Size is ulong size && size != (ulong)used))
        {
            throw new InvalidDataException("the LZ4 frame is followed by other bytes, or is not of the size that it states");
        }
        PooledBuffer.Ensure(ref pooled, used);
        return used;
    }

    private static int WriteBlock(ReadOnlySpan<byte> block, Span<byte> to, LZ4Level level)
    {
        // Room for one byte less than the block has: what does not get smaller does not fit, and is stored.
        int size = LZ4Codec.Encode(block, to.Slice(sizeof(uint), block.Length - 1), level);
        if (size > 0)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(to, (uint)size);
            return sizeof(uint) + size;
        }
        BinaryPrimitives.WriteUInt32LittleEndian(to, (uint)block.Length | Uncompressed);
        block.CopyTo(to[sizeof(uint)..]);
        return sizeof(uint) + block.Length;
    }

    private static int ReadBlock(ReadOnlySpan<byte> block, bool stored, int maxBlockSize, ref byte[]? pooled, int used, int limit)
    {
        int most = stored ? block.Length : (int)Math.Min(maxBlockSize, MaxRatio * block.Length);
        if (stored && most > limit - used)
        {
            throw Compression.TooLarge(limit);
        }
        most = Math.Min(most, limit - used);
        if (pooled is null || pooled.Length - used < most)
        {
            PooledBuffer.Grow(ref pooled, used, Math.Min(limit, Math.Max(used + (long)most, 2L * used)));
        }
        Span<byte> to = pooled.AsSpan(used, most);
        if (stored)
        {
            block.CopyTo(to);
            return block.Length;
        }
        int size;
        try
        {
            size = LZ4Codec.Decode(block, to);
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            throw new InvalidDataException("an LZ4 block is damaged", e);
        }
        return size >= 0 ? size : throw new InvalidDataException($"an LZ4 block is damaged, or the records exceed {limit} bytes");
    }

    private static Frame ReadHeader(ref ReadOnlySpan<byte> payload)
    {
        if (ReadUInt32(ref payload) != Magic || payload.Length < 3)
        {
            throw new InvalidDataException("the bytes are no LZ4 frame");
        }
        byte flags = payload[0];
        byte blockSize = payload[1];
        if ((flags & VersionMask) != Version || (flags & FlagsRefused) != 0 || (flags & IndependentBlocks) == 0
            || (blockSize & BlockSizeRefused) != 0 || blockSize < BlockOf64K)
        {
            throw new InvalidDataException("the LZ4 frame has linked blocks, a dictionary or another version, which Kafka does not use");
        }
        bool hasSize = (flags & ContentSize) != 0;
        int described = hasSize ? 2 + sizeof(ulong) : 2;
        if (payload.Length <= described || payload[described] != HeaderChecksum(payload[..described]))
        {
            throw new InvalidDataException("the header of the LZ4 frame is damaged");
        }
        var frame = new Frame(
            1 << (8 + (2 * (blockSize >> 4))),
            (flags & BlockChecksum) != 0,
            (flags & ContentChecksum) != 0,
            hasSize ? BinaryPrimitives.ReadUInt64LittleEndian(payload[2..]) : null);
        payload = payload[(described + 1)..];
        return frame;
    }

    private static byte HeaderChecksum(ReadOnlySpan<byte> descriptor) => (byte)(XXH32.DigestOf(descriptor) >> 8);

    private static uint ReadUInt32(ref ReadOnlySpan<byte> from)
    {
        if (!BinaryPrimitives.TryReadUInt32LittleEndian(from, out uint value))
        {
            throw new InvalidDataException("the LZ4 frame is cut off");
        }
        from = from[sizeof(uint)..];
        return value;
    }

    private readonly record struct Frame(int MaxBlockSize, bool HasBlockChecksums, bool HasContentChecksum, ulong? Size);
}
