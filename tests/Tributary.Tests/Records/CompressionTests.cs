using Tributary.Contracts.Records;
using Tributary.Tests.Support;
using Xunit;

namespace Tributary.Tests.Records;

public sealed class CompressionTests
{
    private const int Reserve = BatchLayout.HeaderSize;
    private const int Limit = 1 << 20;

    public static TheoryData<CompressionCodec> Codecs =>
        [CompressionCodec.Gzip, CompressionCodec.Snappy, CompressionCodec.Lz4, CompressionCodec.Zstd];

    public static TheoryData<int> Goldens => new(Enumerable.Range(0, GoldenPayloads.All.Length));

    [Theory]
    [MemberData(nameof(Goldens))]
    public void What_another_implementation_wrote_is_read(int golden)
    {
        GoldenPayload payload = GoldenPayloads.All[golden];
        byte[] content = payload.Content;
        byte[]? pooled = null;

        int size = Compression.Decompress(payload.Codec, payload.Bytes, ref pooled, content.Length);

        Assert.True(content.AsSpan().SequenceEqual(pooled.AsSpan(0, size)), payload.ToString());
    }

    [Theory]
    [MemberData(nameof(Goldens))]
    public void One_byte_more_than_allowed_is_refused(int golden)
    {
        GoldenPayload payload = GoldenPayloads.All[golden];
        byte[]? pooled = null;

        Assert.Throws<InvalidDataException>(
            () => Compression.Decompress(payload.Codec, payload.Bytes, ref pooled, payload.Content.Length - 1));
    }

    [Theory]
    [MemberData(nameof(Goldens))]
    public void A_payload_cut_off_at_any_byte_is_refused(int golden)
    {
        GoldenPayload payload = GoldenPayloads.All[golden];
        byte[] bytes = payload.Bytes;
        byte[]? pooled = null;
        for (int length = 0; length < bytes.Length; length++)
        {
            if (payload.Codec == CompressionCodec.Snappy && IsWholeChunks(bytes.AsSpan(0, length)))
            {
                continue; // the framing has no end mark: the batch's own length covers it
            }
            Assert.Throws<InvalidDataException>(() => Compression.Decompress(payload.Codec, bytes.AsSpan(0, length), ref pooled, Limit));
        }
    }

    [Theory]
    [MemberData(nameof(Goldens))]
    public void Bytes_after_the_end_are_refused(int golden)
    {
        GoldenPayload payload = GoldenPayloads.All[golden];
        byte[]? pooled = null;

        Assert.Throws<InvalidDataException>(
            () => Compression.Decompress(payload.Codec, [.. payload.Bytes, 1, 2, 3], ref pooled, Limit));
    }

    [Theory]
    [MemberData(nameof(Goldens))]
    public void Damaged_bytes_give_only_invalid_data_and_never_more_than_the_limit(int golden)
    {
        GoldenPayload payload = GoldenPayloads.All[golden];
        byte[] bytes = payload.Bytes;
        var random = new Random(golden);
        byte[]? pooled = null;
        int refused = 0;
        for (int i = 0; i < 3000; i++)
        {
            byte[] damaged = Mutations.Damage(bytes, random);
            try
            {
                Assert.InRange(Compression.Decompress(payload.Codec, damaged, ref pooled, Limit), 0, Limit);
            }
            catch (InvalidDataException)
            {
                refused++;
            }
            Assert.True(pooled is null || pooled.Length <= 2 * Limit);
        }
        Assert.True(refused > 0);
    }

    [Theory]
    [MemberData(nameof(Codecs))]
    public void Noise_is_refused(CompressionCodec codec)
    {
        var random = new Random(7);
        byte[]? pooled = null;
        int taken = 0;
        for (int i = 0; i < 3000; i++)
        {
            byte[] noise = new byte[random.Next(64)];
            random.NextBytes(noise);
            try
            {
                Compression.Decompress(codec, noise, ref pooled, Limit);
                taken++;
            }
            catch (InvalidDataException)
            {
            }
        }
        Assert.InRange(taken, 0, 300); // a few bytes can be a snappy block
    }

    [Theory]
    [MemberData(nameof(Codecs))]
    public void What_was_compressed_comes_back_behind_the_reserved_bytes(CompressionCodec codec)
    {
        var random = new Random(11);
        byte[]? compressed = null;
        byte[]? back = null;
        foreach (int length in (int[])[1, 2, 17, 1000, 65_535, 65_536, 65_537, 131_072, 1_000_000])
        {
            foreach (byte[] content in (byte[][])[new byte[length], Noise(length, random), Text(length)])
            {
                int size = Compression.Compress(codec, content, ref compressed, Reserve, 0);
                int got = Compression.Decompress(codec, compressed.AsSpan(Reserve..size), ref back, length);
                Assert.True(content.AsSpan().SequenceEqual(back.AsSpan(0, got)), $"{length} bytes");
            }
        }
    }

    [Theory]
    [MemberData(nameof(Codecs))]
    public void Every_level_can_be_read_back_and_others_are_refused(CompressionCodec codec)
    {
        (int least, int most) = Compression.Levels(codec);
        byte[] content = Text(5000);
        byte[]? compressed = null;
        byte[]? back = null;
        for (int level = Math.Max(least, -7); level <= most; level++)
        {
            int size = Compression.Compress(codec, content, ref compressed, 0, level);
            Assert.Equal(content.Length, Compression.Decompress(codec, compressed.AsSpan(0, size), ref back, content.Length));
        }
        Assert.Throws<ArgumentOutOfRangeException>(() => Compression.Compress(codec, content, ref compressed, 0, least - 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => Compression.Compress(codec, content, ref compressed, 0, most + 1));
    }

    [Theory]
    [MemberData(nameof(Codecs))]
    public void A_bomb_is_refused_before_it_takes_memory(CompressionCodec codec)
    {
        byte[]? bomb = null;
        byte[]? pooled = null;
        int size = Compression.Compress(codec, new byte[50_000_000], ref bomb, 0, 0);

        Assert.Throws<InvalidDataException>(() => Compression.Decompress(codec, bomb.AsSpan(0, size), ref pooled, Limit));

        Assert.True(pooled is null || pooled.Length <= 2 * Limit);
    }

    [Fact]
    public void An_unknown_codec_is_not_supported()
    {
        byte[]? pooled = null;

        Assert.Throws<NotSupportedException>(() => Compression.Compress((CompressionCodec)5, [1], ref pooled, 0, 0));
        Assert.Throws<NotSupportedException>(() => Compression.Decompress((CompressionCodec)7, [1], ref pooled, 1));
        Assert.Throws<NotSupportedException>(() => Compression.Decompress(CompressionCodec.None, [1], ref pooled, 1));
    }

    [Theory]
    [InlineData(CompressionCodec.Zstd, 0, 0)]
    [InlineData(CompressionCodec.Lz4, 0, 0)]
    [InlineData(CompressionCodec.Snappy, 64, 128)] // the library's state
    [InlineData(CompressionCodec.Gzip, 512, 512)] // the platform's stream
    public void Compressing_allocates_no_more_than_the_library_does(CompressionCodec codec, long compressing, long decompressing)
    {
        byte[] content = Text(20_000);
        byte[]? compressed = null;
        byte[]? back = null;
        int size = 0;

        Assert.InRange(Allocations.PerCall(() => size = Compression.Compress(codec, content, ref compressed, Reserve, 0)), 0, compressing);
        Assert.InRange(
            Allocations.PerCall(() => Compression.Decompress(codec, compressed.AsSpan(Reserve..size), ref back, Limit)), 0, decompressing);
    }

    [Fact]
    public async Task Threads_share_the_codecs()
    {
        await Task.WhenAll(Enumerable.Range(0, 8).Select(seed => Task.Run(() =>
        {
            var random = new Random(seed);
            byte[]? compressed = null;
            byte[]? back = null;
            for (int i = 0; i < 100; i++)
            {
                byte[] content = Noise(random.Next(1, 3000), random);
                var codec = (CompressionCodec)random.Next(1, 5);
                int size = Compression.Compress(codec, content, ref compressed, 0, 0);
                int got = Compression.Decompress(codec, compressed.AsSpan(0, size), ref back, content.Length);
                Assert.True(content.AsSpan().SequenceEqual(back.AsSpan(0, got)));
            }
        })));
    }

    private static bool IsWholeChunks(ReadOnlySpan<byte> framed)
    {
        if (framed.Length < 16 || framed[0] != 0x82)
        {
            return false;
        }
        framed = framed[16..];
        while (framed.Length >= 4)
        {
            int chunk = System.Buffers.Binary.BinaryPrimitives.ReadInt32BigEndian(framed);
            if (chunk > framed.Length - 4)
            {
                return false;
            }
            framed = framed[(4 + chunk)..];
        }
        return framed.IsEmpty;
    }

    private static byte[] Noise(int length, Random random)
    {
        byte[] noise = new byte[length];
        random.NextBytes(noise);
        return noise;
    }

    private static byte[] Text(int length)
    {
        byte[] text = new byte[length];
        for (int i = 0; i < length; i++)
        {
            text[i] = (byte)(i % 100 == 99 ? i / 100 : "devices/d1/temperature 21.5 "[i % 28]);
        }
        return text;
    }
}
