using Tributary.Contracts.Records;
using Tributary.Log;
using Tributary.Tests.Log.Support;
using Xunit;
using static Tributary.Tests.Log.Support.LogHarness;

namespace Tributary.Tests.Log;

public sealed class PartitionLogTests : IAsyncDisposable
{
    private readonly LogHarness _harness = new();

    public ValueTask DisposeAsync() => _harness.DisposeAsync();

    [Fact]
    public async Task Offsets_are_assigned_in_the_order_of_appends_and_flushed()
    {
        PartitionLog log = _harness.Open();
        AppendResult first = await AppendAsync(log, Batch(records: 3));
        AppendResult second = await AppendAsync(log, Batch(records: 2), leaderEpoch: 4);
        Assert.Equal((0L, 2L), (first.BaseOffset, first.LastOffset));
        Assert.Equal((3L, 4L), (second.BaseOffset, second.LastOffset));
        Assert.Equal((0L, 5L, 5L), (log.StartOffset, log.FlushedEnd, log.AppendedEnd));
        using LogRead read = log.Read(0, 1 << 20, long.MaxValue);
        Assert.Equal([(0L, 0), (3L, 4)], Batches(read).Select(batch => (batch.BaseOffset, batch.LeaderEpoch)));
    }

    [Fact]
    public async Task Everything_flushed_is_there_after_a_crash()
    {
        PartitionLog log = _harness.Open();
        for (int i = 0; i < 300; i++)
        {
            await AppendAsync(log, Batch(valueSize: i));
        }
        log = await _harness.CrashAsync();
        Assert.Equal(300, log.FlushedEnd);
        Assert.Equal(Enumerable.Range(0, 300).Select(i => (long)i), ReadAll(log, 0));
        Assert.DoesNotContain(_harness.Events, e => e.Kind is LogEventKind.Hole or LogEventKind.Quarantined);
        Assert.Equal(300, (await AppendAsync(log, Batch())).BaseOffset);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(700)]
    [InlineData(1 << 20)]
    public async Task Records_are_read_from_files_as_from_memory(int maxBytes)
    {
        PartitionLog log = _harness.Open();
        for (int i = 0; i < 200; i++)
        {
            await AppendAsync(log, Batch(records: 1 + (i % 3), valueSize: 7 * (i % 50)));
        }
        List<long> inMemory = ReadAll(log, 0, maxBytes);
        log = await _harness.ReopenAsync();
        Assert.Equal(inMemory, ReadAll(log, 0, maxBytes));
        for (long offset = 0; offset < log.FlushedEnd; offset++)
        {
            using LogRead read = log.Read(offset, maxBytes, long.MaxValue);
            RecordBatchCopy first = Batches(read)[0];
            Assert.InRange(offset, first.BaseOffset, first.NextOffset - 1);
        }
    }

    [Fact]
    public async Task A_read_returns_no_batch_that_reaches_its_bound()
    {
        PartitionLog log = _harness.Open();
        await AppendAsync(log, Batch(records: 3));
        await AppendAsync(log, Batch(records: 3));
        foreach (bool reopened in new[] { false, true })
        {
            log = reopened ? await _harness.ReopenAsync() : log;
            using LogRead one = log.Read(1, 1 << 20, 5);
            Assert.Equal(3, one.NextOffset);
            using LogRead none = log.Read(3, 1 << 20, 5);
            Assert.Equal((0, 3L), (none.Size, none.NextOffset));
            using LogRead end = log.Read(6, 1 << 20, long.MaxValue);
            Assert.Equal((0, 6L), (end.Size, end.NextOffset));
            Assert.Throws<OffsetOutOfRangeException>(() => log.Read(7, 1, long.MaxValue));
        }
    }

    [Fact]
    public async Task A_duplicate_is_answered_with_its_original_also_after_a_crash()
    {
        PartitionLog log = _harness.Open();
        for (int i = 0; i < 6; i++)
        {
            await AppendAsync(log, Batch(records: 2, producer: new BatchProducer(7, 1, 2 * i)));
        }
        for (int crash = 0; crash < 2; crash++)
        {
            byte[] again = Batch(records: 2, producer: new BatchProducer(7, 1, 8));
            Assert.Equal(new AppendResult(AppendError.None, 8, 9, IsDuplicate: true), log.Append(again) with { Losses = 0 });
            Assert.Equal(AppendError.OutOfOrderSequence, log.Append(Batch(producer: new BatchProducer(7, 1, 20))).Error);
            Assert.Equal(AppendError.InvalidProducerEpoch, log.Append(Batch(producer: new BatchProducer(7, 0, 0))).Error);
            Assert.Equal(new ProducerSummary(7, 1, 11, 11, _harness.Time.GetUtcNow().ToUnixTimeMilliseconds()), log.FindProducer(7));
            log = await _harness.CrashAsync();
        }
    }

    [Fact]
    public async Task A_trimmed_segment_is_used_again_and_its_former_records_are_never_taken_for_new_ones()
    {
        PartitionLog log = _harness.Open();
        for (int i = 0; i < 2_000; i++)
        {
            await AppendAsync(log, Batch(valueSize: 60));
            log.AdvanceStart(log.FlushedEnd);
            if (i % 97 == 0)
            {
                log = await _harness.CrashAsync();
                Assert.Equal(i + 1, log.FlushedEnd);
            }
        }
        await UntilAsync(() => log.SizeBytes < 6 * 4096, "space is given back");
        Assert.Contains(_harness.Storage.List($"{Root}/p-0"), name => name.StartsWith("spare-", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Leader_epochs_end_where_the_next_begins_also_after_a_crash()
    {
        PartitionLog log = _harness.Open();
        log.BeginLeaderEpoch(2);
        await AppendAsync(log, Batch(records: 5), leaderEpoch: 2);
        log.BeginLeaderEpoch(5);
        Assert.Equal(AppendError.StaleLeaderEpoch, log.Append(Batch(), leaderEpoch: 4).Error);
        log = await _harness.CrashAsync();
        Assert.Equal(5, log.LeaderEpoch);
        Assert.Equal((2, 5), log.EndOffsetForEpoch(3));
        Assert.Equal((5, 5), log.EndOffsetForEpoch(5));
        Assert.Null(log.EndOffsetForEpoch(6));
    }

    [Fact]
    public async Task What_is_no_whole_batch_is_refused()
    {
        PartitionLog log = _harness.Open();
        byte[] batch = Batch();
        Assert.Equal(AppendError.Malformed, log.Append(batch.AsSpan(0, batch.Length - 1)).Error);
        Assert.Equal(AppendError.Malformed, log.Append([.. batch, 0]).Error);
        Assert.Equal(AppendError.TooLarge, log.Append(Batch(valueSize: 5_000)).Error);
        Assert.Equal(0, log.AppendedEnd);
        await AppendAsync(log, batch);
    }
}
