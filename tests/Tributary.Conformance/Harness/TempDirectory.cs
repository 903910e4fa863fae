namespace Tributary.Conformance.Harness;

/// <summary>
/// A directory for one test, gone with it. It lies in the repository, not in the system's place for temporary files: that may be in
/// memory, and durable programs refuse such a place.
/// </summary>
internal sealed class TempDirectory : IDisposable
{
    private TempDirectory(string path) => Path = path;

    /// <summary>Full path.</summary>
    public string Path { get; }

    /// <summary>Makes one.</summary>
    public static TempDirectory Create()
    {
        string name = $"{Environment.ProcessId}-{Guid.NewGuid():N}"[..24];
        string path = System.IO.Path.Combine(Programs.Root, "artifacts", "conformance", name);
        Directory.CreateDirectory(path);
        return new TempDirectory(path);
    }

    /// <summary>A path within it.</summary>
    public string At(string name) => System.IO.Path.Combine(Path, name);

    /// <inheritdoc/>
    public void Dispose() => Directory.Delete(Path, recursive: true);
}
