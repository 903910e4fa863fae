using Tributary.Edge.Uplink;
using Xunit;

namespace Tributary.Tests.Edge.Uplink;

public sealed class CapScheduleTests
{
    private static readonly TimeZoneInfo Berlin = TimeZoneInfo.CreateCustomTimeZone(
        "test", TimeSpan.FromHours(1), "test", "test", "test summer",
        [
            TimeZoneInfo.AdjustmentRule.CreateAdjustmentRule(
                DateTime.MinValue.Date, DateTime.MaxValue.Date, TimeSpan.FromHours(1),
                TimeZoneInfo.TransitionTime.CreateFloatingDateRule(new DateTime(1, 1, 1, 2, 0, 0), 3, 5, DayOfWeek.Sunday),
                TimeZoneInfo.TransitionTime.CreateFloatingDateRule(new DateTime(1, 1, 1, 3, 0, 0), 10, 5, DayOfWeek.Sunday)),
        ]);

    [Theory]
    [InlineData("21:59:59", 200_000L)]
    [InlineData("22:00:00", null)]
    [InlineData("23:59:59", null)]
    [InlineData("00:00:00", null)]
    [InlineData("05:59:59", null)]
    [InlineData("06:00:00", 200_000L)]
    public void Windows_hold_from_their_first_minute_to_their_last_and_over_midnight(string time, long? cap) =>
        Assert.Equal(cap, Parse("22:00-06:00=unlimited", "06:00-22:00=200000").At(Utc(1, 15, time)));

    [Theory]
    [InlineData("08:59:59", 77_000L)]
    [InlineData("09:00:00", 10_240L)]
    [InlineData("09:30:00", 10_240L)]
    [InlineData("10:00:00", 2_097_152L)]
    [InlineData("11:00:00", 77_000L)]
    public void The_first_of_those_that_overlap_holds_and_in_gaps_what_holds_otherwise(string time, long cap) =>
        Assert.Equal(cap, Parse("09:00-10:00=10KiB", "09:30-11:00=2MiB").At(Utc(1, 15, time)));

    [Theory]
    [InlineData("00:00-24:00=5000", "00:00:00")]
    [InlineData("00:00-24:00=5000", "23:59:59")]
    [InlineData("18:00-24:00=5000", "23:59:59")]
    [InlineData("18:00-00:00=5000", "23:59:59")]
    public void A_day_ends_at_24_00(string window, string time) => Assert.Equal(5000, Parse(window).At(Utc(1, 15, time)));

    [Fact]
    public void A_window_up_to_24_00_ends_there() => Assert.Equal(77_000, Parse("18:00-24:00=5000").At(Utc(1, 16, "00:00:00")));

    /// <summary>In spring 02:00 to 03:00 does not exist; in autumn it comes twice.</summary>
    [Theory]
    [InlineData(3, 29, "00:59:59", 77_000L)] // 01:59:59 local
    [InlineData(3, 29, "01:00:00", 6_000L)] // 03:00 local, summer
    [InlineData(10, 25, "00:00:00", 5_000L)] // 02:00 local, summer
    [InlineData(10, 25, "01:00:00", 5_000L)] // 02:00 local again, winter
    [InlineData(10, 25, "01:59:59", 5_000L)]
    [InlineData(10, 25, "02:00:00", 6_000L)] // 03:00 local
    [InlineData(7, 1, "00:00:00", 5_000L)] // 02:00 local, summer
    public void Times_are_those_of_the_zone_in_summer_and_winter(int month, int day, string time, long cap) => Assert.Equal(
        cap, CapSchedule.Parse(["02:00-03:00=5000", "03:00-04:00=6000"], Berlin, 77_000).At(Utc(month, day, time)));

    [Theory]
    [InlineData("6:00-22:00=5000", 1)]
    [InlineData("06-22=5000", 3)]
    [InlineData("06:00=5000", 6)]
    [InlineData("06:0x-22:00=5000", 4)]
    [InlineData("24:01-22:00=5000", 1)]
    [InlineData("06:60-22:00=5000", 1)]
    [InlineData("24:00-22:00=5000", 1)]
    [InlineData("06:00-06:00=5000", 7)]
    [InlineData("06:00-22:00", 12)]
    [InlineData("06:00-22:00=", 13)]
    [InlineData("06:00-22:00=0", 13)]
    [InlineData("06:00-22:00=-1", 13)]
    [InlineData("06:00-22:00=999", 13)]
    [InlineData("06:00-22:00=none", 13)]
    [InlineData("06:00-22:00=99999999999999999999", 13)]
    [InlineData("", 1)]
    public void An_error_names_the_window_and_the_character(string window, int character)
    {
        string message = Assert.Throws<FormatException>(() => Parse("00:00-01:00=unlimited", window)).Message;
        Assert.Contains($"'{window}' as window 2: from character {character} on", message, StringComparison.Ordinal);
    }

    [Fact]
    public void There_is_a_limit_on_windows() => Assert.Throws<FormatException>(
        () => Parse([.. Enumerable.Repeat("00:00-01:00=5000", CapSchedule.MaxWindows + 1)]));

    private static CapSchedule Parse(params string[] windows) => CapSchedule.Parse(windows, TimeZoneInfo.Utc, 77_000);

    private static DateTimeOffset Utc(int month, int day, string time) =>
        new(new DateOnly(2026, month, day).ToDateTime(TimeOnly.Parse(time, System.Globalization.CultureInfo.InvariantCulture)), TimeSpan.Zero);
}
