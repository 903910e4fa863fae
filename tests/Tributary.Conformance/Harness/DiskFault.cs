namespace Tributary.Conformance.Harness;

/// <summary>What can befall a file while nobody has it open.</summary>
public enum DiskFault
{
    /// <summary>One bit, in the middle.</summary>
    FlippedBit,

    /// <summary>The second half is gone.</summary>
    Truncated,

    /// <summary>It is there, without a byte in it.</summary>
    Empty,

    /// <summary>It is gone.</summary>
    Missing,
}

/// <summary>Damages files.</summary>
internal static class Damage
{
    /// <summary>Does it to a file.</summary>
    public static void Do(DiskFault fault, string path)
    {
        long length = new FileInfo(path).Length;
        switch (fault)
        {
            case DiskFault.FlippedBit:
                FlipBit(path, length / 2);
                break;
            case DiskFault.Truncated:
                Resize(path, length / 2);
                break;
            case DiskFault.Empty:
                Resize(path, 0);
                break;
            case DiskFault.Missing:
                File.Delete(path);
                break;
        }
    }

    /// <summary>Flips a bit at a place.</summary>
    public static void FlipBit(string path, long at)
    {
        using FileStream file = File.Open(path, FileMode.Open);
        file.Position = at;
        int value = file.ReadByte();
        file.Position = at;
        file.WriteByte((byte)(value ^ 0x10));
    }

    /// <summary>The segments of a partition's directory, the oldest first.</summary>
    public static string[] Segments(string partition) =>
        [.. Directory.EnumerateFiles(partition).Where(file => Path.GetFileName(file) is { Length: 20 } name && name.All(char.IsAsciiDigit)).Order()];

    private static void Resize(string path, long length)
    {
        using FileStream file = File.Open(path, FileMode.Open);
        file.SetLength(length);
    }
}
