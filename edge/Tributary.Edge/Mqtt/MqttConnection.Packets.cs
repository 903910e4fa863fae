using Tributary.Edge.Ingest;
using Tributary.Edge.Mqtt.Protocol;
using Tributary.Edge.Mqtt.Sessions;

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

    /// <summary>Retained messages that one packet brings before others get their turn, but for those of its last filter.</summary>
    private const int RetainedAtOnce = 256;

    /// <summary>The SUBSCRIBE that is being handled, if that takes more than one turn.</summary>
    private SubscribeProgress? _subscribing;

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
        if (_control.Count >= ControlQueue.MaxBytes || (header.Type == PacketType.PubRel && !HasRoom))
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
                return TryHandleSubscribe(body);
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

    /// <summary>
    /// Subscribes to some of the filters and, after a pause in which others get their turn, comes back for the rest, if they bring many
    /// retained messages. The answer follows when all is done.
    /// </summary>
    private bool TryHandleSubscribe(ReadOnlySpan<byte> body)
    {
        var packet = new SubscribePacket(body, _level);
        Session session = _session!;
        session.Outbound.Hold(this, isHeld: true); // retained ones come after the answer
        SubscribeProgress progress = _subscribing ??= new SubscribeProgress();
        if (progress.Left > 0)
        {
            packet.SkipTo(progress.Left);
        }
        long enough = session.RetainedGiven + RetainedAtOnce;
        while (session.RetainedGiven < enough && packet.Next())
        {
            // The same filter again and again would send the retained messages as often.
            ReasonCode code = progress.Taken == 2 * _broker.Options.MaxSubscriptionsPerClient
                ? ReasonCode.QuotaExceeded : Subscribe(packet, ref progress.Offset);
            progress.Taken += code < ReasonCode.Unspecified ? 1 : 0;
            progress.Codes.Add(code);
        }
        progress.Left = packet.Left;
        if (progress.Left > 0)
        {
            _pause = Pause.Turn;
            return false;
        }
        _subscribing = null;
        Answers.BeginSubAck(_builder, PacketType.SubAck, _level, packet.PacketId);
        foreach (ReasonCode code in progress.Codes)
        {
            _builder.Byte((byte)(_level == ProtocolLevel.V311 && code >= ReasonCode.Unspecified ? ReasonCode.Unspecified : code));
        }
        AnswerWhenDurable(_builder.End(), progress.Offset);
        return true;
    }

    /// <summary>How far a SUBSCRIBE is.</summary>
    private sealed class SubscribeProgress
    {
        /// <summary>Offset of the journal that has to be durable before it is answered; −1 for none.</summary>
        public long Offset = -1;

        /// <summary>What became of its first filters.</summary>
        public List<ReasonCode> Codes { get; } = [];

        /// <summary>How many of them were taken.</summary>
        public int Taken { get; set; }

        /// <summary>Bytes of the other ones; 0 before it has begun.</summary>
        public int Left { get; set; }
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
            _session!.Outbound.Hold(this, isHeld: false);
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
            _session!.Outbound.Hold(this, isHeld: false);
            _send.Set();
        }
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
}
