using Tributary.Broker.Partitions;
using Xunit;

namespace Tributary.Tests.Broker.Partitions;

public sealed class InSyncSetTests
{
    [Fact]
    public void A_leader_that_is_alone_commits_what_it_has_flushed() =>
        Assert.Equal(70, new InSyncSet(1, [1]).CommonEnd(localFlushedEnd: 70, highWatermark: 50));

    [Fact]
    public void A_replica_that_has_said_nothing_holds_the_high_watermark_where_it_stands() =>
        Assert.Equal(50, new InSyncSet(1, [1, 2]).CommonEnd(localFlushedEnd: 70, highWatermark: 50));

    [Fact]
    public void What_was_committed_stays_committed() =>
        Assert.Equal(50, new InSyncSet(1, [1]).CommonEnd(localFlushedEnd: 40, highWatermark: 50));
}
