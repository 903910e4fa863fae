using Tributary.Edge.Mqtt;
using Tributary.Edge.Mqtt.Protocol;

namespace Tributary.Tests.Edge.Mqtt.Sessions;

/// <summary>What the specification promises, when all is well in the end.</summary>
internal sealed partial class SessionSimulation
{
    /// <summary>Step from which on nothing may be missing, even if the journal was full before.</summary>
    private int _probedAt;

    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(10);

    private string? Check()
    {
        SimulatedWill last = LeaveOne();
        if (CheckShipped() is { } fault)
        {
            return fault;
        }
        Dictionary<string, int> stored = _stored.Values.GroupBy(payload => payload).ToDictionary(same => same.Key, same => same.Count());
        if (!stored.ContainsKey(last.Payload))
        {
            return $"the will '{last.Payload}' was not published";
        }
        if (_clients.SelectMany(client => client.Wills).FirstOrDefault(will => will.IsCancelled && stored.ContainsKey(will.Payload)) is { } wrong)
        {
            return $"the will '{wrong.Payload}' was published although its client had come back";
        }
        foreach (SimulatedMessage message in _clients.SelectMany(client => client.Published).Where(message => message.Payload.Length > 0))
        {
            int count = stored.GetValueOrDefault(message.Payload);
            if ((message is { IsAcknowledged: true } && count == 0) || (message.Qos is 0 or 2 && count > 1))
            {
                return $"{message.Payload} with QoS {message.Qos} stands in its topic {count} times; acknowledged: {message.IsAcknowledged}";
            }
        }
        return _clients.Where(client => client.SubscribedQos >= 0).Select(CheckSubscriber).FirstOrDefault(fault => fault is not null)
            ?? CheckShared() ?? CheckRetained();
    }

    /// <summary>The cloud has what was ever durable here, once and in order.</summary>
    private string? CheckShipped()
    {
        TimeSpan end = _network.Now + Patience;
        do
        {
            _broker!.Uplinks.Pump();
            _network.Run(TimeSpan.FromSeconds(1));
            _broker.RunWriter();
        }
        while (!_broker.Uplinks.IsSettled && _network.Now < end);
        if (!_broker.Uplinks.IsSettled)
        {
            return $"the uplinks never came to rest: {_broker.Uplinks.Where}";
        }
        Keep(_broker, long.MaxValue);
        (string Here, string There)[] different =
            [.. _stored.Values.Zip(_cloud.Values, (here, there) => (here, there)).SkipWhile(both => both.here == both.there).Take(1)];
        return different is [var first] ? $"the cloud has {first.There} where {first.Here} was stored"
            : _stored.Count != _cloud.Values.Count() ? $"{_stored.Count} records were stored, the cloud has {_cloud.Values.Count()}"
            : null;
    }

    /// <summary>A full journal takes messages again when those who waited have taken theirs: this one has to come to all.</summary>
    private void Probe()
    {
        for (int i = 0; i < 30; i++)
        {
            Time.Advance(TimeSpan.FromSeconds(1));
            _broker!.Sweep();
            _broker.RunWriter();
        }
        NoteDrops();
        _probedAt = ++Step;
        _clients[0].Publish("t/0", 1, retain: false);
        do
        {
            Step++;
            Calm();
        }
        while (_fault is null && !IsSettled() && Step < _probedAt + CalmSteps);
    }

    private void NoteDrops() => WasFull |= _broker!.Store.Metrics.Dropped(MqttDropReason.SessionFull) > 0;

    /// <summary>A client that goes and does not come back.</summary>
    private SimulatedWill LeaveOne()
    {
        SimulatedWill will = _clients[0].ToldWill!;
        _clients[0].Link!.Break();
        for (int i = 0; i < 15; i++)
        {
            Time.Advance(TimeSpan.FromSeconds(1));
            _broker!.Sweep();
            _broker.RunWriter();
        }
        return will;
    }

    /// <summary>One of those who share a subscription got it, if one was there all the time.</summary>
    private string? CheckShared()
    {
        List<SimulatedClient> members = _clients.FindAll(client => client.IsMember);
        if (members.Count == 0)
        {
            return null;
        }
        // What a member without a durable session had, or one with QoS 0, is gone with the process.
        int since = Math.Max(
            Math.Max(members[0].SubscribedAt, members.Max(member => member.LostUpTo)),
            members.Exists(member => member.IsVolatile || member.SubscribedQos == 0) ? _lostAt : -1);
        SimulatedMessage? missing = _clients.SelectMany(client => client.Published).FirstOrDefault(message => IsOwed(message, since)
            && message.Qos > 0
            && !members.Exists(member => member.EverTaken.Contains(message.Payload) || member.Lost.Contains(message.Payload)));
        return missing is null ? null : $"no member, subscribed since {since}, ever got {missing.Payload} of {missing.SentAt} with QoS {missing.Qos}";
    }

    /// <summary>Whether whoever subscribed then has to get a message, if its QoS says so.</summary>
    private bool IsOwed(SimulatedMessage message, int subscribedAt) => message is { IsAcknowledged: true, Retain: false }
        && message.SentAt > subscribedAt && (!WasFull || message.SentAt >= _probedAt);

    private string? CheckSubscriber(SimulatedClient client)
    {
        var last = new Dictionary<(SimulatedClient, string, int), int>();
        var seen = new Dictionary<string, int>();
        Dictionary<string, SimulatedMessage> all = _clients.SelectMany(other => other.Published).Where(message => message.Payload.Length > 0)
            .ToDictionary(message => message.Payload);
        foreach ((string topic, string payload, int qos) in client.Taken)
        {
            SimulatedMessage message = all[payload];
            int expected = Math.Min(message.Qos, client.SubscribedQos);
            if (message.Topic != topic || qos != expected)
            {
                return $"{client.Name} got {payload} on {topic} with QoS {qos} instead of {message.Topic}, {expected}";
            }
            int times = seen[payload] = seen.GetValueOrDefault(payload) + 1;
            if (times > 1 && qos != 1 && message.Qos != 1)
            {
                return $"{client.Name} got {payload} with QoS {qos} twice";
            }
            int before = last.GetValueOrDefault((message.Publisher, topic, message.Qos)); // one that was sent with another QoS may overtake it
            if (times == 1 && qos > 0 && !client.IsMember && before > message.Number && message.SentAt > client.SubscribedAt)
            {
                return $"{client.Name} got {payload} after number {before}";
            }
            last[(message.Publisher, topic, message.Qos)] = Math.Max(before, message.Number);
        }
        SimulatedMessage? missing = client.IsMember ? null : all.Values.FirstOrDefault(message => IsOwed(message, client.SubscribedAt)
            && Math.Min(message.Qos, client.SubscribedQos) > 0 && !seen.ContainsKey(message.Payload));
        return missing is null ? null
            : $"{client.Name}, subscribed since {client.SubscribedAt}, never got {missing.Payload} of {missing.SentAt} with QoS {missing.Qos}";
    }

    /// <summary>What a client that comes now gets: the last one that was acknowledged, or one that was sent behind it.</summary>
    private string? CheckRetained()
    {
        var reader = new SimulatedClient(this, "reader", -1);
        reader.Connect(clean: true);
        reader.Link!.Send(new SimulatedPacket(PacketType.Subscribe, 1, "r/#", Qos: 0, Flag: true));
        for (int i = 0; i < 20; i++)
        {
            Carry(reader.Link);
            _broker!.RunWriter();
        }
        foreach (SimulatedClient client in _clients)
        {
            string topic = $"r/{client.Name}";
            List<SimulatedMessage> sent = client.Published.FindAll(message => message.Topic == topic);
            int acknowledged = sent.FindLastIndex(message => message.IsAcknowledged);
            string? got = reader.Taken.Where(taken => taken.Topic == topic).Select(taken => taken.Payload).SingleOrDefault();
            bool isOne = got is null
                ? acknowledged < 0 || sent.FindLastIndex(message => message.Payload.Length == 0) >= acknowledged
                : sent.FindIndex(message => message.Payload == got) >= acknowledged;
            if (!isOne)
            {
                return $"the retained message of {topic} is {got ?? "none"} although {sent[acknowledged].Payload} was acknowledged";
            }
        }
        return null;
    }
}
