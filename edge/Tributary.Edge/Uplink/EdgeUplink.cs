using Microsoft.Extensions.Logging;
using Tributary.Edge.Buffer;
using Tributary.Edge.Clock;
using Tributary.Edge.Status;
using Tributary.Log;
using Tributary.Log.Storage;

namespace Tributary.Edge.Uplink;

/// <summary>
/// The uplink of all local partitions: one <see cref="PartitionUplink"/> for each, over one <see cref="ICloud"/>. Whatever is wrong with
/// the cloud or with a checkpoint, messages are taken in: a partition whose uplink can't begin says so in its status, and is tried again
/// if the disk was the reason. Callable from any thread. A crash leaves the checkpoints in the partitions' directories.
/// </summary>
internal sealed class EdgeUplink : IUplinkStatus, IAsyncDisposable
{
    private readonly IEdgeBuffer _buffer;
    private readonly IStorage _storage;
    private readonly DeadLetters _deadLetters;
    private readonly EdgeEvents? _happenings;
    private readonly UplinkOptions _options;
    private readonly ICloud _cloud;
    private readonly LinkShare _share;
    private readonly Func<string, int> _priorityOf;
    private readonly UplinkCounters _counters;
    private readonly EdgeClock _time;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _stopping = new();
    private readonly Lock _lock = new();
    private readonly List<Entry> _entries = [];

    /// <param name="buffer">The local partitions.</param>
    /// <param name="storage">Where they stand.</param>
    /// <param name="deadLetters">Where records are kept that the cloud refuses for good.</param>
    /// <param name="options">Settings.</param>
    /// <param name="cloud">Where the records go; disposed with this.</param>
    /// <param name="counters">What the cloud's connections and the partitions count.</param>
    /// <param name="time">All time.</param>
    /// <param name="loggers">Where it logs.</param>
    /// <param name="happenings">Sends what happens to the cloud; null for nobody.</param>
    /// <param name="priorityOf">The priority of a topic; null for the same of all.</param>
    public EdgeUplink(
        IEdgeBuffer buffer, IStorage storage, DeadLetters deadLetters, UplinkOptions options, ICloud cloud, UplinkCounters counters,
        TimeProvider time, ILoggerFactory loggers, EdgeEvents? happenings = null, Func<string, int>? priorityOf = null)
    {
        _buffer = buffer;
        _storage = storage;
        _deadLetters = deadLetters;
        _happenings = happenings;
        _options = options.Validate();
        _cloud = cloud;
        _share = new LinkShare(options.Cap, time);
        _priorityOf = priorityOf ?? (static _ => LinkShare.DefaultPriority);
        _counters = counters;
        _time = EdgeClock.Of(time);
        _logger = loggers.CreateLogger<EdgeUplink>();
    }

    /// <inheritdoc/>
    public UplinkLinkStatus Link
    {
        get
        {
            Entry[] entries = Entries();
            LinkShareStatus share = _share.Status;
            return new UplinkLinkStatus(
                _cloud.IsConnected,
                entries.Select(entry => entry.Uplink?.ClusterId).FirstOrDefault(id => !string.IsNullOrEmpty(id)),
                _counters.LastError, _counters.LastAck, _counters.Requests, _counters.BytesSent, _counters.Acknowledged,
                entries.Sum(entry => entry.Uplink?.Retries ?? 0), share, _counters.Dated);
        }
    }

    /// <inheritdoc/>
    public IReadOnlyList<UplinkPartitionStatus> Partitions => [.. Entries().Select(entry => entry.Status)];

    /// <summary>
    /// Begins with all partitions that are open and, from now on, with each one that is opened. The ends of the logs are written down
    /// before it returns: nothing may be ingested before that.
    /// </summary>
    public void Start()
    {
        _buffer.Subscribe(Opened);
        _time.Subscribe(hasLearned =>
        {
            if (hasLearned)
            {
                Array.ForEach(Entries(), static entry => entry.Uplink?.OnClock());
            }
        });
    }

    /// <summary>Stops all partitions, saves how far they came, and closes the connections.</summary>
    public async ValueTask DisposeAsync()
    {
        Entry[] entries;
        lock (_lock)
        {
            _stopping.Cancel();
            entries = [.. _entries];
        }
        await Task.WhenAll(entries.Select(entry => entry.Keeping));
        await Task.WhenAll(entries.Select(entry => entry.Uplink?.DisposeAsync().AsTask() ?? Task.CompletedTask));
        await _cloud.DisposeAsync();
    }

    private Entry[] Entries()
    {
        lock (_lock)
        {
            return [.. _entries];
        }
    }

    private void Opened(BufferPartition partition)
    {
        var entry = new Entry(partition, partition.Log.FlushedEnd, _priorityOf(partition.Topic));
        lock (_lock)
        {
            if (_stopping.IsCancellationRequested)
            {
                return;
            }
            _entries.Add(entry);
        }
        partition.Log.Subscribe(entry);
        bool isSettled = TryBegin(entry);
        entry.Keeping = KeepGoingAsync(entry, isSettled);
    }

    /// <summary>Begins again what could not begin, or what ended by a defect.</summary>
    private async Task KeepGoingAsync(Entry entry, bool isSettled)
    {
        try
        {
            while (!isSettled || (entry.Uplink is { } uplink && await uplink.EndedAsync().WaitAsync(_stopping.Token)))
            {
                await Task.Delay(_options.MaxBackoff, _time, _stopping.Token);
                if (entry.Uplink is { } defective)
                {
                    entry.Uplink = null;
                    await defective.DisposeAsync();
                    // What this process has sent since its start is below the log's end now.
                    entry.EndAtStart = entry.Partition.Log.FlushedEnd;
                }
                isSettled = TryBegin(entry);
            }
        }
        catch (OperationCanceledException)
        {
        }
    }

    /// <returns>False if it is worth another try.</returns>
    private bool TryBegin(Entry entry)
    {
        BufferPartition partition = entry.Partition;
        try
        {
            var uplink = new PartitionUplink(
                partition, new LogSource(partition.Log, partition.Hold), entry.EndAtStart, new CheckpointFile(_storage, partition.Directory), _deadLetters,
                _happenings, _cloud, _share, entry.Priority, _options, _time, _counters, _logger, new Random());
            entry.Uplink = uplink;
            uplink.Start();
            return true;
        }
        catch (UplinkStoppedException e)
        {
            entry.Reason = e.Message;
            _logger.UplinkStopped(partition.Topic, partition.Index, partition.Log.StartOffset, e.Message);
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            entry.Reason = $"the checkpoint can't be read or written: {e.Message}";
            _logger.UplinkNotBegun(partition.Topic, partition.Index, e.Message);
            return false;
        }
    }

    /// <summary>A partition with its uplink, once that has begun.</summary>
    /// <param name="partition">The partition.</param>
    /// <param name="endAtStart">Where its log ended before anything was taken in.</param>
    /// <param name="priority">Priority of its topic.</param>
    private sealed class Entry(BufferPartition partition, long endAtStart, int priority) : ILogListener
    {
        private volatile PartitionUplink? _uplink;
        private volatile string? _reason;

        public BufferPartition Partition { get; } = partition;

        public long EndAtStart { get; set; } = endAtStart;

        public PartitionUplink? Uplink { get => _uplink; set => _uplink = value; }

        public string? Reason { get => _reason; set => _reason = value; }

        public Task Keeping { get; set; } = Task.CompletedTask;

        public int Priority => priority;

        public UplinkPartitionStatus Status => Uplink?.Status ?? new UplinkPartitionStatus(
            Partition.Topic, Partition.Index, Priority, Reason is null ? "starting" : "stopped", Reason, Partition.Log.StartOffset, -1, -1, 0, 0, 0, 0,
            DeliveryPromise.Unknown);

        public void OnFlushed(PartitionLog log, long flushedEnd) => Uplink?.OnFlushed(log, flushedEnd);

        public void OnFailed(PartitionLog log, long fromOffset, Exception reason) => Uplink?.OnFailed(log, fromOffset, reason);
    }
}
