using System.Runtime.CompilerServices;

namespace Tributary.Broker.Gateway;

/// <summary>
/// The memory that requests take over all connections: their bytes while they arrive and are served, and what their elements become.
/// Small and large claims have a half each, so that a few large requests, however slowly they arrive, hold nobody's small ones up.
/// Callable from any thread.
/// </summary>
internal sealed class RequestMemory(BrokerOptions options, BrokerMetrics metrics)
{
    /// <summary>A claim above it is large.</summary>
    public const int SmallBytes = 1 << 20;

    /// <summary>About what an element of a request takes as an object, with its part of the answer.</summary>
    public const int ElementBytes = 256;

    /// <summary>A request with no more elements than this isn't charged for them.</summary>
    private const int FreeElements = 64;

    private readonly ByteBudget _small = new(options.MaxListenerRequestBytes / 2);
    private readonly ByteBudget _large = new(options.MaxListenerRequestBytes / 2);

    /// <summary>Bytes that are claimed.</summary>
    public long Held => _small.Held + _large.Held;

    /// <summary>What the elements of a request are charged with.</summary>
    public static long CostOf(int elements) => elements <= FreeElements ? 0 : (long)elements * ElementBytes;

    /// <summary>Claims bytes if they are there and nobody waits for them.</summary>
    public bool TryAcquire(long bytes)
    {
        if (!Of(bytes).TryAcquire(bytes))
        {
            return false;
        }
        metrics.RequestMemory(bytes);
        return true;
    }

    /// <summary>Claims bytes; completes when they are granted.</summary>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    public async ValueTask AcquireAsync(long bytes, CancellationToken cancellation)
    {
        await Of(bytes).AcquireAsync(bytes, cancellation);
        metrics.RequestMemory(bytes);
    }

    /// <summary>
    /// Makes a claim larger; completes when that is granted. Until then what is claimed stays so, which is why whoever waits here must
    /// give up after a while.
    /// </summary>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    public async ValueTask GrowAsync(long from, long to, CancellationToken cancellation)
    {
        bool moves = from <= SmallBytes && to > SmallBytes;
        await Of(to).AcquireAsync(moves ? to : to - from, cancellation);
        metrics.RequestMemory(to - from);
        if (moves)
        {
            _small.Release(from);
        }
    }

    /// <summary>Gives a whole claim back.</summary>
    public void Release(long bytes)
    {
        if (bytes > 0)
        {
            Of(bytes).Release(bytes);
            metrics.RequestMemory(-bytes);
        }
    }

    private ByteBudget Of(long claim) => claim <= SmallBytes ? _small : _large;
}
