using System.Collections;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Tributary.Log.Storage;

/// <summary>
/// The real file system. Paths are the system's own. Files are read and written at positions, never through a stream's buffer;
/// on Linux a flush is <c>fdatasync</c>, which skips the journal when only already allocated blocks were overwritten.
/// Callable from any thread; a crash leaves what the kernel had on disk.
/// </summary>
public sealed partial class FileStorage : IStorage
{
    /// <summary>
    /// Most bytes that one call writes. For a call of a mebibyte into pages that were not in memory, Linux looks for as much memory in one
    /// piece, which can cost ten times what the copying does.
    /// </summary>
    private const int LargestWrite = 256 << 10;

    private const string MountTablePath = "/proc/self/mountinfo";
    private static readonly Version ErrorsAreTold = new(5, 8);
    private const int LinuxWouldBlock = 11;
    private const int MacWouldBlock = 35;
    private const int WindowsSharingViolation = unchecked((int)0x80070020);

    /// <inheritdoc/>
    public IStorageFile Open(string path, bool create)
    {
        FileMode mode = create ? FileMode.OpenOrCreate : FileMode.Open;
        return new DiskFile(path, File.OpenHandle(path, mode, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete));
    }

    /// <inheritdoc/>
    public bool Exists(string path) => Path.Exists(path);

    /// <inheritdoc/>
    public IReadOnlyList<string> List(string directory)
    {
        var names = new List<string>();
        foreach (string path in Directory.EnumerateFileSystemEntries(directory))
        {
            names.Add(Path.GetFileName(path));
        }
        return names;
    }

    /// <inheritdoc/>
    public void CreateDirectory(string path) => Directory.CreateDirectory(path);

    /// <inheritdoc/>
    public void Rename(string from, string to)
    {
        if (Directory.Exists(from))
        {
            Directory.Move(from, to);
        }
        else
        {
            File.Move(from, to, overwrite: true);
        }
    }

    /// <inheritdoc/>
    public void Delete(string path) => File.Delete(path);

    /// <inheritdoc/>
    public void DeleteDirectory(string path)
    {
        if (Directory.Exists(path))
        {
            Directory.Delete(path, recursive: true);
        }
    }

    /// <inheritdoc/>
    public void SyncDirectory(string path)
    {
        if (OperatingSystem.IsWindows())
        {
            return; // NTFS journals its names; a directory cannot be flushed there
        }
        int fd = Native.Open(path.Length == 0 ? "." : path, Native.OpenReadOnly);
        if (fd < 0)
        {
            throw Native.Error("open", path);
        }
        try
        {
            if (Native.FSync(fd) != 0)
            {
                throw Native.Error("fsync", path);
            }
        }
        finally
        {
            _ = Native.Close(fd);
        }
    }

    /// <inheritdoc/>
    public long FreeBytes(string path) => new DriveInfo(Path.GetFullPath(path)).AvailableFreeSpace;

    /// <inheritdoc/>
    public string? WhyVolatile(string path) =>
        File.Exists(MountTablePath) ? MountTable.WhyVolatile(File.ReadAllText(MountTablePath), Resolve(Path.GetFullPath(path))) : null;

    /// <summary>The file system that holds a directory; null where the system does not tell.</summary>
    public static MountPoint? MountOf(string path) =>
        File.Exists(MountTablePath) ? MountTable.Find(File.ReadAllText(MountTablePath), Resolve(Path.GetFullPath(path))) : null;

    /// <inheritdoc/>
    /// <remarks><c>syncfs</c> tells of failed writes since Linux 5.8, through the descriptor that was open when they failed.</remarks>
    public IFileSystemFlush? OpenFileSystem(string path)
    {
        if (!OperatingSystem.IsLinux() || Environment.OSVersion.Version < ErrorsAreTold)
        {
            return null;
        }
        int fd = Native.Open(path, Native.OpenReadOnly);
        return fd < 0 ? throw Native.Error("open", path) : new FileSystem(path, fd);
    }

    /// <summary>Without links in its directories.</summary>
    private static string Resolve(string path)
    {
        string? parent = Path.GetDirectoryName(path);
        string real = parent is null ? path : Path.Combine(Resolve(parent), Path.GetFileName(path));
        return Directory.ResolveLinkTarget(real, returnFinalTarget: true)?.FullName ?? real;
    }

    /// <inheritdoc/>
    public IDisposable? TryLock(string path)
    {
        try
        {
            return File.OpenHandle(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException e) when (e.HResult is LinuxWouldBlock or MacWouldBlock or WindowsSharingViolation)
        {
            return null;
        }
    }

    private sealed class DiskFile(string path, SafeFileHandle handle) : IStorageFile
    {
        private readonly SomePieces _some = new();

        public long Length => RandomAccess.GetLength(handle);

        public int Read(long position, Span<byte> into)
        {
            int done = 0;
            while (done < into.Length)
            {
                int n = RandomAccess.Read(handle, into[done..], position + done);
                if (n == 0)
                {
                    break;
                }
                done += n;
            }
            return done;
        }

        public void Write(long position, ReadOnlySpan<byte> bytes)
        {
            while (bytes.Length > LargestWrite)
            {
                RandomAccess.Write(handle, bytes[..LargestWrite], position);
                BeginFlush(position, LargestWrite);
                position += LargestWrite;
                bytes = bytes[LargestWrite..];
            }
            RandomAccess.Write(handle, bytes, position);
        }

        public void Write(long position, IReadOnlyList<ReadOnlyMemory<byte>> pieces)
        {
            int to;
            for (int from = 0; from < pieces.Count; from = to)
            {
                long bytes = pieces[from].Length;
                for (to = from + 1; to < pieces.Count && bytes + pieces[to].Length <= LargestWrite; to++)
                {
                    bytes += pieces[to].Length;
                }
                if (to - from == 1)
                {
                    Write(position, pieces[from].Span);
                }
                else
                {
                    _some.Set(pieces, from, to - from);
                    RandomAccess.Write(handle, _some, position);
                }
                if (to < pieces.Count)
                {
                    BeginFlush(position, bytes);
                }
                position += bytes;
            }
            _some.Set([], 0, 0);
        }

        /// <summary>
        /// The disk begins to write what the rest of a large write follows: their flush, which the caller owes, waits less. It takes no
        /// error from that flush, so its own says nothing.
        /// </summary>
        private void BeginFlush(long position, long bytes)
        {
            if (OperatingSystem.IsLinux())
            {
                _ = Native.SyncRange(handle, position, bytes, Native.BeginWriting);
            }
        }

        public void Flush()
        {
            if (!OperatingSystem.IsLinux())
            {
                RandomAccess.FlushToDisk(handle);
            }
            else if (Native.FDataSync(handle) != 0)
            {
                throw Native.Error("fdatasync", path);
            }
        }

        public void SetLength(long length) => RandomAccess.SetLength(handle, length);

        public void Allocate(long length)
        {
            long have = Length;
            if (length <= have)
            {
                return;
            }
            if (!OperatingSystem.IsLinux())
            {
                RandomAccess.SetLength(handle, length);
                return;
            }
            int error = Native.Allocate(handle, have, length - have);
            if (error != 0)
            {
                throw Native.Error("posix_fallocate", path, error);
            }
        }

        public void Dispose() => handle.Dispose();
    }

    /// <summary>Some of the pieces of a list, which is not copied.</summary>
    private sealed class SomePieces : IReadOnlyList<ReadOnlyMemory<byte>>
    {
        private IReadOnlyList<ReadOnlyMemory<byte>> _all = [];
        private int _from;

        public int Count { get; private set; }

        public ReadOnlyMemory<byte> this[int index] => _all[_from + index];

        public void Set(IReadOnlyList<ReadOnlyMemory<byte>> all, int from, int count) => (_all, _from, Count) = (all, from, count);

        public IEnumerator<ReadOnlyMemory<byte>> GetEnumerator()
        {
            for (int i = 0; i < Count; i++)
            {
                yield return this[i];
            }
        }

        IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
    }

    private sealed class FileSystem(string path, int fd) : IFileSystemFlush
    {
        private int _fd = fd;

        public void Flush()
        {
            if (Native.SyncFileSystem(_fd) != 0)
            {
                throw Native.Error("syncfs", path);
            }
        }

        public void Dispose()
        {
            int open = Interlocked.Exchange(ref _fd, -1);
            if (open >= 0)
            {
                _ = Native.Close(open);
            }
        }
    }

    /// <summary>The few calls that .NET does not offer: data-only flush, flush of everything, allocation of an open file, flush of a directory.</summary>
    private static partial class Native
    {
        public const int OpenReadOnly = 0;

        /// <summary>SYNC_FILE_RANGE_WRITE.</summary>
        public const uint BeginWriting = 2;

        [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
        public static partial int Open(string path, int flags);

        [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
        public static partial int Close(int fd);

        [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
        public static partial int FSync(int fd);

        [LibraryImport("libc", EntryPoint = "fdatasync", SetLastError = true)]
        public static partial int FDataSync(SafeFileHandle file);

        [LibraryImport("libc", EntryPoint = "sync_file_range", SetLastError = true)]
        public static partial int SyncRange(SafeFileHandle file, long offset, long bytes, uint flags);

        [LibraryImport("libc", EntryPoint = "syncfs", SetLastError = true)]
        public static partial int SyncFileSystem(int fd);

        [LibraryImport("libc", EntryPoint = "posix_fallocate")]
        private static partial int Allocate64(SafeFileHandle file, long offset, long length);

        [LibraryImport("libc", EntryPoint = "posix_fallocate64")]
        private static partial int Allocate32(SafeFileHandle file, long offset, long length);

        /// <summary>posix_fallocate returns its error instead of setting errno; off_t has 32 bits on 32-bit systems.</summary>
        public static int Allocate(SafeFileHandle file, long offset, long length) =>
            IntPtr.Size == sizeof(long) ? Allocate64(file, offset, length) : Allocate32(file, offset, length);

        public static IOException Error(string call, string path) => Error(call, path, Marshal.GetLastPInvokeError());

        public static IOException Error(string call, string path, int error) =>
            new($"{call} of '{path}' failed: {Marshal.GetPInvokeErrorMessage(error)}", error);
    }
}
