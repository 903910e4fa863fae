namespace Tributary.Log;

/// <summary>What an administrator changes of a partition while it is in use.</summary>
public sealed partial class PartitionLog
{
    // Under _lock.
    private bool _activeOld;

    /// <summary>
    /// Changes the settings. Segments that exist keep their size and their index; the next batch, segment and round of retention go by the
    /// new settings. Waits for nothing.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">One is out of range; the exception names it.</exception>
    public void Reconfigure(PartitionLogOptions options)
    {
        options.Validate();
        _store.SegmentBytes = options.SegmentBytes;
        Volatile.Write(ref _options, options);
    }

    /// <summary>
    /// Moves the start up for good (DeleteRecords): it is durable when this returns, so no crash brings back what lies below. Does nothing
    /// if the start is there already.
    /// </summary>
    /// <exception cref="OffsetOutOfRangeException">Above <see cref="FlushedEnd"/>.</exception>
    /// <exception cref="IOException">It could not be saved; the start has moved, and a crash may move it back.</exception>
    public void DeleteBefore(long offset)
    {
        lock (_files)
        {
            CompleteRound();
            lock (_lock)
            {
                ThrowIfClosed();
            }
            AdvanceStart(offset);
            if (_manifest.StartOffset < offset)
            {
                _directory.Save(() => SaveManifest(clean: false, _manifest.Snapshots));
            }
        }
    }

    private bool IsOld(LogSegment segment, long now) => segment.EndOffset > segment.BaseOffset
        && OldAge is { } age && segment.MadeMs < now - (long)age.TotalMilliseconds;

    /// <summary>What has to be compacted by then has to be closed by then.</summary>
    private TimeSpan? OldAge => (_options.SegmentTime, _options.Compaction?.MaxLag) switch
    {
        ({ } age, { } lag) => age < lag ? age : lag,
        var (age, lag) => age ?? lag,
    };

    /// <summary>
    /// Closes the segment that is written, once it has been written for long enough and nothing waits for its flush. Called under the files
    /// lock, on the writer thread.
    /// </summary>
    private void CloseOld()
    {
        LogSegment old;
        lock (_lock)
        {
            if (!_activeOld || _active is null || _appendedEnd != _flushedEnd)
            {
                return; // while it is busy, it is looked at again after each flush
            }
            _activeOld = false;
            if (!IsOld(_active, NowMs))
            {
                return;
            }
            old = _active;
            _active = null;
            _saveWanted = true;
        }
        KeepLoaded(old);
    }
}
