using Tributary.Contracts.Records;
using Tributary.Log;
using Tributary.Log.Storage;
using Tributary.Tests.Log.Support;
using Xunit;
using static Tributary.Tests.Log.Support.LogHarness;

namespace Tributary.Tests.Log;

public sealed class FailedWriteTests : IAsyncDisposable
{
    private readonly LogHarness _harness = new();
    private FaultyStorage _storage = null!;

    public FailedWriteTests() => _harness.Wrap = inner => _storage = new FaultyStorage((MemoryStorage)inner);

    public ValueTask DisposeAsync() => _harness.DisposeAsync();

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task What_a_failed_write_or_flush_was_to_cover_is_gone_and_its_offsets_are_given_again(bool flush)
    {
        PartitionLog log = _harness.Open();
        var told = new Listener();
        log.Subscribe(told);
        await AppendAsync(log, Batch(producer: new BatchProducer(1, 0, 0)));
        FailNext(flush);
        AppendResult lost = log.Append(Batch(producer: new BatchProducer(1, 0, 1)));
        await Assert.ThrowsAsync<LogException>(() => log.WaitFlushedAsync(lost).AsTask().WaitAsync(Deadline));
        await UntilAsync(() => told.Story.Count == 2, "the listener is told");
        Assert.Equal(["flushed 1", "failed 1"], told.Story);
        Assert.Equal((1L, 1L), (log.FlushedEnd, log.AppendedEnd));
        Assert.Equal(0, log.FindProducer(1)!.Value.LastSequence);
        LogEvent sealedEvent = Assert.Single(_harness.Events);
        Assert.Equal((LogEventKind.SegmentSealed, 1L), (sealedEvent.Kind, sealedEvent.FromOffset));

        AppendResult again = await AppendAsync(log, Batch(records: 2, producer: new BatchProducer(1, 0, 1)));
        Assert.Equal((1L, false), (again.BaseOffset, again.IsDuplicate));
        Assert.Equal(2, _harness.Files().Count(file => char.IsAsciiDigit(file[0])));
        log = await _harness.CrashAsync();
        Assert.Equal([0, 1], ReadAll(log, 0));
        Assert.Equal(2, log.FindProducer(1)!.Value.LastSequence);
    }

    [Fact]
    public async Task Only_what_comes_after_the_last_flush_is_lost_when_a_round_fills_several_segments()
    {
        PartitionLog log = _harness.Open();
        var source = new Burst(log, 200);
        _storage.Fail(FaultPoint.SegmentFlush, number: 3);
        _harness.Directory.Schedule(source);
        await UntilAsync(() => _harness.EventsOf(LogEventKind.SegmentSealed).Any(), "the third flush fails");
        Assert.InRange(log.FlushedEnd, 1, 199);
        Assert.Equal(log.FlushedEnd, log.AppendedEnd);
        long kept = log.FlushedEnd;
        await AppendAsync(log, Batch());
        log = await _harness.CrashAsync();
        Assert.Equal(Enumerable.Range(0, (int)kept + 1).Select(i => (long)i), ReadAll(log, 0));
    }

    [Fact]
    public async Task A_segment_that_a_flush_failed_in_is_not_used_again()
    {
        PartitionLog log = _harness.Open();
        await AppendAsync(log, Batch());
        FailNext(flush: true);
        log.Append(Batch());
        await UntilAsync(() => _harness.EventsOf(LogEventKind.SegmentSealed).Any(), "the flush fails");
        await AppendAsync(log, Batch());
        log.AdvanceStart(2);
        await UntilAsync(() => !_harness.Files().Contains(0.ToString("D20")), "the sealed segment goes");
        Assert.DoesNotContain(_harness.Files(), file => file.StartsWith("spare-", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_loss_is_told_before_the_flush_of_a_later_append_at_the_same_offset()
    {
        PartitionLog log = _harness.Open();
        var told = new Listener();
        log.Subscribe(told);
        await AppendAsync(log, Batch());
        using var gate = new Gate();
        _harness.Directory.Schedule(gate);
        await gate.Reached.WaitAsync(Deadline);
        log.Append(Batch());
        FailNext(flush: true);
        Assert.Throws<LogException>(() => log.Truncate(log.AppendedEnd));
        AppendResult later = log.Append(Batch(records: 2));
        Assert.Equal(1, later.BaseOffset);
        gate.Open();
        await log.WaitFlushedAsync(later).AsTask().WaitAsync(Deadline);
        await UntilAsync(() => told.Story.Count == 3, "the listener is told");
        Assert.Equal(["flushed 1", "failed 1", "flushed 3"], told.Story);
    }

    [Fact]
    public async Task A_partition_whose_writes_keep_failing_goes_offline_with_a_sentence_and_others_go_on()
    {
        PartitionLog log = _harness.Open();
        PartitionLog other = _harness.Directory.OpenPartition("p-1", _harness.Options);
        await AppendAsync(log, Batch());
        for (int i = 0; i < 3; i++)
        {
            FailNext(flush: true);
            AppendResult lost = log.Append(Batch());
            Assert.Equal((AppendError.None, 1L), (lost.Error, lost.BaseOffset));
            await Assert.ThrowsAsync<LogException>(() => log.WaitFlushedAsync(lost).AsTask().WaitAsync(Deadline));
        }
        await UntilAsync(() => log.OfflineReason is not null, "the partition is offline");
        Assert.Contains("check the disk", log.OfflineReason, StringComparison.Ordinal);
        Assert.Single(_harness.EventsOf(LogEventKind.Offline));
        Assert.Equal(AppendError.Offline, log.Append(Batch()).Error);
        Assert.Equal([0], ReadAll(log, 0));
        await AppendAsync(other, Batch());
        log = await _harness.ReopenAsync();
        Assert.Null(log.OfflineReason);
        Assert.Equal(1, (await AppendAsync(log, Batch())).BaseOffset);
    }

    [Fact]
    public async Task A_full_disk_loses_what_it_has_no_room_for_and_takes_more_when_there_is_room_again()
    {
        PartitionLog log = _harness.Open();
        await AppendAsync(log, Batch());
        _storage.IsFull = true;
        int refused = 0;
        for (int i = 0; i < 200 && refused < 10; i++)
        {
            AppendResult result = log.Append(Batch(valueSize: 900));
            Assert.Equal(AppendError.None, result.Error);
            refused += await IsLostAsync(log, result) ? 1 : 0;
        }
        Assert.Equal(10, refused);
        Assert.Null(log.OfflineReason);
        _storage.IsFull = false;
        long end = log.FlushedEnd;
        Assert.Equal(end, (await AppendAsync(log, Batch(valueSize: 900))).BaseOffset);
        log = await _harness.CrashAsync();
        Assert.Equal(end + 1, log.FlushedEnd);
        Assert.Equal(end + 1, ReadAll(log, 0).Count);
    }

    [Fact]
    public async Task A_leader_epoch_that_could_not_be_saved_is_saved_before_anything_of_it_is_acknowledged()
    {
        PartitionLog log = _harness.Open();
        _storage.Fail(FaultPoint.StateFlush);
        Assert.Throws<IOException>(() => log.BeginLeaderEpoch(3));
        Assert.Equal(3, log.LeaderEpoch);
        await AppendAsync(log, Batch(), leaderEpoch: 3);
        log = await _harness.CrashAsync();
        Assert.Equal(3, log.LeaderEpoch);
    }

    private void FailNext(bool flush)
    {
        if (flush)
        {
            _storage.Fail(FaultPoint.SegmentFlush);
        }
        else
        {
            _storage.Fail(FaultPoint.SegmentWrite);
        }
    }

    private static async Task<bool> IsLostAsync(PartitionLog log, AppendResult result)
    {
        try
        {
            await log.WaitFlushedAsync(result).AsTask().WaitAsync(Deadline);
            return false;
        }
        catch (LogException)
        {
            return true;
        }
    }

    private sealed class Burst(PartitionLog log, int batches) : IAppendSource
    {
        public void AppendPending()
        {
            for (int i = 0; i < batches; i++)
            {
                log.Append(Batch());
            }
        }
    }

    /// <summary>Holds the writer thread.</summary>
    private sealed class Gate : IAppendSource, IDisposable
    {
        private readonly TaskCompletionSource _reached = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly ManualResetEventSlim _open = new();

        public Task Reached => _reached.Task;

        public void Open() => _open.Set();

        public void AppendPending()
        {
            _reached.SetResult();
            _open.Wait(Deadline);
        }

        public void Dispose() => _open.Dispose();
    }

    private sealed class Listener : ILogListener
    {
        private readonly List<string> _story = [];

        public List<string> Story
        {
            get
            {
                lock (_story)
                {
                    return [.. _story];
                }
            }
        }

        public void OnFlushed(PartitionLog log, long flushedEnd)
        {
            lock (_story)
            {
                _story.Add($"flushed {flushedEnd}");
            }
        }

        public void OnFailed(PartitionLog log, long fromOffset, Exception reason)
        {
            lock (_story)
            {
                _story.Add($"failed {fromOffset}");
            }
        }
    }
}
