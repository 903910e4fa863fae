using System.Globalization;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Records;
using Tributary.Edge.Clock;
using Tributary.Edge.Uplink;
using Tributary.Log.Storage;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Edge.Uplink;

/// <summary>What a disk holds of an edge partition.</summary>
/// <param name="Checkpoint">Its checkpoint, null if there is none yet.</param>
/// <param name="Log">Its log, as far as it was flushed.</param>
internal sealed record DiskImage(UplinkCheckpoint? Checkpoint, SimulatedLog Log)
{
    public static DiskImage Empty => new(null, new SimulatedLog());
}

/// <summary>One edge partition of a <see cref="UplinkSimulation"/>: its disk, its agent while that runs, and its link.</summary>
internal sealed class SimulatedEdge
{
    private const int Devices = 7;
    private readonly UplinkSimulation _world;
    private readonly List<(long Id, string Key)> _unflushed = [];
    private MemoryStorage _storage = new();
    private UplinkState? _state;
    private RoundReader? _reader;
    private Guid _incarnation;
    private int _life;
    private int _link;
    private bool _isLinkUp = true;
    private TimeSpan _lastArrival;
    private TimeSpan _nextWake = TimeSpan.MaxValue;

    public SimulatedEdge(UplinkSimulation world, DiskImage image)
    {
        _world = world;
        Log = image.Log;
        _storage.CreateDirectory("p");
        _storage.SyncDirectory("");
        if (image.Checkpoint is { } checkpoint)
        {
            SaveCheckpoint(checkpoint);
        }
    }

    public SimulatedLog Log { get; private set; }

    public UplinkState State => _state ?? throw new InvalidOperationException("the edge is not running");

    public bool IsRunning => _state is not null;

    public List<UplinkNotice> Notices { get; } = [];

    /// <summary>A copy of the disk as it is now.</summary>
    public DiskImage Image() => new(HasCheckpoint() ? LoadCheckpoint() : null, Log.CopyFlushed());

    /// <summary>Puts a copy back while the agent is not running: what the disk has got since is lost, unless the cloud has it.</summary>
    public void Restore(DiskImage image)
    {
        _world.GiveUp(Log.Ids.Except(image.Log.Ids));
        Log = image.Log.CopyFlushed();
        if (image.Checkpoint is { } checkpoint)
        {
            SaveCheckpoint(checkpoint);
        }
        else if (HasCheckpoint())
        {
            _storage.Delete("p/" + CheckpointFile.FileName);
            _storage.SyncDirectory("p");
        }
    }

    /// <summary>Loses the link for a while.</summary>
    public void CutLink(TimeSpan duration)
    {
        BreakConnections("the link was cut");
        _isLinkUp = false;
        int link = _link;
        _world.After(duration, () => _isLinkUp |= link == _link);
        Pump();
    }

    /// <summary>The leader that it is connected to goes away.</summary>
    public void LoseLeader()
    {
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
        UplinkCheckpoint begun = UplinkState.Begin(checkpoint, Log.FlushedEnd);
        file.Save(begun);
        if (_world.Planted == Planted.OrdinalOneTooLowAfterRestart)
        {
            begun = begun with
            {
                Targets = [.. begun.Targets.Select(target => target with { NextOrdinal = Math.Max(0, target.NextOrdinal - 1) })],
            };
        }
        _life++;
        _incarnation = NewIncarnation();
        _reader = new RoundReader(Log, _world.Options, EdgeClock.Of(TimeProvider.System));
        int life = _life;
        LinkTurns turns = new LinkShare(CapSchedule.Always(null), TimeProvider.System).Join(
            "telemetry", LinkShare.DefaultPriority, () => _world.At(_world.Now, () => PumpIn(life)));
        _state = new UplinkState(_world.Options, begun, Log.StartOffset, Log.FlushedEnd, _world.Random, turns, _world.Now);
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

    /// <summary>Takes in a batch of records; they are flushed by <see cref="FlushLog"/>.</summary>
    /// <summary>Takes in one large record.</summary>
    public void IngestLarge(int bytes)
    {
        long id = _world.NextId();
        Log.Append([("device-0", id, new string('x', bytes))]);
        _unflushed.Add((id, "device-0"));
    }

    public void Ingest(int count, bool isPoisoned = false)
    {
        var records = new List<(string Key, long Id, string Remark)>();
        for (int i = 0; i < count; i++)
        {
            long id = _world.NextId();
            string key = "device-" + _world.Random.Next(Devices).ToString(CultureInfo.InvariantCulture);
            bool poison = isPoisoned && i == count / 2;
            if (poison)
            {
                _world.Poisoned.Add(id);
            }
            records.Add((key, id, poison ? SimulatedCloud.Poison : new string('x', _world.Random.Next(60))));
            _unflushed.Add((id, key));
        }
        Log.Append(records);
    }

    public void FlushLog()
    {
        Log.Flush();
        foreach ((long id, string key) in _unflushed)
        {
            _world.NoteFlushed(id, key);
        }
        _unflushed.Clear();
        Pump();
    }

    /// <summary>Whether everything that was flushed is acknowledged, as far as it knows; so too while it does not run.</summary>
    public bool IsSettled() => _state is null || (_state.IsIdle && _state.Acked == Log.FlushedEnd);

    public void SaveCheckpoint(UplinkCheckpoint checkpoint) => new CheckpointFile(_storage, "p").Save(checkpoint);

    private bool HasCheckpoint() => _storage.Exists("p/" + CheckpointFile.FileName);

    private Guid NewIncarnation()
    {
        byte[] bytes = new byte[16];
        _world.Random.NextBytes(bytes);
        return new Guid(bytes);
    }

    public UplinkCheckpoint LoadCheckpoint()
    {
        if (new CheckpointFile(_storage, "p").Load(out UplinkCheckpoint checkpoint) != CheckpointStatus.Ok)
        {
            throw new InvalidOperationException("there is no checkpoint");
        }
        return checkpoint;
    }

    private void BreakConnections(string? reason)
    {
        _link++;
        _isLinkUp = true;
        _lastArrival = _world.Now;
        if (reason is not null)
        {
            _state?.OnLinkLost(_world.Now, reason);
        }
    }

    private void Pump()
    {
        if (_state is not { } state)
        {
            return;
        }
        state.OnLog(Log.StartOffset, Log.FlushedEnd);
        while (state.Next(_world.Now) is { } action)
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
        if (state.WakeAt is { } wake && (wake < _nextWake || _nextWake <= _world.Now))
        {
            _nextWake = wake;
            int life = _life;
            _world.At(wake, () => PumpIn(life));
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
        Guid incarnation = _incarnation;
        switch (action)
        {
            case UplinkAction.AskMetadata ask:
                Ask(ask.Ticket, () =>
                {
                    var metadata = new TopicMetadata(_world.Cloud.ClusterId, _world.Cloud.TopicId, Math.Min(_world.Cloud.ToldPartitions, _world.Cloud.Partitions.Count));
                    return () => state.OnMetadata(_world.Now, ask.Ticket, metadata);
                });
                break;
            case UplinkAction.AskProducerId ask:
                Ask(ask.Ticket, () =>
                {
                    long id = _world.Cloud.NewProducerId();
                    return () => state.OnProducerId(ask.Ticket, id, 0);
                });
                break;
            case UplinkAction.AskPositions ask:
                Ask(ask.Ticket, () =>
                {
                    CloudPosition[] positions = _world.Cloud.Describe(ask.ProducerId, incarnation, ask.Start, ask.Targets);
                    if (!_world.Cloud.IsCommitted(ask.ProducerId, ask.Targets))
                    {
                        return null;
                    }
                    if (_world.Planted == Planted.PositionOneTooHigh)
                    {
                        positions = [.. positions.Select(p => p.LastSequence < 0 ? p : p with { LastSequence = p.LastSequence + 1 })];
                    }
                    return () => state.OnPositions(_world.Now, ask.Ticket, positions);
                });
                break;
            case UplinkAction.Locate locate:
                (long[] resume, long[] held, ScanEnd end) = _reader!.Locate(
                    locate.From, locate.UpTo, locate.Numbering, locate.Ordinals, locate.Covered, locate.StopsWhenCovered);
                state.OnLocated(_world.Now, resume, held, end);
                break;
            case UplinkAction.ReadRound read:
                Send(state, read.Request);
                break;
            case UplinkAction.Save save:
                Save(state, save);
                break;
            case UplinkAction.Trim trim:
                Trim(_world.Planted == Planted.TrimsWhatWasSent ? Math.Min(Log.FlushedEnd, trim.Offset + 5) : trim.Offset);
                break;
            case UplinkAction.DropLink:
                BreakConnections("dropped");
                break;
        }
    }

    /// <param name="ticket">The question's ticket.</param>
    /// <param name="answerAtCloud">What the cloud answers when the question is there; null while it waits before it answers.</param>
    private void Ask(long ticket, Func<Action?> answerAtCloud)
    {
        int life = _life;
        int link = _link;
        _world.After(_isLinkUp ? TimeSpan.FromSeconds(2) : _world.Delay(200), () =>
        {
            if (life == _life)
            {
                _state!.OnAskFailed(_world.Now, ticket, "the cloud is away");
                Pump();
            }
        });
        if (!_isLinkUp)
        {
            return;
        }
        Arrive(link, () => AskCloud(life, link, ticket, answerAtCloud));
    }

    private void AskCloud(int life, int link, long ticket, Func<Action?> answerAtCloud)
    {
        if (answerAtCloud() is not { } answer)
        {
            _world.After(_world.Delay(10), () =>
            {
                if (link == _link)
                {
                    AskCloud(life, link, ticket, answerAtCloud);
                }
            });
            return;
        }
        _world.After(_world.Delay(20), () =>
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
                _state!.OnAskFailed(_world.Now, ticket, "the link was cut");
            }
            Pump();
        });
    }

    /// <summary>Requests of one connection arrive in order; when it was cut, the rest may still arrive for a while, or not.</summary>
    private void Arrive(int link, Action action, int size = 100)
    {
        TimeSpan at = _world.Now + _world.Delay(30);
        _lastArrival = (at > _lastArrival ? at : _lastArrival) + TimeSpan.FromSeconds((double)size / _world.BytesPerSecond);
        int leaders = _world.Cloud.Leaders;
        bool straggles = _world.Random.Next(2) == 0;
        TimeSpan late = _world.Delay(2000);
        _world.At(
            _lastArrival,
            () =>
            {
                if (link == _link)
                {
                    action();
                }
                else if (straggles)
                {
                    _world.After(late, () => Straggle(leaders, action));
                }
            });
    }

    /// <summary>What was sent to a leader is refused by the next one; it isn't told where there are no claims, to be harder on the edge.</summary>
    private void Straggle(int leaders, Action action)
    {
        if (leaders == _world.Cloud.Leaders || !_world.Cloud.KnowsClaims)
        {
            action();
        }
    }

    private void Send(UplinkState state, RoundRequest request)
    {
        Round round = _reader!.Read(request);
        state.OnRound(_world.Now, round);
        int life = _life;
        int link = _link;
        Guid incarnation = _incarnation;
        foreach (RoundBatch batch in round.Batches)
        {
            byte[] bytes = batch.Bytes.ToArray();
            if (_world.Planted == Planted.NoSequences)
            {
                bytes.AsSpan(BatchLayout.ProducerId, sizeof(long)).Fill(0xFF);
                RefreshCrc(bytes);
            }
            if (!_isLinkUp)
            {
                continue;
            }
            Arrive(link, () => AtCloud(batch.Target, bytes, incarnation, (error, offset) => Answer(life, link, round, batch, error, offset)), bytes.Length);
        }
        round.ReleaseBytes();
    }

    private static void RefreshCrc(byte[] bytes) => System.Buffers.Binary.BinaryPrimitives.WriteUInt32BigEndian(
        bytes.AsSpan(BatchLayout.Crc), Crc32C.Compute(bytes.AsSpan(BatchLayout.Attributes)));

    private void AtCloud(int target, byte[] bytes, Guid incarnation, Action<ErrorCode, long> answer)
    {
        SimulatedCloud.SimulatedPartition partition = _world.Cloud.Partitions[target];
        if (_world.ProduceError != ErrorCode.None)
        {
            answer(_world.ProduceError, -1);
            return;
        }
        if (_world.Random.NextDouble() < _world.ErrorRate)
        {
            ErrorCode[] errors = [ErrorCode.NotLeaderOrFollower, ErrorCode.RequestTimedOut, ErrorCode.CorruptMessage, ErrorCode.NotEnoughReplicas];
            answer(errors[_world.Random.Next(errors.Length)], -1);
            return;
        }
        (ErrorCode error, long baseOffset, long end) = partition.Append(bytes, incarnation);
        if (error != ErrorCode.None)
        {
            answer(error, -1);
            return;
        }
        partition.Waiting.Add((end, () => answer(ErrorCode.None, baseOffset)));
        _world.After(_world.Delay(40), () => partition.Commit(end));
    }

    private void Answer(int life, int link, Round round, RoundBatch batch, ErrorCode error, long offset)
    {
        int times = _world.AnswersAreLost ? 0 : _world.Random.Next(10) == 0 ? 2 : 1;
        for (int i = 0; i < times; i++)
        {
            _world.After(_world.Delay(20), () =>
            {
                if (life == _life && link == _link)
                {
                    _state!.OnAnswer(_world.Now, round, batch, error, offset);
                    Pump();
                }
            });
        }
    }

    /// <summary>Checkpoints that were saved.</summary>
    public int Saves { get; private set; }

    private void Save(UplinkState state, UplinkAction.Save save)
    {
        var file = new CheckpointFile(_world.Planted == Planted.CheckpointNotDurable ? new UnsyncedStorage(_storage) : _storage, "p");
        file.Save(save.Checkpoint);
        Saves++;
        state.OnSaved(_world.Now, save.Ticket, save.Checkpoint);
    }

    private void Trim(long offset)
    {
        foreach (long id in Log.IdsUpTo(offset).Where(id => !_world.Poisoned.Contains(id) && !Log.LostIds.Contains(id)
            && !_world.Cloud.CommittedIds.Contains(id) && !_world.Cloud.HasLost))
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
