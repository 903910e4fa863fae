using Tributary.FirmwareSim.Signals;

namespace Tributary.FirmwareSim.Devices;

/// <summary>
/// An electricity meter of a household: a load with morning and evening peaks, grid voltage and frequency, and a counter of energy that
/// is the exact integral of the power, so it never runs backwards.
/// </summary>
internal sealed class Meter
{
    private const double SecondsPerHour = 3_600;

    /// <summary>The counter shows what was used since the start of 2020.</summary>
    private const double Installed = 1_577_836_800;

    private readonly Noise _days;
    private readonly Noise _drift;
    private readonly Noise _grid;
    private readonly Noise _white;
    private readonly double _mean;

    private Meter(int seed, int index)
    {
        _days = Noise.For(seed, index, "days");
        _drift = Noise.For(seed, index, "drift");
        _grid = Noise.For(seed, 0, "grid"); // the same for all: they hang on one grid
        _white = Noise.For(seed, index, "white");
        _mean = Noise.For(seed, index, "plate").Between(250, 900);
    }

    /// <summary>What it reports.</summary>
    public static IReadOnlyList<Metric> Metrics(int seed, int index)
    {
        var meter = new Meter(seed, index);
        FaultPlan Faults(string metric) => new(Noise.For(seed, index, "fault " + metric));
        return
        [
            new ScalarMetric("power", 0, 3_000, 0, Faults("power"), meter.Power),
            new ScalarMetric("energy", 0, 10_000_000, 3, Faults("energy"), meter.Energy),
            new ScalarMetric("voltage", 210, 250, 1, Faults("voltage"), meter.Voltage),
            new ScalarMetric("current", 0, 15, 2, Faults("current"), meter.Current),
            new ScalarMetric("frequency", 49.8, 50.2, 3, Faults("frequency"), meter.Frequency),
        ];
    }

    /// <summary>
    /// Watts: mean × (1 + Σ aₖ·sin 2πkx + b·cos-terms), x the part of the day. The sines' weights change from day to day; sines are zero
    /// at midnight, so the curve has no jump, and each term's integral over a whole day is zero, so the counter has a closed form.
    /// </summary>
    private double Power(double seconds)
    {
        double x = Curve.Fraction(seconds / Curve.Day);
        (double a1, double a2, double a3) = Weights(Math.Floor(seconds / Curve.Day));
        return _mean * (1
            + (a1 * Math.Sin(2 * Math.PI * x)) + (a2 * Math.Sin(4 * Math.PI * x)) + (a3 * Math.Sin(6 * Math.PI * x))
            - (0.25 * Math.Cos(2 * Math.PI * x)));
    }

    /// <summary>Kilowatt-hours since the meter was installed.</summary>
    private double Energy(double seconds)
    {
        double x = Curve.Fraction(seconds / Curve.Day);
        (double a1, double a2, double a3) = Weights(Math.Floor(seconds / Curve.Day));
        double variation = SineIntegral(a1, 1, x) + SineIntegral(a2, 2, x) + SineIntegral(a3, 3, x)
            - (0.25 * Math.Sin(2 * Math.PI * x) / (2 * Math.PI));
        double meanSeconds = seconds - Installed + (Curve.Day * variation);
        return _mean * meanSeconds / SecondsPerHour / 1000;
    }

    private double Voltage(double seconds) =>
        231 + (3 * _grid.Smooth(seconds, 900)) + (1.5 * _drift.Smooth(seconds, 300)) - (Power(seconds) * 0.001)
        + (0.05 * _white.White(seconds));

    private double Current(double seconds) => Power(seconds) / 0.97 / Voltage(seconds);

    private double Frequency(double seconds) => 50 + (0.03 * _grid.Smooth(seconds, 45)) + (0.001 * _white.White(seconds));

    /// <summary>
    /// Evening above morning, a bit different each day. Together with the cosine they stay below 1: the power is never negative.
    /// </summary>
    private (double First, double Second, double Third) Weights(double day) =>
        (_days.Between(-0.25, -0.1, (long)day * 3), _days.Between(-0.25, -0.05, ((long)day * 3) + 1), _days.Between(-0.15, 0.15, ((long)day * 3) + 2));

    private static double SineIntegral(double weight, int k, double x) => weight * (1 - Math.Cos(2 * Math.PI * k * x)) / (2 * Math.PI * k);
}
