using System.Text.Json;
using System.Text.Json.Nodes;

namespace Tributary.Conformance.Harness;

/// <summary>A Kafka client of the Node.js world.</summary>
public enum NodeClientKind
{
    /// <summary>kafkajs 2.2.</summary>
    Kafkajs,

    /// <summary>@platformatic/kafka 2.</summary>
    Platformatic,
}

/// <summary>
/// Runs <c>Clients/Node/*.mjs</c>, which make commands of clients, under the Node.js of their package file: <c>test.sh</c> has
/// installed it.
/// </summary>
internal static class NodeClient
{
    private static readonly string Scripts = Path.Combine(Programs.Root, "tests", "Tributary.Conformance", "Clients", "Node");
    private static readonly Lazy<string> Node = new(FindNode);

    /// <summary>Runs a command to its end and wants success.</summary>
    /// <returns>The lines it said.</returns>
    public static async Task<List<JsonElement>> RunAsync(NodeClientKind client, string command, string kafka, JsonObject arguments)
    {
        await using RunningProcess process = Start(client, command, kafka, arguments);
        int code = await process.ExitAsync();
        return code == 0 ? Lines(process) : throw new InvalidOperationException($"{client} {command} ended with {code}\n{process.Story()}");
    }

    /// <summary>Starts a command that runs until it is stopped.</summary>
    public static RunningProcess Start(NodeClientKind client, string command, string kafka, JsonObject arguments)
    {
        arguments["bootstrap"] = kafka;
        string script = client == NodeClientKind.Kafkajs ? "kafkajs.mjs" : "platformatic.mjs";
        return Start($"{client} {command}", script, command, arguments.ToJsonString());
    }

    /// <summary>Starts a script.</summary>
    public static RunningProcess Start(string name, string script, params string[] arguments) =>
        RunningProcess.Start(name, Node.Value, [Path.Combine(Scripts, script), .. arguments]);

    /// <summary>What it has said so far, but for a last line that isn't whole.</summary>
    public static List<JsonElement> Lines(RunningProcess process) =>
        [.. process.Output.Split('\n').Where(line => line.StartsWith('{') && line.EndsWith('}')).Select(line => JsonDocument.Parse(line).RootElement)];

    private static string FindNode()
    {
        string modules = Path.Combine(Scripts, "node_modules");
        return Directory.Exists(modules)
            ? Directory.GetDirectories(modules, "node-linux-*").Select(package => Path.Combine(package, "bin", "node")).FirstOrDefault(File.Exists)
                ?? throw new FileNotFoundException($"{modules} has no Node.js for this machine")
            : throw new DirectoryNotFoundException($"{modules} is missing: run 'npm ci --ignore-scripts' in {Scripts}, or ./test.sh");
    }
}
