using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using Tributary.Log.Storage;

namespace Tributary.Edge.Buffer;

/// <summary>
/// Whether the disk takes more: quota, quotas of topics and floor of free space, looked at after every megabyte (or quarter of a
/// segment, if that is less) and every second. A partition grows by up to a segment at once, so it is full when another one of each would not fit in the
/// quota; what is gathered by then is still appended. One segment earlier room is made, a segment in each look: first of records that
/// are only kept for a time, then of topics whose policy is to drop the oldest, the largest partition first.
/// Callable from any thread; whether it is full is a plain read.
/// </summary>
internal sealed class DiskSpace : IDisposable
{
    private const long LongestStep = 1 << 20;
    private const int LooksPerSegment = 4;

    private readonly IStorage _storage;
    private readonly string _path;
    private readonly EdgeBufferOptions _options;
    private readonly Func<DiskUsage> _usage;
    private readonly long _step;
    private readonly ILogger _logger;
    private readonly ITimer _timer;
    private readonly Lock _lock = new();
    private readonly ConcurrentDictionary<string, TopicSpace> _topics = new();
    private volatile string? _reason;
    private volatile bool _needsRoom;
    private volatile bool _mayDrop;
    private long _sinceLook;
    private long _usedBytesSeen;
    private long _freeBytesSeen;

    /// <param name="storage">Where the buffer stands.</param>
    /// <param name="path">Its directory.</param>
    /// <param name="options">Quotas, floor, policies and segment size.</param>
    /// <param name="usage">Tells what is on disk.</param>
    /// <param name="time">Clock of the looks.</param>
    /// <param name="logger">Told when it becomes full and when it no longer is.</param>
    public DiskSpace(
        IStorage storage, string path, EdgeBufferOptions options, Func<DiskUsage> usage, TimeProvider time, ILogger logger)
    {
        _storage = storage;
        _path = path;
        _options = options;
        _usage = usage;
        _step = Math.Min(LongestStep, options.SegmentBytes / LooksPerSegment);
        _logger = logger;
        Look();
        _timer = time.CreateTimer(static state => ((DiskSpace)state!).Look(), this, options.SpaceCheckInterval, options.SpaceCheckInterval);
    }

    /// <summary>Whether messages of all topics are refused for want of space.</summary>
    public bool IsFull => _reason is not null;

    /// <summary>A sentence when it is full.</summary>
    public string? Reason => _reason;

    /// <summary>Whether it is full, or nearly so, or a topic is.</summary>
    public bool NeedsRoom => _needsRoom;

    /// <summary>From now on everybody who holds something back has said so: records may be given up.</summary>
    public void BeginToDrop() => _mayDrop = true;

    /// <summary>Bytes on disk at the last look.</summary>
    public long UsedBytes => Volatile.Read(ref _usedBytesSeen);

    /// <summary>Bytes free on the file system at the last look, −1 if it could not be asked.</summary>
    public long FreeBytes => Volatile.Read(ref _freeBytesSeen);

    /// <summary>The topics that have a quota of their own and are full, with a sentence each.</summary>
    public IEnumerable<string> FullTopics => _topics.Values.Select(topic => topic.Reason).OfType<string>();

    /// <summary>The space of one topic.</summary>
    public TopicSpace Of(string topic) => _topics.GetOrAdd(topic, static _ => new TopicSpace());

    /// <summary>So many bytes were appended.</summary>
    public void Appended(long bytes)
    {
        if (Interlocked.Add(ref _sinceLook, bytes) >= _step)
        {
            Interlocked.Exchange(ref _sinceLook, 0);
            Look();
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _timer.Dispose();

    private void Look()
    {
        lock (_lock)
        {
            DiskUsage usage = _usage();
            long free = Free();
            Volatile.Write(ref _usedBytesSeen, usage.Bytes);
            Volatile.Write(ref _freeBytesSeen, free);
            foreach (BufferPartition partition in usage.Open)
            {
                partition.Hold.Look();
            }
            _needsRoom = LookAtTopics(usage.Open) | LookAtAll(usage, free);
        }
    }

    /// <returns>Whether room is needed.</returns>
    private bool LookAtAll(in DiskUsage usage, long free)
    {
        int growing = Math.Max(1, usage.Open.Count + usage.OthersGrowing);
        long line = _options.MaxDiskBytes - ((long)growing * _options.SegmentBytes);
        // A partition with a spare file grows into that.
        long used = usage.OtherBytes + usage.Open.Sum(BytesOf);
        bool isNearQuota = used > line - _options.SegmentBytes;
        bool isNearFloor = free >= 0 && free - _options.SegmentBytes < _options.MinFreeBytes;
        if (isNearQuota || isNearFloor)
        {
            MakeRoom(usage.Open, isNearQuota ? "by the quota of the setting buffer:maxDiskBytes" : "to keep space free (setting buffer:minFreeBytes)");
        }
        string? reason = null;
        if (used > line)
        {
            reason = $"the buffer takes {usage.Bytes} bytes on disk, and another segment of {_options.SegmentBytes} bytes for each of its "
                + $"{growing} partitions would not fit in its quota of {_options.MaxDiskBytes} (setting buffer:maxDiskBytes)";
        }
        else if (free >= 0 && free < _options.MinFreeBytes)
        {
            reason = $"{free} bytes are free on the disk and {_options.MinFreeBytes} must stay free (setting buffer:minFreeBytes)";
        }
        if (reason is not null && _reason is null)
        {
            _logger.DiskFull(reason);
        }
        else if (reason is null && _reason is not null)
        {
            _logger.DiskHasRoom(usage.Bytes, free);
        }
        _reason = reason;
        return isNearQuota || isNearFloor;
    }

    /// <returns>Whether one of them needs room.</returns>
    private bool LookAtTopics(IReadOnlyList<BufferPartition> open)
    {
        bool needsRoom = false;
        foreach (IGrouping<string, BufferPartition> topic in open.GroupBy(partition => partition.Topic))
        {
            if (_options.MaxBytesOf(topic.Key) is not { } most)
            {
                continue;
            }
            BufferPartition[] partitions = [.. topic];
            long line = most - ((long)partitions.Length * _options.SegmentBytes);
            long used = partitions.Sum(BytesOf);
            if (used > line - _options.SegmentBytes)
            {
                needsRoom = true;
                MakeRoom(partitions, $"by the quota of the setting topics:{topic.Key}:maxBytes");
            }
            string? reason = used > line
                ? $"topic {topic.Key} takes {used} bytes on disk, and another segment of {_options.SegmentBytes} bytes for each of its "
                    + $"{partitions.Length} partitions would not fit in its quota of {most} (setting topics:{topic.Key}:maxBytes)"
                : null;
            TopicSpace space = Of(topic.Key);
            if (reason is not null && space.Reason is null)
            {
                _logger.DiskFull(reason);
            }
            else if (reason is null && space.Reason is not null)
            {
                _logger.TopicHasRoom(topic.Key, used);
            }
            space.Reason = reason;
        }
        return needsRoom;
    }

    private long BytesOf(BufferPartition partition) =>
        partition.Log.SizeBytes - Math.Min(partition.Log.SpareBytes, _options.SegmentBytes);

    /// <summary>Gives one segment up, unless one is being given up already: its space is there soon.</summary>
    private void MakeRoom(IReadOnlyList<BufferPartition> partitions, string why)
    {
        if (!_mayDrop || partitions.Any(partition => partition.Log.IsTrimming))
        {
            return;
        }
        BufferPartition[] largestFirst = [.. partitions.OrderByDescending(partition => partition.Log.SizeBytes)];
        if (Array.Exists(largestFirst, partition => partition.Hold.DropKept($"{why}; the cloud has them")))
        {
            return;
        }
        // One that may not be dropped now is asked for: whoever holds it lets go when room is needed.
        foreach (BufferPartition partition in largestFirst)
        {
            if (_options.PolicyOf(partition.Topic) == FullPolicy.DropOldest && partition.Hold.DropOldest($"{why}; not all of them are in the cloud"))
            {
                return;
            }
        }
    }

    private long Free()
    {
        try
        {
            return _storage.FreeBytes(_path);
        }
        // A disk that can't be asked shows in its writes; those fail for themselves.
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return -1;
        }
    }
}

/// <summary>Whether a topic's messages are taken. Callable from any thread.</summary>
internal sealed class TopicSpace
{
    private volatile string? _reason;

    /// <summary>A sentence when its own quota is full; its messages are refused then.</summary>
    public string? Reason { get => _reason; set => _reason = value; }
}

/// <summary>What the buffer takes.</summary>
/// <param name="Open">The open partitions.</param>
/// <param name="OtherBytes">Bytes on disk of everything else.</param>
/// <param name="OthersGrowing">Other logs that may take another segment at any time.</param>
internal readonly record struct DiskUsage(IReadOnlyList<BufferPartition> Open, long OtherBytes, int OthersGrowing)
{
    /// <summary>Bytes on disk, everything counted.</summary>
    public long Bytes => OtherBytes + Open.Sum(partition => partition.Log.SizeBytes);
}
