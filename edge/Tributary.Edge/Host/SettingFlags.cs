using System.CommandLine;
using System.CommandLine.Parsing;

namespace Tributary.Edge.Host;

/// <summary>
/// The flags that are settings, the same for every command that reads an agent's settings: who asks how an agent does can repeat the line
/// that starts it.
/// </summary>
internal static class SettingFlags
{
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

    private static readonly Option<string?> Http = Flag(
        "--http", "ADDRESS:PORT", $"Where page, status and metrics are served, 127.0.0.1:{EdgeOptions.DefaultHttpPort} by default.");

    private static readonly Option<string?> Routes =
        Flag("--routes", "FILE", "Routes in JSON: what becomes of messages. A changed file is taken without a restart.");

    private static readonly Option<string?> Config = Flag("--config", "FILE", "Settings in JSON; flags and environment win over them.");

    private static readonly Option<string?>[] All = [Data, Id, Cloud, Mqtt, Mqtts, Ws, Wss, Http, Routes, Config];

    /// <summary>Gives a command the flags.</summary>
    public static void AddTo(Command command)
    {
        foreach (Option<string?> flag in All)
        {
            command.Add(flag);
        }
    }

    /// <summary>The settings of flags, environment and file.</summary>
    /// <exception cref="ArgumentException">The file can't be read.</exception>
    public static SettingValues Read(ParseResult parsed)
    {
        var values = new SettingValues();
        values.AddFlags(All.Select(flag => (flag == Routes ? RoutesSetting : flag.Name[2..], flag.Name, parsed.GetValue(flag))));
        values.AddEnvironment(Environment.GetEnvironmentVariables());
        if (values.Text("config") is { } file)
        {
            values.AddFile(file);
        }
        return values;
    }

    private static Option<string?> Flag(string name, string help, string description) =>
        new(name) { HelpName = help, Description = description };
}
