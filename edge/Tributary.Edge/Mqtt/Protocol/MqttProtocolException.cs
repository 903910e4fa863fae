namespace Tributary.Edge.Mqtt.Protocol;

/// <summary>A client broke the protocol or a limit, so that its connection has to be closed.</summary>
/// <param name="reason">What is counted.</param>
/// <param name="code">What an MQTT 5 client is told.</param>
/// <param name="message">What was wrong, in words; also told to MQTT 5 clients.</param>
internal sealed class MqttProtocolException(MqttCloseReason reason, ReasonCode code, string message) : Exception(message)
{
    /// <summary>What is counted.</summary>
    public MqttCloseReason Reason { get; } = reason;

    /// <summary>What an MQTT 5 client is told.</summary>
    public ReasonCode Code { get; } = code;

    /// <summary>A packet that can't be parsed (MQTT 5, 4.13.1).</summary>
    public static MqttProtocolException Malformed(string message) => new(MqttCloseReason.Malformed, ReasonCode.MalformedPacket, message);

    /// <summary>A packet that was parsed and is not allowed (MQTT 5, 4.13.1).</summary>
    public static MqttProtocolException Error(string message) => new(MqttCloseReason.ProtocolError, ReasonCode.ProtocolError, message);
}
