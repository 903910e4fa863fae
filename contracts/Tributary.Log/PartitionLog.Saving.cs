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
    /// <summary>Bytes flushed between two recovery points, so that recovery scans little more than that.</summary>
    private const long SaveStepBytes = 8 << 20;

    /// <summary>A recovery point waits for this many times the bytes that the last snapshot of producers took.</summary>
    private const int SnapshotShare = 4;

    /// <summary>Snapshots kept: a truncation needs one below the new end, or it reads the whole log.</summary>
    private const int MaxSnapshots = 3;

    // Under _files.
    private Manifest _manifest;
    private Captured? _snapshot;
    private bool _saveFailing;
    private long _manifestBytes;
    private long _snapshotBytes;

    // Under _epochFile.
    private int _savedEpochs;
    private long _epochBytes;

    // Under _lock.
    private long _bytesSinceSave;
    private bool _rolled;
    private bool _saveWanted;
    private long _stateBytes;

    /// <summary>Called under the lock.</summary>
    private bool IsSaveDue() => _rolled || _saveWanted || IsTrimDue()
        || _bytesSinceSave >= Math.Max(SaveStepBytes, SnapshotShare * _snapshotBytes);

    /// <summary>Whether a segment could go once the recovery point is behind it. Called under the lock.</summary>
    private bool IsTrimDue() => _segments.Count > 0 && _segments[0] is var first && first != _active && first.EndOffset <= _start;

    /// <summary>State as of the appended end, to be saved when everything up to there is durable. Called under the lock.</summary>
    private Captured Capture() =>
        new(_appendedEnd, _producers.Count, _producers.Count == 0 ? null : ProducerSnapshot.Encode(_producers, _appendedEnd));

    /// <summary>Saves what is due and discards what was trimmed. Called under the files lock, on the writer thread.</summary>
    private void Maintain()
    {
        try
        {
            if (_closed)
            {
                return;
            }
            if (_snapshot is { } snapshot && snapshot.Offset == _flushedEnd)
            {
                SaveAll(snapshot, clean: false);
            }
            _snapshot = null;
            RemoveTrimmed();
            _saveFailing = false;
            lock (_lock)
            {
                if (IsSaveDue())
                {
                    EnqueueLocked();
                }
            }
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
            SaveAll(Capture(), clean: false);
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
        SaveEpochs();
        if (_appendedEnd > 0 && !(_manifest.IsClean && _manifest.StartOffset == _start))
        {
            SaveAll(Capture(), clean: true);
        }
    }

    /// <summary>Makes a recovery point of the flushed end, which <paramref name="state"/> must be of.</summary>
    private void SaveAll(Captured state, bool clean)
    {
        SaveIndexes();
        if (state.Content is { } producers)
        {
            _snapshotBytes = StateFile.Replace(_store.Storage, _store.Directory, LogFiles.Producers(state.Offset), producers);
        }
        ImmutableArray<SnapshotPoint> before = _manifest.Snapshots;
        ImmutableArray<SnapshotPoint> after =
        [
            .. before.Where(point => point.Offset < state.Offset).TakeLast(MaxSnapshots - 1),
            new SnapshotPoint(state.Offset, state.Count),
        ];
        SaveManifest(clean, after);
        foreach (SnapshotPoint point in before)
        {
            if (point.Producers > 0 && !after.Any(kept => kept.Offset == point.Offset && kept.Producers > 0))
            {
                _store.Storage.Delete($"{_store.Directory}/{LogFiles.Producers(point.Offset)}");
            }
        }
        lock (_lock)
        {
            _bytesSinceSave = 0;
            _rolled = false;
            _saveWanted = false;
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

    private void SaveManifest(bool clean, ImmutableArray<SnapshotPoint> snapshots)
    {
        Manifest manifest;
        lock (_lock)
        {
            manifest = new Manifest
            {
                IsClean = clean,
                StartOffset = _start,
                Snapshots = snapshots,
                Closed = [.. _segments.Where(segment => segment != _active).Select(segment => segment.Info)],
                Holes = [.. _holes],
            };
        }
        _manifestBytes = manifest.Save(_store.Storage, _store.Directory);
        _manifest = manifest;
        lock (_lock)
        {
            _stateBytes = _manifestBytes + (_snapshotBytes * snapshots.Count(point => point.Producers > 0)) + Volatile.Read(ref _epochBytes);
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
            SaveEpochsLocked();
        }
    }

    private void SaveEpochsLocked()
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
        Volatile.Write(ref _epochBytes, StateFile.Replace(_store.Storage, _store.Directory, LeaderEpochs.FileName, content));
        _savedEpochs = changes;
    }

    /// <summary>What a recovery point needs to know of producers.</summary>
    private sealed record Captured(long Offset, int Count, ArrayBufferWriter<byte>? Content);
}
