namespace Tributary.Edge.Status;

/// <summary>What comes in and goes out each second, as an average over the last <see cref="RateSampler.Window"/>.</summary>
/// <param name="OverSeconds">Seconds that the averages are over: less just after the start, 0 before there is any.</param>
/// <param name="Messages">Messages taken.</param>
/// <param name="PayloadBytes">Bytes of their payloads.</param>
/// <param name="Acknowledged">Records that the cloud acknowledged.</param>
/// <param name="SentBytes">Bytes of produce requests sent.</param>
internal sealed record RateStatus(double OverSeconds, double Messages, double PayloadBytes, double Acknowledged, double SentBytes);

/// <summary>Counts that rates are made of, since the start.</summary>
/// <param name="Messages">Messages taken.</param>
/// <param name="PayloadBytes">Bytes of their payloads.</param>
/// <param name="Acknowledged">Records acknowledged by the cloud.</param>
/// <param name="SentBytes">Bytes of produce requests sent.</param>
internal readonly record struct RateCounts(long Messages, long PayloadBytes, long Acknowledged, long SentBytes);

/// <summary>
/// Looks at counts each second and tells their rates, so that a page and a command need to ask once. Callable from any thread.
/// </summary>
internal sealed class RateSampler : IDisposable
{
    /// <summary>Longest time that the averages are over.</summary>
    public static readonly TimeSpan Window = TimeSpan.FromSeconds(10);

    private static readonly TimeSpan Step = TimeSpan.FromSeconds(1);
    private readonly Func<RateCounts> _read;
    private readonly TimeProvider _time;
    private readonly ITimer _timer;
    private readonly Lock _lock = new();
    private readonly Queue<(long At, RateCounts Counts)> _samples = new();

    /// <param name="read">Tells the counts.</param>
    /// <param name="time">All time.</param>
    public RateSampler(Func<RateCounts> read, TimeProvider time)
    {
        _read = read;
        _time = time;
        Sample();
        _timer = time.CreateTimer(static sampler => ((RateSampler)sampler!).Sample(), this, Step, Step);
    }

    /// <summary>The rates, as of now.</summary>
    public RateStatus Rates
    {
        get
        {
            RateCounts now = _read();
            lock (_lock)
            {
                (long at, RateCounts then) = _samples.Peek();
                double seconds = _time.GetElapsedTime(at).TotalSeconds;
                return seconds <= 0
                    ? new RateStatus(0, 0, 0, 0, 0)
                    : new RateStatus(
                        Math.Round(seconds, 1), Rate(now.Messages - then.Messages), Rate(now.PayloadBytes - then.PayloadBytes),
                        Rate(now.Acknowledged - then.Acknowledged), Rate(now.SentBytes - then.SentBytes));

                double Rate(long change) => Math.Round(Math.Max(0, change) / seconds, 2);
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _timer.Dispose();

    private void Sample()
    {
        RateCounts counts = _read();
        lock (_lock)
        {
            _samples.Enqueue((_time.GetTimestamp(), counts));
            while (_samples.Count > 1 && _time.GetElapsedTime(_samples.Peek().At) > Window)
            {
                _samples.Dequeue();
            }
        }
    }
}
