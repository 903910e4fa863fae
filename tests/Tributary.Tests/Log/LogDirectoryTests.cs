using Tributary.Log;
using Tributary.Log.Storage;
using Tributary.Tests.Broker.Support;
using Tributary.Tests.Log.Support;
using Xunit;
using static Tributary.Tests.Log.Support.LogHarness;

namespace Tributary.Tests.Log;

public sealed class LogDirectoryTests : IAsyncDisposable
{
    private LogHarness _harness = new();

    public ValueTask DisposeAsync() => _harness.DisposeAsync();

    [Fact]
    public void A_directory_in_use_is_refused_with_a_sentence()
    {
        _harness.Open();
        LogException refused = Assert.Throws<LogException>(() =>
            LogDirectory.Open(_harness.Storage, Root, new LogDirectoryOptions(), _harness.Time, _harness));
        Assert.Contains($"'{Root}' is in use", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_setting_out_of_range_is_named()
    {
        Assert.Equal("MaxUnflushedBytes", Assert.Throws<ArgumentOutOfRangeException>(() =>
            LogDirectory.Open(_harness.Storage, Root, new LogDirectoryOptions { MaxUnflushedBytes = 0 }, _harness.Time, _harness)).ParamName);
        _harness.Open();
        Assert.Equal("SegmentBytes", Assert.Throws<ArgumentOutOfRangeException>(() =>
            _harness.Directory.OpenPartition("p-1", new PartitionLogOptions { SegmentBytes = 5 })).ParamName);
    }

    [Theory]
    [InlineData("")]
    [InlineData("..")]
    [InlineData("a/b")]
    [InlineData("lock")]
    [InlineData("p-0.1.deleted")]
    public void A_name_that_can_be_no_partition_is_refused(string name)
    {
        _harness.Open();
        Assert.Throws<ArgumentException>(() => _harness.Directory.OpenPartition(name, _harness.Options));
    }

    [Fact]
    public async Task Partitions_are_listed_whether_open_or_not_and_opened_once()
    {
        _harness.Open("b-0");
        _harness.Directory.OpenPartition("a-0", _harness.Options);
        await _harness.CrashAsync("a-0");
        Assert.Equal(["a-0", "b-0"], _harness.Directory.List().Order());
        Assert.Throws<LogException>(() => _harness.Directory.OpenPartition("a-0", _harness.Options));
    }

    [Fact]
    public async Task A_partition_is_deleted_whole_or_not_at_all_wherever_the_power_goes_out()
    {
        bool gone = false;
        for (int changes = 0; !gone; changes++)
        {
            _harness = new LogHarness();
            FaultyStorage? storage = null;
            _harness.Wrap = inner => storage = new FaultyStorage((MemoryStorage)inner);
            PartitionLog log = _harness.Open();
            for (int i = 0; i < 100; i++)
            {
                await AppendAsync(log, Batch());
            }
            await _harness.ReopenAsync();
            storage!.CrashAfter(changes, PowerCut.LosesAll);
            try
            {
                _harness.Directory.DeletePartition("p-0");
                gone = storage.Left is null;
            }
            catch (IOException) when (storage.Left is not null)
            {
            }
            storage.CrashNow(PowerCut.LosesAll);
            await _harness.Directory.DisposeAsync();
            await using var directory = LogDirectory.Open(storage.Left!, Root, new LogDirectoryOptions(), _harness.Time, _harness);
            Assert.DoesNotContain(storage.Left!.List(Root), name => name.EndsWith(".deleted", StringComparison.Ordinal));
            log = directory.OpenPartition("p-0", _harness.Options);
            Assert.True(log.FlushedEnd is 0 or 100, $"{log.FlushedEnd} records after a crash at change {changes}");
            Assert.True(!gone || log.FlushedEnd == 0);
        }
    }

    [Fact]
    public async Task A_deleted_partition_takes_nothing_more_and_its_name_is_free()
    {
        PartitionLog log = _harness.Open();
        await AppendAsync(log, Batch());
        _harness.Directory.DeletePartition("p-0");
        Assert.Equal(AppendError.Offline, log.Append(Batch()).Error);
        Assert.Throws<LogException>(() => log.Read(0, 1, long.MaxValue));
        log.ApplyRetention();
        PartitionLog next = _harness.Directory.OpenPartition("p-0", _harness.Options);
        Assert.Equal(0, (await AppendAsync(next, Batch())).BaseOffset);
    }

    [Fact]
    public async Task What_was_appended_is_written_at_the_end()
    {
        PartitionLog log = _harness.Open();
        for (int i = 0; i < 500; i++)
        {
            log.Append(Batch());
        }
        await _harness.Directory.DisposeAsync();
        log = await _harness.CrashAsync();
        Assert.Equal(500, log.FlushedEnd);
    }

    [Fact]
    public async Task Whatever_is_appended_while_a_flush_is_under_way_is_covered_by_the_next()
    {
        GatedStorage? gate = null;
        _harness.Wrap = inner => gate = new GatedStorage(inner);
        _harness.Options = _harness.Options with { SegmentBytes = 1 << 20 };
        PartitionLog log = _harness.Open();
        var told = new List<long>();
        log.Subscribe(new Told(told.Add));
        gate!.Close();
        log.Append(Batch());
        await UntilAsync(() => gate.HeldUp == 1, "the first flush is under way");
        AppendResult last = default;
        for (int i = 0; i < 100; i++)
        {
            last = log.Append(Batch());
        }
        Assert.Equal(0, log.FlushedEnd);
        ValueTask flushed = log.WaitFlushedAsync(last);
        Assert.False(flushed.IsCompleted);
        gate.Open();
        await flushed.AsTask().WaitAsync(Deadline);
        Assert.Equal([1, 101], told);
    }

    [Fact]
    public async Task Producers_wait_for_room_while_too_much_is_not_flushed()
    {
        await using var harness = new LogHarness { DirectoryOptions = new LogDirectoryOptions { MaxUnflushedBytes = 1_000 } };
        GatedStorage? gate = null;
        harness.Wrap = inner => gate = new GatedStorage(inner);
        PartitionLog log = harness.Open();
        Assert.True(harness.Directory.WaitForRoomAsync(default).IsCompleted);
        gate!.Close();
        log.Append(Batch(valueSize: 900));
        await UntilAsync(() => gate.HeldUp == 1, "the flush is under way");
        log.Append(Batch(valueSize: 900));
        Assert.False(harness.Directory.HasRoom);
        Task room = harness.Directory.WaitForRoomAsync(default).AsTask();
        using var cancellation = new CancellationTokenSource();
        Task given = harness.Directory.WaitForRoomAsync(cancellation.Token).AsTask();
        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => given);
        Assert.False(room.IsCompleted);
        gate.Open();
        await room.WaitAsync(Deadline);
        Assert.True(harness.Directory.HasRoom);
    }

    [Fact]
    public async Task A_failed_write_makes_room()
    {
        await using var harness = new LogHarness { DirectoryOptions = new LogDirectoryOptions { MaxUnflushedBytes = 1_000 } };
        GatedStorage? gate = null;
        harness.Wrap = inner => gate = new GatedStorage(inner);
        PartitionLog log = harness.Open();
        gate!.Close();
        gate.FailNextFlush();
        log.Append(Batch(valueSize: 1_000));
        Assert.False(harness.Directory.HasRoom);
        gate.Open();
        await harness.Directory.WaitForRoomAsync(default).AsTask().WaitAsync(Deadline);
    }

    [Fact]
    public async Task A_commit_window_gathers_appends_until_it_is_over()
    {
        await using var harness = new LogHarness { DirectoryOptions = new LogDirectoryOptions { CommitWindow = TimeSpan.FromMilliseconds(50) } };
        PartitionLog log = harness.Open();
        var told = new List<long>();
        log.Subscribe(new Told(told.Add));
        AppendResult last = log.Append(Batch());
        for (int i = 0; i < 20; i++)
        {
            last = log.Append(Batch());
        }
        Assert.Equal(0, log.FlushedEnd);
        ValueTask flushed = log.WaitFlushedAsync(last);
        await UntilAsync(
            () =>
            {
                harness.Time.Advance(TimeSpan.FromMilliseconds(25));
                return log.FlushedEnd > 0;
            },
            "the window ends");
        await flushed;
        Assert.Equal([21], told);
    }

    [Fact]
    public async Task A_waiter_can_give_up()
    {
        GatedStorage? gate = null;
        _harness.Wrap = inner => gate = new GatedStorage(inner);
        PartitionLog log = _harness.Open();
        gate!.Close();
        AppendResult appended = log.Append(Batch());
        using var cancellation = new CancellationTokenSource();
        Task waiting = log.WaitFlushedAsync(appended, cancellation.Token).AsTask();
        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting.WaitAsync(Deadline));
        gate.Open();
        await log.WaitFlushedAsync(appended).AsTask().WaitAsync(Deadline);
    }

    private sealed class Told(Action<long> flushed) : ILogListener
    {
        public void OnFlushed(PartitionLog log, long flushedEnd) => flushed(flushedEnd);

        public void OnFailed(PartitionLog log, long fromOffset, Exception reason)
        {
        }
    }
}
