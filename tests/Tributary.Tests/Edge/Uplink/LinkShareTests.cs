using Tributary.Edge.Uplink;
using Xunit;

namespace Tributary.Tests.Edge.Uplink;

/// <summary>How the link is shared, on a simulated one.</summary>
public sealed class LinkShareTests
{
    private static readonly TimeSpan Warm = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan End = TimeSpan.FromSeconds(120);

    public static TheoryData<double, int, int[]> Grid()
    {
        var grid = new TheoryData<double, int, int[]>();
        int[][] priorities = [[5], [5, 5, 5], [4, 5, 7], [0, 1, 2, 3, 4, 5, 6, 7]];
        foreach (double rate in new[] { 10e3, 100e3, 1e6, 10e6, 100e6 })
        {
            foreach (int roundTrip in new[] { 1, 30, 150, 700 })
            {
                foreach (int[] set in priorities)
                {
                    grid.Add(rate, roundTrip, set);
                }
            }
        }
        return grid;
    }

    /// <summary>
    /// A backlog uses what the link carries, or what five rounds of a megabyte for each partition can; a record of the highest priority is
    /// there within a second, and a round trip on long links; the topics get their parts.
    /// </summary>
    [Theory]
    [MemberData(nameof(Grid))]
    public void Backlogs_use_the_link_in_their_parts_and_keep_nothing_urgent_waiting(double rate, int roundTripMs, int[] priorities)
    {
        var link = new SimulatedLink(rate, TimeSpan.FromMilliseconds(roundTripMs));
        SimulatedSender[] senders = [.. priorities.Select((priority, i) => link.Join($"topic-{i}", priority))];
        SimulatedSender urgent = link.Join("edge.events", LinkShare.MaxPriority);
        Array.ForEach(senders, sender => sender.SetBacklog(true));
        link.RunUntil(Warm);
        long[] before = [.. senders.Select(sender => sender.Delivered)];
        var random = new Random(1);
        for (TimeSpan at = Warm; at < End - TimeSpan.FromSeconds(5); at += TimeSpan.FromSeconds(3 + random.NextDouble()))
        {
            link.At(at, () => urgent.Put(300));
        }
        link.RunUntil(End);

        long[] delivered = [.. senders.Zip(before).Select(pair => pair.First.Delivered - pair.Second)];
        double seconds = (End - Warm).TotalSeconds;
        double rounds = (double)SimulatedSender.MostRounds * SimulatedSender.MostBytes;
        double ofOne = rounds / ((roundTripMs / 1000.0) + (SimulatedSender.MostBytes / rate));
        Assert.True(delivered.Sum() >= 0.8 * seconds * Math.Min(rate, senders.Length * ofOne), $"{delivered.Sum() / seconds:0} bytes/s");
        TimeSpan most = TimeSpan.FromSeconds(1) + (roundTripMs > 150 ? link.RoundTrip : TimeSpan.Zero);
        Assert.Equal(0, urgent.InFlight);
        Assert.InRange(urgent.Delays.Count, 20, 40);
        Assert.All(urgent.Delays, delay => Assert.True(delay <= most, $"{delay}"));
        Assert.All(delivered, bytes => Assert.NotEqual(0, bytes));
        double weights = priorities.Sum(priority => 1 << priority);
        // Beyond that the rounds of the first are all on their way, and there is room for everybody.
        if (rate * (0.25 + (2 * link.RoundTrip.TotalSeconds)) * (1 << priorities.Max()) / weights < rounds)
        {
            double round = Math.Max(LinkModel.LeastRound, rate * Math.Max(0.125, roundTripMs / 2000.0));
            Assert.All(
                delivered.Zip(priorities),
                pair => Assert.InRange(pair.First - (delivered.Sum() * (1 << pair.Second) / weights), -Tolerance(pair.First), Tolerance(pair.First)));
            double Tolerance(long bytes) => (0.1 * bytes) + (2 * round);
        }
    }

    [Theory]
    [InlineData(20e3, 200e3, 1)]
    [InlineData(20e3, 200e3, 700)]
    [InlineData(200e3, 400e3, 30)]
    [InlineData(200e3, 100e6, 1)]
    [InlineData(200e3, 100e6, 700)]
    [InlineData(2e6, 20e6, 150)]
    [InlineData(5e3, 100e3, 30)]
    public void A_cap_is_kept_in_every_second_and_used(double cap, double rate, int roundTripMs)
    {
        var link = new SimulatedLink(
            rate, TimeSpan.FromMilliseconds(roundTripMs), clock => new LinkShare(CapSchedule.Always((long)cap), clock));
        SimulatedSender[] senders = [.. new[] { 4, 5, 7 }.Select(priority => link.Join($"topic-{priority}", priority))];
        Array.ForEach(senders, sender => sender.SetBacklog(true));
        link.RunUntil(End);

        Assert.Equal((long)cap, link.Share.Status.CapBytesPerSecond);
        Assert.InRange(SentBetween(link, Warm, End) / (End - Warm).TotalSeconds, 0.8 * cap, 1.01 * cap);
        double most = (cap * 9 / 8) + LinkModel.LeastRound;
        Assert.All(link.Sent, sent => Assert.InRange(SentBetween(link, sent.At, sent.At + TimeSpan.FromSeconds(1)), 0, most));
        double[] parts = [.. senders.Select(sender => (double)sender.Delivered / senders.Sum(other => other.Delivered))];
        Assert.InRange(parts[2], 0.65, 0.80); // 128 of 176
        Assert.InRange(parts[0], 0.07, 0.11); // 16 of 176
    }

    [Fact]
    public void An_urgent_record_does_not_wait_for_a_cap_that_a_backlog_uses()
    {
        var link = new SimulatedLink(1e6, TimeSpan.FromMilliseconds(50), clock => new LinkShare(CapSchedule.Always(20_000), clock));
        link.Join("telemetry", 5).SetBacklog(true);
        SimulatedSender urgent = link.Join("alarms", 8);
        for (int second = 10; second < 100; second++)
        {
            link.At(TimeSpan.FromSeconds(second * 1.07), () => urgent.Put(200));
        }
        link.RunUntil(End);

        Assert.Equal(90, urgent.Delays.Count);
        Assert.All(urgent.Delays, delay => Assert.True(delay < TimeSpan.FromSeconds(1), $"{delay}"));
    }

    [Fact]
    public void The_schedule_changes_the_cap_at_its_minute()
    {
        CapSchedule schedule = CapSchedule.Parse(["12:01-12:03=10000", "12:03-12:04=unlimited"], TimeZoneInfo.Utc, 100_000);
        var link = new SimulatedLink(1e6, TimeSpan.FromMilliseconds(30), clock => new LinkShare(schedule, clock));
        link.Join("telemetry", 5).SetBacklog(true);
        link.RunUntil(TimeSpan.FromMinutes(5));

        Assert.InRange(Rate(0.5, 1), 80_000, 101_000);
        Assert.InRange(Rate(1.05, 3), 8_000, 10_100);
        Assert.InRange(Rate(3.1, 4), 800_000, 1_000_001);
        Assert.InRange(Rate(4.05, 5), 80_000, 101_000);
        double Rate(double from, double to) => SentBetween(link, TimeSpan.FromMinutes(from), TimeSpan.FromMinutes(to)) / ((to - from) * 60);
    }

    [Fact]
    public void Who_was_idle_gets_its_part_again_and_no_claim_on_the_past()
    {
        var link = new SimulatedLink(100e3, TimeSpan.FromMilliseconds(30));
        SimulatedSender one = link.Join("one", 5);
        SimulatedSender other = link.Join("other", 5);
        one.SetBacklog(true);
        other.SetBacklog(true);
        link.RunUntil(TimeSpan.FromSeconds(20));
        one.SetBacklog(false);
        long before = other.Delivered;
        link.RunUntil(TimeSpan.FromSeconds(60));
        Assert.InRange((other.Delivered - before) / 40.0, 80e3, 101e3);

        one.SetBacklog(true);
        (long ofOne, long ofOther) = (one.Delivered, other.Delivered);
        link.RunUntil(TimeSpan.FromSeconds(70));
        Assert.InRange((one.Delivered - ofOne) / 10.0, 40e3, 60e3);
        Assert.InRange((other.Delivered - ofOther) / 10.0, 40e3, 60e3);
    }

    [Fact]
    public void The_partitions_of_a_topic_share_its_part()
    {
        var link = new SimulatedLink(100e3, TimeSpan.FromMilliseconds(30));
        SimulatedSender[] many = [.. Enumerable.Range(0, 4).Select(_ => link.Join("many", 5))];
        SimulatedSender single = link.Join("single", 5);
        Array.ForEach(many, sender => sender.SetBacklog(true));
        single.SetBacklog(true);
        link.RunUntil(End);

        Assert.InRange(single.Delivered / 120.0, 40e3, 60e3);
        Assert.All(many, sender => Assert.InRange(sender.Delivered / 120.0, 9e3, 16e3));
    }

    [Fact]
    public void A_partition_whose_link_is_dead_keeps_nobody_from_sending_and_returns_its_share()
    {
        var link = new SimulatedLink(100e3, TimeSpan.FromMilliseconds(30));
        SimulatedSender dead = link.Join("dead", 9);
        SimulatedSender living = link.Join("living", 5);
        dead.SetBacklog(true);
        living.SetBacklog(true);
        link.RunUntil(TimeSpan.FromSeconds(10));
        dead.IsCut = true;
        long before = living.Delivered;
        link.RunUntil(TimeSpan.FromSeconds(40));
        Assert.True(living.Delivered - before > 0.5 * 30 * 100e3, $"{living.Delivered - before}");
        Assert.NotEqual(0, dead.InFlight);

        dead.SetBacklog(false);
        dead.LoseLink();
        Assert.Equal(living.InFlight, link.Share.Status.InFlightBytes);
        before = living.Delivered;
        link.RunUntil(TimeSpan.FromSeconds(60));
        Assert.True(living.Delivered - before > 0.8 * 20 * 100e3, $"{living.Delivered - before}");
    }

    [Fact]
    public void A_link_that_gets_slower_is_noticed_and_one_that_gets_faster_too()
    {
        var link = new SimulatedLink(10e6, TimeSpan.FromMilliseconds(30));
        SimulatedSender backlog = link.Join("telemetry", 5);
        SimulatedSender urgent = link.Join("alarms", 9);
        backlog.SetBacklog(true);
        link.RunUntil(TimeSpan.FromSeconds(20));
        link.BytesPerSecond = 100e3;
        link.RoundTrip = TimeSpan.FromMilliseconds(150);
        link.RunUntil(TimeSpan.FromSeconds(100));
        long before = backlog.Delivered;
        urgent.Put(300);
        link.RunUntil(TimeSpan.FromSeconds(130));
        Assert.InRange((backlog.Delivered - before) / 30.0, 80e3, 101e3);
        Assert.True(urgent.Delays.Single() < TimeSpan.FromSeconds(1), $"{urgent.Delays.Single()}");

        link.BytesPerSecond = 10e6;
        link.RunUntil(TimeSpan.FromSeconds(150));
        before = backlog.Delivered;
        link.RunUntil(TimeSpan.FromSeconds(160));
        Assert.InRange((backlog.Delivered - before) / 10, 8e6, 10.1e6);
    }

    /// <summary>Whatever happens, no byte stays on its way that nobody waits for, and whoever has a backlog on a living link goes on.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    public void After_losses_stops_and_starts_nothing_is_left_behind(int seed)
    {
        var random = new Random(seed);
        var link = new SimulatedLink(
            1000 * Math.Pow(10, 1 + (random.NextDouble() * 3)), TimeSpan.FromMilliseconds(random.Next(1, 700)),
            clock => new LinkShare(CapSchedule.Always(random.Next(2) == 0 ? null : 50_000), clock));
        List<SimulatedSender> senders = [];
        for (int step = 1; step <= 400; step++)
        {
            Disturb(link, senders, random);
            link.RunUntil(TimeSpan.FromSeconds(step * 0.5));
            Assert.Equal(senders.Sum(sender => sender.InFlight), link.Share.Status.InFlightBytes);
        }
        foreach (SimulatedSender sender in senders)
        {
            sender.IsCut = false;
            sender.LoseLink();
            sender.SetBacklog(true);
        }
        long[] before = [.. senders.Select(sender => sender.Delivered)];
        link.RunUntil(link.Now + TimeSpan.FromMinutes(10));
        Assert.All(senders.Zip(before), pair => Assert.True(pair.First.Delivered > pair.Second));
        senders.ForEach(sender => sender.Stop());
        Assert.Equal(0, link.Share.Status.InFlightBytes);
    }

    [Fact]
    public void A_turn_that_is_not_used_is_given_back()
    {
        var share = new LinkShare(CapSchedule.Always(null), TimeProvider.System);
        int woken = 0;
        using LinkTurns one = share.Join("one", 5, static () => { });
        using LinkTurns other = share.Join("other", 5, () => woken++);
        Assert.NotEqual(0, one.Ask(TimeSpan.Zero).LogBytes);
        Assert.NotEqual(0, one.Sent(TimeSpan.Zero, 5000, 5000, hasMore: true).Bytes);
        Assert.NotEqual(0, one.Ask(TimeSpan.Zero).LogBytes);
        LinkGrant refused = other.Ask(TimeSpan.Zero);
        Assert.Equal(0, refused.LogBytes);
        Assert.InRange(refused.AskAgainAt, TimeSpan.FromMilliseconds(1), TimeSpan.FromSeconds(1));
        Assert.Equal(0, woken);

        one.Withdraw();
        Assert.Equal(1, woken);
        Assert.NotEqual(0, other.Ask(TimeSpan.Zero).LogBytes);
    }

    private static void Disturb(SimulatedLink link, List<SimulatedSender> senders, Random random)
    {
        if (senders.Count < 2 || (senders.Count < 6 && random.Next(20) == 0))
        {
            senders.Add(link.Join($"topic-{random.Next(4)}", random.Next(10)));
        }
        SimulatedSender sender = senders[random.Next(senders.Count)];
        switch (random.Next(8))
        {
            case 0:
                sender.IsCut = !sender.IsCut;
                break;
            case 1 or 2:
                sender.IsCut = false;
                sender.LoseLink();
                break;
            case 3:
                sender.Stop();
                senders.Remove(sender);
                break;
            case 4:
                sender.SetBacklog(false);
                break;
            case 5:
                sender.SetBacklog(true);
                break;
            default:
                sender.Put(random.Next(1, 5000));
                break;
        }
    }

    private static double SentBetween(SimulatedLink link, TimeSpan from, TimeSpan to)
    {
        int first = link.Sent.FindIndex(sent => sent.At >= from);
        double sum = 0;
        for (int i = Math.Max(0, first); first >= 0 && i < link.Sent.Count && link.Sent[i].At < to; i++)
        {
            sum += link.Sent[i].Bytes;
        }
        return sum;
    }
}
