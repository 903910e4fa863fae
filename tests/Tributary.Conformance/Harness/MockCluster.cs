using System.Runtime.InteropServices;
using System.Text;

namespace Tributary.Conformance.Harness;

/// <summary>
/// The Kafka cluster of one broker that librdkafka brings along for tests, in this process until that ends: it listens on a port, keeps
/// batches in memory as they come, <see cref="KeptBytes"/> for each partition, and flushes nothing. Callable from any thread.
/// </summary>
internal sealed partial class MockCluster
{
    /// <summary>What it keeps of a partition, bytes; older batches are forgotten.</summary>
    public const int KeptBytes = 5 << 20;

    private const string Library = "librdkafka";
    private const int Producer = 0;
    private const int OnlyBroker = 1;

    /// <summary>The builds that Confluent.Kafka brings along, in the order in which it tries them: not every system can load each.</summary>
    private static readonly string[] Builds = ["librdkafka", "centos8-librdkafka", "alpine-librdkafka"];

    private readonly nint _cluster;

    static MockCluster() => NativeLibrary.SetDllImportResolver(typeof(MockCluster).Assembly, static (name, assembly, path) =>
    {
        nint library = 0;
        return name == Library && Array.Exists(Builds, build => NativeLibrary.TryLoad(build, assembly, path, out library)) ? library : 0;
    });

    private MockCluster(nint cluster) => _cluster = cluster;

    /// <summary>Where clients connect, HOST:PORT.</summary>
    public string Bootstrap => Marshal.PtrToStringUTF8(Native.Bootstraps(_cluster))!;

    /// <summary>Starts one with these topics.</summary>
    /// <exception cref="InvalidOperationException">It does not start.</exception>
    public static MockCluster Start(int partitions, params string[] topics)
    {
        byte[] error = new byte[512];
        nint client = Native.New(Producer, 0, error, (nuint)error.Length);
        nint cluster = client == 0 ? 0 : Native.NewCluster(client, 1);
        if (cluster == 0)
        {
            throw new InvalidOperationException($"librdkafka's mock cluster does not start: {Encoding.UTF8.GetString(error).TrimEnd('\0')}");
        }
        foreach (string topic in topics)
        {
            Check(Native.CreateTopic(cluster, topic, partitions, 1), $"make the topic {topic}");
        }
        return new MockCluster(cluster);
    }

    /// <summary>From now on each answer leaves so much later than it is given.</summary>
    public void Delay(TimeSpan answers) => Check(Native.SetRoundTrip(_cluster, OnlyBroker, (int)answers.TotalMilliseconds), "answer late");

    /// <summary>From now on it keeps what it is asked, for <see cref="Count"/>.</summary>
    public void Watch() => Native.StartTracking(_cluster);

    /// <summary>How often it was asked something since <see cref="Watch"/>. What it was asked it carries out before what it is told next.</summary>
    /// <param name="apiKey">Kafka's number of the request.</param>
    public int Count(short apiKey)
    {
        nint requests = Native.GetRequests(_cluster, out nuint count);
        int found = 0;
        for (int i = 0; i < (int)count; i++)
        {
            found += Native.ApiKeyOf(Marshal.ReadIntPtr(requests, i * nint.Size)) == apiKey ? 1 : 0;
        }
        Native.FreeRequests(requests, count);
        return found;
    }

    /// <summary>Closes all connections, with the answers that have not left, and takes no new ones.</summary>
    public void Down() => Check(Native.SetDown(_cluster, OnlyBroker), "go down");

    /// <summary>Takes connections again. What it had is still there.</summary>
    public void Up() => Check(Native.SetUp(_cluster, OnlyBroker), "come up");

    private static void Check(int error, string what)
    {
        if (error != 0)
        {
            throw new InvalidOperationException($"the mock cluster does not {what}: error {error}");
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

        [LibraryImport(Library, EntryPoint = "rd_kafka_mock_broker_set_rtt")]
        public static partial int SetRoundTrip(nint cluster, int broker, int milliseconds);

        [LibraryImport(Library, EntryPoint = "rd_kafka_mock_start_request_tracking")]
        public static partial void StartTracking(nint cluster);

        [LibraryImport(Library, EntryPoint = "rd_kafka_mock_get_requests")]
        public static partial nint GetRequests(nint cluster, out nuint count);

        [LibraryImport(Library, EntryPoint = "rd_kafka_mock_request_destroy_array")]
        public static partial void FreeRequests(nint requests, nuint count);

        [LibraryImport(Library, EntryPoint = "rd_kafka_mock_request_api_key")]
        public static partial short ApiKeyOf(nint request);

        [LibraryImport(Library, EntryPoint = "rd_kafka_mock_broker_set_down")]
        public static partial int SetDown(nint cluster, int broker);

        [LibraryImport(Library, EntryPoint = "rd_kafka_mock_broker_set_up")]
        public static partial int SetUp(nint cluster, int broker);
    }
}
