using System.Globalization;
using System.Runtime.CompilerServices;
using Microsoft.Extensions.Logging;
using Tributary.Contracts.Telemetry;
using Tributary.Edge.Clock;
using Tributary.Edge.Host;
using Tributary.Edge.Source;
using Tributary.Log;
using Tributary.Log.Storage;

namespace Tributary.Edge.Buffer;

/// <summary>
/// One local partition: its log, and the directory where what belongs to it (the uplink's checkpoint) stands beside the segments.
/// </summary>
/// <param name="Topic">Kafka topic that its records go to.</param>
/// <param name="Index">Number of the local partition, from 0.</param>
/// <param name="Log">Its log.</param>
/// <param name="Directory">Path of its directory.</param>
internal sealed record BufferPartition(string Topic, int Index, PartitionLog Log, string Directory)
{
    private long _toldEnd;
    private volatile OffsetRange? _undated;

    /// <summary>Decides when its records are given up.</summary>
    public TrimHold Hold { get; init; } = new(Log, TimeSpan.Zero, TimeProvider.System);

    /// <summary>
    /// The offset below which whoever waits for a record knows that it is durable. The log's own end may be beyond it for a moment.
    /// </summary>
    public long ToldEnd
    {
        get => Volatile.Read(ref _toldEnd);
        set => Volatile.Write(ref _toldEnd, value);
    }

    /// <summary>
    /// From the first to the last record whose time was not known when it was stored; null for none. Of records from before the start it is
    /// known only how the last was stored.
    /// </summary>
    public OffsetRange? Undated => _undated;

    /// <summary>Records were stored whose time was not known. One thread at a time.</summary>
    public void NoteUndated(long from, long to) => _undated = new OffsetRange(_undated?.From ?? from, to);

    /// <summary>There is one object of each partition.</summary>
    public bool Equals(BufferPartition? other) => ReferenceEquals(this, other);

    /// <inheritdoc/>
    public override int GetHashCode() => RuntimeHelpers.GetHashCode(this);
}

/// <summary>Offsets from the first to before the last one.</summary>
internal sealed record OffsetRange(long From, long To);

/// <summary>A local partition that is there and could not be opened.</summary>
internal sealed record UnopenedPartition(string Topic, int Index, string Reason);

/// <summary>The local partitions. They exist when a first message needs them, or because they did at the last start.</summary>
internal interface IEdgeBuffer
{
    /// <summary>The partitions that are open.</summary>
    IReadOnlyList<BufferPartition> Partitions { get; }

    /// <summary>
    /// Calls <paramref name="opened"/> for each partition that is open, and later for each one that is opened, on any thread.
    /// </summary>
    void Subscribe(Action<BufferPartition> opened);
}

/// <summary>
/// The local partitions in one log directory, each in a directory <c>TOPIC-INDEX</c>. Nothing is removed here: the uplink trims what
/// the cloud has acknowledged. Callable from any thread; a partition is opened under the lock, subscribers are called without it. One that
/// can't be opened at the start does not keep the others from being there; it is tried again.
/// </summary>
internal sealed class EdgeBuffer : IEdgeBuffer, IAsyncDisposable
{
    /// <summary>Name of the directory of the sessions' journal: no partition of a topic can have it.</summary>
    public const string JournalName = "_sessions";

    /// <summary>Room in an entry of the journal for what stands beside a message, such as who gets it.</summary>
    private const int JournalRoom = 1 << 20;

    /// <summary>What the batch of one entry takes beside it, at most.</summary>
    private const int BatchRoom = 1 << 10;

    /// <summary>Segments of the topic of events, of which there are few.</summary>
    private const int EventsSegmentBytes = 1 << 20;

    /// <summary>The log takes no larger segment.</summary>
    private const int LargestSegment = 1 << 30;

    private static readonly TimeSpan OpenInterval = TimeSpan.FromMinutes(1);
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly Lock _lock = new();
    private readonly List<Action<BufferPartition>> _subscribers = [];
    private readonly ITimer _tryingAgain;
    private volatile BufferPartition[] _partitions = [];
    private volatile UnopenedPartition[] _unopened = [];
    private volatile PartitionLog? _journal;

    private EdgeBuffer(
        LogDirectory directory, BufferEvents events, IStorage storage, EdgeBufferOptions options, TimeProvider time, ILogger logger)
    {
        Directory = directory;
        Events = events;
        Options = options;
        _time = time;
        _logger = logger;
        try
        {
            OpenExisting();
            DeadLetters = new DeadLetters(directory, options);
            Space = new DiskSpace(storage, directory.Path, options, Usage, time, _logger);
            _tryingAgain = time.CreateTimer(static buffer => ((EdgeBuffer)buffer!).TryAgain(), this, OpenInterval, OpenInterval);
        }
        catch
        {
            directory.DisposeAsync().AsTask().GetAwaiter().GetResult();
            throw;
        }
    }

    /// <summary>The settings.</summary>
    public EdgeBufferOptions Options { get; }

    /// <summary>The log.</summary>
    public LogDirectory Directory { get; }

    /// <summary>What befell the logs.</summary>
    public BufferEvents Events { get; }

    /// <summary>Partitions that are there and could not be opened yet.</summary>
    public IReadOnlyList<UnopenedPartition> Unopened => _unopened;

    /// <summary>What the cloud refused for good.</summary>
    public DeadLetters DeadLetters { get; }

    /// <summary>Whether the disk takes more.</summary>
    public DiskSpace Space { get; }

    /// <inheritdoc/>
    public IReadOnlyList<BufferPartition> Partitions => _partitions;

    /// <summary>Opens the log directory and all partitions in it.</summary>
    /// <exception cref="ArgumentException">A setting is out of range.</exception>
    /// <exception cref="IOException">The directory is in use or can't be read.</exception>
    public static EdgeBuffer Open(IStorage storage, string path, EdgeBufferOptions options, TimeProvider time, ILoggerFactory loggers)
    {
        options.Validate();
        ILogger logger = loggers.CreateLogger<EdgeBuffer>();
        var events = new BufferEvents(time, logger);
        return new EdgeBuffer(
            LogDirectory.Open(storage, path, options.ToDirectoryOptions(), EdgeClock.Of(time).ForLog, events), events, storage, options, time, logger);
    }

    /// <summary>The same on a log directory that is open; it is disposed with this.</summary>
    internal static EdgeBuffer Open(
        LogDirectory directory, BufferEvents events, IStorage storage, EdgeBufferOptions options, TimeProvider time, ILoggerFactory loggers) =>
        new(directory, events, storage, options.Validate(), time, loggers.CreateLogger<EdgeBuffer>());

    /// <summary>Opens, or makes, the log of what MQTT sessions have to remember. It is written and flushed together with the topics.</summary>
    /// <param name="maxMessageBytes">Largest message that an entry has to hold, with its properties; unlike a topic's record.</param>
    /// <exception cref="IOException">It can't be opened.</exception>
    public PartitionLog OpenJournal(int maxMessageBytes = 0)
    {
        lock (_lock)
        {
            int bytes = Math.Min(LargestSegment, Math.Max(Options.SegmentBytes, maxMessageBytes) + JournalRoom);
            if (_journal is null)
            {
                _journal = Directory.OpenPartition(
                    JournalName, Options.ToPartitionOptions() with { SegmentBytes = bytes, MaxBatchBytes = bytes });
                MaxJournalEntryBytes = bytes - BatchRoom;
            }
            return _journal;
        }
    }

    /// <summary>Largest entry that the journal takes. There may be larger ones, of a time when it took them.</summary>
    public int MaxJournalEntryBytes { get; private set; }

    /// <summary>The partition, which is opened or made if need be.</summary>
    /// <exception cref="LogException">There would be more topics than the setting allows.</exception>
    /// <exception cref="IOException">It can't be opened.</exception>
    public BufferPartition OpenPartition(string topic, int index)
    {
        KafkaTopicName.Check(topic);
        BufferPartition partition;
        Action<BufferPartition>[] subscribers;
        lock (_lock)
        {
            if (_partitions.FirstOrDefault(p => p.Topic == topic && p.Index == index) is { } open)
            {
                return open;
            }
            int topics = _partitions.Select(p => p.Topic).Append(topic).Where(name => name != Options.EventsTopic).Distinct().Count();
            if (topics > Options.MaxTopics && topic != Options.EventsTopic)
            {
                throw new LogException(
                    $"topic {topic} would be number {topics} in the buffer; the setting buffer:maxTopics allows {Options.MaxTopics}");
            }
            partition = Open(topic, index);
            _partitions = [.. _partitions, partition];
            _unopened = [.. _unopened.Where(unopened => (unopened.Topic, unopened.Index) != (topic, index))];
            subscribers = [.. _subscribers];
        }
        _logger.PartitionOpened(topic, index, partition.Log.StartOffset, partition.Log.FlushedEnd);
        foreach (Action<BufferPartition> subscriber in subscribers)
        {
            subscriber(partition);
        }
        return partition;
    }

    /// <inheritdoc/>
    public void Subscribe(Action<BufferPartition> opened)
    {
        BufferPartition[] partitions;
        lock (_lock)
        {
            _subscribers.Add(opened);
            partitions = _partitions;
        }
        foreach (BufferPartition partition in partitions)
        {
            opened(partition);
        }
    }

    /// <summary>Flushes what was appended and closes the log.</summary>
    public async ValueTask DisposeAsync()
    {
        await _tryingAgain.DisposeAsync().ConfigureAwait(false);
        Space.Dispose();
        await Directory.DisposeAsync().ConfigureAwait(false);
    }

    private DiskUsage Usage() => new(_partitions, DeadLetters.SizeBytes + (_journal?.SizeBytes ?? 0), _journal is null ? 0 : 1);

    private BufferPartition Open(string topic, int index)
    {
        string name = NameOf(topic, index);
        PartitionLogOptions options = Options.ToPartitionOptions();
        int most = topic == Options.EventsTopic ? Math.Min(options.SegmentBytes, EventsSegmentBytes) : options.SegmentBytes;
        PartitionLog log = Directory.OpenPartition(name, options with { SegmentBytes = most });
        var partition = new BufferPartition(topic, index, log, $"{Directory.Path}/{name}")
        {
            ToldEnd = log.FlushedEnd,
            Hold = new TrimHold(log, Options.KeepOf(topic), _time),
        };
        if (log.FlushedEnd > log.StartOffset && StoredTime.Of(log, log.FlushedEnd - 1) is { } stamp && BootStamp.IsIn(stamp))
        {
            partition.NoteUndated(log.StartOffset, log.FlushedEnd);
        }
        return partition;
    }

    private static string NameOf(string topic, int index) => string.Create(CultureInfo.InvariantCulture, $"{topic}-{index}");

    /// <summary>Whatever the settings say now: what waits in a partition must get to the cloud.</summary>
    private void OpenExisting()
    {
        foreach (string name in Directory.List())
        {
            int dash = name.LastIndexOf('-');
            if (dash > 0 && int.TryParse(name.AsSpan(dash + 1), NumberStyles.None, CultureInfo.InvariantCulture, out int index)
                && KafkaTopicName.IsValid(name.AsSpan(0, dash)) && name == NameOf(name[..dash], index))
            {
                OpenExisting(name[..dash], index);
            }
            else if (name is not (AgentIdentity.FileName or DeadLetters.DirectoryName or SourceSubscriptions.FileName or JournalName or ClockFile.FileName))
            {
                _logger.NoPartition(name, Directory.Path);
            }
        }
    }

    private void OpenExisting(string topic, int index)
    {
        try
        {
            BufferPartition partition = Open(topic, index);
            _partitions = [.. _partitions, partition];
            _logger.PartitionOpened(topic, index, partition.Log.StartOffset, partition.Log.FlushedEnd);
        }
        catch (IOException e)
        {
            _unopened = [.. _unopened, new UnopenedPartition(topic, index, e.Message)];
            _logger.PartitionLeftOut(topic, index, e.Message);
        }
    }

    private void TryAgain()
    {
        foreach (UnopenedPartition unopened in _unopened)
        {
            try
            {
                OpenPartition(unopened.Topic, unopened.Index);
            }
            catch (Exception e) when (e is IOException or ObjectDisposedException)
            {
                _logger.PartitionLeftOut(unopened.Topic, unopened.Index, e.Message);
            }
        }
    }
}
