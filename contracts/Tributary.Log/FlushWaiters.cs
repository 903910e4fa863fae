using System.Threading.Tasks.Sources;

namespace Tributary.Log;

/// <summary>
/// Those who wait until an offset is durable. Pooled value-task sources; continuations run on the thread pool, never on the writer
/// thread. Members of <see cref="FlushWaiters"/> are called under the partition's lock, except <see cref="Complete"/>.
/// </summary>
internal sealed class FlushWaiters(Lock ownerLock)
{
    private readonly List<FlushWaiter> _waiting = [];

    public ValueTask Add(long offset, CancellationToken cancellation)
    {
        FlushWaiter waiter = FlushWaiter.Rent(offset);
        ValueTask task = waiter.Task;
        _waiting.Add(waiter);
        if (cancellation.CanBeCanceled)
        {
            waiter.Cancellation = cancellation.UnsafeRegister(static (state, token) =>
            {
                (FlushWaiters waiters, FlushWaiter waiter, int turn) = ((FlushWaiters, FlushWaiter, int))state!;
                waiters.Cancel(waiter, turn, token);
            }, (this, waiter, waiter.Turn));
        }
        return task;
    }

    /// <summary>Moves those whose offset is at most <paramref name="flushedEnd"/> to <paramref name="done"/>.</summary>
    public void TakeFlushed(long flushedEnd, List<FlushWaiter> done) => Take(flushedEnd, below: true, done);

    /// <summary>Moves those whose offset is above <paramref name="fromOffset"/> to <paramref name="failed"/>.</summary>
    public void TakeLost(long fromOffset, List<FlushWaiter> failed) => Take(fromOffset, below: false, failed);

    /// <summary>Ends the waits in <paramref name="taken"/>, which is cleared. Called without a lock.</summary>
    public static void Complete(List<FlushWaiter> taken, Exception? failure)
    {
        foreach (FlushWaiter waiter in taken)
        {
            waiter.Complete(failure);
        }
        taken.Clear();
    }

    private void Take(long offset, bool below, List<FlushWaiter> taken)
    {
        int kept = 0;
        for (int i = 0; i < _waiting.Count; i++)
        {
            FlushWaiter waiter = _waiting[i];
            if (waiter.Offset <= offset == below)
            {
                taken.Add(waiter);
            }
            else
            {
                _waiting[kept++] = waiter;
            }
        }
        _waiting.RemoveRange(kept, _waiting.Count - kept);
    }

    private void Cancel(FlushWaiter waiter, int turn, CancellationToken token)
    {
        lock (ownerLock)
        {
            // A waiter that was taken, or is somebody else's by now, is not to be disturbed.
            if (waiter.Turn != turn || !_waiting.Remove(waiter))
            {
                return;
            }
        }
        waiter.Complete(new OperationCanceledException(token));
    }
}

/// <summary>One wait.</summary>
internal sealed class FlushWaiter : IValueTaskSource
{
    private const int PooledWaiters = 4096;
    private static readonly ObjectPool<FlushWaiter> Pool = new(PooledWaiters);
    private ManualResetValueTaskSourceCore<bool> _core = new() { RunContinuationsAsynchronously = true };

    public long Offset { get; private set; }

    public CancellationTokenRegistration Cancellation { get; set; }

    public ValueTask Task => new(this, _core.Version);

    public int Turn => _core.Version;

    public static FlushWaiter Rent(long offset)
    {
        FlushWaiter waiter = Pool.Rent();
        waiter.Offset = offset;
        return waiter;
    }

    public void Complete(Exception? failure)
    {
        Cancellation.Unregister();
        if (failure is null)
        {
            _core.SetResult(true);
        }
        else
        {
            _core.SetException(failure);
        }
    }

    public void GetResult(short token)
    {
        try
        {
            _core.GetResult(token);
        }
        finally
        {
            _core.Reset();
            Cancellation = default;
            Pool.Return(this);
        }
    }

    public ValueTaskSourceStatus GetStatus(short token) => _core.GetStatus(token);

    public void OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _core.OnCompleted(continuation, state, token, flags);
}
