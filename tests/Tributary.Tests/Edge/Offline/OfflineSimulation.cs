using Tributary.Contracts.Telemetry;
using Tributary.Edge.Buffer;
using Tributary.Edge.Ingest;
using Tributary.Log.Storage;
using Tributary.Tests.Crash;
using Tributary.Tests.Edge.Clock;
using Tributary.Tests.Log.Support;

namespace Tributary.Tests.Edge.Offline;

/// <summary>
/// Thirty days of an edge without its cloud, by one seed: devices publish, the power goes out, processes are killed, the device is off for
/// hours, starts without knowing the time, learns it or not, its clock is set by whoever likes to, its oscillator drifts, and the disk is
/// too small, for one topic that refuses messages then and for one that drops the oldest. Then the cloud is there again. In the end each
/// record that was acknowledged is in the cloud, once, in its device's order, unless an event says that it is missing; and its time is
/// right within the bound that it tells.
/// </summary>
internal sealed partial class OfflineSimulation
{
    /// <summary>Parts per million by which settings say that clocks go wrong.</summary>
    public const int MaxDrift = 100;

    public const string EventsTopic = "edge.events";

    private const int Days = 30;
    private const int MessagesADay = 60;
    private const int MaxStarts = 20;
    private static readonly DateTimeOffset Start = new(2026, 3, 1, 0, 0, 0, TimeSpan.Zero);
    private static readonly TimeSpan Slice = TimeSpan.FromMinutes(20);
    private readonly Random _random;
    private readonly PlantedBug _bug;
    private readonly SimulatedDevice _device;
    private readonly SimulatedNetwork _network;
    private readonly OfflineCloud _cloud;
    private readonly EdgeBufferOptions _options;
    private readonly Queue<string> _story = new();
    private readonly bool _hasBoardClock;
    private readonly bool _learnsOften;
    private readonly bool _beginsOffline;
    private bool _isOffline;
    private MemoryStorage _disk = new();
    private OfflineAgent? _agent;
    private string? _fault;

    public OfflineSimulation(int seed, PlantedBug bug = PlantedBug.None)
    {
        _bug = bug;
        _random = new Random(seed * 7129);
        _device = new SimulatedDevice(Start, (_random.NextDouble() - 0.5) * 2 * 0.9 * MaxDrift);
        _network = new SimulatedNetwork(_random);
        _hasBoardClock = seed % 5 == 0;
        _learnsOften = seed % 2 == 0;
        _beginsOffline = seed % 4 == 1;
        _device.HasBoardClock = _hasBoardClock;
        // One refuses, the other drops.
        (Refusing, Dropping) = seed % 3 == 0 ? (RouteTable.UnroutedTopic, RouteTable.TelemetryTopic) : (RouteTable.TelemetryTopic, RouteTable.UnroutedTopic);
        _cloud = new OfflineCloud(Dropping, EventsTopic);
        const long Most = 6 * (64 << 10);
        FullPolicy policy = bug == PlantedBug.DropsWhatIsPromised ? FullPolicy.DropOldest : FullPolicy.Reject;
        _options = new EdgeBufferOptions
        {
            SegmentBytes = 64 << 10,
            MaxDiskBytes = 2 << 20,
            MinFreeBytes = 0,
            MaxTopics = 2,
            TailCacheBytes = 4 << 10,
            SpaceCheckInterval = TimeSpan.FromMinutes(1),
            EventsTopic = EventsTopic,
            Topics = new Dictionary<string, TopicOptions>
            {
                [Refusing] = new(policy, Most, null),
                [Dropping] = new(FullPolicy.DropOldest, Most, null),
            },
        };
    }

    public string Refusing { get; }

    public string Dropping { get; }

    public int Crashes { get; private set; }

    public int Boots { get; private set; } = 1;

    public string Story => string.Join('\n', _story);

    /// <summary>Runs all of it.</summary>
    /// <returns>What was wrong, null if nothing.</returns>
    public string? Run()
    {
        try
        {
            _isOffline = _beginsOffline;
            Cut();
            Begin();
            if (!_isOffline)
            {
                Live(TimeSpan.FromHours(2));
            }
            Offline();
            Return();
            return _fault ?? Check();
        }
        finally
        {
            _agent?.End();
        }
    }

    private bool Happens(double oneIn) => _random.NextDouble() * oneIn < 1;

    private TimeSpan Hours(double most) => TimeSpan.FromHours(_random.NextDouble() * most);

    private void Note(string what)
    {
        _story.Enqueue($"{_device.True:MM-dd HH:mm:ss}: {what}");
        if (_story.Count > 300)
        {
            _story.Dequeue();
        }
    }

    /// <summary>Starts the agent, at times only to lose its power at once.</summary>
    private void Begin()
    {
        for (int attempt = 0; attempt < MaxStarts; attempt++)
        {
            var storage = new FaultyStorage(_disk) { SurvivesFailedFlush = PowerCut.Random(_random).Survives };
            if (attempt < 3 && Happens(8))
            {
                storage.CrashAfter(_random.Next(30), PowerCut.Random(_random));
            }
            try
            {
                _agent = new OfflineAgent(storage, _device, _network, _cloud, _random, _options, _bug);
            }
            catch (IOException) when (storage.Left is not null)
            {
                _agent = null;
            }
            if (_agent is not null && storage.Left is null)
            {
                Note($"started, the clock is {(_agent.Clock.IsTrusted ? "" : "not ")}trusted");
                Resume();
                if (!_isOffline)
                {
                    Learn(); // the network has it
                }
                return;
            }
            _agent?.End();
            _disk = storage.Left!;
            Cut();
            SwitchOff();
        }
        throw new InvalidOperationException("it never started");
    }

    /// <summary>What ends breaks the link, and finds another one unless there is none.</summary>
    private void Cut()
    {
        if (_isOffline)
        {
            _network.Cut(TimeSpan.FromDays(2 * Days));
        }
    }

    private void Offline()
    {
        Note("the link is gone");
        _isOffline = true;
        Cut();
        _agent!.LoseLink();
        DateTimeOffset end = _device.True + TimeSpan.FromDays(Days);
        while (_device.True < end && _fault is null)
        {
            Disturb();
            Live(Hours(4));
        }
    }

    private void Disturb()
    {
        if (Happens(14))
        {
            int changes = _random.Next(20);
            Note($"the power goes out after {changes} changes");
            _agent!.Storage.CrashAfter(changes, PowerCut.Random(_random));
        }
        if (Happens(20))
        {
            Note("the process is killed");
            _agent!.Storage.CrashNow(PowerCut.LosesNothing);
            Restart(hasPower: true);
        }
        if (Happens(_learnsOften ? 8 : 60))
        {
            Learn();
        }
        if (!_hasBoardClock && Happens(12))
        {
            _device.SetWall(_device.True + TimeSpan.FromDays(Math.Pow(_random.NextDouble() * 2 - 1, 3) * 400));
            Note($"somebody sets the clock to {_device.Wall}");
        }
        if (Happens(10))
        {
            _device.IsSynchronized = false; // the kernel has heard nothing for long
        }
    }

    /// <summary>The device learns the time, by something that comes by.</summary>
    private void Learn()
    {
        _device.Synchronize(_device.MaxError * (_random.NextDouble() * 2 - 1));
        Note("the kernel is synchronised");
    }

    /// <summary>Time passes, with messages in it.</summary>
    private void Live(TimeSpan time)
    {
        DateTimeOffset end = _device.True + time;
        while (_device.True < end && _fault is null)
        {
            Pass(TimeSpan.FromDays(2.0 / MessagesADay) * _random.NextDouble());
            for (int left = 1 + _random.Next(2); left > 0 && _fault is null; left--)
            {
                Publish();
            }
            Work();
        }
    }

    private void Pass(TimeSpan time)
    {
        for (TimeSpan left = time; left > TimeSpan.Zero; left -= Slice)
        {
            TimeSpan step = left < Slice ? left : Slice;
            _device.Pass(step);
            _network.Run(step);
            _agent?.RunWriter();
        }
    }

    private void Work()
    {
        _agent!.Work();
        if (_agent.IsDead)
        {
            Restart(hasPower: false);
            return;
        }
        Learned();
    }

    private void Restart(bool hasPower)
    {
        Crashes++;
        OfflineAgent ended = _agent!;
        ended.Storage.CrashNow(PowerCut.Random(_random));
        ended.End();
        _disk = ended.Storage.Left!;
        Cut();
        Forget();
        if (!hasPower)
        {
            SwitchOff();
        }
        Begin();
    }

    private void SwitchOff()
    {
        Boots++;
        TimeSpan off = Happens(4) ? Hours(20) : TimeSpan.FromSeconds(10 + (_random.NextDouble() * 600));
        DateTimeOffset wall = _hasBoardClock ? _device.True + off + TimeSpan.FromSeconds(_random.NextDouble() * 20)
            : Happens(2) ? _device.Wall : DateTimeOffset.UnixEpoch;
        _device.Restart(off, wall);
        _network.Run(off);
        Note($"was off for {off}, and says it is {wall}");
    }

    /// <summary>The cloud is there again, and soon after it the time.</summary>
    private void Return()
    {
        Note("the link is there");
        _agent!.Storage.CrashAfter(int.MaxValue, PowerCut.LosesAll);
        _isOffline = false;
        _network.Break();
        Pass(TimeSpan.FromMinutes(2));
        for (int i = 0; i < 200 && _fault is null; i++)
        {
            if (_device.IsSynchronized != true)
            {
                Learn();
            }
            Pass(TimeSpan.FromMinutes(5));
            Work();
            if (_agent.IsSettled)
            {
                return;
            }
        }
        _fault ??= $"it never came to rest: {_agent.Where}";
    }
}
