using Tributary.Contracts.Records;
using Tributary.Log;
using Tributary.Tests.Log.Support;
using Xunit;
using static Tributary.Tests.Log.Support.LogHarness;

namespace Tributary.Tests.Log;

public sealed class TrimmingTests : IAsyncDisposable
{
    private readonly LogHarness _harness = new();

    public ValueTask DisposeAsync() => _harness.DisposeAsync();

    [Fact]
    public async Task The_start_moves_at_once_and_survives_a_clean_end()
    {
        PartitionLog log = await FillAsync(10);
        log.AdvanceStart(4);
        log.AdvanceStart(2);
        Assert.Equal(4, log.StartOffset);
        Assert.Throws<OffsetOutOfRangeException>(() => log.Read(3, 1, long.MaxValue));
        Assert.Throws<OffsetOutOfRangeException>(() => log.AdvanceStart(11));
        log = await _harness.ReopenAsync();
        Assert.Equal(4, log.StartOffset);
    }

    [Fact]
    public async Task A_reader_at_work_keeps_its_bytes_while_the_segment_goes()
    {
        PartitionLog log = await FillAsync(200);
        log = await _harness.ReopenAsync();
        using LogRead read = log.Read(0, 2_000, long.MaxValue);
        log.AdvanceStart(200);
        for (int i = 0; i < 200; i++)
        {
            await AppendAsync(log, Batch(valueSize: 30));
        }
        Assert.All(Batches(read), batch => Assert.True(batch.IsCrcValid));
    }

    [Fact]
    public async Task Time_retention_counts_from_the_append_and_not_from_what_records_say()
    {
        _harness.Options = _harness.Options with { RetentionTime = TimeSpan.FromHours(1) };
        PartitionLog log = _harness.Open();
        for (int i = 0; i < 100; i++)
        {
            await AppendAsync(log, Batch(timestamp: 1)); // long ago
        }
        log.ApplyRetention();
        Assert.Equal(0, log.StartOffset);
        _harness.Time.Advance(TimeSpan.FromMinutes(40));
        for (int i = 0; i < 100; i++)
        {
            await AppendAsync(log, Batch(timestamp: 1));
        }
        _harness.Time.Advance(TimeSpan.FromMinutes(40));
        log = await _harness.ReopenAsync();
        log.ApplyRetention();
        Assert.InRange(log.StartOffset, 50, 100);
        Assert.Equal(log.StartOffset, ReadAll(log, log.StartOffset)[0]);
    }

    [Fact]
    public async Task A_segment_that_nothing_was_appended_to_for_the_retention_time_goes_too()
    {
        _harness.Options = _harness.Options with { RetentionTime = TimeSpan.FromHours(1) };
        PartitionLog log = await FillAsync(5, new BatchProducer(3, 0, 0));
        _harness.Time.Advance(TimeSpan.FromMinutes(61));
        log.ApplyRetention();
        await UntilAsync(() => log.StartOffset == 5 && !_harness.Files().Contains(0.ToString("D20")), "the segment goes");
        log = await _harness.CrashAsync();
        Assert.Equal((5L, 5L), (log.StartOffset, log.FlushedEnd));
        Assert.Equal(0, log.FindProducer(3)!.Value.LastSequence);
        Assert.Equal(5, (await AppendAsync(log, Batch())).BaseOffset);
    }

    [Fact]
    public async Task Size_retention_keeps_at_least_what_it_says()
    {
        _harness.Options = _harness.Options with { RetentionBytes = 10_000 };
        PartitionLog log = await FillAsync(400);
        log.ApplyRetention();
        int left = ReadAll(log, log.StartOffset).Count * Batch().Length;
        Assert.InRange(left, 10_000, 10_000 + _harness.Options.SegmentBytes);
        await UntilAsync(() => log.SizeBytes < 30_000, "space is given back");
        log = await _harness.CrashAsync();
        Assert.Equal(left, ReadAll(log, log.StartOffset).Count * Batch().Length);
    }

    [Fact]
    public async Task Without_retention_everything_stays()
    {
        PartitionLog log = await FillAsync(200);
        _harness.Time.Advance(TimeSpan.FromDays(10_000));
        log.ApplyRetention();
        Assert.Equal(200, ReadAll(log, 0).Count);
    }

    [Fact]
    public async Task Idle_producers_are_forgotten_unless_the_setting_says_never()
    {
        foreach (TimeSpan? expiration in new TimeSpan?[] { TimeSpan.FromDays(1), null })
        {
            await using var harness = new LogHarness();
            harness.Options = harness.Options with { ProducerExpiration = expiration };
            PartitionLog log = harness.Open();
            await AppendAsync(log, Batch(producer: new BatchProducer(1, 0, 0)));
            harness.Time.Advance(TimeSpan.FromHours(23));
            await AppendAsync(log, Batch(producer: new BatchProducer(2, 0, 0)));
            harness.Time.Advance(TimeSpan.FromHours(2));
            log.ApplyRetention();
            Assert.Equal(expiration is null ? [1, 2] : [2L], log.ListProducers().Select(producer => producer.ProducerId).Order());
        }
    }

    [Fact]
    public async Task A_truncated_log_ends_where_it_was_cut_and_what_lay_behind_never_comes_back()
    {
        PartitionLog log = await FillAsync(200);
        string[] told = [];
        log.Subscribe(new Told(text => told = [.. told, text]));
        AppendResult cut = log.Append(Batch());
        log.Truncate(37);
        Assert.Equal((37L, 37L), (log.FlushedEnd, log.AppendedEnd));
        await Assert.ThrowsAsync<LogException>(() => log.WaitFlushedAsync(cut).AsTask().WaitAsync(Deadline));
        await UntilAsync(() => told.Contains("failed 37"), "the listener is told");
        log = await _harness.CrashAsync();
        Assert.Equal(37, log.FlushedEnd);
        // The same batches in the same places: what followed them then must not follow them now.
        for (int i = 37; i < 40; i++)
        {
            Assert.Equal(i, (await AppendAsync(log, Batch())).BaseOffset);
        }
        log = await _harness.KillAsync();
        Assert.Equal(40, log.FlushedEnd);
    }

    [Fact]
    public async Task A_batch_is_cut_whole()
    {
        PartitionLog log = _harness.Open();
        await AppendAsync(log, Batch(records: 4));
        await AppendAsync(log, Batch(records: 4));
        log.Truncate(6);
        Assert.Equal(4, log.AppendedEnd);
        log.Truncate(2);
        Assert.Equal(0, log.AppendedEnd);
        Assert.Equal(0, (await AppendAsync(log, Batch())).BaseOffset);
    }

    [Fact]
    public async Task A_truncation_takes_producers_and_epochs_back()
    {
        PartitionLog log = _harness.Open();
        for (int i = 0; i < 100; i++)
        {
            await AppendAsync(log, Batch(producer: new BatchProducer(9, 0, i)), leaderEpoch: i / 50);
        }
        log.Truncate(42);
        Assert.Equal(41, log.FindProducer(9)!.Value.LastSequence);
        Assert.Equal(0, log.LeaderEpoch);
        log = await _harness.CrashAsync();
        Assert.Equal(41, log.FindProducer(9)!.Value.LastSequence);
        Assert.False(log.Append(Batch(producer: new BatchProducer(9, 0, 42))).IsDuplicate);
    }

    private async Task<PartitionLog> FillAsync(int batches, BatchProducer? first = null)
    {
        PartitionLog log = _harness.Open();
        for (int i = 0; i < batches; i++)
        {
            await AppendAsync(log, Batch(producer: i == 0 ? first : null));
        }
        return log;
    }

    private sealed class Told(Action<string> tell) : ILogListener
    {
        public void OnFlushed(PartitionLog log, long flushedEnd)
        {
        }

        public void OnFailed(PartitionLog log, long fromOffset, Exception reason) => tell($"failed {fromOffset}");
    }
}
