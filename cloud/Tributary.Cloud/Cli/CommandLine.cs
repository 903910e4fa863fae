using System.Collections;
using System.CommandLine;
using System.CommandLine.Invocation;

namespace Tributary.Cloud.Cli;

/// <summary>The commands of <c>tributary</c> and their exit codes.</summary>
internal static class CommandLine
{
    /// <summary>Runs what <paramref name="args"/> say.</summary>
    /// <returns>The exit code.</returns>
    public static async Task<int> RunAsync(string[] args)
    {
        var root = new RootCommand("Tributary keeps what sensors say as topics that any Kafka client reads and writes.") { ServeCommand.Create() };
        ParseResult parsed = root.Parse(args);
        if (parsed.Action is ParseErrorAction)
        {
            foreach (System.CommandLine.Parsing.ParseError error in parsed.Errors)
            {
                await Console.Error.WriteLineAsync($"tributary: {error.Message}");
            }
            await Console.Error.WriteLineAsync("Try 'tributary --help' or 'tributary serve --help'.");
            return ExitCode.WrongUsage;
        }
        // Signals are the host's: it stops in order. The library would end the process after two seconds.
        return await parsed.InvokeAsync(new InvocationConfiguration { ProcessTerminationTimeout = null });
    }

    /// <summary>The environment, as pairs.</summary>
    public static IEnumerable<KeyValuePair<string, string>> Environment =>
        System.Environment.GetEnvironmentVariables().Cast<DictionaryEntry>()
            .Select(variable => KeyValuePair.Create((string)variable.Key, (string?)variable.Value ?? ""));
}

/// <summary>What the process answers to its caller.</summary>
internal static class ExitCode
{
    /// <summary>Done.</summary>
    public const int Done = 0;

    /// <summary>Failed.</summary>
    public const int Failed = 1;

    /// <summary>Wrong usage.</summary>
    public const int WrongUsage = 2;

    /// <summary>Cannot listen or open its data.</summary>
    public const int CannotStart = 3;
}
