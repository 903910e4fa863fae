using System.Text;

namespace Tributary.Edge.Mqtt.Protocol;

/// <summary>
/// A CONNECT (MQTT 5 and 3.1.1, 3.1).
/// </summary>
internal sealed record ConnectPacket
{
    private const int ReservedFlag = 0x01;
    private const int CleanFlag = 0x02;
    private const int WillFlag = 0x04;
    private const int WillRetainFlag = 0x20;
    private const int PasswordFlag = 0x40;
    private const int UserNameFlag = 0x80;

    /// <summary>Client identifier, empty if the broker shall choose one.</summary>
    public required string ClientId { get; init; }

    /// <summary>Bytes of the client identifier.</summary>
    public required int ClientIdBytes { get; init; }

    /// <summary>Clean Start; of MQTT 3.1.1 Clean Session.</summary>
    public bool CleanStart { get; init; }

    /// <summary>Seconds; 0 for none.</summary>
    public ushort KeepAlive { get; init; }

    /// <summary>The will, null if there is none.</summary>
    public Will? Will { get; init; }

    /// <summary>User name, null if there is none.</summary>
    public string? UserName { get; init; }

    /// <summary>Password, null if there is none. Whoever has checked it makes it zeros.</summary>
    public byte[]? Password { get; init; }

    /// <summary>Properties of MQTT 5.</summary>
    public ConnectProperties Properties { get; init; } = new();

    /// <summary>Reads the protocol's name and version, which everything else depends on.</summary>
    /// <returns>The level as sent, whether it is served or not.</returns>
    /// <exception cref="MqttProtocolException">It is another protocol, or malformed.</exception>
    public static byte ReadLevel(ref PacketReader reader)
    {
        ReadOnlySpan<byte> name = reader.Utf8("the protocol name");
        byte level = reader.Byte("the protocol version");
        // "MQIsdp" is what MQTT 3.1 called itself: its clients understand the answer that their version is not served.
        return name.SequenceEqual("MQTT"u8) || (name.SequenceEqual("MQIsdp"u8) && level < (byte)ProtocolLevel.V311) ? level
            : throw new MqttProtocolException(
                MqttCloseReason.UnsupportedProtocol, ReasonCode.UnsupportedProtocolVersion, "the protocol's name is not MQTT");
    }

    /// <summary>Reads what follows the level.</summary>
    /// <exception cref="MqttProtocolException">It is malformed.</exception>
    public static ConnectPacket Read(ref PacketReader reader, ProtocolLevel level)
    {
        byte flags = reader.Byte("the connect flags");
        CheckFlags(flags, level);
        ushort keepAlive = reader.UInt16("the keep-alive");
        ConnectProperties properties = level == ProtocolLevel.V5 ? ConnectProperties.Read(reader.Properties()) : new ConnectProperties();
        ReadOnlySpan<byte> clientId = reader.Utf8("the client identifier");
        Will? will = (flags & WillFlag) != 0 ? Will.Read(ref reader, level, (flags >> 3) & 3, (flags & WillRetainFlag) != 0) : null;
        string? userName = (flags & UserNameFlag) != 0 ? Encoding.UTF8.GetString(reader.Utf8("the user name")) : null;
        byte[]? password = (flags & PasswordFlag) != 0 ? reader.Binary("the password").ToArray() : null;
        reader.End();
        return new ConnectPacket
        {
            ClientId = Encoding.UTF8.GetString(clientId),
            ClientIdBytes = clientId.Length,
            CleanStart = (flags & CleanFlag) != 0,
            KeepAlive = keepAlive,
            Will = will,
            UserName = userName,
            Password = password,
            Properties = properties,
        };
    }

    private static void CheckFlags(byte flags, ProtocolLevel level)
    {
        if ((flags & ReservedFlag) != 0)
        {
            throw MqttProtocolException.Malformed("the reserved connect flag is set");
        }
        int willQos = (flags >> 3) & 3;
        if (willQos == 3)
        {
            throw MqttProtocolException.Malformed("the will's QoS is 3");
        }
        if ((flags & WillFlag) == 0 && (willQos != 0 || (flags & WillRetainFlag) != 0))
        {
            throw MqttProtocolException.Malformed("the connect flags tell of a will that is not there");
        }
        if (level == ProtocolLevel.V311 && (flags & (UserNameFlag | PasswordFlag)) == PasswordFlag)
        {
            throw MqttProtocolException.Malformed("there is a password without a user name");
        }
    }
}

/// <summary>Properties of CONNECT (MQTT 5, 3.1.2.11), with their defaults.</summary>
internal sealed record ConnectProperties
{
    /// <summary>Seconds that the session shall live after the connection.</summary>
    public uint SessionExpiryInterval { get; init; }

    /// <summary>Most messages of QoS 1 and 2 that the client takes unacknowledged.</summary>
    public ushort ReceiveMaximum { get; init; } = ushort.MaxValue;

    /// <summary>Largest packet that the client takes, bytes.</summary>
    public uint MaximumPacketSize { get; init; } = uint.MaxValue;

    /// <summary>Highest topic alias that the client takes; 0 for none.</summary>
    public ushort TopicAliasMaximum { get; init; }

    /// <summary>Whether reasons in words may stand in acknowledgements.</summary>
    public bool RequestProblemInformation { get; init; } = true;

    /// <summary>Whether the client asks for extended authentication.</summary>
    public bool HasAuthenticationMethod { get; init; }

    internal static ConnectProperties Read(ReadOnlySpan<byte> section)
    {
        var read = new ConnectProperties();
        bool hasAuthenticationData = false;
        var properties = new PropertyReader(section, PropertySet.Connect);
        while (properties.Next())
        {
            switch (properties.Id)
            {
                case PropertyId.SessionExpiryInterval:
                    read = read with { SessionExpiryInterval = properties.Number };
                    break;
                case PropertyId.ReceiveMaximum:
                    read = read with { ReceiveMaximum = (ushort)properties.Number };
                    break;
                case PropertyId.MaximumPacketSize:
                    read = read with { MaximumPacketSize = properties.Number };
                    break;
                case PropertyId.TopicAliasMaximum:
                    read = read with { TopicAliasMaximum = (ushort)properties.Number };
                    break;
                case PropertyId.RequestProblemInformation:
                    read = read with { RequestProblemInformation = properties.Number != 0 };
                    break;
                case PropertyId.AuthenticationMethod:
                    read = read with { HasAuthenticationMethod = true };
                    break;
                case PropertyId.AuthenticationData:
                    hasAuthenticationData = true;
                    break;
            }
        }
        return hasAuthenticationData && !read.HasAuthenticationMethod
            ? throw MqttProtocolException.Error("there is authentication data without a method")
            : read;
    }
}
