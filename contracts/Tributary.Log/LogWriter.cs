using Tributary.Log.Storage;

namespace Tributary.Log;

/// <summary>
/// Writes and flushes all partitions of a data directory, in rounds: call the sources, write what every dirty partition has, flush,
/// tell. Whatever is appended meanwhile goes with the next round. Rounds run on a thread of its own; in simulated time, whoever simulates
/// is that thread and calls <see cref="RunRound"/>. <see cref="Enqueue"/> and <see cref="Schedule"/> may be called from any thread, under
/// a partition's lock.
/// </summary>
/// <remarks>
/// Whoever is told on this thread must not throw: like every broken invariant here, that ends the process rather than letting it
/// acknowledge what may not be durable.
/// </remarks>
internal sealed class LogWriter
{
    private readonly object _queue = new();
    private readonly TailCache _cache;
    private readonly TimeSpan _window;
    private readonly bool _hasThread;
    private readonly IFileSystemFlush? _together;
    private readonly int _togetherFrom;
    private readonly SharedFlush _shared = new();
    private readonly ITimer? _windowTimer;
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);

    // Under _queue.
    private List<IAppendSource> _sources = [];
    private List<PartitionLog> _dirty = [];
    private bool _stopping;
    private bool _windowOver;

    // On the thread.
    private List<IAppendSource> _takenSources = [];
    private List<PartitionLog> _taken = [];

    /// <param name="cache">The tails of all partitions.</param>
    /// <param name="window">How long to wait for more before a flush.</param>
    /// <param name="together">Flushes all files at once, null if there is no way to.</param>
    /// <param name="togetherFrom">Dirty files from which it does.</param>
    /// <param name="time">For the window.</param>
    /// <param name="name">Of the directory.</param>
    /// <param name="hasThread">Whether rounds run by themselves.</param>
    public LogWriter(
        TailCache cache, TimeSpan window, IFileSystemFlush? together, int togetherFrom, TimeProvider time, string name, bool hasThread)
    {
        _cache = cache;
        _window = window;
        _together = together;
        _togetherFrom = togetherFrom;
        _hasThread = hasThread;
        if (!hasThread)
        {
            return;
        }
        if (window > TimeSpan.Zero)
        {
            _windowTimer = time.CreateTimer(static state => ((LogWriter)state!).EndWindow(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        }
        new Thread(Run) { IsBackground = true, Name = $"log writer {name}" }.Start();
    }

    /// <summary>The partition has something to write or to look after. It sees to it that it is queued once.</summary>
    public void Enqueue(PartitionLog partition)
    {
        lock (_queue)
        {
            _dirty.Add(partition);
            Monitor.Pulse(_queue);
        }
    }

    public void Schedule(IAppendSource source)
    {
        lock (_queue)
        {
            _sources.Add(source);
            Monitor.Pulse(_queue);
        }
    }

    /// <summary>Finishes what is queued, then ends the thread.</summary>
    public Task StopAsync()
    {
        lock (_queue)
        {
            _stopping = true;
            Monitor.Pulse(_queue);
        }
        if (!_hasThread)
        {
            while (RunRound())
            {
            }
            End();
        }
        return _ended.Task;
    }

    /// <summary>Does what is queued now.</summary>
    /// <returns>False if there was nothing.</returns>
    public bool RunRound()
    {
        lock (_queue)
        {
            (_sources, _takenSources) = (_takenSources, _sources);
        }
        bool any = _takenSources.Count > 0;
        foreach (IAppendSource source in _takenSources)
        {
            source.AppendPending();
        }
        _takenSources.Clear();
        lock (_queue)
        {
            (_dirty, _taken) = (_taken, _dirty);
        }
        any |= _taken.Count > 0;
        int dirty = 0;
        foreach (PartitionLog partition in _taken)
        {
            dirty += partition.Write() ? 1 : 0;
        }
        FlushRound(dirty);
        _taken.Clear();
        _cache.Trim();
        return any;
    }

    private void Run()
    {
        while (WaitForWork())
        {
            RunRound();
        }
        End();
    }

    private void End()
    {
        _windowTimer?.Dispose();
        _together?.Dispose();
        _ended.TrySetResult();
    }

    /// <summary>
    /// All files are written before the first is flushed. Few are flushed one after the other, and each partition is told as soon as its
    /// own is done; many are flushed at once, which costs about as much as two or three of them, and share a failure.
    /// </summary>
    private void FlushRound(int dirty)
    {
        if (_together is not null && dirty >= _togetherFrom)
        {
            _shared.Begin();
            foreach (PartitionLog partition in _taken)
            {
                partition.Share(_shared);
            }
            _shared.Run(_together);
        }
        foreach (PartitionLog partition in _taken)
        {
            partition.Flush();
        }
    }

    /// <returns>False when it is time to end.</returns>
    private bool WaitForWork()
    {
        lock (_queue)
        {
            while (_sources.Count == 0 && _dirty.Count == 0)
            {
                if (_stopping)
                {
                    return false;
                }
                Monitor.Wait(_queue);
            }
            if (_windowTimer is not null)
            {
                _windowOver = false;
                _windowTimer.Change(_window, Timeout.InfiniteTimeSpan);
                while (!_windowOver && !_stopping)
                {
                    Monitor.Wait(_queue);
                }
            }
            return true;
        }
    }

    private void EndWindow()
    {
        lock (_queue)
        {
            _windowOver = true;
            Monitor.Pulse(_queue);
        }
    }
}

/// <summary>
/// A flush that covers whatever was written before it began, in all partitions. Whoever completes such a round goes by its outcome and
/// never by a flush of its own, which could succeed although this one has failed. Used for one round after the other.
/// </summary>
internal sealed class SharedFlush
{
    private readonly ManualResetEventSlim _done = new();
    private Exception? _failure;

    /// <summary>A round begins that this flush will cover. On the writer thread, as <see cref="Run"/>.</summary>
    public void Begin()
    {
        _failure = null;
        _done.Reset();
    }

    /// <summary>Flushes, and lets go on whoever waits.</summary>
    public void Run(IFileSystemFlush together)
    {
        try
        {
            together.Flush();
        }
        catch (Exception e)
        {
            _failure = e;
        }
        _done.Set();
    }

    /// <summary>Waits for its outcome.</summary>
    /// <exception cref="IOException">What it covers may not be durable.</exception>
    public void Wait()
    {
        _done.Wait();
        if (_failure is { } failure)
        {
            throw new IOException($"the flush of all files failed: {failure.Message}", failure);
        }
    }
}
