using System.CommandLine;
using System.Net;
using System.Runtime.InteropServices;
using System.Text;
using Tributary.Benchmarks.Commands;
using Tributary.Benchmarks.Harness;

namespace Tributary.Benchmarks.Peers;

/// <summary>
/// The mock broker that librdkafka brings along, in a process of its own or in this one: it keeps batches in memory as they come, 5 MiB for each
/// partition, and flushes nothing. It leaves the client little to wait for, so what a client does with it is about its ceiling.
/// </summary>
internal static partial class MockBroker
{
    /// <summary>What it keeps of a partition, bytes; older batches are forgotten.</summary>
    public const int KeptBytes = 5 << 20;

    private const string Name = "mock-broker";
    private const string Library = "librdkafka";
    private const int Producer = 0;

    /// <summary>The builds that Confluent.Kafka brings along, in the order in which it tries them: not every system can load each.</summary>
    private static readonly string[] Builds = ["librdkafka", "centos8-librdkafka", "alpine-librdkafka"];

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
    public static string StartHere(int partitions, params string[] topics)
    {
        Resolving.EnsureStarted();
        byte[] error = new byte[512];
        nint client = Native.New(Producer, 0, error, (nuint)error.Length);
        nint cluster = client == 0 ? 0 : Native.NewCluster(client, 1);
        if (cluster == 0)
        {
            throw new InvalidOperationException($"librdkafka's mock broker does not start: {Encoding.UTF8.GetString(error).TrimEnd('\0')}");
        }
        foreach (string topic in topics)
        {
            if (Native.CreateTopic(cluster, topic, partitions, 1) != 0)
            {
                throw new InvalidOperationException($"the mock broker does not make the topic {topic}");
            }
        }
        return Marshal.PtrToStringUTF8(Native.Bootstraps(cluster))!;
    }

    private static void Run(string[] topics, int partitions)
    {
        Console.WriteLine($"READY kafka={StartHere(partitions, topics)}");
        Thread.Sleep(Timeout.Infinite); // whoever started it kills it
    }

    /// <summary>How the library is found, said once.</summary>
    private static class Resolving
    {
        static Resolving() => NativeLibrary.SetDllImportResolver(typeof(MockBroker).Assembly, static (name, assembly, path) =>
        {
            nint library = 0;
            return name == Library && Array.Exists(Builds, build => NativeLibrary.TryLoad(build, assembly, path, out library)) ? library : 0;
        });

        public static void EnsureStarted()
        {
        }
    }

    private static partial class Native
    {
        [LibraryImport(Library, EntryPoint = "rd_kafka_new")]
        public static partial nint New(int type, nint config, byte[] error, nuint errorSize);

        [LibraryImport(Library, EntryPoint = "rd_kafka_mock_cluster_new")]
        public static partial nint NewCluster(nint client, int brokers);

        [LibraryImport(Library, EntryPoint = "rd_kafka_mock_topic_create", StringMarshalling = StringMarshalling.Utf8)]
        public static partial int CreateTopic(nint cluster, string topic, int partitions, int replicas);

        [LibraryImport(Library, EntryPoint = "rd_kafka_mock_cluster_bootstraps")]
        public static partial nint Bootstraps(nint cluster);
    }
}
