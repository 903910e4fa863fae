using Tributary.Log;

namespace Tributary.Edge.Buffer;

/// <summary>
/// Keeps a partition's records from being given up while somebody may have to look for them after a crash. Callable from any thread.
/// </summary>
internal sealed class TrimHold
{
    private readonly Lock _lock = new();
    private long _limit = long.MaxValue;
    private long _wanted;

    /// <summary>Whether records are kept that nobody else needs.</summary>
    public bool IsHolding
    {
        get
        {
            lock (_lock)
            {
                return _wanted > _limit;
            }
        }
    }

    /// <summary>Gives up what lies before the offset, as far as it may be.</summary>
    /// <exception cref="OffsetOutOfRangeException">Above the log's flushed end.</exception>
    public void Advance(PartitionLog log, long offset)
    {
        lock (_lock)
        {
            _wanted = Math.Max(_wanted, offset);
            log.AdvanceStart(Math.Min(offset, _limit));
        }
    }

    /// <summary>What lies before the offset may be given up, and is if somebody wanted it.</summary>
    public void Release(PartitionLog log, long limit)
    {
        lock (_lock)
        {
            _limit = limit;
            log.AdvanceStart(Math.Min(_wanted, limit));
        }
    }
}
