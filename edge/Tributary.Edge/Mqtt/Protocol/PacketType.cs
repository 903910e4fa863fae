namespace Tributary.Edge.Mqtt.Protocol;

/// <summary>Control packet types (MQTT 5, 2.1.2): the upper half of a packet's first byte.</summary>
internal enum PacketType : byte
{
    Connect = 1,
    ConnAck = 2,
    Publish = 3,
    PubAck = 4,
    PubRec = 5,
    PubRel = 6,
    PubComp = 7,
    Subscribe = 8,
    SubAck = 9,
    Unsubscribe = 10,
    UnsubAck = 11,
    PingReq = 12,
    PingResp = 13,
    Disconnect = 14,
    Auth = 15,
}

/// <summary>Version of the protocol, as the byte Protocol Level of CONNECT (MQTT 5, 3.1.2.2).</summary>
internal enum ProtocolLevel : byte
{
    /// <summary>Not known: no CONNECT has come.</summary>
    None = 0,

    /// <summary>MQTT 3.1.1.</summary>
    V311 = 4,

    /// <summary>MQTT 5.</summary>
    V5 = 5,
}
