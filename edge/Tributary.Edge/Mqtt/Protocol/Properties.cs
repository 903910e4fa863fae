namespace Tributary.Edge.Mqtt.Protocol;

/// <summary>Properties (MQTT 5, 2.2.2.2).</summary>
internal enum PropertyId : byte
{
    PayloadFormatIndicator = 0x01,
    MessageExpiryInterval = 0x02,
    ContentType = 0x03,
    ResponseTopic = 0x08,
    CorrelationData = 0x09,
    SubscriptionIdentifier = 0x0B,
    SessionExpiryInterval = 0x11,
    AssignedClientIdentifier = 0x12,
    ServerKeepAlive = 0x13,
    AuthenticationMethod = 0x15,
    AuthenticationData = 0x16,
    RequestProblemInformation = 0x17,
    WillDelayInterval = 0x18,
    RequestResponseInformation = 0x19,
    ReasonString = 0x1F,
    ReceiveMaximum = 0x21,
    TopicAliasMaximum = 0x22,
    TopicAlias = 0x23,
    MaximumQos = 0x24,
    RetainAvailable = 0x25,
    UserProperty = 0x26,
    MaximumPacketSize = 0x27,
    WildcardSubscriptionAvailable = 0x28,
    SubscriptionIdentifierAvailable = 0x29,
    SharedSubscriptionAvailable = 0x2A,
}

/// <summary>A set of properties: those that a packet may have.</summary>
internal readonly struct PropertySet(params ReadOnlySpan<PropertyId> ids)
{
    public static readonly PropertySet Connect = new(
        PropertyId.SessionExpiryInterval, PropertyId.AuthenticationMethod, PropertyId.AuthenticationData,
        PropertyId.RequestProblemInformation, PropertyId.RequestResponseInformation, PropertyId.ReceiveMaximum,
        PropertyId.TopicAliasMaximum, PropertyId.UserProperty, PropertyId.MaximumPacketSize);

    public static readonly PropertySet Will = new(
        PropertyId.PayloadFormatIndicator, PropertyId.MessageExpiryInterval, PropertyId.ContentType, PropertyId.ResponseTopic,
        PropertyId.CorrelationData, PropertyId.WillDelayInterval, PropertyId.UserProperty);

    public static readonly PropertySet Publish = new(
        PropertyId.PayloadFormatIndicator, PropertyId.MessageExpiryInterval, PropertyId.ContentType, PropertyId.ResponseTopic,
        PropertyId.CorrelationData, PropertyId.TopicAlias, PropertyId.UserProperty);

    public static readonly PropertySet Acknowledgement = new(PropertyId.ReasonString, PropertyId.UserProperty);

    public static readonly PropertySet Subscribe = new(PropertyId.SubscriptionIdentifier, PropertyId.UserProperty);

    public static readonly PropertySet Unsubscribe = new(PropertyId.UserProperty);

    public static readonly PropertySet Disconnect = new(
        PropertyId.SessionExpiryInterval, PropertyId.ReasonString, PropertyId.UserProperty);

    private readonly ulong _bits = BitsOf(ids);

    public bool Contains(PropertyId id) => (byte)id < 64 && (_bits & Bit(id)) != 0;

    public static ulong Bit(PropertyId id) => 1UL << (byte)id;

    private static ulong BitsOf(ReadOnlySpan<PropertyId> ids)
    {
        ulong bits = 0;
        foreach (PropertyId id in ids)
        {
            bits |= Bit(id);
        }
        return bits;
    }
}

/// <summary>
/// Steps over the properties of a packet, in place, and checks them: known to the packet, none twice but user properties, values as their
/// types demand.
/// </summary>
/// <param name="section">The properties without their length.</param>
/// <param name="allowed">What the packet may have.</param>
internal ref struct PropertyReader(ReadOnlySpan<byte> section, PropertySet allowed)
{
    private readonly int _length = section.Length;
    private PacketReader _reader = new(section);
    private ulong _seen;

    /// <summary>The current property.</summary>
    public PropertyId Id { get; private set; }

    /// <summary>Its value, if that is a number.</summary>
    public uint Number { get; private set; }

    /// <summary>Its value otherwise; of a user property, name and value with their lengths.</summary>
    public ReadOnlySpan<byte> Bytes { get; private set; }

    /// <summary>Where it begins in the section.</summary>
    public int Start { get; private set; }

    /// <summary>Where it ends in the section.</summary>
    public readonly int End => _length - _reader.Rest.Length;

    /// <summary>Goes to the next property.</summary>
    /// <returns>False after the last one.</returns>
    /// <exception cref="MqttProtocolException">It is not allowed or malformed.</exception>
    public bool Next()
    {
        if (_reader.Rest.IsEmpty)
        {
            return false;
        }
        Start = End;
        Id = (PropertyId)_reader.Byte("a property");
        if (!allowed.Contains(Id))
        {
            throw MqttProtocolException.Error($"property 0x{(byte)Id:X2} is unknown or not allowed in this packet");
        }
        if (Id != PropertyId.UserProperty && (_seen & PropertySet.Bit(Id)) != 0)
        {
            throw MqttProtocolException.Error($"the property {Id} stands in the packet twice");
        }
        _seen |= PropertySet.Bit(Id);
        ReadValue();
        return true;
    }

    private void ReadValue()
    {
        switch (Id)
        {
            case PropertyId.PayloadFormatIndicator or PropertyId.RequestProblemInformation or PropertyId.RequestResponseInformation:
                Number = _reader.Byte("a property");
                Require(Number <= 1, "must be 0 or 1");
                break;
            case PropertyId.ReceiveMaximum or PropertyId.TopicAlias or PropertyId.TopicAliasMaximum:
                Number = _reader.UInt16("a property");
                Require(Number > 0 || Id != PropertyId.ReceiveMaximum, "may not be 0");
                break;
            case PropertyId.MessageExpiryInterval or PropertyId.SessionExpiryInterval or PropertyId.WillDelayInterval
                or PropertyId.MaximumPacketSize:
                Number = _reader.UInt32("a property");
                Require(Number > 0 || Id != PropertyId.MaximumPacketSize, "may not be 0");
                break;
            case PropertyId.SubscriptionIdentifier:
                Number = (uint)_reader.VariableInt("a subscription identifier");
                Require(Number > 0, "may not be 0");
                break;
            case PropertyId.CorrelationData or PropertyId.AuthenticationData:
                Bytes = _reader.Binary("a property");
                break;
            case PropertyId.UserProperty:
                ReadOnlySpan<byte> pair = _reader.Rest;
                _reader.Utf8("the name of a user property");
                _reader.Utf8("the value of a user property");
                Bytes = pair[..^_reader.Rest.Length];
                break;
            case PropertyId.ResponseTopic:
                Bytes = _reader.Utf8("the response topic");
                Require(!Bytes.IsEmpty && Bytes.IndexOfAny((byte)'+', (byte)'#') < 0, "must be a topic name");
                break;
            default:
                Bytes = _reader.Utf8("a property");
                break;
        }
    }

    private readonly void Require(bool holds, string rule)
    {
        if (!holds)
        {
            throw MqttProtocolException.Error($"the property {Id} {rule}");
        }
    }
}
