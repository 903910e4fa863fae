using Tributary.Log.Storage;
using Xunit;

namespace Tributary.Tests.Log;

/// <summary>Flushes that many threads want at the same time become one of the file system.</summary>
public sealed class GatheredStorageTests : IDisposable
{
    private const int From = 4;
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);
    private readonly CountingStorage _inner = new();
    private readonly GatheredStorage _storage;

    public GatheredStorageTests() => _storage = new GatheredStorage(_inner, _inner, From);

    public void Dispose()
    {
        _storage.Dispose();
        _inner.Gate.Dispose();
    }

    [Fact]
    public void Whoever_is_alone_flushes_what_is_its_own()
    {
        using IStorageFile file = _storage.Open("a", create: true);
        file.Flush();
        _storage.SyncDirectory("d");
        Assert.Equal((1, 1, 0), (_inner.Files, _inner.Directories, _inner.Together));
    }

    [Theory]
    [InlineData(From - 1, 0)]
    [InlineData(From, 1)]
    [InlineData(40, 1)]
    public void Those_who_come_during_a_flush_share_the_next_if_they_are_enough(int count, int together)
    {
        Thread first = HoldUpOne();
        Thread[] others = [.. Enumerable.Range(0, count).Select(i => Start(() => Use(i)))];
        WaitUntilTheyWait(others);
        Assert.Equal(0, _inner.Together);
        _inner.Gate.Set();
        End([first, .. others]);
        int alone = together > 0 ? 0 : count;
        Assert.Equal((1 + alone, together), (_inner.Files + _inner.Directories, _inner.Together));
    }

    [Fact]
    public void A_flush_waits_for_all_who_are_expected()
    {
        _storage.Expect(From);
        Thread[] all = [.. Enumerable.Range(0, From).Select(i => Start(() => Use(i)))];
        End(all);
        Assert.True(_inner.Together <= From); // a slow machine may have more rounds, none may be lost
        _storage.Expect(1 - From);
        Use(0);
        _storage.Expect(-1);
        Use(1);
        Assert.True(_inner.Files >= 1 && _inner.Directories >= 1);
    }

    [Fact]
    public void Nobody_waits_for_ever_for_one_who_does_not_come()
    {
        _storage.Expect(2);
        Use(0);
        Assert.Equal(1, _inner.Files);
        Thread waits = Start(() => Use(1));
        _storage.Expect(-1);
        End([waits]);
        Assert.Equal(1, _inner.Directories);
    }

    [Fact]
    public void A_failure_is_one_of_all_that_shared_the_flush_and_of_nobody_after()
    {
        Thread first = HoldUpOne();
        int failed = 0;
        Thread[] others = [.. Enumerable.Range(0, 6).Select(i => Start(() =>
        {
            if (Record.Exception(() => Use(i)) is IOException { Message: var told } && told.Contains("the test fails it", StringComparison.Ordinal))
            {
                Interlocked.Increment(ref failed);
            }
        }))];
        WaitUntilTheyWait(others);
        _inner.FailsTogether = true;
        _inner.Gate.Set();
        End([first, .. others]);
        Assert.Equal(6, failed);
        _inner.FailsTogether = false;
        Use(0);
        Assert.Equal(2, _inner.Files);
    }

    [Fact]
    public void A_failure_of_its_own_is_nobody_elses()
    {
        _inner.FailsAlone = true;
        Assert.Throws<IOException>(() => Use(0));
        _inner.FailsAlone = false;
        Use(0);
        Assert.Equal(1, _inner.Files);
    }

    [Fact]
    public void Without_a_way_to_flush_all_each_flushes_alone()
    {
        using var storage = new GatheredStorage(_inner, null, 0);
        Thread[] all = [.. Enumerable.Range(0, 8).Select(_ => Start(() => storage.SyncDirectory("d")))];
        End(all);
        Assert.Equal((8, 0), (_inner.Directories, _inner.Together));
    }

    private static Thread Start(Action perform)
    {
        var thread = new Thread(() => perform());
        thread.Start();
        return thread;
    }

    private static void End(Thread[] threads) => Assert.All(threads, thread => Assert.True(thread.Join(Deadline)));

    private static void WaitUntilTheyWait(Thread[] threads) => Assert.True(
        SpinWait.SpinUntil(() => Array.TrueForAll(threads, thread => thread.ThreadState.HasFlag(ThreadState.WaitSleepJoin)), Deadline));

    private Thread HoldUpOne()
    {
        _inner.Gate.Reset();
        Thread first = Start(() => Use(0));
        Assert.True(SpinWait.SpinUntil(() => _inner.HasBegun, Deadline));
        return first;
    }

    /// <summary>Flushes a file or a directory.</summary>
    private void Use(int number)
    {
        if (number % 2 == 1)
        {
            _storage.SyncDirectory("d");
            return;
        }
        using IStorageFile file = _storage.Open($"f{number}", create: true);
        file.Flush();
    }

    /// <summary>Counts flushes; the gate holds up those of single files.</summary>
    private sealed class CountingStorage : IStorage, IFileSystemFlush
    {
        private int _files;
        private int _directories;

        public ManualResetEventSlim Gate { get; } = new(initialState: true);

        public volatile bool HasBegun;

        public bool FailsAlone { get; set; }

        public bool FailsTogether { get; set; }

        public int Files => _files;

        public int Directories => _directories;

        public int Together { get; private set; }

        public IStorageFile Open(string path, bool create) => new CountingFile(this);

        public bool Exists(string path) => throw new NotSupportedException();

        public IReadOnlyList<string> List(string directory) => throw new NotSupportedException();

        public void CreateDirectory(string path) => throw new NotSupportedException();

        public void Rename(string from, string to) => throw new NotSupportedException();

        public void Delete(string path) => throw new NotSupportedException();

        public void DeleteDirectory(string path) => throw new NotSupportedException();

        public void SyncDirectory(string path) => Interlocked.Increment(ref _directories);

        public long FreeBytes(string path) => throw new NotSupportedException();

        public IDisposable? TryLock(string path) => throw new NotSupportedException();

        public void Flush()
        {
            Together++;
            if (FailsTogether)
            {
                throw new IOException("the test fails it");
            }
        }

        public void Dispose()
        {
        }

        private void FlushFile()
        {
            HasBegun = true;
            Gate.Wait();
            if (FailsAlone)
            {
                throw new IOException("the test fails it");
            }
            Interlocked.Increment(ref _files);
        }

        private sealed class CountingFile(CountingStorage storage) : IStorageFile
        {
            public long Length => 0;

            public int Read(long position, Span<byte> into) => 0;

            public void Write(long position, ReadOnlySpan<byte> bytes)
            {
            }

            public void Write(long position, IReadOnlyList<ReadOnlyMemory<byte>> pieces)
            {
            }

            public void Flush() => storage.FlushFile();

            public void SetLength(long length)
            {
            }

            public void Allocate(long length)
            {
            }

            public void Dispose()
            {
            }
        }
    }
}
