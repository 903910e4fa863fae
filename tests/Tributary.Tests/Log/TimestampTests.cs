using Tributary.Contracts.Records;
using Tributary.Log;
using Tributary.Tests.Log.Support;
using Xunit;
using static Tributary.Tests.Log.Support.LogHarness;

namespace Tributary.Tests.Log;

public sealed class TimestampTests : IAsyncDisposable
{
    private readonly LogHarness _harness = new();

    public ValueTask DisposeAsync() => _harness.DisposeAsync();

    [Theory]
    [InlineData(CompressionCodec.None)]
    [InlineData(CompressionCodec.Gzip)]
    [InlineData(CompressionCodec.Snappy)]
    [InlineData(CompressionCodec.Lz4)]
    [InlineData(CompressionCodec.Zstd)]
    public async Task A_record_is_found_inside_its_batch_by_its_time(CompressionCodec codec)
    {
        PartitionLog log = _harness.Open();
        for (int i = 0; i < 100; i++)
        {
            await AppendAsync(log, Batch(records: 10, timestamp: 1_000 * i, codec: codec), leaderEpoch: 2); // 1000 i … 1000 i + 9
        }
        for (int pass = 0; pass < 2; pass++)
        {
            Assert.Equal(new TimestampedOffset(0, 0, 2), log.FindByTimestamp(-5, long.MaxValue));
            Assert.Equal(new TimestampedOffset(437, 43_007, 2), log.FindByTimestamp(43_007, long.MaxValue));
            Assert.Equal(new TimestampedOffset(440, 44_000, 2), log.FindByTimestamp(43_010, long.MaxValue));
            Assert.Null(log.FindByTimestamp(99_010, long.MaxValue));
            Assert.Null(log.FindByTimestamp(43_007, upTo: 437));
            Assert.Equal(new TimestampedOffset(999, 99_009, 2), log.FindMaxTimestamp(long.MaxValue));
            Assert.Equal(new TimestampedOffset(499, 49_009, 2), log.FindMaxTimestamp(upTo: 500));
            log = await _harness.ReopenAsync();
        }
        log.AdvanceStart(435);
        Assert.Equal(new TimestampedOffset(435, 43_005, 2), log.FindByTimestamp(0, long.MaxValue));
    }

    [Fact]
    public async Task The_first_by_offset_is_found_when_times_are_in_no_order()
    {
        var random = new Random(17);
        PartitionLog log = _harness.Open();
        long[] times = [.. Enumerable.Range(0, 300).Select(_ => (long)random.Next(1_000))];
        foreach (long time in times)
        {
            await AppendAsync(log, Batch(timestamp: time));
        }
        log = await _harness.ReopenAsync();
        for (int time = 0; time < 1_001; time += 7)
        {
            int first = Array.FindIndex(times, at => at >= time);
            Assert.Equal(first < 0 ? null : first, log.FindByTimestamp(time, long.MaxValue)?.Offset);
        }
        foreach (int upTo in new[] { 1, 2, 50, 150, 299, 300 })
        {
            long greatest = times[..upTo].Max();
            Assert.Equal(new TimestampedOffset(Array.IndexOf(times, greatest), greatest, 0), log.FindMaxTimestamp(upTo));
        }
        Assert.Null(log.FindMaxTimestamp(0));
    }

    [Fact]
    public async Task A_batch_that_cannot_be_looked_into_is_found_as_a_whole()
    {
        PartitionLog log = _harness.Open();
        byte[] batch = Batch(records: 3, timestamp: 500);
        batch[BatchLayout.Attributes + 1] |= (byte)CompressionCodec.Zstd; // it is not
        await AppendAsync(log, batch);
        Assert.Equal(new TimestampedOffset(0, 502, 0), log.FindByTimestamp(501, long.MaxValue));
    }

    [Fact]
    public async Task Where_the_log_sets_the_time_all_records_of_a_batch_have_it()
    {
        PartitionLog log = _harness.Open();
        byte[] batch = Batch(records: 3, timestamp: 500);
        batch[BatchLayout.Attributes + 1] |= (byte)BatchAttributes.LogAppendTime;
        await AppendAsync(log, batch);
        Assert.Equal(new TimestampedOffset(0, 502, 0), log.FindByTimestamp(501, long.MaxValue));
        log.AdvanceStart(1);
        Assert.Equal(new TimestampedOffset(1, 502, 0), log.FindByTimestamp(501, long.MaxValue));
    }
}
