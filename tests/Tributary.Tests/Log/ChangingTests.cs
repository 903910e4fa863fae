using Tributary.Contracts.Records;
using Tributary.Log;
using Tributary.Tests.Log.Support;
using Xunit;
using static Tributary.Tests.Log.Support.LogHarness;

namespace Tributary.Tests.Log;

public sealed class ChangingTests : IAsyncDisposable
{
    private readonly LogHarness _harness = new();

    public ValueTask DisposeAsync() => _harness.DisposeAsync();

    [Fact]
    public async Task What_was_deleted_does_not_come_back_after_a_crash()
    {
        PartitionLog log = await FillAsync(10);
        log.DeleteBefore(4);
        log.DeleteBefore(2);
        Assert.Throws<OffsetOutOfRangeException>(() => log.DeleteBefore(11));
        log = await _harness.CrashAsync();
        Assert.Equal((4L, 10L), (log.StartOffset, log.FlushedEnd));
        Assert.Equal(6, ReadAll(log, 4).Count);
    }

    [Fact]
    public async Task Everything_can_be_deleted_and_offsets_go_on()
    {
        PartitionLog log = await FillAsync(200);
        log.DeleteBefore(200);
        log = await _harness.CrashAsync();
        Assert.Equal((200L, 200L), (log.StartOffset, log.FlushedEnd));
        Assert.Equal(200, (await AppendAsync(log, Batch())).BaseOffset);
    }

    [Fact]
    public async Task Retention_that_is_set_later_is_applied()
    {
        PartitionLog log = await FillAsync(400);
        log.ApplyRetention();
        Assert.Equal(0, log.StartOffset);
        log.Reconfigure(_harness.Options with { RetentionBytes = 10_000 });
        log.ApplyRetention();
        Assert.InRange(ReadAll(log, log.StartOffset).Count * Batch().Length, 10_000, 10_000 + _harness.Options.SegmentBytes);
    }

    [Fact]
    public async Task Segments_and_batches_take_a_size_that_is_set_later()
    {
        PartitionLog log = await FillAsync(1);
        log.Reconfigure(_harness.Options with { SegmentBytes = 1024 });
        Assert.Equal(AppendError.TooLarge, log.Append(Batch(valueSize: 1_100)).Error);
        for (int i = 0; i < 50; i++)
        {
            await AppendAsync(log, Batch(valueSize: 100));
        }
        Assert.InRange(_harness.Files().Count(file => file.Length == 20 && char.IsAsciiDigit(file[0])), 6, 12);
        log.Reconfigure(_harness.Options with { SegmentBytes = 65_536 });
        Assert.Equal(51, (await AppendAsync(log, Batch(valueSize: 10_000))).BaseOffset);
        log = await _harness.CrashAsync();
        Assert.Equal(52, ReadAll(log, 0).Count);
    }

    [Theory]
    [InlineData(60, true)]
    [InlineData(null, false)]
    public async Task A_segment_that_is_written_for_long_is_closed_so_that_retention_can_take_it(int? segmentMinutes, bool isTaken)
    {
        _harness.Options = _harness.Options with
        {
            SegmentTime = segmentMinutes is { } minutes ? TimeSpan.FromMinutes(minutes) : null,
            RetentionTime = TimeSpan.FromHours(2),
        };
        PartitionLog log = _harness.Open();
        for (int hour = 0; hour < 12; hour++)
        {
            await AppendAsync(log, Batch());
            _harness.Time.Advance(TimeSpan.FromMinutes(61));
            log.ApplyRetention();
        }
        await AppendAsync(log, Batch());
        if (isTaken)
        {
            await UntilAsync(
                () =>
                {
                    log.ApplyRetention();
                    return log.StartOffset > 0;
                },
                "old segments go");
        }
        log = await _harness.CrashAsync();
        Assert.Equal(13, log.FlushedEnd);
        Assert.Equal(isTaken, log.StartOffset > 0);
    }

    private async Task<PartitionLog> FillAsync(int batches)
    {
        PartitionLog log = _harness.Open();
        for (int i = 0; i < batches; i++)
        {
            await AppendAsync(log, Batch());
        }
        return log;
    }
}
