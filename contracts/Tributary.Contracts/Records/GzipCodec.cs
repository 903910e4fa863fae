using System.Buffers.Binary;
using System.IO.Compression;

namespace Tributary.Contracts.Records;

/// <summary>
/// gzip (RFC 1952), one member, as Kafka's clients write it. The platform offers it as a stream only, so a call makes a stream (a few small
/// objects); the bytes are neither copied nor kept.
/// </summary>
internal static class GzipCodec
{
    private const int FirstRatio = 4;
    private const int LeastBuffer = 4096;

    /// <summary>Header of 10 bytes, trailer of 8.</summary>
    private const int LeastMember = 18;

    public static int Compress(ReadOnlySpan<byte> payload, ref byte[]? pooled, int reserve, int level)
    {
        PooledBuffer.Ensure(ref pooled, (long)reserve + Math.Max(LeastBuffer, payload.Length / 2));
        using var to = new PooledWriteStream(pooled!, reserve);
        pooled = null; // the stream owns it until the end, since it may replace it
        try
        {
            ZLibCompressionOptions options = level == 0 ? DefaultLevel : new ZLibCompressionOptions { CompressionLevel = level };
            using (var gzip = new GZipStream(to, options, leaveOpen: true))
            {
                gzip.Write(payload);
            }
            return to.Used;
        }
        finally
        {
            pooled = to.Detach();
        }
    }

    public static unsafe int Decompress(ReadOnlySpan<byte> payload, ref byte[]? pooled, int limit)
    {
        if (payload.Length < LeastMember)
        {
            throw new InvalidDataException("the payload is too short for a gzip member");
        }
        int used;
        fixed (byte* bytes = payload)
        {
            using var from = new UnmanagedMemoryStream(bytes, payload.Length);
            using var gzip = new GZipStream(from, CompressionMode.Decompress);
            used = ReadAll(gzip, payload.Length, ref pooled, limit);
        }
        // The stream takes the end of the bytes for the end of the content, and ignores what follows a member: the stated size tells.
        if (used == 0 || BinaryPrimitives.ReadUInt32LittleEndian(payload[^sizeof(uint)..]) != (uint)used)
        {
            throw new InvalidDataException("the gzip member is cut off, empty or followed by other bytes");
        }
        return used;
    }

    private static ZLibCompressionOptions DefaultLevel { get; } = new();

    private static int ReadAll(GZipStream gzip, int compressedSize, ref byte[]? pooled, int limit)
    {
        long most = Math.Min(limit + 1L, Array.MaxLength); // one byte more than allowed tells a bomb from a payload of just that size
        int used = 0;
        PooledBuffer.Ensure(ref pooled, Math.Min(most, Math.Max(LeastBuffer, (long)FirstRatio * compressedSize)));
        while (true)
        {
            if (used == pooled!.Length)
            {
                PooledBuffer.Grow(ref pooled, used, Math.Min(most, 2L * used));
            }
            int read;
            try
            {
                read = gzip.Read(pooled.AsSpan(used, (int)Math.Min(pooled!.Length, most) - used));
            }
            catch (IOException e)
            {
                throw new InvalidDataException("the gzip member is damaged", e);
            }
            used += read;
            if (used > limit)
            {
                throw Compression.TooLarge(limit);
            }
            if (read == 0)
            {
                return used;
            }
        }
    }

    /// <summary>Writes into a pooled buffer that grows.</summary>
    private sealed class PooledWriteStream(byte[] pooled, int used) : Stream
    {
        private byte[]? _pooled = pooled;

        public int Used { get; private set; } = used;

        public override bool CanRead => false;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        public byte[]? Detach()
        {
            byte[]? buffer = _pooled;
            _pooled = null;
            return buffer;
        }

        public override void Write(ReadOnlySpan<byte> buffer)
        {
            long needed = (long)Used + buffer.Length;
            if (needed > _pooled!.Length)
            {
                PooledBuffer.Grow(ref _pooled, Used, Math.Max(needed, Math.Min(2L * Used, Array.MaxLength)));
            }
            buffer.CopyTo(_pooled.AsSpan(Used));
            Used += buffer.Length;
        }

        public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

        public override void Flush()
        {
        }

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();
    }
}
