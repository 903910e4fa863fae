using Tributary.Edge.Ingest;
using Tributary.Edge.Mqtt.Protocol;

namespace Tributary.Edge.Mqtt;

/// <summary>What each packet of a client does. All of it on the reading side.</summary>
internal sealed partial class MqttConnection
{
    private readonly PacketBuilder _builder = new();
    private ProtocolLevel _level;
    private Recipient _recipient = new(ProtocolLevel.None, uint.MaxValue);
    private ConnectPacket? _connect;
    private Will? _will;
    private Matches? _readMatches;
    private TimeSpan _keepAlive;
    private volatile bool _isAccepted;

    /// <returns>False if it can't be taken now: <see cref="_pause"/> says what to wait for.</returns>
    private bool TryHandle(FixedHeader header, ReadOnlySpan<byte> body)
    {
        if (header.Type == PacketType.Publish)
        {
            return TryHandlePublish(header, body);
        }
        if (_control.Count >= ControlQueue.MaxBytes)
        {
            _pause = Pause.Answers;
            return false;
        }
        bool hasSecondFlag = header.Type is PacketType.PubRel or PacketType.Subscribe or PacketType.Unsubscribe;
        if (header.Flags != (hasSecondFlag ? 2 : 0))
        {
            throw MqttProtocolException.Malformed($"the reserved flags of packet type {(int)header.Type} are wrong");
        }
        switch (header.Type)
        {
            case PacketType.Connect:
                HandleConnect(body);
                break;
            case PacketType.PubAck:
                HandlePubAck(body);
                break;
            case PacketType.PubRel:
                Answer(Answers.PubComp(_builder, _level, Acknowledgement.Read(body, _level).PacketId));
                break;
            case PacketType.Subscribe:
                HandleSubscribe(body);
                break;
            case PacketType.Unsubscribe:
                HandleUnsubscribe(body);
                break;
            case PacketType.PingReq:
                new PacketReader(body).End();
                Answer(Answers.PingResp);
                break;
            case PacketType.Disconnect:
                HandleDisconnect(body);
                break;
            default:
                throw MqttProtocolException.Error($"packets of type {(int)header.Type} are not expected from this client");
        }
        return true;
    }

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
            throw Refuse(ReasonCode.BadAuthenticationMethod, "there is no extended authentication");
        }
        else if (connect.Will is { Qos: > Subscription.MaxQos })
        {
            throw Refuse(ReasonCode.QosNotSupported, "the will's QoS is 2; the highest is 1");
        }
        else if (connect.Will is { Retain: true })
        {
            throw Refuse(ReasonCode.RetainNotSupported, "the will is to be retained; there are no retained messages");
        }
        if (connect.Will is { } will && !TopicRules.IsWithin(will.Topic, _broker.Options))
        {
            throw new MqttProtocolException(
                MqttCloseReason.TopicName, ReasonCode.TopicNameInvalid, "the will's topic is too long or has too many levels");
        }
        if (connect.Will is { } kept && !KeepBytes(_keptOfPacket, kept.Topic.Length + kept.Payload.Length + kept.Properties.Length))
        {
            throw new MqttProtocolException(
                MqttCloseReason.ClientMemory, ReasonCode.ServerUnavailable, "there is no memory for the will (mqtt:maxClientBytes)");
        }

        static MqttProtocolException Refuse(ReasonCode code, string text) => new(MqttCloseReason.ConnectRefused, code, text);
    }

    /// <summary>Lets the client in, once an earlier connection with its identifier has said its last.</summary>
    private async ValueTask WelcomeAsync()
    {
        ConnectPacket connect = _connect!;
        MqttOptions options = _broker.Options;
        string? assigned = connect.ClientIdBytes == 0 ? $"auto-{Guid.NewGuid():N}" : null;
        if (!await AdmitAsync(connect, assigned ?? connect.ClientId))
        {
            return;
        }
        int window = Math.Min(options.MaxOutboundInFlight, connect.Properties.ReceiveMaximum);
        var session = new Session(
            this, _broker.Ingest.Connect(assigned ?? connect.ClientId),
            new OutboundQueue(options.MaxOutboundBytes, window, options.MaxDeliveryBytes, _broker.Metrics),
            _broker.Subscriptions, _broker.Metrics);
        if (!_broker.Sessions.TryAttach(session, out Session? former))
        {
            Close(MqttCloseReason.ClientId, ReasonCode.ClientIdentifierNotValid, "another user is connected by that client identifier");
            return;
        }
        _session = session;
        if (former is not null)
        {
            former.Connection.Close(
                MqttCloseReason.TakenOver, ReasonCode.SessionTakenOver, $"a connection from {_remote} has the same client identifier");
            await former.Connection.ReadingEnded;
            if (_close is not null)
            {
                return; // taken over itself, perhaps
            }
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
        _recipient = new Recipient(_level, connect.Properties.MaximumPacketSize);
        _isAccepted = true;
        _broker.Metrics.ConnectionAccepted();
        _broker.Logger.MqttClientAccepted(_connection.ConnectionId, _remote, session.ClientId, _level);
        Answer(Answers.ConnAck(_builder, _level, new Welcome(assigned, serverKeepAlive), options), isWelcome: true);
        _send.Set();
    }

    private bool TryHandlePublish(FixedHeader header, ReadOnlySpan<byte> body)
    {
        if (!_broker.Ingest.HasRoom)
        {
            _pause = Pause.Ingest;
            return false;
        }
        PublishPacket packet = PublishPacket.Read(header, body, _level);
        CheckPublish(packet);
        if (!HasRoom && (packet.Qos > 0 || _acks.Count >= 2L * _broker.Options.MaxInFlight))
        {
            if (_level == ProtocolLevel.V5 && _acks.InFlight >= _broker.Options.MaxInFlight)
            {
                throw new MqttProtocolException(
                    MqttCloseReason.ReceiveMaximum, ReasonCode.ReceiveMaximumExceeded,
                    $"more than {_broker.Options.MaxInFlight} messages are not acknowledged");
            }
            _pause = Pause.Answers;
            return false;
        }
        _messagesRead++;
        if (!TopicRules.IsWithin(packet.Topic, _broker.Options))
        {
            Refuse(packet, ReasonCode.TopicNameInvalid, MqttDropReason.TopicName);
        }
        else if (!MayPublish(packet))
        {
            Refuse(packet, ReasonCode.NotAuthorized, MqttDropReason.NotAuthorized);
        }
        else if (Take(_session!, packet) is not IngestRefusal.None and var refusal)
        {
            Refuse(packet, CodeOf(refusal), MqttDropReason.Refused);
        }
        return true;
    }

    private void CheckPublish(in PublishPacket packet)
    {
        if (packet.Qos > Subscription.MaxQos)
        {
            throw new MqttProtocolException(
                MqttCloseReason.QosNotSupported, ReasonCode.QosNotSupported, "QoS 2 is not offered; the highest is 1");
        }
        if (packet.IsRetained && _level == ProtocolLevel.V5)
        {
            throw new MqttProtocolException(
                MqttCloseReason.RetainNotSupported, ReasonCode.RetainNotSupported, "there are no retained messages");
        }
    }

    /// <summary>Hands a message to ingest, and keeps a copy if somebody here wants it.</summary>
    private IngestRefusal Take(Session session, in PublishPacket packet)
    {
        LocalMessage? local = null;
        if (_broker.Subscriptions.HasMatch(packet.Topic))
        {
            local = _broker.Messages.Keep(session, packet);
            if (local is null)
            {
                _broker.Delivery.Overflow(session, packet, _readMatches ??= new Matches());
            }
        }
        bool isAwaited = packet.PacketId != 0 || local is not null;
        IngestTicket ticket;
        try
        {
            ticket = _broker.Ingest.Accept(
                session.Ingest, new IngestMessage(packet.Topic, packet.Payload), isAwaited ? this : NoListener.Instance);
        }
        catch
        {
            local?.Release();
            throw;
        }
        if (ticket.Refusal != IngestRefusal.None)
        {
            local?.Release();
        }
        else if (isAwaited)
        {
            _acks.Stage(new PendingAck(ticket.Stream, ticket.Number, local, packet.PacketId, ReasonCode.Success));
        }
        return ticket.Refusal;
    }

    private void Refuse(in PublishPacket packet, ReasonCode code, MqttDropReason reason)
    {
        if (packet.Qos == 0)
        {
            _broker.Metrics.MessageDropped(reason);
            return;
        }
        _broker.Metrics.MessageRefused();
        _acks.Stage(new PendingAck(null, -1, null, packet.PacketId, code));
        if (_level == ProtocolLevel.V311)
        {
            // The connection is closed when everything before is acknowledged: what comes after it may not overtake it.
            _pause = Pause.Closing;
        }
    }

    private static ReasonCode CodeOf(IngestRefusal refusal) => refusal switch
    {
        IngestRefusal.TooLarge => ReasonCode.ImplementationSpecific,
        IngestRefusal.Full => ReasonCode.QuotaExceeded,
        _ => ReasonCode.Unspecified,
    };

    private void HandlePubAck(ReadOnlySpan<byte> body)
    {
        Acknowledgement ack = Acknowledgement.Read(body, _level);
        // One that is not in flight is let pass: a late answer to an earlier connection.
        if (_session!.Outbound.Acknowledge(ack.PacketId))
        {
            _send.Set();
        }
    }

    private void HandleSubscribe(ReadOnlySpan<byte> body)
    {
        var packet = new SubscribePacket(body, _level);
        Answers.BeginSubAck(_builder, PacketType.SubAck, _level, packet.PacketId);
        while (packet.Next())
        {
            ReasonCode code = Subscribe(packet);
            _builder.Byte((byte)(_level == ProtocolLevel.V311 && code >= ReasonCode.Unspecified ? ReasonCode.Unspecified : code));
        }
        Answer(_builder.End());
    }

    private ReasonCode Subscribe(in SubscribePacket packet)
    {
        if (!TopicRules.IsFilter(packet.Filter) || !TopicRules.IsWithin(packet.Filter, _broker.Options))
        {
            return ReasonCode.TopicFilterInvalid;
        }
        if (!MaySubscribe(packet.Filter))
        {
            return ReasonCode.NotAuthorized;
        }
        if (TopicRules.IsShared(packet.Filter))
        {
            return ReasonCode.SharedSubscriptionsNotSupported;
        }
        Session session = _session!;
        if (!session.HasSubscription(packet.Filter)
            && (session.SubscriptionCount >= _broker.Options.MaxSubscriptionsPerClient
                || _broker.Metrics.SubscriptionBytes + SubscriptionTrie.CostOf(packet.Filter) > _broker.Options.MaxSubscriptionBytes))
        {
            _broker.Metrics.SubscriptionRefused();
            return ReasonCode.QuotaExceeded;
        }
        session.Subscribe(packet.Filter, packet.Options, packet.Identifier);
        return packet.Options.Qos == 0 ? ReasonCode.Success : ReasonCode.GrantedQos1;
    }

    private void HandleUnsubscribe(ReadOnlySpan<byte> body)
    {
        var packet = new UnsubscribePacket(body, _level);
        Answers.BeginSubAck(_builder, PacketType.UnsubAck, _level, packet.PacketId);
        while (packet.Next())
        {
            bool existed = _session!.Unsubscribe(packet.Filter);
            if (_level == ProtocolLevel.V5)
            {
                _builder.Byte((byte)(existed ? ReasonCode.Success : ReasonCode.NoSubscriptionExisted));
            }
        }
        Answer(_builder.End());
    }

    private void HandleDisconnect(ReadOnlySpan<byte> body)
    {
        DisconnectPacket packet = DisconnectPacket.Read(body, _level);
        if (packet.SessionExpiryInterval > 0 && _connect!.Properties.SessionExpiryInterval == 0)
        {
            throw MqttProtocolException.Error("DISCONNECT sets a session expiry where CONNECT had none");
        }
        if (packet.Code == ReasonCode.Success)
        {
            _will = null;
        }
        // What came before and is committed already is still acknowledged.
        _acks.Publish();
        Close(MqttCloseReason.Disconnected, ReasonCode.Success, null);
    }

    private void Answer(ReadOnlySpan<byte> packet, bool isWelcome = false)
    {
        if (IsTooLarge(packet))
        {
            throw new MqttProtocolException(
                MqttCloseReason.ClientPacketLimit, ReasonCode.PacketTooLarge, "an answer is larger than the client's maximum packet size");
        }
        _control.Add(packet, isWelcome);
        _hasAnswered = true;
    }

    /// <summary>For messages that nobody waits for.</summary>
    private sealed class NoListener : ICommitListener
    {
        public static readonly NoListener Instance = new();

        public void OnCommitted(ICommitStream stream)
        {
        }

        public void OnLost(ICommitStream stream, string reason)
        {
        }
    }
}
