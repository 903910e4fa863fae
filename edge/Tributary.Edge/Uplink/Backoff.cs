namespace Tributary.Edge.Uplink;

/// <summary>
/// Waits between tries: exponential with full jitter (a uniform draw from zero to the bound), so that many agents do not come back
/// at once. The bound falls back only after a stable period without failure, not with the first success. One thread at a time.
/// </summary>
/// <param name="first">The bound of the first wait.</param>
/// <param name="most">The greatest bound.</param>
/// <param name="stable">Time without failure after which the bound falls back.</param>
/// <param name="random">Where the jitter comes from.</param>
internal sealed class Backoff(TimeSpan first, TimeSpan most, TimeSpan stable, Random random)
{
    private TimeSpan _bound;
    private TimeSpan? _lastFailure;

    /// <summary>How long to wait after a failure at <paramref name="now"/>.</summary>
    public TimeSpan Next(TimeSpan now)
    {
        if (_lastFailure is not { } last || now - last > stable + _bound)
        {
            _bound = first;
        }
        _lastFailure = now;
        TimeSpan wait = _bound * random.NextDouble();
        _bound = _bound * 2 < most ? _bound * 2 : most;
        return wait;
    }
}
