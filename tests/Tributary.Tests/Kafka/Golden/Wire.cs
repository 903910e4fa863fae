using System.Globalization;
using System.Text;

namespace Tributary.Tests.Kafka.Golden;

/// <summary>
/// Bytes put together by hand, field by field, as Kafka's protocol guide describes the primitive types. It shares nothing with the code
/// under test.
/// </summary>
internal sealed class Wire
{
    private readonly List<byte> _bytes = [];

    public byte[] Bytes => [.. _bytes];

    /// <summary>Where structures end that have no tagged fields, except those within tagged fields.</summary>
    public List<int> StructureEnds { get; } = [];

    public Wire Hex(string hex) => Add(Convert.FromHexString(hex.Replace(" ", "", StringComparison.Ordinal)));

    public Wire Int8(int value) => Add((byte)value);

    public Wire Int16(int value) => Add((byte)(value >> 8), (byte)value);

    public Wire Int32(long value) => Add((byte)(value >> 24), (byte)(value >> 16), (byte)(value >> 8), (byte)value);

    public Wire Int64(long value) => Int32(value >> 32).Int32(value);

    public Wire Uuid(string value) => Hex(value.Replace("-", "", StringComparison.Ordinal));

    /// <summary>STRING: int16 length.</summary>
    public Wire String(string value) => Int16(Encoding.UTF8.GetByteCount(value)).Add(Encoding.UTF8.GetBytes(value));

    /// <summary>NULLABLE_STRING that is null.</summary>
    public Wire NullString() => Int16(-1);

    /// <summary>COMPACT_STRING: length plus one as unsigned varint.</summary>
    public Wire CompactString(string value) => Varint(Encoding.UTF8.GetByteCount(value) + 1).Add(Encoding.UTF8.GetBytes(value));

    /// <summary>ARRAY: int32 count; the elements follow.</summary>
    public Wire Array(int count) => Int32(count);

    /// <summary>COMPACT_ARRAY: count plus one as unsigned varint; the elements follow.</summary>
    public Wire CompactArray(int count) => Varint(count + 1);

    /// <summary>BYTES or RECORDS: int32 length.</summary>
    public Wire Records(string hex) => Int32(ByteCount(hex)).Hex(hex);

    /// <summary>COMPACT_BYTES or COMPACT_RECORDS.</summary>
    public Wire CompactRecords(string hex) => Varint(ByteCount(hex) + 1).Hex(hex);

    /// <summary>A compact string, array, bytes or records that is null.</summary>
    public Wire CompactNull() => Add(0);

    /// <summary>A structure's end in a flexible version, without tagged fields.</summary>
    public Wire NoTags()
    {
        StructureEnds.Add(_bytes.Count);
        return Add(0);
    }

    /// <summary>A structure's end in a flexible version.</summary>
    public Wire Tags(params (int Tag, Wire Content)[] fields)
    {
        Varint(fields.Length);
        foreach ((int tag, Wire content) in fields)
        {
            Varint(tag).Varint(content._bytes.Count).Add(content.Bytes);
        }
        return this;
    }

    /// <summary>UNSIGNED_VARINT: seven bits a byte, the lowest first.</summary>
    public Wire Varint(long value) => value < 128 ? Add((byte)value) : Add((byte)(128 + value % 128)).Varint(value / 128);

    private static int ByteCount(string hex) => hex.Count(char.IsAsciiHexDigit) / 2;

    private Wire Add(params byte[] bytes)
    {
        _bytes.AddRange(bytes);
        return this;
    }

    public override string ToString() => string.Join(' ', _bytes.Select(b => b.ToString("X2", CultureInfo.InvariantCulture)));
}
