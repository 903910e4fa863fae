using Tributary.Edge.Ingest;
using Xunit;

namespace Tributary.Tests.Edge.Ingest;

public sealed class IngestOptionsTests
{
    private static readonly IngestOptions Valid = new() { EdgeId = "e1" };

    [Fact]
    public void The_defaults_are_valid() => Assert.Same(Valid, Valid.Validate());

    [Fact]
    public void A_wrong_setting_is_named_as_users_write_it()
    {
        AssertRefused("'id'", Valid with { EdgeId = "" });
        AssertRefused("'id'", Valid with { EdgeId = new string('x', 256) });
        AssertRefused("'ingest:partitionsPerTopic'", Valid with { PartitionsPerTopic = 0 });
        AssertRefused("'ingest:maxBatchBytes'", Valid with { MaxBatchBytes = 1 });
        AssertRefused("'ingest:maxRecordBytes'", Valid with { MaxRecordBytes = (16 << 20) + 1 });
        AssertRefused("'ingest:maxGatheredBytes'", Valid with { MaxGatheredBytes = 1 });
        AssertRefused("'ingest:topicCacheBytes'", Valid with { TopicCacheBytes = -1 });
        AssertRefused("'ingest:offlineRetry'", Valid with { OfflineRetry = TimeSpan.Zero });
    }

    private static void AssertRefused(string setting, IngestOptions options) =>
        Assert.Contains(setting, Assert.Throws<ArgumentException>(() => options.Validate()).Message, StringComparison.Ordinal);
}
