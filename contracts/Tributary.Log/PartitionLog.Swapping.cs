using System.Buffers;
using Tributary.Log.Compaction;
using Tributary.Log.Storage;

namespace Tributary.Log;

/// <summary>
/// Puts compacted segments in the place of those that they were made of. Order: the new file and its index are durable; the manifest says,
/// durably, what takes the place of what; the files get their names; those that were replaced go; the manifest forgets it. A crash leaves
/// the segments as they were, or a manifest that says what to finish (<see cref="SwapRecovery"/>). Readers at work keep the file that they
/// hold. Called by whoever compacts, of whom there is one at a time.
/// </summary>
public sealed partial class PartitionLog
{
    // Under _files.
    private SegmentSwap? _swap;
    private bool _swapInDoubt;

    // Under _lock.
    private long _replacedEnd;

    /// <summary>Puts a finished segment in the place of those that it was made of, which the caller holds.</summary>
    /// <exception cref="CompactionGivenUpException">They are not what they were.</exception>
    /// <exception cref="IOException">The disk failed; the log is as it was, or the swap is done.</exception>
    internal void Swap(CompactedSegment compacted, CompactionPlan plan, IReadOnlyList<PlannedSegment> sources)
    {
        var made = new LogSegment(_store.Directory, compacted.BaseOffset)
        {
            EndOffset = compacted.EndOffset,
            EndPosition = (int)compacted.Position,
            WritePosition = (int)compacted.Position,
            FileBytes = compacted.Position,
            MaxTimestamp = compacted.MaxTimestamp,
            WriteMaxTimestamp = compacted.MaxTimestamp,
            AbortedFrom = compacted.Index.AbortedFrom,
            IsIndexSaved = true,
        };
        lock (_lock)
        {
            made.LastAppendMs = sources.Max(source => source.Segment.LastAppendMs);
            made.MadeMs = sources[0].Segment.MadeMs;
        }
        ArrayBufferWriter<byte> index = compacted.Index.Encode(made);
        made.IndexBytes = Beside(() =>
        {
            int bytes = StateFile.Replace(
                _store.Storage, _store.Directory, LogFiles.CompactedIndex(made.BaseOffset), index, syncDirectory: false);
            _store.Storage.SyncDirectory(_store.Directory); // its name and the segment's are durable before the manifest speaks of them
            return bytes;
        });
        Load(sources[0].Segment, made.BaseOffset); // its file is kept open while it is held: readers must not open the other by its name
        List<LogSegment> replaced = [.. sources.Select(source => source.Segment)];
        lock (_files)
        {
            CheckSwap(plan, sources);
            Intend(made, replaced);
            lock (_lock)
            {
                int at = _segments.IndexOf(replaced[0]);
                _segments.RemoveRange(at, replaced.Count);
                _segments.Insert(at, made);
                _replacedEnd = Math.Max(_replacedEnd, made.EndOffset);
                _tail.DropBelow(_replacedEnd);
                replaced.ForEach(RemoveLocked);
                _compactingBytes = 0;
            }
            SetAside(made.BaseOffset, made.EndOffset, replaced.Select(segment => segment.BaseOffset).Skip(1));
        }
        ForgetSwap();
    }

    /// <summary>
    /// From here on readers get what is in memory. Below, segments may have been replaced, and what was appended is not to be seen any more.
    /// Called under the lock.
    /// </summary>
    private long MemoryStart => Math.Max(_tail.StartOffset, _replacedEnd);

    private bool IsSwapOnDisk()
    {
        lock (_files)
        {
            return _swapInDoubt || _swap is not null || _manifest.Swap is not null;
        }
    }

    /// <summary>Called under the files lock.</summary>
    private void CheckSwap(CompactionPlan plan, IReadOnlyList<PlannedSegment> sources)
    {
        lock (_lock)
        {
            int at = _segments.IndexOf(sources[0].Segment);
            bool isSame = !_closed && !_truncating && _offlineReason is null && _cuts == plan.Cuts && at >= 0
                && at + sources.Count <= _segments.Count && _start < sources[0].EndOffset;
            for (int i = 0; isSame && i < sources.Count; i++)
            {
                LogSegment segment = _segments[at + i];
                isSame = segment == sources[i].Segment && segment != _active
                    && (segment.EndOffset, segment.EndPosition) == (sources[i].EndOffset, sources[i].EndPosition);
            }
            (long from, long to) = (sources[0].BaseOffset, sources[^1].EndOffset);
            if (!isSame || _holes.Exists(hole => hole.From < to && hole.To > from && !plan.Holes.Contains(hole)))
            {
                throw new CompactionGivenUpException($"the segments of {Name} from offset {from} on were trimmed, cut or damaged");
            }
        }
    }

    /// <summary>
    /// The manifest says, durably, that the new segment takes the place of the others; then the file gets its name. Called under the files
    /// lock.
    /// </summary>
    private void Intend(LogSegment made, List<LogSegment> replaced)
    {
        bool isIntended = false;
        try
        {
            _swapInDoubt = true; // whether the manifest was replaced is not known after a failure
            _swap = new SegmentSwap(made.BaseOffset, made.EndOffset);
            SaveManifest(clean: false, _manifest.Snapshots, (made, replaced));
            _store.Storage.Rename(PathOf(LogFiles.CompactedIndex(made.BaseOffset)), PathOf(LogFiles.Index(made.BaseOffset)));
            replaced[0].IsIndexSaved = false;
            _store.Storage.Rename(PathOf(LogFiles.Compacted(made.BaseOffset)), made.Path);
            isIntended = true;
        }
        finally
        {
            if (!isIntended)
            {
                _swap = null;
                _swapInDoubt = true;
                Unintend();
            }
        }
    }

    /// <summary>The swap won't be: what the manifest says is as before. If that can't be saved either, a crash may finish the swap yet.</summary>
    private void Unintend()
    {
        try
        {
            SaveManifest(clean: false, _manifest.Snapshots);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
        }
    }

    /// <summary>Takes files that were replaced out of the way; to delete a large one takes time.</summary>
    private void SetAside(long from, long to, IEnumerable<long> bases)
    {
        foreach (long baseOffset in bases)
        {
            if (baseOffset > from && baseOffset < to)
            {
                _store.Storage.Rename(PathOf(LogFiles.Segment(baseOffset)), PathOf(LogFiles.CompactedAway(baseOffset)));
                _store.Storage.Delete(PathOf(LogFiles.Index(baseOffset)));
            }
        }
    }

    /// <summary>Finishes what the last swap left to do, and makes the manifest forget it.</summary>
    private void ForgetSwap()
    {
        if (!IsSwapOnDisk())
        {
            return;
        }
        Beside(() =>
        {
            lock (_files)
            {
                FinishSwap();
            }
            _store.Storage.SyncDirectory(_store.Directory);
            foreach (string name in _store.Storage.List(_store.Directory).Where(LogFiles.IsCompactedAway))
            {
                _store.Storage.Delete(PathOf(name));
            }
            lock (_files)
            {
                _swap = null;
                if (!_closed)
                {
                    SaveManifest(clean: false, _manifest.Snapshots);
                }
            }
            return true;
        });
    }

    /// <summary>Sets aside what a failure has left of the segments that were replaced. Called under the files lock.</summary>
    private void FinishSwap()
    {
        if (_swap is { } swap)
        {
            SetAside(swap.BaseOffset, swap.EndOffset, [.. SegmentsOnDisk()]);
        }
    }

    private IEnumerable<long> SegmentsOnDisk()
    {
        foreach (string name in _store.Storage.List(_store.Directory))
        {
            if (LogFiles.IsSegment(name, out long baseOffset))
            {
                yield return baseOffset;
            }
        }
    }
}
