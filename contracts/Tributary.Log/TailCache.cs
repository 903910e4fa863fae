namespace Tributary.Log;

/// <summary>
/// Bounds the memory that the tails of all partitions take. Oldest chunks go first; chunks that are not durable yet stay (their
/// bytes are bounded by <see cref="LogDirectoryOptions.MaxUnflushedBytes"/>). <see cref="Trim"/> runs on the writer thread.
/// </summary>
internal sealed class TailCache(long limitBytes)
{
    private readonly Lock _lock = new();
    private readonly LinkedList<TailChunk> _order = new();
    private long _bytes;

    /// <summary>Bytes of all chunks.</summary>
    public long Bytes => Interlocked.Read(ref _bytes);

    /// <summary>A chunk was added. Called under its partition's lock.</summary>
    public void Added(TailChunk chunk)
    {
        Interlocked.Add(ref _bytes, chunk.Capacity);
        lock (_lock)
        {
            _order.AddLast(chunk.Node);
        }
    }

    /// <summary>A chunk is removed. Called under its partition's lock.</summary>
    public void Removed(TailChunk chunk)
    {
        Interlocked.Add(ref _bytes, -chunk.Capacity);
        lock (_lock)
        {
            _order.Remove(chunk.Node);
        }
    }

    /// <summary>Removes the oldest chunks until the limit is kept. Called without any lock.</summary>
    public void Trim()
    {
        if (Bytes <= limitBytes)
        {
            return;
        }
        int left;
        lock (_lock)
        {
            left = _order.Count;
        }
        for (; left > 0 && Bytes > limitBytes; left--)
        {
            PartitionLog? owner;
            lock (_lock)
            {
                if (_order.First is not { } oldest)
                {
                    return;
                }
                owner = oldest.Value.Owner;
            }
            if (!owner!.EvictTail())
            {
                lock (_lock)
                {
                    if (_order.First is { } unflushed)
                    {
                        _order.Remove(unflushed);
                        _order.AddLast(unflushed);
                    }
                }
            }
        }
    }
}
