namespace Tributary.Edge.Clock;

/// <summary>A moment of a boot whose time is known.</summary>
/// <param name="SinceBootMs">CLOCK_BOOTTIME, milliseconds.</param>
/// <param name="UnixMs">The time, Unix milliseconds.</param>
/// <param name="ErrorMs">How wrong it may be, milliseconds.</param>
/// <param name="IsSynchronized">Whether the kernel held the clock for synchronised; else it was another one that was trusted.</param>
internal readonly record struct ClockAnchor(long SinceBootMs, long UnixMs, long ErrorMs, bool IsSynchronized)
{
    /// <summary>When the boot began, Unix milliseconds.</summary>
    public long BootedAt => UnixMs - SinceBootMs;
}

/// <summary>A boot of the device, as far as the agent ran in it.</summary>
/// <param name="Number">Later ones have greater numbers.</param>
/// <param name="Id">What the kernel calls it.</param>
/// <param name="LastMs">The latest CLOCK_BOOTTIME of it that is known, milliseconds: it lasted at least so long.</param>
/// <param name="First">From when on the time was known in it; null if it was not.</param>
/// <param name="Last">When it was last known well; null if it was not.</param>
/// <param name="ToldBootedAt">When it began by what the clock said while nobody trusted it, Unix milliseconds.</param>
internal sealed record Boot(int Number, Guid Id, long LastMs, ClockAnchor? First, ClockAnchor? Last, long ToldBootedAt);

/// <summary>
/// The boots of the device in their order, and what follows from them: the times of records that were stored without one. Immutable.
/// <para>A boot that learned the time gives its own records theirs. One that did not lies between those around it: it began after the
/// last moment that is known of the trusted one before, and ended before the next trusted one began; the boots between lasted as long as
/// they did. The middle is the estimate, half of what is left the bound. Times are counted by clocks that nobody corrects, so drift is
/// added to each bound.</para>
/// </summary>
/// <param name="Boots">The boots, oldest first.</param>
/// <param name="MaxDrift">Parts per million by which a clock goes wrong at most.</param>
internal sealed record BootHistory(IReadOnlyList<Boot> Boots, int MaxDrift)
{
    /// <summary>What rounding to milliseconds may add.</summary>
    private const int RoundingMs = 2;

    /// <summary>
    /// The latest time that is known to be past, Unix milliseconds; <see cref="long.MinValue"/> for none. What was believed before the last
    /// synchronised boot does not count: that boot knew better.
    /// </summary>
    public long Newest
    {
        get
        {
            long newest = long.MinValue;
            for (int i = Boots.Count - 1; i >= 0; i--)
            {
                if (Boots[i] is { Last: { } last } boot)
                {
                    newest = Math.Max(newest, last.UnixMs + Math.Max(0, boot.LastMs - last.SinceBootMs));
                    if (last.IsSynchronized)
                    {
                        break;
                    }
                }
            }
            return newest;
        }
    }

    /// <summary>The time of a record; null as long as neither its boot nor a later one has learned the time.</summary>
    public RecordTime? TimeOf(BootStamp stamp)
    {
        int at = IndexOf(stamp.Boot);
        Boot? own = at < Boots.Count && Boots[at].Number == stamp.Boot ? Boots[at] : null;
        if (own is { First: { } first, Last: { } last })
        {
            bool isNearFirst = Math.Abs(stamp.Milliseconds - first.SinceBootMs) <= Math.Abs(stamp.Milliseconds - last.SinceBootMs);
            ClockAnchor anchor = isNearFirst ? first : last;
            long bound = anchor.ErrorMs + Drift(Math.Abs(stamp.Milliseconds - anchor.SinceBootMs)) + RoundingMs;
            return new RecordTime(anchor.BootedAt + stamp.Milliseconds, TimeMark.Corrected, bound);
        }
        // It lasted at least until the record.
        long lasted = Math.Max(stamp.Milliseconds, own?.LastMs ?? 0);
        return LatestStart(own is null ? at : at + 1, lasted) is { } latest ? Estimate(stamp, latest, EarliestStart(at - 1)) : null;
    }

    /// <summary>The time of a record by what the clock said then, though nobody trusted it.</summary>
    /// <param name="stamp">The record's.</param>
    /// <param name="toldBootedAt">When the present boot began by what the clock says, for records of boots that are not known any more.</param>
    public RecordTime AsTold(BootStamp stamp, long toldBootedAt)
    {
        int at = IndexOf(stamp.Boot);
        long bootedAt = at < Boots.Count && Boots[at].Number == stamp.Boot ? Boots[at].ToldBootedAt : toldBootedAt;
        return new RecordTime(bootedAt + stamp.Milliseconds, TimeMark.Untrusted, 0);
    }

    private RecordTime Estimate(BootStamp stamp, Limit latest, Limit? earliest)
    {
        Limit from = earliest ?? new Limit(ClockTrust.Earliest.ToUnixTimeMilliseconds(), 0);
        (long least, long most) = (from.UnixMs - from.ErrorMs, latest.UnixMs + latest.ErrorMs);
        if (most < least)
        {
            return new RecordTime(latest.UnixMs + stamp.Milliseconds, TimeMark.Untrusted, 0); // one of the two was trusted wrongly
        }
        // Where nothing is known of before, it was most likely switched on again at once.
        long start = earliest is null ? latest.UnixMs : from.UnixMs + ((latest.UnixMs - from.UnixMs) / 2);
        long bound = Math.Max(most - start, start - least) + Drift(stamp.Milliseconds) + RoundingMs;
        return new RecordTime(start + stamp.Milliseconds, TimeMark.Estimated, bound);
    }

    /// <summary>When a boot began at the latest, if it lasted so long and the ones from an index on followed.</summary>
    private Limit? LatestStart(int next, long lasted)
    {
        long spent = lasted;
        for (int i = next; i < Boots.Count; i++)
        {
            if (Boots[i].First is { } first)
            {
                return new Limit(first.BootedAt - spent, first.ErrorMs + Drift(first.SinceBootMs) + Drift(spent) + RoundingMs);
            }
            spent += Boots[i].LastMs;
        }
        return null;
    }

    /// <summary>When the boot behind an index began at the earliest.</summary>
    private Limit? EarliestStart(int before)
    {
        long spent = 0;
        for (int i = before; i >= 0; i--)
        {
            if (Boots[i].Last is { } last)
            {
                long since = Math.Max(0, Boots[i].LastMs - last.SinceBootMs);
                return new Limit(last.UnixMs + since + spent, last.ErrorMs + Drift(since) + Drift(spent) + RoundingMs);
            }
            spent += Boots[i].LastMs;
        }
        return null;
    }

    /// <summary>Index of the first boot that has this number or a greater one.</summary>
    private int IndexOf(int number)
    {
        int at = Boots.Count;
        while (at > 0 && Boots[at - 1].Number >= number)
        {
            at--;
        }
        return at;
    }

    private long Drift(long milliseconds) => (long)Math.Ceiling(milliseconds * (double)MaxDrift / (1_000_000 - MaxDrift));

    /// <param name="UnixMs">A time, Unix milliseconds.</param>
    /// <param name="ErrorMs">How wrong it may be.</param>
    private readonly record struct Limit(long UnixMs, long ErrorMs);
}
