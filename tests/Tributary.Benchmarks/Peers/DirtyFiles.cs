using System.ComponentModel;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Tributary.Benchmarks.Peers;

/// <summary>Some files that are written to and made durable together, by the ways that Linux has.</summary>
internal sealed partial class DirtyFiles : IDisposable
{
    private const uint BeginWriting = 2; // SYNC_FILE_RANGE_WRITE
    private readonly SafeFileHandle[] _files;
    private readonly long _recycled;
    private long _position;
    private byte[] _data = [];

    /// <summary>Makes them.</summary>
    /// <param name="directory">Where; it is made.</param>
    /// <param name="count">How many.</param>
    /// <param name="recycledBytes">Bytes of each that are written and durable before, and then written over; 0: they grow.</param>
    public DirtyFiles(string directory, int count, int recycledBytes)
    {
        Directory.CreateDirectory(directory);
        _recycled = recycledBytes;
        _files = [.. Enumerable.Range(0, count).Select(i => File.OpenHandle($"{directory}/{i}", FileMode.Create, FileAccess.ReadWrite))];
        foreach (SafeFileHandle file in _files)
        {
            RandomAccess.Write(file, new byte[recycledBytes], 0);
            RandomAccess.FlushToDisk(file);
        }
    }

    /// <summary>Makes every file dirty.</summary>
    public void Write(int bytes)
    {
        if (_data.Length != bytes)
        {
            _data = new byte[bytes];
            Random.Shared.NextBytes(_data);
        }
        if (_recycled > 0 && _position + bytes > _recycled)
        {
            _position = 0;
        }
        foreach (SafeFileHandle file in _files)
        {
            RandomAccess.Write(file, _data, _position);
        }
        _position += bytes;
    }

    /// <summary>One flush of each.</summary>
    public static void FlushEach(DirtyFiles files)
    {
        foreach (SafeFileHandle file in files._files)
        {
            RawDisk.Flush(file);
        }
    }

    /// <summary>The kernel begins to write all of them before the first is waited for.</summary>
    public static void BeginThenFlushEach(DirtyFiles files)
    {
        foreach (SafeFileHandle file in files._files)
        {
            Check(Native.SyncRange(file, 0, 0, BeginWriting), "sync_file_range");
        }
        FlushEach(files);
    }

    /// <summary>Everything on the file system, whoever wrote it.</summary>
    public static void FlushFileSystem(DirtyFiles files) => Check(Native.SyncFileSystem(files._files[0]), "syncfs");

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (SafeFileHandle file in _files)
        {
            file.Dispose();
        }
    }

    private static void Check(int result, string call)
    {
        if (result != 0)
        {
            throw new IOException($"{call}: {new Win32Exception(Marshal.GetLastPInvokeError()).Message}");
        }
    }

    private static partial class Native
    {
        [LibraryImport("libc", EntryPoint = "syncfs", SetLastError = true)]
        public static partial int SyncFileSystem(SafeFileHandle file);

        [LibraryImport("libc", EntryPoint = "sync_file_range", SetLastError = true)]
        public static partial int SyncRange(SafeFileHandle file, long offset, long bytes, uint flags);
    }
}
