using Microsoft.Extensions.Time.Testing;
using Tributary.Contracts.Records;
using Tributary.Log;
using Tributary.Log.Storage;

namespace Tributary.Tests.Log.Support;

/// <summary>
/// Lives of one data directory with a few partitions: appends, trims, retention, truncations, failed flushes, clean ends and crashes at
/// any change of the storage, all by one seed. After every start the log is compared with a model.
/// </summary>
/// <remarks>
/// The simulation runs the rounds of the log's writer, and appends within them, as an edge does. All is on one thread, so a seed gives the
/// same story each time.
/// </remarks>
internal sealed class LogSimulation : ILogEvents, IAppendSource
{
    private const string Root = "data/log";
    private const int Steps = 40;
    private const int MaxAttempts = 20;

    /// <summary>Producers from this id on write in transactions.</summary>
    private const int FirstTransactional = 4;
    private const int Producers = 7;
    private readonly Random _random;
    private readonly PlantedBug _bug;
    private readonly FakeTimeProvider _time = new(new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero));
    private readonly PartitionModel[] _models;
    private readonly PartitionLog[] _logs;
    private readonly List<string> _story = [];
    private readonly PartitionLogOptions _options;
    private MemoryStorage _disk = new();
    private FaultyStorage _storage;
    private LogDirectory? _directory;
    private Action? _onWriter;
    private string? _eventFault;

    public LogSimulation(int seed, PlantedBug bug)
    {
        _random = new Random(seed * 7919);
        _bug = bug;
        _models = [.. Enumerable.Range(0, 1 + _random.Next(3)).Select(_ => new PartitionModel())];
        _logs = new PartitionLog[_models.Length];
        _storage = new FaultyStorage(_disk);
        int segment = 1 << (11 + _random.Next(4));
        int interval = 1 << (6 + _random.Next(6));
        _options = new PartitionLogOptions
        {
            SegmentBytes = segment,
            IndexIntervalBytes = interval,
            RecoveryStepBytes = 2 * interval,
            RetentionTime = _random.Next(2) == 0 ? TimeSpan.FromHours(1) : null,
            RetentionBytes = _random.Next(2) == 0 ? 1 << (13 + _random.Next(3)) : null,
            ProducerExpiration = null,
        };
    }

    /// <summary>What happened, for the report of a fault.</summary>
    public string Story => string.Join('\n', _story.TakeLast(60));

    /// <summary>Runs all of it.</summary>
    /// <returns>What was wrong, null if nothing.</returns>
    public string? Run()
    {
        try
        {
            string? fault = Start();
            for (int step = 0; fault is null && step < Steps; step++)
            {
                fault = Step() ?? Fault();
            }
            return fault ?? Restart(() => _directory!.DisposeAsync().AsTask().GetAwaiter().GetResult(), "end");
        }
        finally
        {
            _storage.CrashNow(PowerCut.LosesAll);
            _directory?.DisposeAsync().AsTask().GetAwaiter().GetResult();
        }
    }

    public void Report(LogEvent what)
    {
        _story.Add($"  {what.Kind}: {what.Message}");
        if (_storage.Left is null && what.Kind is (LogEventKind.Hole or LogEventKind.Rebuilt))
        {
            _eventFault ??= $"{what.Kind}: {what.Message}";
        }
    }

    /// <summary>Called by the writer thread.</summary>
    void IAppendSource.AppendPending() => _onWriter?.Invoke();

    private string? Fault() => _eventFault ?? _models.Select(model => model.Fault).FirstOrDefault(fault => fault is not null);

    private string? Step()
    {
        if (_random.Next(6) == 0)
        {
            int changes = _random.Next(25);
            Note($"the power will go out after {changes} changes");
            _storage.CrashAfter(changes, PowerCut.Random(_random));
        }
        switch (_random.Next(24))
        {
            case 0:
                return Restart(() => _directory!.DisposeAsync().AsTask().GetAwaiter().GetResult(), "clean end");
            case 1:
                return Restart(() => _storage.CrashNow(PowerCut.LosesNothing), "kill");
            case 9:
                if (Check() is { } fault)
                {
                    return fault;
                }
                break;
            case var other:
                Do(other);
                break;
        }
        RunWriter();
        for (int i = 0; i < _models.Length; i++)
        {
            _models[i].AskedStart = Math.Max(_models[i].AskedStart, _logs[i].StartOffset);
        }
        return _storage.Left is not null ? Restart(static () => { }, "power cut")
            : _logs.Any(log => log.OfflineReason is not null) ? Restart(() => _storage.CrashNow(PowerCut.LosesNothing), "kill of what is offline")
            : null;
    }

    private void Do(int what)
    {
        switch (what)
        {
            case 2 or 3:
                Trim();
                break;
            case 4:
                _time.Advance(TimeSpan.FromMinutes(_random.Next(90)));
                Note("retention");
                Array.ForEach(_logs, log => log.ApplyRetention());
                break;
            case 5:
                BeginEpoch();
                break;
            case 6:
                Truncate();
                break;
            case 7:
                Fail(FaultPoint.SegmentFlush);
                break;
            case 8:
                Fail(FaultPoint.SegmentWrite);
                break;
            default:
                Append();
                break;
        }
    }

    private void Fail(FaultPoint point)
    {
        Note($"the next {point} fails");
        _storage.Fail(point);
        Append();
    }

    /// <summary>Appends a burst to some partitions in one go of the writer thread.</summary>
    private void Append()
    {
        var burst = new List<(int Partition, int Records, int Size, long Producer)>();
        for (int left = 1 + _random.Next(12); left > 0; left--)
        {
            burst.Add((_random.Next(_logs.Length), 1 + _random.Next(4), _random.Next(5) == 0 ? _random.Next(400) : _random.Next(60),
                _random.Next(3) == 0 ? _random.Next(Producers) : -1));
        }
        Note($"append {burst.Count}");
        OnWriter(() => burst.ForEach(Append));
    }

    private void Append((int Partition, int Records, int Size, long Producer) what)
    {
        PartitionModel model = _models[what.Partition];
        PartitionLog log = _logs[what.Partition];
        BatchProducer producer = BatchProducer.None;
        ProducerSummary? known = what.Producer < 0 ? null : log.FindProducer(what.Producer);
        if (what.Producer >= FirstTransactional && known is { TransactionStart: >= 0 } open && _random.Next(3) == 0)
        {
            End(model, log, open);
            return;
        }
        if (what.Producer >= 0)
        {
            short epoch = known is { } of && _random.Next(8) > 0 ? of.Epoch : (short)((known?.Epoch ?? -1) + 1);
            int next = known is { } same && same.Epoch == epoch && same.LastSequence >= 0 ? Sequence.Add(same.LastSequence, 1) : 0;
            producer = new BatchProducer(what.Producer, epoch, next);
        }
        byte[] batch = LogHarness.Batch(
            what.Records, what.Size, _random.Next(100_000), producer, isTransactional: what.Producer >= FirstTransactional);
        int leaderEpoch = Math.Max(log.LeaderEpoch, 0);
        model.LatestEpoch = Math.Max(model.LatestEpoch, leaderEpoch);
        AppendResult result = log.Append(batch, leaderEpoch);
        if (result.Error != AppendError.None || result.IsDuplicate || result.BaseOffset != model.End)
        {
            _eventFault ??= _storage.Left is not null ? null : $"append of {producer} gave {result} while the log ended at {model.End}";
            return;
        }
        RecordBatch.Stamp(batch, result.BaseOffset, leaderEpoch);
        model.Batches.Add(new ModelBatch(result.BaseOffset, result.LastOffset + 1, batch, producer, leaderEpoch));
    }

    /// <summary>Ends the open transaction of a producer, by a decision that comes twice sometimes.</summary>
    private void End(PartitionModel model, PartitionLog log, ProducerSummary open)
    {
        short epoch = (short)(open.Epoch + _random.Next(2));
        var marker = new TransactionMarker(open.ProducerId, epoch, _random.Next(2) == 0, open.CoordinatorEpoch + 1 + _random.Next(3));
        int leaderEpoch = Math.Max(log.LeaderEpoch, 0);
        model.LatestEpoch = Math.Max(model.LatestEpoch, leaderEpoch);
        AppendResult result = log.AppendMarker(marker, leaderEpoch);
        if (result.Error != AppendError.None || result.IsDuplicate || result.BaseOffset != model.End)
        {
            _eventFault ??= _storage.Left is not null ? null : $"{marker} gave {result} while the log ended at {model.End}";
            return;
        }
        using (LogRead read = log.Read(result.BaseOffset, 1, long.MaxValue))
        {
            byte[] batch = LogHarness.Batches(read)[0].Bytes;
            var producer = new BatchProducer(open.ProducerId, epoch, -1);
            model.Batches.Add(new ModelBatch(result.BaseOffset, result.LastOffset + 1, batch, producer, leaderEpoch));
        }
        if (_random.Next(2) == 0 && log.AppendMarker(marker, leaderEpoch) is not { IsDuplicate: true })
        {
            _eventFault ??= $"{marker} was appended twice";
        }
    }

    private void Trim()
    {
        int partition = _random.Next(_logs.Length);
        PartitionLog log = _logs[partition];
        long offset = _random.Next(3) == 0 ? log.FlushedEnd : _random.NextInt64(log.StartOffset, log.FlushedEnd + 1);
        Note($"trim {partition} to {offset}");
        _models[partition].AskedStart = Math.Max(_models[partition].AskedStart, offset);
        log.AdvanceStart(offset);
    }

    private void BeginEpoch()
    {
        int partition = _random.Next(_logs.Length);
        PartitionModel model = _models[partition];
        model.LatestEpoch = _logs[partition].LeaderEpoch + 1 + _random.Next(3);
        Note($"leader epoch {model.LatestEpoch} of {partition}");
        Try(() =>
        {
            _logs[partition].BeginLeaderEpoch(model.LatestEpoch);
            model.DurableEpoch = model.LatestEpoch;
        });
    }

    private void Truncate()
    {
        int partition = _random.Next(_logs.Length);
        PartitionLog log = _logs[partition];
        long offset = _random.NextInt64(Math.Max(log.StartOffset, log.AppendedEnd - 60), log.AppendedEnd + 1);
        long end = _models[partition].BeginTruncation(offset);
        Note($"truncate {partition} to {offset}");
        // Epochs that began behind the new end go too.
        _models[partition].DurableEpoch = -1;
        Try(() =>
        {
            log.Truncate(offset);
            _models[partition].EndTruncation(end);
            _models[partition].LatestEpoch = _models[partition].DurableEpoch = log.LeaderEpoch;
        });
    }

    private string? Check()
    {
        if (_storage.Left is not null)
        {
            return null;
        }
        for (int i = 0; i < _logs.Length; i++)
        {
            if ((_models[i].CheckRecords(_logs[i]) ?? _models[i].CheckProducers(_logs[i]) ?? _models[i].CheckTransactions(_logs[i])) is { } fault)
            {
                return $"partition {i}: {fault}";
            }
        }
        return null;
    }

    /// <summary>What the storage refuses after its crash is no fault.</summary>
    private void Try(Action action)
    {
        try
        {
            action();
        }
        catch (IOException) when (_storage.Left is not null)
        {
        }
    }

    private string? Restart(Action end, string how)
    {
        Note(how);
        end();
        return Start();
    }

    private string? Start()
    {
        for (int attempt = 0; attempt < MaxAttempts; attempt++)
        {
            if (_storage.Left is { } left)
            {
                _disk = left;
            }
            _directory?.DisposeAsync().AsTask().GetAwaiter().GetResult();
            _directory = null;
            _storage = new FaultyStorage(_disk) { SurvivesFailedFlush = PowerCut.Random(_random).Survives };
            if (_random.Next(8) == 0)
            {
                _storage.CrashAfter(_random.Next(12), PowerCut.Random(_random));
            }
            try
            {
                return Open();
            }
            catch (IOException) when (_storage.Left is not null)
            {
                Note("power cut while starting");
            }
        }
        return "never started";
    }

    private string? Open()
    {
        int draw = _random.Next(16);
        _directory = LogDirectory.Open(
            _bug == PlantedBug.None ? _storage : new PlantedStorage(_storage, _bug), Root,
            new LogDirectoryOptions { TailCacheBytes = 1 << draw, ReserveBytes = 1 << 10, FlushTogetherFrom = draw % 3 }, _time, this, hasThread: false);
        for (int i = 0; i < _logs.Length; i++)
        {
            PartitionLog log = _directory.OpenPartition($"p-{i}", _options);
            Note($"opened {i} with {log.StartOffset} to {log.FlushedEnd}");
            _logs[i] = log;
            if (_models[i].Adopt(log) is { } fault)
            {
                return $"partition {i}: {fault}";
            }
            log.Subscribe(_models[i]);
        }
        return null;
    }

    private void OnWriter(Action action)
    {
        _onWriter = action;
        _directory!.Schedule(this);
        RunWriter();
        _onWriter = null;
    }

    private void RunWriter()
    {
        while (_directory!.Writer.RunRound())
        {
        }
    }

    private void Note(string what) => _story.Add(what);
}
