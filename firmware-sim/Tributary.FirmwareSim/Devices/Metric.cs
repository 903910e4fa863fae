using System.Globalization;
using System.Text;
using Tributary.FirmwareSim.Signals;

namespace Tributary.FirmwareSim.Devices;

/// <summary>One thing that a device reports. A pure function of the time.</summary>
/// <param name="name">The last part of its MQTT topic.</param>
internal abstract class Metric(string name)
{
    /// <summary>The last part of its MQTT topic.</summary>
    public string Name { get; } = name;

    /// <summary>The payload at a time in seconds since 1970; null if the sensor does not answer.</summary>
    public abstract byte[]? Read(double seconds);
}

/// <summary>A number, published as text.</summary>
internal sealed class ScalarMetric : Metric
{
    private readonly FaultPlan _faults;
    private readonly Func<double, double> _signal;
    private readonly string _format;

    /// <param name="name">The last part of its MQTT topic.</param>
    /// <param name="least">The least value that the physics allow.</param>
    /// <param name="most">The greatest.</param>
    /// <param name="decimals">Digits after the point.</param>
    /// <param name="faults">When the sensor fails.</param>
    /// <param name="signal">The value at a time in seconds since 1970.</param>
    public ScalarMetric(string name, double least, double most, int decimals, FaultPlan faults, Func<double, double> signal)
        : base(name)
    {
        Least = least;
        Most = most;
        _faults = faults;
        _signal = signal;
        _format = "F" + decimals.ToString(CultureInfo.InvariantCulture);
    }

    /// <summary>The least value of a sensor that works.</summary>
    public double Least { get; }

    /// <summary>The greatest value of a sensor that works.</summary>
    public double Most { get; }

    /// <summary>What a sensor that works would say.</summary>
    public double Value(double seconds) => Math.Clamp(_signal(seconds), Least, Most);

    /// <inheritdoc/>
    public override byte[]? Read(double seconds)
    {
        Fault fault = _faults.At(seconds);
        double? value = fault.Kind switch
        {
            FaultKind.Dropout => null,
            FaultKind.Stuck => Value(fault.Since),
            FaultKind.Spike => Value(seconds) + (1.5 * (Most - Least)),
            _ => Value(seconds),
        };
        return value is { } number ? Encoding.ASCII.GetBytes(number.ToString(_format, CultureInfo.InvariantCulture)) : null;
    }
}

/// <summary>A position, published as JSON: latitude and longitude in degrees, speed in km/h, heading in degrees from north.</summary>
internal sealed class PositionMetric(string name, Func<double, bool> isLost, Func<double, Position> position) : Metric(name)
{
    /// <summary>Where it is.</summary>
    public Position Value(double seconds) => position(seconds);

    /// <inheritdoc/>
    public override byte[]? Read(double seconds)
    {
        if (isLost(seconds))
        {
            return null;
        }
        Position at = position(seconds);
        return Encoding.ASCII.GetBytes(string.Create(
            CultureInfo.InvariantCulture,
            $"{{\"lat\":{at.Latitude:F6},\"lon\":{at.Longitude:F6},\"speed\":{at.Speed:F1},\"heading\":{at.Heading:F0}}}"));
    }
}

/// <summary>A position and a movement.</summary>
/// <param name="Latitude">Degrees north.</param>
/// <param name="Longitude">Degrees east.</param>
/// <param name="Speed">km/h.</param>
/// <param name="Heading">Degrees from north, clockwise.</param>
internal readonly record struct Position(double Latitude, double Longitude, double Speed, double Heading);
