using System.Text;

namespace Tributary.Log.Storage;

/// <summary>
/// The mounted file systems, as <c>/proc/self/mountinfo</c> lists them (proc_pid_mountinfo(5)), and which of them keep nothing after a power
/// cut whatever is flushed. Pure.
/// </summary>
internal static class MountTable
{
    // Fields of a line up to the hyphen, which a number of optional ones precedes, and behind it.
    private const int Device = 2;
    private const int Point = 4;
    private const int MountOptions = 5;
    private const int TypeBehind = 1;
    private const int SourceBehind = 2;
    private const int SuperOptionsBehind = 3;

    /// <summary>The file system that holds a directory, null if the table does not tell.</summary>
    /// <param name="table">Content of <c>/proc/self/mountinfo</c>.</param>
    /// <param name="path">The directory, absolute and without links.</param>
    public static MountPoint? Find(string table, string path)
    {
        MountPoint? best = null;
        foreach (string line in table.Split('\n'))
        {
            string[] fields = line.Split(' ');
            int hyphen = Array.IndexOf(fields, "-");
            if (hyphen <= MountOptions || hyphen + SuperOptionsBehind >= fields.Length)
            {
                continue;
            }
            string point = Unescape(fields[Point]);
            // The last one of those mounted at the same place hides the others.
            if (IsBelow(path, point) && point.Length >= (best?.Path.Length ?? 0))
            {
                best = new MountPoint(
                    point, fields[hyphen + TypeBehind], Unescape(fields[hyphen + SourceBehind]), fields[Device],
                    [.. fields[MountOptions].Split(','), .. fields[hyphen + SuperOptionsBehind].Split(',')]);
            }
        }
        return best;
    }

    /// <summary>Why what is flushed in a directory may be lost, as a sentence's end; null if the file system can keep it.</summary>
    /// <param name="table">Content of <c>/proc/self/mountinfo</c>.</param>
    /// <param name="path">The directory, absolute and without links.</param>
    public static string? WhyVolatile(string table, string path) => Find(table, path) switch
    {
        { Type: "tmpfs" or "ramfs" } memory => $"lies on a {memory.Type} ('{memory.Path}'), which is memory",
        { Type: "overlay" } overlay when overlay.Options.Contains("volatile") =>
            $"lies on an overlay ('{overlay.Path}') that is mounted volatile, so that nothing is flushed",
        { } mount when mount.Options.Any(option => option is "nobarrier" or "barrier=0") =>
            $"lies on a file system ('{mount.Path}') that is mounted without barriers, so that a flush does not reach the disk",
        _ => null,
    };

    private static bool IsBelow(string path, string point) =>
        point == "/" || (path.StartsWith(point, StringComparison.Ordinal) && (path.Length == point.Length || path[point.Length] == '/'));

    /// <summary>Space, tab, line feed and backslash are written as octal numbers.</summary>
    private static string Unescape(string field)
    {
        var text = new StringBuilder(field.Length);
        for (int i = 0; i < field.Length; i++)
        {
            if (field[i] == '\\' && i + 3 < field.Length)
            {
                text.Append((char)(((field[i + 1] - '0') << 6) + ((field[i + 2] - '0') << 3) + (field[i + 3] - '0')));
                i += 3;
            }
            else
            {
                text.Append(field[i]);
            }
        }
        return text.ToString();
    }
}

/// <summary>A file system that is mounted.</summary>
/// <param name="Path">Where.</param>
/// <param name="Type">Its type, such as <c>ext4</c>.</param>
/// <param name="Source">What it is made of, such as <c>/dev/mmcblk0p2</c>.</param>
/// <param name="Device">Its device as MAJOR:MINOR; major 0 if there is no block device of its own.</param>
/// <param name="Options">Options of this mount and of the file system.</param>
public sealed record MountPoint(string Path, string Type, string Source, string Device, IReadOnlyList<string> Options);
