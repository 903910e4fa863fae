using System.Buffers.Binary;
using System.Text;

namespace Tributary.Edge.Mqtt.Protocol;

/// <summary>
/// Builds one of the packets that are not sent for each message. Used by one thread; what it returned is valid until the next packet.
/// </summary>
internal sealed class PacketBuilder
{
    private const int KeptBytes = 4096;
    private byte[] _buffer = new byte[128];
    private int _length;
    private byte _first;
    private int _propertiesAt;

    /// <summary>Begins a packet.</summary>
    public PacketBuilder Begin(PacketType type)
    {
        if (_buffer.Length > KeptBytes)
        {
            _buffer = new byte[KeptBytes];
        }
        _first = (byte)(((int)type << 4) | (type == PacketType.PubRel ? 2 : 0));
        _length = FixedHeader.MaxLength;
        return this;
    }

    public PacketBuilder Byte(byte value)
    {
        Grow(1)[0] = value;
        return this;
    }

    public PacketBuilder UInt16(int value)
    {
        BinaryPrimitives.WriteUInt16BigEndian(Grow(2), (ushort)value);
        return this;
    }

    public PacketBuilder UInt32(uint value)
    {
        BinaryPrimitives.WriteUInt32BigEndian(Grow(4), value);
        return this;
    }

    public PacketBuilder Utf8(string text)
    {
        int bytes = Encoding.UTF8.GetByteCount(text);
        UInt16(bytes);
        Encoding.UTF8.GetBytes(text, Grow(bytes));
        return this;
    }

    /// <summary>Begins the properties; they end with <see cref="EndProperties"/>.</summary>
    public PacketBuilder BeginProperties()
    {
        _propertiesAt = _length;
        return this;
    }

    public PacketBuilder Property(PropertyId id, byte value) => Byte((byte)id).Byte(value);

    public PacketBuilder Property(PropertyId id, ushort value) => Byte((byte)id).UInt16(value);

    public PacketBuilder Property(PropertyId id, uint value) => Byte((byte)id).UInt32(value);

    /// <summary>Adds nothing for null.</summary>
    public PacketBuilder Property(PropertyId id, string? value) => value is null ? this : Byte((byte)id).Utf8(value);

    public PacketBuilder EndProperties()
    {
        int length = _length - _propertiesAt;
        int prefix = VariableInt.SizeOf(length);
        Grow(prefix);
        Span<byte> section = _buffer.AsSpan(_propertiesAt);
        section[..length].CopyTo(section[prefix..]);
        VariableInt.Write(section, length);
        return this;
    }

    /// <summary>Ends the packet.</summary>
    /// <returns>All of it.</returns>
    public ReadOnlySpan<byte> End()
    {
        int body = _length - FixedHeader.MaxLength;
        int start = FixedHeader.MaxLength - 1 - VariableInt.SizeOf(body);
        _buffer[start] = _first;
        VariableInt.Write(_buffer.AsSpan(start + 1), body);
        return _buffer.AsSpan(start, _length - start);
    }

    private Span<byte> Grow(int by)
    {
        if (_length + by > _buffer.Length)
        {
            Array.Resize(ref _buffer, Math.Max(_buffer.Length * 2, _length + by));
        }
        _length += by;
        return _buffer.AsSpan(_length - by, by);
    }
}

/// <summary>Variable Byte Integers (MQTT 5, 1.5.5).</summary>
internal static class VariableInt
{
    /// <summary>Bytes that <paramref name="value"/> takes.</summary>
    public static int SizeOf(int value) => value < 1 << 7 ? 1 : value < 1 << 14 ? 2 : value < 1 << 21 ? 3 : 4;

    /// <returns>Bytes written.</returns>
    public static int Write(Span<byte> into, int value)
    {
        int length = 0;
        while (value > 0x7F)
        {
            into[length++] = (byte)(value | 0x80);
            value >>= 7;
        }
        into[length++] = (byte)value;
        return length;
    }
}
