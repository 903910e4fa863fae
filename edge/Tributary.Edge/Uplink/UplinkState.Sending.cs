using Tributary.Contracts.Kafka;

namespace Tributary.Edge.Uplink;

// Sending rounds, taking their answers, and saving how far they went.
internal sealed partial class UplinkState
{
    /// <summary>What a request has beside the batches, for each of them: header, topic, fields; about.</summary>
    private const int BytesBesideBatch = 128;

    private bool _resolvesAtOnce;
    private long _recordsOfFull = long.MaxValue;
    private bool _isSavingIdentity;
    private long _lastSaveTicket;

    /// <summary>The round that was asked for was read and is on its way.</summary>
    public void OnRound(TimeSpan now, Round round)
    {
        if (Phase != UplinkPhase.Sending || round.From != _next)
        {
            throw new InvalidOperationException($"a round from {round.From} came while {Phase} at {_next}");
        }
        _now = now;
        TellLink(round);
        if (round.End > round.From)
        {
            if (_rounds.Count == 0)
            {
                _lastProgress = now;
            }
            _rounds.AddLast(round);
            _next = round.End;
            _nextOrdinals = round.NextOrdinals;
            _sentEnd = Math.Max(_sentEnd, round.End);
        }
        if (round.HoleEnd > round.End)
        {
            _pending = new PendingRebase(RebaseCause.Hole, round.End, round.HoleEnd);
        }
        if (round.IsHeld)
        {
            _heldAt = round.End;
            _heldSince ??= now;
        }
        PopAcked();
    }

    /// <summary>More may be known of the times of records: those that wait are looked at again.</summary>
    public void OnClock()
    {
        _heldAt = -1;
        _heldSince = null;
    }

    /// <summary>The log could not be read.</summary>
    public void OnReadFailed(TimeSpan now, string reason) => Doubt(now, reason);

    /// <summary>The cloud answered a batch.</summary>
    /// <param name="baseOffset">Cloud offset of the batch's first record, −1 if the answer does not say.</param>
    public void OnAnswer(TimeSpan now, Round round, RoundBatch batch, ErrorCode error, long baseOffset)
    {
        if (round.IsDropped || batch.IsAnswered)
        {
            return;
        }
        _now = now;
        batch.IsAnswered = true;
        batch.MayBeThere = KafkaErrors.MayBeThere(error);
        if (--round.Unanswered == 0 && round.OnLink is { } sent)
        {
            _turns.Answered(now, sent);
        }
        switch (KafkaErrors.ToProduce(error))
        {
            case ProduceReaction.Done:
                batch.IsAcked = true;
                batch.CloudOffset = baseOffset;
                _lastProgress = now;
                _corruptTries = 0;
                PopAcked();
                break;
            case ProduceReaction.Refuse:
            case ProduceReaction.RefuseLater when Phase == UplinkPhase.Sending && ++_corruptTries >= MaxCorruptTries:
                Refused(batch, error);
                break;
            default:
                BeginDrain($"the cloud answered {KafkaErrors.Describe(error)} for partition {batch.Target}");
                break;
        }
    }

    /// <summary>The requests in flight will not be answered.</summary>
    public void OnLinkLost(TimeSpan now, string reason)
    {
        if (Phase is UplinkPhase.Sending or UplinkPhase.Draining)
        {
            Doubt(now, reason);
        }
    }

    /// <summary>The checkpoint is durable.</summary>
    public void OnSaved(TimeSpan now, long ticket, UplinkCheckpoint checkpoint)
    {
        if (ticket != _savingTicket)
        {
            return;
        }
        _savingTicket = 0;
        _lastSave = now;
        _saved = checkpoint;
    }

    /// <summary>The checkpoint could not be written; the old one stands.</summary>
    public void OnSaveFailed(TimeSpan now, long ticket, string reason)
    {
        if (ticket != _savingTicket)
        {
            return;
        }
        _savingTicket = 0;
        _lastSave = now;
        if (_isSavingIdentity)
        {
            _mustSave = true;
            Doubt(now, reason);
        }
    }

    private UplinkAction? NextSending(TimeSpan now)
    {
        if (_mustSave || SaveIsDue(now))
        {
            if (_savingTicket != 0)
            {
                return null;
            }
            _isSavingIdentity = _mustSave;
            _mustSave = false;
            _savingTicket = ++_lastSaveTicket;
            _bytesSinceSave = 0;
            return new UplinkAction.Save(_savingTicket, Snapshot());
        }
        if (_savingTicket != 0)
        {
            return null;
        }
        if (_saved.Acked > _trimmed && _saved.ProducerId >= 0)
        {
            _trimmed = _saved.Acked;
            return new UplinkAction.Trim(_trimmed);
        }
        if (AtPending(now))
        {
            return Phase == UplinkPhase.Resolving ? NextStep() : Sleep(_waitUntil);
        }
        if (_pending is null && NextRound(now) is { } round)
        {
            return round;
        }
        if (Phase != UplinkPhase.Sending || _mustSave)
        {
            return Next(now);
        }
        if (!_isAsking && now >= _metadataDue)
        {
            _isAsking = true;
            _ticket++;
            return AskMetadata();
        }
        Sleep(_isAsking ? now + _options.MetadataRefresh : _metadataDue);
        return Watch(now);
    }

    private bool SaveIsDue(TimeSpan now)
    {
        if (_acked == _saved.Acked)
        {
            return false;
        }
        // A save costs some twenty blocks of the disk. Of a few records it is worth little: whoever starts again asks the cloud for the rest.
        TimeSpan interval = _bytesSinceSave >= UplinkOptions.CheckpointBytes && _options.CheckpointInterval > UplinkOptions.BusyCheckpointInterval
            ? UplinkOptions.BusyCheckpointInterval
            : _options.CheckpointInterval;
        if (now - _lastSave >= interval)
        {
            return true;
        }
        Sleep(_lastSave + interval);
        return false;
    }

    private bool AtPending(TimeSpan now)
    {
        if (_pending is null || _rounds.Count > 0)
        {
            return false;
        }
        if (!WaitsForQuiet(now))
        {
            BeginResolve();
        }
        return true;
    }

    private UplinkAction.ReadRound? NextRound(TimeSpan now)
    {
        if (!PassBoundary(now) || _next >= _flushedEnd)
        {
            return null;
        }
        if (_heldAt == _next && !SendsUndated(now))
        {
            Sleep(_heldSince!.Value + _options.ClockWait);
            return null;
        }
        bool isSplitting = _next < _splitUntil;
        if (_rounds.Count > 0 && (isSplitting || _rounds.Count >= UplinkOptions.MaxRoundsInFlight || !MayPipeline()))
        {
            return null;
        }
        _asksForTurn = true;
        _isInLine = true;
        LinkGrant turn = _turns.Ask(now);
        if (turn.LogBytes == 0)
        {
            Sleep(turn.AskAgainAt);
            return null;
        }
        return new UplinkAction.ReadRound(new RoundRequest(
            _next, ReadLimit(), _numbering, _nextOrdinals, _covered, _identity.ProducerId, _identity.ProducerEpoch,
            isSplitting ? _splitRecords : int.MaxValue, (int)Math.Min(turn.LogBytes, _options.MaxRoundBytes), turn.WireBytes, SendsUndated(now)));
    }

    /// <summary>Whether records waited long enough for their time, with the cloud there.</summary>
    private bool SendsUndated(TimeSpan now) => _heldSince is { } since && now - since >= _options.ClockWait;

    /// <summary>Uses the turn for what the round puts on the link, or gives it back if that is nothing.</summary>
    private void TellLink(Round round)
    {
        if (round.Batches.Count == 0)
        {
            LeaveLine();
            return;
        }
        _isInLine = false;
        if (round.End < _flushedEnd && !round.IsHeld)
        {
            _recordsOfFull = round.End - round.From;
        }
        round.OnLink = _turns.Sent(
            _now, round.Bytes, round.Batches.Sum(batch => (long)batch.Size + BytesBesideBatch), hasMore: !round.IsHeld && FillsRound(round.End));
    }

    /// <summary>Whether enough waits for another round: so many records, or as many as filled the last one that left some behind.</summary>
    private bool FillsRound(long from) => _flushedEnd - from >= Math.Min(_options.PipelineRecords, _recordsOfFull);

    /// <summary>
    /// A leader that does not know the producer takes any sequence: behind the first batch for a target nothing may be sent before it is
    /// acknowledged, or the second could be taken after the first was refused.
    /// </summary>
    private bool MayPipeline() => (FillsRound(_next) || _next < _sentEnd)
        && !_rounds.Any(round => round.Batches.Any(batch => batch.BaseOrdinal == 0 && !batch.IsAcked));

    /// <summary>A round reaches neither over the end of what may have been sent before (until that is verified) nor over a change of count.</summary>
    private long ReadLimit()
    {
        long limit = _flushedEnd;
        if (NeedsBoundary())
        {
            limit = Math.Min(limit, _sentEnd);
        }
        foreach (CountInForce count in _identity.Counts)
        {
            if (count.FromOffset > _next)
            {
                limit = Math.Min(limit, count.FromOffset);
            }
        }
        return _next < _splitUntil ? Math.Min(limit, _splitUntil) : limit;
    }

    private bool NeedsBoundary() => !_isVerified || _newCount > 0 || _identity.UnresolvedEnd >= 0;

    /// <summary>
    /// At the end of what may have been sent before: the cloud must not have more than that; a changed partition count comes into force.
    /// Waits until everything before is acknowledged.
    /// </summary>
    /// <returns>Whether reading may go on.</returns>
    private bool PassBoundary(TimeSpan now)
    {
        if (_rounds.Count > 0 && _identity.Counts.Any(count => count.FromOffset == _next))
        {
            return false;
        }
        if (_next < _sentEnd || !NeedsBoundary())
        {
            return true;
        }
        if (_rounds.Count > 0)
        {
            return false;
        }
        for (int i = 0; i < _covered.Length; i++)
        {
            if (_covered[i] > _nextOrdinals[i])
            {
                RebaseHere(RebaseCause.LogWentBack, now);
                return false;
            }
        }
        _isVerified = true;
        if (_newCount > 0)
        {
            RebaseHere(RebaseCause.PartitionCount, now);
            return false;
        }
        if (_identity.UnresolvedEnd >= 0)
        {
            _identity = _identity with { UnresolvedEnd = -1 };
            _mustSave = true;
        }
        return !_mustSave;
    }

    private void RebaseHere(RebaseCause cause, TimeSpan now)
    {
        _pending = new PendingRebase(cause, _next, _next);
        if (!WaitsForQuiet(now))
        {
            BeginResolve();
        }
    }

    private UplinkAction? Watch(TimeSpan now)
    {
        if (!_rounds.Any(round => round.Unanswered > 0))
        {
            return null;
        }
        // A large record on a slow link takes its time.
        TimeSpan limit = _lastProgress + _options.ProgressTimeout + _turns.TransferTime;
        if (now < limit)
        {
            return Sleep(limit);
        }
        string reason = $"no batch was acknowledged for {_options.ProgressTimeout.TotalSeconds:0.#} s";
        Doubt(now, reason);
        return new UplinkAction.DropLink(reason);
    }

    private void PopAcked()
    {
        while (_rounds.First?.Value is { } round && round.IsAcked)
        {
            _rounds.RemoveFirst();
            NoteCovered(round);
            _acked = round.End;
            _bytesSinceSave += round.Bytes;
            _ackedOrdinals = round.NextOrdinals;
            foreach (RoundBatch batch in round.Batches)
            {
                NoteCloudOffset(batch);
            }
        }
    }

    /// <summary>What was found in the cloud lies below the log end that was asked for after the position.</summary>
    private void NoteCovered(Round round)
    {
        for (int i = 0; i < _positions.Length && i < _covered.Length; i++)
        {
            if (_ackedOrdinals[i] < _covered[i] && round.NextOrdinals[i] > _ackedOrdinals[i])
            {
                _cloudEnds[i] = Math.Max(_cloudEnds[i], _positions[i].LogEnd);
            }
        }
    }

    private void NoteCloudOffset(RoundBatch batch)
    {
        if (batch.CloudOffset < 0)
        {
            return;
        }
        bool isLower = batch.CloudOffset < _cloudEnds[batch.Target];
        _cloudEnds[batch.Target] = batch.CloudOffset + batch.Records;
        if (isLower)
        {
            BeginDrain($"partition {batch.Target} begins again at offset {batch.CloudOffset}: the topic may have been made anew");
        }
    }

    private void Refused(RoundBatch batch, ErrorCode error)
    {
        if (_pending is null or { Cause: RebaseCause.Hole } && Phase == UplinkPhase.Sending)
        {
            // A hole further on is found again.
            _pending = null;
            if (batch.Records == 1)
            {
                string message = $"the cloud refused the record at local offset {batch.FirstOffset} for good: {KafkaErrors.Describe(error)}";
                _pending = new PendingRebase(RebaseCause.Refused, batch.FirstOffset, batch.FirstOffset + 1, message);
            }
            else
            {
                _splitRecords = batch.Records / 2;
                _splitUntil = batch.LastOffset + 1;
            }
            _corruptTries = 0;
            _resolvesAtOnce = true;
        }
        BeginDrain($"the cloud refused a batch for partition {batch.Target}: {KafkaErrors.Describe(error)}");
    }

    /// <summary>Sends nothing more until all answers are there, so that no request is left that could be carried out later.</summary>
    private void BeginDrain(string reason)
    {
        if (Phase == UplinkPhase.Sending)
        {
            Phase = UplinkPhase.Draining;
            Reason = reason;
        }
    }

    private void EndDrain(TimeSpan now)
    {
        if (_resolvesAtOnce)
        {
            _resolvesAtOnce = false;
            BeginResolve();
        }
        else
        {
            Doubt(now, Reason ?? "");
        }
    }
}
