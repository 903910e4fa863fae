using Microsoft.Extensions.Logging;
using Tributary.Broker.Metadata;
using Tributary.Broker.Partitions;
using Tributary.Log;

namespace Tributary.Broker.Gateway;

/// <summary>What handlers work with.</summary>
internal sealed record BrokerContext(
    BrokerOptions Options, LogDirectory Logs, PartitionManager Partitions, IControlPlane Control, TimeProvider Time, BrokerMetrics Metrics,
    ILogger Logger)
{
    /// <summary>Bytes of record batches that Fetch responses may hold until they are sent.</summary>
    public ByteBudget FetchMemory { get; } = new(Options.MaxListenerFetchBytes);
}
