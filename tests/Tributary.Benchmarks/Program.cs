using System.CommandLine;
using Tributary.Benchmarks.Commands;
using Tributary.Benchmarks.Peers;

Command[] benchmarks =
[
    LogBenchmark.Create(), CommitBenchmark.Create(), FlushBenchmark.Create(), ReadBenchmark.Create(), IngestBenchmark.Create(), ConnectionsBenchmark.Create(),
    OfflineBenchmark.Create(), ProduceBenchmark.Create(), FetchBenchmark.Create(), ClientBenchmark.Create(), LatencyBenchmark.Create(), StartBenchmark.Create(), TopicsBenchmark.Create(),
    GroupsBenchmark.Create(), TransactionsBenchmark.Create(), CompactionBenchmark.Create(), WearBenchmark.Create(),
    MicroBenchmark.Create(),
];
var list = new Command("list", "Says what benchmarks there are");
list.SetAction(_ =>
{
    foreach (Command benchmark in benchmarks)
    {
        Console.WriteLine($"{benchmark.Name,-8} {benchmark.Description}");
    }
});
var root = new RootCommand("Benchmarks of Tributary, each against a peer in the same run. They want a machine that does nothing else.") { list };
foreach (Command benchmark in (Command[])[.. benchmarks, MockBroker.Create()])
{
    root.Add(benchmark);
}
try
{
    return await root.Parse(args).InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false });
}
catch (Exception e) when (e is InvalidOperationException or IOException or TimeoutException or FormatException)
{
    await Console.Error.WriteLineAsync($"the benchmark failed: {e.Message}");
    return 1;
}
