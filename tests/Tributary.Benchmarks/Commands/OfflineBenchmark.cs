using System.CommandLine;
using System.Diagnostics;
using System.Net;
using System.Text.Json;
using Tributary.Benchmarks.Harness;
using Tributary.Benchmarks.Load;

namespace Tributary.Benchmarks.Commands;

/// <summary>
/// The cloud goes away while messages are taken in. Ingest must keep nine tenths of the rate that it has with the cloud there; when the
/// cloud is back, every message must arrive, none twice, each connection's in order.
/// </summary>
internal static class OfflineBenchmark
{
    private const double LeastRatio = 0.9;
    private static readonly TimeSpan DrainDeadline = TimeSpan.FromMinutes(30);

    public static Command Create()
    {
        Option<string?> directory = Options.Directory();
        Option<int> count = Options.Value("--count", "Messages in each phase", 1_000_000, "TRIBUTARY_OFFLINE_COUNT");
        Option<int> connections = Options.Value("--connections", "Connections", 10);
        Option<int> window = Options.Value("--window", "Messages in flight on each connection", 100);
        Option<int> payload = Options.Value("--payload", "Bytes of a message, at least 8", 100);
        Option<string> edge = Options.Value("--edge", "native, managed, or auto: native if it was published", "auto");
        var command = new Command(
            "offline", "Ingest while the cloud is away, against ingest with the cloud there; then everything must arrive once")
        {
            directory, count, connections, window, payload, edge,
        };
        command.SetAction(async parsed =>
        {
            var run = new Run(
                Systems.FindEdge(parsed.GetValue(edge)!), parsed.GetValue(count), parsed.GetValue(connections), parsed.GetValue(window),
                parsed.GetValue(payload));
            return await run.AllAsync(parsed.GetValue(directory)) ? 0 : 1;
        });
        return command;
    }

    private sealed record Run((string Path, string Name) Edge, int Count, int Connections, int Window, int Payload)
    {
        private static readonly HttpClient Http = new();

        /// <returns>Whether what must hold does.</returns>
        public async Task<bool> AllAsync(string? parent)
        {
            using var work = new WorkDirectory(parent);
            Console.WriteLine(Machine.Describe(work.Path));
            Console.WriteLine($"measured     {Edge.Name}: {Count:#,0} messages of {Payload} bytes in each phase, {Connections} connections × {Window} in flight");
            Console.WriteLine("peer         the same agent with its cloud there, on the same machine");
            Console.WriteLine();
            string cloudData = work.Fresh("cloud");
            (ServerProcess cloud, IPEndPoint kafka) = await Systems.StartCloudAsync(cloudData);
            try
            {
                await using RunningEdge edge = await Systems.StartEdgeAsync(Edge.Path, work.Fresh("edge"), kafka);
                using var load = new PublishLoad(edge.Mqtt, new LoadOptions(Connections, Window, Payload));
                load.RunCount(Math.Max(1, Count / 10)); // warm-up; topics are made
                await DrainAsync(edge);

                LoadResult there = load.RunCount(Count);
                await DrainAsync(edge);
                await cloud.DisposeAsync();
                LoadResult away = load.RunCount(Count);

                long start = Stopwatch.GetTimestamp();
                (cloud, _) = await Systems.StartCloudAsync(cloudData, kafka);
                TimeSpan ready = Stopwatch.GetElapsedTime(start);
                await DrainAsync(edge);
                return Report(there, away, ready, Stopwatch.GetElapsedTime(start) - ready, ArrivalCheck.Read(kafka, load.Acked));
            }
            finally
            {
                await cloud.DisposeAsync();
            }
        }

        private static async Task DrainAsync(RunningEdge edge)
        {
            long start = Stopwatch.GetTimestamp();
            while (Stopwatch.GetElapsedTime(start) < DrainDeadline)
            {
                using JsonDocument status = JsonDocument.Parse(await Http.GetStringAsync($"http://{edge.Http}/status"));
                if (status.RootElement.GetProperty("backlog").GetProperty("records").GetInt64() == 0)
                {
                    return;
                }
                await Task.Delay(50);
            }
            throw new TimeoutException($"the backlog did not drain within {DrainDeadline.TotalMinutes:0} minutes");
        }

        private bool Report(LoadResult there, LoadResult away, TimeSpan ready, TimeSpan drained, ArrivalCheck arrivals)
        {
            var table = new Table("ingest", "messages/s", "p50 µs", "p99");
            table.Add("cloud there", Show.Rate(there.Rate), Show.Micros(there.Latencies.Percentile(0.5)), Show.Micros(there.Latencies.Percentile(0.99)));
            table.Add("cloud away", Show.Rate(away.Rate), Show.Micros(away.Latencies.Percentile(0.5)), Show.Micros(away.Latencies.Percentile(0.99)));
            table.Print();
            double ratio = away.Rate / there.Rate;
            Console.WriteLine($"ratio        {ratio:0.00} (must be at least {LeastRatio})");
            Console.WriteLine($"drain        {Count:#,0} records in {drained.TotalSeconds:0.0} s after the cloud was ready again (which took {ready.TotalSeconds:0.0} s): "
                + $"{Show.Rate(Count / drained.TotalSeconds)} records/s");
            Console.WriteLine($"arrived      {arrivals}");
            return ratio >= LeastRatio && arrivals.IsGood;
        }
    }
}
