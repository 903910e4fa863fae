using System.CommandLine;
using System.Net;
using System.Text;
using Tributary.Edge.Status;

namespace Tributary.Edge.Host;

/// <summary>
/// <c>tributary-edge status</c>: asks the running agent and shows what it says. Exit codes: 0 it takes messages, 1 it takes none or does not
/// answer, 2 wrong usage.
/// </summary>
internal static class StatusCommand
{
    private const int Indent = 26;

    private static readonly Option<bool> Json = new("--json") { Description = "What /status says, as it is." };

    /// <summary>Makes the command.</summary>
    public static Command Create()
    {
        var command = new Command(
            "status", "Says how the running agent does; takes the settings of 'run', of which it needs 'http'. Exit code 0 if it takes messages, 1 if not.");
        command.Add(Json);
        SettingFlags.AddTo(command);
        command.SetAction((parsed, _) => RunAsync(parsed));
        return command;
    }

    private static async Task<int> RunAsync(ParseResult parsed)
    {
        IPEndPoint http;
        try
        {
            http = SettingFlags.Read(parsed).Listen("http", EdgeOptions.DefaultHttpPort);
        }
        catch (ArgumentException e)
        {
            return EdgeCommand.Say(EdgeCommand.WrongUsage, e.Message);
        }
        try
        {
            (string json, EdgeStatus status) = await AgentClient.StatusAsync(http);
            Console.Out.Write(parsed.GetValue(Json) ? json : ToText(StatusView.Of(status, DateTimeOffset.UtcNow)));
            return status.Ready ? EdgeCommand.Done : EdgeCommand.Failed;
        }
        catch (IOException e)
        {
            return EdgeCommand.Say(EdgeCommand.Failed, e.Message);
        }
    }

    /// <summary>A status for a terminal: what devices and servers said stays on its line and controls nothing.</summary>
    internal static string ToText(StatusView view)
    {
        var text = new StringBuilder();
        text.Append(OneLine($"{view.Agent}: {view.State}")).Append('\n');
        foreach (string reason in view.Reasons)
        {
            text.Append("  ! ").Append(OneLine(reason)).Append('\n');
        }
        foreach (ViewSection section in view.Sections)
        {
            text.Append('\n').Append(OneLine(section.Title)).Append('\n');
            foreach (ViewRow row in section.Rows)
            {
                string mark = row.Tone switch
                {
                    Tone.Bad => "!",
                    Tone.Warning => "?",
                    _ => " ",
                };
                text.Append("  ").Append(mark).Append(' ').Append(OneLine(row.Label).PadRight(Indent)).Append(' ').Append(OneLine(row.Text)).Append('\n');
            }
        }
        return text.ToString();
    }

    /// <summary>Without control characters.</summary>
    internal static string OneLine(string text) =>
        string.Create(text.Length, text, static (to, from) =>
        {
            for (int i = 0; i < to.Length; i++)
            {
                to[i] = char.IsControl(from[i]) ? ' ' : from[i];
            }
        });
}
