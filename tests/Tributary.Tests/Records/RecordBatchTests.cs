using System.Buffers.Binary;
using System.Text;
using Tributary.Contracts.Records;
using Tributary.Tests.Support;
using Xunit;
using Record = Tributary.Contracts.Records.Record;

namespace Tributary.Tests.Records;

public sealed class RecordBatchTests
{
    public static TheoryData<CompressionCodec> Codecs =>
        [CompressionCodec.None, CompressionCodec.Gzip, CompressionCodec.Snappy, CompressionCodec.Lz4, CompressionCodec.Zstd];

    [Fact]
    public void Every_field_stands_where_kafka_puts_it()
    {
        byte[] bytes =
        [
            0, 0, 0, 0, 0, 0, 0x10, 0x01, // base offset 4097
            0, 0, 0, 50, // length: 49 of the header and one byte of payload
            0, 0, 0, 7, // leader epoch
            2, // magic
            0xDE, 0xAD, 0xBE, 0xEF, // CRC
            0, 0x3C, // attributes: zstd, log append time, transactional, control
            0, 0, 0, 5, // last offset delta
            0, 0, 1, 0, 0, 0, 0, 1, // base timestamp
            0, 0, 1, 0, 0, 0, 0, 2, // max timestamp
            0, 0, 0, 0, 0, 0, 0, 9, // producer id
            0, 3, // producer epoch
            0, 0, 0, 11, // base sequence
            0, 0, 0, 6, // records
            0xAA,
        ];

        Assert.Equal(BatchStatus.Ok, RecordBatch.TryRead([.. bytes, 0xBB], out RecordBatch batch));

        Assert.Equal(62, batch.Size);
        Assert.Equal(4097, batch.BaseOffset);
        Assert.Equal(4102, batch.LastOffset);
        Assert.Equal(4103, batch.NextOffset);
        Assert.Equal(7, batch.LeaderEpoch);
        Assert.Equal(0xDEADBEEF, batch.Crc);
        Assert.Equal(CompressionCodec.Zstd, batch.Codec);
        Assert.True(batch.Attributes.HasFlag(BatchAttributes.LogAppendTime));
        Assert.True(batch.IsTransactional);
        Assert.True(batch.IsControl);
        Assert.Equal(5, batch.LastOffsetDelta);
        Assert.Equal((1L << 40) + 1, batch.BaseTimestamp);
        Assert.Equal((1L << 40) + 2, batch.MaxTimestamp);
        Assert.Equal(9, batch.ProducerId);
        Assert.Equal(3, batch.ProducerEpoch);
        Assert.Equal(11, batch.BaseSequence);
        Assert.Equal(16, batch.LastSequence);
        Assert.Equal(6, batch.RecordCount);
        Assert.Equal([0xAA], batch.Payload.ToArray());
        Assert.False(batch.IsCrcValid());
    }

    [Theory]
    [MemberData(nameof(Codecs))]
    public void A_batch_of_a_real_client_is_read_to_the_last_header(CompressionCodec codec)
    {
        byte[] bytes = ClientBatches.Of(codec);

        Assert.Equal(BatchStatus.Ok, RecordBatch.TryRead(bytes, out RecordBatch batch));

        Assert.Equal(bytes.Length, batch.Size);
        Assert.Equal(codec, batch.Codec);
        Assert.True(batch.IsCrcValid());
        Assert.Equal(ClientBatches.RecordCount, batch.RecordCount);
        Assert.Equal(ClientBatches.RecordCount - 1, batch.LastOffsetDelta);
        Assert.Equal(0, batch.BaseSequence);
        Assert.Equal(0, batch.ProducerEpoch);
        byte[]? pooled = null;
        ReadOnlySpan<byte> payload = batch.Payload;
        if (codec != CompressionCodec.None)
        {
            int size = Compression.Decompress(codec, batch.Payload, ref pooled, 1 << 20);
            payload = pooled.AsSpan(0, size);
        }
        var reader = new RecordReader(payload, batch.RecordCount);
        for (int i = 0; i < ClientBatches.RecordCount; i++)
        {
            Assert.True(reader.Read(out Record record));
            Assert.Equal(i, record.OffsetDelta);
            Assert.Equal(0, record.TimestampDelta);
            Assert.Equal(ClientBatches.Key(i), Encoding.UTF8.GetString(record.Key));
            Assert.Equal(ClientBatches.Value(i), record.HasValue ? Encoding.UTF8.GetString(record.Value) : null);
            HeaderReader headers = record.ReadHeaders();
            Assert.True(headers.Read(out ReadOnlySpan<byte> name, out ReadOnlySpan<byte> value, out _));
            Assert.Equal("mqtt.topic=devices/d1/temperature", $"{Encoding.UTF8.GetString(name)}={Encoding.UTF8.GetString(value)}");
            Assert.True(headers.Read(out name, out value, out _));
            Assert.Equal("edge=e1", $"{Encoding.UTF8.GetString(name)}={Encoding.UTF8.GetString(value)}");
            Assert.False(headers.Read(out _, out _, out _));
            Assert.False(headers.IsMalformed);
        }
        Assert.False(reader.Read(out _));
        Assert.False(reader.IsMalformed);
    }

    [Fact]
    public void A_flipped_bit_behind_the_checksum_is_found()
    {
        byte[] bytes = ClientBatches.Of(CompressionCodec.None);
        for (int at = BatchLayout.Crc; at < bytes.Length; at++)
        {
            bytes[at] ^= 0x10;
            Assert.True(RecordBatch.TryRead(bytes, out RecordBatch batch) != BatchStatus.Ok || !batch.IsCrcValid(), $"byte {at}");
            bytes[at] ^= 0x10;
        }
    }

    [Fact]
    public void A_stamp_needs_no_new_checksum()
    {
        byte[] bytes = ClientBatches.Of(CompressionCodec.None);

        RecordBatch.Stamp(bytes, 123_456_789_012, 42);

        Assert.Equal(BatchStatus.Ok, RecordBatch.TryRead(bytes, out RecordBatch batch));
        Assert.Equal(123_456_789_012, batch.BaseOffset);
        Assert.Equal(42, batch.LeaderEpoch);
        Assert.True(batch.IsCrcValid());
    }

    [Fact]
    public void Bytes_that_end_early_are_incomplete()
    {
        byte[] bytes = ClientBatches.Of(CompressionCodec.Lz4);
        for (int length = 0; length < bytes.Length; length++)
        {
            Assert.Equal(BatchStatus.Incomplete, RecordBatch.TryRead(bytes.AsSpan(0, length), out _));
        }
        Assert.Equal(-1, RecordBatch.PeekSize(bytes.AsSpan(0, 11)));
        Assert.Equal(bytes.Length, RecordBatch.PeekSize(bytes.AsSpan(0, 12)));
    }

    [Theory]
    [InlineData(BatchLayout.Length, 48)]
    [InlineData(BatchLayout.Length, 0)]
    [InlineData(BatchLayout.Length, -1)]
    [InlineData(BatchLayout.Length, int.MinValue)]
    [InlineData(BatchLayout.Length, int.MaxValue)]
    [InlineData(BatchLayout.LastOffsetDelta, -1)]
    [InlineData(BatchLayout.LastOffsetDelta, ClientBatches.RecordCount - 2)] // fewer offsets than records
    [InlineData(BatchLayout.RecordCount, -1)]
    [InlineData(BatchLayout.RecordCount, ClientBatches.RecordCount + 1)]
    [InlineData(BatchLayout.BaseOffset, -1)] // the upper half
    [InlineData(BatchLayout.BaseOffset, int.MinValue)]
    public void A_header_that_cannot_be_is_malformed(int position, int value)
    {
        byte[] bytes = ClientBatches.Of(CompressionCodec.None);
        BinaryPrimitives.WriteInt32BigEndian(bytes.AsSpan(position), value);

        Assert.Equal(BatchStatus.Malformed, RecordBatch.TryRead(bytes, out _));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(3)]
    public void Another_magic_is_malformed_even_when_bytes_are_missing(byte magic)
    {
        byte[] bytes = ClientBatches.Of(CompressionCodec.None);
        bytes[BatchLayout.Magic] = magic;

        Assert.Equal(BatchStatus.Malformed, RecordBatch.TryRead(bytes, out _));
        Assert.Equal(BatchStatus.Malformed, RecordBatch.TryRead(bytes.AsSpan(0, BatchLayout.Magic + 1), out _));
    }

    [Fact]
    public void An_offset_past_63_bits_is_malformed()
    {
        byte[] bytes = ClientBatches.Of(CompressionCodec.None);

        RecordBatch.Stamp(bytes, long.MaxValue - ClientBatches.RecordCount, 0);
        Assert.Equal(BatchStatus.Ok, RecordBatch.TryRead(bytes, out RecordBatch batch));
        Assert.Equal(long.MaxValue, batch.NextOffset);

        RecordBatch.Stamp(bytes, long.MaxValue - ClientBatches.RecordCount + 1, 0);
        Assert.Equal(BatchStatus.Malformed, RecordBatch.TryRead(bytes, out _));
    }

    [Fact]
    public void A_batch_emptied_by_compaction_is_read()
    {
        byte[] bytes = ClientBatches.Of(CompressionCodec.None)[..BatchLayout.HeaderSize];
        BinaryPrimitives.WriteInt32BigEndian(bytes.AsSpan(BatchLayout.Length), BatchLayout.HeaderSize - BatchLayout.LengthOverhead);
        BinaryPrimitives.WriteInt32BigEndian(bytes.AsSpan(BatchLayout.RecordCount), 0);

        Assert.Equal(BatchStatus.Ok, RecordBatch.TryRead(bytes, out RecordBatch batch));
        Assert.Equal(ClientBatches.RecordCount, batch.NextOffset);
        Assert.False(new RecordReader(batch.Payload, batch.RecordCount).Read(out _));
    }

    [Fact]
    public void Damaged_headers_never_throw()
    {
        byte[] bytes = ClientBatches.Of(CompressionCodec.None);
        var random = new Random(23);
        for (int i = 0; i < 20_000; i++)
        {
            byte[] damaged = Mutations.Damage(bytes.AsSpan(0, random.Next(bytes.Length)), random);
            if (RecordBatch.TryRead(damaged, out RecordBatch batch) == BatchStatus.Ok)
            {
                Assert.InRange(batch.Size, BatchLayout.HeaderSize, damaged.Length);
                Assert.True(batch.NextOffset > batch.BaseOffset);
            }
        }
    }

    [Theory]
    [InlineData(0, 0, 0)]
    [InlineData(5, 3, 8)]
    [InlineData(int.MaxValue, 0, int.MaxValue)]
    [InlineData(int.MaxValue, 1, 0)]
    [InlineData(int.MaxValue - 1, 5, 3)]
    [InlineData(int.MaxValue, int.MaxValue, int.MaxValue - 1)]
    public void Sequences_wrap_to_0(int sequence, int count, int sum) => Assert.Equal(sum, Sequence.Add(sequence, count));

    [Theory]
    [InlineData(0, 0)]
    [InlineData(int.MaxValue, int.MaxValue)]
    [InlineData(1L << 31, 0)]
    [InlineData((5L << 31) + 17, 17)]
    public void An_ordinal_gives_a_sequence_modulo_2_to_the_31(long ordinal, int sequence) =>
        Assert.Equal(sequence, Sequence.FromOrdinal(ordinal));

    [Fact]
    public void A_batch_whose_sequences_wrap_says_its_last()
    {
        byte[] bytes = ClientBatches.Of(CompressionCodec.None);
        BinaryPrimitives.WriteInt32BigEndian(bytes.AsSpan(BatchLayout.BaseSequence), int.MaxValue - 2);

        Assert.Equal(BatchStatus.Ok, RecordBatch.TryRead(bytes, out RecordBatch batch));
        Assert.Equal(ClientBatches.RecordCount - 4, batch.LastSequence);

        BinaryPrimitives.WriteInt32BigEndian(bytes.AsSpan(BatchLayout.BaseSequence), -1);
        Assert.Equal(BatchStatus.Ok, RecordBatch.TryRead(bytes, out batch));
        Assert.Equal(-1, batch.LastSequence);
    }
}
