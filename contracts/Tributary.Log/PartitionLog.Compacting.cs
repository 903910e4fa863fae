using System.Buffers;
using Tributary.Log.Compaction;
using Tributary.Log.Storage;

namespace Tributary.Log;

/// <summary>
/// The log's part in its compaction, which <see cref="LogCompactor"/> does: it says what can be compacted, and puts what was made in the
/// place of segments (PartitionLog.Swapping.cs). Everything else runs beside appends and reads, outside of the partition's locks.
/// </summary>
/// <remarks>
/// <c>_beside</c> is held by whoever compacts while it opens, makes or removes files by their names; it comes before the other locks, and
/// closing takes it last, so that nothing is done in the directory of a partition that was closed.
/// </remarks>
public sealed partial class PartitionLog
{
    private readonly Lock _beside = new();

    // Under _files.
    private int _cuts;

    // Under _lock.
    private bool _compacting;
    private long _cleanOffset;
    private long _horizonMs;
    private long _compactingBytes;

    /// <summary>The offset up to which the log was compacted: below it no key has two records. Survives restarts.</summary>
    public long CleanOffset
    {
        get
        {
            lock (_lock)
            {
                return Math.Max(_cleanOffset, _start);
            }
        }
    }

    /// <summary>
    /// How much waits for compaction by the log's <see cref="PartitionLogOptions.Compaction"/>. Closes the segment that is written, soon,
    /// when it is old enough.
    /// </summary>
    /// <param name="upTo">The last stable offset: what lies above isn't compacted.</param>
    public CompactionNeed NeedOfCompaction(long upTo)
    {
        lock (_lock)
        {
            if (_closed || Volatile.Read(ref _options).Compaction is not { } policy)
            {
                return default;
            }
            long now = NowMs;
            if (_active is not null && IsOld(_active, now))
            {
                _activeOld = true;
                EnqueueLocked();
            }
            return FindNeedLocked(policy, upTo, now, out _);
        }
    }

    /// <summary>Begins a round, of which there is one at a time; <see cref="EndCompaction"/> must follow.</summary>
    /// <returns>Null if there is nothing to do.</returns>
    /// <exception cref="IOException">What a round before left could not be put away.</exception>
    internal CompactionPlan? BeginCompaction(long upTo)
    {
        CompactionPlan? plan;
        lock (_files)
        {
            int cuts = _cuts;
            lock (_lock)
            {
                plan = _closed || _compacting || _offlineReason is not null || _truncating ? null : MakePlanLocked(upTo, cuts);
                _compacting |= plan is not null;
            }
        }
        if (plan is null)
        {
            return null;
        }
        try
        {
            ForgetSwap();
            return plan with { Aborted = AbortedBetween(plan.Segments[0].BaseOffset, plan.Limit) };
        }
        catch (Exception e)
        {
            EndCompaction();
            if (e is IOException && IsOutdated(plan))
            {
                return null; // closed, deleted or cut since the plan was made
            }
            throw;
        }
    }

    internal void EndCompaction()
    {
        lock (_lock)
        {
            _compacting = false;
            _compactingBytes = 0;
        }
    }

    /// <summary>The leader epoch that a record of that offset is of; what its batch says if that isn't known.</summary>
    internal int EpochOf(long offset, int said)
    {
        lock (_lock)
        {
            return _epochs.At(offset).Epoch is var known && known >= 0 ? known : said;
        }
    }

    /// <summary>Counts what compaction has written, until a swap or the round's end.</summary>
    internal void NoteCompacting(long bytes)
    {
        lock (_lock)
        {
            _compactingBytes = bytes;
        }
    }

    /// <summary>Holds a segment and opens it once more.</summary>
    internal SegmentSource OpenSource(PlannedSegment planned, IReadOnlyList<Hole> holes)
    {
        lock (_beside)
        {
            Hold(planned);
            try
            {
                return new SegmentSource(this, planned, holes, _store.Open(planned.Segment));
            }
            catch
            {
                Release(planned.Segment);
                throw;
            }
        }
    }

    /// <summary>Keeps the file of a segment from being used again.</summary>
    /// <exception cref="CompactionGivenUpException">It is not what it was.</exception>
    internal void Hold(PlannedSegment planned)
    {
        lock (_lock)
        {
            LogSegment segment = planned.Segment;
            if (_closed || segment.IsRemoved || (segment.EndOffset, segment.EndPosition) != (planned.EndOffset, planned.EndPosition))
            {
                throw new CompactionGivenUpException($"segment {segment.BaseOffset} of {Name} was trimmed or cut");
            }
            segment.Holds++;
        }
    }

    /// <summary>Whether it is of no use any more what a plan says.</summary>
    internal bool IsOutdated(CompactionPlan plan)
    {
        lock (_files)
        {
            return _closed || _cuts != plan.Cuts;
        }
    }

    internal void EndHold(LogSegment segment) => Release(segment);

    /// <summary>Makes the file that is to take the place of segments from an offset on.</summary>
    internal IStorageFile CreateCompacted(long baseOffset) => Beside(() =>
    {
        IStorageFile file = _store.Storage.Open(PathOf(LogFiles.Compacted(baseOffset)), create: true);
        file.SetLength(0);
        return file;
    });

    /// <summary>Removes what was made and isn't wanted. After a failure it is left for the next round or start.</summary>
    internal void DropCompacted(long baseOffset)
    {
        try
        {
            Beside(() =>
            {
                if (!IsSwapOnDisk())
                {
                    _store.Storage.Delete(PathOf(LogFiles.Compacted(baseOffset)));
                    _store.Storage.Delete(PathOf(LogFiles.CompactedIndex(baseOffset)));
                }
                return true;
            });
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
        }
    }

    /// <summary>A round was done up to an offset; that is durable when this returns.</summary>
    internal void FinishRound(CompactionPlan plan, long cleanOffset, long horizonMs)
    {
        lock (_files)
        {
            lock (_lock)
            {
                if (_closed || plan.Cuts != _cuts)
                {
                    throw new CompactionGivenUpException($"{Name} was cut or closed");
                }
                _cleanOffset = cleanOffset;
                _horizonMs = horizonMs;
            }
            SaveManifest(clean: false, _manifest.Snapshots);
        }
    }

    private string PathOf(string file) => $"{_store.Directory}/{file}";

    private T Beside<T>(Func<T> work)
    {
        lock (_beside)
        {
            lock (_lock)
            {
                if (_closed)
                {
                    throw new CompactionGivenUpException($"{Name} was closed");
                }
            }
            return work();
        }
    }

    /// <summary>
    /// What can be compacted: closed segments up to one behind which the state of producers is saved. So that state never has to be made of
    /// what compaction has left, however much of the log behind is cut off, as long as no snapshot is damaged.
    /// </summary>
    private CompactionNeed FindNeedLocked(CompactionPolicy policy, long upTo, long now, out int count)
    {
        long cleanOffset = Math.Max(_cleanOffset, _start);
        long minLag = (long)policy.MinLag.TotalMilliseconds;
        long clean = 0;
        long dirty = 0;
        long waiting = long.MaxValue;
        var backed = default(CompactionNeed);
        count = 0;
        int first = FirstCompactable();
        for (int i = first; i < _segments.Count; i++)
        {
            LogSegment segment = _segments[i];
            bool isDirty = segment.EndOffset > cleanOffset;
            if (segment == _active || segment.EndOffset > upTo || (isDirty && segment.LastAppendMs > now - minLag))
            {
                break;
            }
            long share = Math.Clamp(PositionIn(segment, cleanOffset), 0, segment.EndPosition);
            clean += share;
            dirty += segment.EndPosition - share;
            if (isDirty)
            {
                waiting = Math.Min(waiting, segment.MadeMs > 0 ? segment.MadeMs : i > 0 ? _segments[i - 1].LastAppendMs : segment.LastAppendMs);
            }
            if (HasSnapshotBehind(i))
            {
                count = i + 1 - first;
                backed = Judge(policy, clean, dirty, waiting, now);
            }
        }
        if (clean + dirty > backed.CleanBytes + backed.DirtyBytes && Judge(policy, clean, dirty, waiting, now).IsDue && _snapshots.Count > 0)
        {
            _saveWanted = true; // what is missing is known, and is saved for the next look
            EnqueueLocked();
        }
        return backed;
    }

    private CompactionNeed Judge(CompactionPolicy policy, long clean, long dirty, long waitingMs, long now)
    {
        bool isOverdue = (dirty > 0 && policy.MaxLag is { } most && waitingMs < now - (long)most.TotalMilliseconds)
            || (clean > 0 && _horizonMs > 0 && _horizonMs <= now);
        var need = new CompactionNeed(clean, dirty, IsDue: false, isOverdue);
        return need with { IsDue = isOverdue || (dirty > 0 && need.DirtyRatio > policy.DirtyRatio) };
    }

    private bool HasSnapshotBehind(int segment)
    {
        long from = _segments[segment].EndOffset;
        long to = segment + 1 < _segments.Count ? _segments[segment + 1].BaseOffset : from;
        int low = 0;
        int high = _savedSnapshots.Length;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (_savedSnapshots[middle].Offset < from)
            {
                low = middle + 1;
            }
            else
            {
                high = middle;
            }
        }
        return low < _savedSnapshots.Length && _savedSnapshots[low].Offset <= to;
    }

    private int FirstCompactable()
    {
        int first = 0;
        while (first < _segments.Count && _segments[first].EndOffset <= _start)
        {
            first++;
        }
        return first;
    }

    private CompactionPlan? MakePlanLocked(long upTo, int cuts)
    {
        PartitionLogOptions options = Volatile.Read(ref _options);
        long now = NowMs;
        if (options.Compaction is not { } policy || !FindNeedLocked(policy, upTo, now, out int count).IsDue)
        {
            return null;
        }
        PlannedSegment[] segments =
        [
            .. _segments.Skip(FirstCompactable()).Take(count)
                .Select(segment => new PlannedSegment(segment, segment.EndOffset, segment.EndPosition)),
        ];
        return new CompactionPlan
        {
            Segments = segments,
            CleanOffset = Math.Max(_cleanOffset, segments[0].BaseOffset),
            Limit = segments[^1].EndOffset,
            MemoryStart = MemoryStart,
            Holes = [.. _holes],
            Producers = _producers.Settled().ToDictionary(producer => producer.Id),
            Policy = policy,
            NowMs = now,
            Cuts = cuts,
            IndexIntervalBytes = options.IndexIntervalBytes,
            SegmentBytes = options.SegmentBytes,
        };
    }
}
