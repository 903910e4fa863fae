using Tributary.Log;
using Xunit;

namespace Tributary.Tests.Log;

public sealed class LeaderEpochsTests
{
    [Theory]
    [InlineData(-1, null, 0)]
    [InlineData(0, 0, 10)] // before the first: it ends where the first begins
    [InlineData(2, 2, 20)]
    [InlineData(3, 2, 20)]
    [InlineData(5, 5, 35)]
    [InlineData(6, 6, 50)]
    [InlineData(7, null, 0)]
    public void An_epoch_ends_where_the_next_one_begins(int asked, int? epoch, long end)
    {
        LeaderEpochs epochs = Begun((2, 10), (5, 20), (6, 35));
        Assert.Equal(epoch is { } found ? (found, end) : null, epochs.EndOffsetFor(asked, logEnd: 50));
    }

    [Fact]
    public void An_epoch_without_records_tells_nothing()
    {
        LeaderEpochs epochs = Begun((2, 10), (3, 10), (4, 10));
        Assert.Equal((4, 30L), epochs.EndOffsetFor(4, logEnd: 30));
        Assert.Equal((2, 10L), epochs.EndOffsetFor(2, logEnd: 30));
        Assert.Throws<InvalidOperationException>(() => epochs.Begin(4, 40));
    }

    [Fact]
    public void After_a_loss_the_latest_stays_in_force_and_begins_at_the_end_at_the_latest()
    {
        LeaderEpochs epochs = Begun((2, 10), (5, 20), (6, 35));
        epochs.ClampToEnd(15);
        Assert.Equal(6, epochs.Latest);
        Assert.Equal((2, 15L), epochs.EndOffsetFor(5, logEnd: 15));
        epochs.TruncateFromEnd(12);
        Assert.Equal(2, epochs.Latest);
    }

    [Fact]
    public void What_lies_below_the_start_is_forgotten()
    {
        LeaderEpochs epochs = Begun((2, 10), (5, 20), (6, 35));
        epochs.TruncateFromStart(25);
        Assert.Equal((2, 20L), epochs.EndOffsetFor(2, logEnd: 50));
        Assert.Equal((5, 35L), epochs.EndOffsetFor(5, logEnd: 50));
    }

    [Fact]
    public void Recovery_learns_epochs_that_were_not_saved_and_starts_that_moved_down()
    {
        LeaderEpochs epochs = Begun((2, 10), (6, 35));
        epochs.Observe(2, 12);
        Assert.Equal(2, epochs.Changes);
        epochs.Observe(5, 20);
        epochs.Observe(6, 30);
        epochs.Observe(8, 40);
        epochs.Observe(8, 45);
        Assert.Equal((2, 20L), epochs.EndOffsetFor(4, logEnd: 50));
        Assert.Equal((5, 30L), epochs.EndOffsetFor(5, logEnd: 50));
        Assert.Equal((6, 40L), epochs.EndOffsetFor(7, logEnd: 50));
        Assert.Equal((8, 50L), epochs.EndOffsetFor(8, logEnd: 50));
    }

    private static LeaderEpochs Begun(params ReadOnlySpan<(int Epoch, long Start)> begun)
    {
        var epochs = new LeaderEpochs();
        foreach ((int epoch, long start) in begun)
        {
            epochs.Begin(epoch, start);
        }
        return epochs;
    }
}
