using System.Runtime.CompilerServices;
using Tributary.Broker.Partitions;
using Tributary.Contracts.Kafka;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>
/// The partitions of one Fetch until there is enough to answer: it waits without memory, and claims memory only for what it then reads.
/// Used by one request; what it has read belongs to the response once that is written.
/// </summary>
/// <param name="broker">The broker.</param>
/// <param name="targets">The partitions in the order in which the client wants them.</param>
/// <param name="minBytes">Fewer are only answered at the deadline.</param>
/// <param name="maxBytes">Most bytes, but for one batch (KIP-74).</param>
internal sealed class FetchRound(BrokerContext broker, FetchTarget[] targets, int minBytes, int maxBytes) : IDisposable
{
    /// <summary>A response may hold this much, however little memory is left for it.</summary>
    private const long LeastShare = 1 << 20;

    private readonly long _minBytes = Math.Min(minBytes, maxBytes);
    private long _claimed;

    /// <summary>Waits until there is something to answer, at most for <paramref name="limit"/>, and reads it.</summary>
    /// <exception cref="OperationCanceledException">The client has gone.</exception>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    public async ValueTask RunAsync(TimeSpan limit, CancellationToken cancellation)
    {
        ProgressWait? progress = null;
        bool isLast = limit <= TimeSpan.Zero || _minBytes <= 0;
        try
        {
            while (true)
            {
                if ((IsEnough() || isLast) && (await ReadAsync(cancellation) || isLast))
                {
                    return;
                }
                if (progress is null)
                {
                    progress = new ProgressWait(limit, broker.Time, cancellation);
                    Register(progress); // what came before is found by looking once more
                    continue;
                }
                isLast = !await progress.NextAsync();
                cancellation.ThrowIfCancellationRequested();
            }
        }
        finally
        {
            if (progress is not null)
            {
                Unregister(progress);
                progress.Dispose();
            }
        }
    }

    /// <summary>The response that is written next takes the claimed memory over.</summary>
    public void ChargeTo(ResponseFrame response)
    {
        response.Charge(broker.ResponseMemory, _claimed);
        _claimed = 0;
    }

    /// <summary>Gives back what was read and not written.</summary>
    public void Dispose()
    {
        foreach (FetchTarget target in targets)
        {
            target.Dispose();
        }
        broker.ResponseMemory.Release(_claimed);
        _claimed = 0;
    }

    private bool IsEnough()
    {
        long bytes = 0;
        bool allFull = true;
        foreach (FetchTarget target in targets)
        {
            target.Look();
            if (target.Error == ErrorCode.None && _minBytes > 1)
            {
                bytes += target.Measure(_minBytes - bytes, broker.Logger);
            }
            else
            {
                bytes += target.HasRecords ? 1 : 0; // any batch has as many
            }
            if (target.Error != ErrorCode.None || target.Diverging is not null || bytes >= _minBytes)
            {
                return true;
            }
            allFull &= target.IsFull;
        }
        return allFull; // more could not be taken, however long it waits; nor if nothing is asked for
    }

    /// <returns>Whether there is something to tell.</returns>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<bool> ReadAsync(CancellationToken cancellation)
    {
        if (HasRecords())
        {
            long claim = broker.ResponseMemory.Share(maxBytes, LeastShare);
            await broker.ResponseMemory.AcquireAsync(claim, cancellation);
            _claimed = claim;
        }
        long bytes = 0;
        bool isAnswer = targets.Length == 0;
        foreach (FetchTarget target in targets)
        {
            target.Look();
            target.Read(_claimed - bytes, first: bytes == 0, broker.Logger);
            bytes += target.Size;
            isAnswer |= target.Size > 0 || target.Error != ErrorCode.None || target.Diverging is not null;
        }
        SetClaim(bytes);
        return isAnswer;
    }

    private bool HasRecords()
    {
        foreach (FetchTarget target in targets)
        {
            target.Look();
            if (target.HasRecords)
            {
                return true;
            }
        }
        return false;
    }

    private void SetClaim(long bytes)
    {
        if (bytes < _claimed)
        {
            broker.ResponseMemory.Release(_claimed - bytes);
        }
        else
        {
            broker.ResponseMemory.Exceed(bytes - _claimed); // a first batch that is larger than the claim
        }
        _claimed = bytes;
    }

    private void Register(ProgressWait progress)
    {
        foreach (FetchTarget target in targets)
        {
            target.Partition?.AddReader(progress);
        }
    }

    private void Unregister(ProgressWait progress)
    {
        foreach (FetchTarget target in targets)
        {
            target.Partition?.RemoveReader(progress);
        }
    }
}
