using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using Tributary.Benchmarks.Harness;
using Tributary.Benchmarks.Load;
using Tributary.Benchmarks.Peers;

namespace Tributary.Benchmarks.Commands;

/// <summary>
/// What the agent costs before it does anything: its size, the time from its start until it accepts connections, with an empty log and
/// after it was killed with a backlog, and its memory when idle. Against Mosquitto, which has nothing to recover.
/// </summary>
internal static class StartBenchmark
{
    private const int Connections = 10;
    private const int Window = 20;
    private const int PayloadBytes = 10_000;
    private static readonly TimeSpan Idle = TimeSpan.FromSeconds(10);

    public static Command Create()
    {
        Option<string?> directory = Options.Directory();
        Option<int> starts = Options.Value("--starts", "Starts of each, of which the median is shown", 9);
        Option<double> backlog = Options.Value("--gib", "Backlog in GiB, at most 7; 0: none", 5.0);
        Option<string> edge = Options.Value("--edge", "native, managed, or auto: native if it was published", "auto");
        var command = new Command("start", "Time until the agent listens, its size and its memory when idle, against Mosquitto")
        {
            directory, starts, backlog, edge,
        };
        command.SetAction(parsed => RunAsync(
            parsed.GetValue(directory), Systems.FindEdge(parsed.GetValue(edge)!), parsed.GetValue(starts), parsed.GetValue(backlog)));
        return command;
    }

    private static async Task RunAsync(string? parent, (string Path, string Name) edge, int starts, double gibibytes)
    {
        using var work = new WorkDirectory(parent);
        Console.WriteLine(Machine.Describe(work.Path));
        Console.WriteLine($"measured     {edge.Name}, {Show.Mebibytes(new FileInfo(edge.Path).Length)} MiB on disk; its cloud is away");
        Console.WriteLine($"memory       resident, {Idle.TotalSeconds} s after the start");
        Console.WriteLine();
        var table = new Table("start", "ms", "mosquitto", "ratio", "MiB", "mosquitto");
        string? mosquitto = Mosquitto.Program;
        Figures? peer = mosquitto is null ? null : await RepeatAsync(starts, () => StartMosquittoAsync(mosquitto, work.Fresh("mosquitto")));
        string data = work.Fresh("edge");
        Add(table, "with an empty log", await RepeatAsync(starts, () => StartEdgeAsync(edge.Path, data)), peer);
        if (gibibytes > 0)
        {
            await FillAsync(edge.Path, data, (long)(gibibytes * (1L << 30) / PayloadBytes));
            string held = string.Create(CultureInfo.InvariantCulture, $"{gibibytes:0.#} GiB");
            Add(table, $"killed with {held}", await RepeatAsync(1, () => StartEdgeAsync(edge.Path, data)), peer);
            Add(table, $"again with {held}", await RepeatAsync(starts, () => StartEdgeAsync(edge.Path, data)), peer);
        }
        table.Print();
    }

    private static void Add(Table table, string name, Figures ours, Figures? peer) => table.Add(
        name, Milliseconds(ours.Start), peer is null ? "–" : Milliseconds(peer.Start), peer is null ? "–" : Show.Ratio(ours.Start.Ticks, peer.Start.Ticks),
        Show.Mebibytes(ours.Memory), peer is null ? "–" : Show.Mebibytes(peer.Memory));

    private static string Milliseconds(TimeSpan time) => time.TotalMilliseconds.ToString("0", CultureInfo.InvariantCulture);

    /// <summary>Starts, and kills, some times; the last one is left alone for a while before its memory is read.</summary>
    private static async Task<Figures> RepeatAsync(int starts, Func<Task<ServerProcess>> start)
    {
        var times = new List<TimeSpan>();
        long memory = 0;
        for (int i = 0; i < starts; i++)
        {
            long begin = Stopwatch.GetTimestamp();
            await using ServerProcess process = await start();
            times.Add(Stopwatch.GetElapsedTime(begin));
            if (i == starts - 1)
            {
                await Task.Delay(Idle);
                memory = process.Memory;
            }
        }
        times.Sort();
        return new Figures(times[times.Count / 2], memory);
    }

    private static async Task<ServerProcess> StartEdgeAsync(string program, string data) =>
        (await Systems.StartEdgeAsync(program, data, ServerProcess.FreePort())).Process;

    private static async Task<ServerProcess> StartMosquittoAsync(string program, string directory)
    {
        (ServerProcess process, IPEndPoint _) = await Mosquitto.StartAsync(program, directory);
        return process;
    }

    private static async Task FillAsync(string program, string data, long messages)
    {
        await using RunningEdge edge = await Systems.StartEdgeAsync(program, data, ServerProcess.FreePort());
        using var load = new PublishLoad(edge.Mqtt, new LoadOptions(Connections, Window, PayloadBytes));
        load.RunCount(messages);
    }

    private sealed record Figures(TimeSpan Start, long Memory);
}
