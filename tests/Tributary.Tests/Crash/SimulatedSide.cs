using Tributary.Log;
using Tributary.Log.Storage;
using Tributary.Tests.Log.Support;

namespace Tributary.Tests.Crash;

/// <summary>
/// One process with a data directory on a faulty storage: an edge or a cloud. It is started, runs the rounds of its log a little after
/// something was appended, and dies with its storage. After each start its logs are compared with their models.
/// </summary>
internal abstract class SimulatedSide : ILogEvents
{
    protected const string Root = "data";
    /// <summary>What may go wrong once when something is read; a second look finds it right.</summary>
    public static readonly FaultPoint[] ReadFaults = [FaultPoint.Read, FaultPoint.ShortRead, FaultPoint.FlippedRead];

    private const int MaxAttempts = 20;

    /// <summary>One round in so many begins late: the disk is busy.</summary>
    private const int SlowRounds = 6;

    /// <summary>Bytes that a full disk still has.</summary>
    private const int MostRoom = 1 << 11;

    private const int SlowMilliseconds = 600;
    private const int QuickMilliseconds = 15;
    private readonly string _name;
    private readonly List<string> _story;
    private MemoryStorage _disk = new();
    private FaultyStorage _storage;
    private SmallStorage _room;
    private bool _isRoundDue;

    protected SimulatedSide(string name, SimulatedNetwork network, Random random, PlantedBug bug, int partitions, List<string> story)
    {
        _name = name;
        _story = story;
        Network = network;
        Random = random;
        Bug = bug;
        Models = [.. Enumerable.Range(0, partitions).Select(_ => new PartitionModel())];
        Logs = new PartitionLog[partitions];
        _storage = new FaultyStorage(_disk);
        _room = new SmallStorage(_storage);
        Time = new SimulatedTime(network);
        int segment = 1 << (10 + random.Next(3));
        int interval = 1 << (6 + random.Next(5));
        Options = new PartitionLogOptions
        {
            SegmentBytes = segment,
            IndexIntervalBytes = interval,
            RecoveryStepBytes = 8 * interval,
            RecoveryStepTime = TimeSpan.Zero,
            ProducerExpiration = null,
        };
    }

    public PartitionModel[] Models { get; }

    public PartitionLog[] Logs { get; }

    /// <summary>How often it died.</summary>
    public int Crashes { get; private set; }

    /// <summary>Whether it runs, as far as it knows.</summary>
    public bool IsUp { get; private set; }

    /// <summary>Whether the storage under it has lost its power.</summary>
    public bool IsDead => _storage.Left is not null;

    /// <summary>What was wrong, as soon as something was.</summary>
    public string? Fault { get; private set; }

    protected SimulatedNetwork Network { get; }

    protected Random Random { get; }

    protected PlantedBug Bug { get; }

    protected TimeProvider Time { get; }

    protected PartitionLogOptions Options { get; }

    /// <summary>The storage as the process sees it.</summary>
    protected IStorage Storage { get; private set; } = null!;

    protected LogDirectory Directory { get; private set; } = null!;

    /// <summary>Starts on what the disk holds, more than once if the power fails meanwhile.</summary>
    public void Start(bool isCalm)
    {
        for (int attempt = 0; attempt < MaxAttempts && Fault is null; attempt++)
        {
            _disk = _storage.Left ?? _disk;
            Plant();
            _storage = new FaultyStorage(_disk) { SurvivesFailedFlush = PowerCut.Random(Random).Survives };
            _room = new SmallStorage(_storage);
            Storage = Bug == PlantedBug.None ? _room : new PlantedStorage(_room, Bug);
            if (!isCalm)
            {
                MakeDifficult();
            }
            try
            {
                int draw = Random.Next(16);
                var options = new LogDirectoryOptions { TailCacheBytes = 1 << draw, ReserveBytes = 1 << 10, FlushTogetherFrom = draw % 3 };
                Directory = LogDirectory.Open(Storage, Root, options, Time, this, hasThread: false);
                for (int i = 0; i < Logs.Length; i++)
                {
                    Open(i);
                }
                Started();
                IsUp = true;
                return;
            }
            catch (IOException e)
            {
                Note($"did not start: {e.Message}");
                _storage.CrashNow(PowerCut.LosesNothing);
                Crashes++;
            }
        }
        Fault ??= $"{_name} never started";
    }

    /// <summary>Ends in order, or by being killed, or finds that it is dead.</summary>
    public void Stop(PowerCut? cut)
    {
        IsUp = false;
        Ended();
        if (cut is null && !IsDead)
        {
            Note("ends in order");
            Directory.DisposeAsync().AsTask().GetAwaiter().GetResult();
            return;
        }
        Note(IsDead ? "lost its power" : "is killed");
        _storage.CrashNow(cut ?? PowerCut.LosesAll);
        Crashes++;
    }

    public void CrashAfter(int changes)
    {
        Note($"will lose its power after {changes} changes");
        _storage.CrashAfter(changes, PowerCut.Random(Random));
    }

    public void Fail(FaultPoint point, int number)
    {
        Note($"{point} number {number} will fail");
        _storage.Fail(point, number);
    }

    /// <summary>Other programs fill the disk, but for a little room.</summary>
    public void Fill()
    {
        Note("disk is full");
        _room.Capacity = _room.Used + Random.Next(MostRoom);
    }

    public void MakeRoom() => _room.Capacity = long.MaxValue;

    /// <summary>Whether a log gave up, so that the process has to be started anew.</summary>
    public bool IsOffline => Logs.Any(log => log.OfflineReason is not null);

    /// <summary>Reads everything that is there.</summary>
    public void Check()
    {
        try
        {
            for (int i = 0; i < Logs.Length && !IsDead; i++)
            {
                string? fault = Models[i].CheckRecords(Logs[i]);
                Fault ??= IsDead || fault is null ? null : $"{_name} {i}: {fault}";
            }
        }
        catch (IOException) when (IsDead)
        {
            // What was damaged was kept elsewhere, and the power failed meanwhile.
        }
    }

    /// <summary>
    /// Flips a bit of a stored batch below the recovery point or of an index, or removes the last segment if it lies wholly below, on the
    /// disk of a process that does not run.
    /// </summary>
    public void DamageDisk()
    {
        int index = Random.Next(Logs.Length);
        string directory = $"{Root}/{PartitionName(index)}";
        if (Manifest.Load(Disk, directory, out Manifest manifest) != StateStatus.Ok)
        {
            return;
        }
        DiskDamage damage = new(Disk, directory, manifest, Models[index], Random);
        if (damage.Inflict() is { } what)
        {
            Note($"disk of {index} {what}");
        }
    }

    public void Report(LogEvent what)
    {
        Note($"  {what.Kind}: {what.Message}");
        PartitionModel model = Models.Where((_, i) => what.Partition == PartitionName(i)).First();
        if (what.Kind == LogEventKind.Hole && Bug != PlantedBug.HidesHoles)
        {
            model.Reported.Add((what.FromOffset, what.ToOffset));
        }
        if (!IsDead && what.Kind is (LogEventKind.Hole or LogEventKind.Rebuilt)
            && model.Damaged.Count == 0 && !(model.IsStateDamaged && what.Kind == LogEventKind.Rebuilt))
        {
            Fault ??= $"{_name}: {what.Kind}: {what.Message}";
        }
    }

    /// <summary>What anybody may have appointed.</summary>
    protected abstract int MaxLeaderEpoch { get; }

    protected abstract void Started();

    protected abstract void Ended();

    /// <summary>Called when a round of the log has ended and the process still lives.</summary>
    protected abstract void RoundEnded();

    protected static string PartitionName(int index) => $"p-{index}";

    protected void Note(string what) => _story.Add($"{Network.Now.TotalSeconds:F3} {_name} {what}");

    /// <summary>The disk while the process does not run.</summary>
    protected MemoryStorage Disk => _storage.Left ?? _disk;

    protected void ScheduleRound()
    {
        if (_isRoundDue)
        {
            return;
        }
        _isRoundDue = true;
        Network.After(Network.Delay(Random.Next(SlowRounds) == 0 ? SlowMilliseconds : QuickMilliseconds), () =>
        {
            _isRoundDue = false;
            if (!IsUp || IsDead)
            {
                return;
            }
            while (Directory.Writer.RunRound())
            {
            }
            Fault ??= Models.Select(model => model.Fault).FirstOrDefault(fault => fault is not null);
            if (!IsDead)
            {
                RoundEnded();
            }
        });
    }

    /// <summary>Appended: the model knows it, and a round is due.</summary>
    protected void Appended(int index, in AppendResult result, ReadOnlySpan<byte> bytes, int leaderEpoch)
    {
        PartitionModel model = Models[index];
        ScheduleRound();
        if (result.IsDuplicate)
        {
            return;
        }
        if (result.BaseOffset != model.End)
        {
            Fault ??= IsDead ? null : $"{_name}: an append at {result.BaseOffset} of {PartitionName(index)}, which ended at {model.End}";
            return;
        }
        byte[] stored = bytes.ToArray();
        Contracts.Records.RecordBatch.Stamp(stored, result.BaseOffset, leaderEpoch);
        Contracts.Records.RecordBatch.TryRead(stored, out Contracts.Records.RecordBatch batch);
        var producer = new Contracts.Records.BatchProducer(batch.ProducerId, batch.ProducerEpoch, batch.BaseSequence);
        model.LatestEpoch = Math.Max(model.LatestEpoch, leaderEpoch);
        model.Batches.Add(new ModelBatch(result.BaseOffset, result.LastOffset + 1, stored, producer, leaderEpoch));
    }

    private void Open(int index)
    {
        PartitionLog log = Directory.OpenPartition(PartitionName(index), Options with { MaxLeaderEpoch = MaxLeaderEpoch });
        Note($"opened {index} with {log.StartOffset} to {log.FlushedEnd}");
        Logs[index] = log;
        if (Models[index].Adopt(log) is { } fault)
        {
            Fault ??= IsDead ? null : $"{_name} {index}: {fault}";
        }
        log.Subscribe(Models[index]);
    }

    private void MakeDifficult()
    {
        if (Random.Next(8) == 0)
        {
            _storage.CrashAfter(Random.Next(15), PowerCut.Random(Random));
        }
        if (Random.Next(6) == 0)
        {
            Fail(ReadFaults[Random.Next(ReadFaults.Length)], 1 + Random.Next(20));
        }
        if (Random.Next(12) == 0)
        {
            Fill();
        }
        if (Random.Next(4) == 0)
        {
            _storage.OnSlow = () => Network.Pass(Network.Delay(20));
        }
    }

    /// <summary>Bugs of recovery are planted by making the disk what such a recovery would take it for.</summary>
    private void Plant()
    {
        for (int i = 0; i < Logs.Length; i++)
        {
            PlantedRecovery.Apply(Bug, _disk, $"{Root}/{PartitionName(i)}");
        }
    }

    /// <summary>Its clock; nothing in a log waits for a timer.</summary>
    private sealed class SimulatedTime(SimulatedNetwork network) : TimeProvider
    {
        private static readonly DateTimeOffset Begin = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

        public override DateTimeOffset GetUtcNow() => Begin + network.Now;
    }
}
