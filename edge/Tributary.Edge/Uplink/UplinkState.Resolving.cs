namespace Tributary.Edge.Uplink;

// Looking up where the cloud stands.
internal sealed partial class UplinkState
{
    private Func<long[], long[], long, UplinkAction.Locate?>? _located;
    private UplinkAction.Locate? _locate;
    private CloudPosition[] _positions = [];
    private long _untoldAt = -1;

    // Whether the producer epoch is one of a former process, which nothing was sent under by this one.
    private bool _isInheritedEpoch;

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
            if (clusterReplaced || topicReplaced || (metadata.Partitions < _numbering.Targets && !IsSameTopic(metadata)))
            {
                BeginDrain("the topic was replaced");
            }
            else
            {
                NoteCount(metadata.Partitions);
            }
            return;
        }
        if (!clusterReplaced && metadata.Partitions < _numbering.Targets && IsSameTopic(metadata))
        {
            Doubt(now, $"the cloud names {metadata.Partitions} partitions of the topic, which has {_numbering.Targets}: a node lags behind");
            return;
        }
        if (!Accept(metadata, clusterReplaced, topicReplaced))
        {
            return;
        }
        if (clusterReplaced || topicReplaced)
        {
            Replace(now, metadata);
            return;
        }
        Adopt(metadata);
        _step = _identity.ProducerId < 0 ? Step.ProducerId : Step.Positions;
    }

    /// <summary>A producer id was given.</summary>
    public void OnProducerId(long ticket, long producerId, short producerEpoch)
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
        _isUncertain = false;
        _step = Step.Positions; // to claim it
    }

    /// <summary>The leaders said what they have, one entry for each target.</summary>
    public void OnPositions(TimeSpan now, long ticket, CloudPosition[] positions)
    {
        if (!TakeAnswer(ticket))
        {
            return;
        }
        _positions = positions;
        Promise = positions.Length == 0 ? Promise : positions.Min(PromiseOf);
        _covered = new long[positions.Length];
        bool lost = false;
        bool forgotten = false;
        for (int i = 0; i < positions.Length; i++)
        {
            CloudPosition position = positions[i];
            long next = _ackedOrdinals[i];
            if (IsOthers(position, _before[i]))
            {
                Fenced(now);
                return;
            }
            bool isForgotten = position.LogEnd >= _cloudEnds[i] && (position.IsUntold ? _isUncertain : position.Epoch < 0 && next > 0);
            forgotten |= isForgotten;
            _covered[i] = isForgotten ? next
                : position.IsUntold ? Math.Max(0, next - Math.Max(0, _cloudEnds[i] - position.LogEnd))
                : position.Epoch == _identity.ProducerEpoch ? CoveredOrdinal(next, position.LastSequence)
                : 0;
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
            NoteUntold();
            LocateHeld(Math.Max(_startOffset, _identity.EpochStart), forgotten || positions.Any(position => position.IsUntold));
        }
        else if (forgotten)
        {
            NoteLowerEnds();
            NoteUntold();
            LocateResume(RebaseCause.Forgotten, _acked, _ackedOrdinals, gap: 0, "");
        }
        else if (_pending is { } pending)
        {
            Rebase(pending);
        }
        else
        {
            NoteLowerEnds();
            GoOn(now);
        }
    }

    private static DeliveryPromise PromiseOf(CloudPosition position) =>
        position.IsUntold ? DeliveryPromise.AtLeastOnce
        : position.Claim == ClaimState.Unknown ? DeliveryPromise.ExactlyOnceWhileRemembered
        : DeliveryPromise.ExactlyOnce;

    /// <summary>What was sent and not acknowledged is sent again, whether the cluster has it or not. Told once for each place where that is.</summary>
    private void NoteUntold()
    {
        bool isInDoubt = Math.Max(_sentEnd, _isInheritedEpoch ? _flushedEnd : 0) > _acked;
        if (isInDoubt && _acked != _untoldAt && _positions.Any(position => position.IsUntold))
        {
            _untoldAt = _acked;
            const string message = "the cluster can't tell what it has of a producer, so records that were under way are sent again and may come twice";
            Notice(UplinkNoticeKind.MayRepeat, message, offset: _acked);
        }
    }

    /// <summary>Whether another process is or was at work under the producer id.</summary>
    private bool IsOthers(CloudPosition position, ProducerPosition before) =>
        position.Claim == ClaimState.Others
        || position.Epoch > _identity.ProducerEpoch
        || (position.Claim == ClaimState.Ours && position.Epoch < _identity.ProducerEpoch
            && before.IsBehind(new ProducerPosition(position.Epoch, position.LastSequence)));

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
            _ => new UplinkAction.AskPositions(_ticket, _identity.ProducerId, _identity.Starts, _numbering.Targets),
        };
    }

    private UplinkAction.AskMetadata AskMetadata() =>
        new(_ticket, (_identity.TopicId == Guid.Empty && _cloudEnds.All(end => end == 0)) || _options.OnTopicRecreated == OnReplaced.Follow);

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

    /// <summary>
    /// Goes on where the cloud stands. A process takes an epoch of its own first if the leaders keep everybody else out: then a copy of
    /// this directory that is used later, or is in use already, meets an epoch that it does not have, and what the copy sends can't be
    /// taken for this one's.
    /// </summary>
    private void GoOn(TimeSpan now)
    {
        if (_isInheritedEpoch && _positions.All(position => position.Claim == ClaimState.Ours))
        {
            LocateOwnEpoch();
        }
        else
        {
            _isVerified = false;
            BeginSending(now);
        }
    }

    /// <summary>A topic never loses partitions: one that has fewer is told by a node that does not know better yet.</summary>
    private bool IsSameTopic(TopicMetadata metadata) =>
        metadata.Partitions > 0 && metadata.TopicId != Guid.Empty && metadata.TopicId == _identity.TopicId;

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
        Array.Resize(ref _before, targets);
        Array.Fill(_before, ProducerPosition.None);
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
}
