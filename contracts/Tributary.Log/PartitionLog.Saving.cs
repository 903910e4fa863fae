using System.Buffers;
using System.Collections.Immutable;
using Tributary.Log.Storage;

namespace Tributary.Log;

/// <summary>
/// State beside the records: snapshots of producers, indexes, manifest, leader epochs. Saved by the writer thread behind the flushes,
/// in steps that cost a small part of what was written; recovery reads what came since from the log.
/// </summary>
public sealed partial class PartitionLog
{
    /// <summary>A recovery point waits for this many times the bytes that the last snapshot of producers took.</summary>
    private const int SnapshotShare = 4;

    /// <summary>Steps between two recovery points at most, however fast the log grows.</summary>
    private const long MaxSteps = 4;

    /// <summary>Snapshots that wait to be saved. Without the ones before, segments are given back a little later.</summary>
    private const int MaxUnsaved = 8;

    // Under _files.
    private Manifest _manifest;
    private bool _saveFailing;
    private long _snapshotBytes;

    // Under _epochFile.
    private int _savedEpochs;
    private long _epochBytes;

    // Under _lock; snapshots are those of the starts of new segments, to be saved.
    private readonly List<Snapshot> _snapshots = [];
    private long _bytesSinceSave;
    private long _savedAt;
    private bool _saveWanted;
    private long _stateBytes;
    private ImmutableArray<SnapshotPoint> _savedSnapshots;

    /// <summary>
    /// Saves what belongs to the partition and stands beside its files, such as how far it was replicated; on a full disk in the place
    /// of the directory's reserve, since trimming waits for it.
    /// </summary>
    /// <exception cref="IOException">It could not be saved.</exception>
    public void SaveBeside(Action save) => _directory.Save(save);

    /// <summary>
    /// Each save flushes several small files while appends wait, so one serves several purposes: a new segment needs none of its own, and
    /// what is trimmed goes with the recovery point that then follows later. Called under both locks.
    /// </summary>
    private bool IsSaveDue() => _saveWanted || _trimmed.Count > 0 || _snapshots.Count == MaxUnsaved || CanTrim()
        || IsStepOver(Math.Max(_options.RecoveryStepBytes, SnapshotShare * _snapshotBytes));

    private bool IsStepOver(long step) => _bytesSinceSave >= step
        && (_bytesSinceSave >= MaxSteps * step || _time.GetElapsedTime(_savedAt) >= _options.RecoveryStepTime);

    /// <summary>The state of producers at the flushed end. Called under the lock.</summary>
    private Snapshot TakeSnapshot()
    {
        List<Producer> producers = _producers.Settled();
        return new Snapshot(
            new SnapshotPoint(_flushedEnd, producers.Count), producers.Count == 0 ? null : ProducerSnapshot.Encode(producers, _flushedEnd));
    }

    /// <summary>Saves what is due and discards what was trimmed. Called under the files lock, on the writer thread.</summary>
    private void Maintain()
    {
        try
        {
            if (_closed)
            {
                return;
            }
            CloseExpired();
            CloseOld();
            bool isDue;
            lock (_lock)
            {
                isDue = IsSaveDue();
            }
            if (!isDue)
            {
                return;
            }
            try
            {
                SaveAll(clean: false);
            }
            catch (IOException e) when (_directory.TryFreeReserve(e))
            {
                SaveAll(clean: false);
            }
            _saveFailing = false;
        }
        // What could not be saved is saved with a later round; until then recovery has more to scan and space is given back later.
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            if (!_saveFailing)
            {
                Report(LogEventKind.SaveFailed, -1, -1, $"its state could not be saved and will be tried again: {e.Message}");
            }
            _saveFailing = true;
        }
    }

    /// <summary>So that the next recovery has less to do. A disk that is full must not keep the log from being opened and trimmed.</summary>
    private void SaveAtOpen()
    {
        try
        {
            SaveAll(clean: false);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            _saveWanted = _saveFailing = true;
            Report(LogEventKind.SaveFailed, -1, -1, $"its state could not be saved and will be tried again: {e.Message}");
        }
    }

    private void SaveOnClose()
    {
        if (_offlineReason is not null || _appendedEnd != _flushedEnd)
        {
            return;
        }
        if (_appendedEnd > 0 && !(_manifest.IsClean && _manifest.StartOffset == _start))
        {
            SaveAll(clean: true);
        }
        else
        {
            SaveEpochs();
        }
    }

    /// <summary>Makes a recovery point of the flushed end, and gives up what was trimmed. Called under the files lock.</summary>
    private void SaveAll(bool clean)
    {
        SaveEpochs(); // recovery looks for epochs above the recovery point only
        SaveIndexes();
        Snapshot[] taken;
        lock (_lock)
        {
            if (clean || _snapshots.Count == 0 || _snapshots[^1].Point.Offset < _flushedEnd)
            {
                _snapshots.Add(TakeSnapshot());
            }
            taken = [.. _snapshots];
        }
        var points = new SortedDictionary<long, SnapshotPoint>(_manifest.Snapshots.ToDictionary(point => point.Offset));
        foreach (Snapshot snapshot in taken)
        {
            if (snapshot.Content is { } content)
            {
                string name = LogFiles.Producers(snapshot.Point.Offset);
                _snapshotBytes = StateFile.Replace(_store.Storage, _store.Directory, name, content);
            }
            points[snapshot.Point.Offset] = snapshot.Point;
        }
        ImmutableArray<SnapshotPoint> kept = ToKeep([.. points.Values]);
        TakeTrimmed(kept);
        SaveManifest(clean, kept);
        foreach (SnapshotPoint point in points.Values)
        {
            if (point.Producers > 0 && !kept.Contains(point))
            {
                _store.Storage.Delete($"{_store.Directory}/{LogFiles.Producers(point.Offset)}");
            }
        }
        lock (_lock)
        {
            _snapshots.RemoveRange(0, taken.Length);
            _bytesSinceSave = 0;
            _savedAt = _time.GetTimestamp();
            _saveWanted = false;
        }
        DiscardTrimmed();
    }

    /// <summary>
    /// The latest snapshot, those at the starts of segments, and the latest one at or below the log's start: so whatever remains after a
    /// truncation, the state follows from a snapshot and records that are there.
    /// </summary>
    private ImmutableArray<SnapshotPoint> ToKeep(List<SnapshotPoint> points)
    {
        lock (_lock)
        {
            int atStart = points.FindLastIndex(point => point.Offset <= _start);
            HashSet<long> bases = [.. _segments.Select(segment => segment.BaseOffset)];
            return
            [
                .. points.Where((point, i) => i == points.Count - 1 || i == atStart || (i > atStart && bases.Contains(point.Offset))),
            ];
        }
    }

    private void SaveIndexes()
    {
        LogSegment[] unsaved;
        lock (_lock)
        {
            unsaved = [.. _segments.Where(segment => !segment.IsIndexSaved && segment.Index is not null)];
        }
        foreach (LogSegment segment in unsaved)
        {
            ArrayBufferWriter<byte> content;
            lock (_lock)
            {
                content = segment.Index!.Encode(segment);
            }
            segment.IndexBytes = _store.SaveIndex(segment, content);
            segment.IsIndexSaved = true;
        }
    }

    /// <param name="clean">Whether nothing is written after it.</param>
    /// <param name="snapshots">Those that are there.</param>
    /// <param name="swap">A segment that is about to take the place of others.</param>
    private void SaveManifest(
        bool clean, ImmutableArray<SnapshotPoint> snapshots, (LogSegment Made, List<LogSegment> Replaced)? swap = null)
    {
        Manifest manifest;
        lock (_lock)
        {
            manifest = new Manifest
            {
                IsClean = clean,
                StartOffset = _start,
                ActiveBase = _active?.BaseOffset ?? -1,
                Snapshots = snapshots,
                Closed =
                [
                    .. _segments.Where(segment => segment != _active && swap?.Replaced.IndexOf(segment) is not > 0)
                        .Select(segment => (segment == swap?.Replaced[0] ? swap.Value.Made : segment).Info),
                ],
                Holes = [.. _holes],
                CleanOffset = _cleanOffset,
                HorizonMs = _horizonMs,
                Swap = _swap,
            };
        }
        int manifestBytes = manifest.Save(_store.Storage, _store.Directory);
        _manifest = manifest;
        _swapInDoubt = false;
        lock (_lock)
        {
            _savedSnapshots = snapshots;
            _stateBytes = manifestBytes + (_snapshotBytes * snapshots.Count(point => point.Producers > 0)) + Volatile.Read(ref _epochBytes);
        }
    }

    /// <summary>Before the first write after a clean shutdown.</summary>
    private void MarkUnclean()
    {
        if (_manifest.IsClean)
        {
            SaveManifest(clean: false, _manifest.Snapshots);
        }
    }

    private void SaveEpochs()
    {
        lock (_epochFile)
        {
            SaveEpochsLocked(_store.Storage);
        }
    }

    private void SaveEpochsLocked(IStorage storage)
    {
        int changes;
        ArrayBufferWriter<byte> content;
        lock (_lock)
        {
            changes = _epochs.Changes;
            if (changes == _savedEpochs)
            {
                return;
            }
            content = _epochs.Encode();
        }
        Volatile.Write(ref _epochBytes, StateFile.Replace(storage, _store.Directory, LeaderEpochs.FileName, content));
        _savedEpochs = changes;
    }

    /// <summary>A snapshot of producers, encoded; null if there are none.</summary>
    private sealed record Snapshot(SnapshotPoint Point, ArrayBufferWriter<byte>? Content);
}
