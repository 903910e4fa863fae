using System.Globalization;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Records;
using Tributary.Edge.Uplink;
using Tributary.Log.Storage;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Edge.Uplink;

/// <summary>A bug that is planted to see whether the checks find it.</summary>
internal enum Planted
{
    Nothing,

    /// <summary>The last sequence in the cloud is taken for one more than it is: a record is believed to be there that is not.</summary>
    PositionOneTooHigh,

    /// <summary>After a restart the ordinals count from one less than they should.</summary>
    OrdinalOneTooLowAfterRestart,

    /// <summary>The checkpoint is renamed into place without a sync of the directory.</summary>
    CheckpointNotDurable,

    /// <summary>The log is trimmed as far as was sent.</summary>
    TrimsWhatWasSent,

    /// <summary>Batches carry no sequence.</summary>
    NoSequences,
}

/// <summary>
/// One edge partition, one cloud topic and the network between them, on one thread and in virtual time, all from one seed. It does what
/// <see cref="UplinkState"/> says, as the real driver does, and the world does what real ones do: requests and answers are late, come
/// after the link was cut, or never; answers come twice; leaders fail over; the edge is killed at any point.
/// </summary>
internal sealed class UplinkSimulation
{
    private const int Devices = 7;
    private readonly Random _random;
    private readonly PriorityQueue<Action, (TimeSpan At, long Number)> _events = new();
    private readonly Planted _planted;
    private readonly HashSet<long> _poisoned = [];
    private readonly Dictionary<long, string> _flushed = [];
    private readonly List<(long Id, string Key)> _unflushed = [];
    private MemoryStorage _storage = new();
    private UplinkState? _state;
    private RoundReader? _reader;
    private TimeSpan _now;
    private long _number;
    private int _life;
    private int _link;
    private bool _isLinkUp = true;
    private TimeSpan _lastArrival;
    private TimeSpan _nextWake = TimeSpan.MaxValue;
    private long _lastId;
    private UplinkCheckpoint? _remembered;

    public UplinkSimulation(int seed, Planted planted = Planted.Nothing, int partitions = 0)
    {
        _random = new Random(seed);
        _planted = planted;
        Options = DefaultOptions;
        _storage.CreateDirectory("p");
        _storage.SyncDirectory("");
        Cloud.SetPartitions(partitions > 0 ? partitions : 1 + _random.Next(4));
    }

    public static UplinkOptions DefaultOptions { get; } = new()
    {
        CloudHost = "cloud",
        CloudPort = 9092,
        Codec = CompressionCodec.None,
        MaxBatchBytes = 1024,
        MaxRoundBytes = 4096,
        ReadBytes = 4096,
        PipelineRecords = 20,
        QuietPeriod = TimeSpan.FromSeconds(3),
        ProgressTimeout = TimeSpan.FromSeconds(5),
        CheckpointInterval = TimeSpan.FromMilliseconds(300),
        MetadataRefresh = TimeSpan.FromSeconds(2),
        MaxBackoff = TimeSpan.FromSeconds(1),
        StablePeriod = TimeSpan.FromSeconds(1),
    };

    public UplinkOptions Options { get; set; }

    public SimulatedCloud Cloud { get; } = new();

    public SimulatedLog Log { get; } = new();

    public UplinkState State => _state ?? throw new InvalidOperationException("the edge is not running");

    public List<UplinkNotice> Notices { get; } = [];

    public IReadOnlyDictionary<long, string> Flushed => _flushed;

    public IReadOnlySet<long> Poisoned => _poisoned;

    public TimeSpan Now => _now;

    /// <summary>Whether answers to produce requests get lost while the link seems fine.</summary>
    public bool AnswersAreLost { get; set; }

    /// <summary>What the link carries.</summary>
    public int BytesPerSecond { get; set; } = int.MaxValue;

    /// <summary>Probability that a produce request is answered with a passing error.</summary>
    public double ErrorRate { get; set; }

    /// <summary>Loses the link for a while.</summary>
    public void CutLink(TimeSpan duration)
    {
        BreakConnections("the link was cut");
        _isLinkUp = false;
        int link = _link;
        After(duration, () => _isLinkUp |= link == _link);
        Pump();
    }

    /// <summary>All leaders change; what was not committed is lost.</summary>
    public void FailOver()
    {
        foreach (SimulatedCloud.SimulatedPartition partition in Cloud.Partitions)
        {
            partition.FailOver();
        }
        BreakConnections("the leader went away");
        Pump();
    }

    /// <summary>Starts the agent on what the disk holds.</summary>
    public void Start()
    {
        var file = new CheckpointFile(_storage, "p");
        CheckpointStatus status = file.Load(out UplinkCheckpoint checkpoint);
        if (status == CheckpointStatus.Damaged)
        {
            throw new InvalidOperationException("the checkpoint is damaged");
        }
        UplinkCheckpoint begun = UplinkState.Begin(checkpoint, Log.StartOffset, Log.FlushedEnd);
        if (begun.ProducerId >= 0)
        {
            file.Save(begun);
        }
        if (_planted == Planted.OrdinalOneTooLowAfterRestart)
        {
            begun = begun with
            {
                Targets = [.. begun.Targets.Select(target => target with { NextOrdinal = Math.Max(0, target.NextOrdinal - 1) })],
            };
        }
        _life++;
        _reader = new RoundReader(Log, Options);
        _state = new UplinkState(Options, begun, Log.StartOffset, Log.FlushedEnd, _random, _now);
        Pump();
    }

    /// <summary>Cuts the edge's power.</summary>
    public void Kill()
    {
        BreakConnections(null);
        _life++;
        _state = null;
        _reader?.Dispose();
        _reader = null;
        _storage = _storage.Crash();
        Log.Crash();
        _unflushed.Clear();
        _nextWake = TimeSpan.MaxValue;
    }

    /// <summary>Keeps the checkpoint, as an image of the disk does.</summary>
    public void RememberCheckpoint() => _remembered = LoadCheckpoint();

    /// <summary>Puts the checkpoint back that was kept.</summary>
    public void RestoreCheckpoint() => new CheckpointFile(_storage, "p").Save(_remembered!);

    /// <summary>
    /// Changes the checkpoint while the agent is not running. With <paramref name="last"/> the cloud is made to have just acknowledged
    /// that sequence under it.
    /// </summary>
    public void EditCheckpoint(Func<UplinkCheckpoint, UplinkCheckpoint> edit, int? last = null)
    {
        Run(TimeSpan.FromSeconds(5));
        Kill();
        UplinkCheckpoint edited = edit(LoadCheckpoint());
        new CheckpointFile(_storage, "p").Save(edited);
        foreach (SimulatedCloud.SimulatedPartition partition in Cloud.Partitions)
        {
            partition.SetProducer(edited.ProducerId, edited.ProducerEpoch, last);
        }
        Start();
    }

    /// <summary>Takes in a batch of records; they are flushed by <see cref="FlushLog"/>.</summary>
    public void Ingest(int count, bool isPoisoned = false)
    {
        var records = new List<(string Key, long Id, string Remark)>();
        for (int i = 0; i < count; i++)
        {
            long id = ++_lastId;
            string key = "device-" + _random.Next(Devices).ToString(CultureInfo.InvariantCulture);
            bool poison = isPoisoned && i == count / 2;
            if (poison)
            {
                _poisoned.Add(id);
            }
            records.Add((key, id, poison ? SimulatedCloud.Poison : new string('x', _random.Next(60))));
            _unflushed.Add((id, key));
        }
        Log.Append(records);
    }

    public void FlushLog()
    {
        Log.Flush();
        foreach ((long id, string key) in _unflushed)
        {
            _flushed.Add(id, key);
        }
        _unflushed.Clear();
        Pump();
    }

    /// <summary>Lets time pass and does what falls due.</summary>
    public void Run(TimeSpan duration) => RunUntil(() => false, duration);

    /// <summary>Lets time pass until <paramref name="condition"/> is true or <paramref name="limit"/> has passed.</summary>
    public bool RunUntil(Func<bool> condition, TimeSpan limit)
    {
        TimeSpan end = _now + limit;
        while (!condition())
        {
            if (!_events.TryPeek(out _, out (TimeSpan At, long Number) next) || next.At > end)
            {
                _now = end;
                return condition();
            }
            _now = next.At;
            _events.Dequeue()();
        }
        return true;
    }

    /// <summary>Whether everything that was flushed is acknowledged, as far as the edge knows.</summary>
    public bool IsSettled() => _state is { IsIdle: true } state && state.Acked == Log.FlushedEnd;

    /// <summary>Says what is wrong: each flushed record must be in the cloud once, and each key's records in order.</summary>
    public string? FindFault()
    {
        var seen = new Dictionary<long, long>();
        var byKey = new Dictionary<string, List<CloudRecord>>();
        for (int target = 0; target < Cloud.Partitions.Count; target++)
        {
            foreach (CloudRecord record in Cloud.Committed(target))
            {
                if (!seen.TryAdd(record.Id, record.Order))
                {
                    return $"record {record.Id} is there twice (again in partition {target})";
                }
                if (!_flushed.ContainsKey(record.Id))
                {
                    return $"record {record.Id} is there and was never flushed";
                }
                if (!byKey.TryGetValue(record.Key, out List<CloudRecord>? list))
                {
                    byKey.Add(record.Key, list = []);
                }
                list.Add(record);
            }
        }
        foreach (long id in _flushed.Keys)
        {
            if (!seen.ContainsKey(id) && !_poisoned.Contains(id) && !Log.LostIds.Contains(id))
            {
                return $"record {id} of {_flushed[id]} is missing";
            }
        }
        foreach ((string key, List<CloudRecord> list) in byKey)
        {
            long last = 0;
            foreach (CloudRecord record in list.OrderBy(record => record.Order))
            {
                if (record.Id < last)
                {
                    return $"record {record.Id} of {key} comes after {last}";
                }
                last = record.Id;
            }
        }
        return null;
    }

    private UplinkCheckpoint LoadCheckpoint()
    {
        if (new CheckpointFile(_storage, "p").Load(out UplinkCheckpoint checkpoint) != CheckpointStatus.Ok)
        {
            throw new InvalidOperationException("there is no checkpoint");
        }
        return checkpoint;
    }

    private void After(TimeSpan delay, Action action) => _events.Enqueue(action, (_now + delay, ++_number));

    private TimeSpan Delay(int maxMilliseconds) => TimeSpan.FromMilliseconds(_random.NextDouble() * maxMilliseconds);

    private void BreakConnections(string? reason)
    {
        _link++;
        _isLinkUp = true;
        _lastArrival = _now;
        if (reason is not null)
        {
            _state?.OnLinkLost(_now, reason);
        }
    }

    private void Pump()
    {
        if (_state is not { } state)
        {
            return;
        }
        state.OnLog(Log.StartOffset, Log.FlushedEnd);
        while (state.Next(_now) is { } action)
        {
            Perform(state, action);
            if (_state != state)
            {
                return;
            }
        }
        while (state.TakeNotice() is { } notice)
        {
            Notices.Add(notice);
        }
        if (state.WakeAt is { } wake && (wake < _nextWake || _nextWake <= _now))
        {
            _nextWake = wake;
            int life = _life;
            _events.Enqueue(() => PumpIn(life), (wake, ++_number));
        }
    }

    private void PumpIn(int life)
    {
        if (life == _life)
        {
            Pump();
        }
    }

    private void Perform(UplinkState state, UplinkAction action)
    {
        switch (action)
        {
            case UplinkAction.AskMetadata ask:
                Ask(ask.Ticket, () =>
                {
                    var metadata = new TopicMetadata(Cloud.ClusterId, Cloud.TopicId, Cloud.Partitions.Count);
                    return () => state.OnMetadata(_now, ask.Ticket, metadata);
                });
                break;
            case UplinkAction.AskProducerId ask:
                Ask(ask.Ticket, () =>
                {
                    long id = Cloud.NewProducerId();
                    return () => state.OnProducerId(_now, ask.Ticket, id, 0);
                });
                break;
            case UplinkAction.AskPositions ask:
                Ask(ask.Ticket, () =>
                {
                    CloudPosition[] positions = Cloud.Describe(ask.ProducerId, ask.Targets);
                    if (_planted == Planted.PositionOneTooHigh)
                    {
                        positions = [.. positions.Select(p => p.LastSequence < 0 ? p : p with { LastSequence = p.LastSequence + 1 })];
                    }
                    return () => state.OnPositions(_now, ask.Ticket, positions);
                });
                break;
            case UplinkAction.Locate locate:
                (long[] resume, long[] held, ScanEnd end) =
                    _reader!.Locate(locate.From, locate.UpTo, locate.Numbering, locate.Ordinals, locate.Covered);
                state.OnLocated(_now, resume, held, end);
                break;
            case UplinkAction.ReadRound read:
                Send(state, read.Request);
                break;
            case UplinkAction.Save save:
                Save(state, save);
                break;
            case UplinkAction.Trim trim:
                Trim(_planted == Planted.TrimsWhatWasSent ? Math.Min(Log.FlushedEnd, trim.Offset + 5) : trim.Offset);
                break;
            case UplinkAction.DropLink:
                BreakConnections("dropped");
                break;
        }
    }

    private void Ask(long ticket, Func<Action> answerAtCloud)
    {
        int life = _life;
        int link = _link;
        After(_isLinkUp ? TimeSpan.FromSeconds(2) : Delay(200), () =>
        {
            if (life == _life)
            {
                _state!.OnAskFailed(_now, ticket, "the cloud is away");
                Pump();
            }
        });
        if (!_isLinkUp)
        {
            return;
        }
        Arrive(link, () =>
        {
            Action answer = answerAtCloud();
            After(Delay(20), () =>
            {
                if (life != _life)
                {
                    return;
                }
                if (link == _link)
                {
                    answer();
                }
                else
                {
                    _state!.OnAskFailed(_now, ticket, "the link was cut");
                }
                Pump();
            });
        });
    }

    /// <summary>Requests of one connection arrive in order; when it was cut, the rest may still arrive for a while, or not.</summary>
    private void Arrive(int link, Action action, int size = 100)
    {
        TimeSpan at = _now + Delay(30);
        _lastArrival = (at > _lastArrival ? at : _lastArrival) + TimeSpan.FromSeconds((double)size / BytesPerSecond);
        bool straggles = _random.Next(2) == 0;
        TimeSpan late = Delay(2000);
        _events.Enqueue(
            () =>
            {
                if (link == _link)
                {
                    action();
                }
                else if (straggles)
                {
                    After(late, action);
                }
            },
            (_lastArrival, ++_number));
    }

    private void Send(UplinkState state, RoundRequest request)
    {
        Round round = _reader!.Read(request);
        state.OnRound(_now, round);
        int life = _life;
        int link = _link;
        foreach (RoundBatch batch in round.Batches)
        {
            byte[] bytes = batch.Bytes.ToArray();
            if (_planted == Planted.NoSequences)
            {
                bytes.AsSpan(BatchLayout.ProducerId, sizeof(long)).Fill(0xFF);
                RefreshCrc(bytes);
            }
            if (!_isLinkUp)
            {
                continue;
            }
            Arrive(link, () => AtCloud(batch.Target, bytes, (error, offset) => Answer(life, link, round, batch, error, offset)), bytes.Length);
        }
        round.ReleaseBytes();
    }

    private static void RefreshCrc(byte[] bytes) => System.Buffers.Binary.BinaryPrimitives.WriteUInt32BigEndian(
        bytes.AsSpan(BatchLayout.Crc), Crc32C.Compute(bytes.AsSpan(BatchLayout.Attributes)));

    private void AtCloud(int target, byte[] bytes, Action<ErrorCode, long> answer)
    {
        SimulatedCloud.SimulatedPartition partition = Cloud.Partitions[target];
        if (_random.NextDouble() < ErrorRate)
        {
            ErrorCode[] errors = [ErrorCode.NotLeaderOrFollower, ErrorCode.RequestTimedOut, ErrorCode.CorruptMessage, ErrorCode.NotEnoughReplicas];
            answer(errors[_random.Next(errors.Length)], -1);
            return;
        }
        (ErrorCode error, long baseOffset, long end) = partition.Append(bytes);
        if (error != ErrorCode.None)
        {
            answer(error, -1);
            return;
        }
        partition.Waiting.Add((end, () => answer(ErrorCode.None, baseOffset)));
        After(Delay(40), () => partition.Commit(end));
    }

    private void Answer(int life, int link, Round round, RoundBatch batch, ErrorCode error, long offset)
    {
        int times = AnswersAreLost ? 0 : _random.Next(10) == 0 ? 2 : 1;
        for (int i = 0; i < times; i++)
        {
            After(Delay(20), () =>
            {
                if (life == _life && link == _link)
                {
                    _state!.OnAnswer(_now, round, batch, error, offset);
                    Pump();
                }
            });
        }
    }

    private void Save(UplinkState state, UplinkAction.Save save)
    {
        var file = new CheckpointFile(_planted == Planted.CheckpointNotDurable ? new UnsyncedStorage(_storage) : _storage, "p");
        file.Save(save.Checkpoint);
        state.OnSaved(_now, save.Ticket, save.Checkpoint);
    }

    private void Trim(long offset)
    {
        foreach (long id in Log.IdsUpTo(offset).Where(id => !_poisoned.Contains(id) && !Log.LostIds.Contains(id)
            && !Cloud.CommittedIds.Contains(id) && !Cloud.HasLost))
        {
            throw new InvalidOperationException($"record {id} was trimmed and is not in the cloud");
        }
        Log.AdvanceStart(offset);
    }
}

/// <summary>A storage that forgets to sync directories.</summary>
internal sealed class UnsyncedStorage(IStorage inner) : IStorage
{
    public IStorageFile Open(string path, bool create) => inner.Open(path, create);

    public bool Exists(string path) => inner.Exists(path);

    public IReadOnlyList<string> List(string directory) => inner.List(directory);

    public void CreateDirectory(string path) => inner.CreateDirectory(path);

    public void Rename(string from, string to) => inner.Rename(from, to);

    public void Delete(string path) => inner.Delete(path);

    public void DeleteDirectory(string path) => inner.DeleteDirectory(path);

    public void SyncDirectory(string path)
    {
    }

    public long FreeBytes(string path) => inner.FreeBytes(path);

    public IDisposable? TryLock(string path) => inner.TryLock(path);
}
