using Tributary.Log;
using Tributary.Log.Storage;
using Tributary.Tests.Log.Support;
using Xunit;
using static Tributary.Tests.Log.Support.LogHarness;

namespace Tributary.Tests.Log;

/// <summary>Many dirty partitions are made durable by one flush of the file system.</summary>
public sealed class FlushTogetherTests : IAsyncDisposable
{
    private const int From = 4;
    private readonly LogHarness _harness = new() { DirectoryOptions = new LogDirectoryOptions { FlushTogetherFrom = From } };
    private FaultyStorage _storage = null!;

    public FlushTogetherTests() => _harness.Wrap = inner => _storage = new FaultyStorage((MemoryStorage)inner);

    public ValueTask DisposeAsync() => _harness.DisposeAsync();

    [Theory]
    [InlineData(From - 1, 0)]
    [InlineData(From, 1)]
    [InlineData(9, 1)]
    public async Task As_many_dirty_files_as_the_setting_says_share_a_flush(int partitions, int flushes)
    {
        PartitionLog[] logs = Open(partitions);
        var round = new Round(_harness.Directory, logs);
        await Task.WhenAll(round.Run());
        Assert.Equal(flushes, _storage.FlushedTogether);
        Assert.All(logs, log => Assert.Equal(1, log.FlushedEnd));
        await _harness.CrashAsync(); // opens the first
        Assert.All(Enumerable.Range(1, partitions - 1), i => Assert.Equal([0], ReadAll(_harness.Directory.OpenPartition($"p-{i}", _harness.Options), 0)));
        Assert.Empty(_harness.Events);
    }

    [Fact]
    public async Task Zero_stands_for_never()
    {
        await using var harness = new LogHarness { DirectoryOptions = new LogDirectoryOptions { FlushTogetherFrom = 0 } };
        harness.Wrap = inner => _storage = new FaultyStorage((MemoryStorage)inner);
        PartitionLog first = harness.Open();
        PartitionLog[] logs = [first, .. Enumerable.Range(1, 8).Select(i => harness.Directory.OpenPartition($"p-{i}", harness.Options))];
        await Task.WhenAll(new Round(harness.Directory, logs).Run());
        Assert.Equal(0, _storage.FlushedTogether);
    }

    [Fact]
    public async Task Its_failure_is_one_of_all_that_it_covered_and_each_goes_on_in_a_new_segment()
    {
        PartitionLog[] logs = Open(6);
        await Task.WhenAll(new Round(_harness.Directory, logs).Run());
        _storage.Fail(FaultPoint.SegmentFlush);
        Task[] lost = new Round(_harness.Directory, logs).Run();
        foreach (Task append in lost)
        {
            await Assert.ThrowsAsync<LogException>(() => append.WaitAsync(Deadline));
        }
        await UntilAsync(() => _harness.EventsOf(LogEventKind.SegmentSealed).Count() == logs.Length, "each reports what it lost");
        Assert.All(_harness.Events, told => Assert.Contains("the flush of all files failed", told.Message));
        Assert.All(logs, log => Assert.Equal((1L, 1L), (log.FlushedEnd, log.AppendedEnd)));
        await Task.WhenAll(new Round(_harness.Directory, logs).Run());
        await _harness.CrashAsync();
        Assert.All(
            Enumerable.Range(1, 5), i => Assert.Equal([0, 1], ReadAll(_harness.Directory.OpenPartition($"p-{i}", _harness.Options), 0)));
    }

    [Fact]
    public async Task Whoever_completes_a_round_meanwhile_waits_for_it_and_shares_its_failure()
    {
        PartitionLog[] logs = Open(6);
        await Task.WhenAll(new Round(_harness.Directory, logs).Run());
        var meanwhile = new Thread(() => logs[2].DeleteBefore(1));
        _storage.OnSlow = () =>
        {
            _storage.OnSlow = null;
            meanwhile.Start();
            bool isSettled = SpinWait.SpinUntil(
                () => meanwhile.ThreadState.HasFlag(ThreadState.WaitSleepJoin) || meanwhile.ThreadState.HasFlag(ThreadState.Stopped), Deadline);
            Assert.True(isSettled);
        };
        _storage.Fail(FaultPoint.SegmentFlush);
        Task[] lost = new Round(_harness.Directory, logs).Run();
        await Assert.ThrowsAsync<LogException>(() => lost[2].WaitAsync(Deadline));
        Assert.True(meanwhile.Join(Deadline));
        Assert.Equal((1L, 1L), (logs[2].FlushedEnd, logs[2].AppendedEnd));
        Assert.Equal(2, _storage.FlushedTogether);
    }

    [Fact]
    public async Task The_kernel_flushes_a_real_file_system()
    {
        string root = Directory.CreateTempSubdirectory("tributary-log-").FullName;
        try
        {
            var storage = new FileStorage();
            using (IFileSystemFlush? flush = storage.OpenFileSystem(root))
            {
                Assert.SkipUnless(flush is not null, "syncfs tells no errors here");
                flush.Flush();
            }
            await using LogDirectory directory = LogDirectory.Open(
                storage, $"{root}/data", new LogDirectoryOptions { FlushTogetherFrom = 2 }, TimeProvider.System, _harness);
            PartitionLog[] logs = [.. Enumerable.Range(0, 5).Select(i => directory.OpenPartition($"p-{i}", new PartitionLogOptions()))];
            for (int i = 0; i < 20; i++)
            {
                await Task.WhenAll(new Round(directory, logs).Run());
            }
            Assert.All(logs, log => Assert.Equal(20, log.FlushedEnd));
            Assert.Empty(_harness.Events);
        }
        finally
        {
            Directory.Delete(root, recursive: true);
        }
    }

    private PartitionLog[] Open(int partitions)
    {
        PartitionLog first = _harness.Open();
        return [first, .. Enumerable.Range(1, partitions - 1).Select(i => _harness.Directory.OpenPartition($"p-{i}", _harness.Options))];
    }

    /// <summary>One append to each log, on the writer thread, so that one flush covers them.</summary>
    private sealed class Round(LogDirectory directory, PartitionLog[] logs) : IAppendSource
    {
        private readonly TaskCompletionSource<AppendResult>[] _appended = [.. logs.Select(_ => new TaskCompletionSource<AppendResult>())];

        /// <returns>For each log, what ends when its append is durable or lost.</returns>
        public Task[] Run()
        {
            directory.Schedule(this);
            return [.. logs.Select((log, i) => WaitAsync(log, _appended[i].Task))];
        }

        public void AppendPending()
        {
            for (int i = 0; i < logs.Length; i++)
            {
                _appended[i].SetResult(logs[i].Append(Batch()));
            }
        }

        private static async Task WaitAsync(PartitionLog log, Task<AppendResult> appended) =>
            await log.WaitFlushedAsync(await appended.WaitAsync(Deadline)).AsTask().WaitAsync(Deadline);
    }
}
