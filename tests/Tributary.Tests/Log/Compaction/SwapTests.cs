using Tributary.Contracts.Records;
using Tributary.Log;
using Tributary.Log.Compaction;
using Tributary.Log.Storage;
using Tributary.Tests.Log.Support;
using Xunit;
using static Tributary.Tests.Log.Support.LogHarness;

namespace Tributary.Tests.Log.Compaction;

/// <summary>Files that take the place of others, and who is at work meanwhile.</summary>
public sealed class SwapTests : IAsyncDisposable
{
    private const int Keys = 5;
    private readonly LogHarness _harness = new()
    {
        DirectoryOptions = new LogDirectoryOptions { TailCacheBytes = 0 },
        Options = new PartitionLogOptions
        {
            SegmentBytes = 1024,
            IndexIntervalBytes = 128,
            RecoveryStepBytes = 1,
            RecoveryStepTime = TimeSpan.Zero,
            Compaction = new CompactionPolicy { DirtyRatio = 0 },
        },
    };

    private readonly LogCompactor _compactor;

    public SwapTests() => _compactor = new LogCompactor(new LogCompactorOptions(), _harness.Time);

    public ValueTask DisposeAsync() => _harness.DisposeAsync();

    [Fact]
    public async Task Readers_see_no_gap_no_repeat_and_no_error_while_segments_are_replaced()
    {
        PartitionLog log = _harness.Open();
        using var stop = new CancellationTokenSource();
        Task[] readers = [.. Enumerable.Range(0, 3).Select(number => Task.Run(() => ReadAgain(log, number, stop.Token)))];
        int rounds = 0;
        for (int i = 0; rounds < 40; i++)
        {
            await AppendAsync(log, KeyedBatch.Of(($"key {i % Keys}", $"value {i}")));
            if (i % 25 == 0)
            {
                rounds += _compactor.Compact(log, log.FlushedEnd, CancellationToken.None).Outcome == CompactionOutcome.Done ? 1 : 0;
            }
        }
        await stop.CancelAsync();
        await Task.WhenAll(readers).WaitAsync(Deadline);
        Assert.Empty(_harness.Events);
    }

    [Fact]
    public async Task Appends_trims_and_deletion_beside_a_round_are_safe()
    {
        for (int round = 0; round < 10; round++)
        {
            PartitionLog log = _harness.Directory is null ? _harness.Open() : _harness.Directory.OpenPartition("p-0", _harness.Options);
            for (int i = 0; i < 120; i++)
            {
                await AppendAsync(log, KeyedBatch.Of(($"key {i % Keys}", $"value {i}")));
            }
            Task<CompactionResult> compacting = Task.Run(() => _compactor.Compact(log, log.FlushedEnd, CancellationToken.None));
            log.DeleteBefore(20 + (round * 5));
            _harness.Directory!.DeletePartition("p-0");
            CompactionResult result = await compacting.WaitAsync(Deadline);
            Assert.True(Enum.IsDefined(result.Outcome));
            Assert.Empty(_harness.Directory.List());
        }
        Assert.Empty(_harness.Events);
    }

    [Fact]
    public async Task A_disk_that_fails_in_the_middle_leaves_the_log_whole_and_the_next_round_does_it()
    {
        FaultyStorage faulty = null!;
        _harness.Wrap = storage => faulty = new FaultyStorage((MemoryStorage)storage);
        PartitionLog log = _harness.Open();
        long before = 0;
        for (int number = 1; number <= 6; number++)
        {
            foreach (FaultPoint point in new[] { FaultPoint.StateFlush, FaultPoint.Sync })
            {
                before = await FillAsync(log);
                faulty.Fail(point, number);
                try
                {
                    _compactor.Compact(log, log.FlushedEnd, CancellationToken.None);
                }
                catch (IOException)
                {
                }
                faulty.Fail(point, int.MaxValue);
                Assert.Equal(before - 1, KeyedBatch.Records(log, 0)[^1].Offset);
                _compactor.Compact(log, log.FlushedEnd, CancellationToken.None);
                Assert.DoesNotContain(_harness.Files(), file => file.StartsWith("compacted-", StringComparison.Ordinal));
            }
        }
        Assert.InRange(KeyedBatch.Records(log, 0).Count, Keys, 60);
        log = await _harness.ReopenAsync();
        Assert.Equal(before - 1, KeyedBatch.Records(log, 0)[^1].Offset);
        // The log saves its state on a thread of its own, which may meet the fault too; it tries again.
        Assert.DoesNotContain(_harness.Events, told => told.Kind != LogEventKind.SaveFailed);
    }

    [Fact]
    public async Task Space_is_given_back_and_counted()
    {
        PartitionLog log = _harness.Open();
        await FillAsync(log);
        await FillAsync(log);
        long before = log.SizeBytes;
        _compactor.Compact(log, log.FlushedEnd, CancellationToken.None);
        Assert.InRange(log.SizeBytes, 1, before / 2);
    }

    private async Task<long> FillAsync(PartitionLog log)
    {
        for (int i = 0; i < 100; i++)
        {
            await AppendAsync(log, KeyedBatch.Of(($"key {i % Keys}", $"value {i}")));
        }
        long last = _harness.Files().Where(file => char.IsAsciiDigit(file[0])).Select(file => long.Parse(file, null)).Max();
        await UntilAsync(
            () => Manifest.Load(_harness.Storage, $"{Root}/{log.Name}", out Manifest manifest) == StateStatus.Ok
                && manifest.Snapshots.Any(point => point.Offset >= last), "the state of producers is saved behind the last closed segment");
        return log.FlushedEnd;
    }

    /// <summary>Reads from the start to the end, again and again, and from where it came to.</summary>
    private static void ReadAgain(PartitionLog log, int number, CancellationToken stop)
    {
        var random = new Random(number);
        while (!stop.IsCancellationRequested)
        {
            long at = random.NextInt64(0, log.FlushedEnd + 1);
            long before = -1;
            while (at < log.FlushedEnd)
            {
                using LogRead read = log.Read(at, 1 + random.Next(2_000), log.FlushedEnd);
                foreach (RecordBatchCopy batch in Batches(read))
                {
                    Assert.True(batch.IsCrcValid && batch.BaseOffset <= at && batch.NextOffset > at, $"{batch.BaseOffset} is read at {at}");
                    foreach (KeyedRecord record in KeyedBatch.Records(batch))
                    {
                        Assert.Equal(($"key {record.Offset % Keys}", $"value {record.Offset}"), (record.Key, record.Value));
                        Assert.True(record.Offset > before);
                        before = record.Offset;
                    }
                    at = batch.NextOffset;
                }
                Assert.Equal(at, read.NextOffset);
            }
        }
    }
}
