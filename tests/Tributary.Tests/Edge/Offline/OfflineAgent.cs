using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using Tributary.Contracts.Records;
using Tributary.Contracts.Telemetry;
using Tributary.Edge.Buffer;
using Tributary.Edge.Clock;
using Tributary.Edge.Ingest;
using Tributary.Edge.Uplink;
using Tributary.Log;
using Tributary.Log.Storage;
using Tributary.Tests.Crash;
using Tributary.Tests.Edge.Clock;
using Tributary.Tests.Edge.Uplink;
using Tributary.Tests.Log.Support;

namespace Tributary.Tests.Edge.Offline;

/// <summary>
/// A life of the agent, without threads of its own: buffer, clock, ingest and uplinks on a storage, put together as the agent does it.
/// Only events are stored by a task of the pool, which is waited for.
/// </summary>
internal sealed class OfflineAgent : ICommitListener
{
    private readonly SimulatedNetwork _network;
    private readonly OfflineCloud _cloud;
    private readonly Random _random;
    private readonly LogDirectory _directory;
    private readonly Ingestor _ingest;
    private readonly EdgeEvents _events;
    private readonly PlantedBug _bug;
    private readonly UplinkOptions _options;
    private readonly List<(BufferPartition Partition, UplinkDriver Driver)> _uplinks = [];

    /// <exception cref="IOException">The storage crashed.</exception>
    public OfflineAgent(
        FaultyStorage storage, SimulatedDevice device, SimulatedNetwork network, OfflineCloud cloud, Random random, EdgeBufferOptions options,
        PlantedBug bug)
    {
        (Storage, _network, _cloud, _random, _bug) = (storage, network, cloud, random, bug);
        _options = Offline with { ClockWait = bug == PlantedBug.SendsAtOnce ? TimeSpan.Zero : Offline.ClockWait };
        var settings = new ClockOptions
        {
            Trust = bug == PlantedBug.BelievesTheClock ? ClockPolicy.Always : ClockPolicy.Auto,
            CheckInterval = TimeSpan.FromMinutes(1),
            MaxDrift = bug == PlantedBug.IgnoresDrift ? 1 : OfflineSimulation.MaxDrift,
        };
        Clock = new EdgeClock(device, settings, device, NullLogger.Instance);
        var events = new BufferEvents(Clock, NullLogger.Instance);
        _directory = LogDirectory.Open(
            storage, "data", options.ToDirectoryOptions() with { ReserveBytes = 0 }, Clock.ForLog, events, hasThread: false);
        Buffer = EdgeBuffer.Open(_directory, events, storage, options, Clock, NullLoggerFactory.Instance);
        _events = new EdgeEvents(Buffer, "e", NullLogger.Instance);
        try
        {
            Begin(options);
        }
        catch
        {
            End();
            throw;
        }
        _ingest = new Ingestor(
            RouteTable.Default, Buffer, new IngestOptions { EdgeId = "e", MaxBatchBytes = 4 << 10, MaxRecordBytes = 4 << 10 }, Clock,
            NullLoggerFactory.Instance);
    }

    /// <summary>Tries seldom, or thirty days would be nothing but tries.</summary>
    private static UplinkOptions Offline { get; } = UplinkSimulation.DefaultOptions with
    {
        MaxRoundBytes = 16 << 10,
        MaxBatchBytes = 8 << 10,
        MaxBackoff = TimeSpan.FromMinutes(50),
        MetadataRefresh = TimeSpan.FromMinutes(5),
        CheckpointInterval = TimeSpan.FromSeconds(1),
    };

    public FaultyStorage Storage { get; }

    public EdgeBuffer Buffer { get; }

    public EdgeClock Clock { get; }

    public TimeSpan ClockWait => _options.ClockWait;

    public bool IsDead => Storage.Left is not null;

    /// <summary>Whether the cloud has everything, and the events of it.</summary>
    public bool IsSettled => _uplinks.TrueForAll(uplink =>
        uplink.Driver.State is { IsIdle: true } state && state.Acked == uplink.Partition.Log.AppendedEnd);

    public string Where => string.Join(", ", _uplinks.Select(uplink =>
        $"{uplink.Partition.Topic}: {uplink.Driver.State?.Phase} ({uplink.Driver.State?.Reason}, {uplink.Driver.State?.Held} held) at {uplink.Driver.State?.Acked} of {uplink.Partition.Log.AppendedEnd}"));

    public IngestTicket Publish(string topic, string client, string payload) =>
        _ingest.Accept(_ingest.Connect(client), new IngestMessage(Encoding.UTF8.GetBytes(topic), Encoding.UTF8.GetBytes(payload)), this);

    /// <summary>Runs the writer until it has nothing to do, then the uplinks.</summary>
    public void Work()
    {
        RunWriter();
        Pump();
    }

    /// <summary>Does what the log's thread does.</summary>
    public void RunWriter()
    {
        while (_directory.Writer.RunRound())
        {
        }
    }

    public void Pump()
    {
        foreach ((_, UplinkDriver driver) in _uplinks.ToList())
        {
            if (!IsDead)
            {
                driver.Pump();
            }
        }
    }

    public void LoseLink()
    {
        foreach ((_, UplinkDriver driver) in _uplinks)
        {
            driver.State?.OnLinkLost(_network.Now, "the link was cut");
        }
    }

    /// <summary>The records that are durable in a topic from an offset on.</summary>
    public static List<(long Offset, long Id)> Records(BufferPartition partition, long from)
    {
        using var scanner = new RecordScanner(new LogSource(partition.Log), 1 << 16);
        var visitor = new Reading();
        scanner.Scan(Math.Max(from, partition.Log.StartOffset), partition.Log.FlushedEnd, visitor);
        return visitor.Records;
    }

    /// <summary>The process is gone.</summary>
    public void End()
    {
        _network.Break();
        _uplinks.ForEach(uplink => uplink.Driver.Kill());
        Storage.CrashNow(PowerCut.LosesAll);
        Clock.Dispose();
        Buffer.DisposeAsync().AsTask().GetAwaiter().GetResult();
    }

    public void OnCommitted(ICommitStream stream)
    {
    }

    public void OnLost(ICommitStream stream, string reason)
    {
    }

    private static MemoryStorage Elsewhere(string directory)
    {
        var storage = new MemoryStorage();
        storage.CreateDirectory(directory);
        return storage;
    }

    private void Begin(EdgeBufferOptions options)
    {
        IStorage forClock = _bug == PlantedBug.ForgetsBoots ? new PlantedStorage(Storage, Tests.Log.Support.PlantedBug.FlushesNoState) : Storage;
        Clock.Open(forClock, "data", Buffer.Partitions.Any(partition => partition.Log.FlushedEnd > 0), _directory.Save);
        Buffer.Space.BeginToDrop();
        Buffer.OpenPartition(options.EventsTopic, 0); // now, so that storing events changes nothing but the log
        Buffer.Subscribe(Ship);
        Clock.Subscribe(hasLearned => _uplinks.ForEach(uplink => Learned(uplink.Driver, hasLearned)));
        Clock.SendTo(_events);
        Clock.Subscribe(_ => StoreEvents());
    }

    private void Ship(BufferPartition partition)
    {
        var driver = new UplinkDriver(_network, _cloud.Of(partition.Topic), _random) { IsAlive = () => !IsDead };
        driver.Told = notice =>
        {
            if (_bug != PlantedBug.HidesGaps && notice.ToEvent(partition, Clock.Stamp()) is { } what)
            {
                _events.Add(what);
            }
        };
        driver.StoreTold = StoreEvents;
        _uplinks.Add((partition, driver));
        IStorage storage = _bug == PlantedBug.LosesCheckpoint ? Elsewhere(partition.Directory) : Storage;
        driver.Start(new LogSource(partition.Log, partition.Hold), new CheckpointFile(storage, partition.Directory), _options, Clock);
    }

    private void Learned(UplinkDriver driver, bool hasLearned)
    {
        if (hasLearned)
        {
            driver.State?.OnClock();
        }
    }

    private void StoreEvents()
    {
        Task storing = _events.StoreAsync().AsTask();
        if (!storing.IsCompleted && !SpinWait.SpinUntil(
            () =>
            {
                RunWriter();
                return storing.IsCompleted;
            },
            TimeSpan.FromSeconds(30)))
        {
            throw new InvalidOperationException("events are not stored");
        }
    }

    private sealed class Reading : IRecordVisitor
    {
        public List<(long Offset, long Id)> Records { get; } = [];

        public bool Visit(long offset, long timestamp, in Record record)
        {
            Records.Add((offset, new CloudRecord("", Encoding.UTF8.GetString(record.Value), 0).Id));
            return true;
        }
    }
}
