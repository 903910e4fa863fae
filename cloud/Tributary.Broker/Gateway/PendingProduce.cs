using System.Runtime.CompilerServices;
using Tributary.Broker.Gateway.Handlers;
using Tributary.Broker.Partitions;

namespace Tributary.Broker.Gateway;

/// <summary>A Produce whose batches are appended and whose answer waits for their flush.</summary>
/// <param name="request">The request; its frame is gone.</param>
/// <param name="wait">What it waits for.</param>
/// <param name="limit">How long, from when it was received.</param>
internal abstract class PendingProduce(Request request, CommitWait wait, TimeSpan limit)
{
    public Request Request { get; } = request;

    public CommitWait Wait { get; } = wait;

    public TimeSpan Limit { get; } = limit;

    /// <summary>Writes the whole answer, header included. Called once, when the wait is over.</summary>
    public abstract void WriteTo(ResponseFrame response);
}

/// <summary>The one timer of a connection's answering loop: ends the wait of the request that is the next to be answered.</summary>
internal sealed class PendingDeadline : IDisposable
{
    private readonly TimeProvider _time;
    private readonly ITimer _timer;
    private PendingProduce? _current;

    public PendingDeadline(TimeProvider time)
    {
        _time = time;
        _timer = time.CreateTimer(
            static state => ((PendingDeadline)state!).Expire(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Waits for the request's batches, at most until its limit.</summary>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    public async ValueTask WaitAsync(PendingProduce pending)
    {
        TimeSpan left = pending.Limit - _time.GetElapsedTime(pending.Request.ReceivedAt);
        Volatile.Write(ref _current, pending);
        _timer.Change(left > TimeSpan.Zero ? left : TimeSpan.Zero, Timeout.InfiniteTimeSpan);
        await pending.Wait.Task;
        Volatile.Write(ref _current, null);
        _timer.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    public void Dispose() => _timer.Dispose();

    private void Expire()
    {
        if (Volatile.Read(ref _current) is not { } current)
        {
            return;
        }
        TimeSpan left = current.Limit - _time.GetElapsedTime(current.Request.ReceivedAt);
        if (left <= TimeSpan.Zero)
        {
            current.Wait.Expire();
            return;
        }
        // The tick came early, or was meant for the request before.
        _timer.Change(left + TimeSpan.FromMilliseconds(1), Timeout.InfiniteTimeSpan);
    }
}
