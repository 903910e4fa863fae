using Tributary.Log.Storage;

namespace Tributary.Tests.Log.Support;

/// <summary>A storage on a disk that other programs can fill.</summary>
internal sealed class SmallStorage(IStorage inner) : IStorage
{
    private const int NoSpace = 28;
    private readonly Lock _lock = new();
    private readonly Dictionary<string, long> _lengths = [];

    /// <summary>Bytes that all files may take together.</summary>
    public long Capacity { get; set; } = long.MaxValue;

    /// <summary>Bytes that they take.</summary>
    public long Used
    {
        get
        {
            lock (_lock)
            {
                return _lengths.Values.Sum();
            }
        }
    }

    public IStorageFile Open(string path, bool create)
    {
        IStorageFile file = inner.Open(path, create);
        lock (_lock)
        {
            _lengths[path] = file.Length;
        }
        return new SmallFile(this, file, path);
    }

    public bool Exists(string path) => inner.Exists(path);

    public IReadOnlyList<string> List(string directory) => inner.List(directory);

    public void CreateDirectory(string path) => inner.CreateDirectory(path);

    public void Rename(string from, string to)
    {
        inner.Rename(from, to);
        lock (_lock)
        {
            if (_lengths.Remove(from, out long length))
            {
                _lengths[to] = length;
            }
        }
    }

    public void Delete(string path)
    {
        inner.Delete(path);
        lock (_lock)
        {
            _lengths.Remove(path);
        }
    }

    public void DeleteDirectory(string path) => inner.DeleteDirectory(path);

    public void SyncDirectory(string path) => inner.SyncDirectory(path);

    public long FreeBytes(string path) => Math.Max(0, Capacity - Used);

    public IDisposable? TryLock(string path) => inner.TryLock(path);

    private void Grow(string path, long length)
    {
        lock (_lock)
        {
            long before = _lengths.GetValueOrDefault(path);
            if (length > before && _lengths.Values.Sum() + length - before > Capacity)
            {
                throw new IOException($"No space left on device : '{path}'", NoSpace);
            }
            _lengths[path] = Math.Max(before, length);
        }
    }

    private sealed class SmallFile(SmallStorage storage, IStorageFile file, string path) : IStorageFile
    {
        public long Length => file.Length;

        public int Read(long position, Span<byte> into) => file.Read(position, into);

        public void Write(long position, ReadOnlySpan<byte> bytes)
        {
            storage.Grow(path, position + bytes.Length);
            file.Write(position, bytes);
        }

        public void Write(long position, IReadOnlyList<ReadOnlyMemory<byte>> pieces)
        {
            storage.Grow(path, position + pieces.Sum(static piece => piece.Length));
            file.Write(position, pieces);
        }

        public void Flush() => file.Flush();

        public void SetLength(long length)
        {
            storage.Grow(path, length);
            file.SetLength(length);
            lock (storage._lock)
            {
                storage._lengths[path] = length;
            }
        }

        public void Allocate(long length)
        {
            storage.Grow(path, length);
            file.Allocate(length);
        }

        public void Dispose() => file.Dispose();
    }
}
