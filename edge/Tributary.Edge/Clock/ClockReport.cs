namespace Tributary.Edge.Clock;

/// <summary>What happened to the clock.</summary>
internal enum ClockNoticeKind
{
    /// <summary>The time is known from now on.</summary>
    Trusted,

    /// <summary>The device's clock jumped.</summary>
    Jumped,
}

/// <summary>Something that happened to the clock.</summary>
/// <param name="Stamp">When, as <see cref="EdgeClock.Stamp"/> tells it.</param>
/// <param name="Kind">What.</param>
/// <param name="By">By how much it jumped.</param>
/// <param name="Message">A sentence.</param>
internal sealed record ClockNotice(long Stamp, ClockNoticeKind Kind, TimeSpan By, string Message);

/// <summary>How it stands with the clock.</summary>
/// <param name="Trusted">Whether the time is known.</param>
/// <param name="By">Why.</param>
/// <param name="Since">Since when in this process; null if it is not.</param>
/// <param name="Time">The time that is believed; null if none is.</param>
/// <param name="ErrorSeconds">How wrong it may be.</param>
/// <param name="Synchronized">Whether the kernel says that it is synchronised now; null if it can't be asked.</param>
/// <param name="DeviceOffsetSeconds">By how much the device's clock was ahead of the time that is believed.</param>
/// <param name="BootId">What the kernel calls this boot; null if it was not asked.</param>
/// <param name="SinceBootSeconds">Time since the device was switched on.</param>
/// <param name="Jumps">Times, since the start, that the device's clock jumped.</param>
/// <param name="LastJumpSeconds">By how much, the last time.</param>
/// <param name="SaveError">Why it could not be saved what is known, null if it could.</param>
internal sealed record ClockReport(
    bool Trusted, ClockTrustedBy By, DateTimeOffset? Since, DateTimeOffset? Time, double ErrorSeconds, bool? Synchronized,
    double DeviceOffsetSeconds, Guid? BootId, double SinceBootSeconds, long Jumps, double LastJumpSeconds, string? SaveError)
{
    /// <summary>The word for it: <c>none</c>, <c>boardClock</c>, <c>synchronization</c>, <c>setting</c>.</summary>
    public static string WordOf(ClockTrustedBy by) => by switch
    {
        ClockTrustedBy.Nothing => "none",
        ClockTrustedBy.BoardClock => "boardClock",
        ClockTrustedBy.Synchronization => "synchronization",
        _ => "setting",
    };
}
