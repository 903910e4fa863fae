using System.Net;
using System.Text.Json;

namespace Tributary.Conformance.Harness;

/// <summary>An agent on a data directory of its own, for tests that do something to the directory. Callable from any thread.</summary>
internal sealed class EdgeNode : IAsyncDisposable
{
    private static readonly HttpClient Http = new() { Timeout = TimeSpan.FromSeconds(10) };
    private readonly ReadyLine _ready;

    private EdgeNode(RunningProcess process, ReadyLine ready) => (Process, _ready) = (process, ready);

    /// <summary>The build that is shipped, where it was published; else the managed one.</summary>
    public static EdgeBuild Shipped => Programs.NativeEdge is null ? EdgeBuild.Managed : EdgeBuild.Native;

    /// <summary>Its process.</summary>
    public RunningProcess Process { get; }

    /// <summary>Where MQTT clients connect.</summary>
    public IPEndPoint Mqtt => _ready["mqtt"];

    /// <summary>Where a listener that was asked for is.</summary>
    public IPEndPoint At(string listener) => _ready[listener];

    /// <summary>Everything that it wrote.</summary>
    public string Log => Process.Output + Process.Errors;

    /// <summary>Runs the agent's program.</summary>
    /// <param name="build">Which one.</param>
    /// <param name="data">Its data directory.</param>
    /// <param name="cloud">Where the cloud is.</param>
    /// <param name="settings">Settings, by environment variable.</param>
    /// <param name="prefix">A command to run it under, such as strace.</param>
    public static RunningProcess Run(
        EdgeBuild build, string data, string cloud, IReadOnlyDictionary<string, string>? settings = null, params string[] prefix)
    {
        string program = ProgramOf(build);
        string[] arguments =
            ["run", "--data", data, "--id", TestSystem.EdgeId, "--cloud", cloud, "--mqtt", "127.0.0.1:0", "--http", "127.0.0.1:0"];
        if (prefix.Length == 0)
        {
            return RunningProcess.Start("edge", program, arguments, settings);
        }
        string[] command = build == EdgeBuild.Managed ? ["dotnet", "exec", program] : [program];
        return RunningProcess.Start("edge", prefix[0], [.. prefix[1..], .. command, .. arguments], settings);
    }

    /// <summary>Starts the shipped build and waits until it is ready.</summary>
    public static async Task<EdgeNode> StartAsync(
        string data, string cloud, IReadOnlyDictionary<string, string>? settings = null, params string[] prefix)
    {
        RunningProcess process = Run(Shipped, data, cloud, settings, prefix);
        try
        {
            return new EdgeNode(process, await process.ReadyAsync());
        }
        catch
        {
            await process.DisposeAsync();
            throw;
        }
    }

    /// <summary>Runs a command of the shipped build's program to its end and wants success.</summary>
    /// <param name="input">Its standard input.</param>
    /// <param name="arguments">The command.</param>
    /// <returns>What it wrote to standard output.</returns>
    public static Task<string> CommandAsync(string input, params string[] arguments)
    {
        string program = ProgramOf(Shipped);
        string[] command = program.EndsWith(".dll", StringComparison.Ordinal) ? ["dotnet", "exec", program] : [program];
        return Tool.RunAsync("sh", ["-c", "printf '%s\\n' \"$0\" | \"$@\"", input, .. command, .. arguments]);
    }

    /// <summary>A page of it.</summary>
    public Task<HttpResponseMessage> PageAsync(string path) => Http.GetAsync($"http://{_ready["http"]}{path}");

    /// <summary>What <c>/status</c> says.</summary>
    public async Task<JsonElement> StatusAsync() => JsonDocument.Parse(await Http.GetStringAsync($"http://{_ready["http"]}/status")).RootElement;

    /// <summary>What <c>/status</c> says of the topic's only partition.</summary>
    public async Task<JsonElement> PartitionAsync(string topic = "telemetry") =>
        (await StatusAsync()).GetProperty("partitions").EnumerateArray().Single(found => found.GetProperty("topic").GetString() == topic);

    /// <summary>The sum of a metric's values.</summary>
    public async Task<double> MetricAsync(string name)
    {
        string text = await Http.GetStringAsync($"http://{_ready["http"]}/metrics");
        return text.Split('\n').Where(line => line.StartsWith(name + "{", StringComparison.Ordinal) || line.StartsWith(name + " ", StringComparison.Ordinal))
            .Sum(line => double.Parse(line[(line.LastIndexOf(' ') + 1)..], System.Globalization.CultureInfo.InvariantCulture));
    }

    /// <summary>Waits until the cloud has acknowledged everything that the agent has stored.</summary>
    public Task DrainedAsync() => Until.TrueAsync(
        async () => (await StatusAsync()).GetProperty("backlog").GetProperty("records").GetInt64() == 0, Process.Story);

    /// <summary>Stops it cleanly.</summary>
    public async Task StopAsync()
    {
        Process.Stop();
        int code = await Process.ExitAsync();
        if (code != 0)
        {
            throw new InvalidOperationException($"the agent ended with {code}\n{Process.Story()}");
        }
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => Process.DisposeAsync();

    private static string ProgramOf(EdgeBuild build) => build == EdgeBuild.Native
        ? Programs.NativeEdge ?? throw new FileNotFoundException("the native agent was not published")
        : Programs.Edge;
}
