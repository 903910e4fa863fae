using System.Threading.Tasks.Sources;
using Tributary.Contracts.Kafka;

namespace Tributary.Broker.Partitions;

/// <summary>
/// One request that waits until what it appended, in one or more partitions, is durable or committed. It is given a number of slots;
/// each is completed once, by its partition; when the last one is, or at <see cref="Expire"/>, <see cref="Task"/> completes. Any thread
/// may complete slots; one awaits, once. Continuations run on the thread pool, never on the log's writer thread.
/// </summary>
internal sealed class CommitWait(int slots) : IValueTaskSource
{
    private readonly Lock _lock = new();
    private readonly ErrorCode?[] _outcomes = new ErrorCode?[slots];
    private ManualResetValueTaskSourceCore<bool> _core = new() { RunContinuationsAsynchronously = true };
    private int _left = slots;
    private bool _over;

    /// <summary>Completes when every slot has its outcome. Awaited at most once.</summary>
    public ValueTask Task => IsOver ? ValueTask.CompletedTask : new ValueTask(this, _core.Version);

    /// <summary>Whether every slot has its outcome.</summary>
    public bool IsOver
    {
        get
        {
            lock (_lock)
            {
                return _over || _left == 0;
            }
        }
    }

    /// <summary>Waits for every slot, at most so long; then those that have no outcome have run out of time.</summary>
    /// <exception cref="OperationCanceledException">Nobody waits any more.</exception>
    public async Task WaitAsync(TimeSpan limit, TimeProvider time, CancellationToken cancellation)
    {
        if (IsOver)
        {
            return;
        }
        await using ITimer timer = time.CreateTimer(static state => ((CommitWait)state!).Expire(), this, limit, Timeout.InfiniteTimeSpan);
        await using CancellationTokenRegistration gone = cancellation.UnsafeRegister(static state => ((CommitWait)state!).Expire(), this);
        await Task;
        cancellation.ThrowIfCancellationRequested();
    }

    /// <summary>What became of a slot. Asked only when <see cref="Task"/> has completed.</summary>
    public ErrorCode Outcome(int slot)
    {
        lock (_lock)
        {
            return _outcomes[slot] ?? ErrorCode.RequestTimedOut;
        }
    }

    /// <summary>Sets the outcome of a slot. The first one counts.</summary>
    public void Complete(int slot, ErrorCode outcome)
    {
        lock (_lock)
        {
            if (_over || _outcomes[slot] is not null)
            {
                return;
            }
            _outcomes[slot] = outcome;
            if (--_left > 0)
            {
                return;
            }
            _over = true;
        }
        _core.SetResult(true);
    }

    /// <summary>Ends the wait: what is still open gets <see cref="ErrorCode.RequestTimedOut"/>.</summary>
    public void Expire()
    {
        lock (_lock)
        {
            if (_over)
            {
                return;
            }
            _over = true;
        }
        _core.SetResult(true);
    }

    void IValueTaskSource.GetResult(short token) => _core.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource.GetStatus(short token) => _core.GetStatus(token);

    void IValueTaskSource.OnCompleted(
        Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _core.OnCompleted(continuation, state, token, flags);
}
