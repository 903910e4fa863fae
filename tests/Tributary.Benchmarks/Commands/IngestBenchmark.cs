using System.CommandLine;
using System.Globalization;
using System.Net;
using Tributary.Benchmarks.Harness;
using Tributary.Benchmarks.Load;
using Tributary.Benchmarks.Peers;

namespace Tributary.Benchmarks.Commands;

/// <summary>
/// Messages per second over MQTT, each acknowledged before its place in the window is used again, into the agent (which flushes before it
/// acknowledges; its cloud is away) and into Mosquitto (which does not). Both take turns, and the medians count: a disk varies.
/// </summary>
internal static class IngestBenchmark
{
    public static Command Create()
    {
        Option<double> seconds = Options.Seconds(3);
        Option<double> warmUp = Options.Value("--warm-up", "Seconds before that", 1.0);
        Option<int> turns = Options.Value("--turns", "Turns of each", 3);
        Option<string?> directory = Options.Directory();
        Option<string[]> loads = Options.Words(
            "--load", "Connections and messages in flight on each", "1x1", "1x100", "10x100", "100x20", "1000x10");
        Option<int> payload = Options.Value("--payload", "Bytes of a message, at least 8", 100);
        Option<int> qos = Options.Value("--qos", "1 or 2", 1);
        Option<bool> tls = Options.Value("--tls", "Over TLS", false);
        Option<bool> subscriber = Options.Value("--subscriber", "One more client takes all messages at QoS 1", false);
        Option<bool> commands = Options.Value("--commands", "Each client subscribes to a topic of its own", false);
        Option<double> delay = Options.Value("--flush-delay", "Milliseconds that each flush of the agent takes longer", 0.0);
        Option<string> edge = Options.Value("--edge", "native, managed, or auto: native if it was published", "auto");
        var command = new Command("ingest", "Messages per second that the agent stores and acknowledges, against Mosquitto")
        {
            seconds, warmUp, turns, directory, loads, payload, qos, tls, subscriber, commands, delay, edge,
        };
        command.SetAction(parsed => new Run(
            parsed.GetValue(directory), Systems.FindEdge(parsed.GetValue(edge)!), parsed.GetValue(tls),
            TimeSpan.FromMilliseconds(parsed.GetValue(delay)), parsed.GetSeconds(warmUp), parsed.GetSeconds(seconds), parsed.GetValue(turns))
            .AllAsync([
                .. parsed.GetValue(loads)!.Select(load => Parse(
                    load, parsed.GetValue(payload), parsed.GetValue(qos), parsed.GetValue(subscriber), parsed.GetValue(commands))),
            ]));
        return command;
    }

    private static LoadOptions Parse(string load, int payload, int qos, bool hasSubscriber, bool hasCommands)
    {
        string[] parts = load.Split('x');
        if (parts.Length != 2 || !int.TryParse(parts[0], CultureInfo.InvariantCulture, out int connections) || connections < 1
            || !int.TryParse(parts[1], CultureInfo.InvariantCulture, out int window) || window is < 1 or > ushort.MaxValue / 2)
        {
            throw new FormatException($"--load has '{load}'; it should be CONNECTIONSxWINDOW, as 10x100");
        }
        return payload < PublishWindow.NumberSize
            ? throw new FormatException($"--payload is {payload}; a message has at least {PublishWindow.NumberSize} bytes")
            : qos is not (1 or 2)
                ? throw new FormatException($"--qos is {qos}; it may be 1 or 2")
                : new LoadOptions(connections, window, payload, qos, hasSubscriber, hasCommands);
    }

    private sealed record Run(
        string? Parent, (string Path, string Name) Edge, bool IsTls, TimeSpan FlushDelay, TimeSpan WarmUp, TimeSpan Time, int Turns)
    {
        public async Task AllAsync(LoadOptions[] loads)
        {
            using var work = new WorkDirectory(Parent);
            TestCertificate? certificate = IsTls ? TestCertificate.Create(work.Fresh("tls")) : null;
            string? mosquitto = Mosquitto.Program;
            LoadOptions first = loads[0];
            Console.WriteLine(Machine.Describe(work.Path));
            Console.WriteLine($"measured     {Edge.Name}: stored and flushed before it is acknowledged{(FlushDelay > TimeSpan.Zero ? $", each flush {FlushDelay.TotalMilliseconds:0.#} ms slower" : "")}");
            Console.WriteLine(mosquitto is null
                ? "peer         SKIPPED: Mosquitto is not installed (Debian package mosquitto)"
                : $"peer         {Mosquitto.Version(mosquitto)}: acknowledged from memory, nothing is flushed or kept");
            Console.WriteLine($"load         QoS {first.Qos}, {first.PayloadBytes} bytes{(IsTls ? ", TLS" : "")}{(first.HasSubscriber ? ", one subscriber to #" : "")}{(first.HasCommands ? ", each client subscribes to a topic of its own" : "")}; medians of {Turns} turns");
            Console.WriteLine();
            var table = new Table([
                "connections × window", "messages/s", "mosquitto", "ratio", "p50 µs", "p99", "mosquitto p50", "p99", "CPU µs/message", "mosquitto",
                "peak MiB", "mosquitto", .. first.HasSubscriber ? (string[])["delivered/s", "mosquitto"] : [],
            ]);
            foreach (LoadOptions load in loads)
            {
                var ours = new List<Figures>();
                var peers = new List<Figures>();
                for (int turn = 0; turn < Turns; turn++)
                {
                    ours.Add(await OursAsync(work.Fresh("edge"), load, certificate));
                    if (mosquitto is not null)
                    {
                        peers.Add(await PeerAsync(mosquitto, work.Fresh("mosquitto"), load, certificate));
                    }
                }
                table.Add([.. Row(load, ours, peers)]);
            }
            table.Print();
        }

        private static IEnumerable<string> Row(LoadOptions load, List<Figures> ours, List<Figures> peers)
        {
            yield return $"{load.Connections} × {load.Window}";
            yield return Median(ours, of => of.Load.Rate, Show.Rate);
            yield return Median(peers, of => of.Load.Rate, Show.Rate);
            yield return peers.Count == 0 ? "–" : Show.Ratio(Show.Median(ours.Select(of => of.Load.Rate)), Show.Median(peers.Select(of => of.Load.Rate)));
            foreach (List<Figures> side in (List<Figures>[])[ours, peers])
            {
                yield return Median(side, of => of.Load.Latencies.Percentile(0.5).TotalMicroseconds, Micros);
                yield return Median(side, of => of.Load.Latencies.Percentile(0.99).TotalMicroseconds, Micros);
            }
            foreach (List<Figures> side in (List<Figures>[])[ours, peers])
            {
                yield return Median(side, of => of.Processor.TotalMicroseconds / of.Load.Messages, value => $"{value:0.00}");
            }
            foreach (List<Figures> side in (List<Figures>[])[ours, peers])
            {
                yield return Median(side, of => of.PeakMemory, Show.Mebibytes);
            }
            if (load.HasSubscriber)
            {
                yield return Median(ours, of => of.Load.DeliveredRate, Show.Rate);
                yield return Median(peers, of => of.Load.DeliveredRate, Show.Rate);
            }
        }

        private static string Median(List<Figures> of, Func<Figures, double> what, Func<double, string> show) =>
            of.Count == 0 ? "–" : show(Show.Median(of.Select(what)));

        private static string Micros(double value) => Show.Micros(TimeSpan.FromMicroseconds(value));

        private async Task<Figures> OursAsync(string data, LoadOptions load, TestCertificate? certificate)
        {
            Dictionary<string, string>? tls = certificate is null ? null : new()
            {
                ["TRIBUTARY__mqtts"] = "127.0.0.1:0",
                ["TRIBUTARY__tls__certificateFile"] = certificate.CertificateFile,
                ["TRIBUTARY__tls__keyFile"] = certificate.KeyFile,
            };
            await using RunningEdge edge = await Systems.StartEdgeAsync(Edge.Path, data, ServerProcess.FreePort(), FlushDelay, tls);
            return await MeasureAsync(edge.Process, edge.Mqtt, load);
        }

        private async Task<Figures> PeerAsync(string program, string directory, LoadOptions load, TestCertificate? certificate)
        {
            (ServerProcess process, IPEndPoint address) = await Mosquitto.StartAsync(program, directory, certificate);
            await using (process)
            {
                return await MeasureAsync(process, address, load);
            }
        }

        private async Task<Figures> MeasureAsync(ServerProcess server, IPEndPoint address, LoadOptions options)
        {
            using IPublishLoad load = IsTls ? await TlsPublishLoad.ConnectAsync(address, options) : new PublishLoad(address, options);
            load.RunFor(WarmUp);
            TimeSpan before = server.ProcessorTime;
            LoadResult result = load.RunFor(Time);
            return new Figures(result, server.ProcessorTime - before, server.PeakMemory);
        }
    }

    private sealed record Figures(LoadResult Load, TimeSpan Processor, long PeakMemory);
}
