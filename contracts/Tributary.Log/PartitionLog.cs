using Tributary.Contracts.Records;
using Tributary.Log.Storage;

namespace Tributary.Log;

/// <summary>
/// The log of one partition. Three positions: <see cref="StartOffset"/> ≤ <see cref="FlushedEnd"/> ≤ <see cref="AppendedEnd"/>.
/// Acknowledgement, replication and uplink go by the flushed end. Callable from any thread.
/// </summary>
/// <remarks>
/// Invariants: offsets are contiguous but for recorded holes; an offset below the flushed end is never given again except after
/// <see cref="Truncate"/>; what is not durable is in memory (<see cref="PartitionTail"/>), what is durable is in segments. After a crash
/// the log ends at the flushed end or behind it, on a whole batch. After a failed flush everything behind the flushed end is gone,
/// and the segment is never written again.
/// <para>Lock order: the caller's locks; <c>_beside</c> (files that only compaction knows), held over I/O; <c>_files</c> (files are changed: writer thread, truncation, repair, closing), held over I/O;
/// <c>_epochFile</c> (leader epochs are saved), held over I/O; <c>_lock</c> (everything in memory), never held over I/O; last the leaves:
/// tail cache, writer's queue. Listeners and waiters are told without any lock.</para>
/// </remarks>
public sealed partial class PartitionLog
{
    private readonly Lock _files = new();
    private readonly Lock _epochFile = new();
    private readonly Lock _lock = new();
    private readonly LogDirectory _directory;
    private readonly PartitionFiles _store;
    private PartitionLogOptions _options;
    private readonly TimeProvider _time;
    private readonly ILogEvents _events;
    private readonly Quarantine _quarantine;

    // Under _lock.
    private readonly PartitionTail _tail;
    private readonly FlushWaiters _waiters;
    private ProducerState _producers;
    private readonly LeaderEpochs _epochs;
    private readonly Losses _losses = new();
    private readonly List<LogSegment> _segments;
    private readonly List<Hole> _holes;
    private LogSegment? _active;
    private ILogListener[] _listeners = [];
    private long _start;
    private long _flushedEnd;
    private long _appendedEnd;
    private long _unflushedBytes;
    private bool _queued;
    private bool _closed;
    private bool _truncating;
    private string? _offlineReason;

    internal PartitionLog(
        LogDirectory directory, TailCache cache, PartitionFiles files, string name, PartitionLogOptions options, Quarantine quarantine,
        RecoveredLog recovered, TimeProvider time, ILogEvents events)
    {
        Name = name;
        _directory = directory;
        _store = files;
        _options = options;
        _time = time;
        _savedAt = time.GetTimestamp();
        _events = events;
        _quarantine = quarantine;
        _tail = new PartitionTail(this, cache);
        _waiters = new FlushWaiters(_lock);
        _producers = recovered.Producers;
        _epochs = recovered.Epochs;
        _segments = recovered.Closed;
        _active = recovered.Active;
        if (_active is not null)
        {
            _active.MadeMs = _segments.Count > 0 ? _segments[^1].LastAppendMs : NowMs;
            _segments.Add(_active);
        }
        _holes = recovered.Holes;
        _manifest = recovered.Manifest;
        _cleanOffset = Math.Min(_manifest.CleanOffset, recovered.End);
        _horizonMs = _manifest.HorizonMs;
        _savedSnapshots = _manifest.Snapshots;
        _start = recovered.Start;
        _flushedEnd = _appendedEnd = _toldEnd = recovered.End;
        if (recovered.NeedsSave)
        {
            SaveAtOpen();
        }
    }

    /// <summary>Name of the partition's directory, such as <c>telemetry-0</c>.</summary>
    public string Name { get; }

    /// <summary>The first offset that can be read.</summary>
    public long StartOffset => Volatile.Read(ref _start);

    /// <summary>The offset that the next appended record gets.</summary>
    public long AppendedEnd => Volatile.Read(ref _appendedEnd);

    /// <summary>The offset after the last durable record.</summary>
    public long FlushedEnd => Volatile.Read(ref _flushedEnd);

    /// <summary>Null, or the sentence that says why no append is taken.</summary>
    public string? OfflineReason => Volatile.Read(ref _offlineReason);

    /// <summary>The latest leader epoch, −1 if none has begun.</summary>
    public int LeaderEpoch
    {
        get
        {
            lock (_lock)
            {
                return _epochs.Latest;
            }
        }
    }

    /// <summary>Bytes that the partition takes on disk, everything counted.</summary>
    public long SizeBytes
    {
        get
        {
            lock (_lock)
            {
                long bytes = _store.SpareBytes + _quarantine.Bytes + _stateBytes + _compactingBytes;
                foreach (LogSegment segment in _segments)
                {
                    bytes += segment.FileBytes + segment.IndexBytes;
                }
                return bytes;
            }
        }
    }

    /// <summary>Those of <see cref="SizeBytes"/> that are files without records, kept for the next segments.</summary>
    public long SpareBytes => _store.SpareBytes;

    /// <summary>Adds a listener for flushes. They are told in the order of subscription.</summary>
    public void Subscribe(ILogListener listener)
    {
        lock (_lock)
        {
            _listeners = [.. _listeners, listener];
        }
    }

    /// <summary>Removes a listener. It may still hear of a flush that is being told.</summary>
    public void Unsubscribe(ILogListener listener)
    {
        lock (_lock)
        {
            _listeners = [.. _listeners.Where(other => !ReferenceEquals(other, listener))];
        }
    }

    /// <summary>
    /// Appends one whole batch: checks producer id, epoch and sequence (when the batch has them), assigns offsets, stamps base offset and
    /// leader epoch on a copy. The bytes are the caller's again at return. The CRC must have been verified by the caller.
    /// A leader epoch above the latest begins with the batch.
    /// </summary>
    public AppendResult Append(ReadOnlySpan<byte> batch, int leaderEpoch = 0)
    {
        if (RecordBatch.TryRead(batch, out RecordBatch read) != BatchStatus.Ok || read.Size != batch.Length)
        {
            return Refused(AppendError.Malformed);
        }
        if (batch.Length > MaxBatchBytes)
        {
            return Refused(AppendError.TooLarge);
        }
        lock (_lock)
        {
            if (_offlineReason is not null || _truncating)
            {
                return Refused(AppendError.Offline);
            }
            if (leaderEpoch < _epochs.Latest)
            {
                return Refused(AppendError.StaleLeaderEpoch);
            }
            switch (_producers.Check(read, out long originalBase, out long originalLast))
            {
                case SequenceCheck.Duplicate:
                    return new AppendResult(AppendError.None, originalBase, originalLast, IsDuplicate: true, _losses.Count);
                case SequenceCheck.OutOfOrder:
                    return Refused(AppendError.OutOfOrderSequence);
                case SequenceCheck.StaleEpoch:
                    return Refused(AppendError.InvalidProducerEpoch);
                case SequenceCheck.OutsideTransaction:
                    return Refused(AppendError.OutsideTransaction);
            }
            return AppendLocked(read, leaderEpoch);
        }
    }

    /// <summary>Appends a batch that was checked. Called under the lock.</summary>
    private AppendResult AppendLocked(RecordBatch batch, int leaderEpoch)
    {
        long baseOffset = _appendedEnd;
        long next = baseOffset + batch.LastOffsetDelta + 1;
        if (leaderEpoch > _epochs.Latest)
        {
            _epochs.Begin(leaderEpoch, baseOffset);
        }
        _tail.Append(batch.Bytes, baseOffset, next, leaderEpoch);
        _producers.Apply(batch, baseOffset, NowMs, isDurable: false);
        Volatile.Write(ref _appendedEnd, next);
        _unflushedBytes += batch.Size;
        _directory.AddUnflushed(batch.Size);
        EnqueueLocked();
        return new AppendResult(AppendError.None, baseOffset, next - 1, IsDuplicate: false, _losses.Count);
    }

    /// <summary>Completes when what was appended (or, for a duplicate, its original) is durable.</summary>
    /// <exception cref="LogException">It was lost, because a write or flush failed or the log was truncated or closed.</exception>
    public ValueTask WaitFlushedAsync(AppendResult appended, CancellationToken cancellation = default)
    {
        if (appended.Error != AppendError.None)
        {
            throw new ArgumentException($"nothing was appended: {appended.Error}", nameof(appended));
        }
        long end = appended.LastOffset + 1;
        lock (_lock)
        {
            bool wasLost = _losses.Happened(appended.Losses, end);
            if (!wasLost && (end <= _flushedEnd || appended.Losses < _losses.Count))
            {
                return ValueTask.CompletedTask;
            }
            if (wasLost || _offlineReason is not null)
            {
                return ValueTask.FromException(
                    new LogException(_offlineReason ?? $"the append to {Name} at {appended.BaseOffset} was lost"));
            }
            return _waiters.Add(end, cancellation);
        }
    }

    /// <summary>
    /// Begins a leader epoch at the appended end; durable before it returns. Epochs only grow. Does not wait for the writer thread, so
    /// a lock that a listener takes may be held.
    /// </summary>
    /// <exception cref="IOException">It could not be saved. The epoch has begun all the same, and nothing of it is acknowledged
    /// unsaved.</exception>
    public void BeginLeaderEpoch(int epoch)
    {
        lock (_epochFile)
        {
            lock (_lock)
            {
                ThrowIfClosed();
                _epochs.Begin(epoch, _appendedEnd);
            }
            SaveEpochsLocked(_directory.Gathered); // a broker's start begins one of each partition
        }
    }

    /// <summary>The largest epoch ≤ <paramref name="epoch"/> and its end offset (KIP-101, KIP-279); null if unknown.</summary>
    public (int Epoch, long EndOffset)? EndOffsetForEpoch(int epoch)
    {
        lock (_lock)
        {
            return _epochs.EndOffsetFor(epoch, _appendedEnd);
        }
    }

    /// <summary>The leader epoch of the record at an offset, −1 if it isn't known.</summary>
    public int EpochOf(long offset)
    {
        lock (_lock)
        {
            return _epochs.At(offset).Epoch;
        }
    }

    /// <summary>What is known of one producer.</summary>
    public ProducerSummary? FindProducer(long producerId)
    {
        lock (_lock)
        {
            return _producers.Find(producerId)?.Summary;
        }
    }

    /// <summary>All producers with state, in no order.</summary>
    public IReadOnlyList<ProducerSummary> ListProducers()
    {
        lock (_lock)
        {
            return [.. _producers.All.Select(producer => producer.Summary)];
        }
    }

    /// <summary>Drops the oldest chunk of the tail in memory, if it is durable.</summary>
    internal bool EvictTail()
    {
        lock (_lock)
        {
            return _tail.EvictOldest();
        }
    }

    /// <summary>
    /// Ends the partition: saves its state so that the next start needs no scan (unless it is to be deleted), and closes its files.
    /// Whoever still waits for a flush is told that it failed.
    /// </summary>
    internal void Close(bool save)
    {
        var failed = new List<FlushWaiter>();
        lock (_files)
        {
            lock (_lock)
            {
                if (_closed)
                {
                    return;
                }
            }
            CompleteRound();
            lock (_lock)
            {
                _waiters.TakeLost(long.MinValue, failed);
            }
            try
            {
                if (save)
                {
                    SaveOnClose();
                }
            }
            finally
            {
                CloseFiles();
            }
        }
        lock (_beside)
        {
            // Whoever compacts does nothing more in the directory.
        }
        FlushWaiters.Complete(failed, new LogException($"the log of {Name} was closed"));
    }

    private int MaxBatchBytes => Math.Min(Volatile.Read(ref _options).MaxBatchBytes, Volatile.Read(ref _options).SegmentBytes);

    private long NowMs => _time.GetUtcNow().ToUnixTimeMilliseconds();

    private static AppendResult Refused(AppendError error) => new(error, -1, -1, IsDuplicate: false);

    private void ThrowIfClosed()
    {
        if (_closed)
        {
            throw new LogException($"the log of {Name} was closed");
        }
    }

    /// <summary>Asks the writer thread to look after this partition. Called under the lock.</summary>
    private void EnqueueLocked()
    {
        if (!_queued && !_closed)
        {
            _queued = true;
            _directory.Writer.Enqueue(this);
        }
    }

    private void CloseFiles()
    {
        lock (_lock)
        {
            _closed = true;
            _offlineReason ??= $"the log of {Name} was closed";
            _directory.AddUnflushed(-_unflushedBytes);
            _unflushedBytes = 0;
            _tail.Clear();
            foreach (LogSegment segment in _segments)
            {
                RemoveLocked(segment);
            }
        }
    }

    private void Report(LogEventKind kind, long from, long to, string message) =>
        _events.Report(new LogEvent(kind, Name, from, to, $"{Name}: {message}"));
}
