using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Logging;
using Tributary.Broker.Gateway;
using Tributary.Broker.Groups;
using Tributary.Broker.Metadata;
using Tributary.Broker.Partitions;
using Tributary.Broker.Transactions;
using Tributary.Log;

namespace Tributary.Broker;

/// <summary>
/// A broker: the partitions that this node serves and the Kafka gateway to them. The host opens the log directory, runs
/// <see cref="Connections"/> on a Kestrel listener, and hands every new snapshot of the cluster to <see cref="ApplyAsync"/>; it
/// disposes first this and then the log directory.
/// </summary>
public sealed class BrokerServer : IBrokerPartitions, IAsyncDisposable
{
    private readonly KafkaConnectionHandler _connections;

    /// <summary>Makes a broker that serves nothing until the first <see cref="ApplyAsync"/>.</summary>
    /// <param name="options">Limits and defaults; validated here.</param>
    /// <param name="logs">The open log directory.</param>
    /// <param name="control">Who decides on topics and producer ids.</param>
    /// <param name="groups">Who works for consumer groups.</param>
    /// <param name="transactions">Who decides on transactions.</param>
    /// <param name="time">All time of the broker.</param>
    /// <param name="loggers">Where it logs.</param>
    /// <exception cref="ArgumentException">A setting can't be.</exception>
    public BrokerServer(
        BrokerOptions options, LogDirectory logs, IControlPlane control, IGroupCoordinator groups,
        ITransactionCoordinator transactions, TimeProvider time, ILoggerFactory loggers)
    {
        options.Validate();
        Metrics = new BrokerMetrics();
        Partitions = new PartitionManager(logs, options, time, loggers.CreateLogger<PartitionManager>());
        var context = new BrokerContext(
            options, logs, Partitions, control, groups, transactions, time, Metrics, loggers.CreateLogger<KafkaConnectionHandler>());
        Metrics.ResponseMemory = context.ResponseMemory;
        Metrics.FetchSessions = context.FetchSessions;
        Metrics.Compaction = Partitions.Compaction;
        _connections = new KafkaConnectionHandler(context);
        Context = context;
    }

    /// <summary>What tasks in this process work with.</summary>
    internal BrokerContext Context { get; }

    /// <summary>Serves Kafka clients: <c>listenOptions.Run(server.Connections.OnConnectedAsync)</c>.</summary>
    public ConnectionHandler Connections => _connections;

    /// <summary>The partitions that are served.</summary>
    public PartitionManager Partitions { get; }

    /// <summary>What is counted.</summary>
    public BrokerMetrics Metrics { get; }

    /// <inheritdoc cref="PartitionManager.ApplyAsync"/>
    public Task ApplyAsync(ClusterSnapshot snapshot, CancellationToken cancellation = default) =>
        Partitions.ApplyAsync(snapshot, cancellation);

    /// <inheritdoc cref="PartitionManager.RemoveAsync"/>
    public Task RemoveAsync(DeletedTopic topic, CancellationToken cancellation = default) => Partitions.RemoveAsync(topic, cancellation);

    /// <summary>Closes all connections, once what they have appended is answered or failed, and ends retention.</summary>
    public async ValueTask DisposeAsync()
    {
        await _connections.StopAsync();
        await Partitions.DisposeAsync();
        Metrics.Dispose();
    }
}
