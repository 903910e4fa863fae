using Tributary.Edge.Buffer;
using Tributary.Log;
using Xunit;

namespace Tributary.Tests.Edge.Buffer;

public sealed class EdgeBufferOptionsTests
{
    private static readonly EdgeBufferOptions Valid = new();

    [Fact]
    public void The_defaults_are_valid() => Assert.Same(Valid, Valid.Validate());

    [Fact]
    public void A_wrong_setting_is_named_as_users_write_it()
    {
        AssertRefused("'buffer:segmentBytes'", Valid with { SegmentBytes = 1000 });
        AssertRefused("'buffer:maxTopics'", Valid with { MaxTopics = 1 });
        AssertRefused("'buffer:minFreeBytes'", Valid with { MinFreeBytes = -1 });
        AssertRefused("'buffer:maxUnflushedBytes'", Valid with { MaxUnflushedBytes = 0 });
        AssertRefused("'buffer:tailCacheBytes'", Valid with { TailCacheBytes = -1 });
        AssertRefused("'buffer:flushTogetherFrom'", Valid with { FlushTogetherFrom = -1 });
        AssertRefused("'buffer:commitWindow'", Valid with { CommitWindow = TimeSpan.FromMinutes(1) });
        AssertRefused("'buffer:spaceCheckInterval'", Valid with { SpaceCheckInterval = TimeSpan.Zero });
    }

    [Fact]
    public void The_quota_must_hold_what_each_partition_holds_when_all_is_trimmed()
    {
        EdgeBufferOptions options = Valid with { SegmentBytes = 1 << 20, MaxTopics = 3, PartitionsPerTopic = 2 };

        (options with { MaxDiskBytes = 30 << 20 }).Validate();

        AssertRefused("'buffer:maxDiskBytes' is 31457279; it must be at least 31457280", options with { MaxDiskBytes = (30 << 20) - 1 });
    }

    [Fact]
    public void Nothing_in_the_buffer_expires()
    {
        PartitionLogOptions options = Valid.ToPartitionOptions();

        Assert.Null(options.RetentionTime);
        Assert.Null(options.RetentionBytes);
        Assert.Null(options.ProducerExpiration);
    }

    private static void AssertRefused(string text, EdgeBufferOptions options) =>
        Assert.Contains(text, Assert.Throws<ArgumentException>(() => options.Validate()).Message, StringComparison.Ordinal);
}
