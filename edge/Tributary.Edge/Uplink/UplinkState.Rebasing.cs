namespace Tributary.Edge.Uplink;

// Beginning a new epoch where the old numbering can't go on, or is not this process's own.
internal sealed partial class UplinkState
{
    /// <summary>
    /// Processes on copies of a directory begin their epochs at the same one, and the leaders forget who has claimed it when they are
    /// restarted: then it is up to chance that they don't begin the same, and worth a new producer id every few dozen starts.
    /// </summary>
    private const int MaxEpochsSkipped = 1024;

    private PendingRebase? _pending;
    private RebasePlan? _plan;

    private enum RebaseCause
    {
        LogWentBack,
        Hole,
        Refused,
        CloudLost,
        Forgotten,
        Fenced,
        Replaced,
        Restarted,
        PartitionCount,
    }

    private void Fenced(TimeSpan now)
    {
        if (WaitsForQuiet(now))
        {
            return;
        }
        const string message = "another process writes as this producer, or did: the data directory is an old copy, or in use twice";
        Notice(UplinkNoticeKind.MayRepeat, message, offset: _acked);
        Complete(new RebasePlan(RebaseCause.Fenced, _acked, [.. _numbering.Resume]) { NeedsId = true });
    }

    /// <summary>
    /// What was under way when the topic was replaced may have reached the new one, which takes an unknown producer at any sequence.
    /// </summary>
    private void Replace(TimeSpan now, TopicMetadata metadata)
    {
        if (WaitsForQuiet(now))
        {
            return;
        }
        if (_sentEnd > _acked)
        {
            const string message = "the topic was replaced while records were under way: those that the new one has already come twice";
            Notice(UplinkNoticeKind.MayRepeat, message, offset: _acked);
        }
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
            case RebaseCause.PartitionCount when _acked == pending.From && _newCount > 0:
                Notice(UplinkNoticeKind.PartitionCount, $"the topic has {_newCount} partitions now", offset: _acked);
                Complete(new RebasePlan(RebaseCause.PartitionCount, _acked, [.. Enumerable.Repeat(_acked, _newCount)]));
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
        long size = CountedIn(hole, _numbering.Resume.Min());
        long there = 0;
        long[] behind = new long[_numbering.Targets];
        for (int i = 0; i < behind.Length; i++)
        {
            long extra = Math.Max(0, _covered[i] - _ackedOrdinals[i]);
            long most = CountedIn(hole, _numbering.Resume[i]);
            there += Math.Min(extra, most);
            behind[i] = Math.Max(0, extra - most);
        }
        bool isExact = behind.Length == 1 || _sentEnd <= hole.To;
        long gap = isExact ? Math.Max(0, size - there) : size;
        if (there > 0 && !isExact)
        {
            Notice(UplinkNoticeKind.MayRepeat, "records behind a hole in the local log may come twice", offset: hole.To);
        }
        _covered = behind;
        string why = hole.To <= _startOffset ? "were given up to make room before the cloud had them" : "can't be read from the local log";
        string message = $"records {hole.From} to {hole.To - 1} {why}";
        LocateResume(RebaseCause.Hole, hole.To, new long[behind.Length], gap, message);
    }

    /// <summary>The most records of a hole that can be counted for a target which has everything below <paramref name="resume"/>.</summary>
    private long CountedIn(PendingRebase hole, long resume)
    {
        long from = Math.Max(hole.From, resume);
        return Math.Max(0, hole.To - from) - _identity.Refused.Count(offset => offset >= from && offset < hole.To);
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
            GoOn(_lastProgress);
            return _locate;
        };
        _step = Step.Locate;
        _locate = new UplinkAction.Locate(
            from, Math.Max(from, _acked), _numbering, new long[_numbering.Targets], new long[_numbering.Targets], StopsWhenCovered: false);
    }

    private void LocateResume(RebaseCause cause, long from, long[] ordinals, long gap, string message)
    {
        _located = (resume, _, holeEnd) =>
        {
            if (holeEnd >= 0 && ordinals.Where((first, i) => first < _covered[i]).Any())
            {
                Notice(UplinkNoticeKind.MayRepeat, "records behind a hole in the local log may come twice", offset: holeEnd);
            }
            long[] merged = [.. resume.Select((at, i) => Math.Max(at, _numbering.Resume[i]))];
            Complete(new RebasePlan(cause, from, merged) { Gap = gap, Message = message });
            return null;
        };
        _step = Step.Locate;
        _locate = new UplinkAction.Locate(from, Math.Max(from, _sentEnd), _numbering, ordinals, _covered, StopsWhenCovered: true);
    }

    /// <summary>
    /// The epoch of a former process ends with what the cloud has of it, as nobody can add to it any more. Where that can't be told
    /// exactly, at a hole or behind a disk that went back in time, the old numbering goes on until it gets there.
    /// </summary>
    private void LocateOwnEpoch()
    {
        _isInheritedEpoch = false;
        long[] ordinals = [.. _ackedOrdinals];
        _located = (resume, held, holeEnd) =>
        {
            if (holeEnd >= 0 || ordinals.Where((first, i) => first + held[i] < _covered[i]).Any())
            {
                GoOn(_lastProgress);
                return null;
            }
            long[] merged = [.. resume.Select((at, i) => Math.Max(at, _numbering.Resume[i]))];
            Complete(new RebasePlan(RebaseCause.Restarted, _acked, merged));
            return null;
        };
        _step = Step.Locate;
        _locate = new UplinkAction.Locate(_acked, Math.Max(_acked, _sentEnd), _numbering, ordinals, _covered, StopsWhenCovered: true);
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
        int epoch = _identity.ProducerEpoch + 1 + (plan.Cause == RebaseCause.Restarted ? _random.Next(MaxEpochsSkipped) : 0);
        // Who can't tell of producers may not take an epoch that it did not give.
        bool needsId = plan.NeedsId || _positions.Any(position => position.IsUntold);
        if (!needsId && epoch <= short.MaxValue)
        {
            Apply(plan, _identity.ProducerId, (short)epoch);
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
        bool isNewId = producerId != _identity.ProducerId;
        _isInheritedEpoch = false;
        _identity = _identity with
        {
            ProducerId = producerId,
            ProducerEpoch = producerEpoch,
            EpochStart = plan.Start,
            UnresolvedEnd = -1,
            Refused = refused,
            GapTotal = _identity.GapTotal + plan.Gap,
            ConflictTotal = _identity.ConflictTotal + (plan.Cause is RebaseCause.Fenced or RebaseCause.LogWentBack ? 1 : 0),
            Counts = CountsOf(plan),
            ClusterId = plan.Replacement?.ClusterId ?? _identity.ClusterId,
            TopicId = plan.Replacement?.TopicId ?? _identity.TopicId,
        };
        int targets = plan.Resume.Length;
        bool hasNewTargets = targets > _cloudEnds.Length;
        Array.Resize(ref _cloudEnds, targets);
        if (plan.Replacement is not null)
        {
            Array.Clear(_cloudEnds);
        }
        if (plan.Cause == RebaseCause.CloudLost)
        {
            LowerCloudEnds();
        }
        _before = new ProducerPosition[targets];
        for (int i = 0; i < targets; i++)
        {
            bool isKnown = !isNewId && i < _positions.Length;
            _before[i] = isKnown ? new ProducerPosition(_positions[i].Epoch, _positions[i].LastSequence) : ProducerPosition.None;
        }
        _numbering = new Numbering(_identity.Counts, plan.Resume, refused);
        _acked = plan.Start;
        _ackedOrdinals = new long[targets];
        _covered = new long[targets];
        _sentEnd = Math.Max(plan.Start, plan.Resume.Max());
        _isUncertain = false;
        _newCount = plan.Replacement is null && plan.Cause != RebaseCause.PartitionCount ? _newCount : 0;
        _isVerified = true;
        _mustSave = true;
        Report(plan);
        if (_pending is { } done && (done.Cause == plan.Cause || plan.Cause == RebaseCause.LogWentBack))
        {
            _pending = null;
        }
        if (_pending is null && !isNewId && !hasNewTargets)
        {
            BeginSending(_lastProgress);
        }
        else
        {
            BeginResolve(); // the id is to be claimed
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
            long from = plan.Cause == RebaseCause.Hole && _pending is { } hole ? hole.From : -1;
            Notice(UplinkNoticeKind.Gap, plan.Message, plan.Gap, plan.Start, from);
        }
        if (plan.Cause != RebaseCause.Restarted)
        {
            string message = $"producer {_identity.ProducerId} epoch {_identity.ProducerEpoch} begins ({plan.Cause})";
            Notice(UplinkNoticeKind.NewEpoch, message, offset: plan.Start);
        }
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
        return plan.Cause == RebaseCause.PartitionCount
            ? [.. counts.Skip(first).Where(count => count.FromOffset < plan.Start), new CountInForce(plan.Start, plan.Resume.Length)]
            : [.. counts.Skip(first)];
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
