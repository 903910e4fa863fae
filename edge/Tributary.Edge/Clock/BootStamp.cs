namespace Tributary.Edge.Clock;

/// <summary>
/// A time that is known by the device's uptime only: so long after it was switched on, in its n-th boot. Where a record has its timestamp
/// it stands as a number that no date can be, so the local log needs no other layout for it:
/// <code>−2⁶² + boot · 2⁴⁰ + milliseconds</code>
/// No such number leaves the agent.
/// </summary>
/// <param name="Boot">Number of the boot, as in <see cref="ClockFile"/>, from 0 to <see cref="MaxBoot"/>.</param>
/// <param name="Milliseconds">CLOCK_BOOTTIME: time since then, that in which the device was suspended included.</param>
internal readonly record struct BootStamp(int Boot, long Milliseconds)
{
    /// <summary>The greatest number of a boot.</summary>
    public const int MaxBoot = (1 << 21) - 1;

    private const int MillisecondBits = 40;
    private const long MaxMilliseconds = (1L << MillisecondBits) - 1;
    private const long Origin = -(1L << 62);

    /// <summary>It as the timestamp of a record.</summary>
    public long ToTimestamp() => Origin + ((long)Boot << MillisecondBits) + Math.Clamp(Milliseconds, 0, MaxMilliseconds);

    /// <summary>Whether a record's timestamp is one of these.</summary>
    public static bool IsIn(long timestamp) => timestamp is >= Origin and < Origin + ((long)(MaxBoot + 1) << MillisecondBits);

    /// <summary>Reads it out of a record's timestamp.</summary>
    /// <returns>False if that is a date, Unix milliseconds.</returns>
    public static bool TryRead(long timestamp, out BootStamp stamp)
    {
        stamp = default;
        if (!IsIn(timestamp))
        {
            return false;
        }
        long bits = timestamp - Origin;
        stamp = new BootStamp((int)(bits >> MillisecondBits), bits & MaxMilliseconds);
        return true;
    }
}
