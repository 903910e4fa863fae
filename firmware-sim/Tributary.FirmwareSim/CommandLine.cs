using System.CommandLine;
using System.CommandLine.Parsing;

namespace Tributary.FirmwareSim;

/// <summary>The command line of <c>firmware-sim</c>.</summary>
internal sealed class CommandLine
{
    private readonly Option<string> _mqtt = new("--mqtt") { Description = "The MQTT broker.", HelpName = "HOST:PORT", Required = true };
    private readonly Option<int> _devices = new("--devices") { Description = "How many devices.", HelpName = "N", Required = true };
    private readonly Option<double> _rate = new("--rate") { Description = "Messages per second of each device.", HelpName = "RATE", Required = true };
    private readonly Option<double?> _for = new("--for") { Description = "How long to run; without it until stopped.", HelpName = "SECONDS" };
    private readonly Option<int> _seed = new("--seed") { Description = "What decides all signals and faults.", HelpName = "S", DefaultValueFactory = _ => 1 };
    private readonly Option<int> _qos = new("--qos") { Description = "MQTT quality of service.", HelpName = "0|1", DefaultValueFactory = _ => 1 };
    private readonly RootCommand _root;

    /// <param name="run">Carries out a run.</param>
    public CommandLine(Func<SimulatorOptions, Task<int>> run)
    {
        _root = new RootCommand(
            "Simulates devices with plausible signals that publish over MQTT. Its last line says what was sent, as JSON.")
        {
            _mqtt, _devices, _rate, _for, _seed, _qos,
        };
        _root.Validators.Add(Check);
        _root.SetAction((result, _) => run(Options(result)));
    }

    /// <summary>Parses and runs.</summary>
    /// <returns>The exit code: 2 for wrong usage.</returns>
    public async Task<int> InvokeAsync(string[] args, TextWriter error)
    {
        ParseResult result = _root.Parse(args);
        if (result.Errors.Count > 0)
        {
            foreach (ParseError wrong in result.Errors)
            {
                await error.WriteLineAsync(wrong.Message);
            }
            await error.WriteLineAsync("firmware-sim --help explains the flags.");
            return ExitCode.Usage;
        }
        return await result.InvokeAsync(
            new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
    }

    private void Check(CommandResult command)
    {
        if (command.Errors.Any() || command.GetResult(_mqtt) is not { Tokens.Count: > 0 })
        {
            return;
        }
        string mqtt = command.GetValue(_mqtt) ?? "";
        if (!SimulatorOptions.TryParseEndpoint(mqtt, out _, out _))
        {
            command.AddError($"--mqtt is '{mqtt}'; it must be HOST:PORT");
        }
    }

    private SimulatorOptions Options(ParseResult result)
    {
        _ = SimulatorOptions.TryParseEndpoint(result.GetRequiredValue(_mqtt), out string host, out int port);
        return new SimulatorOptions
        {
            Host = host,
            Port = port,
            Devices = result.GetRequiredValue(_devices),
            Rate = result.GetRequiredValue(_rate),
            Seconds = result.GetValue(_for),
            Seed = result.GetValue(_seed),
            Qos = result.GetValue(_qos),
        };
    }
}

/// <summary>Exit codes.</summary>
internal static class ExitCode
{
    /// <summary>Done.</summary>
    public const int Done = 0;

    /// <summary>No device ever reached the broker.</summary>
    public const int Failed = 1;

    /// <summary>Wrong usage.</summary>
    public const int Usage = 2;
}
