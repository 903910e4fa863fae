using Tributary.Contracts.Kafka;

namespace Tributary.Edge.Uplink;

/// <summary>
/// The uplink of one local partition as a pure state machine: it hears what happened, with the time, and <see cref="Next"/> says what to
/// do. It does no I/O, reads no clock and starts nothing. When a round may be sent and how large it is, <see cref="LinkShare"/> says. One
/// thread at a time.
/// <para>
/// Invariants. (1) A record's sequence is its ordinal among the counted records for its target since the epoch began; what decides
/// target and counting (<see cref="Numbering"/>, producer id, epoch) is durable in the checkpoint before a record is sent under it.
/// (2) <c>Acked</c> only moves over rounds whose batches were all acknowledged by acks=all, or were found in the cloud. (3) Nothing at or
/// beyond <c>_sentEnd</c> was ever sent in this epoch. (4) A new numbering (epoch) begins only when no request of the old one can still
/// be carried out: all were answered, or the quiet period has passed, or (of a former process) the leaders refuse them because this one has claimed
/// the producer id; and after the positions were looked up again.
/// (5) Rounds are contiguous: the first begins at <c>_acked</c>, the last ends at <c>_next</c>.
/// </para>
/// <para>
/// Found in the cloud: DescribeProducers tells the last sequence of each target. Tributary answers it from state at or below the high
/// watermark, so what it names is committed and counts as acknowledged, like an acks=all answer. A Kafka broker answers from its
/// leader's state, which a failover within its replication lag may still lose: for such clusters the README names the bound. A cluster
/// that does not serve it can't tell anything (<see cref="CloudPosition.IsUntold"/>): after each doubt what is not acknowledged is sent
/// again under a new producer id, so nothing is lost, the order holds, and records may come twice.
/// </para>
/// <para>
/// A crash leaves the checkpoint, which may lag behind: the scan from there finds by the positions what to send next, whatever batches
/// were made before.
/// </para>
/// </summary>
internal sealed partial class UplinkState
{
    private const int MaxCorruptTries = 3;
    private const int MaxNotices = 256;
    private readonly UplinkOptions _options;
    private readonly Random _random;
    private readonly Backoff _backoff;
    private readonly LinkTurns _turns;
    private readonly Queue<UplinkNotice> _notices = new();
    private readonly LinkedList<Round> _rounds = new();

    // What the checkpoint says, as of now.
    private UplinkCheckpoint _identity;
    private Numbering _numbering;
    private long _acked;
    private long[] _ackedOrdinals;
    private long[] _cloudEnds;
    private ProducerPosition[] _before;

    // Where sending stands.
    private long _next;
    private long[] _nextOrdinals;
    private long[] _covered;
    private long _sentEnd;
    private bool _isUncertain; // whether something was sent in this epoch of which nobody but the cluster knows what became of it
    private bool _isVerified;
    private int _newCount;
    private long _startOffset;
    private long _flushedEnd;

    // What is going on.
    private Step _step;
    private long _ticket;
    private bool _isAsking;
    private TimeSpan _now;
    private TimeSpan _waitUntil;
    private TimeSpan _doubtUntil;
    private TimeSpan _lastProgress;
    private TimeSpan _metadataDue;
    private bool _mustSave;
    private long _savingTicket;
    private TimeSpan _lastSave;
    private long _bytesSinceSave;
    private UplinkCheckpoint _saved;
    private long _trimmed;
    private int _splitRecords = int.MaxValue;
    private long _splitUntil;
    private int _corruptTries;
    private long _heldAt = -1;
    private TimeSpan? _heldSince;
    private bool _isInLine;
    private bool _asksForTurn;

    /// <summary>Takes over where <paramref name="checkpoint"/> stands; it is the result of <see cref="Begin"/> and is durable.</summary>
    /// <param name="options">Settings.</param>
    /// <param name="checkpoint">Where it stands.</param>
    /// <param name="startOffset">First offset of the local log.</param>
    /// <param name="flushedEnd">The offset after its last durable record.</param>
    /// <param name="random">Jitter.</param>
    /// <param name="turns">Its part in the link; whoever gives it disposes it.</param>
    /// <param name="now">Time, counted from <see cref="LinkShare.Origin"/>.</param>
    public UplinkState(
        UplinkOptions options, UplinkCheckpoint checkpoint, long startOffset, long flushedEnd, Random random, LinkTurns turns, TimeSpan now)
    {
        _options = options;
        _random = random;
        _backoff = new Backoff(options.FirstBackoff, options.MaxBackoff, options.StablePeriod, random);
        _turns = turns;
        _now = now;
        _identity = checkpoint;
        _saved = checkpoint;
        _numbering = NumberingOf(checkpoint);
        _acked = checkpoint.Acked;
        _ackedOrdinals = [.. checkpoint.Targets.Select(target => target.NextOrdinal)];
        _cloudEnds = [.. checkpoint.Targets.Select(target => target.CloudEnd)];
        _before = [.. checkpoint.Targets.Select(target => target.Before)];
        _next = _acked;
        _nextOrdinals = [.. _ackedOrdinals];
        _covered = [.. _ackedOrdinals];
        _startOffset = startOffset;
        _flushedEnd = flushedEnd;
        _trimmed = startOffset;
        _lastSave = now;
        _sentEnd = checkpoint.UnresolvedEnd >= 0 ? checkpoint.UnresolvedEnd : Math.Max(_acked, checkpoint.EpochStart);
        if (checkpoint.ProducerId >= 0)
        {
            _isInheritedEpoch = true;
            _isUncertain = true;
            _doubtUntil = now + options.QuietPeriod;
            if (_sentEnd < _acked)
            {
                _pending = new PendingRebase(RebaseCause.LogWentBack, _sentEnd, _sentEnd);
            }
        }
    }

    private enum Step
    {
        Metadata,
        ProducerId,
        Positions,
        Locate,
    }

    /// <summary>What it does.</summary>
    public UplinkPhase Phase { get; private set; }

    /// <summary>Whether there is nothing to send.</summary>
    public bool IsIdle => Phase == UplinkPhase.Sending && _rounds.Count == 0 && _next >= _flushedEnd;

    /// <summary>Flushed records that wait since the time of the first is not known; 0 while that was not looked at.</summary>
    public long Held => Phase == UplinkPhase.Sending && _heldAt == _next && !SendsUndated(_now) ? _flushedEnd - _next : 0;

    /// <summary>A sentence when it waits or is stopped.</summary>
    public string? Reason { get; private set; }

    /// <summary>Local offset below which the cloud has everything durably.</summary>
    public long Acked => _acked;

    /// <summary>The cluster that the records go to; empty before its first answer, or if it has no id.</summary>
    public string ClusterId => _identity.ClusterId;

    /// <summary>What the cluster lets us promise.</summary>
    public DeliveryPromise Promise { get; private set; }

    /// <summary>Producer id, −1 if there is none yet.</summary>
    public long ProducerId => _identity.ProducerId;

    /// <summary>Producer epoch.</summary>
    public short ProducerEpoch => _identity.ProducerEpoch;

    /// <summary>Records that the cloud refused for good.</summary>
    public long RefusedTotal => _identity.RefusedTotal;

    /// <summary>Records lost between the edge and the cloud, as far as is known.</summary>
    public long GapTotal => _identity.GapTotal;

    /// <summary>Times that another process was found to have written as this producer.</summary>
    public long ConflictTotal => _identity.ConflictTotal;

    /// <summary>Times that the position was looked up again after doubt.</summary>
    public long Retries { get; private set; }

    /// <summary>When <see cref="Next"/> must be called again though nothing happened; null if it need not.</summary>
    public TimeSpan? WakeAt { get; private set; }

    /// <summary>
    /// What to write down at a start, before anything is taken in: the end of the log, unless an earlier start is not resolved yet.
    /// </summary>
    public static UplinkCheckpoint Begin(UplinkCheckpoint checkpoint, long flushedEnd)
    {
        if (checkpoint.ProducerId < 0)
        {
            return checkpoint;
        }
        long end = checkpoint.UnresolvedEnd < 0 ? flushedEnd : Math.Min(checkpoint.UnresolvedEnd, flushedEnd);
        return checkpoint with { UnresolvedEnd = end, Starts = checkpoint.Starts + 1 };
    }

    /// <summary>The next thing to be done, null if there is nothing now. Call it until it says null after whatever happened.</summary>
    public UplinkAction? Next(TimeSpan now)
    {
        _asksForTurn = false;
        UplinkAction? next = NextAction(now);
        if (_isInLine && !_asksForTurn)
        {
            // Others wait behind it.
            LeaveLine();
        }
        return next;
    }

    private UplinkAction? NextAction(TimeSpan now)
    {
        _now = now;
        WakeAt = null;
        if (Phase == UplinkPhase.Waiting && now >= _waitUntil)
        {
            BeginResolve();
        }
        if (Phase == UplinkPhase.Draining && _rounds.All(round => round.Unanswered == 0))
        {
            EndDrain(now);
        }
        return Phase switch
        {
            UplinkPhase.Stopped => null,
            UplinkPhase.Waiting => Sleep(_waitUntil),
            UplinkPhase.Draining => Watch(now),
            UplinkPhase.Resolving => NextStep(),
            _ => NextSending(now),
        };
    }

    /// <summary>Positions of the local log.</summary>
    public void OnLog(long startOffset, long flushedEnd)
    {
        _startOffset = startOffset;
        _flushedEnd = Math.Max(_flushedEnd, flushedEnd);
    }

    /// <summary>The next thing that happened, null if there is nothing more.</summary>
    public UplinkNotice? TakeNotice() => _notices.TryDequeue(out UplinkNotice? notice) ? notice : null;

    /// <summary>What would be saved now: at a clean end.</summary>
    public UplinkCheckpoint Snapshot()
    {
        var targets = new TargetCheckpoint[_ackedOrdinals.Length];
        for (int i = 0; i < targets.Length; i++)
        {
            targets[i] = new TargetCheckpoint(_ackedOrdinals[i], _numbering.Resume[i], _cloudEnds[i], _before[i]);
        }
        return _identity with { Acked = _acked, Targets = targets };
    }

    private static Numbering NumberingOf(UplinkCheckpoint checkpoint) =>
        new(checkpoint.Counts, [.. checkpoint.Targets.Select(target => target.ResumeOffset)], checkpoint.Refused);

    private UplinkAction? Sleep(TimeSpan until)
    {
        WakeAt = WakeAt is { } earlier && earlier < until ? earlier : until;
        return null;
    }

    private void Notice(UplinkNoticeKind kind, string message, long records = 0, long offset = -1, long from = -1)
    {
        if (_notices.Count < MaxNotices)
        {
            _notices.Enqueue(new UplinkNotice(kind, message, records, offset, from));
        }
    }

    private void Stop(string reason)
    {
        DropRounds();
        Phase = UplinkPhase.Stopped;
        Reason = reason;
        Notice(UplinkNoticeKind.Stopped, reason, offset: _acked);
    }

    private void Wait(TimeSpan until, string reason)
    {
        DropRounds();
        _isAsking = false;
        _ticket++;
        Phase = UplinkPhase.Waiting;
        _waitUntil = until;
        Reason = reason;
    }

    /// <summary>Gives up what is in flight and looks the position up again after a wait.</summary>
    private void Doubt(TimeSpan now, string reason)
    {
        _now = now;
        if (Phase == UplinkPhase.Stopped)
        {
            return;
        }
        if (_rounds.Any(round => round.Unanswered > 0))
        {
            _doubtUntil = now + _options.QuietPeriod;
        }
        Retries++;
        Notice(UplinkNoticeKind.InDoubt, reason, offset: _acked);
        Wait(now + _backoff.Next(now), reason);
    }

    private void LeaveLine()
    {
        _turns.Withdraw();
        _isInLine = false;
    }

    private void DropRounds()
    {
        foreach (Round round in _rounds)
        {
            _isUncertain |= round.Batches.Any(batch => batch.IsAcked || batch.MayBeThere || !batch.IsAnswered);
            round.IsDropped = true;
            round.ReleaseBytes();
            if (round is { OnLink: { } sent, Unanswered: > 0 })
            {
                _turns.Lost(_now, sent);
            }
        }
        _rounds.Clear();
        OnClock(); // with the cloud gone, the wait begins anew: the network that it comes back with may bring the time
        _next = _acked;
        _nextOrdinals = [.. _ackedOrdinals];
    }
}
