using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using Tributary.Contracts.Records;
using Tributary.Contracts.Telemetry;
using Tributary.Edge.Buffer;
using Tributary.Edge.Ingest;
using Tributary.Edge.Mqtt;
using Tributary.Edge.Mqtt.Protocol;
using Tributary.Edge.Mqtt.Sessions;
using Tributary.Edge.Uplink;
using Tributary.Log;
using Tributary.Log.Storage;
using Tributary.Tests.Log.Support;

namespace Tributary.Tests.Edge.Mqtt.Sessions;

/// <summary>A life of the agent, without threads: buffer, ingest and sessions on a storage, and the connections to it.</summary>
internal sealed class SimulatedBroker : IIngest
{
    /// <summary>A session, or a few messages of one.</summary>
    private const int PieceBytes = 48;

    private static readonly EdgeBufferOptions BufferOptions = new() { SegmentBytes = 64 << 10, MinFreeBytes = 0, TailCacheBytes = 4 << 10 };
    private readonly SessionSimulation _simulation;
    private readonly LogDirectory _directory;
    private readonly Ingestor _ingest;
    private readonly Matches _matches = new();
    private readonly SimulatedUplinks _uplinks;

    /// <exception cref="IOException">The storage crashed.</exception>
    public SimulatedBroker(SessionSimulation simulation, FaultyStorage storage, int window)
    {
        _simulation = simulation;
        Storage = storage;
        Window = window;
        IStorage used = simulation.Bug switch
        {
            PlantedBug.FlushesNothing => new PlantedStorage(storage, Tests.Log.Support.PlantedBug.FlushesNothing),
            PlantedBug.FlushesNoSnapshot => new PlantedStorage(storage, Tests.Log.Support.PlantedBug.FlushesNoState),
            PlantedBug.MarksNoPieces or PlantedBug.ReadsOnFromTheEnd => new PlantedSnapshots(storage, simulation.Bug),
            _ => storage,
        };
        var events = new BufferEvents(simulation.Time, NullLogger.Instance);
        _directory = LogDirectory.Open(used, "data", BufferOptions.ToDirectoryOptions() with { ReserveBytes = 0 }, simulation.Time, events, hasThread: false);
        Buffer = EdgeBuffer.Open(_directory, events, used, BufferOptions, simulation.Time, NullLoggerFactory.Instance);
        Buffer.Subscribe(partition => partition.Log.Subscribe(new Between(this, partition))); // it hears of flushes before ingest does
        MqttOptions options = simulation.Options with { MaxOutboundInFlight = window };
        Store = SessionStore.Open(Buffer, used, options, simulation.Time, NullLoggerFactory.Instance);
        Store.PieceBytes = PieceBytes;
        _ingest = new Ingestor(
            RouteTable.Default, Buffer, new IngestOptions { EdgeId = "e", MaxBatchBytes = 4 << 10, MaxRecordBytes = 4 << 10 }, simulation.Time,
            NullLoggerFactory.Instance);
        _uplinks = simulation.NewUplinks(storage);
        Buffer.Subscribe(partition => _uplinks.Start(
            partition, new Source(this, partition),
            new CheckpointFile(Bug == PlantedBug.LosesCheckpoint ? Elsewhere(partition.Directory) : used, partition.Directory)));
    }

    public FaultyStorage Storage { get; }

    public EdgeBuffer Buffer { get; }

    public SessionStore Store { get; }

    public LocalDelivery Delivery => Store.Delivery;

    public IIngest Ingest => this;

    public PlantedBug Bug => _simulation.Bug;

    public DateTimeOffset Now => _simulation.Time.GetUtcNow();

    public int Window { get; }

    public List<SimulatedLink> Links { get; } = [];

    public SimulatedUplinks Uplinks => _uplinks;

    /// <summary>Broken ones that have something to deliver yet.</summary>
    public List<SimulatedLink> Resting { get; } = [];

    /// <summary>Where the last message went.</summary>
    public ICommitStream? LastStream { get; private set; }

    public long LastNumber { get; private set; }

    /// <summary>Whether writes failed so often that only a new start helps.</summary>
    public bool IsOffline => Buffer.OpenJournal().OfflineReason is not null || Buffer.Partitions.Any(partition => partition.Log.OfflineReason is not null);

    public bool HasRoom => true;

    public ValueTask WaitForRoomAsync(CancellationToken cancellation) => ValueTask.CompletedTask;

    public IngestClient Connect(string clientId) => new(clientId);

    public IngestTicket Accept(IngestClient client, in IngestMessage message, ICommitListener listener)
    {
        IngestTicket ticket = _ingest.Accept(
            client, Bug == PlantedBug.StoresNoReceipt ? new IngestMessage(message.Topic, message.Payload) : message, listener);
        (LastStream, LastNumber) = (ticket.Stream, ticket.Number);
        return ticket;
    }

    public void Require(bool holds, string what) => _simulation.Require(holds || Storage.Left is not null, what);

    public void Note(SimulatedClient client, string direction, SimulatedPacket packet) => _simulation.Note(
        $"  {client.Name} {direction} {packet.Type} {packet.Id} {packet.Topic} {packet.Payload} {packet.Qos}{(packet.IsDuplicate ? " again" : "")}{(packet.Flag ? " flag" : "")}");

    /// <summary>Something that was sent before now, and nobody can tell what, is lost with a connection.</summary>
    public void NoteLost(SimulatedClient client) => client.LostUpTo = _simulation.Step;

    /// <summary>A client's former connection has said its last.</summary>
    public void TakeOver(SimulatedLink link)
    {
        foreach (SimulatedLink former in Links.Where(other => other.Client == link.Client && other != link).ToList())
        {
            former.Break();
        }
    }

    /// <summary>Runs the writer until it has nothing to do.</summary>
    public void RunWriter()
    {
        while (_directory.Writer.RunRound())
        {
        }
        Resting.RemoveAll(static link => !link.DeliverRest());
    }

    public void Sweep()
    {
        foreach (DueWill due in Store.Sweep())
        {
            if (Store.IsStillDue(due))
            {
                PublishWill(due);
            }
        }
        KeepUp();
        Links.RemoveAll(link => link.IsBroken);
    }

    /// <summary>Publishes a will, whose topic nobody has subscribed to.</summary>
    public void PublishWill(DueWill due)
    {
        Store.Publish(due.Session, PublishPacket.Of(due.Will), ProtocolLevel.V5, null, Ingest, NoListener.Instance, _matches);
        Store.WillPublished(due);
    }

    private static MemoryStorage Elsewhere(string directory)
    {
        var storage = new MemoryStorage();
        storage.CreateDirectory(directory);
        return storage;
    }

    private void KeepUp()
    {
        if (Bug != PlantedBug.NeverKeepsUp)
        {
            Store.KeepUp(_simulation.Pieces());
        }
    }

    /// <summary>All durable records from an offset on.</summary>
    public static List<(long Offset, string Payload)> Records(BufferPartition partition, long from)
    {
        using var scanner = new RecordScanner(new LogSource(partition.Log), 1 << 16);
        var visitor = new Reading();
        scanner.Scan(Math.Max(from, partition.Log.StartOffset), partition.Log.FlushedEnd, visitor);
        return visitor.Records;
    }

    /// <summary>The process is gone.</summary>
    public void End()
    {
        foreach (SimulatedLink link in Links.ToList())
        {
            link.Client.Lose();
        }
        _uplinks.End();
        Store.Metrics.Dispose(); // or whoever listens to meters looks through those of all lives
        Buffer.DisposeAsync().AsTask().GetAwaiter().GetResult();
    }

    /// <summary>What an uplink reads and trims, of which the simulation keeps a copy.</summary>
    private sealed class Source(SimulatedBroker broker, BufferPartition partition) : IUplinkSource
    {
        private readonly LogSource _log = new(partition.Log, broker.Bug == PlantedBug.TrimsWhatIsHeld ? null : partition.Hold);

        public long StartOffset => _log.StartOffset;

        public long FlushedEnd => _log.FlushedEnd;

        public LogRead Read(long offset, int maxBytes, long upTo) => _log.Read(offset, maxBytes, upTo);

        public void ReportDamage(long offset) => _log.ReportDamage(offset);

        public void SaveBeside(Action save) => _log.SaveBeside(save);

        public void AdvanceStart(long offset)
        {
            if (broker.Storage.Left is null)
            {
                broker._simulation.Keep(broker, offset);
            }
            _log.AdvanceStart(offset);
        }
    }

    /// <summary>Takes a snapshot at times when a flush is done and nobody knows of it yet.</summary>
    private sealed class Between(SimulatedBroker broker, BufferPartition partition) : ILogListener
    {
        public void OnFlushed(PartitionLog log, long flushedEnd)
        {
            if (broker.Bug == PlantedBug.TakesFlushedForTold)
            {
                partition.ToldEnd = flushedEnd;
            }
            if (broker._simulation.Interrupts())
            {
                broker.KeepUp();
            }
        }

        public void OnFailed(PartitionLog log, long fromOffset, Exception reason)
        {
        }
    }

    private sealed class NoListener : ICommitListener
    {
        public static readonly NoListener Instance = new();

        public void OnCommitted(ICommitStream stream)
        {
        }

        public void OnLost(ICommitStream stream, string reason)
        {
        }
    }

    private sealed class Reading : IRecordVisitor
    {
        public List<(long Offset, string Payload)> Records { get; } = [];

        public bool Visit(long offset, long timestamp, in Record record)
        {
            HeaderReader headers = record.ReadHeaders();
            while (headers.Read(out ReadOnlySpan<byte> key, out _, out _))
            {
                if (key.StartsWith("tributary."u8))
                {
                    throw new InvalidDataException("a header of the agent's own got out");
                }
            }
            Records.Add((offset, Encoding.UTF8.GetString(record.Value)));
            return true;
        }
    }
}
