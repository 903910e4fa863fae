using Tributary.Edge.Ingest;
using Tributary.Edge.Mqtt.Protocol;
using Tributary.Edge.Mqtt.Sessions;

namespace Tributary.Edge.Mqtt;

/// <summary>What each packet of a client does. All of it on the reading side.</summary>
internal sealed partial class MqttConnection
{
    /// <summary>QoS 2 messages that a client of MQTT 3.1.1 may have unreleased, as a multiple of the most in flight.</summary>
    private const int MostReceiptsFactor = 16;

    private readonly PacketBuilder _builder = new();
    private ProtocolLevel _level;
    private Recipient _recipient = new(ProtocolLevel.None, uint.MaxValue);
    private ConnectPacket? _connect;
    private Will? _will;
    private Matches? _readMatches;
    private TimeSpan _keepAlive;
    private volatile bool _isAccepted;

    /// <summary>Whether messages wait until an answer has left.</summary>
    private volatile bool _holdsMessages;

    /// <summary>Offset of the journal that has to be durable before more is read, and what is answered then.</summary>
    private long _waitFor;
    private byte[]? _delayedAnswer;

    /// <summary>Seconds that the session shall live, as DISCONNECT said.</summary>
    private uint? _expiry;
    private byte[]?[]? _aliases;
    private byte[] _forwarded = [];

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
            case PacketType.PubRec:
                HandlePubRec(body);
                break;
            case PacketType.PubRel:
                HandlePubRel(body);
                break;
            case PacketType.PubComp:
                HandlePubComp(body);
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
        _recipient = new Recipient(_level, connect.Properties.MaximumPacketSize);
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
            ApplyAccess(); // it may have had other rights then
        }
        if (given.Due is { } due)
        {
            _broker.Publisher.Publish(due);
        }
        await _broker.Sessions.WaitAsync(given.Offset);
        return _close is null ? given : null;
    }

    private bool TryHandlePublish(FixedHeader header, ReadOnlySpan<byte> body)
    {
        if (!_broker.Ingest.HasRoom)
        {
            _pause = Pause.Ingest;
            return false;
        }
        PublishPacket packet = PublishPacket.Read(header, body, _level);
        if (packet.Alias >= 0)
        {
            packet = Resolve(packet);
        }
        if (!HasRoom && (packet.Qos > 0 || _acks.Count >= 2L * _broker.Options.MaxInFlight))
        {
            if (_level == ProtocolLevel.V5 && _acks.InFlight >= _broker.Options.MaxInFlight)
            {
                throw TooManyInFlight();
            }
            _pause = Pause.Answers;
            return false;
        }
        if (packet.Qos == 2 && !TryBeginQos2(packet.PacketId))
        {
            return false;
        }
        _messagesRead++;
        if (packet.Qos == 2 && _broker.Sessions.TryRepeat(_session!, packet.PacketId, out Publication again))
        {
            _acks.Stage(new PendingAck(again.Stream, again.Number, null, packet.PacketId, ReasonCode.Success) { Answer = PacketType.PubRec });
        }
        else if (!TopicRules.IsWithin(packet.Topic, _broker.Options) || TopicRules.IsSystem(packet.Topic))
        {
            Refuse(packet, ReasonCode.TopicNameInvalid, MqttDropReason.TopicName);
        }
        else if (!MayPublish(packet))
        {
            Refuse(packet, ReasonCode.NotAuthorized, MqttDropReason.NotAuthorized);
        }
        else if (Take(_session!, packet) is not ReasonCode.Success and var code)
        {
            Refuse(packet, code, MqttDropReason.Refused);
        }
        return true;
    }

    private MqttProtocolException TooManyInFlight() => new(
        MqttCloseReason.ReceiveMaximum, ReasonCode.ReceiveMaximumExceeded,
        $"more than {_broker.Options.MaxInFlight} messages are not acknowledged");

    /// <summary>
    /// A QoS 2 message is in flight until it is released. A client of MQTT 3.1.1 doesn't know of the limit, and not reading on would keep its
    /// PUBREL from coming: it gets far more.
    /// </summary>
    /// <returns>False if the message can't be taken yet.</returns>
    private bool TryBeginQos2(ushort packetId)
    {
        Session session = _session!;
        long limit = _broker.Options.MaxInFlight * (_level == ProtocolLevel.V5 ? 1L : MostReceiptsFactor);
        if (session.Receipts.Count + _acks.InFlight >= limit && session.Receipts.Find(packetId) is null)
        {
            throw TooManyInFlight();
        }
        long offset = _broker.Sessions.BeginReceipts(session);
        if (offset >= 0)
        {
            (_pause, _waitFor) = (Pause.Journal, offset);
        }
        return offset < 0;
    }

    /// <summary>The message with the topic that its alias stands for (MQTT 5, 3.3.2.3.4).</summary>
    private PublishPacket Resolve(PublishPacket packet)
    {
        if (packet.Alias == 0 || packet.Alias > _broker.Options.MaxTopicAliases)
        {
            throw new MqttProtocolException(
                MqttCloseReason.ProtocolError, ReasonCode.TopicAliasInvalid,
                $"the topic alias is {packet.Alias}; the maximum is {_broker.Options.MaxTopicAliases}");
        }
        _aliases ??= new byte[_broker.Options.MaxTopicAliases][];
        ref byte[]? known = ref _aliases[packet.Alias - 1];
        if (!packet.Topic.IsEmpty && !packet.Topic.SequenceEqual(known))
        {
            // One that is too long is refused and not kept, and the alias does not stand for its former topic any more.
            known = packet.Topic.Length <= _broker.Options.MaxTopicBytes ? packet.Topic.ToArray() : null;
        }
        else if (known is null)
        {
            throw new MqttProtocolException(
                MqttCloseReason.ProtocolError, ReasonCode.TopicAliasInvalid, $"no topic was given for the alias {packet.Alias}");
        }
        ReadOnlySpan<byte> before = packet.Properties[..packet.AliasAt];
        ReadOnlySpan<byte> after = packet.Properties[(packet.AliasAt + PublishPacket.AliasBytes)..];
        if (before.Length + after.Length > _forwarded.Length)
        {
            _forwarded = new byte[packet.Properties.Length];
        }
        before.CopyTo(_forwarded);
        after.CopyTo(_forwarded.AsSpan(before.Length));
        return packet.Resolved(packet.Topic.IsEmpty ? known : packet.Topic, _forwarded.AsSpan(0, before.Length + after.Length));
    }

    /// <summary>Hands a message to ingest, and keeps a copy if somebody here wants it.</summary>
    private ReasonCode Take(Session session, in PublishPacket packet)
    {
        LocalMessage? local = null;
        bool hasSubscribers = _broker.Subscriptions.HasMatch(packet.Topic);
        if (hasSubscribers)
        {
            local = _broker.Messages.Keep(session, packet);
            if (local is null)
            {
                _broker.Delivery.Overflow(session, packet, _readMatches ??= new Matches());
            }
        }
        Publication published;
        try
        {
            published = _broker.Sessions.Concerns(packet, hasSubscribers)
                ? _broker.Sessions.Publish(session, packet, _level, local, _broker.Ingest, this, _readMatches ??= new Matches())
                : TakePlain(session, packet, local is not null);
        }
        catch
        {
            local?.Release();
            throw;
        }
        if (published.Code != ReasonCode.Success || published.IsRepeated)
        {
            local?.Release();
            local = null;
        }
        if (published.Code == ReasonCode.Success && (packet.PacketId != 0 || local is not null))
        {
            _acks.Stage(new PendingAck(published.Stream, published.Number, local, packet.PacketId, ReasonCode.Success)
            {
                Answer = packet.Qos == 2 ? PacketType.PubRec : PacketType.PubAck,
            });
        }
        return published.Code;
    }

    /// <summary>A message that nobody has to remember.</summary>
    private Publication TakePlain(Session session, in PublishPacket packet, bool isWanted)
    {
        ICommitListener listener = packet.PacketId != 0 || isWanted ? this : NoListener.Instance;
        return Publication.Of(_broker.Ingest.Accept(session.Ingest, new IngestMessage(packet.Topic, packet.Payload), listener));
    }

    private void Refuse(in PublishPacket packet, ReasonCode code, MqttDropReason reason)
    {
        if (packet.Qos == 0)
        {
            _broker.Metrics.MessageDropped(reason);
            return;
        }
        _broker.Metrics.MessageRefused();
        (ICommitStream? stream, long number) = (null, -1);
        if (packet.Qos == 2 && _level == ProtocolLevel.V5)
        {
            // A PUBREC that refuses frees the identifier (MQTT 5, 4.3.3); MQTT 3.1.1 has none, and the message will come again.
            _broker.Sessions.TryRelease(_session!, packet.PacketId, out stream, out number);
        }
        _acks.Stage(new PendingAck(stream, number, null, packet.PacketId, code)
        {
            Answer = packet.Qos == 2 ? PacketType.PubRec : PacketType.PubAck,
        });
        if (_level == ProtocolLevel.V311)
        {
            // The connection is closed when everything before is acknowledged: what comes after it may not overtake it.
            _pause = Pause.Closing;
        }
    }

    private void HandlePubAck(ReadOnlySpan<byte> body)
    {
        Acknowledgement ack = Acknowledgement.Read(body, _level);
        // One that is not in flight is let pass: a late answer to an earlier connection.
        if (_broker.Sessions.Acknowledge(_session!, ack.PacketId, qos: 1))
        {
            _send.Set();
        }
    }

    /// <summary>The client has a QoS 2 message, or refuses it, which ends it too [MQTT-4.3.3-4].</summary>
    private void HandlePubRec(ReadOnlySpan<byte> body)
    {
        Acknowledgement ack = Acknowledgement.Read(body, _level);
        if (ack.Code >= ReasonCode.Unspecified)
        {
            _broker.Sessions.Acknowledge(_session!, ack.PacketId, qos: 2);
        }
        else if (!_broker.Sessions.Receive(_session!, ack.PacketId))
        {
            Answer(Answers.NotFound(_builder, PacketType.PubRel, _level, ack.PacketId));
        }
        _send.Set();
    }

    private void HandlePubRel(ReadOnlySpan<byte> body)
    {
        ushort packetId = Acknowledgement.Read(body, _level).PacketId;
        if (_broker.Sessions.TryRelease(_session!, packetId, out ICommitStream? stream, out long number))
        {
            _acks.Stage(new PendingAck(stream, number, null, packetId, ReasonCode.Success) { Answer = PacketType.PubComp });
        }
        else
        {
            Answer(Answers.NotFound(_builder, PacketType.PubComp, _level, packetId));
        }
    }

    private void HandlePubComp(ReadOnlySpan<byte> body)
    {
        if (_broker.Sessions.Complete(_session!, Acknowledgement.Read(body, _level).PacketId))
        {
            _send.Set();
        }
    }

    private void HandleSubscribe(ReadOnlySpan<byte> body)
    {
        var packet = new SubscribePacket(body, _level);
        Answers.BeginSubAck(_builder, PacketType.SubAck, _level, packet.PacketId);
        long offset = -1;
        _holdsMessages = true; // retained ones come after the answer
        while (packet.Next())
        {
            ReasonCode code = Subscribe(packet, ref offset);
            _builder.Byte((byte)(_level == ProtocolLevel.V311 && code >= ReasonCode.Unspecified ? ReasonCode.Unspecified : code));
        }
        AnswerWhenDurable(_builder.End(), offset);
    }

    private ReasonCode Subscribe(in SubscribePacket packet, ref long offset)
    {
        if (!TopicRules.IsWithin(packet.Filter, _broker.Options)
            || !(TopicRules.IsShared(packet.Filter) ? Subscription.IsSharedFilter(packet.Filter) : TopicRules.IsFilter(packet.Filter)))
        {
            return ReasonCode.TopicFilterInvalid;
        }
        if (!MaySubscribe(Subscription.FilterOf(packet.Filter)))
        {
            return ReasonCode.NotAuthorized;
        }
        if (TopicRules.IsShared(packet.Filter) && packet.Options.NoLocal)
        {
            throw MqttProtocolException.Error("a shared subscription can't be without the client's own messages"); // [MQTT-3.8.3-4]
        }
        Session session = _session!;
        if (!session.HasSubscription(packet.Filter)
            && (session.SubscriptionCount >= _broker.Options.MaxSubscriptionsPerClient
                || _broker.Metrics.SubscriptionBytes + SubscriptionTrie.CostOf(packet.Filter) > _broker.Options.MaxSubscriptionBytes))
        {
            _broker.Metrics.SubscriptionRefused();
            return ReasonCode.QuotaExceeded;
        }
        offset = Math.Max(offset, _broker.Sessions.Subscribe(session, packet.Filter, packet.Options, packet.Identifier));
        return (ReasonCode)packet.Options.Qos;
    }

    private void HandleUnsubscribe(ReadOnlySpan<byte> body)
    {
        var packet = new UnsubscribePacket(body, _level);
        Answers.BeginSubAck(_builder, PacketType.UnsubAck, _level, packet.PacketId);
        long offset = -1;
        while (packet.Next())
        {
            (bool existed, long at) = _broker.Sessions.Unsubscribe(_session!, packet.Filter);
            offset = Math.Max(offset, at);
            if (_level == ProtocolLevel.V5)
            {
                _builder.Byte((byte)(existed ? ReasonCode.Success : ReasonCode.NoSubscriptionExisted));
            }
        }
        AnswerWhenDurable(_builder.End(), offset);
    }

    /// <summary>Answers when the journal is durable up to the offset; nothing is read until then.</summary>
    private void AnswerWhenDurable(ReadOnlySpan<byte> packet, long offset)
    {
        if (offset < 0)
        {
            Answer(packet);
            _holdsMessages = false;
            return;
        }
        _delayedAnswer = packet.ToArray();
        (_pause, _waitFor) = (Pause.Journal, offset);
    }

    private async ValueTask WaitForJournalAsync()
    {
        await _broker.Sessions.WaitAsync(_waitFor);
        if (_delayedAnswer is { } answer)
        {
            _delayedAnswer = null;
            Answer(answer);
            _holdsMessages = false;
            _send.Set();
        }
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
