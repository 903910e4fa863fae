namespace Tributary.Edge.Mqtt.Protocol;

/// <summary>What is published for a client whose connection ends without its DISCONNECT (MQTT 5, 3.1.3.2).</summary>
/// <param name="Topic">Topic name.</param>
/// <param name="Payload">Payload.</param>
/// <param name="Qos">QoS that the client asked for, 0 to 2.</param>
/// <param name="Retain">Whether it shall be retained.</param>
/// <param name="Properties">
/// Properties that go to subscribers, as sent. Will Delay Interval is not among them: sessions end with their connections, and the will
/// is published when the session ends at the latest [MQTT-3.1.3-9].
/// </param>
internal sealed record Will(byte[] Topic, byte[] Payload, int Qos, bool Retain, byte[] Properties)
{
    internal static Will Read(ref PacketReader reader, ProtocolLevel level, int qos, bool retain)
    {
        byte[] properties = level == ProtocolLevel.V5 ? Forwarded(reader.Properties()) : [];
        ReadOnlySpan<byte> topic = reader.Utf8("the will's topic");
        if (!TopicRules.IsName(topic))
        {
            throw new MqttProtocolException(
                MqttCloseReason.TopicName, ReasonCode.TopicNameInvalid, "the will's topic is empty or has wildcards");
        }
        return new Will(topic.ToArray(), reader.Binary("the will's payload").ToArray(), qos, retain, properties);
    }

    private static byte[] Forwarded(ReadOnlySpan<byte> section)
    {
        var forwarded = new List<byte>(section.Length);
        var properties = new PropertyReader(section, PropertySet.Will);
        while (properties.Next())
        {
            if (properties.Id != PropertyId.WillDelayInterval)
            {
                forwarded.AddRange(section[properties.Start..properties.End]);
            }
        }
        return [.. forwarded];
    }
}
