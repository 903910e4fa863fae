using System.CommandLine;

namespace Tributary.Benchmarks.Commands;

/// <summary>Options that several benchmarks have.</summary>
internal static class Options
{
    public static Option<double> Seconds(double otherwise) => new("--seconds")
    {
        Description = "How long to measure each figure",
        DefaultValueFactory = _ => otherwise,
    };

    public static Option<string?> Directory() => new("--dir")
    {
        Description = "Where to write; the file system is what is measured (default: artifacts/benchmarks in the repository)",
    };

    public static Option<bool> Unpinned() => new("--unpinned")
    {
        Description = "Leaves it to the system where client and server run, instead of giving a core to each",
    };

    public static Option<string[]> Words(string name, string description, params string[] otherwise) => new(name)
    {
        Description = description,
        AllowMultipleArgumentsPerToken = true,
        DefaultValueFactory = _ => otherwise,
    };

    public static Option<int[]> Numbers(string name, string description, params int[] otherwise) => new(name)
    {
        Description = description,
        AllowMultipleArgumentsPerToken = true,
        DefaultValueFactory = _ => otherwise,
    };

    public static Option<T> Value<T>(string name, string description, T otherwise) => new(name)
    {
        Description = description,
        DefaultValueFactory = _ => otherwise,
    };

    /// <summary>A number from a variable of the environment, if it is set.</summary>
    public static Option<int> Value(string name, string description, int otherwise, string variable) => Value(
        name, $"{description} (variable {variable})",
        int.TryParse(Environment.GetEnvironmentVariable(variable), out int set) ? set : otherwise);

    public static TimeSpan GetSeconds(this ParseResult parsed, Option<double> option) => TimeSpan.FromSeconds(parsed.GetValue(option));
}
