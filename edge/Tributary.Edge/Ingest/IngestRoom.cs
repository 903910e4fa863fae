namespace Tributary.Edge.Ingest;

/// <summary>
/// Counts the bytes that are gathered and not yet appended, over all partitions. The bound is one for readers: what a connection has
/// in hand when it is reached is still taken. Callable from any thread.
/// </summary>
internal sealed class IngestRoom(long maxBytes)
{
    private long _used;
    private TaskCompletionSource? _waiting;

    /// <summary>Bytes gathered.</summary>
    public long Used => Volatile.Read(ref _used);

    /// <summary>Whether there is room for more.</summary>
    public bool HasRoom => Volatile.Read(ref _used) < maxBytes;

    public void Take(int bytes) => Interlocked.Add(ref _used, bytes);

    public void Give(long bytes)
    {
        if (Interlocked.Add(ref _used, -bytes) < maxBytes)
        {
            Interlocked.Exchange(ref _waiting, null)?.TrySetResult();
        }
    }

    /// <summary>Completes when there was room.</summary>
    public async ValueTask WaitAsync(CancellationToken cancellation)
    {
        while (!HasRoom)
        {
            var made = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            TaskCompletionSource waiting = Interlocked.CompareExchange(ref _waiting, made, null) ?? made;
            // Room that was given before the wait was published told nobody.
            if (HasRoom)
            {
                Interlocked.Exchange(ref _waiting, null)?.TrySetResult();
            }
            await waiting.Task.WaitAsync(cancellation).ConfigureAwait(false);
        }
    }
}
