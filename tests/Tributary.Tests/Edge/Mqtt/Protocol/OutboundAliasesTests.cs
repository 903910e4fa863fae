using System.Text;
using Tributary.Edge.Mqtt.Protocol;
using Xunit;

namespace Tributary.Tests.Edge.Mqtt.Protocol;

/// <summary>Which topics get an alias, and keep it.</summary>
public sealed class OutboundAliasesTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(32)]
    [InlineData(65_535)]
    public void A_topic_that_comes_often_keeps_its_alias_among_many_that_come_once(int maximum)
    {
        var aliases = new OutboundAliases(maximum);
        int hits = 0;
        for (int i = 0; i < 2000; i++)
        {
            hits += Send(aliases, "often/used") ? 1 : 0;
            hits += Send(aliases, "often/used") ? 1 : 0;
            Send(aliases, $"once/{i}");
        }
        Assert.InRange(hits, 3900, 4000);
    }

    [Fact]
    public void A_topic_that_comes_no_more_gives_its_alias_to_another_one()
    {
        var aliases = new OutboundAliases(1);
        for (int i = 0; i < 1000; i++)
        {
            Send(aliases, "before");
        }
        int misses = 0;
        while (!Send(aliases, "after"))
        {
            misses++;
        }
        Assert.InRange(misses, 1, 100);
        Assert.False(Send(aliases, "before"));
    }

    [Fact]
    public void Aliases_stay_within_the_maximum_and_a_topic_that_is_shorter_than_one_has_none()
    {
        var aliases = new OutboundAliases(7);
        Assert.Equal(0, aliases.Find("abc"u8, out _));
        var given = new HashSet<ushort>();
        for (int i = 0; i < 1000; i++)
        {
            byte[] topic = Encoding.UTF8.GetBytes($"topic/{i}");
            ushort alias = aliases.Find(topic, out bool isKnown);
            Assert.False(isKnown);
            if (alias > 0)
            {
                aliases.Set(alias, topic);
                given.Add(alias);
            }
        }
        Assert.All(given, alias => Assert.InRange(alias, 1, 7));
    }

    [Fact]
    public void Neither_use_nor_change_allocates()
    {
        var aliases = new OutboundAliases(8);
        byte[][] topics = [.. Enumerable.Range(100, 100).Select(i => Encoding.UTF8.GetBytes($"topic/{i}"))];
        long before = 0;
        for (int i = 0; i < 40_000; i++)
        {
            before = i == 20_000 ? GC.GetAllocatedBytesForCurrentThread() : before;
            byte[] topic = topics[i * 31 % (i % 2 == 0 ? 100 : 10)];
            if (aliases.Find(topic, out bool isKnown) is > 0 and var alias && !isKnown)
            {
                aliases.Set(alias, topic);
            }
        }
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    /// <returns>Whether the alias was enough.</returns>
    private static bool Send(OutboundAliases aliases, string topic)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(topic);
        ushort alias = aliases.Find(bytes, out bool isKnown);
        if (alias > 0 && !isKnown)
        {
            aliases.Set(alias, bytes);
        }
        return isKnown;
    }
}
