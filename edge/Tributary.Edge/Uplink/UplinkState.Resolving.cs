namespace Tributary.Edge.Uplink;

// Looking up where the cloud stands, and beginning a new epoch where the old numbering can't go on.
internal sealed partial class UplinkState
{
    private PendingRebase? _pending;
    private RebasePlan? _plan;
    private Func<long[], long[], long, UplinkAction.Locate?>? _located;
    private UplinkAction.Locate? _locate;
    private CloudPosition[] _positions = [];

    private enum RebaseCause
    {
        LogWentBack,
        Hole,
        Refused,
        CloudLost,
        Forgotten,
        Fenced,
        Replaced,
    }

    /// <summary>The topic's metadata came.</summary>
    public void OnMetadata(TimeSpan now, long ticket, TopicMetadata metadata)
    {
        if (!TakeAnswer(ticket))
        {
            return;
        }
        _metadataDue = now + _options.MetadataRefresh;
        bool clusterReplaced = _identity.ClusterId.Length > 0 && metadata.ClusterId.Length > 0 && metadata.ClusterId != _identity.ClusterId;
        bool topicReplaced = _identity.TopicId != Guid.Empty && metadata.TopicId != Guid.Empty && metadata.TopicId != _identity.TopicId;
        if (Phase == UplinkPhase.Sending)
        {
            if (clusterReplaced || topicReplaced || metadata.Partitions < _numbering.Targets)
            {
                BeginDrain("the topic was replaced");
            }
            else
            {
                NoteCount(metadata.Partitions);
            }
            return;
        }
        if (!Accept(metadata, clusterReplaced, topicReplaced))
        {
            return;
        }
        if (clusterReplaced || topicReplaced)
        {
            Replace(metadata);
            return;
        }
        Adopt(metadata);
        _step = _identity.ProducerId < 0 ? Step.ProducerId : Step.Positions;
    }

    /// <summary>A producer id was given.</summary>
    public void OnProducerId(TimeSpan now, long ticket, long producerId, short producerEpoch)
    {
        if (!TakeAnswer(ticket))
        {
            return;
        }
        if (_plan is { } plan)
        {
            Apply(plan, producerId, producerEpoch);
            return;
        }
        _identity = _identity with { ProducerId = producerId, ProducerEpoch = producerEpoch, EpochStart = _acked, UnresolvedEnd = -1 };
        _mustSave = true;
        _sentEnd = _acked;
        _isVerified = true;
        _covered = [.. _ackedOrdinals];
        BeginSending(now);
    }

    /// <summary>The leaders said what they have, one entry for each target.</summary>
    public void OnPositions(TimeSpan now, long ticket, CloudPosition[] positions)
    {
        if (!TakeAnswer(ticket))
        {
            return;
        }
        _positions = positions;
        _covered = new long[positions.Length];
        bool lost = false;
        bool forgotten = false;
        for (int i = 0; i < positions.Length; i++)
        {
            CloudPosition position = positions[i];
            long next = _ackedOrdinals[i];
            if (position.Epoch > _identity.ProducerEpoch)
            {
                Fenced(now);
                return;
            }
            bool isForgotten = position.Epoch < 0 && next > 0 && position.LogEnd >= _cloudEnds[i];
            forgotten |= isForgotten;
            _covered[i] = isForgotten ? next : position.Epoch == _identity.ProducerEpoch ? CoveredOrdinal(next, position.LastSequence) : 0;
            lost |= _covered[i] < next;
        }
        if ((lost || forgotten || _pending is not null) && WaitsForQuiet(now))
        {
            return;
        }
        if (_pending is { Cause: RebaseCause.LogWentBack } wentBack)
        {
            Rebase(wentBack);
        }
        else if (lost)
        {
            LocateHeld(Math.Max(_startOffset, _identity.EpochStart), forgotten);
        }
        else if (forgotten)
        {
            NoteLowerEnds();
            LocateResume(RebaseCause.Forgotten, _acked, _ackedOrdinals, gap: 0, "");
        }
        else if (_pending is { } pending)
        {
            Rebase(pending);
        }
        else
        {
            NoteLowerEnds();
            _isVerified = false;
            BeginSending(now);
        }
    }

    /// <summary>A question failed.</summary>
    public void OnAskFailed(TimeSpan now, long ticket, string reason)
    {
        if (!TakeAnswer(ticket))
        {
            return;
        }
        if (Phase == UplinkPhase.Sending)
        {
            _metadataDue = now + _options.MaxBackoff;
            return;
        }
        Doubt(now, reason);
    }

    /// <summary>The answer to <see cref="UplinkAction.Locate"/>.</summary>
    public void OnLocated(TimeSpan now, long[] resume, long[] held, ScanEnd end)
    {
        if (Phase != UplinkPhase.Resolving || _step != Step.Locate || _located is null)
        {
            return;
        }
        _locate = _located(resume, held, end.HoleEnd > end.Next ? end.HoleEnd : -1);
    }

    /// <summary>The ordinal after the last one in the cloud. Sequences wrap at 2³¹; the one nearest to what was acknowledged is meant.</summary>
    internal static long CoveredOrdinal(long ackedNext, int lastSequence)
    {
        if (lastSequence < 0)
        {
            return 0;
        }
        const long wrap = 1L << 31;
        long ahead = (lastSequence + 1L - ackedNext) & (wrap - 1);
        long covered = ackedNext + (ahead < wrap / 2 ? ahead : ahead - wrap);
        return covered < 0 ? covered + wrap : covered;
    }

    private bool TakeAnswer(long ticket)
    {
        if (!_isAsking || ticket != _ticket)
        {
            return false;
        }
        _isAsking = false;
        return true;
    }

    private UplinkAction? NextStep()
    {
        if (_step == Step.Locate)
        {
            UplinkAction.Locate? locate = _locate;
            _locate = null;
            return locate;
        }
        if (_isAsking)
        {
            return null;
        }
        _isAsking = true;
        _ticket++;
        return _step switch
        {
            Step.Metadata => AskMetadata(),
            Step.ProducerId => new UplinkAction.AskProducerId(_ticket),
            _ => new UplinkAction.AskPositions(_ticket, _identity.ProducerId, _numbering.Targets),
        };
    }

    private UplinkAction.AskMetadata AskMetadata() =>
        new(_ticket, _identity.TopicId == Guid.Empty || _options.OnTopicRecreated == OnReplaced.Follow);

    private void BeginResolve()
    {
        DropRounds();
        Phase = UplinkPhase.Resolving;
        Reason = null;
        _step = Step.Metadata;
        _plan = null;
        _located = null;
        _locate = null;
        _isAsking = false;
        _ticket++;
    }

    private void BeginSending(TimeSpan now)
    {
        Phase = UplinkPhase.Sending;
        Reason = null;
        _lastProgress = now;
        _plan = null;
        _located = null;
        DropRounds();
    }

    private bool Accept(TopicMetadata metadata, bool clusterReplaced, bool topicReplaced)
    {
        if (clusterReplaced && _options.OnClusterReplaced == OnReplaced.Stop)
        {
            Stop($"cluster {metadata.ClusterId} answers where {_identity.ClusterId} was: set uplink:onClusterReplaced to follow, or restore it");
        }
        else if (!clusterReplaced && topicReplaced && _options.OnTopicRecreated == OnReplaced.Stop)
        {
            Stop("the topic was deleted and made again: set uplink:onTopicRecreated to follow to send to the new one what is not acknowledged yet");
        }
        else if (metadata.Partitions is <= 0 or > UplinkOptions.MaxTargets)
        {
            Stop($"the topic has {metadata.Partitions} partitions; 1 to {UplinkOptions.MaxTargets} are served");
        }
        else if (!clusterReplaced && !topicReplaced && metadata.Partitions < _numbering.Targets)
        {
            Stop($"the topic has {metadata.Partitions} partitions and had {_numbering.Targets}: it is not the topic that it was");
        }
        else
        {
            return true;
        }
        return false;
    }

    private void Adopt(TopicMetadata metadata)
    {
        if ((_identity.ClusterId.Length == 0 && metadata.ClusterId.Length > 0) || (_identity.TopicId == Guid.Empty && metadata.TopicId != Guid.Empty))
        {
            _identity = _identity with
            {
                ClusterId = metadata.ClusterId.Length > 0 ? metadata.ClusterId : _identity.ClusterId,
                TopicId = metadata.TopicId != Guid.Empty ? metadata.TopicId : _identity.TopicId,
            };
            _mustSave = true;
        }
        if (_numbering.Targets == 0)
        {
            SetCounts([new CountInForce(_acked, metadata.Partitions)]);
        }
        else
        {
            NoteCount(metadata.Partitions);
        }
    }

    private void NoteCount(int count)
    {
        if (count > _numbering.Targets)
        {
            _newCount = count;
        }
    }

    private void SetCounts(IReadOnlyList<CountInForce> counts)
    {
        int targets = counts[^1].Count;
        _identity = _identity with { Counts = counts };
        long[] resume = _numbering.Resume;
        Array.Resize(ref resume, targets);
        Array.Resize(ref _ackedOrdinals, targets);
        Array.Resize(ref _nextOrdinals, targets);
        Array.Resize(ref _covered, targets);
        Array.Resize(ref _cloudEnds, targets);
        _numbering = new Numbering(counts, resume, _identity.Refused);
        _mustSave = true;
        _newCount = 0;
    }

    private bool WaitsForQuiet(TimeSpan now)
    {
        if (now >= _doubtUntil)
        {
            return false;
        }
        Wait(_doubtUntil, "waits until no request of before can be carried out any more, to begin a new producer epoch");
        return true;
    }

    private void Fenced(TimeSpan now)
    {
        if (WaitsForQuiet(now))
        {
            return;
        }
        const string message = "the cloud has a later epoch of this producer: the data directory is an old copy, or in use twice";
        Notice(UplinkNoticeKind.MayRepeat, message, offset: _acked);
        Complete(new RebasePlan(RebaseCause.Fenced, _acked, [.. _numbering.Resume]) { NeedsId = true });
    }

    private void Replace(TopicMetadata metadata)
    {
        _pending = null;
        Complete(new RebasePlan(RebaseCause.Replaced, _acked, new long[metadata.Partitions]) { NeedsId = true, Replacement = metadata });
    }

    private void Rebase(PendingRebase pending)
    {
        switch (pending.Cause)
        {
            case RebaseCause.LogWentBack:
                string message = $"the cloud has records beyond the local log's end {pending.From} of the start: the disk went back in time";
                Notice(UplinkNoticeKind.Gap, message, offset: pending.From);
                Complete(new RebasePlan(RebaseCause.LogWentBack, pending.From, new long[_numbering.Targets]));
                break;
            case RebaseCause.Hole when _acked == pending.From:
                StepOverHole(pending);
                break;
            case RebaseCause.Refused:
                LocateResume(RebaseCause.Refused, _acked, _ackedOrdinals, gap: 0, "");
                break;
            default:
                // The hole is reached again by sending what precedes it.
                _pending = null;
                _isVerified = false;
                BeginSending(_lastProgress);
                break;
        }
    }

    /// <summary>
    /// Some of the hole's records may be in the cloud, and even some behind it if it opened after they were sent. With one target the
    /// count tells exactly; with several only what must be there is skipped, so that nothing is lost, and the gap is reported at its most.
    /// </summary>
    private void StepOverHole(PendingRebase hole)
    {
        long size = hole.To - hole.From;
        long there = 0;
        long[] behind = new long[_numbering.Targets];
        for (int i = 0; i < behind.Length; i++)
        {
            long extra = Math.Max(0, _covered[i] - _ackedOrdinals[i]);
            there += Math.Min(extra, size);
            behind[i] = Math.Max(0, extra - size);
        }
        bool isExact = behind.Length == 1 || _sentEnd <= hole.To;
        long gap = isExact ? Math.Max(0, size - there) : size;
        if (there > 0 && !isExact)
        {
            Notice(UplinkNoticeKind.MayRepeat, "records behind a hole in the local log may come twice", offset: hole.To);
        }
        _covered = behind;
        string message = $"records {hole.From} to {hole.To - 1} can't be read from the local log";
        LocateResume(RebaseCause.Hole, hole.To, new long[behind.Length], gap, message);
    }

    /// <summary>The cloud has less than it acknowledged: counts what is still held from <paramref name="from"/> to the acknowledged offset.</summary>
    private void LocateHeld(long from, bool forgotten)
    {
        _located = (_, held, holeEnd) =>
        {
            if (holeEnd >= 0)
            {
                LocateHeld(holeEnd, forgotten);
                return _locate;
            }
            const string message = "the cloud has less than it acknowledged; what is still held is sent again";
            long[] ordinals = [.. _ackedOrdinals.Select((next, i) => next - held[i])];
            long gap = ordinals.Select((first, i) => Math.Max(0, first - _covered[i])).Sum() + Math.Max(0, from - _acked);
            if (gap > 0 || forgotten)
            {
                LocateResume(RebaseCause.CloudLost, from, ordinals, gap, message);
                return _locate;
            }
            Notice(UplinkNoticeKind.Gap, message, 0, from);
            LowerCloudEnds();
            _acked = from;
            _ackedOrdinals = ordinals;
            _mustSave = true;
            _isVerified = false;
            BeginSending(_lastProgress);
            return null;
        };
        _step = Step.Locate;
        _locate = new UplinkAction.Locate(from, Math.Max(from, _acked), _numbering, new long[_numbering.Targets], new long[_numbering.Targets]);
    }

    private void LocateResume(RebaseCause cause, long from, long[] ordinals, long gap, string message)
    {
        _located = (resume, _, holeEnd) =>
        {
            if (holeEnd >= 0)
            {
                Notice(UplinkNoticeKind.MayRepeat, "records behind a hole in the local log may come twice", offset: holeEnd);
            }
            long[] merged = [.. resume.Select((at, i) => Math.Max(at, _numbering.Resume[i]))];
            Complete(new RebasePlan(cause, from, merged) { Gap = gap, Message = message });
            return null;
        };
        _step = Step.Locate;
        _locate = new UplinkAction.Locate(from, Math.Max(from, _sentEnd), _numbering, ordinals, _covered);
    }

    /// <summary>
    /// A partition that ends below what it acknowledged although the positions fit has lost records of an earlier epoch. How many of them
    /// were ours nobody can tell.
    /// </summary>
    private void NoteLowerEnds()
    {
        for (int i = 0; i < _cloudEnds.Length; i++)
        {
            if (_positions[i].LogEnd < _cloudEnds[i])
            {
                string message = $"the cloud has less than it acknowledged: partition {i} ends at {_positions[i].LogEnd} and ended at {_cloudEnds[i]}";
                Notice(UplinkNoticeKind.Gap, message, 0, _acked);
            }
        }
        LowerCloudEnds();
    }

    private void LowerCloudEnds()
    {
        for (int i = 0; i < _cloudEnds.Length; i++)
        {
            _cloudEnds[i] = Math.Min(_cloudEnds[i], _positions[i].LogEnd);
        }
    }

    private void Complete(RebasePlan plan)
    {
        if (!plan.NeedsId && _identity.ProducerEpoch < short.MaxValue)
        {
            Apply(plan, _identity.ProducerId, (short)(_identity.ProducerEpoch + 1));
            return;
        }
        _plan = plan;
        _step = Step.ProducerId;
    }

    /// <summary>Begins the new epoch. It is made durable before anything is sent under it.</summary>
    private void Apply(RebasePlan plan, long producerId, short producerEpoch)
    {
        if (!TryRefuse(plan, out long[] refused))
        {
            return;
        }
        _identity = _identity with
        {
            ProducerId = producerId,
            ProducerEpoch = producerEpoch,
            EpochStart = plan.Start,
            UnresolvedEnd = -1,
            Refused = refused,
            GapTotal = _identity.GapTotal + plan.Gap,
            Counts = CountsOf(plan),
            ClusterId = plan.Replacement?.ClusterId ?? _identity.ClusterId,
            TopicId = plan.Replacement?.TopicId ?? _identity.TopicId,
        };
        int targets = plan.Resume.Length;
        _cloudEnds = plan.Replacement is null ? _cloudEnds : new long[targets];
        if (plan.Cause == RebaseCause.CloudLost)
        {
            LowerCloudEnds();
        }
        _numbering = new Numbering(_identity.Counts, plan.Resume, refused);
        _acked = plan.Start;
        _ackedOrdinals = new long[targets];
        _covered = new long[targets];
        _sentEnd = Math.Max(plan.Start, plan.Resume.Max());
        _newCount = plan.Replacement is null ? _newCount : 0;
        _isVerified = true;
        _mustSave = true;
        Report(plan);
        if (_pending is { } done && (done.Cause == plan.Cause || plan.Cause == RebaseCause.LogWentBack))
        {
            _pending = null;
        }
        if (_pending is null)
        {
            BeginSending(_lastProgress);
        }
        else
        {
            BeginResolve();
        }
    }

    private bool TryRefuse(RebasePlan plan, out long[] refused)
    {
        var offsets = new SortedSet<long>(plan.Replacement is null ? _identity.Refused.Where(offset => offset >= plan.Start) : []);
        if (plan.Cause == RebaseCause.Refused && _pending is { Cause: RebaseCause.Refused } pending && offsets.Add(pending.From))
        {
            _identity = _identity with { RefusedTotal = _identity.RefusedTotal + 1 };
            Notice(UplinkNoticeKind.Refused, pending.Message, 1, pending.From);
        }
        refused = [.. offsets];
        if (refused.Length <= UplinkOptions.MaxRefusedHeld)
        {
            return true;
        }
        Stop($"the cloud refused {refused.Length} records that are not acknowledged yet");
        return false;
    }

    private void Report(RebasePlan plan)
    {
        if (plan.Message.Length > 0)
        {
            Notice(UplinkNoticeKind.Gap, plan.Message, plan.Gap, plan.Start);
        }
        string message = $"producer {_identity.ProducerId} epoch {_identity.ProducerEpoch} begins ({plan.Cause})";
        Notice(UplinkNoticeKind.NewEpoch, message, offset: plan.Start);
    }

    /// <summary>The counts that matter at or beyond the plan's start. A log that went back in time keeps the latest.</summary>
    private IReadOnlyList<CountInForce> CountsOf(RebasePlan plan)
    {
        if (plan.Replacement is { } replacement)
        {
            return [new CountInForce(plan.Start, replacement.Partitions)];
        }
        IReadOnlyList<CountInForce> counts = _identity.Counts;
        if (plan.Cause == RebaseCause.LogWentBack)
        {
            return [new CountInForce(plan.Start, counts[^1].Count)];
        }
        int first = 0;
        while (first + 1 < counts.Count && counts[first + 1].FromOffset <= plan.Start)
        {
            first++;
        }
        return [.. counts.Skip(first)];
    }

    /// <summary>A new epoch that must begin, once no request of before can still be carried out.</summary>
    private sealed record PendingRebase(RebaseCause Cause, long From, long To, string Message = "");

    /// <summary>How the new epoch begins: at <c>Start</c>, where by target what lies below <c>Resume</c> is in the cloud.</summary>
    private sealed record RebasePlan(RebaseCause Cause, long Start, long[] Resume)
    {
        public bool NeedsId { get; init; }

        public long Gap { get; init; }

        public string Message { get; init; } = "";

        public TopicMetadata? Replacement { get; init; }
    }
}
