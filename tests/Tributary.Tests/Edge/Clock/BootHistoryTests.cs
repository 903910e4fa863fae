using Tributary.Edge.Clock;
using Xunit;

namespace Tributary.Tests.Edge.Clock;

/// <summary>What follows from the boots of a device for the times of records.</summary>
public sealed class BootHistoryTests
{
    private const long Hour = 3_600_000;
    private const long Base = 1_767_225_600_000;
    private const int Drift = 100;

    [Fact]
    public void A_boot_that_learned_the_time_tells_that_of_the_records_before()
    {
        BootHistory history = Of(Trusted(1, Base, from: Hour, last: 2 * Hour));

        RecordTime time = history.TimeOf(new BootStamp(1, 1000))!.Value;
        Assert.Equal((Base + 1000, TimeMark.Corrected), (time.Timestamp, time.Mark));
        Assert.InRange(time.BoundMs, 50 + (Hour / 10_000), 50 + (Hour / 10_000) + 5);
    }

    [Fact]
    public void A_boot_without_time_lies_between_those_around_it()
    {
        // The first ran to hour 2, the last began at hour 10; between them one ran for an hour, so seven hours are not known.
        BootHistory history = Of(Trusted(1, Base, 0, 2 * Hour), Clockless(2, Hour), Trusted(3, Base + (10 * Hour), 0, Hour));

        RecordTime time = history.TimeOf(new BootStamp(2, Hour / 2))!.Value;
        Assert.Equal(TimeMark.Estimated, time.Mark);
        Assert.InRange(time.Timestamp, Base + (6 * Hour) - 10, Base + (6 * Hour) + 10);
        Assert.InRange(time.BoundMs, 7 * Hour / 2, (7 * Hour / 2) + 2000);
    }

    [Fact]
    public void Boots_without_time_in_a_row_keep_their_order_and_do_not_overlap()
    {
        BootHistory history = Of(
            Trusted(1, Base, 0, Hour), Clockless(2, 2 * Hour), Clockless(3, 3 * Hour), Clockless(4, Hour), Trusted(9, Base + (20 * Hour), 0, Hour));

        long last = Base + Hour;
        foreach ((int boot, long lasted) in new[] { (2, 2 * Hour), (3, 3 * Hour), (4, Hour) })
        {
            long from = history.TimeOf(new BootStamp(boot, 0))!.Value.Timestamp;
            Assert.True(from >= last - 10, $"boot {boot} begins before the one before has ended");
            last = history.TimeOf(new BootStamp(boot, lasted))!.Value.Timestamp;
        }
        Assert.True(last <= Base + (20 * Hour));
    }

    [Fact]
    public void As_long_as_no_later_boot_knows_the_time_nobody_does()
    {
        BootHistory history = Of(Trusted(1, Base, 0, Hour), Clockless(2, Hour), Clockless(3, Hour));

        Assert.Null(history.TimeOf(new BootStamp(2, 5)));
        Assert.Null(history.TimeOf(new BootStamp(3, 5)));
        Assert.NotNull(history.TimeOf(new BootStamp(1, 5)));
        RecordTime told = history.AsTold(new BootStamp(2, 5), 77);
        Assert.Equal(new RecordTime(1005, TimeMark.Untrusted, 0), told);
    }

    [Fact]
    public void Where_nothing_is_known_of_before_the_device_was_most_likely_switched_on_again_at_once()
    {
        BootHistory history = Of(Clockless(1, 3 * Hour), Trusted(2, Base, 0, Hour));

        RecordTime time = history.TimeOf(new BootStamp(1, Hour))!.Value;
        Assert.Equal((Base - (2 * Hour), TimeMark.Estimated), (time.Timestamp, time.Mark));
        Assert.True(time.BoundMs >= Base - (3 * Hour) - ClockTrust.Earliest.ToUnixTimeMilliseconds());
    }

    [Fact]
    public void A_boot_that_is_not_known_any_more_has_its_place_by_its_number()
    {
        BootHistory history = Of(Trusted(1, Base, 0, Hour), Trusted(5, Base + (10 * Hour), 0, Hour));

        RecordTime time = history.TimeOf(new BootStamp(3, Hour))!.Value;
        Assert.Equal(TimeMark.Estimated, time.Mark);
        Assert.InRange(time.Timestamp, Base + (2 * Hour), Base + (10 * Hour));
        Assert.InRange(time.BoundMs, 4 * Hour, (4 * Hour) + 2000);
        Assert.Null(history.TimeOf(new BootStamp(6, Hour)));
    }

    [Fact]
    public void Boots_that_contradict_each_other_bound_nothing()
    {
        BootHistory history = Of(Trusted(1, Base + (100 * Hour), 0, Hour), Clockless(2, Hour), Trusted(3, Base, 0, Hour));

        Assert.Equal(TimeMark.Untrusted, history.TimeOf(new BootStamp(2, 5))!.Value.Mark);
    }

    [Fact]
    public void What_was_believed_before_the_last_synchronised_boot_is_no_limit_to_later_ones()
    {
        Boot wrong = Trusted(1, Base + (1000 * Hour), 0, Hour);
        wrong = wrong with { First = wrong.First!.Value with { IsSynchronized = false }, Last = wrong.Last!.Value with { IsSynchronized = false } };

        Assert.Equal(Base + (1001 * Hour), Of(wrong).Newest);
        Assert.Equal(Base + Hour, Of(wrong, Trusted(2, Base, 0, Hour)).Newest);
        Assert.Equal(long.MinValue, Of(Clockless(1, Hour)).Newest);
    }

    [Fact]
    public void Whatever_the_boots_were_each_time_is_right_within_its_bound()
    {
        int estimated = 0;
        for (int seed = 1; seed <= 2000; seed++)
        {
            var random = new Random(seed);
            (BootHistory history, List<(BootStamp Stamp, long True)> records) = Make(random);
            foreach ((BootStamp stamp, long truth) in records)
            {
                if (history.TimeOf(stamp) is { Mark: not TimeMark.Untrusted } time)
                {
                    estimated += time.Mark == TimeMark.Estimated ? 1 : 0;
                    Assert.True(
                        Math.Abs(time.Timestamp - truth) <= time.BoundMs,
                        $"seed {seed}: {stamp} is {time.Timestamp - truth} ms off, and the bound is {time.BoundMs}");
                }
            }
        }
        Assert.True(estimated > 1000, $"only {estimated} were estimated");
    }

    /// <summary>Boots by chance, with an oscillator that drifts, times that are known not quite, and saves that come late.</summary>
    private static (BootHistory History, List<(BootStamp Stamp, long True)> Records) Make(Random random)
    {
        var boots = new List<Boot>();
        var records = new List<(BootStamp, long)>();
        double rate = 1 + ((random.NextDouble() - 0.5) * 2 * Drift / 1e6);
        double now = Base;
        for (int number = 1; number <= 8; number++)
        {
            now += random.NextDouble() * 10 * Hour;
            double lasted = random.NextDouble() * 50 * Hour;
            (ClockAnchor? first, ClockAnchor? last) = (null, null);
            if (random.Next(3) == 0)
            {
                double at = random.NextDouble() * lasted;
                first = Anchor(random, now, at, rate);
                last = Anchor(random, now, at + (random.NextDouble() * (lasted - at)), rate);
            }
            long saved = Math.Max(last?.SinceBootMs ?? 0, (long)(lasted * random.NextDouble() * rate));
            boots.Add(new Boot(number, Guid.NewGuid(), saved, first, last, 0));
            for (int i = 0; i < 5; i++)
            {
                double at = random.NextDouble() * lasted;
                records.Add((new BootStamp(number, (long)(at * rate)), (long)(now + at)));
            }
            now += lasted;
        }
        return (new BootHistory(boots, Drift), records);
    }

    private static ClockAnchor Anchor(Random random, double bootedAt, double at, double rate)
    {
        long error = random.Next(50, 5000);
        return new ClockAnchor((long)(at * rate), (long)(bootedAt + at) + random.NextInt64(-error, error + 1), error, true);
    }

    private static BootHistory Of(params Boot[] boots) => new(boots, Drift);

    private static Boot Clockless(int number, long lasted) => new(number, Guid.NewGuid(), lasted, null, null, 1000);

    private static Boot Trusted(int number, long bootedAt, long from, long last) => new(
        number, Guid.NewGuid(), last, new ClockAnchor(from, bootedAt + from, 50, true), new ClockAnchor(last, bootedAt + last, 50, true), 1000);
}
