using Tributary.Contracts.Records;
using Tributary.Tests.Support;
using Xunit;
using Record = Tributary.Contracts.Records.Record;

namespace Tributary.Tests.Records;

public sealed class RecordReaderTests
{
    [Theory]
    [InlineData("")] // no length
    [InlineData("80")] // a length that ends
    [InlineData("00")] // no attributes
    [InlineData("01")] // length −1
    [InlineData("0e 00 00 00 01 01")] // ends before its length
    [InlineData("ff ff ff ff 0f 00")] // length −2³¹
    [InlineData("0c 00 80 00 01 01 00")] // the timestamp's varint takes the offset's byte, and one is missing
    [InlineData("0c 00 00 01 01 01 00")] // offset delta −1
    [InlineData("0c 00 00 00 03 01 00")] // key length −2
    [InlineData("0c 00 00 00 01 03 00")] // value length −2
    [InlineData("0c 00 00 00 08 01 00")] // key longer than the record
    [InlineData("0c 00 00 00 01 06 00")] // value longer than the record
    [InlineData("0c 00 00 00 01 01 01")] // −1 headers
    [InlineData("0c 00 00 00 01 01 02")] // a header without bytes
    [InlineData("14 00 00 00 01 01 fe ff ff ff 0f")] // 2³¹ − 1 headers
    [InlineData("0a 00 00 00 01 01")] // no header count
    public void A_record_that_cannot_be_ends_the_reading(string hex)
    {
        var reader = new RecordReader(Hex(hex), 2);

        Assert.False(reader.Read(out _));
        Assert.True(reader.IsMalformed);
        Assert.False(reader.Read(out _));
    }

    [Fact]
    public void A_record_may_be_as_small_as_seven_bytes()
    {
        var reader = new RecordReader(Hex("0c 00 00 00 01 01 00"), 1);

        Assert.True(reader.Read(out Record record));
        Assert.False(record.HasKey);
        Assert.False(record.HasValue);
        Assert.Equal(0, record.HeaderCount);
        Assert.False(reader.Read(out _));
        Assert.False(reader.IsMalformed);
    }

    [Fact]
    public void Bytes_left_over_are_malformed()
    {
        var reader = new RecordReader(Hex("0c 00 00 00 01 01 00 00"), 1);

        Assert.True(reader.Read(out _));
        Assert.False(reader.Read(out _));
        Assert.True(reader.IsMalformed);
    }

    [Fact]
    public void Fewer_records_than_stated_are_malformed()
    {
        var reader = new RecordReader(Hex("0c 00 00 00 01 01 00"), 2);

        Assert.True(reader.Read(out _));
        Assert.False(reader.Read(out _));
        Assert.True(reader.IsMalformed);
    }

    [Theory]
    [InlineData("", 1)]
    [InlineData("01 00", 1)] // name length −1
    [InlineData("04 61", 1)] // name longer than the bytes
    [InlineData("02 61", 1)] // no value length
    [InlineData("02 61 03", 1)] // value length −2
    [InlineData("02 61 04 62", 1)] // value longer than the bytes
    [InlineData("02 61 01 00", 1)] // a byte left over
    [InlineData("02 61 01", 2)] // one missing
    public void A_header_that_cannot_be_is_malformed(string hex, int count)
    {
        var headers = new HeaderReader(Hex(hex), count);
        while (headers.Read(out _, out _, out _))
        {
        }
        Assert.True(headers.IsMalformed);
    }

    [Fact]
    public void A_header_may_have_no_value_or_an_empty_one()
    {
        var headers = new HeaderReader(Hex("02 61 01 02 62 00"), 2);

        Assert.True(headers.Read(out ReadOnlySpan<byte> name, out _, out bool hasValue));
        Assert.Equal("a"u8, name);
        Assert.False(hasValue);
        Assert.True(headers.Read(out name, out ReadOnlySpan<byte> value, out hasValue));
        Assert.Equal("b"u8, name);
        Assert.True(hasValue);
        Assert.True(value.IsEmpty);
        Assert.False(headers.Read(out _, out _, out _));
        Assert.False(headers.IsMalformed);
    }

    [Fact]
    public void A_payload_cut_off_anywhere_is_malformed()
    {
        RecordBatch.TryRead(ClientBatches.Of(CompressionCodec.None), out RecordBatch batch);
        for (int length = 0; length < batch.Payload.Length; length++)
        {
            Assert.InRange(CountRecords(batch.Payload[..length], batch.RecordCount, out bool malformed), 0, batch.RecordCount - 1);
            Assert.True(malformed);
        }
    }

    [Fact]
    public void Damaged_payloads_never_throw()
    {
        RecordBatch.TryRead(ClientBatches.Of(CompressionCodec.None), out RecordBatch batch);
        var random = new Random(29);
        int refused = 0;
        for (int i = 0; i < 20_000; i++)
        {
            CountRecords(Mutations.Damage(batch.Payload, random), batch.RecordCount, out bool malformed);
            refused += malformed ? 1 : 0;
        }
        Assert.InRange(refused, 1000, 20_000);
    }

    [Fact]
    public void Reading_a_batch_allocates_nothing()
    {
        byte[] bytes = ClientBatches.Of(CompressionCodec.None);

        Assert.Equal(0, Allocations.PerCall(() =>
        {
            RecordBatch.TryRead(bytes, out RecordBatch batch);
            if (!batch.IsCrcValid() || CountRecords(batch.Payload, batch.RecordCount, out _) != ClientBatches.RecordCount)
            {
                throw new InvalidOperationException("the batch was not read");
            }
        }));
    }

    private static int CountRecords(ReadOnlySpan<byte> payload, int stated, out bool malformed)
    {
        var reader = new RecordReader(payload, stated);
        int count = 0;
        malformed = false;
        while (reader.Read(out Record record))
        {
            count++;
            HeaderReader headers = record.ReadHeaders();
            while (headers.Read(out _, out _, out _))
            {
            }
            malformed |= headers.IsMalformed;
        }
        malformed |= reader.IsMalformed;
        return count;
    }

    private static byte[] Hex(string spaced) => Convert.FromHexString(spaced.Replace(" ", ""));
}
