using System.Buffers;
using System.Buffers.Binary;

namespace Tributary.Edge.Mqtt.Protocol;

/// <summary>What of a subscriber a PUBLISH to it depends on.</summary>
/// <param name="Level">Version of the protocol.</param>
/// <param name="MaxPacketBytes">Largest packet that it takes.</param>
/// <param name="Aliases">Topic aliases that it was told; null if it takes none.</param>
internal readonly record struct Recipient(ProtocolLevel Level, uint MaxPacketBytes, OutboundAliases? Aliases = null);

/// <summary>Writes PUBLISH packets to subscribers (MQTT 5 and 3.1.1, 3.3).</summary>
internal static class PublishWriter
{
    private const int RetainFlag = 0x01;
    private const int DupFlag = 0x08;

    /// <summary>Writes a packet.</summary>
    /// <param name="output">Where it goes.</param>
    /// <param name="outbound">The message and how it is sent.</param>
    /// <param name="packetId">Packet identifier, not used for QoS 0.</param>
    /// <param name="to">Who gets it.</param>
    /// <param name="waited">How long it has been here, which shortens its Message Expiry Interval [MQTT-3.3.2-6].</param>
    /// <param name="written">Bytes written, 0 if it may not be sent.</param>
    /// <returns>Why it may not be sent, null if it was written.</returns>
    public static MqttDropReason? TryWrite(
        IBufferWriter<byte> output, in OutboundMessage outbound, ushort packetId, Recipient to, TimeSpan waited, out int written)
    {
        written = 0;
        LocalMessage message = outbound.Message!;
        // What was begun with QoS 2 has to be ended: the subscriber may hold its packet identifier.
        bool isBegun = outbound is { Qos: 2, IsDuplicate: true };
        if (message.Expiry is { } expiry && waited.TotalSeconds > expiry && !isBegun)
        {
            return MqttDropReason.Expired;
        }
        bool isKnown = false;
        ushort alias = to.Aliases is { } aliases ? aliases.Find(message.Topic, out isKnown) : (ushort)0;
        Layout layout = LayOut(outbound, to.Level, isKnown ? default : message.Topic, alias);
        if (layout.PacketBytes > to.MaxPacketBytes && alias > 0 && !isKnown)
        {
            alias = 0;
            layout = LayOut(outbound, to.Level, message.Topic, alias);
        }
        if (layout.PacketBytes > to.MaxPacketBytes)
        {
            return MqttDropReason.TooLargeForSubscriber;
        }
        if (alias > 0 && !isKnown)
        {
            to.Aliases!.Set(alias, message.Topic);
        }
        output.Advance(WriteHead(output.GetSpan(layout.PacketBytes - message.Payload.Length), outbound, packetId, to.Level, layout, waited));
        output.Write(message.Payload);
        written = layout.PacketBytes;
        return null;
    }

    /// <summary>What stands in a packet, and how much of it there is.</summary>
    private static Layout LayOut(in OutboundMessage outbound, ProtocolLevel level, ReadOnlySpan<byte> topic, ushort alias)
    {
        LocalMessage message = outbound.Message!;
        int properties = level == ProtocolLevel.V5
            ? message.Properties.Length + IdentifiersLength(outbound) + (alias > 0 ? OutboundAliases.PropertyBytes : 0) : 0;
        int body = 2 + topic.Length + (outbound.Qos > 0 ? 2 : 0) + (level == ProtocolLevel.V5 ? VariableInt.SizeOf(properties) : 0)
            + properties + message.Payload.Length;
        return new Layout
        {
            Topic = topic,
            Alias = alias,
            PropertiesBytes = properties,
            BodyBytes = body,
            PacketBytes = 1 + VariableInt.SizeOf(body) + body,
        };
    }

    /// <summary>Writes everything before the payload.</summary>
    /// <returns>Its length.</returns>
    private static int WriteHead(
        Span<byte> span, in OutboundMessage outbound, ushort packetId, ProtocolLevel level, in Layout layout, TimeSpan waited)
    {
        span[0] = (byte)(((int)PacketType.Publish << 4) | (outbound.Qos << 1) | (outbound.Retain ? RetainFlag : 0)
            | (outbound.IsDuplicate ? DupFlag : 0));
        int at = 1 + VariableInt.Write(span[1..], layout.BodyBytes);
        BinaryPrimitives.WriteUInt16BigEndian(span[at..], (ushort)layout.Topic.Length);
        layout.Topic.CopyTo(span[(at + 2)..]);
        at += 2 + layout.Topic.Length;
        if (outbound.Qos > 0)
        {
            BinaryPrimitives.WriteUInt16BigEndian(span[at..], packetId);
            at += 2;
        }
        if (level == ProtocolLevel.V5)
        {
            at += VariableInt.Write(span[at..], layout.PropertiesBytes);
            at += WriteAlias(span[at..], layout.Alias);
            at += WriteProperties(span[at..], outbound, waited);
        }
        return at;
    }

    private static int WriteAlias(Span<byte> into, ushort alias)
    {
        if (alias == 0)
        {
            return 0;
        }
        into[0] = (byte)PropertyId.TopicAlias;
        BinaryPrimitives.WriteUInt16BigEndian(into[1..], alias);
        return OutboundAliases.PropertyBytes;
    }

    private static int WriteProperties(Span<byte> into, in OutboundMessage outbound, TimeSpan waited)
    {
        int at = WriteIdentifier(into, outbound.Identifier);
        foreach (uint identifier in outbound.MoreIdentifiers ?? [])
        {
            at += WriteIdentifier(into[at..], identifier);
        }
        LocalMessage message = outbound.Message!;
        message.Properties.CopyTo(into[at..]);
        if (message.Expiry is { } expiry)
        {
            BinaryPrimitives.WriteUInt32BigEndian(into[(at + message.ExpiryAt)..], expiry - (uint)Math.Min(expiry, waited.TotalSeconds));
        }
        return at + message.Properties.Length;
    }

    private static int IdentifiersLength(in OutboundMessage outbound)
    {
        int length = IdentifierLength(outbound.Identifier);
        foreach (uint identifier in outbound.MoreIdentifiers ?? [])
        {
            length += IdentifierLength(identifier);
        }
        return length;
    }

    private static int IdentifierLength(uint identifier) => identifier == 0 ? 0 : 1 + VariableInt.SizeOf((int)identifier);

    private static int WriteIdentifier(Span<byte> into, uint identifier)
    {
        if (identifier == 0)
        {
            return 0;
        }
        into[0] = (byte)PropertyId.SubscriptionIdentifier;
        return 1 + VariableInt.Write(into[1..], (int)identifier);
    }

    private readonly ref struct Layout
    {
        public required ReadOnlySpan<byte> Topic { get; init; }

        public required ushort Alias { get; init; }

        public required int PropertiesBytes { get; init; }

        public required int BodyBytes { get; init; }

        public required int PacketBytes { get; init; }
    }
}
