using Tributary.Log.Storage;

namespace Tributary.Tests.Log.Support;

/// <summary>
/// A memory storage that does to its users what disks do: the power goes out at the n-th change, writes, flushes and syncs fail, it is
/// full, slow, reads wrong or too little once. After a failed flush nothing of it is ever written, as the kernel has it. Deterministic as
/// long as one thread at a time uses it.
/// </summary>
internal sealed class FaultyStorage(MemoryStorage inner) : IStorage
{
    private readonly Dictionary<FaultPoint, int> _failures = [];
    private long _crashAt = long.MaxValue;
    private PowerCut _cut = PowerCut.LosesAll;

    /// <summary>Changes made so far: writes, flushes, and whatever becomes of names.</summary>
    public long Changes { get; private set; }

    /// <summary>Flushes of the whole file system that were tried.</summary>
    public int FlushedTogether { get; private set; }

    /// <summary>What is left, once it has crashed.</summary>
    public MemoryStorage? Left { get; private set; }

    /// <summary>What a failed flush has written all the same.</summary>
    public Func<bool> SurvivesFailedFlush { get; set; } = static () => false;

    /// <summary>Whether there is no room for more.</summary>
    public bool IsFull { get; set; }

    /// <summary>Called before each flush and sync: simulated time passes in it.</summary>
    public Action? OnSlow { get; set; }

    /// <summary>Called with a file's path before bytes are written to it, other than by the log's writer.</summary>
    public Action<string>? OnWrite { get; set; }

    /// <summary>Crashes before the change that comes after so many others.</summary>
    public void CrashAfter(int changes, PowerCut cut)
    {
        _crashAt = Changes + changes;
        _cut = cut;
    }

    public void CrashNow(PowerCut cut) => Left ??= cut == PowerCut.LosesNothing ? inner.Kill() : inner.Crash(cut.Survives, cut.Tear);

    /// <summary>What comes as number <paramref name="number"/> of its kind from now on fails, once.</summary>
    public void Fail(FaultPoint point, int number = 1) => _failures[point] = number;

    public IStorageFile Open(string path, bool create)
    {
        if (create)
        {
            Change();
        }
        return new FaultyFile(this, inner.Open(path, create), path);
    }

    public bool Exists(string path) => inner.Exists(path);

    public IReadOnlyList<string> List(string directory) => inner.List(directory);

    public void CreateDirectory(string path)
    {
        Change();
        inner.CreateDirectory(path);
    }

    public void Rename(string from, string to)
    {
        Change();
        inner.Rename(from, to);
    }

    public void Delete(string path)
    {
        Change();
        inner.Delete(path);
    }

    public void DeleteDirectory(string path)
    {
        Change();
        inner.DeleteDirectory(path);
    }

    public void SyncDirectory(string path)
    {
        OnSlow?.Invoke();
        Change();
        ThrowIfChosen(FaultPoint.Sync);
        inner.SyncDirectory(path);
    }

    public long FreeBytes(string path) => IsFull ? 0 : inner.FreeBytes(path);

    public IDisposable? TryLock(string path) => inner.TryLock(path);

    public IFileSystemFlush OpenFileSystem(string path) => new FaultyFileSystem(this, inner.OpenFileSystem(path));

    private void Change()
    {
        if (++Changes > _crashAt)
        {
            CrashNow(_cut);
        }
    }

    private bool IsChosen(FaultPoint point)
    {
        if (!_failures.TryGetValue(point, out int left))
        {
            return false;
        }
        _failures[point] = left - 1;
        return left == 1 && _failures.Remove(point);
    }

    private void ThrowIfChosen(FaultPoint point)
    {
        if (IsChosen(point))
        {
            throw new IOException($"the test failed this {point}");
        }
    }

    private sealed class FaultyFile(FaultyStorage storage, IStorageFile inner, string path) : IStorageFile
    {
        private readonly bool _isSegment = char.IsAsciiDigit(Path.GetFileName(path)[0]);

        public long Length => inner.Length;

        public int Read(long position, Span<byte> into)
        {
            storage.ThrowIfChosen(FaultPoint.Read);
            int read = inner.Read(position, storage.IsChosen(FaultPoint.ShortRead) ? into[..(into.Length / 2)] : into);
            if (read > 0 && storage.IsChosen(FaultPoint.FlippedRead))
            {
                into[read - 1] ^= 4; // not a leader epoch, which no checksum covers
            }
            return read;
        }

        public void Write(long position, ReadOnlySpan<byte> bytes)
        {
            storage.OnWrite?.Invoke(path);
            storage.Change();
            inner.Write(position, bytes);
        }

        /// <summary>A write that fails has written the first half.</summary>
        public void Write(long position, IReadOnlyList<ReadOnlyMemory<byte>> pieces)
        {
            storage.Change();
            if (_isSegment && storage.IsChosen(FaultPoint.SegmentWrite))
            {
                inner.Write(position, pieces[0].Span[..(pieces[0].Length / 2)]);
                throw new IOException("the test failed this write");
            }
            inner.Write(position, pieces);
        }

        public void Flush()
        {
            storage.OnSlow?.Invoke();
            storage.Change();
            if (storage.Left is null && storage.IsChosen(_isSegment ? FaultPoint.SegmentFlush : FaultPoint.StateFlush))
            {
                storage.Inner.FailFlush(path, storage.SurvivesFailedFlush);
                throw new IOException("the test failed this flush");
            }
            inner.Flush();
        }

        public void SetLength(long length)
        {
            storage.Change();
            inner.SetLength(length);
        }

        public void Allocate(long length)
        {
            storage.Change();
            if (storage.IsFull)
            {
                throw new IOException("the test left no space on the disk");
            }
            inner.Allocate(length);
        }

        public void Dispose() => inner.Dispose();
    }

    private sealed class FaultyFileSystem(FaultyStorage storage, IFileSystemFlush inner) : IFileSystemFlush
    {
        public void Flush()
        {
            storage.FlushedTogether++;
            storage.OnSlow?.Invoke();
            storage.Change();
            if (storage.Left is null && storage.IsChosen(FaultPoint.SegmentFlush))
            {
                storage.Inner.FailFlush(storage.SurvivesFailedFlush);
                throw new IOException("the test failed this flush of the file system");
            }
            inner.Flush();
        }

        public void Dispose() => inner.Dispose();
    }

    private MemoryStorage Inner => inner;
}

/// <summary>What can be made to fail once.</summary>
internal enum FaultPoint
{
    /// <summary>A write to a segment, after half of it.</summary>
    SegmentWrite,

    /// <summary>A flush of a segment.</summary>
    SegmentFlush,

    /// <summary>A flush of any other file.</summary>
    StateFlush,

    /// <summary>A sync of a directory.</summary>
    Sync,

    /// <summary>A read, with an error.</summary>
    Read,

    /// <summary>A read that gives half of what is there.</summary>
    ShortRead,

    /// <summary>A read in which a bit is wrong.</summary>
    FlippedRead,
}

/// <summary>What a power cut leaves of what was not flushed.</summary>
internal sealed record PowerCut(Func<bool> Survives, Func<int, int>? Tear = null)
{
    /// <summary>Only what was flushed.</summary>
    public static PowerCut LosesAll { get; } = new(static () => false);

    /// <summary>Everything: only the process ended, and the next power cut may lose it yet.</summary>
    public static PowerCut LosesNothing { get; } = new(static () => true);

    /// <summary>Nothing, everything, or some of it, some of that torn.</summary>
    public static PowerCut Random(Random random)
    {
        int of = random.Next(4);
        var own = new Random(random.Next());
        return new PowerCut(() => own.Next(3) < of, size => own.Next(4) == 0 ? own.Next(size) : size);
    }
}
