using System.CommandLine;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Console;

namespace Tributary.Cloud.Cli;

/// <summary><c>tributary serve</c>: runs the program until it is told to stop.</summary>
internal static class ServeCommand
{
    private const int LogQueueLength = 2500;

    private static readonly IReadOnlyList<(string Category, LogLevel Least)> Quieter =
    [
        ("Orleans", LogLevel.Warning),
        ("Orleans.Runtime.Silo", LogLevel.Error), // notes that the garbage collector isn't a server's
        ("Orleans.Runtime.Watchdog", LogLevel.Error), // takes the machine's uptime for a hang
        ("Microsoft", LogLevel.Warning),
        ("System", LogLevel.Warning),
        ("Polly", LogLevel.Warning),
        ("OpenTelemetry", LogLevel.Warning),
    ];

    /// <summary>Describes the command.</summary>
    public static Command Create()
    {
        var command = new Command("serve", Help());
        var flags = new Dictionary<Setting, Option<string>>();
        foreach (Setting setting in Settings.All.Where(setting => setting.Flag is not null))
        {
            var flag = new Option<string>(setting.Flag!) { Description = setting.Help, HelpName = setting.Argument };
            flags.Add(setting, flag);
            command.Add(flag);
        }
        var config = new Option<string>("--config") { Description = "Reads settings from a JSON file", HelpName = "FILE" };
        var set = new Option<string[]>("--set") { Description = "Sets any of the settings above; may be repeated", HelpName = "NAME=VALUE" };
        command.Add(config);
        command.Add(set);
        command.SetAction(parsed => RunAsync(
            parsed.GetValue(config),
            flags.Where(flag => parsed.GetResult(flag.Value) is not null)
                .Select(flag => new FoundSetting(flag.Key, parsed.GetValue(flag.Value) ?? "", flag.Value.Name)),
            parsed.GetValue(set) ?? []));
        return command;
    }

    private static string Help()
    {
        IEnumerable<string> lines = Settings.All.Where(setting => setting.Flag is null).Select(setting =>
            $"  {setting.Name} {setting.Argument}: {setting.Help}{(setting.KafkaName is null ? "" : $" ({setting.KafkaName})")}");
        return $"""
            Serves Kafka clients: one silo with everything in it. Prints "READY kafka=HOST:PORT http=HOST:PORT" on standard output when it
            accepts connections, logs to standard error, stops cleanly on SIGTERM or Ctrl-C.

            Every flag is also a setting of the JSON file ("kafkaAdvertised": "cloud.example:9092") and an environment variable
            ({SettingSources.VariablePrefix}KAFKA_ADVERTISED). Flags win over the environment, the environment over the file. Settings without
            a flag are set by --set NAME=VALUE, by objects in the file ("broker": ...) or {SettingSources.VariablePrefix}BROKER__...; Kafka's
            name in brackets does as well:

            {string.Join(Environment.NewLine, lines)}

            Exit codes: 0 done, 1 failed, 2 wrong usage, 3 cannot listen or open its data.
            """;
    }

    private static async Task<int> RunAsync(string? configFlag, IEnumerable<FoundSetting> flags, string[] assignments)
    {
        var ignored = new List<string>();
        CloudOptions options;
        try
        {
            string? config = configFlag ?? System.Environment.GetEnvironmentVariable(SettingSources.ConfigVariable);
            options = SettingSources.Apply(
            [
                .. string.IsNullOrEmpty(config) ? [] : SettingSources.ReadFile(config),
                .. SettingSources.ReadEnvironment(CommandLine.Environment, ignored),
                .. flags,
                .. assignments.Select(SettingSources.ReadAssignment),
            ]);
        }
        catch (SettingException e)
        {
            await Console.Error.WriteLineAsync($"tributary: {e.Message}");
            return ExitCode.WrongUsage;
        }
        using ILoggerFactory loggers = CreateLoggers(options.LogLevel);
        ILogger logger = loggers.CreateLogger(typeof(ServeCommand));
        ignored.ForEach(logger.VariableIgnored);
        return await ServeAsync(options, loggers);
    }

    private static async Task<int> ServeAsync(CloudOptions options, ILoggerFactory loggers)
    {
        using var stop = new StopSignal();
        try
        {
            await using CloudHost host = await CloudHost.StartAsync(options, loggers, stop.Token);
            await Console.Out.WriteLineAsync($"READY kafka={host.Kafka} http={host.Http}");
            await Console.Out.FlushAsync();
            await stop.WaitAsync();
            return ExitCode.Done;
        }
        catch (StartupException e)
        {
            await Console.Error.WriteLineAsync($"tributary: {e.Message}");
            return ExitCode.CannotStart;
        }
        catch (OperationCanceledException) when (stop.Token.IsCancellationRequested)
        {
            return ExitCode.Done; // told to stop while it started
        }
        catch (Exception e)
        {
            await Console.Error.WriteLineAsync($"tributary: failed: {e}");
            return ExitCode.Failed;
        }
    }

    /// <summary>
    /// Standard error, one line each. A reader that hangs makes lines disappear, never the program wait. Libraries are heard from warnings
    /// on, and those that warn at every start from errors on, unless everything is asked for.
    /// </summary>
    private static ILoggerFactory CreateLoggers(LogLevel level) => LoggerFactory.Create(logging =>
    {
        logging.SetMinimumLevel(level);
        foreach ((string category, LogLevel least) in level == LogLevel.Trace ? [] : Quieter)
        {
            logging.AddFilter(category, level > least ? level : least);
        }
        logging.AddSimpleConsole(line =>
        {
            line.SingleLine = true;
            line.UseUtcTimestamp = true;
            line.TimestampFormat = "yyyy-MM-dd'T'HH:mm:ss.fff'Z' ";
            line.ColorBehavior = LoggerColorBehavior.Disabled;
        });
        logging.Services.Configure<ConsoleLoggerOptions>(console =>
        {
            console.LogToStandardErrorThreshold = LogLevel.Trace;
            console.QueueFullMode = ConsoleLoggerQueueFullMode.DropWrite;
            console.MaxQueueLength = LogQueueLength;
        });
    });
}
