namespace Tributary.FirmwareSim.Firmware;

/// <summary>
/// Waits between tries to connect, as good firmware makes them: exponential with full jitter, so that a fleet does not come back all at
/// once. The bound falls back when a connection has lasted. One thread at a time.
/// </summary>
/// <param name="jitter">Draws in [0, 1).</param>
internal sealed class Reconnect(Func<double> jitter)
{
    /// <summary>The bound of the first wait.</summary>
    public static readonly TimeSpan First = TimeSpan.FromMilliseconds(500);

    /// <summary>The greatest bound.</summary>
    public static readonly TimeSpan Most = TimeSpan.FromSeconds(30);

    /// <summary>How long a connection must have lasted for the waits to begin small again.</summary>
    public static readonly TimeSpan Stable = TimeSpan.FromSeconds(10);

    private TimeSpan _bound = First;

    /// <summary>How long to wait now.</summary>
    /// <param name="lasted">How long the connection that was lost had lasted; zero if there was none.</param>
    public TimeSpan Next(TimeSpan lasted)
    {
        if (lasted >= Stable)
        {
            _bound = First;
        }
        TimeSpan wait = _bound * jitter();
        _bound = _bound * 2 < Most ? _bound * 2 : Most;
        return wait;
    }
}
