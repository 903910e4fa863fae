namespace Tributary.Benchmarks.Harness;

/// <summary>Where the programs are. They are built with the benchmarks, in the same configuration.</summary>
internal static class Programs
{
    private const string NativeVariable = "TRIBUTARY_EDGE_NATIVE";

    /// <summary>The repository.</summary>
    public static string Root { get; } = FindRoot();

    /// <summary><c>tributary</c>.</summary>
    public static string Cloud => Find("cloud/Tributary.Cloud", "tributary.dll");

    /// <summary><c>tributary-edge</c> on the .NET runtime.</summary>
    public static string ManagedEdge => Find("edge/Tributary.Edge", "tributary-edge.dll");

    /// <summary><c>tributary-edge</c> as one native file; null if it was not published (test.sh does).</summary>
    public static string? NativeEdge
    {
        get
        {
            string path = Environment.GetEnvironmentVariable(NativeVariable) is { Length: > 0 } said
                ? said
                : Path.Combine(Root, "artifacts", "native", "tributary-edge");
            return File.Exists(path) ? path : null;
        }
    }

    /// <summary>A command of the system, null if it is not installed.</summary>
    public static string? FindCommand(string name) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':', StringSplitOptions.RemoveEmptyEntries)
            .Append("/usr/sbin").Select(directory => Path.Combine(directory, name)).FirstOrDefault(File.Exists);

    private static string Find(string project, string file)
    {
        string output = Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory);
        string framework = Path.GetFileName(output);
        string configuration = Path.GetFileName(Path.GetDirectoryName(output)!);
        string path = Path.Combine(Root, project, "bin", configuration, framework, file);
        return File.Exists(path) ? path : throw new InvalidOperationException($"{path} is not built");
    }

    private static string FindRoot()
    {
        string? at = AppContext.BaseDirectory;
        while (at is not null && !File.Exists(Path.Combine(at, "Iot.sln")))
        {
            at = Path.GetDirectoryName(at);
        }
        return at ?? throw new InvalidOperationException("the benchmarks do not run from within the repository");
    }
}
