using System.CommandLine;
using System.CommandLine.Parsing;
using System.Runtime.InteropServices;

namespace Tributary.Edge.Host;

/// <summary>
/// The command line. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 cannot listen or open its data; each but 0 with a sentence on
/// standard error.
/// </summary>
internal static class EdgeCommand
{
    public const int Done = 0;
    public const int Failed = 1;
    public const int WrongUsage = 2;
    public const int CannotStart = 3;

    /// <summary>Runs the program.</summary>
    /// <returns>The exit code.</returns>
    public static async Task<int> RunAsync(string[] args)
    {
        var run = new Command(
            "run", $"Takes MQTT messages in and ships them to the cloud. Every flag is also an environment variable ({SettingValues.EnvironmentPrefix}…).");
        SettingFlags.AddTo(run);
        run.SetAction((parsed, _) => RunAsync(parsed));
        var root = new RootCommand("The edge agent of Tributary: an MQTT broker that stores, acknowledges and ships to Kafka.")
        {
            run, StatusCommand.Create(), DoctorCommand.Create(), UserCommand.Create(), RouteCommand.Create(),
        };
        ParseResult parsed = root.Parse(args);
        if (parsed.Errors.Count > 0)
        {
            return Say(WrongUsage, string.Join("; ", parsed.Errors.Select(Sentence)));
        }
        // Signals are ours: a stop takes as long as the disk needs.
        return await parsed.InvokeAsync(
            new InvocationConfiguration { ProcessTerminationTimeout = null, EnableDefaultExceptionHandler = false });
    }

    private static async Task<int> RunAsync(ParseResult parsed)
    {
        EdgeOptions options;
        IReadOnlyList<string> unknown;
        try
        {
            SettingValues values = SettingFlags.Read(parsed);
            options = EdgeOptions.From(values);
            unknown = values.CheckUnknown();
        }
        catch (ArgumentException e)
        {
            return Say(WrongUsage, e.Message);
        }
        using var loggers = new StandardErrorLogger(options.LogLevel, TimeProvider.System, Console.OpenStandardError(), options.LogFormat);
        try
        {
            return await RunAsync(options, unknown, loggers);
        }
        catch (StartException e)
        {
            loggers.Dispose();
            return Say(CannotStart, e.Message);
        }
        catch (Exception e)
        {
            loggers.Dispose();
            return Say(Failed, e.ToString());
        }
    }

    private static async Task<int> RunAsync(EdgeOptions options, IReadOnlyList<string> unknown, StandardErrorLogger loggers)
    {
        var stop = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        // The second signal is not held back: it ends the process there and then.
        using var term = PosixSignalRegistration.Create(PosixSignal.SIGTERM, context => context.Cancel = stop.TrySetResult());
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, context => context.Cancel = stop.TrySetResult());
        await using EdgeAgent agent = await EdgeAgent.StartAsync(options, TimeProvider.System, loggers);
        agent.ReportUnknown(unknown);
        Console.Out.WriteLine($"READY {string.Join(' ', agent.Endpoints.Select(endpoint => $"{endpoint.Setting}={endpoint.Address}"))}");
        await stop.Task;
        return Done;
    }

    private static string Sentence(ParseError error) => error.Message.TrimEnd('.');

    /// <summary>Says on standard error why a command ends, and gives its exit code.</summary>
    internal static int Say(int code, string message)
    {
        Console.Error.WriteLine($"tributary-edge: {message}");
        return code;
    }
}

/// <summary>The agent can't open its data or listen; the message says why.</summary>
internal sealed class StartException(string message, Exception inner) : Exception(message, inner);
