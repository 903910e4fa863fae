using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Tributary.Contracts.Telemetry;
using Tributary.Edge.Buffer;
using Tributary.Edge.Clock;
using Tributary.Edge.Ingest;
using Tributary.Edge.Mqtt;
using Tributary.Edge.Mqtt.Protocol;
using Tributary.Edge.Mqtt.Sessions;
using Tributary.Log;
using Tributary.Log.Storage;
using Tributary.Tests.Edge.Mqtt.Support;

namespace Tributary.Tests.Edge.Mqtt.Sessions;

/// <summary>Sessions, their journal, and topics on a storage, without threads: the test says when is written and when is swept.</summary>
internal sealed class SessionBench
{
    private readonly IStorage _storage;
    private readonly LogDirectory _directory;
    private readonly Matches _matches = new();

    public SessionBench(
        MqttOptions options, IStorage storage, FakeTimeProvider? time = null, Action<BufferPartition>? opened = null, IIngest? ingest = null,
        long minFreeBytes = 0, int reserveBytes = 0, EdgeClock? clock = null)
    {
        _storage = storage;
        Time = time ?? new FakeTimeProvider(new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero));
        Options = options;
        TimeProvider used = clock ?? (TimeProvider)Time;
        var settings = new EdgeBufferOptions { SegmentBytes = 64 << 10, MinFreeBytes = minFreeBytes, TailCacheBytes = 4 << 10 };
        var events = new BufferEvents(used, NullLogger.Instance);
        _directory = LogDirectory.Open(
            _storage, "data", settings.ToDirectoryOptions() with { ReserveBytes = reserveBytes }, EdgeClock.Of(used).ForLog, events, hasThread: false);
        Buffer = EdgeBuffer.Open(_directory, events, _storage, settings, used, NullLoggerFactory.Instance);
        if (opened is not null)
        {
            Buffer.Subscribe(opened); // before ingest listens to the log
        }
        Store = SessionStore.Open(Buffer, _storage, options, used, NullLoggerFactory.Instance);
        Ingest = ingest ?? new Ingestor(
            RouteTable.Default, Buffer, new IngestOptions { EdgeId = "e", MaxBatchBytes = 4 << 10, MaxRecordBytes = 4 << 10 }, used,
            NullLoggerFactory.Instance);
    }

    public MqttOptions Options { get; }

    public FakeTimeProvider Time { get; }

    public EdgeBuffer Buffer { get; }

    public SessionStore Store { get; }

    public IIngest Ingest { get; }

    public long Refused { get; private set; }

    /// <summary>The process ends without a word, and another one begins.</summary>
    public SessionBench Restart(IStorage? storage = null, MqttOptions? options = null, EdgeClock? clock = null)
    {
        Buffer.DisposeAsync().AsTask().GetAwaiter().GetResult();
        return new SessionBench(options ?? Options, storage ?? _storage, Time, clock: clock);
    }

    public BenchClient Connect(string clientId, string? user = null, bool isClean = false, uint expiry = uint.MaxValue, Will? will = null)
    {
        var client = new BenchClient(this);
        client.Given = Store.Connect(new SessionStart(clientId, user, isClean, expiry, will), client, 100);
        if (client.Given.Offset >= 0)
        {
            Write();
        }
        return client;
    }

    public Publication Publish(
        BenchClient client, string topic, string payload, int qos, int id = 1, bool retain = false, byte[]? properties = null)
    {
        byte[] bytes = Packets.Publish(5, topic, payload, qos, id, retain, properties: properties);
        FixedHeader.TryRead(bytes, out FixedHeader header);
        PublishPacket packet = PublishPacket.Read(header, bytes.AsSpan(header.Length), ProtocolLevel.V5);
        if (qos == 2 && Store.BeginReceipts(client.Session) >= 0)
        {
            Write();
        }
        LocalMessage? local = Store.Subscriptions.HasMatch(packet.Topic) ? Store.Messages.Keep(client.Session, packet) : null;
        Publication published = Store.Publish(client.Session, packet, ProtocolLevel.V5, local, Ingest, client, _matches);
        local?.Release();
        Refused += published.Code == ReasonCode.Success ? 0 : 1;
        return published;
    }

    /// <summary>Runs the writer until it has nothing to do.</summary>
    public void Write()
    {
        while (_directory.Writer.RunRound())
        {
        }
    }

    /// <summary>Some seconds pass.</summary>
    public void Sweep(int seconds = 1)
    {
        for (int i = 0; i < seconds; i++)
        {
            Time.Advance(TimeSpan.FromSeconds(1));
            Store.Sweep();
            Store.KeepUp();
            Write();
        }
    }

    /// <summary>A client without a connection of bytes.</summary>
    internal sealed class BenchClient(SessionBench bench) : ISessionConnection, ICommitListener
    {
        private JournalReader? _reader;

        public SessionGiven Given { get; set; }

        public Session Session => Given.Session;

        public bool IsClosed { get; private set; }

        public List<string> Lost { get; } = [];

        public int Commits { get; private set; }

        public void Subscribe(string filter, int qos)
        {
            bench.Store.Subscribe(Session, Encoding.UTF8.GetBytes(filter), new SubscriptionOptions(qos, false, false, 0), 0);
            bench.Write();
        }

        public void Leave(bool keepsWill = false)
        {
            bench.Store.Disconnect(Session, this, keepsWill, null);
            bench.Write();
        }

        /// <summary>Takes what may be sent, and acknowledges QoS 1.</summary>
        public List<string> Take(int most = int.MaxValue)
        {
            var taken = new List<string>();
            while (taken.Count < most && bench.Store is { } store
                && Session.Outbound.TryTake(this, store.Committed, out OutboundMessage message, out ushort id) == OutboundKind.Message)
            {
                LocalMessage? content = message.Message ?? (_reader ??= store.OpenReader()).Read(message.Offset);
                taken.Add(content is null ? "unreadable" : Encoding.UTF8.GetString(content.Payload));
                content?.Release();
                if (message.Qos == 1)
                {
                    store.Acknowledge(Session, id, 1);
                }
            }
            return taken;
        }

        public void Wake()
        {
        }

        public void Close(MqttCloseReason reason, ReasonCode code, string? text) => IsClosed = true;

        public void OnCommitted(ICommitStream stream) => Commits++;

        public void OnLost(ICommitStream stream, string reason) => Lost.Add(reason);
    }
}
