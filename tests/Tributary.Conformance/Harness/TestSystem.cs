using System.Globalization;
using System.Net;
using System.Text.Json;

namespace Tributary.Conformance.Harness;

/// <summary>Which build of the agent.</summary>
internal enum EdgeBuild
{
    /// <summary>On the .NET runtime.</summary>
    Managed,

    /// <summary>One native file.</summary>
    Native,
}

/// <summary>
/// Cloud and edge as processes with a link between them, each with a data directory that outlives its kills. Every client of the cloud
/// goes over the link, since that is the address the cloud advertises. One thread at a time.
/// </summary>
internal sealed class TestSystem : IAsyncDisposable
{
    /// <summary>The agent's name.</summary>
    public const string EdgeId = "edge-7";

    private static readonly HttpClient Http = new() { Timeout = TimeSpan.FromSeconds(10) };
    private readonly TempDirectory _directory = TempDirectory.Create();
    private readonly EdgeBuild _build;
    private readonly IReadOnlyDictionary<string, string> _edgeSettings;
    private RunningProcess? _cloud;
    private RunningProcess? _edge;
    private ReadyLine? _cloudReady;
    private volatile ReadyLine? _edgeReady;

    /// <param name="build">Which agent.</param>
    /// <param name="edgeSettings">Settings of the agent, by environment variable without prefix.</param>
    public TestSystem(EdgeBuild build = EdgeBuild.Managed, IReadOnlyDictionary<string, string>? edgeSettings = null)
    {
        _build = build;
        _edgeSettings = (edgeSettings ?? new Dictionary<string, string>()).ToDictionary(pair => "TRIBUTARY__" + pair.Key, pair => pair.Value);
    }

    /// <summary>Settings of the cloud, by name.</summary>
    public IReadOnlyDictionary<string, string> CloudSettings { get; init; } = new Dictionary<string, string>();

    /// <summary>Between edge and cloud.</summary>
    public Link Link { get; } = new();

    /// <summary>What Kafka clients bootstrap from.</summary>
    public string Kafka => Link.Address.ToString();

    /// <summary>Where MQTT clients connect now; null while the agent is away.</summary>
    public IPEndPoint? Mqtt => _edgeReady?["mqtt"];

    /// <summary>The port of <see cref="Mqtt"/>, as commands want it.</summary>
    public string MqttPort => Mqtt!.Port.ToString(CultureInfo.InvariantCulture);

    /// <summary>The cloud's process.</summary>
    public RunningProcess Cloud => _cloud ?? throw new InvalidOperationException("the cloud does not run");

    /// <summary>The agent's process.</summary>
    public RunningProcess Edge => _edge ?? throw new InvalidOperationException("the edge does not run");

    /// <summary>A path in the directory of this system.</summary>
    public string At(string name) => _directory.At(name);

    /// <summary>Starts both.</summary>
    public static async Task<TestSystem> StartAsync(EdgeBuild build = EdgeBuild.Managed, IReadOnlyDictionary<string, string>? edgeSettings = null)
    {
        var system = new TestSystem(build, edgeSettings);
        try
        {
            await Task.WhenAll(system.StartCloudAsync(), system.StartEdgeAsync());
            return system;
        }
        catch
        {
            await system.DisposeAsync();
            throw;
        }
    }

    /// <summary>Starts the cloud and waits until it is ready.</summary>
    public async Task StartCloudAsync()
    {
        _cloud = RunningProcess.Start(
            "cloud", Programs.Cloud,
            [
                "serve", "--data", At("cloud"), "--kafka", "127.0.0.1:0", "--kafka-advertised", Kafka, "--http", "127.0.0.1:0",
                .. CloudSettings.SelectMany(setting => new[] { "--set", $"{setting.Key}={setting.Value}" }),
            ]);
        _cloudReady = await _cloud.ReadyAsync();
        Link.Target = _cloudReady["kafka"];
    }

    /// <summary>Starts the agent and waits until it is ready.</summary>
    public async Task StartEdgeAsync()
    {
        _edge = StartEdge();
        _edgeReady = await _edge.ReadyAsync();
    }

    /// <summary>Starts an agent with this system's directory, cloud and settings, under a prefix of a command such as strace.</summary>
    public RunningProcess StartEdge(params string[] prefix) => EdgeNode.Run(_build, At("edge"), Kafka, _edgeSettings, prefix);

    /// <summary>SIGKILL.</summary>
    public async Task KillCloudAsync()
    {
        Link.Target = null;
        await Cloud.DisposeAsync();
    }

    /// <summary>SIGKILL.</summary>
    public async Task KillEdgeAsync()
    {
        _edgeReady = null;
        await Edge.DisposeAsync();
    }

    /// <summary>What the agent's <c>/status</c> says.</summary>
    public async Task<JsonElement> StatusAsync() => JsonDocument.Parse(await Http.GetStringAsync($"http://{_edgeReady!["http"]}/status")).RootElement;

    /// <summary>A page of the cloud.</summary>
    public Task<HttpResponseMessage> CloudPageAsync(string path) => Http.GetAsync($"http://{_cloudReady!["http"]}{path}");

    /// <summary>A page of the agent.</summary>
    public Task<HttpResponseMessage> EdgePageAsync(string path) => Http.GetAsync($"http://{_edgeReady!["http"]}{path}");

    /// <summary>Waits until the cloud has acknowledged everything that the agent has stored.</summary>
    public async Task<JsonElement> DrainedAsync(TimeSpan? deadline = null)
    {
        JsonElement status = default;
        await Until.TrueAsync(
            async () =>
            {
                status = await StatusAsync();
                return status.GetProperty("backlog").GetProperty("records").GetInt64() == 0;
            },
            () => $"{status}\n{Edge.Story()}\n{Cloud.Story()}",
            deadline);
        return status;
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (_edge is not null)
        {
            await _edge.DisposeAsync();
        }
        if (_cloud is not null)
        {
            await _cloud.DisposeAsync();
        }
        await Link.DisposeAsync();
        _directory.Dispose();
    }
}
