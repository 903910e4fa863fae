using Tributary.Log.Storage;

namespace Tributary.Tests.Edge.Support;

/// <summary>A storage whose flushes of segments a test lets through one by one or makes fail, and whose free space it says.</summary>
internal sealed class SteeredStorage(IStorage inner) : IStorage
{
    private readonly object _gate = new();
    private bool _held;
    private int _permits;
    private int _failures;
    private int _waiting;

    /// <summary>What <see cref="IStorage.FreeBytes"/> says; negative: the file system can't be asked.</summary>
    public long Free { get; set; } = long.MaxValue;

    /// <summary>Failures that were asked for and have not happened.</summary>
    public int PendingFailures
    {
        get
        {
            lock (_gate)
            {
                return _failures;
            }
        }
    }

    /// <summary>From now on a flush of a segment waits for <see cref="LetThrough"/>.</summary>
    public void Hold()
    {
        lock (_gate)
        {
            _held = true;
        }
    }

    /// <summary>Waits until a flush has begun, and returns while it still waits.</summary>
    public void WaitForFlush()
    {
        lock (_gate)
        {
            while (_waiting == 0)
            {
                Assert(Monitor.Wait(_gate, Blocking.Deadline), "no flush began");
            }
        }
    }

    /// <summary>Lets one flush through, and returns when it is on its way.</summary>
    public void LetThrough()
    {
        lock (_gate)
        {
            _permits++;
            Monitor.PulseAll(_gate);
            while (_permits > 0)
            {
                Assert(Monitor.Wait(_gate, Blocking.Deadline), "no flush came to be let through");
            }
        }
    }

    /// <summary>Flushes are not held any more.</summary>
    public void Release()
    {
        lock (_gate)
        {
            _held = false;
            Monitor.PulseAll(_gate);
        }
    }

    /// <summary>The next flush of a segment that is let through fails; a further call: the one after it too.</summary>
    public void FailNextFlush()
    {
        lock (_gate)
        {
            _failures++;
        }
    }

    public IStorageFile Open(string path, bool create)
    {
        IStorageFile file = inner.Open(path, create);
        bool isSegment = char.IsAsciiDigit(Path.GetFileName(path)[0]);
        return isSegment ? new SegmentFile(this, file) : file;
    }

    public bool Exists(string path) => inner.Exists(path);

    public IReadOnlyList<string> List(string directory) => inner.List(directory);

    public void CreateDirectory(string path) => inner.CreateDirectory(path);

    public void Rename(string from, string to) => inner.Rename(from, to);

    public void Delete(string path) => inner.Delete(path);

    public void DeleteDirectory(string path) => inner.DeleteDirectory(path);

    public void SyncDirectory(string path) => inner.SyncDirectory(path);

    public long FreeBytes(string path) => Free >= 0 ? Free : throw new IOException("the test does not say");

    public IDisposable? TryLock(string path) => inner.TryLock(path);

    private void Pass()
    {
        lock (_gate)
        {
            _waiting++;
            Monitor.PulseAll(_gate);
            while (_held && _permits == 0)
            {
                Assert(Monitor.Wait(_gate, Blocking.Deadline), "nobody let the flush through");
            }
            _waiting--;
            _permits = Math.Max(0, _permits - 1);
            Monitor.PulseAll(_gate);
            if (_failures > 0)
            {
                _failures--;
                throw new IOException("the test failed this flush");
            }
        }
    }

    private static void Assert(bool condition, string message) => Xunit.Assert.True(condition, message);

    private sealed class SegmentFile(SteeredStorage storage, IStorageFile inner) : IStorageFile
    {
        public long Length => inner.Length;

        public int Read(long position, Span<byte> into) => inner.Read(position, into);

        public void Write(long position, ReadOnlySpan<byte> bytes) => inner.Write(position, bytes);

        public void Write(long position, IReadOnlyList<ReadOnlyMemory<byte>> pieces) => inner.Write(position, pieces);

        public void Flush()
        {
            storage.Pass();
            inner.Flush();
        }

        public void SetLength(long length) => inner.SetLength(length);

        public void Allocate(long length) => inner.Allocate(length);

        public void Dispose() => inner.Dispose();
    }
}
