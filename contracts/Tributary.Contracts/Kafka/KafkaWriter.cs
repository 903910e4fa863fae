using System.Buffers;
using System.Buffers.Binary;
using System.Text;

namespace Tributary.Contracts.Kafka;

/// <summary>
/// Writes the fields of a message, in the classic and the compact encoding (KIP-482), to wherever the caller wants them. It keeps nothing
/// back: after each call the bytes are in the output. A value that can't be written is the caller's mistake and throws
/// <see cref="InvalidOperationException"/> with the field's name.
/// </summary>
public readonly ref struct KafkaWriter
{
    private const int MaxVarintSize = 5;
    private readonly IBufferWriter<byte> _output;

    /// <summary>Writes to <paramref name="output"/>.</summary>
    public KafkaWriter(IBufferWriter<byte> output) => _output = output;

    /// <summary>Writes a boolean.</summary>
    public void WriteBoolean(bool value) => WriteInt8(value ? (sbyte)1 : (sbyte)0);

    /// <summary>Writes an int8.</summary>
    public void WriteInt8(sbyte value)
    {
        _output.GetSpan(sizeof(sbyte))[0] = (byte)value;
        _output.Advance(sizeof(sbyte));
    }

    /// <summary>Writes an int16.</summary>
    public void WriteInt16(short value)
    {
        BinaryPrimitives.WriteInt16BigEndian(_output.GetSpan(sizeof(short)), value);
        _output.Advance(sizeof(short));
    }

    /// <summary>Writes a uint16.</summary>
    public void WriteUInt16(ushort value) => WriteInt16((short)value);

    /// <summary>Writes an int32.</summary>
    public void WriteInt32(int value)
    {
        BinaryPrimitives.WriteInt32BigEndian(_output.GetSpan(sizeof(int)), value);
        _output.Advance(sizeof(int));
    }

    /// <summary>Writes a uint32.</summary>
    public void WriteUInt32(uint value) => WriteInt32((int)value);

    /// <summary>Writes an int64.</summary>
    public void WriteInt64(long value)
    {
        BinaryPrimitives.WriteInt64BigEndian(_output.GetSpan(sizeof(long)), value);
        _output.Advance(sizeof(long));
    }

    /// <summary>Writes a float64.</summary>
    public void WriteFloat64(double value) => WriteInt64(BitConverter.DoubleToInt64Bits(value));

    /// <summary>Writes a uuid.</summary>
    public void WriteUuid(Guid value)
    {
        value.TryWriteBytes(_output.GetSpan(16), bigEndian: true, out int written);
        _output.Advance(written);
    }

    /// <summary>Writes an unsigned varint.</summary>
    public void WriteUnsignedVarint(uint value)
    {
        Span<byte> to = _output.GetSpan(MaxVarintSize);
        int at = 0;
        while (value >= 0x80)
        {
            to[at++] = (byte)(value | 0x80);
            value >>= 7;
        }
        to[at++] = (byte)value;
        _output.Advance(at);
    }

    /// <summary>Writes a string.</summary>
    /// <param name="field">The field's name.</param>
    /// <param name="value">The string.</param>
    /// <param name="compact">Whether the version is flexible.</param>
    /// <param name="nullable">Whether it may be null in this version.</param>
    /// <exception cref="InvalidOperationException">
    /// It is null and may not be, or is longer than <see cref="KafkaReader.MaxStringBytes"/>.
    /// </exception>
    public void WriteString(string field, string? value, bool compact, bool nullable = false)
    {
        int size = value is null ? CheckNull(field, nullable) : Encoding.UTF8.GetByteCount(value);
        if (size > KafkaReader.MaxStringBytes)
        {
            throw new InvalidOperationException($"{field} has {size} bytes; a string has at most {KafkaReader.MaxStringBytes}");
        }
        if (compact)
        {
            WriteUnsignedVarint((uint)(size + 1));
        }
        else
        {
            WriteInt16((short)size);
        }
        if (size > 0)
        {
            _output.Advance(Encoding.UTF8.GetBytes(value, _output.GetSpan(size)));
        }
    }

    /// <summary>Writes bytes; null only if <paramref name="nullable"/>.</summary>
    public void WriteBytes(string field, ReadOnlyMemory<byte>? value, bool compact, bool nullable = false)
    {
        WriteCount(field, value?.Length ?? -1, compact, nullable);
        if (value is { Length: > 0 } bytes)
        {
            _output.Write(bytes.Span);
        }
    }

    /// <summary>Writes records; null only if <paramref name="nullable"/>.</summary>
    public void WriteRecords(string field, RecordBytes value, bool compact, bool nullable)
    {
        WriteCount(field, value.IsNull ? -1 : value.Size, compact, nullable);
        if (value.Size > 0)
        {
            value.WriteTo(_output);
        }
    }

    /// <summary>Writes the number of an array's elements or the length of bytes; −1 only if <paramref name="nullable"/>.</summary>
    public void WriteCount(string field, int count, bool compact, bool nullable = false)
    {
        if (count < 0)
        {
            CheckNull(field, nullable);
        }
        if (compact)
        {
            WriteUnsignedVarint((uint)(count + 1));
        }
        else
        {
            WriteInt32(count);
        }
    }

    /// <summary>Writes whether a nullable structure is there; false only if <paramref name="nullable"/>.</summary>
    public void WritePresence(string field, bool present, bool nullable)
    {
        if (!present)
        {
            CheckNull(field, nullable);
        }
        WriteInt8(present ? (sbyte)1 : (sbyte)-1);
    }

    /// <summary>Writes a tagged field: its tag, its size and its content. Tags must be written in ascending order.</summary>
    public void WriteTaggedField(uint tag, ArrayBufferWriter<byte> content)
    {
        WriteUnsignedVarint(tag);
        WriteUnsignedVarint((uint)content.WrittenCount);
        _output.Write(content.WrittenSpan);
    }

    private static int CheckNull(string field, bool nullable) =>
        nullable ? -1 : throw new InvalidOperationException($"{field} is null, which it can't be in this version");
}
