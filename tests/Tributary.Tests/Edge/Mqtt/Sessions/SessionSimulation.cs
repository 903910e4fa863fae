using Microsoft.Extensions.Time.Testing;
using Tributary.Edge.Buffer;
using Tributary.Edge.Mqtt;
using Tributary.Edge.Mqtt.Protocol;
using Tributary.Log.Storage;
using Tributary.Tests.Crash;
using Tributary.Tests.Log.Support;

namespace Tributary.Tests.Edge.Mqtt.Sessions;

/// <summary>
/// Clients and a broker by one seed: messages of all QoS, crashes at any change of the storage and failed flushes, connections that break
/// and take over each other, clients that are slow or away for long, QoS 2 messages that are sent twice, topics that uplinks ship and
/// trim over a link that is cut. In the end everything is well: what each client was told, and got, is compared with what the
/// specification promises it, and the cloud has each record that was durable, once and in order. With some seeds two clients share a
/// subscription, or three, one of whom has a session that ends with its connection, or asked for QoS 0; with others messages are large, a
/// subscriber stays away, and the journal is full at times.
/// </summary>
internal sealed partial class SessionSimulation
{
    private const int Steps = 120;
    private const int CalmSteps = 400;
    private const int MaxStarts = 30;
    private readonly Random _random;
    private readonly List<SimulatedClient> _clients;
    private readonly SortedDictionary<long, string> _stored = [];
    private readonly SimulatedNetwork _network;
    private readonly ShippedTopic _cloud = new();
    private readonly Queue<string> _story = new();
    private readonly int _crashRate;
    private readonly int _breakRate;
    private readonly int _retainedQos;
    private MemoryStorage _disk = new();
    private SimulatedBroker? _broker;
    private string? _fault;

    /// <summary>Step of the last crash, or in which the journal had ended.</summary>
    private int _lostAt;

    /// <summary>Step up to which the disk is slow.</summary>
    private int _slowUntil;

    public SessionSimulation(int seed, PlantedBug bug = PlantedBug.None)
    {
        _random = new Random(seed * 6151);
        _network = new SimulatedNetwork(_random);
        Bug = bug;
        // With a clock that nobody has set, clients that come back need not wait for an entry.
        Time = new FakeTimeProvider(new DateTimeOffset(seed % 3 == 0 ? 1970 : 2026, 1, 2, 0, 0, 0, TimeSpan.Zero));
        int publishers = 1 + _random.Next(2);
        _clients =
        [
            .. Enumerable.Range(0, publishers).Select(i => new SimulatedClient(this, $"p{i}", -1)),
            .. Enumerable.Range(0, 1 + _random.Next(2)).Select(i => new SimulatedClient(this, $"s{i}", 1 + _random.Next(2))),
            new SimulatedClient(this, "both", _random.Next(3)),
            .. Enumerable.Range(0, seed % 2 * 2).Select(i => new SimulatedClient(this, $"m{i}", 1, "$share/g/t/#")),
            .. Enumerable.Range(0, seed % 4 / 3).Select(_ => new SimulatedClient(this, "v", 1, "$share/g/t/#", isVolatile: true)),
            .. Enumerable.Range(0, seed % 8 == 5 ? 1 : 0).Select(_ => new SimulatedClient(this, "z", 0, "$share/g/t/#")),
        ];
        Filling = seed % 4 == 0 ? 3500 : 0;
        _crashRate = 10 + _random.Next(60);
        _breakRate = 8 + _random.Next(40);
        _retainedQos = 1 + _random.Next(2);
        Options = new MqttOptions { SnapshotBytes = 4 << 10, MaxJournalBytes = 64 << 10 };
    }

    public PlantedBug Bug { get; }

    public FakeTimeProvider Time { get; }

    public MqttOptions Options { get; }

    public int Step { get; private set; }

    public int Crashes { get; private set; }

    /// <summary>Bytes that messages have beside what tells them apart.</summary>
    public int Filling { get; }

    /// <summary>Whether messages were dropped since the journal was full.</summary>
    public bool WasFull { get; private set; }

    public int Delivered => _clients.Sum(client => client.Taken.Count);

    public string Story => string.Join('\n', _story);

    /// <summary>Runs all of it.</summary>
    /// <returns>What was wrong, null if nothing.</returns>
    public string? Run()
    {
        try
        {
            Start();
            for (int i = 0; i < Steps && _fault is null; i++, Step++)
            {
                Disturb();
                Play();
            }
            _broker!.Storage.CrashAfter(int.MaxValue, PowerCut.LosesAll);
            for (int i = 0; i < CalmSteps && _fault is null && !IsSettled(); i++, Step++)
            {
                Calm();
            }
            if (IsSettled())
            {
                Probe();
            }
            return _fault ?? (IsSettled() ? Check() : $"it never came to rest: {string.Join("; ", _clients.Select(client => client.Where))}; {_broker!.Store.Count()}") ?? _fault;
        }
        finally
        {
            _broker?.Storage.CrashNow(PowerCut.LosesAll);
            _broker?.End();
        }
    }

    public void Require(bool holds, string what)
    {
        if (!holds)
        {
            _fault ??= what;
        }
    }

    public SimulatedLink NewLink(SimulatedClient client)
    {
        var link = new SimulatedLink(_broker!, client);
        _broker!.Links.Add(link);
        return link;
    }

    public SimulatedUplinks NewUplinks(FaultyStorage storage) => new(_network, _cloud, _random, () => storage.Left is null);

    /// <summary>Remembers the durable records below an offset, which may be given up now.</summary>
    public void Keep(SimulatedBroker broker, long below)
    {
        foreach (BufferPartition partition in broker.Buffer.Partitions)
        {
            foreach ((long offset, string payload) in SimulatedBroker.Records(partition, 0).Where(record => record.Offset < below))
            {
                Require(!_stored.TryGetValue(offset, out string? known) || known == payload, $"offset {offset} was {known} and is {payload}");
                _stored[offset] = payload;
            }
        }
    }

    /// <summary>Adds to the story.</summary>
    public void Note(string what)
    {
        _story.Enqueue($"{Step}: {what}");
        if (_story.Count > 400)
        {
            _story.Dequeue();
        }
    }

    /// <summary>Whether something comes between a flush and those who wait for it.</summary>
    public bool Interrupts() => Happens(6);

    /// <summary>How many pieces of a snapshot are taken before something else comes between.</summary>
    public int Pieces() => Happens(3) ? int.MaxValue : 1 + _random.Next(6);

    private bool Happens(int oneIn) => _random.Next(oneIn) == 0;

    private void Start()
    {
        for (int attempt = 0; attempt < MaxStarts; attempt++)
        {
            var storage = new FaultyStorage(_disk) { SurvivesFailedFlush = PowerCut.Random(_random).Survives };
            if (attempt < 3 && Happens(8))
            {
                storage.CrashAfter(_random.Next(20), PowerCut.Random(_random));
            }
            try
            {
                _broker = new SimulatedBroker(this, storage, 1 + _random.Next(4));
                Note($"started with {_broker.Store.Count()}");
                _clients.ForEach(client => client.ToldWill?.Begin(Time.GetUtcNow()));
                return;
            }
            catch (IOException) when (storage.Left is not null)
            {
                _disk = storage.Left;
            }
        }
        throw new InvalidOperationException("it never started");
    }

    private void Restart()
    {
        Crashes++;
        _lostAt = Step;
        SimulatedBroker ended = _broker!;
        NoteDrops();
        ended.Storage.CrashNow(PowerCut.Random(_random));
        ended.End();
        _disk = ended.Storage.Left!;
        Start();
    }

    private void Disturb()
    {
        if (Happens(_crashRate))
        {
            int changes = _random.Next(12);
            Note($"the power goes out after {changes} changes");
            _broker!.Storage.CrashAfter(changes, PowerCut.Random(_random));
        }
        if (Happens(80))
        {
            Note("a flush fails");
            _broker!.Storage.Fail(FaultPoint.SegmentFlush);
        }
        if (Happens(25))
        {
            _slowUntil = Step + 1 + _random.Next(8);
        }
        if (Happens(_breakRate) && _broker!.Links.Count > 0)
        {
            SimulatedLink link = _broker.Links[_random.Next(_broker.Links.Count)];
            Note($"the connection of {link.Client.Name} breaks");
            link.Break();
        }
        if (Happens(30))
        {
            Note("the link to the cloud is cut");
            _broker!.Uplinks.LoseLink();
        }
    }

    private void Play()
    {
        for (int left = 1 + _random.Next(8); left > 0; left--)
        {
            SimulatedClient client = _clients[_random.Next(_clients.Count)];
            switch (_random.Next(12))
            {
                case 0 when client.Link is null && (Filling == 0 || client.Name != "s0" || Happens(25)):
                    Connect(client);
                    break;
                case 1 when client.Link is not null && Happens(Step < _slowUntil ? 3 : 12):
                    Note($"{client.Name} takes over");
                    client.Connect(clean: !client.HasSession);
                    break;
                case 2 when Happens(4):
                    client.Repeat();
                    break;
                case < 6 when client.IsPublisher:
                    bool retain = Happens(4);
                    // Order is promised among messages of one QoS.
                    client.Publish(
                        retain ? $"r/{client.Name}" : $"t/{_random.Next(2)}", retain ? _retainedQos : _random.Next(3), retain, retain && Happens(3));
                    break;
                case < 9:
                    client.Answer();
                    break;
                default:
                    Carry(client.Link);
                    break;
            }
        }
        Work();
    }

    private void Connect(SimulatedClient client)
    {
        bool clean = (client.Name != "m0" && Happens(client.IsMember ? 4 : 15)) || !client.HasSession;
        Note($"{client.Name} connects{(clean ? " anew" : "")}");
        client.Connect(clean);
    }

    private void Carry(SimulatedLink? link)
    {
        link?.DeliverToBroker();
        link?.Pump();
        link?.DeliverToClient();
    }

    private void Work()
    {
        _lostAt = _broker!.Store.Count().Unavailable is null ? _lostAt : Step;
        if (Step >= _slowUntil && Happens(2))
        {
            _broker!.RunWriter();
        }
        _network.Run(_network.Delay(Happens(8) ? 4000 : 60));
        _broker!.Uplinks.Pump();
        if (Happens(4))
        {
            Time.Advance(TimeSpan.FromSeconds(1 + _random.Next(6)));
            _broker!.Sweep();
            if (Step >= _slowUntil)
            {
                _broker.RunWriter();
            }
        }
        foreach (SimulatedLink link in _broker!.Links.ToList())
        {
            link.Pump();
        }
        if (_broker.Storage.Left is not null || _broker.IsOffline)
        {
            Restart();
        }
    }

    private void Calm()
    {
        foreach (SimulatedClient client in _clients)
        {
            if (client.Link is null || client.Link.IsBroken)
            {
                client.Connect(clean: !client.HasSession);
            }
            while (client.Link is { } link && (link.DeliverToBroker() | link.DeliverToClient()))
            {
                link.Pump();
            }
            client.Answer();
        }
        Work();
        _broker!.RunWriter();
        foreach (SimulatedLink link in _broker.Links.ToList())
        {
            link.Pump();
        }
    }

    private bool IsSettled() => _clients.TrueForAll(client => client.IsSettled && client.Link!.IsQuiet)
        && _broker!.Store.Count().QueuedMessages == 0;
}
