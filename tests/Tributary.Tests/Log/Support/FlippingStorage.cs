using Tributary.Log.Storage;

namespace Tributary.Tests.Log.Support;

/// <summary>A storage that garbles what it reads: a bit of certain bytes, whenever they are read or only so many times.</summary>
internal sealed class FlippingStorage(IStorage inner) : IStorage
{
    private byte[] _needle = [];
    private int _left;

    /// <summary>How often bytes were garbled.</summary>
    public int Flips { get; private set; }

    /// <summary>From now on these bytes are garbled when they are read, so many times.</summary>
    public void Flip(ReadOnlySpan<byte> needle, int times = int.MaxValue) => (_needle, _left) = (needle.ToArray(), times);

    public IStorageFile Open(string path, bool create) => new FlippingFile(this, inner.Open(path, create));

    public bool Exists(string path) => inner.Exists(path);

    public IReadOnlyList<string> List(string directory) => inner.List(directory);

    public void CreateDirectory(string path) => inner.CreateDirectory(path);

    public void Rename(string from, string to) => inner.Rename(from, to);

    public void Delete(string path) => inner.Delete(path);

    public void DeleteDirectory(string path) => inner.DeleteDirectory(path);

    public void SyncDirectory(string path) => inner.SyncDirectory(path);

    public long FreeBytes(string path) => inner.FreeBytes(path);

    public IDisposable? TryLock(string path) => inner.TryLock(path);

    private void Garble(Span<byte> bytes)
    {
        if (_left > 0 && bytes.IndexOf(_needle) is >= 0 and var at)
        {
            bytes[at] ^= 1;
            _left--;
            Flips++;
        }
    }

    private sealed class FlippingFile(FlippingStorage storage, IStorageFile file) : IStorageFile
    {
        public long Length => file.Length;

        public int Read(long position, Span<byte> into)
        {
            int read = file.Read(position, into);
            storage.Garble(into[..read]);
            return read;
        }

        public void Write(long position, ReadOnlySpan<byte> bytes) => file.Write(position, bytes);

        public void Write(long position, IReadOnlyList<ReadOnlyMemory<byte>> pieces) => file.Write(position, pieces);

        public void Flush() => file.Flush();

        public void SetLength(long length) => file.SetLength(length);

        public void Allocate(long length) => file.Allocate(length);

        public void Dispose() => file.Dispose();
    }
}
