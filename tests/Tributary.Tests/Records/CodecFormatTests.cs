using System.Buffers.Binary;
using Tributary.Contracts.Records;
using Xunit;

namespace Tributary.Tests.Records;

/// <summary>What each codec's format demands beyond what all have in common.</summary>
public sealed class CodecFormatTests
{
    private const int Limit = 1 << 20;

    [Fact]
    public void Snappy_is_written_as_a_raw_block()
    {
        byte[] compressed = Compress(CompressionCodec.Snappy, new byte[200]);

        Assert.Equal([0xC8, 0x01], compressed[..2]); // varint 200
    }

    [Theory]
    [InlineData(0)] // version below the least
    [InlineData(-1)]
    public void A_snappy_framing_of_another_version_is_refused(int version)
    {
        byte[] framed = FramedSnappy([1, 0, (byte)'x']);
        BinaryPrimitives.WriteInt32BigEndian(framed.AsSpan(8), version);

        Assert.Throws<InvalidDataException>(() => Decompress(CompressionCodec.Snappy, framed));
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(int.MaxValue)]
    [InlineData(4)]
    public void A_snappy_chunk_that_states_another_length_is_refused(int length)
    {
        byte[] framed = FramedSnappy([1, 0, (byte)'x']);
        BinaryPrimitives.WriteInt32BigEndian(framed.AsSpan(16), length);

        Assert.Throws<InvalidDataException>(() => Decompress(CompressionCodec.Snappy, framed));
    }

    [Fact]
    public void A_snappy_framing_without_chunks_holds_nothing() =>
        Assert.Empty(Decompress(CompressionCodec.Snappy, FramedSnappy().AsSpan(0, 16)));

    [Theory]
    [InlineData("ff ff ff ff 0f 00 78")] // 4 GiB − 1
    [InlineData("ff ff ff ff 1f 00 78")] // past 32 bits
    [InlineData("80 80 80 80 80 00")] // never ends
    [InlineData("80 80 40 00 78")] // 1 MiB of three bytes
    [InlineData("02 00 78")] // one byte too few
    [InlineData("01 04 78 79")] // one too many
    [InlineData("05 00 78 01 02")] // copies from before the start
    [InlineData("02 f0")] // a literal's length is missing
    [InlineData("02 fc ff ff ff ff")] // a literal of 4 GiB
    [InlineData("")]
    public void A_snappy_block_that_lies_about_its_size_is_refused(string hex) =>
        Assert.Throws<InvalidDataException>(() => Decompress(CompressionCodec.Snappy, Hex(hex)));

    [Fact]
    public void Linked_lz4_blocks_are_refused_as_java_refuses_them()
    {
        var e = Assert.Throws<InvalidDataException>(
            () => Decompress(CompressionCodec.Lz4, Convert.FromBase64String(GoldenPayloads.LinkedLz4Blocks)));

        Assert.Contains("linked blocks", e.Message);
    }

    [Fact]
    public void Lz4_is_written_in_independent_blocks_of_64_kibibytes_with_the_contents_size()
    {
        byte[] compressed = Compress(CompressionCodec.Lz4, new byte[100_000]);

        Assert.Equal([0x04, 0x22, 0x4D, 0x18, 0x68, 0x40], compressed[..6]);
        Assert.Equal(100_000, BinaryPrimitives.ReadInt64LittleEndian(compressed.AsSpan(6)));
        Assert.Equal([0, 0, 0, 0], compressed[^4..]);
    }

    [Theory]
    [InlineData("03 22 4d 18 60 40 82 00 00 00 00", "no LZ4 frame")]
    [InlineData("04 22 4d 18 a0 40 82 00 00 00 00", "another version")]
    [InlineData("04 22 4d 18 61 40 82 00 00 00 00", "a dictionary")]
    [InlineData("04 22 4d 18 62 40 82 00 00 00 00", "a dictionary")]
    [InlineData("04 22 4d 18 60 30 82 00 00 00 00", "another version")]
    [InlineData("04 22 4d 18 60 c0 82 00 00 00 00", "another version")]
    [InlineData("04 22 4d 18 60 41 82 00 00 00 00", "another version")]
    [InlineData("04 22 4d 18 60 40 83 00 00 00 00", "header of the LZ4 frame is damaged")]
    [InlineData("04 22 4d 18 60 40 82 00 00 00 80", "cut off or too large")] // a stored block of no bytes
    [InlineData("04 22 4d 18 60 40 82 01 00 01 80", "cut off or too large")] // more than 64 KiB
    [InlineData("04 22 4d 18 60 40 82 02 00 00 80 78", "cut off or too large")]
    [InlineData("04 22 4d 18 60 40 82 01 00 00 80 78", "cut off")] // no end mark
    public void An_lz4_frame_that_kafka_would_not_write_is_refused(string hex, string reason)
    {
        var e = Assert.Throws<InvalidDataException>(() => Decompress(CompressionCodec.Lz4, Hex(hex)));

        Assert.Contains(reason, e.Message);
    }

    [Fact]
    public void A_stored_lz4_block_is_read() =>
        Assert.Equal([(byte)'x'], Decompress(CompressionCodec.Lz4, Hex("04 22 4d 18 60 40 82 01 00 00 80 78 00 00 00 00")));

    [Theory]
    [InlineData("lz4-java, block and content checksums")]
    [InlineData("the lz4 command, content size and block checksums")]
    public void A_wrong_lz4_checksum_is_found(string maker)
    {
        byte[] bytes = GoldenPayloads.All.Single(p => p.Maker == maker).Bytes;
        bytes[^1] ^= 1; // of the content
        Assert.Contains("content", Assert.Throws<InvalidDataException>(() => Decompress(CompressionCodec.Lz4, bytes)).Message);
        bytes[^1] ^= 1;
        bytes[^9] ^= 1; // of the block
        Assert.Contains("block", Assert.Throws<InvalidDataException>(() => Decompress(CompressionCodec.Lz4, bytes)).Message);
    }

    [Fact]
    public void A_zstd_frame_states_its_size()
    {
        byte[] compressed = Compress(CompressionCodec.Zstd, new byte[100]);

        Assert.Equal([0x28, 0xB5, 0x2F, 0xFD, 0x20, 100], compressed[..6]); // single segment, one byte of size
    }

    [Theory]
    [InlineData("28 b5 2f fd e0 ff ff ff ff ff ff ff 3f 01 00 00")] // states 2⁶² bytes
    [InlineData("28 b5 2f fd 00 ff 01 00 00")] // a window of terabytes
    [InlineData("28 b5 2f fd 04 58 01 00 00")] // content checksum missing
    [InlineData("28 b5 2f fd 20 05 09 00 00 78")] // states five, holds one
    [InlineData("fd 2f b5 28 20 01 09 00 00 78")]
    public void A_zstd_frame_that_lies_is_refused(string hex) =>
        Assert.Throws<InvalidDataException>(() => Decompress(CompressionCodec.Zstd, Hex(hex)));

    [Fact]
    public void Zstd_frames_in_a_row_are_one_payload() =>
        Assert.Equal("xx"u8, Decompress(CompressionCodec.Zstd, Hex("28 b5 2f fd 20 01 09 00 00 78 28 b5 2f fd 20 01 09 00 00 78")));

    [Fact]
    public void A_zstd_payload_denser_than_usual_is_read()
    {
        byte[] content = new byte[9_000_000]; // past the first buffer, twice
        byte[] compressed = Compress(CompressionCodec.Zstd, content);
        byte[]? pooled = null;

        Assert.Equal(content.Length, Compression.Decompress(CompressionCodec.Zstd, compressed, ref pooled, content.Length));
    }

    [Fact]
    public void A_gzip_member_with_a_wrong_checksum_is_refused()
    {
        byte[] bytes = Compress(CompressionCodec.Gzip, "some bytes"u8.ToArray());
        bytes[^5] ^= 1;

        Assert.Throws<InvalidDataException>(() => Decompress(CompressionCodec.Gzip, bytes));
    }

    private static byte[] FramedSnappy(params byte[] block)
    {
        byte[] framed = [0x82, .. "SNAPPY"u8, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, .. block];
        BinaryPrimitives.WriteInt32BigEndian(framed.AsSpan(16), block.Length);
        return framed;
    }

    private static byte[] Hex(string spaced) => Convert.FromHexString(spaced.Replace(" ", ""));

    private static byte[] Compress(CompressionCodec codec, byte[] content)
    {
        byte[]? pooled = null;
        int size = Compression.Compress(codec, content, ref pooled, 0, 0);
        return pooled.AsSpan(0, size).ToArray();
    }

    private static byte[] Decompress(CompressionCodec codec, ReadOnlySpan<byte> payload)
    {
        byte[]? pooled = null;
        int size = Compression.Decompress(codec, payload, ref pooled, Limit);
        return pooled.AsSpan(0, size).ToArray();
    }
}
