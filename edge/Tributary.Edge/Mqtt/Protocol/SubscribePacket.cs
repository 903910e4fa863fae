namespace Tributary.Edge.Mqtt.Protocol;

/// <summary>A SUBSCRIBE (MQTT 5 and 3.1.1, 3.8), read in place, one filter after the other.</summary>
internal ref struct SubscribePacket
{
    private const int ReservedOptions = 0xC0;
    private readonly ProtocolLevel _level;
    private PacketReader _reader;

    /// <summary>Begins to read.</summary>
    /// <exception cref="MqttProtocolException">It is malformed, or has no filter.</exception>
    public SubscribePacket(ReadOnlySpan<byte> body, ProtocolLevel level)
    {
        _level = level;
        _reader = new PacketReader(body);
        PacketId = _reader.PacketId();
        if (level == ProtocolLevel.V5)
        {
            var properties = new PropertyReader(_reader.Properties(), PropertySet.Subscribe);
            while (properties.Next())
            {
                Identifier = properties.Id == PropertyId.SubscriptionIdentifier ? properties.Number : Identifier;
            }
        }
        if (_reader.Rest.IsEmpty)
        {
            throw MqttProtocolException.Error("there is no topic filter");
        }
    }

    /// <summary>Packet identifier.</summary>
    public ushort PacketId { get; }

    /// <summary>Subscription identifier, 0 if there is none.</summary>
    public uint Identifier { get; }

    /// <summary>The current topic filter: UTF-8, of whatever form.</summary>
    public ReadOnlySpan<byte> Filter { get; private set; }

    /// <summary>Its options.</summary>
    public SubscriptionOptions Options { get; private set; }

    /// <summary>Bytes of the filters that are left.</summary>
    public readonly int Left => _reader.Rest.Length;

    /// <summary>Goes on where so many bytes are left.</summary>
    public void SkipTo(int left) => _reader = new PacketReader(_reader.Rest[^left..]);

    /// <summary>Goes to the next filter.</summary>
    /// <returns>False after the last one.</returns>
    /// <exception cref="MqttProtocolException">It is malformed.</exception>
    public bool Next()
    {
        if (_reader.Rest.IsEmpty)
        {
            return false;
        }
        Filter = _reader.Utf8("a topic filter");
        byte options = _reader.Byte("the subscription options");
        int reserved = _level == ProtocolLevel.V5 ? ReservedOptions : 0xFC;
        if ((options & reserved) != 0 || (options & 3) == 3)
        {
            throw MqttProtocolException.Malformed("reserved subscription options are set, or the QoS is 3");
        }
        if ((options & 0x30) == 0x30)
        {
            throw MqttProtocolException.Error("the retain handling is 3");
        }
        Options = SubscriptionOptions.Of(options);
        return true;
    }
}

/// <summary>Subscription options (MQTT 5, 3.8.3.1).</summary>
/// <param name="Qos">Highest QoS wanted, 0 to 2.</param>
/// <param name="NoLocal">Whether the client's own messages are left out.</param>
/// <param name="RetainAsPublished">Whether messages keep their retain flag.</param>
/// <param name="RetainHandling">
/// When retained messages are sent: 0 at each subscribing, 1 if the subscription is new, 2 never.
/// </param>
internal readonly record struct SubscriptionOptions(int Qos, bool NoLocal, bool RetainAsPublished, int RetainHandling = 0)
{
    /// <summary>As one byte, as in the packet.</summary>
    public byte ToByte() => (byte)(Qos | (NoLocal ? 0x04 : 0) | (RetainAsPublished ? 0x08 : 0) | (RetainHandling << 4));

    /// <summary>From the byte of <see cref="ToByte"/>.</summary>
    public static SubscriptionOptions Of(byte options) =>
        new(options & 3, (options & 0x04) != 0, (options & 0x08) != 0, (options >> 4) & 3);
}

/// <summary>An UNSUBSCRIBE (MQTT 5 and 3.1.1, 3.10), read in place, one filter after the other.</summary>
internal ref struct UnsubscribePacket
{
    private PacketReader _reader;

    /// <summary>Begins to read.</summary>
    /// <exception cref="MqttProtocolException">It is malformed, or has no filter.</exception>
    public UnsubscribePacket(ReadOnlySpan<byte> body, ProtocolLevel level)
    {
        _reader = new PacketReader(body);
        PacketId = _reader.PacketId();
        if (level == ProtocolLevel.V5)
        {
            var properties = new PropertyReader(_reader.Properties(), PropertySet.Unsubscribe);
            while (properties.Next())
            {
                // Checked, and of no use.
            }
        }
        if (_reader.Rest.IsEmpty)
        {
            throw MqttProtocolException.Error("there is no topic filter");
        }
    }

    /// <summary>Packet identifier.</summary>
    public ushort PacketId { get; }

    /// <summary>The current topic filter.</summary>
    public ReadOnlySpan<byte> Filter { get; private set; }

    /// <summary>Goes to the next filter.</summary>
    /// <returns>False after the last one.</returns>
    /// <exception cref="MqttProtocolException">It is malformed.</exception>
    public bool Next()
    {
        if (_reader.Rest.IsEmpty)
        {
            return false;
        }
        Filter = _reader.Utf8("a topic filter");
        return true;
    }
}
