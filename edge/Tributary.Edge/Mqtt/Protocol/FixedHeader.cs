namespace Tributary.Edge.Mqtt.Protocol;

/// <summary>The two to five bytes that each packet begins with (MQTT 5, 2.1).</summary>
/// <param name="First">Type and flags.</param>
/// <param name="Length">Bytes of this header.</param>
/// <param name="BodyLength">Bytes that follow it ("Remaining Length").</param>
internal readonly record struct FixedHeader(byte First, int Length, int BodyLength)
{
    /// <summary>Most bytes of a fixed header.</summary>
    public const int MaxLength = 5;

    /// <summary>Type of the packet; 0 is reserved.</summary>
    public PacketType Type => (PacketType)(First >> 4);

    /// <summary>The lower half of the first byte.</summary>
    public int Flags => First & 0x0F;

    /// <summary>Bytes of the whole packet.</summary>
    public int PacketLength => Length + BodyLength;

    /// <summary>Reads a header from the start of <paramref name="bytes"/>. A length in more bytes than it needs is let pass.</summary>
    /// <returns>False if it is not complete yet.</returns>
    /// <exception cref="MqttProtocolException">The length has more than four bytes.</exception>
    public static bool TryRead(ReadOnlySpan<byte> bytes, out FixedHeader header)
    {
        header = default;
        int value = 0;
        for (int i = 1; i < bytes.Length; i++)
        {
            if (i == MaxLength)
            {
                throw MqttProtocolException.Malformed("the packet's length has more than four bytes");
            }
            byte digit = bytes[i];
            value |= (digit & 0x7F) << (7 * (i - 1));
            if (digit < 0x80)
            {
                header = new FixedHeader(bytes[0], i + 1, value);
                return true;
            }
        }
        return false;
    }
}
