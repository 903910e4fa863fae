using System.CommandLine;
using System.Net;
using Tributary.Benchmarks.Commands;
using Tributary.Benchmarks.Harness;
using Tributary.Conformance.Harness;

namespace Tributary.Benchmarks.Peers;

/// <summary>
/// The mock broker that librdkafka brings along, in a process of its own or in this one: it keeps batches in memory as they come, 5 MiB for each
/// partition, and flushes nothing. It leaves the client little to wait for, so what a client does with it is about its ceiling.
/// </summary>
internal static class MockBroker
{
    /// <summary>What it keeps of a partition, bytes; older batches are forgotten.</summary>
    public const int KeptBytes = MockCluster.KeptBytes;

    private const string Name = "mock-broker";

    /// <summary>The command that this program runs itself by.</summary>
    public static Command Create()
    {
        Option<string[]> topics = new("--topics") { AllowMultipleArgumentsPerToken = true, Required = true };
        Option<int> partitions = Options.Value("--partitions", "Partitions of each topic", 1);
        var command = new Command(Name, "librdkafka's mock broker, for the other benchmarks") { topics, partitions };
        command.Hidden = true;
        command.SetAction(parsed => Run(parsed.GetValue(topics)!, parsed.GetValue(partitions)));
        return command;
    }

    /// <summary>Starts it, on a core if one is given.</summary>
    public static async Task<(ServerProcess Process, IPEndPoint Kafka)> StartAsync(int? core, int partitions, params string[] topics)
    {
        ServerProcess process = ServerProcess.StartOn(
            core, Name, typeof(MockBroker).Assembly.Location, [Name, "--partitions", $"{partitions}", "--topics", .. topics]);
        IReadOnlyDictionary<string, IPEndPoint> ready = await process.ReadyAsync();
        return (process, ready["kafka"]);
    }

    /// <summary>Starts one in this process, on whose core it is then; it ends with the process.</summary>
    /// <returns>Bootstrap servers.</returns>
    public static string StartHere(int partitions, params string[] topics) => MockCluster.Start(partitions, topics).Bootstrap;

    private static void Run(string[] topics, int partitions)
    {
        Console.WriteLine($"READY kafka={StartHere(partitions, topics)}");
        Thread.Sleep(Timeout.Infinite); // whoever started it kills it
    }
}
