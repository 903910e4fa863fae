using Microsoft.Extensions.Logging;
using Tributary.Broker.Groups;
using Tributary.Broker.Metadata;
using Tributary.Broker.Partitions;
using Tributary.Broker.Transactions;
using Tributary.Log;

namespace Tributary.Broker.Gateway;

/// <summary>What handlers work with.</summary>
internal sealed record BrokerContext(
    BrokerOptions Options, LogDirectory Logs, PartitionManager Partitions, IControlPlane Control, IGroupCoordinator Groups,
    ITransactionCoordinator Transactions, TimeProvider Time, BrokerMetrics Metrics, ILogger Logger)
{
    /// <summary>Bytes that requests may hold until they are answered.</summary>
    public RequestMemory RequestMemory { get; } = new(Options, Metrics);

    /// <summary>Fetch sessions of all connections.</summary>
    public FetchSessionCache FetchSessions { get; } = new(Options, Time, Metrics);

    /// <summary>Bytes that Fetch responses, and other large ones, may hold until they are sent.</summary>
    public ByteBudget ResponseMemory { get; } = new(Options.MaxListenerResponseBytes);
}
