using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Tributary.Broker;
using Tributary.Broker.Metadata;
using Tributary.Broker.Partitions;
using Tributary.Broker.Transactions;
using Tributary.Log;
using Tributary.Log.Storage;

namespace Tributary.Tests.Broker.Support;

/// <summary>A broker on memory, with simulated time and flushes that a test can hold up or fail.</summary>
internal sealed class TestBroker : IAsyncDisposable, ILogEvents
{
    private const string LogPath = "data/log";

    private readonly BrokerOptions _options;
    private MemoryStorage _memory = new();
    private readonly LogDirectoryOptions _logOptions;
    private readonly TimeProvider _time;
    private ITransactionParticipants? _participants;

    public TestBroker(BrokerOptions? options = null, TimeProvider? time = null, long? tailCacheBytes = null)
    {
        _options = options ?? new BrokerOptions();
        _logOptions = tailCacheBytes is { } bytes ? new LogDirectoryOptions { TailCacheBytes = bytes } : new LogDirectoryOptions();
        _time = time ?? Time;
        Transactions = new TestTransactions(_options.Transactions, _time, participants: () => _participants!);
        Groups = new TestGroups(_options.Groups, _time, topics: () => Control.Snapshot.Topics, transactions: Transactions);
        _memory.CreateDirectory(LogPath);
        _memory.SyncDirectory("");
        _memory.SyncDirectory(Path.GetDirectoryName(LogPath)!);
        Storage = new GatedStorage(_memory);
        (Logs, Server) = Start();
    }

    public FakeTimeProvider Time { get; } = new(new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero));

    public GatedStorage Storage { get; private set; }

    public LogDirectory Logs { get; private set; }

    public TestControlPlane Control { get; } = new();

    public TestGroups Groups { get; }

    public TestTransactions Transactions { get; }

    public BrokerServer Server { get; private set; }

    /// <summary>Makes a topic that this broker leads.</summary>
    public async Task<Guid> CreateTopicAsync(string name, int partitions = 1, params (string Name, string Value)[] configs)
    {
        var id = Guid.NewGuid();
        Dictionary<string, string> set = configs.ToDictionary(config => config.Name, config => config.Value);
        await Control.SetAsync(TestControlPlane.Make(name, id, partitions, set));
        return id;
    }

    public Partition Partition(string topic, int index = 0)
    {
        Server.Partitions.Get(topic, index, out Partition? partition);
        return partition ?? throw new InvalidOperationException($"{topic}-{index} is not served");
    }

    public TestClient Connect() => new(Server);

    /// <summary>Stops the broker and starts another one on its storage.</summary>
    public async Task RestartAsync()
    {
        await StopAsync();
        (Logs, Server) = Start();
        await Control.ApplyAsync(Control.Snapshot);
    }

    /// <summary>Loses what isn't durable, as a power cut does, and starts another broker, in a new leader epoch, on what is left.</summary>
    public async Task CrashAsync()
    {
        MemoryStorage left = _memory.Crash();
        Storage.Open();
        await StopAsync();
        _memory = left;
        Storage = new GatedStorage(left);
        (Logs, Server) = Start();
        foreach (TopicInfo topic in Control.Snapshot.Topics.Values)
        {
            await Control.SetAsync(topic with
            {
                Partitions = [.. topic.Partitions.Select(partition => partition with { LeaderEpoch = partition.LeaderEpoch + 1 })],
            });
        }
    }

    public async ValueTask DisposeAsync()
    {
        Storage.Open();
        await StopAsync();
        Groups.Dispose(); // their meters would be listened to by others in this process
        Transactions.Dispose();
    }

    void ILogEvents.Report(LogEvent what)
    {
    }

    private (LogDirectory Logs, BrokerServer Server) Start()
    {
        LogDirectory logs = LogDirectory.Open(Storage, LogPath, _logOptions, _time, this);
        var server = new BrokerServer(_options, logs, Control, Groups, Transactions, _time, NullLoggerFactory.Instance);
        Control.Server = server;
        _participants = new TransactionParticipants(server, Groups, Control, _time, _options);
        return (logs, server);
    }

    private async ValueTask StopAsync()
    {
        await Server.DisposeAsync();
        await Logs.DisposeAsync();
    }
}
