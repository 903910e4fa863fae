namespace Tributary.Log;

/// <summary>A transaction that was aborted, as far as one partition holds it.</summary>
/// <param name="ProducerId">Whose.</param>
/// <param name="FirstOffset">Its first batch; what the producer wrote from there on is not shown to those who read what is committed.</param>
/// <param name="MarkerOffset">The control record that ends it.</param>
public readonly record struct AbortedTransaction(long ProducerId, long FirstOffset, long MarkerOffset);

/// <summary>
/// Which transactions of a partition are open, and which have ended but perhaps not for good: what bounds the last stable offset. Follows
/// from the producers' state. Called under the partition's lock.
/// </summary>
internal sealed class UnstableTransactions
{
    // Both null until there is a transaction at all: thousands of partitions never see one.
    private SortedSet<(long First, long ProducerId)>? _open;
    private List<(long Marker, long First)>? _ended;

    /// <summary>Whether no transaction holds the last stable offset back.</summary>
    public bool IsEmpty => _open is not { Count: > 0 } && _ended is not { Count: > 0 };

    /// <summary>A producer's transaction begins.</summary>
    public void Begin(long producerId, long firstOffset) => (_open ??= []).Add((firstOffset, producerId));

    /// <summary>It ends by a marker, which may yet be lost.</summary>
    public void End(long producerId, long firstOffset, long markerOffset)
    {
        _open?.Remove((firstOffset, producerId));
        (_ended ??= []).Add((markerOffset, firstOffset));
    }

    /// <summary>The first offset of a transaction whose end isn't below <paramref name="highWatermark"/>; null if there is none.</summary>
    public long? FirstUnstable(long highWatermark)
    {
        _ended?.RemoveAll(ended => ended.Marker < highWatermark);
        long first = _open is { Count: > 0 } ? _open.Min.First : long.MaxValue;
        foreach ((_, long ended) in _ended ?? [])
        {
            first = Math.Min(first, ended);
        }
        return first == long.MaxValue ? null : first;
    }

    /// <summary>Begins anew from the producers' state, after what lay from an offset on was lost.</summary>
    public void Rebuild(IEnumerable<Producer> producers, long lostFrom)
    {
        _open = null;
        _ended?.RemoveAll(ended => ended.Marker >= lostFrom);
        foreach (Producer producer in producers)
        {
            if (producer.TransactionStart >= 0)
            {
                Begin(producer.Id, producer.TransactionStart);
            }
        }
    }

    /// <summary>There are none.</summary>
    public void Clear() => (_open, _ended) = (null, null);
}
