using System.Globalization;
using System.Text;
using Tributary.Log.Compaction;
using Xunit;

namespace Tributary.Tests.Log.Compaction;

public sealed class KeyMapTests
{
    [Theory]
    [InlineData(0, 0xe6a825ba047f81a3, 0x930255c71472f66d)] // the vectors of the authors' reference implementation
    [InlineData(1, 0x44af996bd8c187da, 0x45fc229b11597634)]
    public void The_hash_is_SipHash_of_128_bits(int size, ulong high, ulong low)
    {
        var hash = new SipHash(0x0706050403020100, 0x0f0e0d0c0b0a0908);
        byte[] input = [.. Enumerable.Range(0, size).Select(i => (byte)i)];
        Assert.Equal(new KeyHash(high, low), hash.Hash(input));
    }

    [Fact]
    public void It_knows_the_last_offset_of_each_key()
    {
        var map = new KeyMap(1 << 20);
        map.Begin(10_000);
        for (int i = 0; i < 10_000; i++)
        {
            Assert.True(map.TryPut(Key(i % 700), i));
        }
        Assert.Equal(700, map.Count);
        Assert.All(Enumerable.Range(0, 700), key => Assert.Equal(key < 200 ? 9_800 + key : 9_100 + key, map.Get(Key(key))));
        Assert.Equal(-1, map.Get(Key(701)));
    }

    [Fact]
    public void It_takes_as_much_memory_as_it_may_and_says_when_it_is_full()
    {
        var map = new KeyMap(1 << 12);
        map.Begin(1_000_000);
        int taken = 0;
        while (map.TryPut(Key(taken), taken))
        {
            taken++;
        }
        Assert.Equal(map.Capacity, taken);
        Assert.InRange(map.Bytes, 1, 1 << 12);
        Assert.InRange(taken, (1 << 12) / 40, (1 << 12) / 24);
        Assert.True(map.TryPut(Key(3), 1_000)); // a key that it knows always fits
        Assert.Equal(1_000, map.Get(Key(3)));
    }

    [Fact]
    public void It_is_empty_when_it_begins_anew()
    {
        var map = new KeyMap(1 << 16);
        map.Begin(1_000);
        map.TryPut(Key(1), 5);
        map.Begin(10);
        Assert.Equal(-1, map.Get(Key(1)));
        map.TryPut(Key(2), 6);
        map.Begin(1_000);
        Assert.Equal((-1, -1), (map.Get(Key(1)), map.Get(Key(2))));
    }

    private static byte[] Key(int number) => Encoding.UTF8.GetBytes(number.ToString(CultureInfo.InvariantCulture));
}
