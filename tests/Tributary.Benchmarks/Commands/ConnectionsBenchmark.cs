using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using Tributary.Benchmarks.Harness;
using Tributary.Benchmarks.Load;
using Tributary.Benchmarks.Peers;

namespace Tributary.Benchmarks.Commands;

/// <summary>What connections cost that do nothing, each with a subscription of its own: memory, and the time to be let in. Against Mosquitto.</summary>
internal static class ConnectionsBenchmark
{
    private static readonly TimeSpan Settle = TimeSpan.FromSeconds(2);

    public static Command Create()
    {
        Option<string?> directory = Options.Directory();
        Option<int[]> connections = Options.Numbers("--connections", "How many", 1000, 10_000);
        Option<string> edge = Options.Value("--edge", "native, managed, or auto: native if it was published", "auto");
        var command = new Command("connections", "Memory for connections that do nothing, against Mosquitto") { directory, connections, edge };
        command.SetAction(parsed => RunAsync(
            parsed.GetValue(directory), Systems.FindEdge(parsed.GetValue(edge)!), parsed.GetValue(connections)!));
        return command;
    }

    private static async Task RunAsync(string? parent, (string Path, string Name) edge, int[] counts)
    {
        using var work = new WorkDirectory(parent);
        string? mosquitto = Mosquitto.Program;
        Console.WriteLine(Machine.Describe(work.Path));
        Console.WriteLine($"measured     {edge.Name}; resident memory, {Settle.TotalSeconds} s after the last connection");
        Console.WriteLine();
        var table = new Table("connections", "MiB", "mosquitto", "KiB each", "mosquitto", "connected/s", "mosquitto");
        foreach (int count in counts)
        {
            string limit = count.ToString(CultureInfo.InvariantCulture);
            var settings = new Dictionary<string, string>
            {
                ["TRIBUTARY__mqtt__maxConnections"] = limit,
                ["TRIBUTARY__mqtt__maxConnectionsPerAddress"] = limit,
            };
            Figures ours;
            await using (RunningEdge running = await Systems.StartEdgeAsync(
                edge.Path, work.Fresh("edge"), ServerProcess.FreePort(), settings: settings))
            {
                ours = await ConnectAsync(running.Process, running.Mqtt, count);
            }
            Figures? peer = null;
            if (mosquitto is not null)
            {
                (ServerProcess process, IPEndPoint address) = await Mosquitto.StartAsync(mosquitto, work.Fresh("mosquitto"));
                await using (process)
                {
                    peer = await ConnectAsync(process, address, count);
                }
            }
            table.Add(
                Show.Rate(count), Show.Mebibytes(ours.Memory), peer is null ? "–" : Show.Mebibytes(peer.Memory),
                Each(ours, count), Each(peer, count), Show.Rate(ours.Rate), peer is null ? "–" : Show.Rate(peer.Rate));
        }
        table.Print();
    }

    private static string Each(Figures? of, int count) =>
        of is null ? "–" : ((of.Memory - of.Before) / 1024.0 / count).ToString("0.0", CultureInfo.InvariantCulture);

    private static async Task<Figures> ConnectAsync(ServerProcess server, IPEndPoint address, int count)
    {
        long before = server.Memory;
        var sockets = new List<MqttSocket>(count);
        try
        {
            long start = Stopwatch.GetTimestamp();
            for (int i = 0; i < count; i++)
            {
                sockets.Add(new MqttSocket($"idle-{i}"));
                sockets[i].Connect(address);
                sockets[i].Subscribe($"commands/idle-{i}");
            }
            double rate = count / Stopwatch.GetElapsedTime(start).TotalSeconds;
            await Task.Delay(Settle);
            return new Figures(server.Memory, before, rate);
        }
        finally
        {
            sockets.ForEach(socket => socket.Dispose());
        }
    }

    private sealed record Figures(long Memory, long Before, double Rate);
}
