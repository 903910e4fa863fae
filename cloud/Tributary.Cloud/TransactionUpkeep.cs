using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Tributary.Broker.Transactions;

namespace Tributary.Cloud;

/// <summary>
/// What transactions need beside their clients: after a start, and now and then, those that are decided go on and those whose time is over
/// soon are loaded, so that each ends whatever crashed; and what nobody has used for long is forgotten. It holds nothing up: a transactional
/// id that is asked for goes on at once.
/// </summary>
internal sealed class TransactionUpkeep(
    TransactionOptions options, GrainTransactionCoordinator transactions, TimeProvider time, ILogger<TransactionUpkeep> logger)
    : BackgroundService
{
    /// <summary>Time between two looks for what nobody has used for long: each reads the whole table.</summary>
    private static readonly TimeSpan ExpiryInterval = TimeSpan.FromHours(1);

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        DateTimeOffset expires = time.GetUtcNow();
        while (!stoppingToken.IsCancellationRequested)
        {
            DateTimeOffset now = time.GetUtcNow();
            await TryAsync(stop => transactions.WakeDueAsync((now + options.UpkeepInterval).ToUnixTimeMilliseconds(), stop), stoppingToken);
            if (now >= expires)
            {
                await TryAsync(
                    stop => transactions.ExpireAsync((now - options.IdExpiration).ToUnixTimeMilliseconds(), stop), stoppingToken);
                expires = now + ExpiryInterval;
            }
            await TryAsync(stop => Task.Delay(options.UpkeepInterval, time, stop), stoppingToken);
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
            logger.TransactionUpkeepFailed(e);
        }
    }
}
