using Tributary.Log.Storage;

namespace Tributary.Tests.Broker.Support;

/// <summary>A storage whose flushes of segment files can be held up or made to fail.</summary>
internal sealed class GatedStorage(IStorage inner) : IStorage
{
    private readonly ManualResetEventSlim _open = new(initialState: true);
    private int _failures;
    private int _heldUp;

    /// <summary>Flushes that wait at the gate.</summary>
    public int HeldUp => Volatile.Read(ref _heldUp);

    public void Close() => _open.Reset();

    public void Open() => _open.Set();

    /// <summary>The next flush of a segment fails.</summary>
    public void FailNextFlush() => Interlocked.Increment(ref _failures);

    public IStorageFile Open(string path, bool create) => new GatedFile(this, inner.Open(path, create), Path.GetFileName(path));

    public bool Exists(string path) => inner.Exists(path);

    public IReadOnlyList<string> List(string directory) => inner.List(directory);

    public void CreateDirectory(string path) => inner.CreateDirectory(path);

    public void Rename(string from, string to) => inner.Rename(from, to);

    public void Delete(string path) => inner.Delete(path);

    public void DeleteDirectory(string path) => inner.DeleteDirectory(path);

    public void SyncDirectory(string path) => inner.SyncDirectory(path);

    public long FreeBytes(string path) => inner.FreeBytes(path);

    public IDisposable? TryLock(string path) => inner.TryLock(path);

    private void Pass(string name)
    {
        if (name.Length == 0 || !char.IsAsciiDigit(name[0]))
        {
            return; // segments are named by their first offset
        }
        Interlocked.Increment(ref _heldUp);
        _open.Wait();
        Interlocked.Decrement(ref _heldUp);
        if (Volatile.Read(ref _failures) > 0)
        {
            Interlocked.Decrement(ref _failures);
            throw new IOException("the test failed this flush");
        }
    }

    private sealed class GatedFile(GatedStorage storage, IStorageFile inner, string name) : IStorageFile
    {
        public long Length => inner.Length;

        public int Read(long position, Span<byte> into) => inner.Read(position, into);

        public void Write(long position, ReadOnlySpan<byte> bytes) => inner.Write(position, bytes);

        public void Write(long position, IReadOnlyList<ReadOnlyMemory<byte>> pieces) => inner.Write(position, pieces);

        public void Flush()
        {
            storage.Pass(name);
            inner.Flush();
        }

        public void SetLength(long length) => inner.SetLength(length);

        public void Allocate(long length) => inner.Allocate(length);

        public void Dispose() => inner.Dispose();
    }
}
