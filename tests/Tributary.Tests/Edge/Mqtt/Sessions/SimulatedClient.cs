using System.Globalization;
using Tributary.Edge.Mqtt.Protocol;

namespace Tributary.Tests.Edge.Mqtt.Sessions;

/// <summary>A packet between a simulated client and its broker.</summary>
internal sealed record SimulatedPacket(
    PacketType Type, ushort Id = 0, string Topic = "", string Payload = "", int Qos = 0, bool Retain = false, bool IsDuplicate = false,
    bool Flag = false, SimulatedWill? Will = null);

/// <summary>A message as its publisher knows it.</summary>
internal sealed class SimulatedMessage(
    SimulatedClient publisher, int number, string topic, int qos, bool retain, int sentAt, int filling, bool isEmpty)
{
    public SimulatedClient Publisher { get; } = publisher;

    public int Number { get; } = number;

    public string Topic { get; } = topic;

    public int Qos { get; } = qos;

    public bool Retain { get; } = retain;

    /// <summary>What it says: of each message something else, but for those that end a retained one.</summary>
    public string Payload { get; } = isEmpty ? "" : string.Create(CultureInfo.InvariantCulture, $"{publisher.Name}:{number}{new string('.', filling)}");

    /// <summary>Step in which it was sent first.</summary>
    public int SentAt { get; } = sentAt;

    /// <summary>Whether the broker has said that it has it.</summary>
    public bool IsAcknowledged { get; set; }

    public ushort PacketId { get; set; }

    /// <summary>Whether PUBREC has come.</summary>
    public bool IsReceived { get; set; }
}

/// <summary>
/// A client as the specification has it: it keeps its own state, sends again after a reconnect what was not acknowledged, in order, and
/// takes a QoS 2 message once. What it remembers is what the broker must have kept to.
/// </summary>
internal sealed class SimulatedClient(
    SessionSimulation simulation, string name, int subscribedQos, string filter = "t/#", bool isVolatile = false)
{
    public const int MaxInFlight = 4;
    private readonly List<SimulatedMessage> _inFlight = [];
    private readonly HashSet<ushort> _received = [];
    private readonly Queue<SimulatedPacket> _answers = new();
    private SimulatedWill? _cancelled;
    private ushort _lastId;
    private int _wills;
    private int _numbers;

    public string Name { get; } = name;

    /// <summary>Highest QoS of its subscription; −1: it has none.</summary>
    public int SubscribedQos { get; } = subscribedQos;

    /// <summary>What it published.</summary>
    public List<SimulatedMessage> Published { get; } = [];

    /// <summary>Whether it shares its subscription.</summary>
    public bool IsMember { get; } = filter[0] == '$';

    /// <summary>Whether its session ends with its connection.</summary>
    public bool IsVolatile { get; } = isVolatile;

    /// <summary>Whether it publishes.</summary>
    public bool IsPublisher { get; } = name[0] is 'p' or 'b';

    /// <summary>Its wills.</summary>
    public List<SimulatedWill> Wills { get; } = [];

    /// <summary>The one that the broker was told last.</summary>
    public SimulatedWill? ToldWill { get; set; }

    /// <summary>What came in all of its sessions.</summary>
    public HashSet<string> EverTaken { get; } = [];

    /// <summary>What was on its way with QoS 0 when a connection of it broke.</summary>
    public HashSet<string> Lost { get; } = [];

    /// <summary>Step before which any message may have been on its way so.</summary>
    public int LostUpTo { get; set; } = -1;

    /// <summary>What came since its session began, in order, with the QoS that it came with; each QoS 2 message once.</summary>
    public List<(string Topic, string Payload, int Qos)> Taken { get; private set; } = [];

    /// <summary>Whether the broker has told it that there is a session.</summary>
    public bool HasSession { get; private set; }

    /// <summary>Step in which its subscription was confirmed, −1 before.</summary>
    public int SubscribedAt { get; private set; } = -1;

    public SimulatedLink? Link { get; private set; }

    /// <summary>Whether CONNACK has come.</summary>
    public bool IsIn { get; private set; }

    public bool IsSettled => IsIn && _inFlight.Count == 0 && _answers.Count == 0 && _received.Count == 0 && (SubscribedQos < 0 || SubscribedAt >= 0);

    /// <summary>What it waits for.</summary>
    public string Where => $"{Name} in {IsIn}, in flight {string.Join(",", _inFlight.Select(message => $"{message.PacketId}:{message.Payload}"))}, "
        + $"answers {_answers.Count}, received {string.Join(",", _received)}, subscribed {SubscribedAt}, quiet {Link?.IsQuiet}";

    public void Connect(bool clean)
    {
        clean |= IsVolatile;
        Link = simulation.NewLink(this);
        IsIn = false;
        _answers.Clear();
        if (clean)
        {
            _inFlight.Clear();
            _received.Clear();
            Taken = [];
            SubscribedAt = -1;
            HasSession = false;
        }
        SimulatedWill? will = null;
        if (Name == "p0") // the others are let in without waiting for an entry of theirs
        {
            will = new SimulatedWill($"{Name} is gone {++_wills}", _wills % 3 * 5);
            Wills.Add(will);
        }
        _cancelled = null;
        Link.Send(new SimulatedPacket(PacketType.Connect, Flag: clean, Will: will));
    }

    /// <summary>The broker has taken CONNECT: when it says so, the will before is not to be published any more.</summary>
    public void Return(SimulatedWill? will, bool isClean)
    {
        ToldWill?.Return(simulation.Time.GetUtcNow(), isClean);
        _cancelled = ToldWill is { MayCome: false } ? ToldWill : null;
        ToldWill = will;
    }

    /// <summary>The connection is gone; its broker will notice, or has gone too.</summary>
    public void Lose()
    {
        Link = null;
        IsIn = false;
        _answers.Clear();
    }

    public void Publish(string topic, int qos, bool retain, bool isEmpty = false)
    {
        if (!IsIn || _inFlight.Count >= MaxInFlight)
        {
            return;
        }
        var message = new SimulatedMessage(this, ++_numbers, topic, qos, retain, simulation.Step, simulation.Filling, isEmpty);
        Published.Add(message);
        if (qos > 0)
        {
            // Few, so that they are used again soon, and some of them at once.
            _lastId = _numbers % 2 == 0 ? (ushort)0 : _lastId;
            do
            {
                _lastId = (ushort)((_lastId % 6) + 1);
            }
            while (_inFlight.Any(other => other.PacketId == _lastId));
            message.PacketId = _lastId;
            _inFlight.Add(message);
        }
        Send(message, isDuplicate: false);
    }

    /// <summary>Sends a QoS 2 message that is not answered once more, as MQTT 3.1.1 lets it.</summary>
    public void Repeat()
    {
        if (IsIn && _inFlight.Find(message => message is { Qos: 2, IsReceived: false }) is { } message)
        {
            Send(message, isDuplicate: true);
        }
    }

    /// <summary>Sends the next of its own answers, which it may take its time for.</summary>
    public void Answer()
    {
        if (IsIn && _answers.TryDequeue(out SimulatedPacket? answer))
        {
            Link!.Send(answer);
            if (answer.Type == PacketType.PubComp)
            {
                _received.Remove(answer.Id);
            }
        }
    }

    /// <summary>Takes a packet of the broker.</summary>
    public void Take(SimulatedPacket packet)
    {
        switch (packet.Type)
        {
            case PacketType.ConnAck:
                Welcome(packet.Flag);
                break;
            case PacketType.SubAck:
                SubscribedAt = simulation.Step;
                break;
            case PacketType.Publish:
                TakeMessage(packet);
                break;
            case PacketType.PubAck or PacketType.PubComp:
                End(packet);
                break;
            case PacketType.PubRec:
                TakeReceipt(packet.Id);
                break;
            case PacketType.PubRel:
                _answers.Enqueue(new SimulatedPacket(PacketType.PubComp, packet.Id));
                break;
        }
    }

    private void Welcome(bool isPresent)
    {
        simulation.Require(isPresent || !HasSession, $"{Name}: the session is not there any more");
        simulation.Require(!isPresent || HasSession, $"{Name}: a session is there that was to be forgotten");
        IsIn = true;
        HasSession = true;
        if (_cancelled is not null)
        {
            _cancelled.IsCancelled = true;
        }
        foreach (SimulatedMessage message in _inFlight)
        {
            if (message.IsReceived)
            {
                Link!.Send(new SimulatedPacket(PacketType.PubRel, message.PacketId));
            }
            else
            {
                Send(message, isDuplicate: true);
            }
        }
        if (SubscribedQos >= 0 && SubscribedAt < 0)
        {
            Link!.Send(new SimulatedPacket(PacketType.Subscribe, 1, filter, Qos: SubscribedQos));
        }
    }

    private void TakeMessage(SimulatedPacket packet)
    {
        EverTaken.Add(packet.Payload);
        switch (packet.Qos)
        {
            case 0:
                Taken.Add((packet.Topic, packet.Payload, 0));
                break;
            case 1:
                Taken.Add((packet.Topic, packet.Payload, 1));
                _answers.Enqueue(new SimulatedPacket(PacketType.PubAck, packet.Id));
                break;
            default:
                if (_received.Add(packet.Id))
                {
                    Taken.Add((packet.Topic, packet.Payload, 2));
                }
                _answers.Enqueue(new SimulatedPacket(PacketType.PubRec, packet.Id));
                break;
        }
    }

    private void TakeReceipt(ushort id)
    {
        if (_inFlight.Find(message => message.PacketId == id && message.Qos == 2) is not { IsReceived: false } message)
        {
            return; // of a PUBLISH that was sent twice
        }
        message.IsReceived = true;
        message.IsAcknowledged = true;
        Link!.Send(new SimulatedPacket(PacketType.PubRel, id));
    }

    private void End(SimulatedPacket packet)
    {
        int qos = packet.Type == PacketType.PubAck ? 1 : 2;
        int at = _inFlight.FindIndex(message => message.PacketId == packet.Id && message.Qos == qos);
        simulation.Require(at < 0 || qos == 1 || _inFlight[at].IsReceived, $"{Name}: {packet} came before its time");
        if (at >= 0)
        {
            _inFlight[at].IsAcknowledged = true;
            _inFlight.RemoveAt(at);
        }
    }

    private void Send(SimulatedMessage message, bool isDuplicate) => Link!.Send(new SimulatedPacket(
        PacketType.Publish, message.PacketId, message.Topic, message.Payload, message.Qos, message.Retain, isDuplicate));
}
