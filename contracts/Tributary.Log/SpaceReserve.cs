using Tributary.Log.Storage;

namespace Tributary.Log;

/// <summary>
/// A file that takes space in vain, so that a disk which others have filled still has room for what must be saved before space can be
/// given back: manifests, checkpoints. Callable from any thread. A crash leaves it there or not; the next start makes it anew.
/// </summary>
internal sealed class SpaceReserve(IStorage storage, string directory, int bytes)
{
    public const string FileName = "reserve";

    private const int NoSpace = 28; // ENOSPC, the same on Linux and macOS
    private const int OverQuota = 122; // EDQUOT on Linux
    private const int WindowsDiskFull = unchecked((int)0x80070070);
    private readonly Lock _lock = new();
    private bool _isTaken;

    /// <summary>Whether a write failed for want of space.</summary>
    public static bool IsDiskFull(IOException failure) => failure.HResult is NoSpace or OverQuota or WindowsDiskFull;

    /// <summary>Takes the space if it isn't taken. Where there is none, that is tried again later.</summary>
    public void TryTake()
    {
        lock (_lock)
        {
            if (_isTaken || bytes == 0)
            {
                return;
            }
            try
            {
                string path = $"{directory}/{FileName}";
                using IStorageFile file = storage.Open(path, create: !storage.Exists(path));
                if (file.Length < bytes)
                {
                    file.Allocate(bytes);
                }
                _isTaken = true;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
            }
        }
    }

    /// <summary>Gives the space back to the disk, for what comes next.</summary>
    /// <returns>False if there was none to give.</returns>
    /// <exception cref="IOException">It could not be given back.</exception>
    public bool Release()
    {
        lock (_lock)
        {
            if (!_isTaken)
            {
                return false;
            }
            storage.Delete($"{directory}/{FileName}");
            storage.SyncDirectory(directory);
            _isTaken = false;
            return true;
        }
    }
}
