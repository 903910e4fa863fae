using System.Text;
using Tributary.Edge.Ingest;
using Tributary.Edge.Mqtt;
using Tributary.Edge.Mqtt.Protocol;
using Tributary.Edge.Mqtt.Sessions;
using Tributary.Tests.Edge.Mqtt.Support;

namespace Tributary.Tests.Edge.Mqtt.Sessions;

/// <summary>
/// A connection between a client and a broker, and the broker's end of it: what the real one does with packets, without pipes. Packets
/// arrive in order; when it breaks, those on their way are lost, both ways.
/// </summary>
internal sealed class SimulatedLink(SimulatedBroker broker, SimulatedClient client) : ISessionConnection, ICommitListener
{
    private readonly AckQueue _acks = new();
    private readonly Queue<SimulatedPacket> _toBroker = new();
    private readonly Queue<SimulatedPacket> _toClient = new();
    private readonly Matches _matches = new();
    private JournalReader? _reader;
    private Session? _session;
    private SimulatedPacket? _answer;
    private SimulatedWill? _will;
    private bool _isAccepted;
    private long _waitFor = -1;
    private bool _isLost;

    /// <summary>Messages that are to be delivered after the end of the connection.</summary>
    private int _rest;

    /// <summary>Whether it has to look for something to send: it does so only when it was woken.</summary>
    private bool _isAwake = true;

    public SimulatedClient Client { get; } = client;

    public bool IsBroken { get; private set; }

    public bool IsQuiet => _toBroker.Count == 0 && _toClient.Count == 0;

    public void Send(SimulatedPacket packet) => _toBroker.Enqueue(packet);

    public void Wake() => _isAwake |= broker.Bug != PlantedBug.MissesItsSession;

    public void Close(MqttCloseReason reason, ReasonCode code, string? text) => _isLost |= broker.Bug != PlantedBug.HidesLosses;

    public void OnCommitted(ICommitStream stream) => _isAwake = true;

    public void OnLost(ICommitStream stream, string reason) => _isLost |= broker.Bug != PlantedBug.HidesLosses;

    /// <summary>The connection is gone for both.</summary>
    public void Break()
    {
        if (IsBroken)
        {
            return;
        }
        IsBroken = true;
        if (ReferenceEquals(Client.Link, this))
        {
            Client.Lose();
        }
        if (_session is not { } session)
        {
            return;
        }
        _rest = _acks.KeepLocal();
        broker.Resting.Add(this);
        bool isLater = _will is { Delay: > 0 } && broker.Bug != PlantedBug.PublishesWillAtOnce;
        if (_isAccepted && _will is not null && !isLater)
        {
            broker.PublishWill(new DueWill(session, WillOf(_will)));
        }
        _will?.Begin(broker.Now);
        if (Client.SubscribedQos == 0 && Client.IsMember)
        {
            NoteLost(session);
        }
        if (Client.IsVolatile && broker.Bug == PlantedBug.EndsWhatIsLent)
        {
            session.Outbound.End();
        }
        broker.Store.Disconnect(session, this, keepsWill: isLater, null);
        if (broker.Bug == PlantedBug.ForgetsQueue)
        {
            session.Outbound.End();
        }
        if (broker.Bug == PlantedBug.ForgetsReceipts)
        {
            foreach (ushort id in session.Receipts.Pending.Select(pending => pending.Key).ToList())
            {
                session.Receipts.Remove(id);
            }
        }
    }

    /// <summary>Those without durable sessions get what came before the connection ended, when it is committed.</summary>
    /// <returns>False if nothing is left.</returns>
    public bool DeliverRest()
    {
        Span<byte> unused = stackalloc byte[AckQueue.PubAckBytes];
        while (_acks.TakeReady(unused, out _, out PendingAck entry))
        {
            Deliver(entry.Local!);
            _rest--;
        }
        _rest -= _acks.DropLost();
        return _rest > 0;
    }

    /// <summary>The client takes a packet that has arrived.</summary>
    public bool DeliverToClient()
    {
        if (IsBroken || !_toClient.TryDequeue(out SimulatedPacket? packet))
        {
            return false;
        }
        broker.Note(Client, "<", packet);
        Client.Take(packet);
        return true;
    }

    /// <summary>The broker takes a packet that has arrived, if it reads.</summary>
    public bool DeliverToBroker()
    {
        if (_isLost)
        {
            Break();
            return false;
        }
        if (IsBroken || IsWaiting() || !_toBroker.TryPeek(out SimulatedPacket? packet))
        {
            return false;
        }
        try
        {
            if (Handle(packet))
            {
                broker.Note(Client, ">", packet);
                _toBroker.Dequeue();
            }
        }
        catch (SessionsUnavailableException)
        {
            Break();
        }
        _isAwake |= _acks.Publish();
        return true;
    }

    /// <summary>The broker sends what it may.</summary>
    public void Pump()
    {
        if (IsBroken || IsWaiting() || _session is null || !_isAwake)
        {
            return;
        }
        _isAwake = false;
        Span<byte> bytes = stackalloc byte[64];
        bool found = true;
        while (found)
        {
            found = _acks.TakeReady(bytes, out int count, out PendingAck other);
            for (int i = 0; i < count; i++)
            {
                _toClient.Enqueue(new SimulatedPacket((PacketType)(bytes[i * 4] >> 4), (ushort)((bytes[(i * 4) + 2] << 8) | bytes[(i * 4) + 3])));
            }
            if (found)
            {
                Finish(other);
            }
            found |= count > 0;
        }
        SendMessages();
    }

    private void Finish(in PendingAck other)
    {
        if (other.Refusal != ReasonCode.Success)
        {
            _isLost = true;
            return;
        }
        if (other.Local is { } local)
        {
            Deliver(local);
        }
        if (other.PacketId != 0)
        {
            _toClient.Enqueue(new SimulatedPacket(other.Answer, other.PacketId));
        }
    }

    private void Deliver(LocalMessage local)
    {
        if (broker.Bug == PlantedBug.GivesToTheGone)
        {
            local.Chosen?.RemoveAll(static member => member.Session.Connection is null);
        }
        broker.Delivery.Deliver(local, _matches);
    }

    /// <summary>What the client is to get with QoS 0 ends with the connection, rightly.</summary>
    private void NoteLost(Session session)
    {
        Client.Lost.UnionWith(_toClient.Where(static packet => packet.Type == PacketType.Publish).Select(static packet => packet.Payload));
        while (session.Outbound.TryTake(this, long.MaxValue, out OutboundMessage message, out _) == OutboundKind.Message)
        {
            if (message.Message is { } content)
            {
                Client.Lost.Add(Encoding.UTF8.GetString(content.Payload));
                content.Release();
            }
            else
            {
                broker.NoteLost(Client); // it may not be durable
            }
        }
    }

    private void SendMessages()
    {
        while (_toClient.Count < 8)
        {
            long flushed = broker.Bug == PlantedBug.ReleasesAtOnce ? long.MaxValue : broker.Store.Committed;
            switch (_session!.Outbound.TryTake(this, flushed, out OutboundMessage message, out ushort id))
            {
                case OutboundKind.Message:
                    LocalMessage? content;
                    try
                    {
                        content = message.Message ?? (_reader ??= broker.Store.OpenReader()).Read(message.Offset);
                    }
                    catch (IOException)
                    {
                        _isLost = true; // it comes again
                        return;
                    }
                    broker.Require(content is not null || broker.Bug != PlantedBug.None, $"entry {message.Offset} can't be read");
                    if (content is not null)
                    {
                        _toClient.Enqueue(new SimulatedPacket(
                            PacketType.Publish, id, Encoding.UTF8.GetString(content.Topic), Encoding.UTF8.GetString(content.Payload), message.Qos,
                            message.Retain, message.IsDuplicate));
                        content.Release();
                    }
                    break;
                case OutboundKind.Release:
                    _toClient.Enqueue(new SimulatedPacket(PacketType.PubRel, id));
                    break;
                default:
                    _reader?.Rest();
                    return;
            }
        }
        _isAwake = true; // there may be more
    }

    private bool IsWaiting()
    {
        if (_waitFor >= broker.Store.Committed)
        {
            return true;
        }
        _waitFor = -1;
        if (_answer is { } answer)
        {
            _answer = null;
            _isAccepted = true;
            _toClient.Enqueue(answer);
            _isAwake = true;
        }
        return false;
    }

    /// <returns>False if it has to wait.</returns>
    private bool Handle(SimulatedPacket packet)
    {
        SessionStore store = broker.Store;
        switch (packet.Type)
        {
            case PacketType.Connect:
                Connect(packet);
                return true;
            case PacketType.Subscribe:
                _waitFor = store.Subscribe(_session!, Encoding.UTF8.GetBytes(packet.Topic), new SubscriptionOptions(packet.Qos, false, false, packet.Flag ? 0 : 2), 0);
                _answer = new SimulatedPacket(PacketType.SubAck, packet.Id);
                return true;
            case PacketType.Publish:
                return TryPublish(packet);
            case PacketType.PubAck:
                _isAwake |= store.Acknowledge(_session!, packet.Id, 1);
                return true;
            case PacketType.PubRec:
                if (!store.Receive(_session!, packet.Id))
                {
                    _toClient.Enqueue(new SimulatedPacket(PacketType.PubRel, packet.Id));
                }
                _isAwake = true;
                return true;
            case PacketType.PubRel:
                Release(packet.Id);
                return true;
            default:
                _isAwake |= store.Complete(_session!, packet.Id);
                return true;
        }
    }

    private void Connect(SimulatedPacket packet)
    {
        broker.TakeOver(this);
        if (broker.Bug == PlantedBug.EndsWhatIsShared && packet.Flag)
        {
            broker.Store.Subscriptions.FindGroup("t/#"u8, "g"u8)?.Members.FirstOrDefault(member => member.Session.ClientId == Client.Name)?
                .Session.Outbound.End();
        }
        Will? will = packet.Will is null || broker.Bug == PlantedBug.ForgetsWill ? null : WillOf(packet.Will);
        SessionGiven given = broker.Store.Connect(
            new SessionStart(Client.Name, null, packet.Flag, Client.IsVolatile ? 0 : uint.MaxValue, will), this, broker.Window);
        _session = given.Session;
        _will = packet.Will;
        Client.Return(packet.Will, packet.Flag);
        if (given.Due is { } due)
        {
            broker.PublishWill(due);
        }
        (_answer, _waitFor) = (new SimulatedPacket(PacketType.ConnAck, Flag: given.IsPresent), given.Offset);
    }

    private static Will WillOf(SimulatedWill will) =>
        new("w/x"u8.ToArray(), Encoding.UTF8.GetBytes(will.Payload), 1, false, [], (uint)will.Delay);

    private void Release(ushort id)
    {
        bool isAgain = _session!.Receipts.Find(id) is null;
        if (broker.Store.TryRelease(_session, id, out ICommitStream? stream, out long number))
        {
            bool atOnce = broker.Bug == PlantedBug.CompletesAtOnce || (isAgain && broker.Bug == PlantedBug.ConfirmsAgainAtOnce);
            _acks.Stage(new PendingAck(atOnce ? null : stream, number, null, id, ReasonCode.Success)
            {
                Answer = PacketType.PubComp,
            });
        }
        else
        {
            _toClient.Enqueue(new SimulatedPacket(PacketType.PubComp, id));
        }
    }

    private bool TryPublish(SimulatedPacket sent)
    {
        SessionStore store = broker.Store;
        bool isRetained = sent.Retain && broker.Bug switch
        {
            PlantedBug.RetainsNothing => false,
            PlantedBug.ForgetsToClear => sent.Payload.Length > 0,
            _ => true,
        };
        byte[] bytes = Packets.Publish(4, sent.Topic, sent.Payload, sent.Qos, sent.Id, isRetained, sent.IsDuplicate);
        FixedHeader.TryRead(bytes, out FixedHeader header);
        PublishPacket packet = PublishPacket.Read(header, bytes.AsSpan(header.Length), ProtocolLevel.V311);
        if (sent.Qos == 2)
        {
            long offset = store.BeginReceipts(_session!);
            if (offset >= 0 && broker.Bug != PlantedBug.TakesBeforeMarked)
            {
                _waitFor = offset;
                return false;
            }
        }
        bool hasSubscribers = store.Subscriptions.HasMatch(packet.Topic);
        LocalMessage? local = hasSubscribers ? store.Messages.Keep(_session!, packet) : null;
        Publication published;
        if (store.Concerns(packet, hasSubscribers))
        {
            published = store.Publish(_session!, packet, ProtocolLevel.V311, local, broker.Ingest, this, _matches);
        }
        else
        {
            IngestTicket ticket = broker.Ingest.Accept(_session!.Ingest, new IngestMessage(packet.Topic, packet.Payload), this);
            published = new Publication(
                ticket.Refusal == IngestRefusal.None ? ReasonCode.Success : ReasonCode.Unspecified, ticket.Refusal, ticket.Stream, ticket.Number);
        }
        if (published.Code != ReasonCode.Success || published.IsRepeated)
        {
            local?.Release();
            local = null;
        }
        if (published.Code != ReasonCode.Success)
        {
            _isLost = true;
            return true;
        }
        if (sent.Id != 0 || local is not null)
        {
            ICommitStream? stream = broker.Bug switch
            {
                PlantedBug.AcknowledgesAtOnce => null,
                PlantedBug.ForgetsJournal => broker.LastStream,
                _ => published.Stream,
            };
            long number = broker.Bug == PlantedBug.ForgetsJournal ? broker.LastNumber : published.Number;
            _acks.Stage(new PendingAck(stream, number, local, sent.Id, ReasonCode.Success)
            {
                Answer = sent.Qos == 2 ? PacketType.PubRec : PacketType.PubAck,
            });
        }
        return true;
    }
}
