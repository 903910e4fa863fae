using System.Globalization;

namespace Tributary.FirmwareSim.Devices;

/// <summary>One simulated device: its name and what it reports. Immutable, a pure function of seed, index and time.</summary>
internal sealed class Device
{
    private readonly string[] _topics;

    private Device(string name, IReadOnlyList<Metric> metrics)
    {
        Name = name;
        Metrics = metrics;
        _topics = [.. metrics.Select(metric => $"devices/{name}/{metric.Name}")];
    }

    /// <summary>Name, MQTT client id and the second part of its topics.</summary>
    public string Name { get; }

    /// <summary>What it reports, in turn.</summary>
    public IReadOnlyList<Metric> Metrics { get; }

    /// <summary>The device with an index; each four neighbours are a pump, a meter, a weather station and a truck.</summary>
    public static Device Create(int seed, int index)
    {
        (string kind, IReadOnlyList<Metric> metrics) = (index % 4) switch
        {
            0 => ("pump", Pump.Metrics(seed, index)),
            1 => ("meter", Meter.Metrics(seed, index)),
            2 => ("weather", WeatherStation.Metrics(seed, index)),
            _ => ("truck", Truck.Metrics(seed, index)),
        };
        return new Device(string.Create(CultureInfo.InvariantCulture, $"{kind}-{index + 1:D4}"), metrics);
    }

    /// <summary>The MQTT topic of a metric.</summary>
    public string Topic(int metric) => _topics[metric];
}
