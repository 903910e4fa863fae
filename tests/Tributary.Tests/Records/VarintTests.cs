using Tributary.Contracts.Records;
using Xunit;

namespace Tributary.Tests.Records;

public sealed class VarintTests
{
    /// <summary>The zig-zag examples of Protocol Buffers' encoding guide, and the borders of each size.</summary>
    [Theory]
    [InlineData(0, "00")]
    [InlineData(-1, "01")]
    [InlineData(1, "02")]
    [InlineData(-2, "03")]
    [InlineData(63, "7e")]
    [InlineData(-64, "7f")]
    [InlineData(64, "8001")]
    [InlineData(8191, "fe7f")]
    [InlineData(-8193, "818001")]
    [InlineData(int.MaxValue, "feffffff0f")]
    [InlineData(int.MinValue, "ffffffff0f")]
    [InlineData(long.MaxValue, "feffffffffffffffff01")]
    [InlineData(long.MinValue, "ffffffffffffffffff01")]
    public void A_value_has_the_bytes_of_the_encoding(long value, string hex)
    {
        byte[] to = new byte[Varint.MaxSize];

        int size = Varint.Write(to, value);

        Assert.Equal(hex, Convert.ToHexStringLower(to.AsSpan(0, size)));
        Assert.Equal(size, Varint.SizeOf(value));
        ReadOnlySpan<byte> from = to.AsSpan(0, size);
        Assert.True(Varint.TryRead(ref from, out long back));
        Assert.Equal(value, back);
        Assert.True(from.IsEmpty);
    }

    [Theory]
    [InlineData("")]
    [InlineData("80")]
    [InlineData("ffffffffffffffffff")] // no last byte
    [InlineData("ffffffffffffffffff02")] // bit 64
    [InlineData("8080808080808080808000")] // eleven bytes
    public void Bytes_that_end_or_do_not_fit_are_refused_and_not_consumed(string hex)
    {
        byte[] bytes = Convert.FromHexString(hex);
        ReadOnlySpan<byte> from = bytes;

        Assert.False(Varint.TryRead(ref from, out long _));
        Assert.False(Varint.TryRead(ref from, out int _));
        Assert.Equal(bytes.Length, from.Length);
    }

    [Theory]
    [InlineData("8080808010")] // 2³¹
    [InlineData("8180808010")] // −2³¹ − 1
    [InlineData("808080808000")] // 0 in six bytes
    public void A_value_past_32_bits_is_refused_where_32_are_asked_for(string hex)
    {
        ReadOnlySpan<byte> from = Convert.FromHexString(hex);

        Assert.False(Varint.TryRead(ref from, out int _));
        Assert.True(Varint.TryRead(ref from, out long _));
    }
}
