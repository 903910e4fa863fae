namespace Tributary.Edge.Clock;

/// <summary>Why a clock is trusted.</summary>
internal enum ClockTrustedBy
{
    /// <summary>It is not.</summary>
    Nothing,

    /// <summary>A clock with a battery.</summary>
    BoardClock,

    /// <summary>The kernel says that it is synchronised, or said so in this boot.</summary>
    Synchronization,

    /// <summary>The setting.</summary>
    Setting,
}

/// <summary>Decides whether what the device says of its time is believed.</summary>
internal static class ClockTrust
{
    /// <summary>No clock that says less is right: this program was not there then.</summary>
    public static readonly DateTimeOffset Earliest = new(2025, 1, 1, 0, 0, 0, TimeSpan.Zero);

    /// <summary>How wrong a clock with a battery may be: months without correction, at some seconds a month.</summary>
    private static readonly TimeSpan BoardClockError = TimeSpan.FromMinutes(1);

    /// <summary>Not every daemon tells the kernel of the network's part in the error.</summary>
    private static readonly TimeSpan LeastError = TimeSpan.FromMilliseconds(50);

    /// <param name="policy">The setting.</param>
    /// <param name="reading">What the device says.</param>
    /// <param name="newest">The latest time that is known to be past. A clock with a battery that says less has lost its time.</param>
    public static ClockTrustedBy Decide(ClockPolicy policy, in ClockReading reading, DateTimeOffset newest)
    {
        if (policy == ClockPolicy.Always)
        {
            return ClockTrustedBy.Setting;
        }
        if (reading.Wall < Earliest)
        {
            return ClockTrustedBy.Nothing;
        }
        if (reading.IsSynchronized == true)
        {
            return ClockTrustedBy.Synchronization;
        }
        return policy == ClockPolicy.Auto && reading.HasBoardClock && reading.Wall + BoardClockError >= newest
            ? ClockTrustedBy.BoardClock : ClockTrustedBy.Nothing;
    }

    /// <summary>How wrong it may be that moment.</summary>
    public static TimeSpan ErrorOf(ClockTrustedBy by, in ClockReading reading)
    {
        TimeSpan told = reading.MaxError > LeastError ? reading.MaxError : LeastError;
        return by == ClockTrustedBy.BoardClock ? BoardClockError : reading.IsSynchronized == true ? told : LeastError;
    }
}
