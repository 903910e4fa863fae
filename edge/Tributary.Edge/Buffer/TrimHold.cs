using Tributary.Edge.Clock;
using Tributary.Log;

namespace Tributary.Edge.Buffer;

/// <summary>
/// Decides when a partition's records are given up: when the cloud has acknowledged them, the time to keep them has passed, and nobody may
/// have to look for them after a crash. When room is needed they go before that time, and even unacknowledged ones if the topic's
/// policy says so; never those that may be looked for. Callable from any thread.
/// <para>The time to keep them counts from when the log was written, by a trusted clock, or from their acknowledgement to this process, by
/// the clock that never jumps: whatever ends first.</para>
/// </summary>
internal sealed class TrimHold(PartitionLog log, TimeSpan keep, TimeProvider time)
{
    /// <summary>How many acknowledgements are remembered: their time is right to so many parts of the time to keep.</summary>
    private const int MostMarks = 64;

    private readonly Lock _lock = new();
    private readonly EdgeClock _clock = EdgeClock.Of(time);
    private readonly Queue<(long Offset, long At)> _marks = new();
    private long _markedAt;
    private long _passed;
    private long _limit = long.MaxValue;
    private long _wanted;
    private bool _isBlocked;
    private long _dropped;

    /// <summary>Whether records are kept that nobody else needs, since somebody may have to look for them.</summary>
    public bool IsHolding
    {
        get
        {
            lock (_lock)
            {
                return _isBlocked || Wanted() > _limit;
            }
        }
    }

    /// <summary>Records that were given up without an acknowledgement, since the start.</summary>
    public long Dropped => Volatile.Read(ref _dropped);

    /// <summary>The cloud has what lies before the offset: it is given up as far as it may be.</summary>
    /// <exception cref="OffsetOutOfRangeException">Above the log's flushed end.</exception>
    public void Advance(long offset)
    {
        lock (_lock)
        {
            _wanted = Math.Max(_wanted, offset);
            Mark();
            AdvanceLocked();
        }
    }

    /// <summary>The cloud had what lies before the offset when the agent ended: it is given up when room is needed.</summary>
    public void Acknowledged(long offset)
    {
        lock (_lock)
        {
            _wanted = Math.Max(_wanted, offset);
            Mark();
        }
    }

    /// <summary>What lies before the offset is not looked for any more, and is given up if nobody else needs it.</summary>
    public void Release(long limit)
    {
        lock (_lock)
        {
            _limit = limit;
            _isBlocked = false;
            AdvanceLocked();
        }
    }

    /// <summary>Looks whether the time to keep something has passed.</summary>
    public void Look()
    {
        if (keep > TimeSpan.Zero)
        {
            lock (_lock)
            {
                Mark();
                AdvanceLocked();
            }
        }
    }

    /// <summary>Gives records up that the cloud has, though they were to be kept for a time.</summary>
    /// <param name="why">The end of a sentence.</param>
    /// <returns>Whether there were any.</returns>
    public bool DropKept(string why)
    {
        lock (_lock)
        {
            return MayDrop(_wanted) && log.DropOldestSegment(_limit, why) > 0;
        }
    }

    /// <summary>Gives the oldest segment up, acknowledged or not.</summary>
    /// <param name="why">The end of a sentence.</param>
    /// <returns>Whether there was one that could go.</returns>
    public bool DropOldest(string why)
    {
        lock (_lock)
        {
            long from = Math.Max(_wanted, log.StartOffset);
            if (!MayDrop(long.MaxValue) || log.DropOldestSegment(_limit, why) == 0)
            {
                return false;
            }
            Volatile.Write(ref _dropped, _dropped + Math.Max(0, log.StartOffset - from));
            return true;
        }
    }

    /// <summary>Whether there is a segment to give up below the offset; one that is held back only by the limit is asked for.</summary>
    private bool MayDrop(long below)
    {
        long end = log.EndOfOldestSegment;
        if (end < 0 || end > below)
        {
            return false;
        }
        _isBlocked |= end > _limit;
        return end <= _limit;
    }

    private long Wanted()
    {
        if (keep <= TimeSpan.Zero)
        {
            return _wanted;
        }
        while (_marks.TryPeek(out (long Offset, long At) mark) && _clock.GetElapsedTime(mark.At) >= keep)
        {
            _passed = mark.Offset;
            _marks.Dequeue();
        }
        long written = _clock.IsTrusted ? log.EndOfSegmentsBefore(_clock.GetUtcNow() - keep) : 0;
        return Math.Min(_wanted, Math.Max(written, _passed));
    }

    /// <summary>Remembers now and then how far it was acknowledged.</summary>
    private void Mark()
    {
        if (keep > TimeSpan.Zero && (_marks.Count == 0 || (_marks.Count <= MostMarks && _clock.GetElapsedTime(_markedAt) >= keep / MostMarks)))
        {
            _markedAt = _clock.GetTimestamp();
            _marks.Enqueue((_wanted, _markedAt));
        }
    }

    private void AdvanceLocked() => log.AdvanceStart(Math.Min(Wanted(), _limit));
}
