using Microsoft.Extensions.Time.Testing;
using Tributary.Contracts.Records;
using Tributary.Log;
using Tributary.Log.Compaction;
using Tributary.Log.Storage;

namespace Tributary.Tests.Log.Support;

/// <summary>
/// Lives of a log that is compacted while it is written, read, trimmed, cut, and killed at any change of the storage, all by one seed. What
/// others do to the log while a round is under way happens between its copying and its swap. Compared with a model all along.
/// </summary>
internal sealed class CompactionSimulation : ILogEvents, IAppendSource
{
    private const string Root = "data/log";
    private const int Steps = 50;
    private const int MaxAttempts = 20;
    private const int FirstTransactional = 3;
    private const int Producers = 6;
    private const int MostKeys = 14;
    private static readonly TimeSpan DeleteRetention = TimeSpan.FromHours(1);
    private readonly Random _random;
    private readonly PlantedBug _bug;
    private readonly FakeTimeProvider _time = new(new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero));
    private readonly CompactionModel _model = new();
    private readonly List<string> _story = [];
    private readonly PartitionLogOptions _options;
    private readonly LogCompactor _compactor;
    private readonly int _keys;
    private readonly int _producers;
    private MemoryStorage _disk = new();
    private FaultyStorage _storage;
    private LogDirectory? _directory;
    private PartitionLog _log = null!;
    private Action? _onWriter;
    private string? _fault;
    private long _committed;
    private bool _isCompacting;

    public CompactionSimulation(int seed, PlantedBug bug)
    {
        _random = new Random(seed * 6143);
        _bug = bug;
        _storage = new FaultyStorage(_disk);
        _keys = 1 + _random.Next(MostKeys);
        _producers = _random.Next(3) == 0 ? FirstTransactional : Producers;
        int segment = 1 << (10 + _random.Next(3));
        _options = new PartitionLogOptions
        {
            SegmentBytes = segment,
            IndexIntervalBytes = 1 << (6 + _random.Next(5)),
            RecoveryStepBytes = 1 << (9 + _random.Next(6)),
            RecoveryStepTime = TimeSpan.FromMinutes(_random.Next(2)),
            RetentionBytes = _random.Next(4) == 0 ? 1 << (13 + _random.Next(2)) : null,
            ProducerExpiration = null,
            Compaction = new CompactionPolicy { DirtyRatio = _random.NextDouble() / 2, DeleteRetention = DeleteRetention },
        };
        _compactor = new LogCompactor(
            new LogCompactorOptions { KeyMapBytes = _random.Next(3) == 0 ? 1 << 10 : 1 << 14 }, _time);
    }

    /// <summary>Rounds that were done over all lives.</summary>
    public int Rounds { get; private set; }

    /// <summary>What happened, for the report of a fault.</summary>
    public string Story => string.Join('\n', _story.TakeLast(60));

    private long NowMs => _time.GetUtcNow().ToUnixTimeMilliseconds();

    /// <returns>What was wrong, null if nothing.</returns>
    public string? Run()
    {
        try
        {
            string? fault = Start();
            for (int step = 0; fault is null && step < Steps; step++)
            {
                fault = Step() ?? _fault;
            }
            return fault ?? Restart(Dispose, "end") ?? _fault;
        }
        finally
        {
            _storage.CrashNow(PowerCut.LosesAll);
            Dispose();
        }
    }

    public void Report(LogEvent what)
    {
        _story.Add($"  {what.Kind}: {what.Message}");
        if (_storage.Left is null && what.Kind is (LogEventKind.Hole or LogEventKind.Rebuilt or LogEventKind.Quarantined))
        {
            _fault ??= $"{what.Kind}: {what.Message}";
        }
    }

    void IAppendSource.AppendPending() => _onWriter?.Invoke();

    private void Dispose() => _directory?.DisposeAsync().AsTask().GetAwaiter().GetResult();

    private string? Step()
    {
        if (_random.Next(5) == 0)
        {
            int changes = _random.Next(30);
            Note($"the power will go out after {changes} changes");
            _storage.CrashAfter(changes, PowerCut.Random(_random));
        }
        int draw = _random.Next(24);
        switch (draw)
        {
            case 0:
                return Restart(Dispose, "clean end");
            case 1:
                return Restart(() => _storage.CrashNow(PowerCut.LosesNothing), "kill");
            case 2 or 3 or 4 or 5 or 6 or 7:
                Compact();
                break;
            default:
                Disturb(draw);
                break;
        }
        RunWriter();
        _model.AskedStart = Math.Max(_model.AskedStart, _log.StartOffset);
        return _storage.Left is not null ? Restart(static () => { }, "power cut")
            : _log.OfflineReason is not null ? Restart(() => _storage.CrashNow(PowerCut.LosesNothing), "kill of what is offline")
            : null;
    }

    /// <summary>What may happen to a log at any time, in the middle of its compaction too.</summary>
    private void Disturb(int draw)
    {
        switch (draw)
        {
            case 8 when _random.Next(3) == 0:
                long start = _random.NextInt64(_log.StartOffset, _log.FlushedEnd + 1);
                Note($"delete before {start}");
                _model.AskedStart = Math.Max(_model.AskedStart, start);
                Try(() => _log.DeleteBefore(start));
                break;
            case 9:
                _time.Advance(TimeSpan.FromMinutes(_random.Next(50)));
                _log.ApplyRetention();
                break;
            case 10 when _random.Next(2) == 0:
                Truncate();
                break;
            case 11:
                Note("a leader epoch begins");
                Try(() => _log.BeginLeaderEpoch(_log.LeaderEpoch + 1));
                break;
            case 12 or 13:
                Read();
                break;
            default:
                Append();
                break;
        }
    }

    private void Read()
    {
        if (_storage.Left is not null)
        {
            return;
        }
        long from = _random.NextInt64(_log.StartOffset, _log.AppendedEnd + 1);
        _fault ??= _model.CheckReader(_log, from, 1 + _random.Next(3_000));
        if (_random.Next(2) == 0)
        {
            _fault ??= _model.Check(_log, DeleteRetention, NowMs);
        }
    }

    private void Compact()
    {
        bool disturb = _random.Next(3) == 0;
        if (!disturb && _random.Next(4) == 0)
        {
            FaultPoint point = _random.Next(2) == 0 ? FaultPoint.StateFlush : FaultPoint.Sync;
            int number = 1 + _random.Next(4);
            Note($"{point} number {number} fails");
            _storage.Fail(point, number);
        }
        long upTo = _bug == PlantedBug.CompactsUnstable ? _log.FlushedEnd : _log.LastStableOffset(_log.FlushedEnd);
        _model.TouchedEnd = Math.Max(_model.TouchedEnd, upTo);
        _committed = Math.Max(_committed, _log.FlushedEnd);
        _storage.OnWrite = path =>
        {
            if (disturb && _isCompacting && Path.GetFileName(path) is var name && LogFiles.IsCompacted(name) && !name.Contains("index", StringComparison.Ordinal))
            {
                disturb = _random.Next(2) == 0;
                Note("meanwhile");
                Disturb(8 + _random.Next(16));
                RunWriter();
            }
        };
        _isCompacting = true;
        try
        {
            CompactionResult result = _compactor.Compact(_log, upTo, CancellationToken.None);
            Note($"compact up to {upTo}: {result}");
            if (result.Outcome == CompactionOutcome.Done)
            {
                Rounds++;
                _model.Compacted(result.CleanOffset, NowMs);
            }
        }
        catch (IOException e)
        {
            Note($"compact up to {upTo}: {e.Message}");
        }
        finally
        {
            _isCompacting = false;
            _storage.OnWrite = null;
            _storage.Fail(FaultPoint.StateFlush, int.MaxValue);
            _storage.Fail(FaultPoint.Sync, int.MaxValue);
        }
    }

    private void Truncate()
    {
        // What was below the high watermark when the log was compacted is never cut: transactions ended there.
        long least = Math.Max(_log.StartOffset, _committed);
        if (least > _log.AppendedEnd)
        {
            return;
        }
        long offset = _random.NextInt64(least, _log.AppendedEnd + 1);
        Note($"truncate to {offset}");
        long end = _model.Batches.Find(batch => batch.NextOffset > offset)?.BaseOffset ?? _model.End;
        _model.BeginTruncation(end);
        Try(() =>
        {
            _log.Truncate(offset);
            _model.EndTruncation(end);
        });
    }

    /// <summary>Appends a burst in one go of the writer thread.</summary>
    private void Append()
    {
        int count = 1 + _random.Next(14);
        Note($"append {count}");
        OnWriter(() =>
        {
            for (int i = 0; i < count; i++)
            {
                AppendOne();
            }
        });
    }

    private void AppendOne()
    {
        long id = _random.Next(2) == 0 ? -1 : _random.Next(_producers);
        bool isTransactional = id >= FirstTransactional;
        ProducerSummary? known = id < 0 ? null : _log.FindProducer(id);
        if (isTransactional && known is { TransactionStart: >= 0 } open && _random.Next(2) == 0)
        {
            End(open);
            return;
        }
        BatchProducer producer = BatchProducer.None;
        if (id >= 0)
        {
            short epoch = known is { } of && _random.Next(10) > 0 ? of.Epoch : (short)((known?.Epoch ?? -1) + 1);
            int next = known is { } same && same.Epoch == epoch && same.LastSequence >= 0 ? Sequence.Add(same.LastSequence, 1) : 0;
            producer = new BatchProducer(id, epoch, next);
        }
        (string? Key, string? Value)[] records =
        [
            .. Enumerable.Range(0, 1 + _random.Next(4)).Select(_ => (
                (string?)$"k{_random.Next(_keys)}", _random.Next(6) == 0 ? null : new string('v', _random.Next(30)) + _random.Next(1_000))),
        ];
        CompressionCodec codec = _random.Next(3) == 0 ? CompressionCodec.Gzip : CompressionCodec.None;
        byte[] bytes = KeyedBatch.Of(records, producer, codec, isTransactional, NowMs - _random.Next(10_000));
        Take(_log.Append(bytes, Math.Max(0, _log.LeaderEpoch)), bytes, producer, isTransactional);
    }

    private void End(ProducerSummary open)
    {
        short epoch = (short)(open.Epoch + (_random.Next(4) == 0 ? 1 : 0));
        var marker = new TransactionMarker(open.ProducerId, epoch, _random.Next(2) == 0, open.CoordinatorEpoch + 1);
        AppendResult result = _log.AppendMarker(marker, Math.Max(0, _log.LeaderEpoch));
        var control = new ControlBatch(marker.IsCommit, marker.CoordinatorEpoch, open.TransactionStart);
        Take(result, [], new BatchProducer(open.ProducerId, epoch, -1), isTransactional: true, control);
    }

    private void Take(AppendResult result, byte[] bytes, BatchProducer producer, bool isTransactional, ControlBatch? marker = null)
    {
        if (result.Error != AppendError.None || result.IsDuplicate || result.BaseOffset != _model.End)
        {
            _fault ??= _storage.Left is not null ? null : $"append of {producer} gave {result} while the log ended at {_model.End}";
            return;
        }
        List<KeyedRecord> records = [];
        if (marker is null)
        {
            var copy = new RecordBatchCopy(result.BaseOffset, result.LastOffset + 1, 0, true, [.. bytes]);
            RecordBatch.Stamp(copy.Bytes, result.BaseOffset, 0);
            records = KeyedBatch.Records(copy);
        }
        _model.Batches.Add(new AppendedBatch(result.BaseOffset, result.LastOffset + 1, bytes, records, producer, isTransactional, marker));
    }

    /// <summary>What the storage refuses is no fault.</summary>
    private static void Try(Action action)
    {
        try
        {
            action();
        }
        catch (IOException)
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
            Dispose();
            _directory = null;
            _storage = new FaultyStorage(_disk);
            if (_random.Next(6) == 0)
            {
                _storage.CrashAfter(_random.Next(12), PowerCut.Random(_random));
            }
            try
            {
                _directory = LogDirectory.Open(
                    _bug == PlantedBug.None ? _storage : new PlantedStorage(_storage, _bug), Root,
                    new LogDirectoryOptions { TailCacheBytes = 1 << _random.Next(14), ReserveBytes = 1 << 10, FlushTogetherFrom = _random.Next(3) },
                    _time, this, hasThread: false);
                _log = _directory.OpenPartition("p-0", _options);
                Note($"opened with {_log.StartOffset} to {_log.FlushedEnd}, clean up to {_log.CleanOffset}");
                _log.Subscribe(_model);
                return _model.Adopt(_log, DeleteRetention, NowMs);
            }
            catch (IOException) when (_storage.Left is not null)
            {
                Note("power cut while starting");
            }
        }
        return "never started";
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
