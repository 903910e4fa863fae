namespace Tributary.Benchmarks.Harness;

/// <summary>
/// A directory for one run, gone with it. It lies in the repository by default, not in the system's place for temporary files, which may
/// be in memory.
/// </summary>
internal sealed class WorkDirectory : IDisposable
{
    private int _next;

    /// <param name="parent">Where to make it; null: in the repository.</param>
    public WorkDirectory(string? parent)
    {
        Path = System.IO.Path.Combine(
            parent ?? System.IO.Path.Combine(Programs.Root, "artifacts", "benchmarks"), $"run-{Environment.ProcessId}");
        Directory.CreateDirectory(Path);
        AppDomain.CurrentDomain.ProcessExit += (_, _) => Clear();
    }

    /// <summary>Full path.</summary>
    public string Path { get; }

    /// <summary>A path that is not used yet.</summary>
    public string Fresh(string name) => System.IO.Path.Combine(Path, $"{name}-{_next++}");

    /// <inheritdoc/>
    public void Dispose() => Directory.Delete(Path, recursive: true);

    /// <summary>After Ctrl-C.</summary>
    private void Clear()
    {
        ServerProcess.KillAll();
        try
        {
            Directory.Delete(Path, recursive: true);
        }
        catch (IOException)
        {
            // gone already, or a file of a process that is not quite gone
        }
    }
}
