using Tributary.Log.Storage;

namespace Tributary.Tests.Log.Support;

/// <summary>A bug of a storage, planted to see whether a simulation notices.</summary>
internal enum PlantedBug
{
    None,

    /// <summary>What was written is taken for durable without a flush.</summary>
    FlushesNothing,

    /// <summary>Names are never made durable.</summary>
    SyncsNoDirectory,

    /// <summary>What lies behind the end of a file stays there.</summary>
    CutsNothing,

    /// <summary>A small file is replaced before its content is durable.</summary>
    FlushesNoState,
}

/// <summary>
/// A memory storage whose power goes out at the n-th change, and whose flushes can be made to fail. Deterministic as long as one thread
/// at a time uses it.
/// </summary>
internal sealed class CrashingStorage(MemoryStorage inner, PlantedBug bug = PlantedBug.None) : IStorage
{
    private long _crashAt = long.MaxValue;
    private Func<bool> _survives = static () => false;
    private int _flushesUntilFailure = -1;
    private bool _failWrite;

    /// <summary>Changes made so far.</summary>
    public long Changes { get; private set; }

    /// <summary>What is left, once it has crashed.</summary>
    public MemoryStorage? Left { get; private set; }

    /// <summary>Crashes before the change that comes after so many others.</summary>
    public void CrashAfter(int changes, Func<bool> survives)
    {
        _crashAt = Changes + changes;
        _survives = survives;
    }

    public void CrashNow(Func<bool> survives) => Left ??= inner.Crash(survives);

    /// <summary>Whether there is no room for more.</summary>
    public bool IsFull { get; set; }

    /// <summary>Whether the next flush of a file that is no segment fails.</summary>
    public bool FailNextState { get; set; }

    public void FailNextFlush() => FailFlush(1);

    /// <summary>The flush of a segment that comes as number <paramref name="number"/> from now on fails.</summary>
    public void FailFlush(int number) => _flushesUntilFailure = number;

    public void FailNextWrite() => _failWrite = true;

    public IStorageFile Open(string path, bool create)
    {
        if (create)
        {
            Change();
        }
        return new CrashingFile(this, inner.Open(path, create), Path.GetFileName(path));
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
        Change();
        if (bug != PlantedBug.SyncsNoDirectory)
        {
            inner.SyncDirectory(path);
        }
    }

    public long FreeBytes(string path) => inner.FreeBytes(path);

    public IDisposable? TryLock(string path) => inner.TryLock(path);

    private void Change()
    {
        if (++Changes > _crashAt)
        {
            CrashNow(_survives);
        }
    }

    private sealed class CrashingFile(CrashingStorage storage, IStorageFile inner, string name) : IStorageFile
    {
        private readonly bool _isSegment = char.IsAsciiDigit(name[0]);

        public long Length => inner.Length;

        public int Read(long position, Span<byte> into) => inner.Read(position, into);

        public void Write(long position, ReadOnlySpan<byte> bytes)
        {
            storage.Change();
            inner.Write(position, bytes);
        }

        public void Write(long position, IReadOnlyList<ReadOnlyMemory<byte>> pieces)
        {
            storage.Change();
            inner.Write(position, pieces);
            if (storage._failWrite && _isSegment)
            {
                storage._failWrite = false;
                throw new IOException("the test failed this write");
            }
        }

        public void Flush()
        {
            storage.Change();
            if (_isSegment && storage._flushesUntilFailure > 0 && --storage._flushesUntilFailure == 0)
            {
                throw new IOException("the test failed this flush");
            }
            if (!_isSegment && storage.FailNextState)
            {
                storage.FailNextState = false;
                throw new IOException("the test failed this save");
            }
            if (storage.Bug != (_isSegment ? PlantedBug.FlushesNothing : PlantedBug.FlushesNoState))
            {
                inner.Flush();
            }
        }

        public void SetLength(long length)
        {
            storage.Change();
            if (storage.Bug != PlantedBug.CutsNothing || !_isSegment)
            {
                inner.SetLength(length);
            }
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

    private PlantedBug Bug => bug;
}
