using System.Text;

namespace Tributary.Log.Storage;

/// <summary>
/// The mounted file systems, as <c>/proc/self/mountinfo</c> lists them (proc_pid_mountinfo(5)), and which of them keep nothing after a power
/// cut whatever is flushed. Pure.
/// </summary>
internal static class MountTable
{
    // Fields of a line up to the hyphen, which a number of optional ones precedes, and behind it.
    private const int MountPoint = 4;
    private const int MountOptions = 5;
    private const int TypeBehind = 1;
    private const int SuperOptionsBehind = 3;

    /// <summary>Why what is flushed in a directory may be lost, as a sentence's end; null if the file system can keep it.</summary>
    /// <param name="table">Content of <c>/proc/self/mountinfo</c>.</param>
    /// <param name="path">The directory, absolute and without links.</param>
    public static string? WhyVolatile(string table, string path)
    {
        (string Point, string Type, string[] Options) best = ("", "", []);
        foreach (string line in table.Split('\n'))
        {
            string[] fields = line.Split(' ');
            int hyphen = Array.IndexOf(fields, "-");
            if (hyphen <= MountOptions || hyphen + SuperOptionsBehind >= fields.Length)
            {
                continue;
            }
            string point = Unescape(fields[MountPoint]);
            // The last one of those mounted at the same place hides the others.
            if (IsBelow(path, point) && point.Length >= best.Point.Length)
            {
                best = (point, fields[hyphen + TypeBehind],
                    [.. fields[MountOptions].Split(','), .. fields[hyphen + SuperOptionsBehind].Split(',')]);
            }
        }
        return best.Type switch
        {
            "tmpfs" or "ramfs" => $"lies on a {best.Type} ('{best.Point}'), which is memory",
            "overlay" when best.Options.Contains("volatile") => $"lies on an overlay ('{best.Point}') that is mounted volatile, so that nothing is flushed",
            _ when best.Options.Any(option => option is "nobarrier" or "barrier=0") =>
                $"lies on a file system ('{best.Point}') that is mounted without barriers, so that a flush does not reach the disk",
            _ => null,
        };
    }

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
