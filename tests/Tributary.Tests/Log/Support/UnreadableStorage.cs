using Tributary.Log.Storage;

namespace Tributary.Tests.Log.Support;

/// <summary>A storage with bad sectors: reads that touch them fail.</summary>
internal sealed class UnreadableStorage(IStorage inner) : IStorage
{
    private readonly Lock _lock = new();
    private readonly List<(string Path, long From, long To)> _bad = [];

    /// <summary>From now on reads of a file that touch these bytes fail.</summary>
    public void Spoil(string path, long from = 0, long to = long.MaxValue)
    {
        lock (_lock)
        {
            _bad.Add((path, from, to));
        }
    }

    public void Heal()
    {
        lock (_lock)
        {
            _bad.Clear();
        }
    }

    public IStorageFile Open(string path, bool create) => new SpoiltFile(this, inner.Open(path, create), path);

    public bool Exists(string path) => inner.Exists(path);

    public IReadOnlyList<string> List(string directory) => inner.List(directory);

    public void CreateDirectory(string path) => inner.CreateDirectory(path);

    public void Rename(string from, string to) => inner.Rename(from, to);

    public void Delete(string path) => inner.Delete(path);

    public void DeleteDirectory(string path) => inner.DeleteDirectory(path);

    public void SyncDirectory(string path) => inner.SyncDirectory(path);

    public long FreeBytes(string path) => inner.FreeBytes(path);

    public IDisposable? TryLock(string path) => inner.TryLock(path);

    private bool IsBad(string path, long from, long to)
    {
        lock (_lock)
        {
            return _bad.Any(bad => bad.Path == path && from < bad.To && to > bad.From);
        }
    }

    private sealed class SpoiltFile(UnreadableStorage storage, IStorageFile file, string path) : IStorageFile
    {
        public long Length => file.Length;

        public int Read(long position, Span<byte> into) => storage.IsBad(path, position, position + into.Length)
            ? throw new IOException($"Input/output error : '{path}'")
            : file.Read(position, into);

        public void Write(long position, ReadOnlySpan<byte> bytes) => file.Write(position, bytes);

        public void Write(long position, IReadOnlyList<ReadOnlyMemory<byte>> pieces) => file.Write(position, pieces);

        public void Flush() => file.Flush();

        public void SetLength(long length) => file.SetLength(length);

        public void Allocate(long length) => file.Allocate(length);

        public void Dispose() => file.Dispose();
    }
}
