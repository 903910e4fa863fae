namespace Tributary.Edge.Uplink;

/// <summary>
/// The cap on what is sent: a bucket that fills with the bytes of each second, up to an eighth of them, so that no second sees more than
/// nine eighths of the cap, beside a round of <see cref="LinkModel.LeastRound"/> or a single record that is larger. Rounds may overdraw
/// it by what was not known of them; that is paid before the next one. The schedule is looked at each time. One thread at a time.
/// </summary>
/// <param name="schedule">Which cap holds when.</param>
/// <param name="time">The clock on the wall, for the schedule.</param>
internal sealed class LinkCap(CapSchedule schedule, TimeProvider time)
{
    private const int BurstShare = 8;
    private static readonly TimeSpan LongestLook = TimeSpan.FromSeconds(1);
    private double _tokens;
    private TimeSpan _filledAt;

    /// <summary>The cap, bytes each second; null for none.</summary>
    public long? BytesPerSecond { get; private set; } = schedule.At(time.GetUtcNow());

    /// <summary>The cap by the clock of now, whether anybody sends or not.</summary>
    public long? Current => schedule.At(time.GetUtcNow());

    /// <summary>Most bytes of a round: it must fit into the bucket.</summary>
    public long MostOfRound => BytesPerSecond is { } cap ? Math.Max(LinkModel.LeastRound, cap / BurstShare) : long.MaxValue;

    /// <summary>Fills the bucket.</summary>
    /// <returns>Whether the cap has changed since the last look.</returns>
    public bool Look(TimeSpan now)
    {
        long? cap = schedule.At(time.GetUtcNow());
        bool isChanged = cap != BytesPerSecond;
        if (isChanged)
        {
            // A debt under another cap is none under this one, nor are savings.
            BytesPerSecond = cap;
            _tokens = 0;
        }
        else if (cap is { } rate)
        {
            _tokens = Math.Min(MostOfRound, _tokens + (rate * (now - _filledAt).TotalSeconds));
        }
        _filledAt = now;
        return isChanged;
    }

    /// <summary>Whether so many bytes may be sent.</summary>
    public bool Has(long bytes) => BytesPerSecond is null || _tokens >= bytes;

    /// <summary>Takes bytes out, or puts them back if there are fewer than none.</summary>
    public void Take(long bytes) => _tokens -= BytesPerSecond is null ? 0 : bytes;

    /// <summary>How long until so many bytes may be sent: at most until the schedule should be looked at again.</summary>
    public TimeSpan Until(long bytes)
    {
        if (BytesPerSecond is not { } cap || _tokens >= bytes)
        {
            return TimeSpan.Zero;
        }
        double seconds = (bytes - _tokens) / cap;
        return seconds >= LongestLook.TotalSeconds ? LongestLook : TimeSpan.FromMilliseconds(Math.Ceiling(seconds * 1000));
    }
}
