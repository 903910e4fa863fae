using System.Text;
using Tributary.Contracts.Telemetry;
using Tributary.Tests.Support;
using Xunit;

namespace Tributary.Tests.Telemetry;

public sealed class PayloadTimeTests
{
    /// <summary>2026-05-04T03:02:01Z.</summary>
    private const long Arrival = 1_777_863_721_000;

    [Theory]
    [InlineData(TimeFormat.Unix, "1777863720", 1_777_863_720_000)]
    [InlineData(TimeFormat.Unix, "1777863720.001", 1_777_863_720_001)]
    [InlineData(TimeFormat.Unix, "\"1777863720\"", 1_777_863_720_000)]
    [InlineData(TimeFormat.UnixMs, "1777863720123", 1_777_863_720_123)]
    [InlineData(TimeFormat.UnixMs, "1.777863720123e12", 1_777_863_720_123)]
    [InlineData(TimeFormat.UnixUs, "1777863720123999", 1_777_863_720_123)]
    [InlineData(TimeFormat.UnixNs, "1777863720123456789", 1_777_863_720_123)]
    [InlineData(TimeFormat.UnixNs, "1700000199997000000", 1_700_000_199_997)]
    [InlineData(TimeFormat.Iso8601, "\"2026-05-04T03:02:00Z\"", 1_777_863_720_000)]
    [InlineData(TimeFormat.Iso8601, "\"2026-05-04T05:02:00.250+02:00\"", 1_777_863_720_250)]
    [InlineData(TimeFormat.Iso8601, "\"2026-05-04T03:02:00\"", 1_777_863_720_000)]
    [InlineData(TimeFormat.Iso8601, "\"2026-05-04\"", 1_777_852_800_000)]
    public void A_time_is_read(TimeFormat format, string payload, long timestamp)
    {
        Assert.True(new PayloadTime(PayloadPath.Parse(""), format).TryRead(Encoding.UTF8.GetBytes(payload), Arrival, out long read));
        Assert.Equal(timestamp, read);
        Assert.True(new PayloadTime(PayloadPath.Parse("a[0]"), format).TryRead(Encoding.UTF8.GetBytes($"{{\"a\":[{payload}]}}"), Arrival, out read));
        Assert.Equal(timestamp, read);
    }

    [Theory]
    [InlineData(TimeFormat.Unix, "")]
    [InlineData(TimeFormat.Unix, "yesterday")]
    [InlineData(TimeFormat.Unix, "1777863720123")] // milliseconds
    [InlineData(TimeFormat.UnixMs, "1777863720")] // seconds
    [InlineData(TimeFormat.Unix, "12")] // since the device has started
    [InlineData(TimeFormat.Unix, "-1777863720")]
    [InlineData(TimeFormat.Unix, "1e300")]
    [InlineData(TimeFormat.UnixMs, "1777865522000")] // half an hour and a second ahead
    [InlineData(TimeFormat.Iso8601, "\"1970-01-01T00:00:12\"")]
    [InlineData(TimeFormat.Iso8601, "\"04.05.2026 03:02\"")]
    [InlineData(TimeFormat.Iso8601, "\"2026-05-04T05:02:00\"")] // local time of a zone ahead
    [InlineData(TimeFormat.Iso8601, "1777863720")]
    [InlineData(TimeFormat.Iso8601, "\"\\u0032026-05-04\"")]
    [InlineData(TimeFormat.Iso8601, "\"\\q\"")]
    public void A_time_that_is_none_or_cannot_be_is_that_of_arrival(TimeFormat format, string payload) =>
        Assert.False(new PayloadTime(PayloadPath.Parse(""), format).TryRead(Encoding.UTF8.GetBytes(payload), Arrival, out _));

    [Fact]
    public void A_clock_of_ours_that_was_never_set_is_no_bound()
    {
        var time = new PayloadTime(PayloadPath.Parse(""), TimeFormat.UnixMs);
        Assert.True(time.TryRead("1777863720123"u8, 86_400_000, out _));
        Assert.False(time.TryRead("4102444800001"u8, 86_400_000, out _));
    }

    [Theory]
    [InlineData("[{\"bn\":\"urn:dev:ow:10e2073a01080063:\",\"bt\":1777863600,\"n\":\"t\",\"v\":23.1,\"t\":60},{\"t\":1}]", 1_777_863_660_000)]
    [InlineData("[{\"n\":\"t\",\"t\":1777863660.5}]", 1_777_863_660_500)]
    [InlineData("[{\"n\":\"t\",\"bt\":1777863660}]", 1_777_863_660_000)]
    [InlineData("[{\"n\":\"t\",\"t\":-10}]", Arrival - 10_000)] // relative to now, RFC 8428, 4.5.3
    [InlineData("[{\"n\":\"t\",\"t\":0}]", Arrival)]
    public void The_time_of_a_SenML_pack_is_that_of_its_first_record(string payload, long timestamp)
    {
        Assert.True(new PayloadTime(PayloadPath.Parse(""), TimeFormat.SenMl).TryRead(Encoding.UTF8.GetBytes(payload), Arrival, out long read));
        Assert.Equal(timestamp, read);
    }

    [Theory]
    [InlineData("[{\"n\":\"t\",\"v\":1}]")]
    [InlineData("[{\"n\":\"t\",\"t\":\"1777863660\"}]")]
    [InlineData("[]")]
    [InlineData("{}")]
    public void A_SenML_pack_without_a_time_has_none(string payload) =>
        Assert.False(new PayloadTime(PayloadPath.Parse(""), TimeFormat.SenMl).TryRead(Encoding.UTF8.GetBytes(payload), Arrival, out _));

    [Theory]
    [InlineData("")]
    [InlineData("08")]
    [InlineData("0880")]
    [InlineData("08FFFFFFFFFFFFFFFFFFFF01")]
    [InlineData("12FF")]
    [InlineData("0B")]
    public void A_Sparkplug_payload_that_ends_early_has_no_time(string hex) =>
        Assert.False(new PayloadTime(PayloadPath.Parse(""), TimeFormat.SparkplugB).TryRead(Convert.FromHexString(hex), Arrival, out _));

    [Fact]
    public void The_time_of_a_Sparkplug_payload_is_its_field_1_wherever_it_stands()
    {
        var time = new PayloadTime(PayloadPath.Parse(""), TimeFormat.SparkplugB);
        byte[] field = [0x08, .. Varint(1_777_863_720_123)];
        byte[] metrics = [0x12, 3, 0x0A, 1, (byte)'m', 0x18, 7, 0x25, 1, 2, 3, 4, 0x29, 1, 2, 3, 4, 5, 6, 7, 8];
        foreach (byte[] payload in new byte[][] { field, [.. field, .. metrics], [.. metrics, .. field], [.. metrics, .. field, 0xFF] })
        {
            Assert.True(time.TryRead(payload, Arrival, out long read));
            Assert.Equal(1_777_863_720_123, read);
        }
        Assert.Equal(0, Allocations.PerCall(() => time.TryRead(field, Arrival, out _)));
    }

    [Fact]
    public void Reading_allocates_nothing_even_if_there_is_nothing_to_read()
    {
        byte[] iso = "{\"a\":\"2026-05-04T05:02:00+02:00\"}"u8.ToArray();
        byte[] none = "{\"a\":\"\\q\",\"b\":"u8.ToArray();
        var time = new PayloadTime(PayloadPath.Parse("a"), TimeFormat.Iso8601);
        Assert.Equal(0, Allocations.PerCall(() => time.TryRead(iso, Arrival, out _)));
        Assert.Equal(0, Allocations.PerCall(() => time.TryRead(none, Arrival, out _)));
    }

    [Theory]
    [InlineData("{\"k\":\"urn:dev:1\"}", "urn:dev:1")]
    [InlineData("{\"k\":\"a\\/b\\u00fc\"}", "a/bü")]
    [InlineData("{\"k\":17}", "17")]
    public void A_text_is_read(string payload, string text)
    {
        byte[] room = new byte[PayloadText.MaxBytes];
        Assert.True(PayloadText.TryRead(PayloadPath.Parse("k"), Encoding.UTF8.GetBytes(payload), room, out ReadOnlySpan<byte> read));
        Assert.Equal(text, Encoding.UTF8.GetString(read));
    }

    [Theory]
    [InlineData("{\"k\":\"\"}")]
    [InlineData("{\"k\":true}")]
    [InlineData("{\"k\":{}}")]
    [InlineData("{\"k\":\"\\ud800\"}")]
    [InlineData("{\"k\":\"\\x\"}")]
    [InlineData("{}")]
    public void A_text_that_is_none_is_not_read(string payload) => Assert.False(
        PayloadText.TryRead(PayloadPath.Parse("k"), Encoding.UTF8.GetBytes(payload), new byte[PayloadText.MaxBytes], out _));

    private static byte[] Varint(ulong value)
    {
        var bytes = new List<byte>();
        for (; value >= 0x80; value >>= 7)
        {
            bytes.Add((byte)(value | 0x80));
        }
        return [.. bytes, (byte)value];
    }
}
