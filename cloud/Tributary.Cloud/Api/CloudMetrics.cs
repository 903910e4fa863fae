using System.Diagnostics.Metrics;
using Tributary.Broker.Metadata;
using Tributary.Log;

namespace Tributary.Cloud.Api;

/// <summary>What the program counts besides the broker: the meter <c>Tributary.Cloud</c>. Callable from any thread.</summary>
internal sealed class CloudMetrics : IDisposable
{
    /// <summary>Name of the meter.</summary>
    public const string MeterName = "Tributary.Cloud";

    private readonly Meter _meter = new(MeterName);
    private readonly Counter<long> _logEvents;
    private PartitionCensus? _census;

    public CloudMetrics()
    {
        _logEvents = _meter.CreateCounter<long>("tributary.cloud.log_events", "{event}", "Faults and repairs of partition logs, by kind.");
        _meter.CreateObservableGauge("tributary.cloud.topics", () => _census?.Topics ?? 0, "{topic}", "Topics.");
        _meter.CreateObservableGauge(
            "tributary.cloud.partitions", () => _census?.Led ?? 0, "{partition}", "Partitions that this broker leads.");
        _meter.CreateObservableGauge(
            "tributary.cloud.partitions_unavailable", () => _census?.Unavailable ?? 0, "{partition}",
            "Partitions that this broker leads and can't write.");
        _meter.CreateObservableGauge(
            "tributary.cloud.log_size", () => _census?.Bytes ?? 0, "By", "Bytes that the partitions take on disk.");
    }

    /// <summary>From now on the partitions are counted too.</summary>
    public void Watch(PartitionCensus census) => _census = census;

    /// <summary>Something befell a log.</summary>
    public void CountLogEvent(LogEventKind kind) => _logEvents.Add(1, new KeyValuePair<string, object?>("kind", kind.ToString()));

    /// <inheritdoc/>
    public void Dispose() => _meter.Dispose();
}
