using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Tributary.Broker.Groups;

namespace Tributary.Cloud;

/// <summary>
/// What groups need beside their clients: after a start those with members are loaded, so that members that are gone are missed; and now
/// and then what is kept no longer goes. Neither holds anything up: a group that is asked for is there at once.
/// </summary>
internal sealed class GroupUpkeep(
    GroupOptions options, GrainGroupCoordinator groups, TimeProvider time, ILogger<GroupUpkeep> logger) : BackgroundService
{
    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await TryAsync(groups.WakeAsync, stoppingToken);
        while (!stoppingToken.IsCancellationRequested)
        {
            await TryAsync(stop => Task.Delay(options.OffsetRetentionInterval, time, stop), stoppingToken);
            long before = (time.GetUtcNow() - options.OffsetRetention).ToUnixTimeMilliseconds();
            await TryAsync(stop => groups.ExpireAsync(before, stop), stoppingToken);
        }
    }

    private async Task TryAsync(Func<CancellationToken, Task> perform, CancellationToken stopping)
    {
        try
        {
            stopping.ThrowIfCancellationRequested();
            await perform(stopping);
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            // Next time.
        }
        catch (Exception e)
        {
            logger.GroupUpkeepFailed(e);
        }
    }
}
