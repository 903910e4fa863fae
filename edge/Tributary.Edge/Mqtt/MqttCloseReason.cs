namespace Tributary.Edge.Mqtt;

/// <summary>Why a connection ended.</summary>
internal enum MqttCloseReason
{
    /// <summary>The client sent DISCONNECT.</summary>
    Disconnected,

    /// <summary>The client closed the connection without DISCONNECT, or the network broke it.</summary>
    Broken,

    /// <summary>The agent stops.</summary>
    Shutdown,

    /// <summary>Another connection took over the client identifier.</summary>
    TakenOver,

    /// <summary>More connections than allowed.</summary>
    TooManyConnections,

    /// <summary>More connections from one address than allowed.</summary>
    TooManyFromAddress,

    /// <summary>A packet that arrived too slowly.</summary>
    PacketTimeout,

    /// <summary>No memory for a large packet, or for a will.</summary>
    ClientMemory,

    /// <summary>Nothing heard for long from a client without keep-alive.</summary>
    Idle,

    /// <summary>No whole CONNECT in time.</summary>
    ConnectTimeout,

    /// <summary>Nothing heard for one and a half times the keep-alive.</summary>
    KeepAlive,

    /// <summary>More sessions to be kept than allowed.</summary>
    TooManySessions,

    /// <summary>Sessions can't be stored at the moment.</summary>
    SessionsUnavailable,

    /// <summary>The client does not read what is sent to it.</summary>
    NotReading,

    /// <summary>A subscriber was too slow for its QoS 1 messages.</summary>
    SubscriberTooSlow,

    /// <summary>The first packet was not CONNECT.</summary>
    NotConnect,

    /// <summary>A protocol or version other than MQTT 3.1.1 and 5.</summary>
    UnsupportedProtocol,

    /// <summary>A client identifier that is too long, or empty where it may not be.</summary>
    ClientId,

    /// <summary>A CONNECT that asks for what is not offered: extended authentication.</summary>
    ConnectRefused,

    /// <summary>A wrong user name or password.</summary>
    BadCredentials,

    /// <summary>A client that may not come in, or may not any more, or whose will is not allowed.</summary>
    NotAuthorized,

    /// <summary>More passwords waited to be checked than may.</summary>
    AccessBusy,

    /// <summary>Another try after too many wrong passwords.</summary>
    BackOff,

    /// <summary>A packet that can't be parsed, or breaks its own rules.</summary>
    Malformed,

    /// <summary>A packet that is not allowed where it came.</summary>
    ProtocolError,

    /// <summary>A packet above the limit.</summary>
    PacketTooLarge,

    /// <summary>More messages of QoS 1 and 2 that are not done with than the Receive Maximum.</summary>
    ReceiveMaximum,

    /// <summary>A topic name that may not be, or is above the limits.</summary>
    TopicName,

    /// <summary>The client takes only packets that are too small for the answers it needs.</summary>
    ClientPacketLimit,

    /// <summary>A message that could not be stored or was not allowed, of an MQTT 3.1.1 client, which can't be told otherwise.</summary>
    MessageRefused,

    /// <summary>Messages that were not acknowledged are lost, so that the client must send them again.</summary>
    MessagesLost,

    /// <summary>A fault of the agent, which is logged.</summary>
    InternalError,
}

/// <summary>Why a message was not stored, or not given to a subscriber.</summary>
internal enum MqttDropReason
{
    /// <summary>QoS 0 that ingest refused: too large, disk full or partition offline.</summary>
    Refused,

    /// <summary>QoS 0 with a topic name above the limits.</summary>
    TopicName,

    /// <summary>QoS 0 to a topic that the client may not publish to.</summary>
    NotAuthorized,

    /// <summary>QoS 0 for a subscriber whose queue was full.</summary>
    QueueFull,

    /// <summary>Larger than the subscriber takes.</summary>
    TooLargeForSubscriber,

    /// <summary>Its Message Expiry Interval was over before it could be sent.</summary>
    Expired,

    /// <summary>A will that ingest refused.</summary>
    Will,

    /// <summary>Of a durable session whose queue was full.</summary>
    SessionFull,

    /// <summary>A retained message beyond the limits: it is not retained.</summary>
    RetainedFull,

    /// <summary>A message of a durable session that can't be read any more.</summary>
    Unreadable,

    /// <summary>It waited for a subscriber that may not have it any more.</summary>
    NoLongerAllowed,
}
