using Tributary.FirmwareSim.Signals;

namespace Tributary.FirmwareSim.Devices;

/// <summary>
/// A cold-chain truck on a round tour: drives from stop to stop, stands there for half an hour with the door open for a while, and its
/// cargo warms up meanwhile. Position and temperature fit together.
/// </summary>
internal sealed class Truck
{
    private const double StopSeconds = 1_800;
    private const double DoorSeconds = 600;
    private const double MeanSpeed = 55; // km/h; the ease curve makes that at most 82.5
    private const double CoolingTimeConstant = 1_200;
    private const double EarthRadius = 6_371; // km
    private const double MetresPerDegree = 111_195;

    /// <summary>Places in central Europe, degrees north and east.</summary>
    private static readonly (double Latitude, double Longitude)[] Places =
    [
        (52.520, 13.405), (53.551, 9.994), (50.938, 6.960), (50.110, 8.682), (48.775, 9.183), (48.137, 11.576), (49.452, 11.077),
        (51.340, 12.375), (51.050, 13.738), (50.075, 14.438), (48.208, 16.372), (47.070, 15.439), (47.377, 8.541), (52.370, 4.895),
    ];

    private readonly Noise _receiver;
    private readonly Noise _compressor;
    private readonly Noise _white;
    private readonly FaultPlan _receiverFaults;
    private readonly (double Latitude, double Longitude)[] _stops;
    private readonly double[] _legStarts;
    private readonly double _tourSeconds;
    private readonly double _phase;
    private readonly double _setPoint;

    private Truck(int seed, int index)
    {
        _receiver = Noise.For(seed, index, "receiver");
        _compressor = Noise.For(seed, index, "compressor");
        _white = Noise.For(seed, index, "white");
        _receiverFaults = new FaultPlan(Noise.For(seed, index, "fault position"));
        Noise plan = Noise.For(seed, index, "plan");
        _setPoint = plan.Uniform(0) < 0.5 ? 4 : -20;
        _stops = [.. Enumerable.Range(0, Places.Length).OrderBy(place => plan.Uniform(place + 1)).Take(4).Select(place => Places[place])];
        _legStarts = new double[_stops.Length + 1];
        for (int leg = 0; leg < _stops.Length; leg++)
        {
            _legStarts[leg + 1] = _legStarts[leg] + StopSeconds + DriveSeconds(leg);
        }
        _tourSeconds = _legStarts[^1];
        _phase = plan.Between(0, _tourSeconds, 100);
    }

    /// <summary>What it reports.</summary>
    public static IReadOnlyList<Metric> Metrics(int seed, int index)
    {
        var truck = new Truck(seed, index);
        FaultPlan Faults(string metric) => new(Noise.For(seed, index, "fault " + metric));
        return
        [
            new PositionMetric("position", seconds => truck._receiverFaults.At(seconds).Kind == FaultKind.Dropout, truck.Where),
            new ScalarMetric("cargo_temperature", -30, 20, 1, Faults("cargo_temperature"), truck.CargoTemperature),
            new ScalarMetric("door", 0, 1, 0, Faults("door"), truck.Door),
            new ScalarMetric("battery", 22, 29.5, 2, Faults("battery"), truck.Battery),
        ];
    }

    /// <summary>Which leg of the tour, and how many seconds since the truck arrived at its start.</summary>
    private (int Leg, double Into) Plan(double seconds)
    {
        double tour = Curve.Fraction((seconds + _phase) / _tourSeconds) * _tourSeconds;
        int leg = _stops.Length - 1;
        while (leg > 0 && tour < _legStarts[leg])
        {
            leg--;
        }
        return (leg, tour - _legStarts[leg]);
    }

    private Position Where(double seconds)
    {
        (int leg, double into) = Plan(seconds);
        (double latitude, double longitude) = _stops[leg];
        (double toLatitude, double toLongitude) = _stops[(leg + 1) % _stops.Length];
        double x = Math.Clamp((into - StopSeconds) / DriveSeconds(leg), 0, 1);
        double done = Curve.Ease(x);
        double speed = 6 * x * (1 - x) * MeanSpeed; // the derivative of the ease curve
        double east = (toLongitude - longitude) * Math.Cos(double.DegreesToRadians((latitude + toLatitude) / 2));
        double heading = (double.RadiansToDegrees(Math.Atan2(east, toLatitude - latitude)) + 360) % 360;
        double errorNorth = 4 * _receiver.Smooth(seconds, 60) / MetresPerDegree;
        double errorEast = 4 * _receiver.Smooth(seconds, 75) / MetresPerDegree;
        return new Position(
            latitude + ((toLatitude - latitude) * done) + errorNorth,
            longitude + ((toLongitude - longitude) * done) + errorEast,
            speed,
            heading);
    }

    private double Door(double seconds) => IsOpen(Plan(seconds).Into) ? 1 : 0;

    private static bool IsOpen(double into) => into is >= 300 and < 300 + DoorSeconds;

    /// <summary>
    /// °C: the compressor's cycle around the set point, warmer the longer the door is open, cooled down again afterwards.
    /// </summary>
    private double CargoTemperature(double seconds)
    {
        double into = Plan(seconds).Into;
        double warmth = 0;
        if (into >= 300)
        {
            double open = Math.Min(into - 300, DoorSeconds);
            double since = Math.Max(0, into - 300 - DoorSeconds);
            warmth = 6 * (1 - Math.Exp(-open / DoorSeconds)) * Math.Exp(-since / CoolingTimeConstant);
        }
        double cycle = 0.7 * Math.Sin(2 * Math.PI * seconds / 900);
        return _setPoint + cycle + warmth + (0.3 * _compressor.Smooth(seconds, 3_600)) + (0.05 * _white.White(seconds));
    }

    /// <summary>Volts: the generator charges while the truck drives.</summary>
    private double Battery(double seconds)
    {
        (_, double into) = Plan(seconds);
        double charging = Curve.Ease((into - StopSeconds) / 30);
        return 25.2 + (2.6 * charging) - (0.4 * Curve.Ease(into / StopSeconds) * (1 - charging)) + (0.05 * _white.White(seconds));
    }

    /// <summary>Along the great circle, at the mean speed.</summary>
    private double DriveSeconds(int leg)
    {
        (double latitude, double longitude) = _stops[leg];
        (double toLatitude, double toLongitude) = _stops[(leg + 1) % _stops.Length];
        double a = Math.Pow(Math.Sin(double.DegreesToRadians(toLatitude - latitude) / 2), 2)
            + (Math.Cos(double.DegreesToRadians(latitude)) * Math.Cos(double.DegreesToRadians(toLatitude))
                * Math.Pow(Math.Sin(double.DegreesToRadians(toLongitude - longitude) / 2), 2));
        double kilometres = 2 * EarthRadius * Math.Asin(Math.Min(1, Math.Sqrt(a)));
        return kilometres / MeanSpeed * 3_600;
    }
}
