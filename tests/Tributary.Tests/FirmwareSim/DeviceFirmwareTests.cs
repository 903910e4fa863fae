using Tributary.FirmwareSim;
using Tributary.FirmwareSim.Devices;
using Tributary.FirmwareSim.Firmware;
using Xunit;

namespace Tributary.Tests.FirmwareSim;

/// <summary>The firmware of one device against a scripted broker in simulated time.</summary>
public sealed class DeviceFirmwareTests
{
    private const double Epoch = 1_767_225_600;

    [Fact]
    public void Every_reading_is_counted_once_and_reaches_the_broker_in_order_whatever_the_connection_does()
    {
        for (int seed = 1; seed <= 200; seed++)
        {
            var random = new Random(seed);
            var totals = new Totals();
            var firmware = Create(
                totals, seed, new FirmwareOptions { Interval = TimeSpan.FromSeconds(1), Qos = 1, OutboxLimit = 30, Window = 4 });
            var broker = new List<long>();
            var inFlight = new Queue<long>();
            bool isConnecting = false;
            for (int step = 0; step < 600; step++)
            {
                var now = TimeSpan.FromSeconds(step);
                Hear(firmware, random, now, inFlight, ref isConnecting);
                isConnecting |= Act(firmware, now, broker, inFlight);
            }
            Assert.Equal(totals.Readings, totals.Acknowledged + totals.Refused + totals.Dropped + firmware.Pending);
            Assert.Equal(broker.Count, totals.Sent + totals.Retransmitted);
            Assert.Equal(broker.Distinct().Order(), broker.Distinct());
            Assert.Equal(totals.Sent, broker.Distinct().Count());
            Assert.True(totals.Readings > 500 && totals.Acknowledged > 0, $"seed {seed}: {totals.ToJson()}");
        }
    }

    [Fact]
    public void Readings_are_taken_by_the_clock_whether_there_is_a_connection_or_not()
    {
        var totals = new Totals();
        var firmware = Create(totals, 1, new FirmwareOptions { Interval = TimeSpan.FromSeconds(2), Qos = 1 });
        firmware.Next(TimeSpan.FromSeconds(100));
        Assert.Equal(50, totals.Readings + totals.Silent);
        Assert.True(firmware.DueAt > TimeSpan.FromSeconds(100) || !firmware.IsConnected);
    }

    [Fact]
    public void A_backlog_of_readings_is_taken_in_bounded_turns()
    {
        var totals = new Totals();
        var firmware = Create(totals, 1, new FirmwareOptions { Interval = TimeSpan.FromMilliseconds(1), Qos = 1 });
        firmware.Next(TimeSpan.FromSeconds(10));
        Assert.Equal(FirmwareOptions.ReadingsPerTurn, totals.Readings + totals.Silent);
        Assert.True(firmware.DueAt <= TimeSpan.FromSeconds(10));
    }

    [Fact]
    public void At_QoS_0_a_reading_without_a_connection_is_lost_and_counted()
    {
        var totals = new Totals();
        var firmware = Create(totals, 1, new FirmwareOptions { Interval = TimeSpan.FromSeconds(1), Qos = 0 });
        Assert.IsType<FirmwareAction.Connect>(firmware.Next(TimeSpan.FromSeconds(5)));
        Assert.Equal(totals.Readings, totals.Dropped);
        firmware.OnConnected(TimeSpan.FromSeconds(5));
        long before = totals.Readings;
        int published = 0;
        while (firmware.Next(TimeSpan.FromSeconds(9)) is FirmwareAction.Publish)
        {
            published++;
        }
        Assert.Equal(totals.Readings - before, published);
        Assert.Equal(totals.Readings, totals.Sent + totals.Dropped);
        Assert.False(firmware.IsWaiting);
    }

    [Fact]
    public void A_broker_that_does_not_answer_is_left_and_tried_again()
    {
        var totals = new Totals();
        var options = new FirmwareOptions { Interval = TimeSpan.FromHours(1), Qos = 1, AnswerTimeout = TimeSpan.FromSeconds(20) };
        var firmware = Create(totals, 1, options);
        TimeSpan first = firmware.DueAt;
        Assert.IsType<FirmwareAction.Connect>(firmware.Next(first));
        firmware.OnConnected(first);
        TimeSpan reading = firmware.DueAt;
        Assert.IsType<FirmwareAction.Publish>(firmware.Next(reading));
        Assert.Equal(reading + options.AnswerTimeout, firmware.DueAt);
        Assert.Null(firmware.Next(reading + TimeSpan.FromSeconds(19)));
        Assert.IsType<FirmwareAction.Drop>(firmware.Next(reading + TimeSpan.FromSeconds(20)));
        Assert.False(firmware.IsConnected);
        Assert.Equal(1, firmware.Pending);
        Assert.IsType<FirmwareAction.Connect>(firmware.Next(firmware.DueAt));
        Assert.Equal(1, totals.Lost);
    }

    [Fact]
    public void Waits_between_tries_double_with_jitter_and_begin_small_again_after_a_connection_that_lasted()
    {
        var reconnect = new Reconnect(() => 0.5);
        TimeSpan[] waits = [.. Enumerable.Range(0, 12).Select(_ => reconnect.Next(TimeSpan.Zero))];
        Assert.Equal(Reconnect.First / 2, waits[0]);
        Assert.Equal(Reconnect.First, waits[1]);
        Assert.Equal(Reconnect.Most / 2, waits[^1]);
        Assert.Equal(Reconnect.Most / 2, reconnect.Next(TimeSpan.FromSeconds(9)));
        Assert.Equal(Reconnect.First / 2, reconnect.Next(Reconnect.Stable));
    }

    [Fact]
    public void Two_devices_do_not_come_back_at_the_same_moment()
    {
        TimeSpan RetryAt(int index)
        {
            var firmware = new DeviceFirmware(
                new FirmwareOptions { Interval = TimeSpan.FromDays(100), Qos = 1 }, Device.Create(1, index), 1, index, Epoch, TimeSpan.Zero, new Totals());
            firmware.Next(TimeSpan.Zero);
            firmware.OnLost(TimeSpan.Zero);
            return firmware.DueAt;
        }
        Assert.Equal(20, Enumerable.Range(0, 20).Select(RetryAt).Distinct().Count());
    }

    private static DeviceFirmware Create(Totals totals, int seed, FirmwareOptions options) =>
        new(options, Device.Create(seed, 0), seed, 0, Epoch, TimeSpan.Zero, totals);

    /// <summary>The broker's and the network's doings between two steps.</summary>
    private static void Hear(DeviceFirmware firmware, Random random, TimeSpan now, Queue<long> inFlight, ref bool isConnecting)
    {
        if (isConnecting && random.Next(3) == 0)
        {
            isConnecting = false;
            if (random.Next(3) == 0)
            {
                firmware.OnLost(now);
            }
            else
            {
                firmware.OnConnected(now);
            }
        }
        else if (firmware.IsConnected && random.Next(15) == 0)
        {
            firmware.OnLost(now);
            inFlight.Clear();
        }
        while (random.Next(4) != 0 && inFlight.TryDequeue(out long id))
        {
            firmware.OnAnswered(id, isAccepted: random.Next(20) != 0);
        }
    }

    /// <summary>Does what the firmware wants; true if it wants to connect.</summary>
    private static bool Act(DeviceFirmware firmware, TimeSpan now, List<long> broker, Queue<long> inFlight)
    {
        bool connects = false;
        while (firmware.Next(now) is { } action)
        {
            switch (action)
            {
                case FirmwareAction.Publish publish:
                    broker.Add(publish.Message.Id);
                    inFlight.Enqueue(publish.Message.Id);
                    break;
                case FirmwareAction.Drop:
                    inFlight.Clear();
                    break;
                default:
                    connects = true;
                    break;
            }
        }
        return connects;
    }
}
