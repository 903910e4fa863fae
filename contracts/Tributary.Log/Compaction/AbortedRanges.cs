namespace Tributary.Log.Compaction;

/// <summary>Tells batches of aborted transactions from others, for one walk over a log from its start on.</summary>
internal sealed class AbortedRanges
{
    private readonly Dictionary<long, Queue<AbortedTransaction>> _ofProducer = [];

    /// <param name="aborted">Those that have batches on the way, in the order of their markers.</param>
    public AbortedRanges(IReadOnlyList<AbortedTransaction> aborted)
    {
        foreach (AbortedTransaction one in aborted)
        {
            if (!_ofProducer.TryGetValue(one.ProducerId, out Queue<AbortedTransaction>? queue))
            {
                _ofProducer[one.ProducerId] = queue = new Queue<AbortedTransaction>();
            }
            queue.Enqueue(one);
        }
    }

    /// <summary>Whether a producer's transactional batch at an offset was taken back. Offsets only grow.</summary>
    public bool Contain(long producerId, long offset)
    {
        if (!_ofProducer.TryGetValue(producerId, out Queue<AbortedTransaction>? queue))
        {
            return false;
        }
        while (queue.TryPeek(out AbortedTransaction first) && first.MarkerOffset < offset)
        {
            queue.Dequeue();
        }
        return queue.TryPeek(out AbortedTransaction next) && next.FirstOffset <= offset;
    }
}
