namespace Tributary.Edge.Mqtt.Protocol;

/// <summary>A PUBACK, PUBREC, PUBREL or PUBCOMP (MQTT 5 and 3.1.1, 3.4 to 3.7).</summary>
/// <param name="PacketId">Packet identifier.</param>
/// <param name="Code">Reason code; of MQTT 3.1.1 always success.</param>
internal readonly record struct Acknowledgement(ushort PacketId, ReasonCode Code)
{
    /// <exception cref="MqttProtocolException">It is malformed.</exception>
    public static Acknowledgement Read(ReadOnlySpan<byte> body, ProtocolLevel level)
    {
        var reader = new PacketReader(body);
        ushort id = reader.PacketId();
        ReasonCode code = ReasonCode.Success;
        if (level == ProtocolLevel.V5 && !reader.Rest.IsEmpty)
        {
            code = (ReasonCode)reader.Byte("the reason code");
            if (!reader.Rest.IsEmpty)
            {
                var properties = new PropertyReader(reader.Properties(), PropertySet.Acknowledgement);
                while (properties.Next())
                {
                    // Checked, and of no use.
                }
            }
        }
        reader.End();
        return new Acknowledgement(id, code);
    }
}

/// <summary>A DISCONNECT of a client (MQTT 5 and 3.1.1, 3.14).</summary>
/// <param name="Code">Reason code; of MQTT 3.1.1 always success.</param>
/// <param name="SessionExpiryInterval">Seconds that the session shall live, null if that stays as it was.</param>
internal readonly record struct DisconnectPacket(ReasonCode Code, uint? SessionExpiryInterval)
{
    /// <exception cref="MqttProtocolException">It is malformed.</exception>
    public static DisconnectPacket Read(ReadOnlySpan<byte> body, ProtocolLevel level)
    {
        var reader = new PacketReader(body);
        ReasonCode code = ReasonCode.Success;
        uint? expiry = null;
        if (level == ProtocolLevel.V5 && !reader.Rest.IsEmpty)
        {
            code = (ReasonCode)reader.Byte("the reason code");
            if (!reader.Rest.IsEmpty)
            {
                var properties = new PropertyReader(reader.Properties(), PropertySet.Disconnect);
                while (properties.Next())
                {
                    expiry = properties.Id == PropertyId.SessionExpiryInterval ? properties.Number : expiry;
                }
            }
        }
        reader.End();
        return new DisconnectPacket(code, expiry);
    }
}
