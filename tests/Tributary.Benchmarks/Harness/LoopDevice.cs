using System.Diagnostics;

namespace Tributary.Benchmarks.Harness;

/// <summary>
/// A file system that nobody else writes to, in a file by a loop device: so the device's counters are those of whoever is measured. It needs
/// root and mkfs.ext4; gone with the run.
/// </summary>
internal sealed class LoopDevice : IDisposable
{
    private readonly string _device;

    private LoopDevice(string device, string path) => (_device, Path) = (device, path);

    /// <summary>Where it is mounted.</summary>
    public string Path { get; }

    /// <summary>Makes one of ext4.</summary>
    /// <param name="directory">An empty path for it.</param>
    /// <param name="bytes">Its size.</param>
    /// <param name="mountOptions">Options of the mount, such as <c>lazytime</c>; empty for those that are usual.</param>
    public static LoopDevice Create(string directory, long bytes, string mountOptions)
    {
        string file = System.IO.Path.Combine(directory, "image"), point = System.IO.Path.Combine(directory, "mount");
        Directory.CreateDirectory(point);
        using (FileStream image = File.Create(file))
        {
            image.SetLength(bytes);
        }
        Run("mkfs.ext4", "-q", "-F", file);
        string device = Run("losetup", "--show", "-f", file).Trim();
        try
        {
            Run("mount", [.. mountOptions.Length > 0 ? (string[])["-o", mountOptions] : [], device, point]);
        }
        catch
        {
            Run("losetup", "-d", device);
            throw;
        }
        return new LoopDevice(device, point);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Run("umount", Path);
        Run("losetup", "-d", _device);
    }

    private static string Run(string program, params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        string output = process.StandardOutput.ReadToEnd(), errors = process.StandardError.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0
            ? output
            : throw new InvalidOperationException($"{program} {string.Join(' ', arguments)} ended with {process.ExitCode}: {errors} (it needs root; --dir measures on a file system that is there)");
    }
}
