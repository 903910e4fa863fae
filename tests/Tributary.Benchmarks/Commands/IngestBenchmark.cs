using System.CommandLine;
using System.Net;
using Tributary.Benchmarks.Harness;
using Tributary.Benchmarks.Load;
using Tributary.Benchmarks.Peers;

namespace Tributary.Benchmarks.Commands;

/// <summary>
/// QoS 1 messages per second over MQTT, each acknowledged before its place in the window is used again, into the agent (which flushes
/// before it acknowledges; its cloud is away) and into Mosquitto (which does not).
/// </summary>
internal static class IngestBenchmark
{
    private const int ManyConnections = 100;

    public static Command Create()
    {
        Option<double> seconds = Options.Seconds(10);
        Option<double> warmUp = Options.Value("--warm-up", "Seconds before that", 2.0);
        Option<string?> directory = Options.Directory();
        Option<int[]> connections = Options.Numbers("--connections", "Connections at a time", 1, 10, 1000);
        Option<int> payload = Options.Value("--payload", "Bytes of a message, at least 8", 100);
        Option<int> window = Options.Value(
            "--window", "Messages in flight on each connection; 0: 100, or 10 on more than 100 connections", 0);
        Option<string> edge = Options.Value("--edge", "native, managed, or auto: native if it was published", "auto");
        var command = new Command("ingest", "QoS 1 messages per second that the agent stores and acknowledges, against Mosquitto")
        {
            seconds, warmUp, directory, connections, payload, window, edge,
        };
        command.SetAction(parsed => new Run(
            parsed.GetValue(directory), Systems.FindEdge(parsed.GetValue(edge)!), parsed.GetValue(payload), parsed.GetValue(window),
            parsed.GetSeconds(warmUp), parsed.GetSeconds(seconds)).AllAsync(parsed.GetValue(connections)!));
        return command;
    }

    private sealed record Run(
        string? Parent, (string Path, string Name) Edge, int Payload, int Window, TimeSpan WarmUp, TimeSpan Time)
    {
        public async Task AllAsync(int[] connections)
        {
            if (Payload < PublishConnection.NumberSize)
            {
                throw new FormatException($"--payload is {Payload}; a message has at least {PublishConnection.NumberSize} bytes");
            }
            using var work = new WorkDirectory(Parent);
            string? mosquitto = Mosquitto.Program;
            Console.WriteLine(Machine.Describe(work.Path));
            Console.WriteLine($"measured     {Edge.Name}: stored and flushed before it is acknowledged; {Payload}-byte payloads");
            Console.WriteLine(mosquitto is null
                ? "peer         SKIPPED: Mosquitto is not installed (Debian package mosquitto)"
                : $"peer         {Mosquitto.Version(mosquitto)}: acknowledged from memory, nothing is flushed or kept");
            Console.WriteLine();
            var table = new Table(
                "connections × window", "messages/s", "mosquitto", "ratio", "p50 µs", "p99", "mosquitto p50", "p99", "CPU µs/message", "mosquitto",
                "peak MiB", "mosquitto");
            foreach (int count in connections)
            {
                int window = Window > 0 ? Window : count > ManyConnections ? 10 : 100;
                Figures ours = await OursAsync(work.Fresh("edge"), count, window);
                Figures? peer = mosquitto is null ? null : await PeerAsync(mosquitto, work.Fresh("mosquitto"), count, window);
                table.Add(
                    $"{count} × {window}", Show.Rate(ours.Load.Rate), peer is null ? "–" : Show.Rate(peer.Load.Rate),
                    peer is null ? "–" : Show.Ratio(ours.Load.Rate, peer.Load.Rate),
                    Micros(ours, 0.5), Micros(ours, 0.99), Micros(peer, 0.5), Micros(peer, 0.99),
                    Processor(ours), Processor(peer), Memory(ours), Memory(peer));
            }
            table.Print();
        }

        private static string Micros(Figures? of, double share) => of is null ? "–" : Show.Micros(of.Load.Latencies.Percentile(share));

        private static string Processor(Figures? of) => of is null ? "–" : $"{of.Processor.TotalMicroseconds / of.Load.Messages:0.00}";

        private static string Memory(Figures? of) => of is null ? "–" : Show.Mebibytes(of.PeakMemory);

        private async Task<Figures> OursAsync(string data, int connections, int window)
        {
            await using RunningEdge edge = await Systems.StartEdgeAsync(Edge.Path, data, ServerProcess.FreePort());
            return Measure(edge.Process, edge.Mqtt, connections, window);
        }

        private async Task<Figures> PeerAsync(string program, string directory, int connections, int window)
        {
            (ServerProcess process, IPEndPoint address) = await Mosquitto.StartAsync(program, directory);
            await using (process)
            {
                return Measure(process, address, connections, window);
            }
        }

        private Figures Measure(ServerProcess server, IPEndPoint address, int connections, int window)
        {
            using var load = new PublishLoad(address, connections, window, Payload);
            load.RunFor(WarmUp);
            TimeSpan before = server.ProcessorTime;
            LoadResult result = load.RunFor(Time);
            return new Figures(result, server.ProcessorTime - before, server.PeakMemory);
        }
    }

    private sealed record Figures(LoadResult Load, TimeSpan Processor, long PeakMemory);
}
