using Tributary.FirmwareSim.Signals;

namespace Tributary.FirmwareSim.Devices;

/// <summary>A weather station: warm afternoons, cold nights, damp when it is cold, clouds that dim the sun and bring rain.</summary>
internal sealed class WeatherStation
{
    /// <summary>Irradiance of a clear sky with the sun overhead, W/m².</summary>
    private const double ClearSky = 1_050;

    private readonly Noise _fronts;
    private readonly Noise _clouds;
    private readonly Noise _wind;
    private readonly Noise _white;
    private readonly double _altitude;

    private WeatherStation(int seed, int index)
    {
        _fronts = Noise.For(seed, index, "fronts");
        _clouds = Noise.For(seed, index, "clouds");
        _wind = Noise.For(seed, index, "wind");
        _white = Noise.For(seed, index, "white");
        _altitude = Noise.For(seed, index, "plate").Between(0, 600);
    }

    /// <summary>What it reports.</summary>
    public static IReadOnlyList<Metric> Metrics(int seed, int index)
    {
        var station = new WeatherStation(seed, index);
        FaultPlan Faults(string metric) => new(Noise.For(seed, index, "fault " + metric));
        return
        [
            new ScalarMetric("temperature", -30, 45, 1, Faults("temperature"), station.Temperature),
            new ScalarMetric("humidity", 5, 100, 1, Faults("humidity"), station.Humidity),
            new ScalarMetric("air_pressure", 900, 1_060, 1, Faults("air_pressure"), station.AirPressure),
            new ScalarMetric("wind_speed", 0, 35, 1, Faults("wind_speed"), station.WindSpeed),
            new ScalarMetric("wind_direction", 0, 360, 0, Faults("wind_direction"), station.WindDirection),
            new ScalarMetric("irradiance", 0, 1_200, 0, Faults("irradiance"), station.Irradiance),
            new ScalarMetric("rain", 0, 30, 1, Faults("rain"), station.Rain),
        ];
    }

    /// <summary>0 clear, 1 overcast.</summary>
    private double Cloudiness(double seconds) =>
        Curve.Ease(0.5 + (0.6 * _clouds.Smooth(seconds, 4 * 3_600)) + (0.2 * _clouds.Smooth(seconds, 1_200)));

    /// <summary>°C; clouds flatten the day.</summary>
    private double Temperature(double seconds) =>
        10 + (9 * Curve.Seasonal(seconds)) - (0.0065 * _altitude) + ((6 - (2.5 * Cloudiness(seconds))) * Curve.Daily(seconds, 15))
        + (4 * _fronts.Smooth(seconds, 3 * Curve.Day)) + (0.08 * _white.White(seconds));

    private double Humidity(double seconds) =>
        68 - (16 * Curve.Daily(seconds, 15)) + (12 * Cloudiness(seconds)) + (6 * _fronts.Smooth(seconds, Curve.Day))
        + (0.3 * _white.White(seconds));

    /// <summary>hPa at the station's height.</summary>
    private double AirPressure(double seconds) =>
        ((1_013 + (14 * _fronts.Smooth(seconds, 4 * Curve.Day))) * Math.Exp(-_altitude / 8_400)) + (0.05 * _white.White(seconds));

    private double WindSpeed(double seconds) =>
        Math.Max(0, 4 + (3.5 * _wind.Smooth(seconds, 6 * 3_600)) + (1.8 * _wind.Smooth(seconds, 90)) + (0.4 * _white.White(seconds)));

    private double WindDirection(double seconds)
    {
        double turns = (0.5 * _wind.Smooth(seconds, Curve.Day)) + (0.05 * _wind.Smooth(seconds, 120));
        return 360 * Curve.Fraction(0.7 + turns);
    }

    /// <summary>W/m²: zero by night.</summary>
    private double Irradiance(double seconds)
    {
        double elevation = (0.55 * Curve.Daily(seconds, 12)) + (0.35 * Curve.Seasonal(seconds)) + 0.05;
        return elevation <= 0 ? 0 : ClearSky * elevation * (1 - (0.75 * Cloudiness(seconds))) * (1 + (0.01 * _white.White(seconds)));
    }

    /// <summary>mm/h.</summary>
    private double Rain(double seconds)
    {
        double excess = Cloudiness(seconds) - 0.85;
        return excess <= 0 ? 0 : excess * 40 * (0.6 + (0.4 * _clouds.Smooth(seconds, 300)));
    }
}
