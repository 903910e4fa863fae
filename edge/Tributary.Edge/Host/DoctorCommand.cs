using System.CommandLine;
using System.Text;
using System.Text.Json;
using Tributary.Edge.Doctor;

namespace Tributary.Edge.Host;

/// <summary>
/// <c>tributary-edge doctor</c>: looks at what keeps an agent from working, running or not, and says what to do. Exit codes: 0 nothing is
/// wrong, 1 something is, 2 wrong usage or settings that 'run' would refuse.
/// </summary>
internal static class DoctorCommand
{
    private const int VerdictWidth = 8;
    private const int CheckWidth = 18;

    private static readonly Option<bool> Json = new("--json") { Description = "The findings as JSON." };

    /// <summary>Makes the command.</summary>
    public static Command Create()
    {
        var command = new Command(
            "doctor", "Looks at agent, settings, files, data directory, disk, clock and the way to the cloud, with the settings of 'run'; changes nothing. "
                + "Exit code 0 if nothing is wrong, 1 if something is, 2 for settings that 'run' would refuse.");
        command.Add(Json);
        SettingFlags.AddTo(command);
        command.SetAction(RunAsync);
        return command;
    }

    private static async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellation)
    {
        Examination examination;
        try
        {
            examination = new Examination(SettingFlags.Read(parsed), TimeProvider.System);
        }
        catch (ArgumentException e)
        {
            return EdgeCommand.Say(EdgeCommand.WrongUsage, e.Message);
        }
        DoctorReport report = await examination.RunAsync(cancellation);
        Console.Out.Write(parsed.GetValue(Json) ? ToJson(report) : ToText(report));
        return !examination.AreSettingsGood ? EdgeCommand.WrongUsage
            : report.Worst == Verdict.Problem ? EdgeCommand.Failed
            : EdgeCommand.Done;
    }

    /// <summary>A report for a terminal.</summary>
    internal static string ToText(DoctorReport report)
    {
        var text = new StringBuilder();
        foreach (Finding finding in report.Findings)
        {
            string verdict = finding.Verdict.ToString().ToLowerInvariant().PadRight(VerdictWidth);
            text.Append(verdict).Append(' ').Append(finding.Check.PadRight(CheckWidth)).Append(' ').Append(StatusCommand.OneLine(finding.Found)).Append('\n');
            if (finding.Remedy is { } remedy)
            {
                text.Append(' ', VerdictWidth + CheckWidth + 2).Append("→ ").Append(StatusCommand.OneLine(remedy)).Append('\n');
            }
        }
        int problems = report.Findings.Count(finding => finding.Verdict == Verdict.Problem);
        int warnings = report.Findings.Count(finding => finding.Verdict == Verdict.Warning);
        return text.Append('\n').Append(Number(problems, "problem")).Append(", ").Append(Number(warnings, "warning")).Append('\n').ToString();

        static string Number(int count, string what) => count == 1 ? $"1 {what}" : $"{count} {what}s";
    }

    /// <summary>A report for programs.</summary>
    internal static string ToJson(DoctorReport report) => JsonSerializer.Serialize(report, DoctorJson.Default.DoctorReport) + "\n";
}
