using System.Runtime.InteropServices;
using Tributary.Contracts.Records;
using Tributary.Edge.Buffer;
using Tributary.Edge.Ingest;
using Tributary.Log;

namespace Tributary.Edge.Mqtt.Sessions;

/// <summary>
/// Gathers entries of the journal and appends them, a batch at a time, when the log's writer thread asks, so that they share its flushes
/// with the messages.
/// <para>Invariants: an entry's offset is known when it is gathered, and entries stand in the log in the order of the calls; after a
/// write that failed the journal has ended: nothing that was not durable ever will be, and whoever waits hears of it. Another one begins
/// from what is on disk.</para>
/// <para>Threads: <see cref="Append"/> under the lock of the sessions; the writer thread appends and tells; the rest from any. One lock,
/// under which nothing else is called. What is gathered here is lost in a crash.</para>
/// </summary>
internal sealed class SessionJournal : IAppendSource, ILogListener, ICommitStream
{
    /// <summary>Bytes at which a batch is closed and a further one begun.</summary>
    private const int BatchBytes = 256 << 10;

    /// <summary>Bytes of entries that nobody waits for which are written without being asked for.</summary>
    private const int LazyBytes = 64 << 10;

    private readonly Lock _lock = new();
    private readonly EdgeBuffer _buffer;
    private readonly TimeProvider _time;

    // Under the lock.
    private readonly Queue<Batch> _full = new();
    private readonly Stack<Batch> _spare = new(2);
    private readonly List<Waiter> _waiters = [];
    private Batch _filling = new();
    private long _next;
    private bool _isScheduled;
    private string? _lost;

    // On the writer thread.
    private readonly Queue<Batch> _taken = new();
    private readonly Queue<Batch> _appended = new();

    private long _committed;

    /// <param name="log">Where the entries stand.</param>
    /// <param name="buffer">Whose writer thread appends.</param>
    /// <param name="time">Time of the entries.</param>
    /// <param name="lost">Why it has ended before it begins: then it takes nothing; null for one that does.</param>
    public SessionJournal(PartitionLog log, EdgeBuffer buffer, TimeProvider time, string? lost = null)
    {
        Log = log;
        _buffer = buffer;
        _time = time;
        _next = _committed = log.AppendedEnd;
        _lost = lost;
        if (lost is null)
        {
            log.Subscribe(this);
        }
    }

    /// <summary>Where the entries stand.</summary>
    public PartitionLog Log { get; }

    /// <summary>The offset that the next entry gets.</summary>
    public long Next
    {
        get
        {
            lock (_lock)
            {
                return _next;
            }
        }
    }

    /// <summary>The offset before which all entries are durable.</summary>
    public long Committed => Volatile.Read(ref _committed);

    /// <summary>Whether it has ended.</summary>
    public bool IsLost => LossReason is not null;

    /// <summary>Why it has ended, null if it has not.</summary>
    public string? LossReason => Volatile.Read(ref _lost);

    /// <summary>Adds an entry.</summary>
    /// <param name="entry">The entry; copied.</param>
    /// <param name="listener">Who is to hear of its flush; null for nobody.</param>
    /// <param name="isLazy">Whether it may wait for others.</param>
    /// <returns>Its offset.</returns>
    public long Append(ReadOnlySpan<byte> entry, ICommitListener? listener, bool isLazy = false)
    {
        long offset;
        bool schedule;
        lock (_lock)
        {
            if (_filling.Records.Count > 0 && _filling.Records.Size + entry.Length > BatchBytes)
            {
                _filling.End = _next;
                _full.Enqueue(_filling);
                _filling = RentBatch();
            }
            _filling.Records.Add(
                _time.GetUtcNow().ToUnixTimeMilliseconds(), default, hasKey: false, entry, hasValue: true, default, headerCount: 0);
            if (listener is not null)
            {
                _filling.Listeners.Add(listener);
            }
            offset = _next++;
            schedule = !_isScheduled && (!isLazy || _full.Count > 0 || _filling.Records.Size > LazyBytes);
            _isScheduled |= schedule;
        }
        if (schedule)
        {
            _buffer.Directory.Schedule(this);
        }
        return offset;
    }

    /// <summary>Writes what was gathered, whether somebody waits for it or not.</summary>
    public void Push()
    {
        bool schedule;
        lock (_lock)
        {
            schedule = !_isScheduled && _filling.Records.Count > 0;
            _isScheduled |= schedule;
        }
        if (schedule)
        {
            _buffer.Directory.Schedule(this);
        }
    }

    /// <summary>Completes when the entry at that offset, and all before it, are durable.</summary>
    /// <exception cref="IOException">They are lost.</exception>
    public Task WaitAsync(long offset)
    {
        if (Committed > offset)
        {
            return Task.CompletedTask;
        }
        Push();
        lock (_lock)
        {
            if (Committed > offset)
            {
                return Task.CompletedTask;
            }
            if (_lost is { } reason)
            {
                return Task.FromException(new IOException(reason));
            }
            var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _waiters.Add(new Waiter(offset, done, null));
            return done.Task;
        }
    }

    /// <summary>
    /// Tells <paramref name="listener"/> when the entry at that offset is durable, or lost: at once if it is. For those who can do
    /// something only after they got to know of the entry, which may be durable before that.
    /// </summary>
    public void Notify(long offset, ICommitListener listener)
    {
        string? lost;
        lock (_lock)
        {
            lost = _lost;
            if (Committed <= offset && lost is null)
            {
                _waiters.Add(new Waiter(offset, null, listener));
                return;
            }
        }
        if (Committed > offset)
        {
            listener.OnCommitted(this);
        }
        else
        {
            listener.OnLost(this, lost!);
        }
    }

    /// <inheritdoc/>
    public void AppendPending()
    {
        lock (_lock)
        {
            TakeGathered();
        }
        if (IsLost)
        {
            TellOfLoss(_lost!); // whoever came after it had ended, and could not know
            return;
        }
        long bytes = 0;
        while (_taken.TryPeek(out Batch? batch))
        {
            if (Append(batch) is { } failure)
            {
                Lose(failure);
                return;
            }
            _taken.Dequeue();
            _appended.Enqueue(batch);
            bytes += batch.Records.Size;
        }
        if (bytes > 0)
        {
            _buffer.Space.Appended(bytes);
        }
    }

    /// <inheritdoc/>
    public void OnFlushed(PartitionLog log, long flushedEnd)
    {
        if (IsLost)
        {
            return;
        }
        while (_appended.TryPeek(out Batch? batch) && batch.End <= flushedEnd)
        {
            _appended.Dequeue();
            Volatile.Write(ref _committed, batch.End);
            foreach (ICommitListener listener in batch.Listeners)
            {
                listener.OnCommitted(this);
            }
            ReturnBatch(batch);
        }
        CompleteWaiters();
    }

    /// <inheritdoc/>
    public void OnFailed(PartitionLog log, long fromOffset, Exception reason)
    {
        OnFlushed(log, fromOffset);
        Lose(reason.Message);
    }

    /// <returns>Why it was not appended where it has to stand, null if it was.</returns>
    private string? Append(Batch batch)
    {
        try
        {
            AppendResult result = Log.Append(batch.Records.Build(BatchProducer.None).Span);
            if (result.Error != AppendError.None)
            {
                return Log.OfflineReason ?? $"the journal took no entries: {result.Error}";
            }
            return result.LastOffset + 1 == batch.End ? null : $"the journal goes on at offset {result.BaseOffset}";
        }
        // The writer thread serves all partitions: whatever is wrong with this one must not end it.
        catch (Exception e)
        {
            return e.Message;
        }
    }

    private void Lose(string reason)
    {
        if (IsLost)
        {
            return;
        }
        lock (_lock)
        {
            TakeGathered();
            Volatile.Write(ref _lost, reason);
        }
        Log.Unsubscribe(this); // or the log keeps each journal that has ended
        TellOfLoss(reason);
        CompleteWaiters();
    }

    private void TellOfLoss(string reason)
    {
        var listeners = new HashSet<ICommitListener>(ReferenceEqualityComparer.Instance);
        foreach (Batch batch in _appended.Concat(_taken))
        {
            listeners.UnionWith(batch.Listeners);
        }
        _appended.Clear();
        _taken.Clear();
        foreach (ICommitListener listener in listeners)
        {
            listener.OnLost(this, reason);
        }
    }

    private void CompleteWaiters()
    {
        List<Waiter>? done = null;
        lock (_lock)
        {
            int left = 0;
            foreach (Waiter waiter in CollectionsMarshal.AsSpan(_waiters))
            {
                if (_lost is not null || waiter.Offset < _committed)
                {
                    (done ??= []).Add(waiter);
                }
                else
                {
                    _waiters[left++] = waiter;
                }
            }
            _waiters.RemoveRange(left, _waiters.Count - left);
        }
        foreach (Waiter waiter in done ?? [])
        {
            if (waiter.Offset < _committed)
            {
                waiter.Done?.SetResult();
                waiter.Listener?.OnCommitted(this);
            }
            else
            {
                waiter.Done?.SetException(new IOException(_lost));
                waiter.Listener?.OnLost(this, _lost!);
            }
        }
    }

    /// <summary>Called under the lock.</summary>
    private void TakeGathered()
    {
        _isScheduled = false;
        while (_full.TryDequeue(out Batch? batch))
        {
            _taken.Enqueue(batch);
        }
        if (_filling.Records.Count > 0)
        {
            _filling.End = _next;
            _taken.Enqueue(_filling);
            _filling = RentBatch();
        }
    }

    /// <summary>Called under the lock.</summary>
    private Batch RentBatch() => _spare.TryPop(out Batch? batch) ? batch : new Batch();

    private void ReturnBatch(Batch batch)
    {
        batch.Records.Reset();
        batch.Listeners.Clear();
        lock (_lock)
        {
            if (_spare.Count < 2)
            {
                _spare.Push(batch);
                return;
            }
        }
        batch.Records.Dispose();
    }

    private readonly record struct Waiter(long Offset, TaskCompletionSource? Done, ICommitListener? Listener);

    /// <summary>Entries that are appended together.</summary>
    private sealed class Batch
    {
        public RecordBatchBuilder Records { get; } = new();

        public HashSet<ICommitListener> Listeners { get; } = new(ReferenceEqualityComparer.Instance);

        /// <summary>The offset after the last entry.</summary>
        public long End { get; set; }
    }
}
