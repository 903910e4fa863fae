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

    private const string RoutesSetting = "routes:file";

    private static readonly Option<string?> Data = Flag("--data", "DIR", "Directory of the log; one agent's for ever.");
    private static readonly Option<string?> Id = Flag("--id", "NAME", "Name of this agent.");
    private static readonly Option<string?> Cloud = Flag("--cloud", "HOST:PORT", "Kafka endpoint of the cloud.");

    private static readonly Option<string?> Mqtt =
        Flag("--mqtt", "ADDRESS:PORT", $"Where MQTT clients connect, 127.0.0.1:{EdgeOptions.DefaultMqttPort} by default.");

    private static readonly Option<string?> Mqtts =
        Flag("--mqtts", "ADDRESS:PORT", $"Where they connect with TLS, usually at port {EdgeOptions.DefaultMqttsPort}; off by default.");

    private static readonly Option<string?> Ws =
        Flag("--ws", "ADDRESS:PORT", $"Where they connect by WebSocket, usually at port {EdgeOptions.DefaultWsPort}; off by default.");

    private static readonly Option<string?> Wss =
        Flag("--wss", "ADDRESS:PORT", $"The same with TLS, usually at port {EdgeOptions.DefaultWssPort}; off by default.");

    private static readonly Option<string?> Http =
        Flag("--http", "ADDRESS:PORT", $"Where status and metrics are served, 127.0.0.1:{EdgeOptions.DefaultHttpPort} by default.");

    private static readonly Option<string?> Routes =
        Flag("--routes", "FILE", "Routes in JSON: what becomes of messages. A changed file is taken without a restart.");

    private static readonly Option<string?> Config = Flag("--config", "FILE", "Settings in JSON; flags and environment win over them.");

    /// <summary>Runs the program.</summary>
    /// <returns>The exit code.</returns>
    public static async Task<int> RunAsync(string[] args)
    {
        var run = new Command(
            "run", $"Takes MQTT messages in and ships them to the cloud. Every flag is also an environment variable ({SettingValues.EnvironmentPrefix}…).")
        {
            Data, Id, Cloud, Mqtt, Mqtts, Ws, Wss, Http, Routes, Config,
        };
        run.SetAction((parsed, _) => RunAsync(parsed));
        var root = new RootCommand("The edge agent of Tributary: an MQTT broker that stores, acknowledges and ships to Kafka.")
        {
            run, UserCommand.Create(), RouteCommand.Create(),
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
            (options, unknown) = ReadSettings(parsed);
        }
        catch (ArgumentException e)
        {
            return Say(WrongUsage, e.Message);
        }
        using var loggers = new StandardErrorLogger(options.LogLevel, TimeProvider.System, Console.OpenStandardError());
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

    private static (EdgeOptions Options, IReadOnlyList<string> Unknown) ReadSettings(ParseResult parsed)
    {
        var values = new SettingValues();
        values.AddFlags(new[] { Data, Id, Cloud, Mqtt, Mqtts, Ws, Wss, Http, Routes, Config }.Select(
            flag => (flag == Routes ? RoutesSetting : flag.Name[2..], flag.Name, parsed.GetValue(flag))));
        values.AddEnvironment(Environment.GetEnvironmentVariables());
        if (values.Text("config") is { } file)
        {
            values.AddFile(file);
        }
        var options = EdgeOptions.From(values);
        return (options, values.CheckUnknown());
    }

    private static Option<string?> Flag(string name, string help, string description) =>
        new(name) { HelpName = help, Description = description };

    private static string Sentence(ParseError error) => error.Message.TrimEnd('.');

    private static int Say(int code, string message)
    {
        Console.Error.WriteLine($"tributary-edge: {message}");
        return code;
    }
}

/// <summary>The agent can't open its data or listen; the message says why.</summary>
internal sealed class StartException(string message, Exception inner) : Exception(message, inner);
