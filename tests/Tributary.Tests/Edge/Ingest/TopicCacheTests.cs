using System.Text;
using Tributary.Edge.Ingest;
using Tributary.Tests.Support;
using Xunit;

namespace Tributary.Tests.Edge.Ingest;

public sealed class TopicCacheTests
{
    /// <summary>What the cache counts for an entry beside its topic and its value's bytes.</summary>
    private const int EntryOverhead = 256;

    [Fact]
    public void What_was_added_is_found_by_the_bytes_of_the_topic()
    {
        var cache = new TopicCache<string>(1 << 20);
        cache.Add("devices/d1/temperature"u8, "first", 0);
        cache.Add("devices/d1/temperatur"u8, "second", 0);
        cache.Add(""u8, "third", 0);

        Assert.Equal("first", cache.Find("devices/d1/temperature"u8));
        Assert.Equal("second", cache.Find("devices/d1/temperatur"u8));
        Assert.Equal("third", cache.Find(""u8));
        Assert.Null(cache.Find("devices/d1/temperatures"u8));
    }

    [Fact]
    public void The_topic_is_copied()
    {
        var cache = new TopicCache<string>(1 << 20);
        byte[] topic = "a/b"u8.ToArray();
        cache.Add(topic, "value", 0);
        topic[0] = (byte)'x';

        Assert.Equal("value", cache.Find("a/b"u8));
        Assert.Null(cache.Find(topic));
    }

    [Fact]
    public void Finding_allocates_nothing()
    {
        var cache = new TopicCache<string>(1 << 20);
        byte[] topic = "devices/d1/temperature"u8.ToArray();
        cache.Add(topic, "value", 0);

        Assert.Equal(0, Allocations.PerCall(() => cache.Find(topic)));
    }

    [Fact]
    public void However_many_topics_come_the_memory_is_bounded()
    {
        const int Fits = 100; // half of it in either generation
        var cache = new TopicCache<string>(Fits * (EntryOverhead + 8L + 40));
        const int Topics = 10_000;
        for (int i = 0; i < Topics; i++)
        {
            cache.Add(Topic(i), "value", 40);
        }
        int found = Enumerable.Range(0, Topics).Count(i => cache.Find(Topic(i)) is not null);

        Assert.InRange(found, Fits / 2, Fits);
        Assert.NotNull(cache.Find(Topic(Topics - 1)));
    }

    [Fact]
    public void A_topic_in_use_stays_while_others_are_forgotten()
    {
        var cache = new TopicCache<string>(100 * (EntryOverhead + 8L));
        cache.Add("in use.."u8, "kept", 0);
        cache.Add("not used"u8, "forgotten", 0);
        for (int i = 0; i < 1000; i++)
        {
            cache.Add(Topic(i), "value", 0);
            Assert.Equal("kept", cache.Find("in use.."u8));
        }
        Assert.Null(cache.Find("not used"u8));
    }

    [Fact]
    public void A_value_larger_than_half_of_the_memory_is_not_kept_and_pushes_nothing_out()
    {
        var cache = new TopicCache<string>(100_000);
        cache.Add("a"u8, "value", 0);
        cache.Add("b"u8, "large", 50_001);

        Assert.Null(cache.Find("b"u8));
        Assert.Equal("value", cache.Find("a"u8));
    }

    [Fact]
    public async Task Threads_find_only_what_belongs_to_their_topic()
    {
        var cache = new TopicCache<string>(50 * (EntryOverhead + 8L));
        await Task.WhenAll(Enumerable.Range(0, 4).Select(seed => Task.Run(() =>
        {
            var random = new Random(seed);
            for (int i = 0; i < 50_000; i++)
            {
                int number = random.Next(200);
                byte[] topic = Topic(number);
                if (cache.Find(topic) is { } found)
                {
                    Assert.Equal(number.ToString(), found);
                }
                else
                {
                    cache.Add(topic, number.ToString(), 0);
                }
            }
        })));
    }

    private static byte[] Topic(int number) => Encoding.ASCII.GetBytes($"t{number:D7}");
}
