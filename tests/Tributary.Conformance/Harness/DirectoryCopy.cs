namespace Tributary.Conformance.Harness;

/// <summary>Copies a directory, as somebody does who copies a card.</summary>
internal static class DirectoryCopy
{
    /// <summary>Makes a copy with all that is in it.</summary>
    public static void Make(string from, string to)
    {
        Directory.CreateDirectory(to);
        foreach (string directory in Directory.EnumerateDirectories(from, "*", SearchOption.AllDirectories))
        {
            Directory.CreateDirectory(Path.Combine(to, Path.GetRelativePath(from, directory)));
        }
        foreach (string file in Directory.EnumerateFiles(from, "*", SearchOption.AllDirectories))
        {
            File.Copy(file, Path.Combine(to, Path.GetRelativePath(from, file)));
        }
    }
}
