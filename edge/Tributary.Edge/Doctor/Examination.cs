using System.Net;
using Tributary.Edge.Host;
using Tributary.Edge.Status;

namespace Tributary.Edge.Doctor;

/// <summary>
/// Looks at everything that keeps an agent from working, whether it runs or not, and says of each what is found and what to do. It changes
/// nothing: no file is written, no lock is taken, no message and no producer reaches the cloud.
/// </summary>
/// <param name="values">The settings as they were given.</param>
/// <param name="time">All time.</param>
internal sealed class Examination(SettingValues values, TimeProvider time)
{
    private readonly Findings _findings = new();

    /// <summary>Whether the settings are such that an agent would start with them.</summary>
    public bool AreSettingsGood { get; private set; }

    /// <summary>Looks.</summary>
    /// <param name="cancellation">Ends it early.</param>
    public async Task<DoctorReport> RunAsync(CancellationToken cancellation)
    {
        EdgeOptions? options = ReadSettings();
        EdgeStatus? agent = await LookAtAgentAsync();
        string? data = values.Text("data");
        if (data is null)
        {
            _findings.Skip("data directory", "the setting 'data' is missing");
        }
        else
        {
            new DataCheck(_findings, data, values.Text("id"), options, agent).Run();
        }
        ClockCheck.Run(_findings, data, time);
        if (options is null)
        {
            _findings.Skip("files", "the settings are not right");
            _findings.Skip("uplink", "the settings are not right");
            return DoctorReport.Of(_findings.All);
        }
        FileChecks.Run(_findings, options, time);
        ListenerCheck.Run(_findings, options, agent);
        await UplinkCheck.RunAsync(_findings, options, time, cancellation);
        if (options.Source is { } source)
        {
            await Reach.TryAsync(_findings, "source: network", source.Host, source.Port, source.Timeout, cancellation);
        }
        return DoctorReport.Of(_findings.All);
    }

    private EdgeOptions? ReadSettings()
    {
        try
        {
            var options = EdgeOptions.From(values);
            IReadOnlyList<string> unknown = values.CheckUnknown();
            AreSettingsGood = true;
            _findings.Ok("settings", $"agent '{options.Id}', data directory {options.DataDirectory}, cloud {options.Uplink.CloudHost}:{options.Uplink.CloudPort}");
            foreach (string source in unknown)
            {
                _findings.Warn("settings", $"{source}: no such setting of this program, ignored");
            }
            return options;
        }
        catch (ArgumentException e)
        {
            _findings.Fail("settings", e.Message, "put it right: 'run' does not start with it");
            return null;
        }
    }

    private async Task<EdgeStatus?> LookAtAgentAsync()
    {
        const string Check = "agent";
        try
        {
            IPEndPoint http = values.Listen("http", EdgeOptions.DefaultHttpPort);
            (_, EdgeStatus status) = await AgentClient.StatusAsync(http);
            AgentCheck.Run(_findings, status, values.Text("id"));
            return status;
        }
        catch (AgentAwayException e)
        {
            _findings.Warn(Check, e.Message, "start it ('tributary-edge run'), or give the settings that it runs with");
        }
        catch (IOException e)
        {
            _findings.Fail(Check, e.Message, "another program may have the port: set 'http' to a free one");
        }
        catch (ArgumentException e)
        {
            _findings.Skip(Check, e.Message);
        }
        return null;
    }
}
