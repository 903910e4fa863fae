using System.Collections.Immutable;
using Tributary.Contracts.Records;
using Tributary.Log.Storage;

namespace Tributary.Log;

/// <summary>
/// Giving records up: from the start (trimming, retention) and from the end (truncation). The start moves at once; files are recycled
/// by the writer thread when the manifest says durably that they are not needed. After a crash the start may lie lower again, never
/// below what was removed.
/// </summary>
public sealed partial class PartitionLog
{
    // Under _files.
    private readonly List<(LogSegment Segment, bool Recycle)> _trimmed = [];

    // Under _lock.
    private bool _activeExpired;

    /// <summary>
    /// Moves the start up (DeleteRecords, trimming after acknowledgement). Segments that lie wholly below it are recycled soon after.
    /// Does nothing if the start is there already.
    /// </summary>
    /// <exception cref="OffsetOutOfRangeException">Above <see cref="FlushedEnd"/>.</exception>
    public void AdvanceStart(long offset)
    {
        lock (_lock)
        {
            if (offset > _flushedEnd)
            {
                throw new OffsetOutOfRangeException(offset, _start, _flushedEnd);
            }
            AdvanceStartLocked(offset);
        }
    }

    /// <summary>
    /// Gives up segments that time and size retention no longer ask for: closed ones, and the last one when nothing was appended to it
    /// for the retention time. Time counts from the append. Their files are recycled soon after. Also forgets idle producers.
    /// </summary>
    public void ApplyRetention()
    {
        long now = NowMs;
        long from;
        long start;
        lock (_lock)
        {
            if (_closed)
            {
                return;
            }
            from = _start;
            if (_options.ProducerExpiration is { } idle)
            {
                _producers.Expire(now - (long)idle.TotalMilliseconds);
            }
            long bytes = 0;
            foreach (LogSegment segment in _segments)
            {
                bytes += segment.EndPosition;
            }
            start = _start;
            foreach (LogSegment segment in _segments)
            {
                bool isTooMuch = _options.RetentionBytes is { } most && bytes - segment.EndPosition >= most;
                if (segment == _active)
                {
                    _activeExpired = IsExpired(segment, now);
                    _activeOld = !_activeExpired && IsOld(segment, now);
                    break;
                }
                if (!isTooMuch && !IsExpired(segment, now))
                {
                    break;
                }
                bytes -= segment.EndPosition;
                start = segment.EndOffset;
            }
            AdvanceStartLocked(start);
            if (_activeExpired || _activeOld)
            {
                EnqueueLocked();
            }
        }
        ReportExpired(from, start);
    }

    /// <summary>
    /// Whether something is being given up, so that its space is there soon: not if it stays until the start has passed a snapshot.
    /// </summary>
    public bool IsTrimming
    {
        get
        {
            lock (_lock)
            {
                return CanTrim();
            }
        }
    }

    /// <summary>The offset behind the oldest segment that has records and is closed, −1 if there is none.</summary>
    public long EndOfOldestSegment
    {
        get
        {
            lock (_lock)
            {
                return OldestClosedLocked()?.EndOffset ?? -1;
            }
        }
    }

    /// <summary>
    /// Gives the oldest closed segment up to make room, whether or not anybody has read it, and tells of it as
    /// <see cref="LogEventKind.Expired"/>.
    /// </summary>
    /// <param name="limit">An offset that the start must not pass.</param>
    /// <param name="why">The end of a sentence: "by the setting …".</param>
    /// <returns>Records given up; 0 if there is no closed segment below the limit.</returns>
    public long DropOldestSegment(long limit, string why)
    {
        long from;
        long to;
        lock (_lock)
        {
            if (OldestClosedLocked() is not { } oldest || oldest.EndOffset > limit)
            {
                return 0;
            }
            (from, to) = (_start, oldest.EndOffset);
            AdvanceStartLocked(to);
        }
        Report(LogEventKind.Expired, from, to, $"offsets {from} to {to} were given up {why}");
        return to - from;
    }

    private LogSegment? OldestClosedLocked()
    {
        LogSegment? oldest = _closed ? null : _segments.Find(segment => segment.EndOffset > _start);
        return oldest is null || oldest == _active || oldest.EndOffset > _flushedEnd ? null : oldest;
    }

    /// <summary>
    /// The offset up to which all segments are closed and had their last append before <paramref name="time"/>; the start if there is none.
    /// </summary>
    public long EndOfSegmentsBefore(DateTimeOffset time)
    {
        long before = time.ToUnixTimeMilliseconds();
        lock (_lock)
        {
            long end = _start;
            foreach (LogSegment segment in _segments)
            {
                if (segment == _active || segment.LastAppendMs >= before)
                {
                    break;
                }
                end = Math.Max(end, segment.EndOffset);
            }
            return end;
        }
    }

    /// <summary>
    /// Cuts the log so that it ends at <paramref name="offset"/>, or at the start of the batch that contains it; durable before it
    /// returns. For followers. Listeners are told that what lay behind is gone.
    /// </summary>
    /// <exception cref="OffsetOutOfRangeException">Below <see cref="StartOffset"/> or above <see cref="AppendedEnd"/>.</exception>
    /// <exception cref="IOException">The disk failed; the partition is offline.</exception>
    public void Truncate(long offset)
    {
        lock (_files)
        {
            lock (_lock)
            {
                ThrowIfClosed();
                if (offset < _start || offset > _appendedEnd)
                {
                    throw new OffsetOutOfRangeException(offset, _start, _appendedEnd);
                }
            }
            // What was appended goes to the files first, so that there is one place to cut.
            Exception? before = Volatile.Read(ref _loss);
            Write();
            CompleteRound();
            lock (_lock)
            {
                EnqueueLocked(); // the writer thread tells of it
                if (_loss is not null && _loss != before)
                {
                    throw new LogException(_loss.Message, _loss);
                }
            }
            if (offset >= _flushedEnd)
            {
                return;
            }
            try
            {
                Cut(offset);
            }
            catch (Exception e)
            {
                GoOffline($"it could not be truncated to offset {offset}: {e.Message}. Check the disk, then restart");
                throw;
            }
        }
    }

    /// <summary>Called under the lock.</summary>
    private void AdvanceStartLocked(long offset)
    {
        if (offset <= _start)
        {
            return;
        }
        Volatile.Write(ref _start, offset);
        _tail.DropBelow(offset);
        if (IsTrimDue())
        {
            EnqueueLocked();
        }
    }

    private bool IsExpired(LogSegment segment, long now) => segment.EndOffset > segment.BaseOffset
        && _options.RetentionTime is { } age && segment.LastAppendMs < now - (long)age.TotalMilliseconds;

    /// <summary>Closes and trims the last segment, if it is still as old as it was. Called under the files lock, on the writer thread.</summary>
    private void CloseExpired()
    {
        LogSegment expired;
        long from;
        long to;
        lock (_lock)
        {
            bool wanted = _activeExpired;
            _activeExpired = false;
            if (!wanted || _active is null || _appendedEnd != _flushedEnd || !IsExpired(_active, NowMs))
            {
                return;
            }
            expired = _active;
            _active = null;
            _saveWanted = true;
            (from, to) = (_start, _flushedEnd);
            AdvanceStartLocked(to);
        }
        KeepLoaded(expired);
        ReportExpired(from, to);
    }

    private void ReportExpired(long from, long to)
    {
        if (to > from)
        {
            Report(LogEventKind.Expired, from, to, $"offsets {from} to {to} were given up by retention");
        }
    }

    /// <summary>Whether the first segment isn't needed any more. Called under the lock.</summary>
    private bool IsTrimDue() => _segments.Count > 0 && _segments[0] is var first && first != _active && first.EndOffset <= _start;

    /// <summary>Whether a save now would give a segment back, by the last manifest. Called under the lock.</summary>
    private bool CanTrim() => IsTrimDue() && _segments[0].EndOffset is var end
        && (end > _manifest.RecoveryOffset || Manifest.CanSpare(_manifest.Snapshots, end, _start));

    /// <summary>Takes segments that aren't needed any more out of the log. The manifest that says so is saved before their files go.</summary>
    /// <param name="snapshots">Those that the manifest will name.</param>
    private void TakeTrimmed(ImmutableArray<SnapshotPoint> snapshots)
    {
        lock (_lock)
        {
            while (IsTrimDue() && Manifest.CanSpare(snapshots, _segments[0].EndOffset, _start))
            {
                LogSegment segment = _segments[0];
                _segments.RemoveAt(0);
                // A reader at work must not see the file's next life.
                _trimmed.Add((segment, segment.IsRecyclable && segment.Holds == 0));
                RemoveLocked(segment);
            }
            if (_trimmed.Count > 0)
            {
                _holes.RemoveAll(hole => hole.To <= _start);
            }
        }
    }

    /// <summary>
    /// Recycles the files of what was trimmed. Their names are synced with whatever is synced next; until then recovery, which goes by
    /// the manifest, would do this again.
    /// </summary>
    private void DiscardTrimmed()
    {
        if (_trimmed.Count == 0)
        {
            return;
        }
        lock (_lock)
        {
            _epochs.TruncateFromStart(_manifest.StartOffset); // not before: after a crash the log may begin where it did
        }
        while (_trimmed.Count > 0)
        {
            (LogSegment segment, bool recycle) = _trimmed[0];
            _store.Discard(segment, recycle);
            _trimmed.RemoveAt(0);
        }
        _directory.Reserve.TryTake();
    }

    /// <summary>
    /// Order: the recovery point goes down; files behind the cut go, the last first; the rest of the cut file goes, so that nothing in
    /// it can be taken for what is appended next. A crash in between leaves a longer log, whole.
    /// </summary>
    private void Cut(long offset)
    {
        if (_swap is not null)
        {
            FinishSwap(); // or it would take segments for replaced that come there later
            _store.Sync();
            _swap = null;
        }
        (LogSegment? cut, long end, int position) = FindCut(offset);
        CutUnbelieved(end);
        _cuts++;
        List<LogSegment> gone;
        lock (_lock)
        {
            _truncating = true; // nothing is appended while the state does not match the log
            gone = EndAtLocked(cut, end, position);
            LoseLocked(end, new LogException($"the log of {Name} was truncated to offset {end}"));
        }
        CutFiles(cut, gone, end);
        ProducerState rebuilt = RebuildProducers();
        lock (_lock)
        {
            _producers = rebuilt;
            _saveWanted = true;
        }
        SaveAll(clean: false);
        lock (_lock)
        {
            _truncating = false;
        }
    }

    /// <summary>Takes what lies behind the new end out of memory.</summary>
    /// <returns>The segments that go.</returns>
    private List<LogSegment> EndAtLocked(LogSegment? cut, long end, int position)
    {
        List<LogSegment> gone = _segments.FindAll(segment => segment.BaseOffset >= end && segment != cut);
        _segments.RemoveAll(gone.Contains);
        gone.ForEach(RemoveLocked);
        _active = cut;
        if (cut is not null)
        {
            _loaded.Remove(cut);
            cut.EndOffset = end;
            cut.EndPosition = cut.WritePosition = position;
            cut.Index!.TruncateFrom(end);
            cut.AbortedFrom = cut.Index.AbortedFrom;
            cut.NextIndexPosition = position;
            cut.IsRecyclable = true;
            cut.IsIndexSaved = false;
        }
        _holes.RemoveAll(hole => hole.From >= end);
        _tail.DropFrom(end);
        _snapshots.RemoveAll(snapshot => snapshot.Point.Offset > end);
        _epochs.TruncateFromEnd(end);
        _cleanOffset = Math.Min(_cleanOffset, end);
        _replacedEnd = Math.Min(_replacedEnd, end);
        Volatile.Write(ref _start, Math.Min(_start, end)); // the start may lie within the batch that goes
        Volatile.Write(ref _flushedEnd, end);
        Volatile.Write(ref _appendedEnd, end);
        return gone;
    }

    private void CutFiles(LogSegment? cut, List<LogSegment> gone, long end)
    {
        SnapshotPoint[] later = [.. _manifest.Snapshots.Where(point => point.Offset > end && point.Producers > 0)];
        SaveManifest(clean: false, [.. _manifest.Snapshots.Where(point => point.Offset <= end)]);
        SaveEpochs();
        foreach (SnapshotPoint point in later)
        {
            _store.Storage.Delete($"{_store.Directory}/{LogFiles.Producers(point.Offset)}");
        }
        _store.Sync();
        foreach (LogSegment segment in Enumerable.Reverse(gone))
        {
            _store.Discard(segment, recycle: false);
            _store.Sync();
        }
        if (cut is not null)
        {
            _store.Cut(cut);
        }
    }

    /// <summary>The state follows from the last snapshot and the durable log after it. Called under the files lock.</summary>
    private ProducerState RebuildProducers()
    {
        var state = new ProducerState();
        SnapshotPoint snapshot = _manifest.Snapshots.IsEmpty ? new SnapshotPoint(0, 0) : _manifest.Snapshots[^1];
        if (snapshot.Producers > 0
            && ProducerSnapshot.Load(_store.Storage, _store.Directory, snapshot.Offset, state) != StateStatus.Ok)
        {
            throw new LogException($"the producer snapshot at offset {snapshot.Offset} can't be read");
        }
        LogSegment[] segments;
        lock (_lock)
        {
            segments = [.. _segments];
        }
        long now = NowMs;
        LogReplay.Run(_store, segments, snapshot.Offset, batch => state.Apply(batch, batch.BaseOffset, now, isDurable: true));
        return state;
    }

    /// <summary>
    /// What a failed flush left behind the end of its segment must not become the end of the log when a crash comes after the manifest
    /// forgot the segment's end and the next segment is gone.
    /// </summary>
    private void CutUnbelieved(long end)
    {
        List<LogSegment> unbelieved;
        lock (_lock)
        {
            unbelieved = _segments.FindAll(segment => segment.EndOffset > end && !segment.IsRecyclable);
        }
        unbelieved.ForEach(_store.Cut);
    }

    /// <summary>The segment in which the log is to end, null if it ends between two.</summary>
    private (LogSegment? Segment, long End, int Position) FindCut(long offset)
    {
        LogSegment segment;
        lock (_lock)
        {
            Hole hole = _holes.Find(hole => hole.From <= offset && offset < hole.To);
            offset = hole.To > 0 ? hole.From : offset;
            int at = _segments.FindLastIndex(segment => segment.BaseOffset <= offset);
            if (at < 0 || _segments[at].BaseOffset == offset || _segments[at].EndOffset <= offset)
            {
                return (null, offset, 0);
            }
            segment = _segments[at];
        }
        (IStorageFile file, IndexEntry entry, _, int limit) = Load(segment, offset);
        using var reader = new BatchFileReader(file, limit);
        (long next, int position) = (entry.Offset, entry.Position);
        while (next < offset && reader.TryReadWhole(position, next, out RecordBatch batch) && batch.NextOffset <= offset)
        {
            next = batch.NextOffset;
            position += batch.Size;
        }
        return next == segment.BaseOffset ? (null, next, 0) : (segment, next, position);
    }

    private void GoOffline(string reason)
    {
        lock (_lock)
        {
            Volatile.Write(ref _offlineReason, $"{Name}: {reason}");
        }
        Report(LogEventKind.Offline, _flushedEnd, -1, reason);
    }
}
