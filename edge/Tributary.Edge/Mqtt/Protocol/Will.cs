namespace Tributary.Edge.Mqtt.Protocol;

/// <summary>What is published for a client whose connection ends without its DISCONNECT (MQTT 5, 3.1.3.2).</summary>
/// <param name="Topic">Topic name.</param>
/// <param name="Payload">Payload.</param>
/// <param name="Qos">QoS that the client asked for, 0 to 2.</param>
/// <param name="Retain">Whether it shall be retained.</param>
/// <param name="Properties">Properties that go to subscribers, as sent; Will Delay Interval is not among them.</param>
/// <param name="DelaySeconds">
/// Seconds to wait for another connection of the session before it is published; not longer than the session lives [MQTT-3.1.3-9].
/// </param>
internal sealed record Will(byte[] Topic, byte[] Payload, int Qos, bool Retain, byte[] Properties, uint DelaySeconds = 0)
{
    /// <summary>Bytes that it takes.</summary>
    public int Size => Topic.Length + Payload.Length + Properties.Length;

    internal static Will Read(ref PacketReader reader, ProtocolLevel level, int qos, bool retain)
    {
        uint delay = 0;
        byte[] properties = level == ProtocolLevel.V5 ? Forwarded(reader.Properties(), out delay) : [];
        ReadOnlySpan<byte> topic = reader.Utf8("the will's topic");
        if (!TopicRules.IsName(topic))
        {
            throw new MqttProtocolException(
                MqttCloseReason.TopicName, ReasonCode.TopicNameInvalid, "the will's topic is empty or has wildcards");
        }
        return new Will(topic.ToArray(), reader.Binary("the will's payload").ToArray(), qos, retain, properties, delay);
    }

    private static byte[] Forwarded(ReadOnlySpan<byte> section, out uint delay)
    {
        delay = 0;
        var forwarded = new List<byte>(section.Length);
        var properties = new PropertyReader(section, PropertySet.Will);
        while (properties.Next())
        {
            if (properties.Id == PropertyId.WillDelayInterval)
            {
                delay = properties.Number;
            }
            else
            {
                forwarded.AddRange(section[properties.Start..properties.End]);
            }
        }
        return [.. forwarded];
    }
}
