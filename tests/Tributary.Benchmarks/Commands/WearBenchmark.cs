using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Tributary.Benchmarks.Harness;
using Tributary.Benchmarks.Load;

namespace Tributary.Benchmarks.Commands;

/// <summary>
/// What a few messages a second cost the flash: bytes that the device was told to write, the file system's journal included, for each
/// commit of a second's messages. On a file system of its own, so that nobody else's bytes are among them.
/// </summary>
internal static class WearBenchmark
{
    private const int BlockBytes = 4096;
    private const int PayloadBytes = 100;
    private const int PerSecond = 10;
    private const long DeviceBytes = 1L << 30;
    private static readonly TimeSpan Settle = TimeSpan.FromSeconds(8);

    public static Command Create()
    {
        Option<string?> directory = Options.Directory();
        Option<int> seconds = Options.Value("--seconds", "How long to measure", 600, "TRIBUTARY_WEAR_SECONDS");
        Option<string> mount = Options.Value("--mount", "Options of the mount, such as lazytime", "");
        Option<bool> offline = new("--offline") { Description = "Without a cloud" };
        Option<string> edge = Options.Value("--edge", "native, managed, or auto: native if it was published", "auto");
        var command = new Command("wear", "Device bytes for each commit at 10 messages of 100 bytes a second")
        {
            directory, seconds, mount, offline, edge,
        };
        command.SetAction(parsed => RunAsync(
            parsed.GetValue(directory), parsed.GetValue(seconds), parsed.GetValue(mount)!, parsed.GetValue(offline), Systems.FindEdge(parsed.GetValue(edge)!)));
        return command;
    }

    private static async Task RunAsync(string? parent, int seconds, string mount, bool isOffline, (string Path, string Name) edge)
    {
        using var work = new WorkDirectory(null);
        using LoopDevice? device = parent is null ? LoopDevice.Create(work.Fresh("device"), DeviceBytes, mount) : null;
        using var own = new WorkDirectory(device?.Path ?? parent);
        Console.WriteLine(Machine.Describe(own.Path));
        Console.WriteLine($"measured     {edge.Name}, {PerSecond} messages of {PayloadBytes} bytes each second for {seconds} s, buffer:commitWindow 1 s, "
            + (isOffline ? "without a cloud" : "shipping to a cloud"));
        Console.WriteLine(device is null ? "device       whatever else writes to it counts too" : "device       a loop device with a file system of its own: nobody else writes to it");
        (ServerProcess? cloud, IPEndPoint kafka) = isOffline ? (null, new IPEndPoint(IPAddress.Loopback, 1)) : await Systems.StartCloudAsync(work.Fresh("cloud"));
        try
        {
            await MeasureAsync(own, edge.Path, kafka, seconds);
        }
        finally
        {
            if (cloud is not null)
            {
                await cloud.DisposeAsync();
            }
        }
    }

    private static async Task MeasureAsync(WorkDirectory own, string program, IPEndPoint kafka, int seconds)
    {
        var settings = new Dictionary<string, string>
        {
            ["TRIBUTARY__BUFFER__COMMITWINDOW"] = "1s",
            ["TRIBUTARY__BUFFER__MAXDISKBYTES"] = "700MiB",
            ["TRIBUTARY__BUFFER__MINFREEBYTES"] = "16MiB",
        };
        await using RunningEdge running = await Systems.StartEdgeAsync(program, own.Fresh("edge"), kafka, settings: settings);
        using var stop = new CancellationTokenSource();
        Task publishing = PublishAsync(running.Mqtt, stop.Token);
        await Task.Delay(Settle);
        (long commits, long agent, _) = await CountsAsync(running.Http);
        DiskCounters before = DiskCounters.Read(own.Path);
        await Task.Delay(TimeSpan.FromSeconds(seconds));
        long written = DiskCounters.Read(own.Path).Since(before).DeviceBytes;
        (long commitsAfter, long agentAfter, long acknowledged) = await CountsAsync(running.Http);
        await stop.CancelAsync();
        await publishing;
        commits = commitsAfter - commits;
        Console.WriteLine($"acknowledged {acknowledged} records by the cloud");
        Console.WriteLine();
        var table = new Table("wear", "commits", "bytes", "blocks of 4 KiB a commit");
        table.Add("the device was told to write", Number(commits), Number(written), Blocks(written, commits));
        table.Add("of which the agent's own", Number(commits), Number(agentAfter - agent), Blocks(agentAfter - agent, commits));
        table.Print();
    }

    private static string Number(long number) => number.ToString("#,0", CultureInfo.InvariantCulture);

    private static string Blocks(long bytes, long commits) =>
        commits == 0 ? "–" : ((double)bytes / BlockBytes / commits).ToString("0.00", CultureInfo.InvariantCulture);

    /// <summary>A message each tenth of a second; acknowledgements are read and forgotten.</summary>
    private static async Task PublishAsync(IPEndPoint mqtt, CancellationToken stop)
    {
        using var client = new TcpClient { NoDelay = true };
        await client.ConnectAsync(mqtt, CancellationToken.None);
        NetworkStream stream = client.GetStream();
        await stream.WriteAsync(MqttSocket.EncodeConnect("sensor"), CancellationToken.None);
        Task reading = stream.CopyToAsync(Stream.Null, stop);
        using var timer = new PeriodicTimer(TimeSpan.FromSeconds(1.0 / PerSecond));
        byte[] topic = Encoding.ASCII.GetBytes("devices/d1/temperature");
        byte[] packet = [0x32, (byte)(4 + topic.Length + PayloadBytes), 0, (byte)topic.Length, .. topic, 0, 0, .. new byte[PayloadBytes]];
        try
        {
            for (ushort id = 1; await timer.WaitForNextTickAsync(stop); id = (ushort)(id == ushort.MaxValue ? 1 : id + 1))
            {
                (packet[4 + topic.Length], packet[5 + topic.Length]) = ((byte)(id >> 8), (byte)id);
                Random.Shared.NextBytes(packet.AsSpan(6 + topic.Length));
                await stream.WriteAsync(packet, stop);
            }
        }
        catch (OperationCanceledException)
        {
        }
        try
        {
            await reading;
        }
        catch (Exception e) when (e is OperationCanceledException or IOException)
        {
        }
    }

    private static async Task<(long Commits, long AgentBytes, long Acknowledged)> CountsAsync(IPEndPoint http)
    {
        using var client = new HttpClient();
        JsonElement status = JsonDocument.Parse(await client.GetStringAsync($"http://{http}/status")).RootElement;
        JsonElement agent = status.GetProperty("wear").GetProperty("agentBytes");
        return (
            status.GetProperty("ingest").GetProperty("batches").GetInt64(), agent.ValueKind == JsonValueKind.Number ? agent.GetInt64() : 0,
            status.GetProperty("link").GetProperty("acknowledged").GetInt64());
    }
}
