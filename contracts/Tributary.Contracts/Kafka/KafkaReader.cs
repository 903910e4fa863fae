using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Text;

namespace Tributary.Contracts.Kafka;

/// <summary>
/// Reads the fields of one frame, in the classic and the compact encoding (KIP-482). Bytes and records are slices of the frame. Whatever
/// the frame holds, the only exception is <see cref="KafkaProtocolException"/>, and no length or count makes it allocate for more than the
/// frame's remaining bytes could be. Strings are UTF-8, read as Kafka does: what is no UTF-8 becomes U+FFFD.
/// </summary>
/// <remarks>
/// Each call is given its field's name for the exception. Arrays are read by <see cref="ReadCount"/> and then the elements; a tagged field
/// between <see cref="BeginTaggedField"/> and <see cref="EndTaggedField"/>.
/// </remarks>
public ref struct KafkaReader
{
    /// <summary>The most bytes of a string.</summary>
    public const int MaxStringBytes = short.MaxValue;

    /// <summary>
    /// The most array elements that one frame may hold in all, unless the reader is told otherwise: a small element takes far more memory
    /// than bytes.
    /// </summary>
    public const int MaxElements = 1 << 17;

    private const int MaxVarintShift = 28;
    private readonly ReadOnlyMemory<byte> _frame;
    private readonly ReadOnlySpan<byte> _bytes;
    private int _position;
    private int _end;
    private readonly int _maxElements;
    private int _elementsLeft;

    /// <summary>Starts within a frame.</summary>
    /// <param name="frame">The frame, without its length. Fields are slices of it.</param>
    /// <param name="position">Where to start.</param>
    /// <param name="maxElements">The most array elements in all.</param>
    public KafkaReader(ReadOnlyMemory<byte> frame, int position = 0, int maxElements = MaxElements)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(position);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(position, frame.Length);
        _frame = frame;
        _bytes = frame.Span;
        _position = position;
        _end = frame.Length;
        _maxElements = _elementsLeft = maxElements;
    }

    /// <summary>Where the next field begins, bytes from the frame's start.</summary>
    public readonly int Position => _position;

    /// <summary>Array elements that were announced so far.</summary>
    public readonly int ElementsRead => _maxElements - _elementsLeft;

    /// <summary>Bytes that are left.</summary>
    public readonly int Remaining => _end - _position;

    /// <summary>Reads a boolean: any byte but 0 is true.</summary>
    public bool ReadBoolean(string field) => Take(field, sizeof(byte))[0] != 0;

    /// <summary>Reads an int8.</summary>
    public sbyte ReadInt8(string field) => (sbyte)Take(field, sizeof(sbyte))[0];

    /// <summary>Reads an int16.</summary>
    public short ReadInt16(string field) => BinaryPrimitives.ReadInt16BigEndian(Take(field, sizeof(short)));

    /// <summary>Reads a uint16.</summary>
    public ushort ReadUInt16(string field) => BinaryPrimitives.ReadUInt16BigEndian(Take(field, sizeof(ushort)));

    /// <summary>Reads an int32.</summary>
    public int ReadInt32(string field) => BinaryPrimitives.ReadInt32BigEndian(Take(field, sizeof(int)));

    /// <summary>Reads a uint32.</summary>
    public uint ReadUInt32(string field) => BinaryPrimitives.ReadUInt32BigEndian(Take(field, sizeof(uint)));

    /// <summary>Reads an int64.</summary>
    public long ReadInt64(string field) => BinaryPrimitives.ReadInt64BigEndian(Take(field, sizeof(long)));

    /// <summary>Reads a float64.</summary>
    public double ReadFloat64(string field) => BinaryPrimitives.ReadDoubleBigEndian(Take(field, sizeof(double)));

    /// <summary>Reads a uuid.</summary>
    public Guid ReadUuid(string field) => new(Take(field, 16), bigEndian: true);

    /// <summary>Reads an unsigned varint of at most 32 bits.</summary>
    public uint ReadUnsignedVarint(string field)
    {
        uint value = 0;
        for (int at = _position, shift = 0; at < _end && shift <= MaxVarintShift; at++, shift += 7)
        {
            uint b = _bytes[at];
            if (shift == MaxVarintShift && b > 0xF)
            {
                break;
            }
            value |= (b & 0x7F) << shift;
            if (b < 0x80)
            {
                _position = at + 1;
                return value;
            }
        }
        throw Malformed(field, "is no varint of 32 bits");
    }

    /// <summary>Reads a string that can't be null.</summary>
    public string ReadString(string field, bool compact) => ReadString(field, compact, nullable: false)!;

    /// <summary>Reads a string.</summary>
    /// <param name="field">The field's name.</param>
    /// <param name="compact">Whether the version is flexible.</param>
    /// <param name="nullable">Whether it may be null in this version.</param>
    public string? ReadString(string field, bool compact, bool nullable)
    {
        int start = _position;
        int length = compact ? ReadCompactLength(field) : ReadInt16(field);
        if (!CheckLength(field, start, length, nullable))
        {
            return null;
        }
        if (length > MaxStringBytes)
        {
            throw Malformed(field, start, $"has {length} bytes; a string has at most {MaxStringBytes}");
        }
        return length == 0 ? "" : Encoding.UTF8.GetString(Take(field, length));
    }

    /// <summary>Reads bytes that can't be null.</summary>
    public ReadOnlyMemory<byte> ReadBytes(string field, bool compact) => ReadBytes(field, compact, nullable: false)!.Value;

    /// <summary>Reads bytes; null only if <paramref name="nullable"/>.</summary>
    public ReadOnlyMemory<byte>? ReadBytes(string field, bool compact, bool nullable)
    {
        int start = _position;
        int length = compact ? ReadCompactLength(field) : ReadInt32(field);
        if (!CheckLength(field, start, length, nullable))
        {
            return null;
        }
        Take(field, length);
        return _frame.Slice(_position - length, length);
    }

    /// <summary>Reads records; null only if <paramref name="nullable"/>.</summary>
    public RecordBytes ReadRecords(string field, bool compact, bool nullable) =>
        ReadBytes(field, compact, nullable) is { } bytes ? new RecordBytes(bytes) : RecordBytes.Null;

    /// <summary>Reads the number of an array's elements.</summary>
    /// <param name="field">The field's name.</param>
    /// <param name="compact">Whether the version is flexible.</param>
    /// <param name="nullable">Whether the array may be null in this version.</param>
    /// <param name="minElementSize">The fewest bytes that an element takes, at least 1.</param>
    /// <returns>−1 for null.</returns>
    public int ReadCount(string field, bool compact, bool nullable, int minElementSize)
    {
        int start = _position;
        int count = compact ? ReadCompactLength(field) : ReadInt32(field);
        if (!CheckLength(field, start, count, nullable))
        {
            return -1;
        }
        if (count > Remaining / minElementSize)
        {
            throw Malformed(field, start, $"says it has {count} elements, and {Remaining} bytes are left");
        }
        if (count > _elementsLeft)
        {
            throw Malformed(field, start, $"has {count} elements; a message has at most {_maxElements} in all");
        }
        _elementsLeft -= count;
        return count;
    }

    /// <summary>Reads whether a nullable structure is there (int8: −1 null, 1 present).</summary>
    public bool ReadPresence(string field)
    {
        int start = _position;
        return ReadInt8(field) switch
        {
            -1 => false,
            1 => true,
            sbyte other => throw Malformed(field, start, $"is announced by {other}, neither −1 nor 1"),
        };
    }

    /// <summary>Reads the number of tagged fields that end a structure.</summary>
    public int ReadTagCount(string structure)
    {
        int start = _position;
        uint count = ReadUnsignedVarint(structure);
        // Each takes at least its tag and its size.
        return count <= (uint)Remaining / 2
            ? (int)count
            : throw Malformed(structure, start, $"says it has {count} tagged fields, and {Remaining} bytes are left");
    }

    /// <summary>Reads a tag and a size, and goes no further than that until <see cref="EndTaggedField"/>.</summary>
    /// <param name="structure">The structure that has the field.</param>
    /// <param name="tag">In: the tag before, −1 before the first. Out: the field's tag.</param>
    /// <returns>What <see cref="EndTaggedField"/> asks for.</returns>
    public int BeginTaggedField(string structure, ref long tag)
    {
        int start = _position;
        uint next = ReadUnsignedVarint(structure);
        if (next <= tag)
        {
            throw Malformed(structure, start, $"has tag {next} after tag {tag}");
        }
        uint size = ReadUnsignedVarint(structure);
        if (size > (uint)Remaining)
        {
            throw Malformed(structure, start, $"says that tag {next} has {size} bytes, and {Remaining} are left");
        }
        tag = next;
        int outerEnd = _end;
        _end = _position + (int)size;
        return outerEnd;
    }

    /// <summary>Skips a tagged field that isn't understood.</summary>
    public void SkipTaggedField() => _position = _end;

    /// <summary>Ends a tagged field, which must have been read whole.</summary>
    public void EndTaggedField(string structure, long tag, int outerEnd)
    {
        if (Remaining > 0)
        {
            throw Malformed(structure, $"has {Remaining} bytes too many in tag {tag}");
        }
        _end = outerEnd;
    }

    /// <summary>Skips all tagged fields of a structure of which none is understood.</summary>
    public void SkipTaggedFields(string structure)
    {
        long tag = -1;
        for (int left = ReadTagCount(structure); left > 0; left--)
        {
            int outerEnd = BeginTaggedField(structure, ref tag);
            SkipTaggedField();
            EndTaggedField(structure, tag, outerEnd);
        }
    }

    /// <summary>Checks that nothing is left.</summary>
    public readonly void ExpectEnd(string message)
    {
        if (Remaining > 0)
        {
            throw Malformed(message, $"is followed by {Remaining} bytes");
        }
    }

    private int ReadCompactLength(string field)
    {
        int start = _position;
        uint value = ReadUnsignedVarint(field);
        return value <= int.MaxValue ? (int)value - 1 : throw Malformed(field, start, $"has length {value - 1}");
    }

    private readonly bool CheckLength(string field, int start, int length, bool nullable)
    {
        if (length >= 0)
        {
            return true;
        }
        return length == -1 && nullable
            ? false
            : throw Malformed(field, start, length == -1 ? "is null, which it can't be in this version" : $"has length {length}");
    }

    private ReadOnlySpan<byte> Take(string field, int size)
    {
        if (size > Remaining)
        {
            ThrowShort(field, size);
        }
        ReadOnlySpan<byte> taken = _bytes.Slice(_position, size);
        _position += size;
        return taken;
    }

    [DoesNotReturn]
    private readonly void ThrowShort(string field, int size) => throw Malformed(field, $"needs {size} bytes, and {Remaining} are left");

    private readonly KafkaProtocolException Malformed(string field, string problem) => new(field, _position, problem);

    private static KafkaProtocolException Malformed(string field, int position, string problem) => new(field, position, problem);
}
