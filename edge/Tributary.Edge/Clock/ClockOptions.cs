namespace Tributary.Edge.Clock;

/// <summary>When the clock on the wall is trusted.</summary>
internal enum ClockPolicy
{
    /// <summary>When the kernel says that it is synchronised, or the device has a clock with a battery whose time can be right.</summary>
    Auto,

    /// <summary>Only when the kernel says that it is synchronised.</summary>
    Synchronized,

    /// <summary>Always, whatever it says.</summary>
    Always,
}

/// <summary>Settings of the clock. <see cref="Validate"/> is called once, at start.</summary>
internal sealed record ClockOptions
{
    /// <summary>When it is trusted.</summary>
    public ClockPolicy Trust { get; init; } = ClockPolicy.Auto;

    /// <summary>Time between two looks at it: the time for which a jump, or that it can be trusted now, may go unnoticed.</summary>
    public TimeSpan CheckInterval { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>How far a clock that nobody corrects goes wrong at most, parts per million; bounds are counted by it.</summary>
    public int MaxDrift { get; init; } = 100;

    /// <summary>Checks every setting.</summary>
    /// <exception cref="ArgumentException">One is out of range; the message names it and says what it may be.</exception>
    public ClockOptions Validate()
    {
        Settings.Range("clock:checkInterval", CheckInterval, TimeSpan.FromMilliseconds(100), TimeSpan.FromMinutes(1));
        Settings.Range("clock:maxDrift", MaxDrift, 1, 10_000);
        return this;
    }
}
