using Tributary.Edge.Mqtt.Protocol;
using Tributary.Edge.Mqtt.Sessions;

namespace Tributary.Edge.Mqtt;

/// <summary>How a client comes in and gets its session, and says that it goes. All of it on the reading side.</summary>
internal sealed partial class MqttConnection
{
    private void HandleConnect(ReadOnlySpan<byte> body)
    {
        if (_level != ProtocolLevel.None)
        {
            throw MqttProtocolException.Error("CONNECT came twice");
        }
        var reader = new PacketReader(body);
        byte level = ConnectPacket.ReadLevel(ref reader);
        // An answer in the form that the client will most likely understand.
        _level = level < (byte)ProtocolLevel.V5 ? ProtocolLevel.V311 : ProtocolLevel.V5;
        if (level is not ((byte)ProtocolLevel.V311 or (byte)ProtocolLevel.V5))
        {
            throw new MqttProtocolException(
                MqttCloseReason.UnsupportedProtocol, ReasonCode.UnsupportedProtocolVersion,
                $"the protocol level is {level}; MQTT 3.1.1 (4) and MQTT 5 (5) are served");
        }
        ConnectPacket connect = ConnectPacket.Read(ref reader, _level);
        CheckConnect(connect);
        _connect = connect;
        _pause = Pause.Welcome;
    }

    private void CheckConnect(ConnectPacket connect)
    {
        if (connect.ClientIdBytes > _broker.Options.MaxClientIdBytes)
        {
            throw new MqttProtocolException(
                MqttCloseReason.ClientId, ReasonCode.ClientIdentifierNotValid,
                $"the client identifier has {connect.ClientIdBytes} bytes; the setting mqtt:maxClientIdBytes allows "
                + $"{_broker.Options.MaxClientIdBytes}");
        }
        // They stand in logs and status pages [MQTT-1.5.4: control characters need not be accepted].
        if (connect.ClientId.Any(char.IsControl))
        {
            throw new MqttProtocolException(
                MqttCloseReason.ClientId, ReasonCode.ClientIdentifierNotValid, "the client identifier has control characters");
        }
        if (_level == ProtocolLevel.V311)
        {
            if (connect.ClientIdBytes == 0 && !connect.CleanStart)
            {
                throw new MqttProtocolException(
                    MqttCloseReason.ClientId, ReasonCode.ClientIdentifierNotValid, "a session to be kept needs a client identifier");
            }
        }
        else if (connect.Properties.HasAuthenticationMethod)
        {
            throw new MqttProtocolException(
                MqttCloseReason.ConnectRefused, ReasonCode.BadAuthenticationMethod, "there is no extended authentication");
        }
        if (connect.Will is { } will && (!TopicRules.IsWithin(will.Topic, _broker.Options) || TopicRules.IsSystem(will.Topic)))
        {
            throw new MqttProtocolException(
                MqttCloseReason.TopicName, ReasonCode.TopicNameInvalid,
                "the will's topic is too long, has too many levels or is one of the broker's own");
        }
        if (connect.Will is { } kept && !KeepBytes(_keptOfPacket, kept.Size))
        {
            throw new MqttProtocolException(
                MqttCloseReason.ClientMemory, ReasonCode.ServerUnavailable, "there is no memory for the will (mqtt:maxClientBytes)");
        }
    }

    /// <summary>Lets the client in, once an earlier connection with its identifier has said its last.</summary>
    private async ValueTask WelcomeAsync()
    {
        ConnectPacket connect = _connect!;
        MqttOptions options = _broker.Options;
        string? assigned = connect.ClientIdBytes == 0 ? $"auto-{Guid.NewGuid():N}" : null;
        string clientId = assigned ?? connect.ClientId;
        if (!await AdmitAsync(connect, clientId))
        {
            return;
        }
        if (!_broker.Connections.TryAttach(clientId, this, out MqttConnection? former))
        {
            Close(MqttCloseReason.ClientId, ReasonCode.ClientIdentifierNotValid, "another user is connected by that client identifier");
            return;
        }
        _clientId = clientId;
        if (former is not null)
        {
            former.Close(
                MqttCloseReason.TakenOver, ReasonCode.SessionTakenOver, $"a connection from {_remote} has the same client identifier");
            await former.ReadingEnded;
            if (_close is not null)
            {
                return; // taken over itself, perhaps
            }
        }
        if (await BeginSessionAsync(connect, clientId) is not { } given)
        {
            return;
        }
        ushort? serverKeepAlive = null;
        var keepAlive = TimeSpan.FromSeconds(connect.KeepAlive);
        if (_level == ProtocolLevel.V5 && (keepAlive == TimeSpan.Zero || keepAlive > options.MaxKeepAlive))
        {
            serverKeepAlive = (ushort)options.MaxKeepAlive.TotalSeconds;
            keepAlive = TimeSpan.FromSeconds(serverKeepAlive.Value);
        }
        _keepAlive = keepAlive;
        _will = connect.Will;
        int aliases = Math.Min(connect.Properties.TopicAliasMaximum, options.MaxOutboundTopicAliases);
        _recipient = new Recipient(_level, connect.Properties.MaximumPacketSize, aliases > 0 ? new OutboundAliases(aliases) : null);
        _isAccepted = true;
        _broker.Metrics.ConnectionAccepted();
        _broker.Logger.MqttClientAccepted(_connection.ConnectionId, _remote, clientId, _level);
        var welcome = new Welcome(assigned, serverKeepAlive, given.IsPresent, given.Session.Expiry);
        Answer(Answers.ConnAck(_builder, _level, welcome, options), isWelcome: true);
        _send.Set();
    }

    /// <summary>Gets the client's session. What is changed in it is durable before the client is told.</summary>
    /// <returns>Null if the connection is closed meanwhile.</returns>
    private async ValueTask<SessionGiven?> BeginSessionAsync(ConnectPacket connect, string clientId)
    {
        uint expiry = _level == ProtocolLevel.V5 ? connect.Properties.SessionExpiryInterval : connect.CleanStart ? 0 : uint.MaxValue;
        int window = Math.Min(_broker.Options.MaxOutboundInFlight, connect.Properties.ReceiveMaximum);
        SessionGiven given;
        try
        {
            given = _broker.Sessions.Connect(new SessionStart(clientId, User, connect.CleanStart, expiry, connect.Will), this, window);
        }
        catch (SessionsUnavailableException e)
        {
            throw new MqttProtocolException(MqttCloseReason.SessionsUnavailable, ReasonCode.ServerUnavailable, e.Message);
        }
        _session = given.Session;
        if (given.IsPresent)
        {
            _mayHoldForbidden = true;
            ApplyAccess(); // it may have had other rights then
        }
        if (given.Due is { } due)
        {
            _broker.Publisher.Publish(due);
        }
        await _broker.Sessions.WaitAsync(given.Offset);
        return _close is null ? given : null;
    }

    private void HandleDisconnect(ReadOnlySpan<byte> body)
    {
        DisconnectPacket packet = DisconnectPacket.Read(body, _level);
        if (packet.SessionExpiryInterval > 0 && _connect!.Properties.SessionExpiryInterval == 0)
        {
            throw MqttProtocolException.Error("DISCONNECT sets a session expiry where CONNECT had none");
        }
        _expiry = packet.SessionExpiryInterval;
        if (packet.Code == ReasonCode.Success)
        {
            _will = null;
        }
        // What came before and is committed already is still acknowledged.
        _acks.Publish();
        Close(MqttCloseReason.Disconnected, ReasonCode.Success, null);
    }
}
