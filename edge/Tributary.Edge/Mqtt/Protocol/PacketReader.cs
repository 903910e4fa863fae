using System.Buffers.Binary;
using System.Text.Unicode;

namespace Tributary.Edge.Mqtt.Protocol;

/// <summary>Reads the data types of MQTT (MQTT 5, 1.5) from a packet's body, in place. Errors name the field that was read.</summary>
internal ref struct PacketReader(ReadOnlySpan<byte> body)
{
    /// <summary>What has not been read.</summary>
    public ReadOnlySpan<byte> Rest { get; private set; } = body;

    public byte Byte(string field)
    {
        ReadOnlySpan<byte> bytes = Take(1, field);
        return bytes[0];
    }

    public ushort UInt16(string field) => BinaryPrimitives.ReadUInt16BigEndian(Take(2, field));

    public uint UInt32(string field) => BinaryPrimitives.ReadUInt32BigEndian(Take(4, field));

    /// <summary>A Variable Byte Integer in as few bytes as it needs [MQTT-1.5.5-1].</summary>
    public int VariableInt(string field)
    {
        int value = 0;
        for (int shift = 0; shift < 28; shift += 7)
        {
            byte digit = Byte(field);
            value |= (digit & 0x7F) << shift;
            if (digit < 0x80)
            {
                return digit > 0 || shift == 0 ? value
                    : throw MqttProtocolException.Malformed($"{field} is not encoded in its shortest form");
            }
        }
        throw MqttProtocolException.Malformed($"{field} has more than four bytes");
    }

    public ReadOnlySpan<byte> Binary(string field)
    {
        int length = UInt16(field);
        return Take(length, field);
    }

    /// <summary>A UTF-8 string: well-formed, without surrogates and without U+0000 [MQTT-1.5.4-1, MQTT-1.5.4-2].</summary>
    public ReadOnlySpan<byte> Utf8(string field)
    {
        ReadOnlySpan<byte> text = Binary(field);
        if (!System.Text.Unicode.Utf8.IsValid(text) || text.Contains((byte)0))
        {
            throw MqttProtocolException.Malformed($"{field} is not UTF-8, or has a null character");
        }
        return text;
    }

    public ReadOnlySpan<byte> Take(int length, string field)
    {
        if (length > Rest.Length)
        {
            throw MqttProtocolException.Malformed($"the packet ends within {field}");
        }
        ReadOnlySpan<byte> taken = Rest[..length];
        Rest = Rest[length..];
        return taken;
    }

    /// <summary>The bytes of the properties that stand here, without their length.</summary>
    public ReadOnlySpan<byte> Properties()
    {
        int length = VariableInt("the length of the properties");
        return Take(length, "the properties");
    }

    public ushort PacketId()
    {
        ushort id = UInt16("the packet identifier");
        return id != 0 ? id : throw MqttProtocolException.Malformed("the packet identifier is 0");
    }

    public readonly void End()
    {
        if (!Rest.IsEmpty)
        {
            throw MqttProtocolException.Malformed($"{Rest.Length} bytes stand after the end of the packet");
        }
    }
}
