namespace Tributary.Edge.Mqtt.Protocol;

/// <summary>
/// A PUBLISH (MQTT 5 and 3.1.1, 3.3), in the buffer that it was read into: nothing is copied. What is here was checked, except for
/// topics that are well-formed and not to be served.
/// </summary>
internal readonly ref struct PublishPacket
{
    private const int RetainFlag = 0x01;
    private const int DupFlag = 0x08;

    /// <summary>Bytes of a topic alias among the properties.</summary>
    public const int AliasBytes = 3;

    private PublishPacket(int flags, ushort packetId, ReadOnlySpan<byte> topic, ReadOnlySpan<byte> payload)
    {
        Qos = (flags >> 1) & 3;
        IsRetained = (flags & RetainFlag) != 0;
        PacketId = packetId;
        Topic = topic;
        Payload = payload;
    }

    /// <summary>0 to 2.</summary>
    public int Qos { get; }

    /// <summary>Whether the client wants it retained.</summary>
    public bool IsRetained { get; }

    /// <summary>Packet identifier, 0 for QoS 0.</summary>
    public ushort PacketId { get; }

    /// <summary>Topic name.</summary>
    public ReadOnlySpan<byte> Topic { get; }

    /// <summary>Topic alias, −1 for none.</summary>
    public int Alias { get; private init; } = -1;

    /// <summary>Where in <see cref="Properties"/> the alias stands, with its identifier in <see cref="AliasBytes"/>.</summary>
    public int AliasAt { get; private init; } = -1;

    /// <summary>
    /// Properties as sent, without their length; without an alias there is none that may not be sent on to subscribers.
    /// </summary>
    public ReadOnlySpan<byte> Properties { get; private init; }

    /// <summary>Where in <see cref="Properties"/> the value of the Message Expiry Interval stands, −1 if it is not there.</summary>
    public int ExpiryAt { get; private init; } = -1;

    /// <summary>The payload.</summary>
    public ReadOnlySpan<byte> Payload { get; }

    /// <summary>Reads a packet.</summary>
    /// <param name="header">Its header.</param>
    /// <param name="body">Its body.</param>
    /// <param name="level">Version of the protocol.</param>
    /// <exception cref="MqttProtocolException">It is malformed.</exception>
    public static PublishPacket Read(FixedHeader header, ReadOnlySpan<byte> body, ProtocolLevel level)
    {
        int flags = header.Flags;
        int qos = (flags >> 1) & 3;
        if (qos == 3)
        {
            throw MqttProtocolException.Malformed("the QoS is 3");
        }
        if (qos == 0 && (flags & DupFlag) != 0)
        {
            throw MqttProtocolException.Malformed("DUP is set with QoS 0");
        }
        var reader = new PacketReader(body);
        ReadOnlySpan<byte> topic = reader.Utf8("the topic name");
        ushort packetId = qos > 0 ? reader.PacketId() : (ushort)0;
        ReadOnlySpan<byte> properties = level == ProtocolLevel.V5 ? reader.Properties() : default;
        int alias = -1;
        int aliasAt = -1;
        int expiryAt = properties.IsEmpty ? -1 : CheckProperties(properties, out alias, out aliasAt);
        if (!TopicRules.IsName(topic) && !(alias >= 0 && topic.IsEmpty))
        {
            throw level == ProtocolLevel.V5 && topic.IsEmpty
                ? MqttProtocolException.Error("the topic name is empty")
                : new MqttProtocolException(
                    MqttCloseReason.TopicName, ReasonCode.TopicNameInvalid, "the topic name is empty or has wildcards");
        }
        return new PublishPacket(flags, packetId, topic, reader.Rest)
        {
            Properties = properties,
            ExpiryAt = expiryAt,
            Alias = alias,
            AliasAt = aliasAt,
        };
    }

    /// <summary>A will as a message. Nobody acknowledges it, so it has no packet identifier.</summary>
    public static PublishPacket Of(Will will)
    {
        int flags = (will.Qos << 1) | (will.Retain ? RetainFlag : 0);
        return new PublishPacket(flags, 0, will.Topic, will.Payload)
        {
            Properties = will.Properties,
            ExpiryAt = ExpiryAtIn(will.Properties),
        };
    }

    /// <summary>Where in properties that were checked the Message Expiry Interval's value stands, −1 if it is not there.</summary>
    public static int ExpiryAtIn(ReadOnlySpan<byte> properties) => properties.IsEmpty ? -1 : CheckProperties(properties, out _, out _);

    /// <summary>The same with the topic that its alias stands for, and without the alias among its properties.</summary>
    public PublishPacket Resolved(ReadOnlySpan<byte> topic, ReadOnlySpan<byte> properties) =>
        new((Qos << 1) | (IsRetained ? RetainFlag : 0), PacketId, topic, Payload)
        {
            Properties = properties,
            ExpiryAt = ExpiryAtIn(properties),
        };

    private static int CheckProperties(ReadOnlySpan<byte> section, out int alias, out int aliasAt)
    {
        int expiryAt = -1;
        (alias, aliasAt) = (-1, -1);
        var properties = new PropertyReader(section, PropertySet.Publish);
        while (properties.Next())
        {
            if (properties.Id == PropertyId.TopicAlias)
            {
                (alias, aliasAt) = ((int)properties.Number, properties.Start);
            }
            if (properties.Id == PropertyId.MessageExpiryInterval)
            {
                expiryAt = properties.Start + 1;
            }
        }
        return expiryAt;
    }
}
