using Tributary.Log;
using Tributary.Tests.Log.Support;
using Xunit;
using static Tributary.Tests.Log.Support.LogHarness;

namespace Tributary.Tests.Log;

/// <summary>What stays in memory of what was appended, and how far apart recovery points are.</summary>
public sealed class TailTests : IAsyncDisposable
{
    private const int BatchBytes = 60_000;
    private const int PerNear = ((8 << 20) / BatchBytes) + 1;
    private readonly LogHarness _harness = new() { Options = new PartitionLogOptions() };

    public ValueTask DisposeAsync() => _harness.DisposeAsync();

    [Fact]
    public async Task Of_a_partition_that_nobody_reads_little_is_kept()
    {
        PartitionLog log = _harness.Open();
        await FillAsync(log, 4 * PerNear);
        Assert.True(IsInMemory(log, log.FlushedEnd - 1));
        Assert.False(IsInMemory(log, log.FlushedEnd - 20));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(20)] // behind what is kept: a reader must be able to come near from there
    public async Task While_somebody_reads_near_the_end_as_much_is_kept_as_fits(int behind)
    {
        PartitionLog log = _harness.Open();
        await FillAsync(log, 3 * PerNear);
        _ = IsInMemory(log, log.FlushedEnd - behind);
        await FillAsync(log, PerNear / 2);
        Assert.True(IsInMemory(log, log.FlushedEnd - (PerNear / 2)));
        await FillAsync(log, PerNear); // and nobody reads any more
        Assert.False(IsInMemory(log, log.FlushedEnd - 20));
    }

    [Fact]
    public async Task A_reader_far_behind_keeps_nothing_in_memory()
    {
        PartitionLog log = _harness.Open();
        await FillAsync(log, 4 * PerNear);
        _ = IsInMemory(log, 0);
        await FillAsync(log, 40);
        Assert.False(IsInMemory(log, log.FlushedEnd - 20));
    }

    [Theory]
    [InlineData(0, 4)]
    [InlineData(2, 1)]
    public async Task A_log_that_grows_fast_has_its_recovery_points_farther_apart(int secondsForEach, int steps)
    {
        const int step = 10;
        _harness.Options = new PartitionLogOptions { RecoveryStepBytes = step * BatchBytes };
        PartitionLog log = _harness.Open();
        await FillAsync(log, 1);
        for (int appended = 1; appended < steps * step; appended++)
        {
            Assert.DoesNotContain(_harness.Files(), file => file.StartsWith("index-", StringComparison.Ordinal));
            _harness.Time.Advance(TimeSpan.FromSeconds((double)secondsForEach / step));
            await FillAsync(log, 1);
        }
        await FillAsync(log, 1); // its flush is awaited before the round of the last one is over
        Assert.Contains(_harness.Files(), file => file.StartsWith("index-", StringComparison.Ordinal));
    }

    private static async Task FillAsync(PartitionLog log, int batches)
    {
        byte[] batch = Batch(valueSize: BatchBytes);
        for (int i = 0; i < batches; i++)
        {
            await AppendAsync(log, batch);
        }
    }

    private static bool IsInMemory(PartitionLog log, long offset)
    {
        using LogRead read = log.Read(offset, 1, long.MaxValue);
        return !read.IsFromFile;
    }
}
