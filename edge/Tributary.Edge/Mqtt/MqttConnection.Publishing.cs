using Tributary.Edge.Ingest;
using Tributary.Edge.Mqtt.Protocol;
using Tributary.Edge.Mqtt.Sessions;

namespace Tributary.Edge.Mqtt;

/// <summary>Messages of the client, up to where they are acknowledged or refused. All of it on the reading side.</summary>
internal sealed partial class MqttConnection
{
    /// <summary>QoS 2 messages that a client of MQTT 3.1.1 may have unreleased, as a multiple of the most in flight.</summary>
    private const int MostReceiptsFactor = 16;

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
        var message = new IngestMessage(packet.Topic, packet.Payload) { Properties = packet.Properties };
        return Publication.Of(_broker.Ingest.Accept(session.Ingest, message, listener));
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
