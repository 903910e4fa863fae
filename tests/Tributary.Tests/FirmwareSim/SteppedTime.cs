using Xunit;

namespace Tributary.Tests.FirmwareSim;

/// <summary>
/// A clock for a loop that sets its alarm again each time before it waits: time stands still while the loop works and jumps to what is
/// due next when it waits. So a run is the same each time, however fast the machine is.
/// </summary>
internal sealed class SteppedTime : TimeProvider
{
    private static readonly TimeSpan Deadline = TimeSpan.FromMinutes(1);
    private readonly Lock _lock = new();
    private readonly List<Alarm> _alarms = [];
    private readonly SemaphoreSlim _set = new(0);
    private long _now;

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override long GetTimestamp() => Volatile.Read(ref _now);

    public override DateTimeOffset GetUtcNow() => new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero).AddTicks(GetTimestamp());

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var alarm = new Alarm(this, () => callback(state));
        alarm.Arm(dueTime);
        return alarm;
    }

    /// <summary>Lets time pass until something holds.</summary>
    public async Task RunUntilAsync(Func<bool> holds)
    {
        while (!holds())
        {
            Task<bool> isSet = _set.WaitAsync(Deadline);
            while (!isSet.IsCompleted && !holds())
            {
                await Task.WhenAny(isSet, Task.Delay(1));
            }
            if (holds())
            {
                return;
            }
            Assert.True(await isSet, "the loop did not set its alarm within a minute");
            Jump();
        }
    }

    private void Jump()
    {
        Alarm? next;
        lock (_lock)
        {
            next = _alarms.MinBy(alarm => alarm.Due);
            if (next is null || next.Due == long.MaxValue)
            {
                return;
            }
            Volatile.Write(ref _now, Math.Max(_now, next.Due));
            next.Due = long.MaxValue;
        }
        next.Ring();
    }

    private sealed class Alarm(SteppedTime time, Action ring) : ITimer
    {
        public long Due { get; set; } = long.MaxValue;

        public void Ring() => ring();

        public void Arm(TimeSpan dueTime)
        {
            lock (time._lock)
            {
                Due = dueTime == Timeout.InfiniteTimeSpan ? long.MaxValue : time._now + dueTime.Ticks;
                if (!time._alarms.Contains(this))
                {
                    time._alarms.Add(this);
                }
            }
        }

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            Arm(dueTime);
            time._set.Release();
            return true;
        }

        public void Dispose()
        {
            lock (time._lock)
            {
                time._alarms.Remove(this);
            }
        }

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
