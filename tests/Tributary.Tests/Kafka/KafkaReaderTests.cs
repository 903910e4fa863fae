using System.Runtime.InteropServices;
using Tributary.Contracts.Kafka;
using Tributary.Tests.Kafka.Golden;
using Xunit;

namespace Tributary.Tests.Kafka;

public sealed class KafkaReaderTests
{
    [Fact]
    public void Fixed_size_fields_are_big_endian()
    {
        var reader = Reader("01 80 FF FE FF FE 80 00 00 01 80 00 00 01 80 00 00 00 00 00 00 01 3F F8 00 00 00 00 00 00");
        Assert.True(reader.ReadBoolean("f"));
        Assert.Equal(-128, reader.ReadInt8("f"));
        Assert.Equal(-2, reader.ReadInt16("f"));
        Assert.Equal(65534, reader.ReadUInt16("f"));
        Assert.Equal(int.MinValue + 1, reader.ReadInt32("f"));
        Assert.Equal(0x80000001u, reader.ReadUInt32("f"));
        Assert.Equal(long.MinValue + 1, reader.ReadInt64("f"));
        Assert.Equal(1.5, reader.ReadFloat64("f"));
        reader.ExpectEnd("f");
    }

    [Fact]
    public void A_uuid_is_read_in_the_order_of_its_text()
    {
        var reader = Reader("00 11 22 33 44 55 66 77 88 99 AA BB CC DD EE FF");
        Assert.Equal(Guid.Parse("00112233-4455-6677-8899-aabbccddeeff"), reader.ReadUuid("f"));
    }

    [Theory]
    [InlineData("00", 0u)]
    [InlineData("7F", 127u)]
    [InlineData("80 01", 128u)]
    [InlineData("FF 7F", 16383u)]
    [InlineData("80 80 01", 16384u)]
    [InlineData("FF FF FF FF 0F", uint.MaxValue)]
    public void Varints_have_the_lowest_seven_bits_first(string hex, uint expected)
    {
        var reader = Reader(hex);
        Assert.Equal(expected, reader.ReadUnsignedVarint("f"));
        reader.ExpectEnd("f");
    }

    [Theory]
    [InlineData("", 0)]
    [InlineData("80", 0)]
    [InlineData("FF FF FF FF 10", 0)]
    [InlineData("FF FF FF FF FF 01", 0)]
    [InlineData("80 80 80 80 80 80", 0)]
    public void Varints_that_end_early_or_exceed_32_bits_are_refused(string hex, int position) =>
        AssertMalformed(hex, position, (ref KafkaReader reader) => reader.ReadUnsignedVarint("f"));

    [Theory]
    [InlineData("00 03 61 62 63", false)]
    [InlineData("04 61 62 63", true)]
    public void Strings_have_either_length(string hex, bool compact)
    {
        var reader = Reader(hex);
        Assert.Equal("abc", reader.ReadString("f", compact));
        reader.ExpectEnd("f");
    }

    [Fact]
    public void What_is_no_utf8_is_replaced_as_Kafka_does()
    {
        var reader = Reader("03 61 FF");
        Assert.Equal("a\uFFFD", reader.ReadString("f", compact: true));
    }

    [Theory]
    [InlineData("FF FF", false)]
    [InlineData("00", true)]
    public void A_null_string_is_read_only_where_it_is_allowed(string hex, bool compact)
    {
        var reader = Reader(hex);
        Assert.Null(reader.ReadString("f", compact, nullable: true));
        AssertMalformed(hex, 0, (ref KafkaReader other) => other.ReadString("f", compact));
    }

    [Theory]
    [InlineData("FF FE", false)]
    [InlineData("80 00", false)]
    [InlineData("00 04 61 62 63", false)]
    [InlineData("05 61 62 63", true)]
    [InlineData("81 80 02 61 62 63", true)]
    [InlineData("FF FF FF FF 0F 61", true)]
    [InlineData("FF FF FF FF 07 61", true)]
    public void Strings_of_an_impossible_length_are_refused(string hex, bool compact)
    {
        AssertMalformed(hex, null, (ref KafkaReader reader) => reader.ReadString("f", compact, nullable: true));
    }

    [Fact]
    public void A_string_of_more_than_32767_bytes_is_refused_even_if_it_is_there()
    {
        byte[] tooLong = new Wire().CompactString(new string('a', KafkaReader.MaxStringBytes + 1)).Bytes;
        AssertMalformed(Convert.ToHexString(tooLong), 0, (ref KafkaReader reader) => reader.ReadString("f", compact: true));
        var allowed = new KafkaReader(new Wire().CompactString(new string('a', KafkaReader.MaxStringBytes)).Bytes);
        Assert.Equal(KafkaReader.MaxStringBytes, allowed.ReadString("f", compact: true).Length);
    }

    [Theory]
    [InlineData("00 00 00 02 AA BB CC", false, 4)]
    [InlineData("03 AA BB CC", true, 1)]
    public void Bytes_and_records_are_slices_of_the_frame(string hex, bool compact, int offset)
    {
        byte[] frame = new Wire().Hex(hex).Bytes;
        var reader = new KafkaReader(frame);
        ReadOnlyMemory<byte> bytes = reader.ReadBytes("f", compact);
        Assert.True(MemoryMarshal.TryGetArray(bytes, out ArraySegment<byte> segment));
        Assert.Same(frame, segment.Array);
        Assert.Equal((offset, 2), (segment.Offset, segment.Count));
        var again = new KafkaReader(frame);
        Assert.True(MemoryMarshal.TryGetArray(again.ReadRecords("f", compact, nullable: false).Memory, out segment));
        Assert.Same(frame, segment.Array);
    }

    [Theory]
    [InlineData("FF FF FF FF", false)]
    [InlineData("00", true)]
    public void Null_bytes_and_records_are_read_only_where_they_are_allowed(string hex, bool compact)
    {
        var reader = Reader(hex);
        Assert.Null(reader.ReadBytes("f", compact, nullable: true));
        var records = Reader(hex);
        Assert.True(records.ReadRecords("f", compact, nullable: true).IsNull);
        AssertMalformed(hex, 0, (ref KafkaReader other) => other.ReadBytes("f", compact));
        AssertMalformed(hex, 0, (ref KafkaReader other) => other.ReadRecords("f", compact, nullable: false));
    }

    [Theory]
    [InlineData("7F FF FF FF AA", false)]
    [InlineData("80 00 00 00 AA", false)]
    [InlineData("FF FF FF FE AA", false)]
    [InlineData("FF FF FF FF 0F AA", true)]
    [InlineData("80 80 80 80 08 AA", true)]
    public void Bytes_of_an_impossible_length_are_refused(string hex, bool compact) =>
        AssertMalformed(hex, null, (ref KafkaReader reader) => reader.ReadBytes("f", compact, nullable: true));

    [Theory]
    [InlineData("00 00 00 02 AA BB CC DD EE", false, 2, 2)]
    [InlineData("03 AA BB CC DD", true, 2, 2)]
    [InlineData("01", true, 2, 0)]
    [InlineData("00", true, 2, -1)]
    [InlineData("FF FF FF FF", false, 2, -1)]
    public void A_count_is_read_if_that_many_elements_can_follow(string hex, bool compact, int elementSize, int expected)
    {
        var reader = Reader(hex);
        Assert.Equal(expected, reader.ReadCount("f", compact, nullable: true, elementSize));
    }

    [Theory]
    [InlineData("00 00 00 03 AA BB CC DD EE", false)]
    [InlineData("04 AA BB CC DD EE", true)]
    [InlineData("7F FF FF FF AA", false)]
    [InlineData("FF FF FF FE AA", false)]
    [InlineData("FF FF FF FF 07 AA", true)]
    public void A_count_of_more_elements_than_can_follow_is_refused(string hex, bool compact) =>
        AssertMalformed(hex, 0, (ref KafkaReader reader) => reader.ReadCount("f", compact, nullable: true, minElementSize: 2));

    [Fact]
    public void The_elements_of_all_arrays_of_a_frame_are_limited_together()
    {
        byte[] frame = new byte[KafkaReader.MaxElements + 100];
        new Wire().Int32(KafkaReader.MaxElements).Bytes.CopyTo(frame, 0);
        new Wire().Int32(1).Bytes.CopyTo(frame, 4);
        var reader = new KafkaReader(frame);
        Assert.Equal(KafkaReader.MaxElements, reader.ReadCount("f", compact: false, nullable: false, minElementSize: 1));
        KafkaProtocolException? refused = null;
        try
        {
            reader.ReadCount("second", compact: false, nullable: false, minElementSize: 1);
        }
        catch (KafkaProtocolException e)
        {
            refused = e;
        }
        Assert.Equal("second", refused?.Field);
    }

    [Fact]
    public void A_tagged_field_is_read_within_its_size_and_others_are_skipped()
    {
        byte[] frame = new Wire()
            .Tags((3, new Wire().Int16(7)), (200, new Wire().Hex("AA BB CC")))
            .Int8(9)
            .Bytes;
        var reader = new KafkaReader(frame);
        long tag = -1;
        Assert.Equal(2, reader.ReadTagCount("s"));
        int outerEnd = reader.BeginTaggedField("s", ref tag);
        Assert.Equal((3, 2), (tag, reader.Remaining));
        Assert.Equal(7, reader.ReadInt16("f"));
        reader.EndTaggedField("s", tag, outerEnd);
        outerEnd = reader.BeginTaggedField("s", ref tag);
        Assert.Equal(200, tag);
        reader.SkipTaggedField();
        reader.EndTaggedField("s", tag, outerEnd);
        Assert.Equal(9, reader.ReadInt8("f"));

        var skipping = new KafkaReader(frame);
        skipping.SkipTaggedFields("s");
        Assert.Equal(9, skipping.ReadInt8("f"));
    }

    [Fact]
    public void A_tagged_field_can_not_be_read_past_its_size() => AssertMalformed("01 00 01 AA BB", 3, (ref KafkaReader reader) =>
    {
        long tag = -1;
        reader.ReadTagCount("s");
        reader.BeginTaggedField("s", ref tag);
        reader.ReadInt16("f");
    });

    [Fact]
    public void A_tagged_field_must_be_read_whole() => AssertMalformed("01 00 02 AA BB", 4, (ref KafkaReader reader) =>
    {
        long tag = -1;
        reader.ReadTagCount("f");
        int outerEnd = reader.BeginTaggedField("f", ref tag);
        reader.ReadInt8("f");
        reader.EndTaggedField("f", tag, outerEnd);
    });

    [Theory]
    [InlineData("02 05 00 05 00")] // twice the same
    [InlineData("02 05 00 04 00")] // descending
    [InlineData("01 05 02 AA")] // longer than the frame
    [InlineData("01 05 FF FF FF FF 0F AA")]
    [InlineData("02 05 00")] // fewer than announced
    [InlineData("FF FF FF FF 0F 05 00")]
    public void Tagged_fields_that_can_not_be_are_refused(string hex) =>
        AssertMalformed(hex, null, (ref KafkaReader reader) => reader.SkipTaggedFields("f"));

    [Theory]
    [InlineData("00")]
    [InlineData("02")]
    [InlineData("80")]
    public void A_nullable_structure_is_announced_by_one_or_minus_one(string hex) =>
        AssertMalformed(hex, 0, (ref KafkaReader reader) => reader.ReadPresence("f"));

    [Fact]
    public void The_exception_names_field_position_and_problem()
    {
        KafkaProtocolException e = AssertMalformed("00 01 02", 2, (ref KafkaReader reader) =>
        {
            reader.ReadInt16("f");
            reader.ReadInt32("f");
        });
        Assert.Equal("f at byte 2 needs 4 bytes, and 1 are left", e.Message);
    }

    private delegate void Use(ref KafkaReader reader);

    private static KafkaProtocolException AssertMalformed(string hex, int? position, Use use)
    {
        KafkaProtocolException e = Assert.Throws<KafkaProtocolException>(() =>
        {
            KafkaReader reader = Reader(hex);
            use(ref reader);
        });
        Assert.True(e.Field is "f" or "s", e.Message);
        Assert.Equal(position ?? e.Position, e.Position);
        return e;
    }

    private static KafkaReader Reader(string hex) => new(new Wire().Hex(hex).Bytes);
}
