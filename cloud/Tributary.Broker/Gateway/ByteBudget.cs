namespace Tributary.Broker.Gateway;

/// <summary>
/// A number of bytes that many share. Whoever needs more than is left waits, first come first served, so a large claim isn't starved by
/// small ones. A claim above the whole budget is granted when nobody else holds any. Callable from any thread.
/// </summary>
internal sealed class ByteBudget(long limit)
{
    private const int SharedBy = 8;
    private readonly Lock _lock = new();
    private readonly LinkedList<Claim> _claims = [];
    private long _held;

    /// <summary>Bytes that are claimed and granted.</summary>
    public long Held
    {
        get
        {
            lock (_lock)
            {
                return _held;
            }
        }
    }

    /// <summary>
    /// What one of several may claim, so that the rest is left to the others: of <paramref name="wanted"/> at most a part of what isn't
    /// held yet, and at least <paramref name="least"/>.
    /// </summary>
    public long Share(long wanted, long least)
    {
        lock (_lock)
        {
            return Math.Min(wanted, Math.Max(least, (limit - _held) / SharedBy));
        }
    }

    /// <summary>Takes bytes whether or not they fit: what a claim turned out to need more.</summary>
    public void Exceed(long bytes)
    {
        lock (_lock)
        {
            _held += bytes;
        }
    }

    /// <summary>Claims bytes if they fit and nobody waits.</summary>
    public bool TryAcquire(long bytes)
    {
        lock (_lock)
        {
            if (_claims.Count > 0 || !Fits(bytes))
            {
                return false;
            }
            _held += bytes;
            return true;
        }
    }

    /// <summary>Claims bytes; completes when they are granted.</summary>
    public ValueTask AcquireAsync(long bytes, CancellationToken cancellation)
    {
        LinkedListNode<Claim> node;
        lock (_lock)
        {
            if (_claims.Count == 0 && Fits(bytes))
            {
                _held += bytes;
                return ValueTask.CompletedTask;
            }
            node = _claims.AddLast(new Claim(bytes));
        }
        return WaitAsync(node, cancellation);
    }

    /// <summary>Gives bytes back.</summary>
    public void Release(long bytes)
    {
        lock (_lock)
        {
            _held -= bytes;
            if (_held < 0)
            {
                throw new InvalidOperationException("more bytes were given back than were held");
            }
            GrantLocked();
        }
    }

    private async ValueTask WaitAsync(LinkedListNode<Claim> node, CancellationToken cancellation)
    {
        using CancellationTokenRegistration registration = cancellation.UnsafeRegister(_ => Cancel(node, cancellation), null);
        await node.Value.Granted.Task;
    }

    private void Cancel(LinkedListNode<Claim> node, CancellationToken cancellation)
    {
        lock (_lock)
        {
            if (node.List is null)
            {
                return; // granted before
            }
            _claims.Remove(node);
            GrantLocked();
        }
        node.Value.Granted.TrySetCanceled(cancellation);
    }

    private void GrantLocked()
    {
        while (_claims.First is { } first && Fits(first.Value.Bytes))
        {
            _held += first.Value.Bytes;
            _claims.RemoveFirst();
            first.Value.Granted.SetResult();
        }
    }

    private bool Fits(long bytes) => _held == 0 || _held + bytes <= limit;

    private sealed record Claim(long Bytes)
    {
        public TaskCompletionSource Granted { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
