using System.Globalization;
using System.Runtime.InteropServices;
using Tributary.Log.Storage;

namespace Tributary.Edge.Doctor;

/// <summary>What .NET does not tell of files without changing something. Elsewhere than on Linux nothing is known.</summary>
internal static partial class SystemCalls
{
    private const string Locks = "/proc/locks";

    /// <summary>Whether this user may write to a directory.</summary>
    public static bool MayWrite(string directory) => OperatingSystem.IsWindows() || Native.Access(directory, Native.Write | Native.Search) == 0;

    /// <summary>
    /// The process that holds a lock on a file, null if none is seen: by the kernel's list (proc_locks(5)), as trying would take the lock
    /// from an agent that is about to start.
    /// </summary>
    public static int? FindHolder(string path)
    {
        if (!File.Exists(path) || !File.Exists(Locks) || InodeOf(path) is not { } inode || FileStorage.MountOf(path) is not { } mount)
        {
            return null;
        }
        return FindHolder(File.ReadLines(Locks), mount.Device, inode);
    }

    /// <param name="lines">Lines such as <c>1: FLOCK ADVISORY WRITE 3205 fe:00:1441803 0 EOF</c>, the device in hexadecimal.</param>
    /// <param name="device">MAJOR:MINOR, in decimal.</param>
    /// <param name="inode">The file.</param>
    internal static int? FindHolder(IEnumerable<string> lines, string device, ulong inode)
    {
        string[] parts = device.Split(':');
        string wanted = string.Create(
            CultureInfo.InvariantCulture,
            $"{int.Parse(parts[0], CultureInfo.InvariantCulture):x2}:{int.Parse(parts[1], CultureInfo.InvariantCulture):x2}:{inode}");
        foreach (string line in lines)
        {
            string[] fields = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (fields is [_, not "->", _, _, var process, var file, ..] && file == wanted
                && int.TryParse(process, NumberStyles.None, CultureInfo.InvariantCulture, out int id))
            {
                return id;
            }
        }
        return null;
    }

    private static ulong? InodeOf(string path)
    {
        if (!OperatingSystem.IsLinux())
        {
            return null;
        }
        // struct statx has one layout on all architectures.
        byte[] statx = new byte[Native.StatXBytes];
        try
        {
            return Native.StatX(Native.CurrentDirectory, path, 0, Native.InodeWanted, ref statx[0]) == 0
                ? MemoryMarshal.Read<ulong>(statx.AsSpan(Native.StatXInode))
                : null;
        }
        catch (EntryPointNotFoundException)
        {
            return null;
        }
    }

    private static partial class Native
    {
        public const int Write = 2;
        public const int Search = 1;
        public const int CurrentDirectory = -100;
        public const uint InodeWanted = 0x100;
        public const int StatXBytes = 256;
        public const int StatXInode = 32;

        [LibraryImport("libc", EntryPoint = "access", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
        public static partial int Access(string path, int mode);

        [LibraryImport("libc", EntryPoint = "statx", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
        public static partial int StatX(int directory, string path, int flags, uint mask, ref byte into);
    }
}
