using System.Buffers.Binary;
using System.Text;

namespace Tributary.Conformance.Clients;

/// <summary>The few MQTT 3.1.1 packets that a test writes and reads by hand.</summary>
internal static class MqttWire
{
    /// <summary>Section 3.1: clean session, no keep-alive.</summary>
    public static byte[] Connect(string clientId)
    {
        byte[] id = Encoding.UTF8.GetBytes(clientId);
        byte[] body = [0, 4, .. "MQTT"u8, 4, 2, 0, 0, (byte)(id.Length >> 8), (byte)id.Length, .. id];
        return Packet(0x10, body);
    }

    /// <summary>Section 3.3: QoS 1, neither retained nor a duplicate.</summary>
    public static byte[] Publish(string topic, ushort packetId, ReadOnlySpan<byte> payload)
    {
        byte[] name = Encoding.UTF8.GetBytes(topic);
        byte[] body = [(byte)(name.Length >> 8), (byte)name.Length, .. name, (byte)(packetId >> 8), (byte)packetId, .. payload];
        return Packet(0x32, body);
    }

    /// <summary>Reads one CONNACK or PUBACK, which have two bytes after their header.</summary>
    /// <returns>Type and the two bytes; null if the connection is closed.</returns>
    public static async Task<(byte Type, ushort Value)?> ReadShortAsync(Stream stream, byte[] four, CancellationToken cancel)
    {
        try
        {
            await stream.ReadExactlyAsync(four.AsMemory(0, 4), cancel);
        }
        catch (EndOfStreamException)
        {
            return null;
        }
        return four[1] == 2
            ? (four[0], BinaryPrimitives.ReadUInt16BigEndian(four.AsSpan(2)))
            : throw new InvalidDataException($"an unexpected packet: {Convert.ToHexString(four)}");
    }

    private static byte[] Packet(byte type, byte[] body)
    {
        if (body.Length > 16_383)
        {
            throw new ArgumentException("longer than tests need");
        }
        return body.Length < 128
            ? [type, (byte)body.Length, .. body]
            : [type, (byte)((body.Length & 127) | 128), (byte)(body.Length >> 7), .. body];
    }
}
