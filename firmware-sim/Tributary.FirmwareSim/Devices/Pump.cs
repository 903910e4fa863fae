using Tributary.FirmwareSim.Signals;

namespace Tributary.FirmwareSim.Devices;

/// <summary>
/// A pump in a waterworks: runs in slots of ten minutes, more by day than by night; its motor warms up and cools down with a time
/// constant; its bearings wear until they are changed every 60 days.
/// </summary>
internal sealed class Pump
{
    private const double Slot = 600;
    private const double RampSeconds = 20;
    private const double MotorTimeConstant = 1_500;
    private const int RememberedSlots = 12;
    private const double ServiceInterval = 60 * Curve.Day;
    private readonly Noise _slots;
    private readonly Noise _drift;
    private readonly Noise _white;
    private readonly double _ratedFlow;
    private readonly double _ratedPressure;
    private readonly double _ratedPower;
    private readonly double _servicePhase;

    private Pump(int seed, int index)
    {
        _slots = Noise.For(seed, index, "slots");
        _drift = Noise.For(seed, index, "drift");
        _white = Noise.For(seed, index, "white");
        Noise plate = Noise.For(seed, index, "plate");
        _ratedFlow = plate.Between(20, 60, 0);
        _ratedPressure = plate.Between(3, 6, 1);
        _ratedPower = _ratedFlow * _ratedPressure / 36 / 0.65; // hydraulic power in kW over an efficiency of 65 %
        _servicePhase = plate.Between(0, ServiceInterval, 2);
    }

    /// <summary>What it reports.</summary>
    public static IReadOnlyList<Metric> Metrics(int seed, int index)
    {
        var pump = new Pump(seed, index);
        FaultPlan Faults(string metric) => new(Noise.For(seed, index, "fault " + metric));
        return
        [
            new ScalarMetric("flow", 0, 75, 2, Faults("flow"), pump.Flow),
            new ScalarMetric("pressure", 0, 9, 2, Faults("pressure"), pump.Pressure),
            new ScalarMetric("power", 0, 25, 2, Faults("power"), pump.Power),
            new ScalarMetric("motor_temperature", -10, 110, 1, Faults("motor_temperature"), pump.MotorTemperature),
            new ScalarMetric("vibration", 0, 12, 2, Faults("vibration"), pump.Vibration),
        ];
    }

    private bool Runs(double slot)
    {
        double duty = 0.6 + (0.3 * Curve.Daily(slot * Slot, 13));
        return _slots.Uniform((long)slot) < duty;
    }

    /// <summary>0 stands still, 1 runs; between them for the seconds of the ramp.</summary>
    private double Level(double seconds)
    {
        double slot = Math.Floor(seconds / Slot);
        double from = Runs(slot - 1) ? 1 : 0;
        double to = Runs(slot) ? 1 : 0;
        return from + ((to - from) * Curve.Ease((seconds - (slot * Slot)) / RampSeconds));
    }

    private double Wear(double seconds) => Curve.Fraction((seconds + _servicePhase) / ServiceInterval);

    private double Flow(double seconds) =>
        Level(seconds) * _ratedFlow * (1 + (0.04 * _drift.Smooth(seconds, 1_800)) + (0.005 * _white.White(seconds)));

    private double Pressure(double seconds) =>
        0.6 + (Level(seconds) * _ratedPressure * (1 + (0.05 * _drift.Smooth(seconds, 1_200)))) + (0.01 * _white.White(seconds));

    private double Power(double seconds) =>
        0.05 + (Level(seconds) * _ratedPower * (1 + (0.12 * Wear(seconds)) + (0.01 * _white.White(seconds))));

    /// <summary>First-order response to the last two hours of running and standing.</summary>
    private double MotorTemperature(double seconds)
    {
        double slot = Math.Floor(seconds / Slot);
        double heat = Runs(slot - RememberedSlots) ? 1 : 0;
        for (double s = slot - RememberedSlots + 1; s <= slot; s++)
        {
            double length = Math.Min(Slot, seconds - (s * Slot));
            double target = Runs(s) ? 1 : 0;
            heat = target + ((heat - target) * Math.Exp(-length / MotorTimeConstant));
        }
        double hall = 19 + (4 * Curve.Daily(seconds, 15)) + (3 * Curve.Seasonal(seconds));
        return hall + (heat * (38 + (14 * Wear(seconds)))) + (0.1 * _white.White(seconds));
    }

    private double Vibration(double seconds) =>
        0.2 + (Level(seconds) * (1.1 + (3.5 * Math.Pow(Wear(seconds), 3)))) + (0.05 * Math.Abs(_white.White(seconds)));
}
