using System.Text.Json;
using Tributary.Conformance.Harness;
using Xunit;

namespace Tributary.Conformance;

/// <summary><c>tributary-edge status</c> and <c>doctor</c>, as a user at the box runs them: the shipped build, with and without an agent.</summary>
public sealed class StatusCommandTests : IDisposable
{
    private const string NobodyThere = "127.0.0.1:1";
    private readonly TempDirectory _directory = TempDirectory.Create();

    private string Data => _directory.At("data");

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task They_ask_the_agent_that_runs_and_their_exit_codes_say_how_it_does()
    {
        await using EdgeNode edge = await EdgeNode.StartAsync(Data, NobodyThere);
        string http = edge.At("http").ToString();
        (int code, string text, _) = await CommandAsync("status", "--http", http);
        Assert.Equal(0, code);
        Assert.StartsWith($"{TestSystem.EdgeId} (tributary-edge ", text, StringComparison.Ordinal);
        Assert.Contains("takes messages", text, StringComparison.Ordinal);

        (code, string json, _) = await CommandAsync("status", "--json", "--http", http);
        Assert.Equal(0, code);
        Assert.Equal(TestSystem.EdgeId, JsonDocument.Parse(json).RootElement.GetProperty("id").GetString());

        // The cloud is away, which the agent does not mind and the doctor does.
        (code, json, _) = await CommandAsync("doctor", "--json", "--http", http, "--data", Data, "--id", TestSystem.EdgeId, "--cloud", NobodyThere);
        Assert.Equal(1, code);
        JsonElement report = JsonDocument.Parse(json).RootElement;
        Assert.Equal("problem", report.GetProperty("worst").GetString());
        Assert.Contains(report.GetProperty("findings").EnumerateArray(), finding => Is(finding, "data directory", "ok", $"process {edge.Process.Id} has it open"));
        Assert.Contains(report.GetProperty("findings").EnumerateArray(), finding => Is(finding, "uplink: network", "problem", "Connection refused"));
        await edge.StopAsync(); // nothing was taken from it
    }

    [Fact]
    public async Task Without_an_agent_they_say_so()
    {
        (int code, _, string errors) = await CommandAsync("status", "--http", NobodyThere);
        Assert.Equal(1, code);
        Assert.Contains("no agent listens at 127.0.0.1:1", errors, StringComparison.Ordinal);

        (code, string text, _) = await CommandAsync("doctor", "--http", NobodyThere, "--data", Data, "--cloud", NobodyThere);
        Assert.Equal(2, code);
        Assert.Contains("the setting 'id' is missing", text, StringComparison.Ordinal);
        Assert.False(Directory.Exists(Data));

        (code, _, errors) = await CommandAsync("doctor", "--config", _directory.At("none.json"));
        Assert.Equal(2, code);
        Assert.Contains("does not exist", errors, StringComparison.Ordinal);
    }

    private static bool Is(JsonElement finding, string check, string verdict, string found) =>
        finding.GetProperty("check").GetString() == check && finding.GetProperty("verdict").GetString() == verdict
            && finding.GetProperty("found").GetString()!.Contains(found, StringComparison.Ordinal);

    private static Task<(int Code, string Output, string Errors)> CommandAsync(params string[] arguments)
    {
        string program = EdgeNode.Shipped == EdgeBuild.Native ? Programs.NativeEdge! : Programs.Edge;
        return Tool.TryAsync(program, arguments);
    }
}
