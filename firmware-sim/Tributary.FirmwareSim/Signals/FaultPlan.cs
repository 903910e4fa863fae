namespace Tributary.FirmwareSim.Signals;

/// <summary>What is wrong with a sensor.</summary>
internal enum FaultKind
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>It repeats the value it had when it got stuck.</summary>
    Stuck,

    /// <summary>It does not answer: there is no reading.</summary>
    Dropout,

    /// <summary>One reading is far off.</summary>
    Spike,
}

/// <summary>A fault at a moment.</summary>
/// <param name="Kind">What is wrong.</param>
/// <param name="Since">When it began, seconds since 1970; only of lasting faults.</param>
internal readonly record struct Fault(FaultKind Kind, double Since);

/// <summary>
/// When a sensor fails: a pure function of the time. Each hour a sensor may get stuck or drop out once, for minutes; now and then one
/// reading is a spike.
/// </summary>
internal readonly struct FaultPlan(Noise noise)
{
    /// <summary>Share of hours in which a sensor gets stuck.</summary>
    public const double StuckShare = 0.02;

    /// <summary>Share of hours in which a sensor does not answer for a while.</summary>
    public const double DropoutShare = 0.02;

    /// <summary>Share of readings that are far off.</summary>
    public const double SpikeShare = 0.0005;

    private const double Window = 3_600;
    private const int DrawsPerWindow = 4;

    /// <summary>The fault at a time.</summary>
    public Fault At(double seconds)
    {
        double window = Math.Floor(seconds / Window);
        long draw = (long)window * DrawsPerWindow;
        double kind = noise.Uniform(draw);
        if (kind < StuckShare + DropoutShare)
        {
            bool isStuck = kind < StuckShare;
            double length = isStuck ? noise.Between(60, 900, draw + 1) : noise.Between(30, 300, draw + 1);
            double since = (window * Window) + noise.Between(0, Window - length, draw + 2);
            if (seconds >= since && seconds < since + length)
            {
                return new Fault(isStuck ? FaultKind.Stuck : FaultKind.Dropout, since);
            }
        }
        long reading = (long)Math.Round(seconds * 1000);
        return noise.Uniform(~reading) < SpikeShare ? new Fault(FaultKind.Spike, seconds) : default;
    }
}
