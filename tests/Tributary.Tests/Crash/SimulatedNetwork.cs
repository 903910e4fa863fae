namespace Tributary.Tests.Crash;

/// <summary>
/// Virtual time, what is to happen in it, and the link of an edge: requests are late, come after the link was cut, or never. One thread;
/// everything follows from the random numbers.
/// </summary>
internal sealed class SimulatedNetwork(Random random)
{
    private readonly PriorityQueue<Action, (TimeSpan At, long Number)> _events = new();
    private long _number;
    private TimeSpan _lastArrival;

    public TimeSpan Now { get; private set; }

    /// <summary>Number of the present connection: it changes when that is lost.</summary>
    public int Link { get; private set; }

    /// <summary>Whether requests leave at all.</summary>
    public bool IsUp { get; private set; } = true;

    public void After(TimeSpan delay, Action action) => At(Now + delay, action);

    public void At(TimeSpan when, Action action) => _events.Enqueue(action, (when, ++_number));

    public TimeSpan Delay(int maxMilliseconds) => TimeSpan.FromMilliseconds(random.NextDouble() * maxMilliseconds);

    /// <summary>What is under way on the present connection gets no answer.</summary>
    public void Break()
    {
        Link++;
        IsUp = true;
        _lastArrival = Now;
    }

    /// <summary>The same, and there is no other connection for a while.</summary>
    public void Cut(TimeSpan duration)
    {
        Break();
        IsUp = false;
        int link = Link;
        After(duration, () => IsUp |= link == Link);
    }

    /// <summary>Requests of one connection arrive in order; when it was cut, the rest may still arrive for a while, or not.</summary>
    public void Arrive(int link, Action action)
    {
        TimeSpan at = Now + Delay(30);
        _lastArrival = at > _lastArrival ? at : _lastArrival;
        bool straggles = random.Next(2) == 0;
        TimeSpan late = Delay(2000);
        At(_lastArrival, () =>
        {
            if (link == Link)
            {
                action();
            }
            else if (straggles)
            {
                After(late, action);
            }
        });
    }

    /// <summary>Time passes within what happens now: a disk is slow.</summary>
    public void Pass(TimeSpan duration) => Now += duration;

    /// <summary>Lets time pass and does what falls due.</summary>
    public void Run(TimeSpan duration) => RunUntil(static () => false, duration);

    /// <summary>Lets time pass until <paramref name="condition"/> is true or <paramref name="limit"/> has passed.</summary>
    public bool RunUntil(Func<bool> condition, TimeSpan limit)
    {
        TimeSpan end = Now + limit;
        while (!condition())
        {
            if (!_events.TryPeek(out _, out (TimeSpan At, long Number) next) || next.At > end)
            {
                Now = end > Now ? end : Now;
                return condition();
            }
            Now = next.At > Now ? next.At : Now;
            _events.Dequeue()();
        }
        return true;
    }
}
