using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Tributary.Broker;
using Tributary.Cloud.Api;

namespace Tributary.Cloud;

/// <summary>
/// The broker's place in the host's life: it starts when the silo is up and before the listeners open, and lets its clients go before
/// anything else stops. Leaders would be handed to other brokers first, if there were any.
/// </summary>
internal sealed class BrokerService(
    CloudOptions options, BrokerServer broker, GrainControlPlane control, AdvertisedAddress advertised, Readiness readiness,
    CloudMetrics metrics, TimeProvider time, ILogger<BrokerService> logger) : IHostedLifecycleService
{
    private static readonly TimeSpan ReapplyInterval = TimeSpan.FromSeconds(30);
    private ITimer? _reapply;
    private Task _reapplying = Task.CompletedTask;

    /// <summary>Where clients are told that the broker is.</summary>
    public HostPort Advertised => advertised.Value;

    /// <summary>Whether the silo came up and the broker's turn has come.</summary>
    public bool HasBegun { get; private set; }

    /// <inheritdoc/>
    public Task StartingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc/>
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        HasBegun = true;
        await control.StartAsync(CloudOptions.BrokerName, advertised.Value, broker, cancellationToken);
        var census = new PartitionCensus(broker, control);
        metrics.Watch(census);
        readiness.Started(census);
        _reapply = time.CreateTimer(_ => Reapply(), null, ReapplyInterval, ReapplyInterval);
    }

    /// <inheritdoc/>
    public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc/>
    public async Task StoppingAsync(CancellationToken cancellationToken)
    {
        logger.Stopping();
        readiness.Stopping();
        if (_reapply is not null)
        {
            await _reapply.DisposeAsync();
        }
        try
        {
            await _reapplying.WaitAsync(cancellationToken);
            await broker.DisposeAsync().AsTask().WaitAsync(cancellationToken); // cancelled at the host's limit
        }
        catch (OperationCanceledException)
        {
            logger.ConnectionsCut(options.ShutdownLimit);
        }
    }

    /// <inheritdoc/>
    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc/>
    public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    private void Reapply()
    {
        if (_reapplying.IsCompleted)
        {
            _reapplying = ReapplyAsync();
        }
    }

    private async Task ReapplyAsync()
    {
        try
        {
            await control.ReapplyAsync();
        }
        catch (Exception e)
        {
            logger.ReapplyFailed(e);
        }
    }
}
