using Tributary.Log.Storage;

namespace Tributary.Tests.Log.Support;

/// <summary>A storage that tells of files that are opened before it opens them, so that a test can look around, or fail it.</summary>
internal sealed class HookedStorage(IStorage inner) : IStorage
{
    /// <summary>Gets path, and whether it may be made.</summary>
    public Action<string, bool>? Opening { get; set; }

    public IStorageFile Open(string path, bool create)
    {
        Opening?.Invoke(path, create);
        return inner.Open(path, create);
    }

    public bool Exists(string path) => inner.Exists(path);

    public IReadOnlyList<string> List(string directory) => inner.List(directory);

    public void CreateDirectory(string path) => inner.CreateDirectory(path);

    public void Rename(string from, string to) => inner.Rename(from, to);

    public void Delete(string path) => inner.Delete(path);

    public void DeleteDirectory(string path) => inner.DeleteDirectory(path);

    public void SyncDirectory(string path) => inner.SyncDirectory(path);

    public long FreeBytes(string path) => inner.FreeBytes(path);

    public IDisposable? TryLock(string path) => inner.TryLock(path);
}
