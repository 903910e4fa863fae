namespace Tributary.Tests.Broker.Transactions;

/// <summary>
/// Time, and everything that runs in it, on one thread and in one order: the same seed does the same. Time stands still while there is
/// something to run, and then jumps to what comes next.
/// </summary>
internal sealed class SimulatedClock : TimeProvider
{
    private readonly PriorityQueue<Action, (long At, long Number)> _events = new();
    private readonly Queue<(SimulatedTurns Turns, Task Task)> _ready = new();
    private long _number;

    /// <summary>Milliseconds since the beginning.</summary>
    public long Now { get; private set; }

    public override long TimestampFrequency => 1000;

    public override long GetTimestamp() => Now;

    public override DateTimeOffset GetUtcNow() => DateTimeOffset.UnixEpoch.AddDays(20_000).AddMilliseconds(Now);

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = new Timer(this, () => callback(state));
        timer.Change(dueTime, period);
        return timer;
    }

    /// <summary>Does something after a while.</summary>
    public void After(long ms, Action act) => _events.Enqueue(act, (Now + ms, ++_number));

    /// <summary>Completes after a while.</summary>
    public Task DelayAsync(long ms)
    {
        var done = new TaskCompletionSource();
        After(ms, done.SetResult);
        return done.Task;
    }

    public void Ready(SimulatedTurns turns, Task task) => _ready.Enqueue((turns, task));

    /// <summary>Runs until a time, or until there is nothing more to come.</summary>
    public void RunUntil(long end, Func<bool> isOver)
    {
        SynchronizationContext? context = SynchronizationContext.Current;
        SynchronizationContext.SetSynchronizationContext(null); // what waits goes on in its turns, not where the test runs
        try
        {
            Run(end, isOver);
        }
        finally
        {
            SynchronizationContext.SetSynchronizationContext(context);
        }
    }

    private void Run(long end, Func<bool> isOver)
    {
        while (!isOver())
        {
            while (_ready.TryDequeue(out (SimulatedTurns Turns, Task Task) next))
            {
                next.Turns.Run(next.Task);
            }
            if (!_events.TryPeek(out Action? act, out (long At, long Number) when) || when.At > end)
            {
                Now = Math.Max(Now, end);
                return;
            }
            _events.Dequeue();
            Now = when.At;
            act();
        }
    }

    private sealed class Timer(SimulatedClock clock, Action callback) : ITimer
    {
        private int _armed;

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            int armed = ++_armed;
            if (dueTime != Timeout.InfiniteTimeSpan)
            {
                clock.After((long)Math.Ceiling(dueTime.TotalMilliseconds), () =>
                {
                    if (armed == _armed)
                    {
                        callback();
                    }
                });
            }
            return true;
        }

        public void Dispose() => _armed++;

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }
    }
}

/// <summary>Runs tasks one at a time, as a grain's scheduler does, until it dies: then nothing of them goes on.</summary>
internal sealed class SimulatedTurns(SimulatedClock clock) : TaskScheduler
{
    public bool IsDead { get; private set; }

    public void Die() => IsDead = true;

    public void Run(Task task)
    {
        if (!IsDead)
        {
            TryExecuteTask(task);
        }
    }

    public Task<T> StartAsync<T>(Func<Task<T>> act) => Task.Factory.StartNew(act, CancellationToken.None, TaskCreationOptions.None, this).Unwrap();

    protected override void QueueTask(Task task)
    {
        if (!IsDead)
        {
            clock.Ready(this, task);
        }
    }

    protected override bool TryExecuteTaskInline(Task task, bool taskWasPreviouslyQueued) => false;

    protected override IEnumerable<Task> GetScheduledTasks() => [];
}
