using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Tributary.Edge.Clock;
using Tributary.Log.Storage;
using Tributary.Tests.Log.Support;
using Xunit;

namespace Tributary.Tests.Edge.Clock;

/// <summary>When the device's clock is believed, and what becomes of times meanwhile.</summary>
public sealed class EdgeClockTests : IDisposable
{
    private static readonly DateTimeOffset Start = new(2026, 5, 4, 3, 2, 1, TimeSpan.Zero);
    private readonly SimulatedDevice _device = new(Start);
    private readonly FaultyStorage _storage;
    private readonly List<EdgeClock> _clocks = [];

    public EdgeClockTests()
    {
        var disk = new MemoryStorage();
        disk.CreateDirectory("data");
        disk.SyncDirectory("");
        _storage = new FaultyStorage(disk);
    }

    public void Dispose() => _clocks.ForEach(clock => clock.Dispose());

    [Fact]
    public void A_device_without_clock_counts_from_its_boot_until_the_kernel_is_synchronised()
    {
        _device.SetWall(DateTimeOffset.UnixEpoch);
        EdgeClock clock = Open();
        _device.Pass(TimeSpan.FromSeconds(90));
        long stamp = clock.Stamp();

        Assert.False(clock.IsTrusted);
        Assert.True(BootStamp.TryRead(stamp, out BootStamp boot));
        Assert.Equal(90_000, boot.Milliseconds);
        Assert.False(clock.TryDate(stamp, asTold: false, out _));
        Assert.Equal(TimeSpan.Zero, clock.AgeOf(stamp));
        Assert.Null(clock.AgeOf(Start.ToUnixTimeMilliseconds()));

        long before = _device.TrueMs;
        _device.Pass(TimeSpan.FromHours(1));
        _device.Synchronize(error: TimeSpan.FromMilliseconds(15));
        _device.Pass(TimeSpan.FromSeconds(1));

        Assert.True(clock.IsTrusted);
        Assert.True(clock.TryDate(stamp, asTold: false, out RecordTime time));
        Assert.Equal(TimeMark.Corrected, time.Mark);
        Assert.InRange(Math.Abs(time.Timestamp - before), 0, time.BoundMs);
        Assert.InRange(time.BoundMs, 1, 1000);
        Assert.Equal(_device.TrueMs + 15, clock.Stamp());
        Assert.Equal(ClockTrustedBy.Synchronization, clock.Report.By);
        ClockNotice notice = clock.TakeNotice()!;
        Assert.Equal(ClockNoticeKind.Trusted, notice.Kind);
        Assert.Null(clock.TakeNotice());
    }

    [Theory]
    [InlineData("auto", false, true, "boardClock")]
    [InlineData("auto", false, false, "none")]
    [InlineData("auto", null, false, "none")]
    [InlineData("auto", true, false, "synchronization")]
    [InlineData("synchronized", false, true, "none")]
    [InlineData("synchronized", true, true, "synchronization")]
    [InlineData("always", null, false, "setting")]
    public void What_is_trusted_is_decided_by_the_setting_and_the_kernel(string policy, bool? isSynchronized, bool hasBoardClock, string by)
    {
        _device.IsSynchronized = isSynchronized;
        _device.HasBoardClock = hasBoardClock;

        Assert.Equal(by, ClockReport.WordOf(Open(Enum.Parse<ClockPolicy>(policy, ignoreCase: true)).Report.By));
    }

    [Fact]
    public void No_clock_is_believed_that_says_a_time_before_this_program_was_there()
    {
        _device.HasBoardClock = true;
        _device.SetWall(new DateTimeOffset(2020, 1, 1, 0, 0, 0, TimeSpan.Zero));
        _device.IsSynchronized = true;
        Assert.False(Open().IsTrusted);
    }

    [Fact]
    public void A_clock_with_a_battery_is_not_believed_when_it_says_less_than_what_is_known_to_be_past()
    {
        _device.HasBoardClock = true;
        EdgeClock first = Open();
        _device.Pass(TimeSpan.FromHours(5));
        first.Dispose();
        _device.Restart(TimeSpan.FromHours(1), Start + TimeSpan.FromHours(2));
        EdgeClock second = Open();
        Assert.False(second.IsTrusted);

        _device.SetWall(_device.True);
        _device.Pass(TimeSpan.FromSeconds(1));
        Assert.True(second.IsTrusted);
    }

    [Fact]
    public void A_jump_changes_nothing_until_the_kernel_is_synchronised_again()
    {
        _device.Synchronize();
        EdgeClock clock = Open();
        _device.SetWall(_device.True + TimeSpan.FromDays(400));
        Assert.Equal(_device.TrueMs, clock.Stamp());
        _device.Pass(TimeSpan.FromSeconds(10));

        Assert.Equal(_device.TrueMs, clock.Stamp());
        Assert.Equal(1, clock.Report.Jumps);
        Assert.Equal(400 * 86400, clock.Report.LastJumpSeconds, 1.0);
        Assert.Equal(400 * 86400, clock.Report.DeviceOffsetSeconds, 1.0);
        Assert.Contains("not believed", clock.TakeNotice()!.Message, StringComparison.Ordinal);

        _device.Pass(TimeSpan.FromHours(1));
        _device.Synchronize();
        _device.Pass(TimeSpan.FromSeconds(1));
        Assert.Equal(_device.TrueMs, clock.Stamp());
        Assert.Equal(0, clock.Report.DeviceOffsetSeconds);
        Assert.Equal(2, clock.Report.Jumps);
    }

    [Fact]
    public void A_step_by_ntp_is_followed_and_corrects_what_still_waits()
    {
        _device.SetWall(DateTimeOffset.UnixEpoch);
        EdgeClock clock = Open();
        (long stamp, long truth) = (clock.Stamp(), _device.TrueMs);
        _device.Pass(TimeSpan.FromMinutes(1));
        _device.Synchronize(error: TimeSpan.FromSeconds(-30));
        _device.Pass(TimeSpan.FromSeconds(1));
        bool hasLearned = false;
        clock.Subscribe(learned => hasLearned |= learned);
        _device.Synchronize();
        _device.Pass(TimeSpan.FromSeconds(1));

        Assert.True(hasLearned);
        Assert.Equal(_device.TrueMs, clock.Stamp());
        Assert.True(clock.TryDate(stamp, asTold: false, out RecordTime time));
        Assert.InRange(Math.Abs(time.Timestamp - truth), 0, time.BoundMs);
    }

    [Fact]
    public void Weeks_without_ntp_the_clock_goes_on_with_a_growing_bound()
    {
        var device = new SimulatedDevice(Start, drift: 80);
        device.Synchronize();
        EdgeClock clock = Open(device: device);
        device.IsSynchronized = false; // the kernel forgets it after hours
        device.Pass(TimeSpan.FromDays(20));

        Assert.True(clock.IsTrusted);
        double off = (clock.GetUtcNow() - device.True).TotalSeconds;
        Assert.InRange(off, 100, clock.Report.ErrorSeconds);
        Assert.InRange(clock.Report.ErrorSeconds, 100, 200);
        Assert.Equal(false, clock.Report.Synchronized);
    }

    [Fact]
    public void What_a_boot_learned_is_there_after_a_crash_in_the_same_boot_and_in_later_ones()
    {
        _device.SetWall(DateTimeOffset.UnixEpoch);
        EdgeClock clock = Open();
        (long stamp, long truth) = (clock.Stamp(), _device.TrueMs);
        _device.Pass(TimeSpan.FromHours(1));
        _device.Synchronize();
        _device.Pass(TimeSpan.FromSeconds(1));
        _storage.CrashNow(PowerCut.LosesAll);
        _device.IsSynchronized = false;
        _device.Pass(TimeSpan.FromHours(1));

        EdgeClock same = Open(storage: _storage.Left);
        Assert.Equal(ClockTrustedBy.Synchronization, same.Report.By);
        Assert.Equal(_device.TrueMs, same.Stamp());
        _device.Restart(TimeSpan.FromHours(3), DateTimeOffset.UnixEpoch);
        EdgeClock later = Open(storage: _storage.Left);
        Assert.False(later.IsTrusted);
        Assert.True(later.TryDate(stamp, asTold: false, out RecordTime time));
        Assert.InRange(Math.Abs(time.Timestamp - truth), 0, time.BoundMs);
    }

    [Fact]
    public void Nothing_has_a_date_before_it_is_durable_what_that_follows_from()
    {
        _device.SetWall(DateTimeOffset.UnixEpoch);
        EdgeClock clock = Open();
        _device.Synchronize();
        _storage.Fail(FaultPoint.StateFlush);
        _device.Pass(TimeSpan.FromSeconds(1));
        Assert.False(clock.IsTrusted);
        Assert.Contains("failed", clock.Report.SaveError, StringComparison.Ordinal);
        Assert.True(BootStamp.IsIn(clock.Stamp()));

        _device.Pass(TimeSpan.FromSeconds(1));
        Assert.True(clock.IsTrusted);
        Assert.Null(clock.Report.SaveError);
    }

    [Fact]
    public void A_start_that_can_not_write_the_boot_down_fails_with_a_sentence()
    {
        _storage.Fail(FaultPoint.StateFlush);
        IOException failure = Assert.Throws<IOException>(() => Open());
        Assert.Contains("data/clock", failure.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void When_the_file_is_lost_no_boot_gets_a_number_that_records_have(bool isDamaged)
    {
        _device.SetWall(DateTimeOffset.UnixEpoch);
        EdgeClock first = Open();
        long stamp = first.Stamp();
        first.Dispose();
        if (isDamaged)
        {
            using IStorageFile file = _storage.Open("data/clock", create: false);
            file.Write(20, [0xFF]);
        }
        else
        {
            _storage.Delete("data/clock");
        }
        _device.Restart(TimeSpan.FromHours(1), DateTimeOffset.UnixEpoch);
        EdgeClock second = Open(hasRecords: true);

        Assert.True(BootStamp.TryRead(stamp, out BootStamp before) && BootStamp.TryRead(second.Stamp(), out BootStamp after) && after.Boot > before.Boot);
        _device.Synchronize();
        _device.Pass(TimeSpan.FromSeconds(1));
        Assert.True(second.TryDate(stamp, asTold: false, out RecordTime time));
        Assert.Equal(TimeMark.Estimated, time.Mark);
    }

    [Fact]
    public void How_long_a_boot_lasted_is_saved_now_and_then()
    {
        _device.SetWall(DateTimeOffset.UnixEpoch);
        Open();
        _device.Pass(TimeSpan.FromMinutes(35));
        Assert.InRange(new ClockFile(_storage, "data").Load()![^1].LastMs, 25 * 60_000, 35 * 60_000);
    }

    [Fact]
    public void Another_time_provider_is_believed_unless_it_is_before_this_program()
    {
        var time = new FakeTimeProvider(Start);
        EdgeClock clock = EdgeClock.Of(time);
        Assert.Same(clock, EdgeClock.Of(clock));
        Assert.True(clock.IsTrusted);
        Assert.Equal(Start.ToUnixTimeMilliseconds(), clock.Stamp());
        Assert.False(EdgeClock.Of(new FakeTimeProvider()).IsTrusted);
    }

    [Fact]
    public void A_clock_that_keeps_jumping_is_counted_and_told_once_a_minute()
    {
        _device.SetWall(DateTimeOffset.UnixEpoch);
        EdgeClock clock = Open();
        for (int i = 0; i < 90; i++)
        {
            _device.SetWall(_device.Wall + TimeSpan.FromSeconds(5));
            _device.Pass(TimeSpan.FromSeconds(1));
        }
        int told = 0;
        while (clock.TakeNotice() is not null)
        {
            told++;
        }
        Assert.Equal(90, clock.Report.Jumps);
        Assert.Equal(2, told);
    }

    [Fact]
    public void The_clocks_of_this_system_are_read()
    {
        ClockReading reading = new SystemClocks().Read();
        Assert.InRange(Math.Abs((reading.Wall - DateTimeOffset.UtcNow).TotalMinutes), 0, 10);
        Assert.True(reading.SinceBoot > TimeSpan.Zero);
        Assert.True(new SystemClocks().Read().SinceBoot >= reading.SinceBoot);
        if (OperatingSystem.IsLinux())
        {
            Assert.Equal(Guid.Parse(File.ReadAllText("/proc/sys/kernel/random/boot_id").Trim()), reading.BootId);
            double uptime = double.Parse(File.ReadAllText("/proc/uptime").Split(' ')[0], System.Globalization.CultureInfo.InvariantCulture);
            Assert.InRange(reading.SinceBoot.TotalSeconds, uptime - 600, uptime + 600);
            Assert.NotNull(reading.IsSynchronized);
        }
    }

    private EdgeClock Open(
        ClockPolicy policy = ClockPolicy.Auto, SimulatedDevice? device = null, IStorage? storage = null, bool hasRecords = false)
    {
        device ??= _device;
        var clock = new EdgeClock(device, new ClockOptions { Trust = policy }, device, NullLogger.Instance);
        clock.Open(storage ?? _storage, "data", hasRecords);
        _clocks.Add(clock);
        return clock;
    }
}
