namespace Tributary.FirmwareSim.Signals;

/// <summary>Shapes that signals are made of: pure functions of the time in seconds since 1970 (UTC).</summary>
internal static class Curve
{
    /// <summary>Seconds of a day.</summary>
    public const double Day = 86_400;

    /// <summary>Seconds of a mean year.</summary>
    public const double Year = 365.2425 * Day;

    /// <summary>The simulated places lie in central Europe: their sun stands highest about an hour before 12:00 UTC.</summary>
    private const double SolarOffset = 3_600;

    /// <summary>Hours of local solar time, 0 to 24.</summary>
    public static double HourOfDay(double seconds) => Fraction((seconds + SolarOffset) / Day) * 24;

    /// <summary>A cosine with the period of a day within [−1, 1], highest at <paramref name="peakHour"/> of local solar time.</summary>
    public static double Daily(double seconds, double peakHour) => Math.Cos(2 * Math.PI * (HourOfDay(seconds) - peakHour) / 24);

    /// <summary>A cosine with the period of a year within [−1, 1], highest in late July.</summary>
    public static double Seasonal(double seconds) => Math.Cos(2 * Math.PI * ((seconds / Year) - (205 / 365.2425)));

    /// <summary>Goes from 0 to 1 while <paramref name="x"/> does, with level ends; constant outside.</summary>
    public static double Ease(double x)
    {
        x = Math.Clamp(x, 0, 1);
        return x * x * (3 - (2 * x));
    }

    /// <summary>The part after the point, also of negative numbers in [0, 1).</summary>
    public static double Fraction(double x) => x - Math.Floor(x);
}
