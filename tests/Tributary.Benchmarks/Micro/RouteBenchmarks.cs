using BenchmarkDotNet.Attributes;
using Tributary.Contracts.Telemetry;
using Tributary.Edge.Ingest;

namespace Tributary.Benchmarks.Micro;

/// <summary>Where a message goes: found in the cache, as in steady state, and worked out by the routes (the baseline).</summary>
public class RouteBenchmarks
{
    private readonly byte[] _topic = "devices/device-1234/motor/temperature"u8.ToArray();
    private readonly TopicCache<string> _cache = new(1 << 20);

    [GlobalSetup]
    public void Setup() => _cache.Add(_topic, "target", 0);

    [Benchmark(Baseline = true)]
    public object Resolve() => RouteTable.Default.Resolve(_topic, "edge-1");

    [Benchmark]
    public object? Cached() => _cache.Find(_topic);
}
