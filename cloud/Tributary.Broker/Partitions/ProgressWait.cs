using System.Threading.Tasks.Sources;

namespace Tributary.Broker.Partitions;

/// <summary>
/// A reader that waits for partitions to move on: any of them signals, and the reader looks again, until its deadline. Signals between
/// two waits are remembered, so none is lost. One reader awaits; any thread signals. Dispose it when it is registered nowhere any more.
/// </summary>
internal sealed class ProgressWait : IValueTaskSource<bool>, IDisposable
{
    private readonly Lock _lock = new();
    private readonly ITimer _timer;
    private readonly CancellationTokenRegistration _cancellation;
    private ManualResetValueTaskSourceCore<bool> _core = new() { RunContinuationsAsynchronously = true };
    private bool _signalled;
    private bool _over;
    private bool _waiting;

    /// <summary>Starts the clock.</summary>
    public ProgressWait(TimeSpan limit, TimeProvider time, CancellationToken cancellation)
    {
        _timer = time.CreateTimer(static wait => ((ProgressWait)wait!).End(), this, limit, Timeout.InfiniteTimeSpan);
        _cancellation = cancellation.UnsafeRegister(static wait => ((ProgressWait)wait!).End(), this);
    }

    /// <summary>Whether the deadline has passed or the reader has gone.</summary>
    public bool IsOver
    {
        get
        {
            lock (_lock)
            {
                return _over;
            }
        }
    }

    /// <summary>Waits for the next signal.</summary>
    /// <returns>False at the deadline, or when the reader has gone.</returns>
    public ValueTask<bool> NextAsync()
    {
        lock (_lock)
        {
            if (_over)
            {
                return new(false);
            }
            if (_signalled)
            {
                _signalled = false;
                return new(true);
            }
            _core.Reset();
            _waiting = true;
            return new(this, _core.Version);
        }
    }

    /// <summary>Something has changed.</summary>
    public void Signal()
    {
        lock (_lock)
        {
            if (!_waiting)
            {
                _signalled = true;
                return;
            }
            _waiting = false;
        }
        _core.SetResult(true);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _timer.Dispose();
        _cancellation.Dispose();
    }

    private void End()
    {
        lock (_lock)
        {
            _over = true;
            if (!_waiting)
            {
                return;
            }
            _waiting = false;
        }
        _core.SetResult(false);
    }

    bool IValueTaskSource<bool>.GetResult(short token) => _core.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource<bool>.GetStatus(short token) => _core.GetStatus(token);

    void IValueTaskSource<bool>.OnCompleted(
        Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _core.OnCompleted(continuation, state, token, flags);
}
