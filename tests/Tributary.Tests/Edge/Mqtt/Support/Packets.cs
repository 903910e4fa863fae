using System.Buffers.Binary;
using System.Text;

namespace Tributary.Tests.Edge.Mqtt.Support;

/// <summary>Packets as a client sends them, written without the code under test. A level of 5 is MQTT 5, one of 4 MQTT 3.1.1.</summary>
internal static class Packets
{
    public static readonly byte[] PingReq = [0xC0, 0];

    public static readonly byte[] PingResp = [0xD0, 0];

    public static byte[] Connect(
        int level, string clientId, int keepAlive = 60, bool clean = true, byte[]? properties = null,
        (string Topic, string Payload, int Qos, bool Retain)? will = null, byte[]? willProperties = null, string? user = null,
        string? password = null)
    {
        int flags = clean ? 2 : 0;
        List<byte> payload = [.. Text(clientId)];
        if (will is { } w)
        {
            flags |= 4 | (w.Qos << 3) | (w.Retain ? 0x20 : 0);
            payload.AddRange(level == 5 ? Properties(willProperties ?? []) : []);
            payload.AddRange(Text(w.Topic));
            payload.AddRange(Text(w.Payload));
        }
        flags |= (user is null ? 0 : 0x80) | (password is null ? 0 : 0x40);
        payload.AddRange(user is null ? [] : Text(user));
        payload.AddRange(password is null ? [] : Text(password));
        return Packet(
            0x10,
            [
                .. Text("MQTT"), (byte)level, (byte)flags, .. UInt16(keepAlive), .. level == 5 ? Properties(properties ?? []) : [],
                .. payload,
            ]);
    }

    public static byte[] Publish(
        int level, string topic, string payload, int qos = 0, int id = 0, bool retain = false, bool dup = false,
        byte[]? properties = null) =>
        Packet(
            (byte)(0x30 | (dup ? 8 : 0) | (qos << 1) | (retain ? 1 : 0)),
            [
                .. Text(topic), .. qos > 0 ? UInt16(id) : [], .. level == 5 ? Properties(properties ?? []) : [],
                .. Encoding.UTF8.GetBytes(payload),
            ]);

    public static byte[] Subscribe(int level, int id, params (string Filter, byte Options)[] filters) => Subscribe(level, id, [], filters);

    public static byte[] Subscribe(int level, int id, byte[] properties, params (string Filter, byte Options)[] filters) =>
        Packet(
            0x82,
            [
                .. UInt16(id), .. level == 5 ? Properties(properties) : [],
                .. filters.SelectMany(f => (byte[])[.. Text(f.Filter), f.Options]),
            ]);

    public static byte[] Unsubscribe(int level, int id, params string[] filters) =>
        Packet(0xA2, [.. UInt16(id), .. level == 5 ? Properties([]) : [], .. filters.SelectMany(Text)]);

    public static byte[] PubAck(int id) => Packet(0x40, UInt16(id));

    public static byte[] Disconnect(int level, byte code = 0) => level == 5 ? Packet(0xE0, [code]) : [0xE0, 0];

    public static byte[] Packet(byte first, byte[] body) => [first, .. VariableInt(body.Length), .. body];

    public static byte[] Properties(byte[] properties) => [.. VariableInt(properties.Length), .. properties];

    public static byte[] Text(string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        return [.. UInt16(bytes.Length), .. bytes];
    }

    public static byte[] UInt16(int value) => [(byte)(value >> 8), (byte)value];

    public static byte[] UInt32(uint value)
    {
        byte[] bytes = new byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, value);
        return bytes;
    }

    public static byte[] VariableInt(int value)
    {
        List<byte> bytes = [];
        do
        {
            bytes.Add((byte)((value % 128) | (value >= 128 ? 128 : 0)));
            value /= 128;
        }
        while (value > 0);
        return [.. bytes];
    }
}
