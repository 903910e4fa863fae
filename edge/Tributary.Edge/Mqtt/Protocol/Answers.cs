namespace Tributary.Edge.Mqtt.Protocol;

/// <summary>What is told to a client that is let in.</summary>
/// <param name="AssignedClientId">Its identifier, if it came without one.</param>
/// <param name="KeepAlive">Keep-alive in seconds, null if it is the one that the client asked for.</param>
/// <param name="IsSessionPresent">Whether its session was there before.</param>
/// <param name="SessionExpiry">Seconds that it lives without a connection.</param>
internal readonly record struct Welcome(string? AssignedClientId, ushort? KeepAlive, bool IsSessionPresent, uint SessionExpiry);

/// <summary>Packets that the broker sends apart from PUBLISH and PUBACK.</summary>
internal static class Answers
{
    /// <summary>PINGRESP.</summary>
    public static ReadOnlySpan<byte> PingResp => [0xD0, 0x00];

    /// <summary>CONNACK of success (MQTT 5, 3.2).</summary>
    public static ReadOnlySpan<byte> ConnAck(PacketBuilder builder, ProtocolLevel level, Welcome welcome, MqttOptions options)
    {
        builder.Begin(PacketType.ConnAck).Byte(welcome.IsSessionPresent ? (byte)1 : (byte)0).Byte((byte)ReasonCode.Success);
        if (level == ProtocolLevel.V311)
        {
            return builder.End();
        }
        builder.BeginProperties()
            .Property(PropertyId.SessionExpiryInterval, welcome.SessionExpiry)
            .Property(PropertyId.ReceiveMaximum, (ushort)options.MaxInFlight)
            .Property(PropertyId.RetainAvailable, (byte)1)
            .Property(PropertyId.MaximumPacketSize, (uint)options.MaxPacketBytes)
            .Property(PropertyId.AssignedClientIdentifier, welcome.AssignedClientId)
            .Property(PropertyId.TopicAliasMaximum, (ushort)options.MaxTopicAliases)
            .Property(PropertyId.WildcardSubscriptionAvailable, (byte)1)
            .Property(PropertyId.SubscriptionIdentifierAvailable, (byte)1)
            .Property(PropertyId.SharedSubscriptionAvailable, (byte)1);
        if (welcome.KeepAlive is { } keepAlive)
        {
            builder.Property(PropertyId.ServerKeepAlive, keepAlive);
        }
        return builder.EndProperties().End();
    }

    /// <summary>
    /// CONNACK that refuses the client; empty if MQTT 3.1.1 has no code for the reason, and the connection is just closed.
    /// </summary>
    public static ReadOnlySpan<byte> ConnAckRefusal(PacketBuilder builder, ProtocolLevel level, ReasonCode code, string? reason)
    {
        if (level == ProtocolLevel.V5)
        {
            return builder.Begin(PacketType.ConnAck).Byte(0).Byte((byte)code)
                .BeginProperties().Property(PropertyId.ReasonString, reason).EndProperties().End();
        }
        byte returnCode = code switch
        {
            ReasonCode.UnsupportedProtocolVersion => 1,
            ReasonCode.ClientIdentifierNotValid => 2,
            ReasonCode.ServerUnavailable or ReasonCode.QuotaExceeded or ReasonCode.ServerBusy or ReasonCode.ConnectionRateExceeded => 3,
            ReasonCode.BadUserNameOrPassword => 4,
            ReasonCode.NotAuthorized => 5,
            _ => 0,
        };
        return returnCode == 0 ? default : builder.Begin(PacketType.ConnAck).Byte(0).Byte(returnCode).End();
    }

    /// <summary>DISCONNECT (MQTT 5, 3.14).</summary>
    public static ReadOnlySpan<byte> Disconnect(PacketBuilder builder, ReasonCode code, string? reason) =>
        builder.Begin(PacketType.Disconnect).Byte((byte)code)
            .BeginProperties().Property(PropertyId.ReasonString, reason).EndProperties().End();

    /// <summary>
    /// PUBCOMP for a PUBREL, or PUBREL for a PUBREC, of a QoS 2 message that is not known: of a session that has ended, or released before.
    /// </summary>
    public static ReadOnlySpan<byte> NotFound(PacketBuilder builder, PacketType type, ProtocolLevel level, ushort packetId)
    {
        builder.Begin(type).UInt16(packetId);
        return level == ProtocolLevel.V5 ? builder.Byte((byte)ReasonCode.PacketIdentifierNotFound).End() : builder.End();
    }

    /// <summary>PUBACK or PUBREC of a message that was not taken (MQTT 5, 3.4 and 3.5).</summary>
    public static ReadOnlySpan<byte> PubAckRefusal(
        PacketBuilder builder, PacketType type, ushort packetId, ReasonCode code, string? reason)
    {
        builder.Begin(type).UInt16(packetId).Byte((byte)code);
        return reason is null ? builder.End() : builder.BeginProperties().Property(PropertyId.ReasonString, reason).EndProperties().End();
    }

    /// <summary>Begins a SUBACK or UNSUBACK; the codes follow, one for each filter.</summary>
    public static void BeginSubAck(PacketBuilder builder, PacketType type, ProtocolLevel level, ushort packetId)
    {
        builder.Begin(type).UInt16(packetId);
        if (level == ProtocolLevel.V5)
        {
            builder.BeginProperties().EndProperties();
        }
    }
}
