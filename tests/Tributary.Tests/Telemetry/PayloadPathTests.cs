using System.Text;
using Tributary.Contracts.Telemetry;
using Tributary.Tests.Support;
using Xunit;

namespace Tributary.Tests.Telemetry;

public sealed class PayloadPathTests
{
    [Theory]
    [InlineData("", "21.5", "21.5")]
    [InlineData("", " \r\n\t21.5 ", "21.5")]
    [InlineData("", "\"on\"", "\"on\"")]
    [InlineData("a", "{\"a\":1}", "1")]
    [InlineData("a", "{ \"b\" : [1,{\"a\":2}], \"a\" : 3 }", "3")]
    [InlineData("a", "{\"b\":\"}\\\"{\",\"a\":3}", "3")]
    [InlineData("a.b[1].ts", "{\"a\":{\"b\":[{},{\"x\":null,\"ts\":\"t\"}]}}", "\"t\"")]
    [InlineData("[0].bn", "[{\"bn\":\"urn:x\"}]", "\"urn:x\"")]
    [InlineData("[1][0]", "[[1],[2,3]]", "2")]
    [InlineData("a", "{\"a\":{\"b\":[1]}}", "{\"b\":[1]}")]
    [InlineData("a", "{\"a\":1,\"a\":2}", "1")]
    [InlineData("ü x", "{\"ü x\":true}", "true")]
    public void A_value_is_found(string path, string payload, string value)
    {
        Assert.True(PayloadPath.Parse(path).TryFind(Encoding.UTF8.GetBytes(payload), out ReadOnlySpan<byte> found));
        Assert.Equal(value, Encoding.UTF8.GetString(found));
    }

    [Theory]
    [InlineData("", "")]
    [InlineData("", "  ")]
    [InlineData("a", "21.5")]
    [InlineData("a", "{\"b\":1}")]
    [InlineData("a", "{\"b\":1")]
    [InlineData("a", "{\"a\"")]
    [InlineData("a", "{\"a\":")]
    [InlineData("a", "{\"a\":\"x")]
    [InlineData("a", "{\"a\":\"x\\")]
    [InlineData("a", "{\"a\":[1,2")]
    [InlineData("a", "{a:1}")]
    [InlineData("a", "[1]")]
    [InlineData("[0]", "{}")]
    [InlineData("[0]", "[]")]
    [InlineData("[2]", "[1,2]")]
    [InlineData("a.b", "{\"a\":1}")]
    public void A_value_that_is_not_there_is_not_found(string path, string payload) =>
        Assert.False(PayloadPath.Parse(path).TryFind(Encoding.UTF8.GetBytes(payload), out _));

    [Theory]
    [InlineData("21.5", 21.5)]
    [InlineData("\"21.5\"", 21.5)]
    [InlineData("-1e3", -1000)]
    public void A_number_is_one_as_text_too(string payload, double number)
    {
        Assert.True(PayloadPath.Parse("").TryNumber(Encoding.UTF8.GetBytes(payload), out double found));
        Assert.Equal(number, found);
    }

    [Theory]
    [InlineData("true")]
    [InlineData("\"\"")]
    [InlineData("1x")]
    [InlineData("NaN")]
    [InlineData("Infinity")]
    [InlineData("1e999")]
    [InlineData("{}")]
    public void What_is_no_finite_number_is_none(string payload) =>
        Assert.False(PayloadPath.Parse("").TryNumber(Encoding.UTF8.GetBytes(payload), out _));

    [Theory]
    [InlineData(".a", 1)]
    [InlineData("a.", 3)]
    [InlineData("a..b", 3)]
    [InlineData("a[x]", 2)]
    [InlineData("a[-1]", 2)]
    [InlineData("a[1", 2)]
    [InlineData("a[99999]", 2)]
    [InlineData("a]", 2)]
    [InlineData("[0]a", 4)]
    public void A_bad_path_names_the_position(string path, int character) => Assert.Contains(
        $"character {character}:", Assert.Throws<FormatException>(() => PayloadPath.Parse(path)).Message, StringComparison.Ordinal);

    [Fact]
    public void A_path_has_limits()
    {
        Assert.Throws<FormatException>(() => PayloadPath.Parse(new string('a', PayloadPath.MaxLength + 1)));
        Assert.Throws<FormatException>(() => PayloadPath.Parse(string.Join('.', Enumerable.Repeat("a", PayloadPath.MaxSteps + 1))));
    }

    [Fact]
    public void Damaged_payloads_throw_nothing_and_nothing_is_allocated()
    {
        byte[] payload = "{\"a\":{\"b\":[{\"x\":\"\\\"}\"},{\"ts\":1700000000123}]},\"v\":\"21.5\"}"u8.ToArray();
        PayloadPath path = PayloadPath.Parse("a.b[1].ts");
        var random = new Random(1);
        for (int i = 0; i < 20_000; i++)
        {
            byte[] damaged = [.. payload.AsSpan(0, random.Next(payload.Length + 1))];
            for (int n = random.Next(4); n > 0 && damaged.Length > 0; n--)
            {
                damaged[random.Next(damaged.Length)] = (byte)random.Next(256);
            }
            path.TryNumber(damaged, out _);
        }
        Assert.Equal(0, Allocations.PerCall(() => path.TryNumber(payload, out _)));
    }
}
