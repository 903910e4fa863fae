using Tributary.Tests.Edge.Mqtt.Support;

namespace Tributary.Tests.Fuzz;

/// <summary>Packets of each kind in both versions, and what becomes of them.</summary>
internal static class MqttInputs
{
    private static readonly byte[] UserProperties = [0x26, .. Packets.Text("key"), .. Packets.Text("välue")];

    private static readonly byte[] PublishProperties =
    [
        0x01, 1, 0x02, .. Packets.UInt32(60), 0x03, .. Packets.Text("text/plain"), 0x08, .. Packets.Text("answer/here"), 0x09, 0, 2, 7, 8,
        .. UserProperties, .. UserProperties,
    ];

    private static readonly byte[] ConnectProperties =
        [0x11, .. Packets.UInt32(0), 0x21, 0, 20, 0x27, .. Packets.UInt32(1 << 20), 0x22, 0, 5, 0x19, 1, 0x17, 1, .. UserProperties];

    /// <summary>Packets that begin a connection.</summary>
    public static IReadOnlyList<byte[]> Beginnings(int level) =>
    [
        Packets.Connect(level, "c"), Packets.Connect(level, "", keepAlive: 0),
        Packets.Connect(level, "with-will", will: ("devices/d/status", "gone", 1, false), willProperties: UserProperties),
        Packets.Connect(level, "kept", clean: false, properties: ConnectProperties),
        Packets.Packet(0x10, [
            .. Packets.Text("MQTT"), (byte)level, 0xC2, 0, 60, .. level == 5 ? Packets.Properties([]) : [], .. Packets.Text("user"),
            .. Packets.Text("name"), .. Packets.Text("secret")]),
        Packets.Packet(0x10, [.. Packets.Text("MQIsdp"), 3, 2, 0, 60, .. Packets.Text("old")]),
    ];

    /// <summary>Packets of a client that is in.</summary>
    public static IReadOnlyList<byte[]> Packages(int level) =>
    [
        Packets.Publish(level, "devices/d1/temperature", "21.5", 1, 1), Packets.Publish(level, "devices/d1/pump/pressure", "3", 0),
        Packets.Publish(level, "elsewhere/ü", new string('x', 300), 1, 2, dup: true, properties: PublishProperties),
        Packets.Publish(level, "a", "", 1, 65_535), Packets.Publish(level, "q2", "x", 2, 7), Packets.Publish(level, "kept", "x", 1, 8, retain: true),
        Packets.PubAck(1), Packets.Packet(0x40, [0, 1, 0x10, 0]), Packets.Packet(0x50, [0, 7]), Packets.Packet(0x62, [0, 7]),
        Packets.Packet(0x70, [0, 7]), Packets.Subscribe(level, 3, ("devices/+/temperature", 1), ("#", 0), ("a/b/+/c/#", 1)),
        Packets.Subscribe(level, 4, [0x0B, 0x80, 0x01], ("$share/g/t", 1), ("x", 0x2D)), Packets.Unsubscribe(level, 5, "#", "nothing"),
        Packets.PingReq, Packets.Disconnect(level), Packets.Packet(0xE0, [0x04, 5, 0x11, 0, 0, 0, 0]), Packets.Packet(0xF0, [0, 0]),
    ];

    /// <summary>A packet like one of these.</summary>
    public static byte[] Next(IReadOnlyList<byte[]> from, Random random)
    {
        byte[] packet = random.Pick(from);
        // Half of the damage goes into the body, with a length that fits: otherwise most of it would only be bad framing.
        if (random.Next(2) == 0 || packet.Length < 3 || packet[1] >= 0x80)
        {
            return Mutator.Mutate(packet, random.Pick(from), random);
        }
        byte[] body = Mutator.Mutate(packet[2..], random.Pick(from)[2..], random);
        return Packets.Packet(packet[0], body);
    }
}
