using System.ComponentModel;
using System.Diagnostics;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Tributary.Benchmarks.Harness;

namespace Tributary.Benchmarks.Peers;

/// <summary>
/// The ceiling of any log on this disk: one thread that writes into a file whose blocks have been written before, and flushes, in a loop.
/// </summary>
internal sealed partial class RawDisk : IDisposable
{
    private const int FileBytes = 64 << 20;
    private const int FillBytes = 1 << 20;

    private readonly SafeFileHandle _file;
    private readonly byte[] _data;
    private readonly long _size;

    /// <summary>Makes the file, and writes all of it once.</summary>
    /// <param name="path">Path of the file.</param>
    /// <param name="bytes">Bytes of each write.</param>
    public RawDisk(string path, int bytes)
    {
        _data = new byte[bytes];
        Random.Shared.NextBytes(_data);
        _size = Math.Max(FileBytes, 2L * bytes);
        _file = File.OpenHandle(path, FileMode.Create, FileAccess.ReadWrite);
        byte[] fill = new byte[FillBytes];
        for (long at = 0; at < _size; at += fill.Length)
        {
            RandomAccess.Write(_file, fill.AsSpan(0, (int)Math.Min(fill.Length, _size - at)), at);
        }
        RandomAccess.FlushToDisk(_file);
    }

    /// <summary>Writes and flushes for a time.</summary>
    /// <returns>Flushes, the time that they took, and how long each one did.</returns>
    public (long Flushes, TimeSpan Elapsed, Histogram Latencies) Run(TimeSpan time)
    {
        var latencies = new Histogram();
        long flushes = 0;
        long position = 0;
        long start = Stopwatch.GetTimestamp();
        long now = start;
        while (Stopwatch.GetElapsedTime(start, now) < time)
        {
            position = position + _data.Length > _size ? 0 : position;
            RandomAccess.Write(_file, _data, position);
            Flush(_file);
            position += _data.Length;
            flushes++;
            long end = Stopwatch.GetTimestamp();
            latencies.Add(end - now);
            now = end;
        }
        return (flushes, Stopwatch.GetElapsedTime(start), latencies);
    }

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

    /// <summary>Flushes a file as the log does.</summary>
    public static void Flush(SafeFileHandle file)
    {
        if (!OperatingSystem.IsLinux())
        {
            RandomAccess.FlushToDisk(file);
        }
        else if (Native.DataSync(file) != 0)
        {
            throw new IOException($"fdatasync: {new Win32Exception(Marshal.GetLastPInvokeError()).Message}");
        }
    }

    private static partial class Native
    {
        [LibraryImport("libc", EntryPoint = "fdatasync", SetLastError = true)]
        public static partial int DataSync(SafeFileHandle file);
    }
}
