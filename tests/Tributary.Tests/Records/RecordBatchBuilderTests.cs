using System.Text;
using Tributary.Contracts.Records;
using Tributary.Tests.Support;
using Xunit;
using Record = Tributary.Contracts.Records.Record;

namespace Tributary.Tests.Records;

public sealed class RecordBatchBuilderTests
{
    private static readonly EncodedHeaders ClientHeaders = new(
        [new("mqtt.topic", "devices/d1/temperature"u8.ToArray()), new("edge", "e1"u8.ToArray())]);

    public static TheoryData<CompressionCodec> Codecs =>
        [CompressionCodec.None, CompressionCodec.Gzip, CompressionCodec.Snappy, CompressionCodec.Lz4, CompressionCodec.Zstd];

    [Fact]
    public void A_batch_has_the_very_bytes_that_a_real_client_gives_it()
    {
        using var builder = new RecordBatchBuilder();
        AddClientRecords(builder);

        Memory<byte> built = builder.Build(new BatchProducer(ClientBatches.ProducerId, 0, 0));
        Assert.Equal(ClientBatches.Of(CompressionCodec.None).Length, builder.Size);
        RecordBatch.Stamp(built.Span, 0, 0); // librdkafka leaves the leader epoch 0

        Assert.Equal(Convert.ToHexStringLower(ClientBatches.Of(CompressionCodec.None)), Convert.ToHexStringLower(built.Span));
    }

    [Theory]
    [MemberData(nameof(Codecs))]
    public void What_was_added_is_read_back(CompressionCodec codec)
    {
        using var builder = new RecordBatchBuilder();
        var headers = new EncodedHeaders([new("a", [1, 2]), new("ü", null), new("", [])]);
        builder.Add(1000, "k"u8, "v"u8, headers);
        builder.Add(990, [], hasKey: false, [], hasValue: true, [], 0);
        builder.Add(5000, [], hasKey: true, [], hasValue: false, [], 0);
        builder.Add(1000, [], hasKey: false, [], hasValue: false, headers.Bytes.Span, headers.Count);

        Memory<byte> built = builder.Build(
            new BatchProducer(77, 3, int.MaxValue - 1), codec, attributes: BatchAttributes.Transactional);

        Assert.Equal(BatchStatus.Ok, RecordBatch.TryRead(built.Span, out RecordBatch batch));
        Assert.True(batch.IsCrcValid());
        Assert.Equal(codec, batch.Codec);
        Assert.True(batch.IsTransactional);
        Assert.Equal((0L, -1), (batch.BaseOffset, batch.LeaderEpoch));
        Assert.Equal((1000L, 5000L), (batch.BaseTimestamp, batch.MaxTimestamp));
        Assert.Equal((77L, (short)3), (batch.ProducerId, batch.ProducerEpoch));
        Assert.Equal((int.MaxValue - 1, 1), (batch.BaseSequence, batch.LastSequence));
        Assert.Equal(
            [
                "0 0 k v a=0102 ü=null =",
                "1 -10 null empty",
                "2 4000 empty null",
                "3 0 null null a=0102 ü=null =",
            ],
            Describe(batch));
    }

    [Fact]
    public void A_batch_without_producer_says_so()
    {
        using var builder = new RecordBatchBuilder();
        builder.Add(1, "k"u8, "v"u8, EncodedHeaders.None);

        RecordBatch.TryRead(builder.Build(BatchProducer.None).Span, out RecordBatch batch);

        Assert.Equal((-1L, (short)-1, -1), (batch.ProducerId, batch.ProducerEpoch, batch.BaseSequence));
    }

    [Fact]
    public void A_batch_needs_a_record()
    {
        using var builder = new RecordBatchBuilder();
        Assert.Throws<InvalidOperationException>(() => builder.Build(BatchProducer.None));
        builder.Add(1, "k"u8, "v"u8, EncodedHeaders.None);
        builder.Reset();
        Assert.Throws<InvalidOperationException>(() => builder.Build(BatchProducer.None));
    }

    [Fact]
    public void A_builder_starts_afresh_after_a_reset()
    {
        using var builder = new RecordBatchBuilder();
        builder.Add(9000, "k"u8, new byte[10_000], EncodedHeaders.None);
        builder.Build(BatchProducer.None);
        builder.Reset();
        Assert.Equal((0, BatchLayout.HeaderSize), (builder.Count, builder.Size));

        builder.Add(10, "k"u8, "v"u8, EncodedHeaders.None);

        RecordBatch.TryRead(builder.Build(BatchProducer.None).Span, out RecordBatch batch);
        Assert.Equal((10L, 10L), (batch.BaseTimestamp, batch.MaxTimestamp));
        Assert.Equal(["0 0 k v"], Describe(batch));
    }

    [Fact]
    public void Values_of_many_sizes_come_back_whole()
    {
        using var builder = new RecordBatchBuilder();
        var random = new Random(31);
        var values = new List<byte[]>();
        for (int size = 0; size < 100_000; size = (size * 5 / 4) + 1)
        {
            byte[] value = new byte[size];
            random.NextBytes(value);
            values.Add(value);
            builder.Add(size, [], value, EncodedHeaders.None);
        }

        RecordBatch.TryRead(builder.Build(BatchProducer.None, CompressionCodec.Lz4).Span, out RecordBatch batch);

        byte[]? pooled = null;
        int used = Compression.Decompress(CompressionCodec.Lz4, batch.Payload, ref pooled, builder.Size);
        var reader = new RecordReader(pooled.AsSpan(0, used), batch.RecordCount);
        foreach (byte[] value in values)
        {
            Assert.True(reader.Read(out Record record));
            Assert.Equal(value.Length, record.TimestampDelta);
            Assert.True(value.AsSpan().SequenceEqual(record.Value));
        }
        Assert.False(reader.Read(out _));
        Assert.False(reader.IsMalformed);
    }

    [Theory]
    [InlineData(CompressionCodec.None)]
    [InlineData(CompressionCodec.Lz4)]
    [InlineData(CompressionCodec.Zstd)]
    public void Building_allocates_nothing_once_the_buffers_are_grown(CompressionCodec codec)
    {
        using var builder = new RecordBatchBuilder();
        byte[] value = new byte[100];

        Assert.Equal(0, Allocations.PerCall(() =>
        {
            builder.Reset();
            for (int i = 0; i < 100; i++)
            {
                builder.Add(i, "device"u8, value, ClientHeaders);
            }
            builder.Build(BatchProducer.None, codec);
        }));
    }

    private static void AddClientRecords(RecordBatchBuilder builder)
    {
        for (int i = 0; i < ClientBatches.RecordCount; i++)
        {
            string? value = ClientBatches.Value(i);
            builder.Add(
                ClientBatches.Timestamp, Encoding.UTF8.GetBytes(ClientBatches.Key(i)), hasKey: true,
                Encoding.UTF8.GetBytes(value ?? ""), value is not null, ClientHeaders.Bytes.Span, ClientHeaders.Count);
        }
    }

    private static List<string> Describe(RecordBatch batch)
    {
        byte[]? pooled = null;
        byte[] payload = batch.Payload.ToArray();
        if (batch.Codec != CompressionCodec.None)
        {
            int used = Compression.Decompress(batch.Codec, batch.Payload, ref pooled, 1 << 20);
            payload = pooled.AsSpan(0, used).ToArray();
        }
        var described = new List<string>();
        var reader = new RecordReader(payload, batch.RecordCount);
        while (reader.Read(out Record record))
        {
            var text = new StringBuilder($"{record.OffsetDelta} {record.TimestampDelta}");
            text.Append(' ').Append(Text(record.HasKey, record.Key)).Append(' ').Append(Text(record.HasValue, record.Value));
            HeaderReader headers = record.ReadHeaders();
            while (headers.Read(out ReadOnlySpan<byte> name, out ReadOnlySpan<byte> value, out bool hasValue))
            {
                text.Append(' ').Append(Encoding.UTF8.GetString(name)).Append('=').Append(hasValue ? Convert.ToHexString(value) : "null");
            }
            Assert.False(headers.IsMalformed);
            described.Add(text.ToString());
        }
        Assert.False(reader.IsMalformed);
        return described;
    }

    private static string Text(bool present, ReadOnlySpan<byte> bytes) =>
        !present ? "null" : bytes.IsEmpty ? "empty" : Encoding.UTF8.GetString(bytes);
}
