using System.Globalization;
using System.Text.Json;
using Tributary.Conformance.Clients;
using Tributary.Conformance.Harness;
using Xunit;

namespace Tributary.Conformance;

/// <summary><c>demo.sh</c> as a new user runs it, on free ports.</summary>
public sealed class DemoTests : IDisposable
{
    /// <summary>The first start builds.</summary>
    private static readonly TimeSpan BuildDeadline = TimeSpan.FromMinutes(5);

    private readonly TempDirectory _data = TempDirectory.Create();

    public void Dispose() => _data.Dispose();

    [Fact]
    public async Task It_starts_everything_its_commands_work_it_stops_everything_and_goes_on_the_next_time()
    {
        string[] first;
        await using (RunningProcess demo = Start())
        {
            ReadyLine ready = await demo.ReadyAsync(BuildDeadline);
            Assert.All(new[] { "kafka", "mqtt", "http", "edge-http" }, name => Assert.NotEqual(0, ready[name].Port));
            string[] commands = await CommandsAsync(demo);
            Assert.Equal("", await ShellAsync(commands[0]));
            first = Lines(await ShellAsync(commands[1]));
            Assert.Equal(100, first.Length);
            JsonElement status = JsonDocument.Parse(await ShellAsync(commands[2])).RootElement;
            Assert.Equal("demo", status.GetProperty("id").GetString());
            await Until.TrueAsync(async () => (await EverythingAsync(ready)).Any(line => line.StartsWith("d1 ", StringComparison.Ordinal) && line.EndsWith(" 21.5", StringComparison.Ordinal)));
            await StopAsync(demo, byControlC: false);
        }
        await using (RunningProcess demo = Start())
        {
            ReadyLine ready = await demo.ReadyAsync(BuildDeadline);
            HashSet<string> kept = [.. await EverythingAsync(ready)];
            Assert.All(first, line => Assert.Contains(line, kept));
            await Until.TrueAsync(async () => (await EverythingAsync(ready)).Length > kept.Count);
            await StopAsync(demo, byControlC: true);
        }
    }

    [Theory]
    [InlineData("edge")]
    [InlineData("cloud")]
    public async Task When_a_process_dies_it_says_which_stops_the_others_and_fails(string which)
    {
        await using RunningProcess demo = Start();
        await demo.ReadyAsync(BuildDeadline);
        int[] children = Children(demo.Id);
        int victim = children.Single(id => CommandOf(id).Contains(which == "edge" ? "tributary-edge.dll" : "tributary.dll", StringComparison.Ordinal));
        await Tool.RunAsync("kill", "-KILL", victim.ToString(CultureInfo.InvariantCulture));
        Assert.Equal(1, await demo.ExitAsync());
        Assert.Contains($"{which} ended with exit code 137", demo.Errors);
        Assert.All(children, id => Assert.False(Directory.Exists($"/proc/{id}"), $"process {id} is left"));
    }

    /// <returns>Nothing of one that has ended, as what the script only asks something may have.</returns>
    private static string CommandOf(int process)
    {
        try
        {
            return File.ReadAllText($"/proc/{process}/cmdline");
        }
        catch (IOException)
        {
            return "";
        }
    }

    private static string[] Lines(string text) => text.Split('\n', StringSplitOptions.RemoveEmptyEntries);

    private static Task<string> ShellAsync(string command) => Tool.RunAsync("bash", "-c", command);

    /// <summary>All readings, as the second command prints them.</summary>
    private static async Task<string[]> EverythingAsync(ReadyLine ready) =>
        [.. (await KafkaReader.ReadAllAsync(ready["kafka"].ToString(), "telemetry")).Select(record => $"{record.Key} {record.Partition} {record.Offset} {record.Text}")];

    /// <summary>The three commands that it prints.</summary>
    private static async Task<string[]> CommandsAsync(RunningProcess demo)
    {
        await Until.TrueAsync(() => Task.FromResult(demo.Output.Contains("Ctrl-C stops", StringComparison.Ordinal)), demo.Story);
        string[] commands = [.. Lines(demo.Output).Where(line => line.StartsWith("  ", StringComparison.Ordinal)).Select(line => line.Trim())];
        Assert.Equal(["mosquitto_pub", "kcat", "curl"], commands.Select(command => command.Split(' ')[0]));
        return commands;
    }

    private static async Task StopAsync(RunningProcess demo, bool byControlC)
    {
        int[] children = Children(demo.Id);
        Assert.Equal(3, children.Length);
        if (byControlC)
        {
            demo.PressControlC();
        }
        else
        {
            demo.Stop();
        }
        Assert.Equal(0, await demo.ExitAsync());
        Assert.All(children, id => Assert.False(Directory.Exists($"/proc/{id}"), $"process {id} is left"));
        Assert.Contains("\"acknowledged\":", demo.Errors);
    }

    private static int[] Children(int id) =>
    [
        .. Directory.EnumerateDirectories("/proc")
            .Select(path => int.TryParse(Path.GetFileName(path), CultureInfo.InvariantCulture, out int child) ? child : 0)
            .Where(child => child > 0 && ParentOf(child) == id),
    ];

    private static int ParentOf(int id)
    {
        try
        {
            string stat = File.ReadAllText($"/proc/{id}/stat");
            return int.Parse(stat[(stat.LastIndexOf(')') + 2)..].Split(' ')[1], CultureInfo.InvariantCulture);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return 0; // it has ended meanwhile
        }
    }

    private RunningProcess Start() => RunningProcess.Start(
        "demo.sh", Path.Combine(Programs.Root, "demo.sh"), [],
        new Dictionary<string, string>
        {
            ["KAFKA_PORT"] = "0",
            ["MQTT_PORT"] = "0",
            ["HTTP_PORT"] = "0",
            ["EDGE_HTTP_PORT"] = "0",
            ["DATA_DIR"] = _data.Path,
            ["DEVICES"] = "12",
            ["RATE"] = "5",
        },
        directory: Path.GetTempPath(),
        ownsChildren: true);
}
