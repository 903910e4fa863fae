namespace Tributary.Conformance.Harness;

/// <summary>Where the programs under test are. They were built with the tests, in the same configuration.</summary>
internal static class Programs
{
    /// <summary>The native agent; <c>test.sh</c> publishes it and says where in this variable.</summary>
    private const string NativeVariable = "TRIBUTARY_EDGE_NATIVE";

    private static readonly string Framework = Path.GetFileName(Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory));

    private static readonly string Configuration =
        Path.GetFileName(Path.GetDirectoryName(Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory))!);

    /// <summary>The repository.</summary>
    public static string Root { get; } = FindRoot();

    /// <summary><c>tributary</c>.</summary>
    public static string Cloud { get; } = Find("cloud/Tributary.Cloud", "tributary.dll");

    /// <summary><c>tributary-edge</c>, managed.</summary>
    public static string Edge { get; } = Find("edge/Tributary.Edge", "tributary-edge.dll");

    /// <summary><c>firmware-sim</c>.</summary>
    public static string FirmwareSim { get; } = Find("firmware-sim/Tributary.FirmwareSim", "firmware-sim.dll");

    /// <summary><c>tributary-stage</c>, a client of its own process.</summary>
    public static string Stage { get; } = Find("tests/Tributary.Stage", "tributary-stage.dll");

    /// <summary><c>tributary-edge</c> as one native file, null if it was not published.</summary>
    public static string? NativeEdge { get; } = FindNative();

    private static string Find(string project, string file)
    {
        string path = Path.Combine(Root, project, "bin", Configuration, Framework, file);
        return File.Exists(path) ? path : throw new FileNotFoundException($"{path} is not built");
    }

    private static string? FindNative()
    {
        string path = Environment.GetEnvironmentVariable(NativeVariable) is { Length: > 0 } said
            ? said
            : Path.Combine(Root, "artifacts", "native", "tributary-edge");
        return File.Exists(path) ? path : null;
    }

    private static string FindRoot()
    {
        string? at = AppContext.BaseDirectory;
        while (at is not null && !File.Exists(Path.Combine(at, "Iot.sln")))
        {
            at = Path.GetDirectoryName(at);
        }
        return at ?? throw new DirectoryNotFoundException("the tests do not run from within the repository");
    }
}
