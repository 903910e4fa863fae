using System.Net;
using Tributary.Benchmarks.Harness;

namespace Tributary.Benchmarks.Commands;

/// <summary>Starts the agent and the cloud for benchmarks.</summary>
internal static class Systems
{
    /// <summary>Which agent a word asks for.</summary>
    public static (string Path, string Name) FindEdge(string which)
    {
        string? native = Programs.NativeEdge;
        return which switch
        {
            "auto" or "native" when native is not null => (native, "tributary-edge, native"),
            "auto" or "managed" => (Programs.ManagedEdge, "tributary-edge on the .NET runtime"),
            "native" => throw new InvalidOperationException(
                "the native agent was not published: test.sh does it, or set TRIBUTARY_EDGE_NATIVE"),
            _ => throw new InvalidOperationException($"--edge may be auto, native or managed, not '{which}'"),
        };
    }

    /// <summary>Puts this process on the client's core, if it shall be, and says so.</summary>
    /// <returns>The core of the server; null for any.</returns>
    public static int? Pin(bool isPinned)
    {
        if (!isPinned)
        {
            return null;
        }
        Cores.PinClient();
        Console.WriteLine(Cores.Description);
        return Cores.Server;
    }

    /// <summary>Starts the agent on free ports.</summary>
    /// <param name="program">Which.</param>
    /// <param name="data">Its directory.</param>
    /// <param name="cloud">Its cloud, there or not.</param>
    /// <param name="flushDelay">What each flush takes longer, as strace makes it.</param>
    /// <param name="settings">Environment variables.</param>
    public static async Task<RunningEdge> StartEdgeAsync(
        string program, string data, IPEndPoint cloud, TimeSpan flushDelay = default, IReadOnlyDictionary<string, string>? settings = null)
    {
        string[] run = ["run", "--data", data, "--id", "bench", "--cloud", cloud.ToString(), "--mqtt", "127.0.0.1:0", "--http", "127.0.0.1:0"];
        ServerProcess process;
        if (flushDelay == TimeSpan.Zero)
        {
            process = ServerProcess.Start("tributary-edge", program, settings, run);
        }
        else
        {
            string[] command = program.EndsWith(".dll", StringComparison.Ordinal) ? ["dotnet", "exec", program] : [program];
            process = ServerProcess.Start(
                "tributary-edge", "strace", settings,
                [
                    "-D", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e", "signal=none", "-e", "trace=fdatasync,syncfs", "-e",
                    $"inject=fdatasync,syncfs:delay_exit={flushDelay.TotalMicroseconds:0}", .. command, .. run,
                ]);
        }
        IReadOnlyDictionary<string, IPEndPoint> ready = await process.ReadyAsync();
        return new RunningEdge(process, ready.GetValueOrDefault("mqtts", ready["mqtt"]), ready["http"]);
    }

    /// <summary>Starts the cloud.</summary>
    public static Task<(ServerProcess Process, IPEndPoint Kafka)> StartCloudAsync(
        string data, IPEndPoint? kafka = null, params string[] settings) => StartCloudOnAsync(null, data, kafka, settings);

    /// <summary>Starts the cloud on one core; null: on any.</summary>
    public static async Task<(ServerProcess Process, IPEndPoint Kafka)> StartCloudOnAsync(
        int? core, string data, IPEndPoint? kafka = null, params string[] settings)
    {
        ServerProcess process = ServerProcess.StartOn(
            core, "tributary", Programs.Cloud,
            ["serve", "--data", data, "--kafka", kafka?.ToString() ?? "127.0.0.1:0", "--http", "127.0.0.1:0", .. settings]);
        IReadOnlyDictionary<string, IPEndPoint> ready = await process.ReadyAsync();
        return (process, ready["kafka"]);
    }
}

/// <summary>An agent and its addresses.</summary>
internal sealed record RunningEdge(ServerProcess Process, IPEndPoint Mqtt, IPEndPoint Http) : IAsyncDisposable
{
    public ValueTask DisposeAsync() => Process.DisposeAsync();
}
