using Microsoft.Extensions.Logging;
using Tributary.Log.Storage;

namespace Tributary.Edge.Buffer;

/// <summary>
/// Whether the disk takes more: quota and floor of free space, looked at after every megabyte (or segment, if that is less) and every
/// second. A partition grows by up to a segment at once, so it is full when another one of each would not fit in the quota; what is
/// gathered by then is still appended. Callable from any thread; <see cref="IsFull"/> is a plain read.
/// </summary>
internal sealed class DiskSpace : IDisposable
{
    private const long LongestStep = 1 << 20;

    private readonly IStorage _storage;
    private readonly string _path;
    private readonly EdgeBufferOptions _options;
    private readonly Func<DiskUsage> _usage;
    private readonly long _step;
    private readonly ILogger _logger;
    private readonly ITimer _timer;
    private readonly Lock _lock = new();
    private volatile string? _reason;
    private long _sinceLook;
    private long _usedBytesSeen;
    private long _freeBytesSeen;

    /// <param name="storage">Where the buffer stands.</param>
    /// <param name="path">Its directory.</param>
    /// <param name="options">Quota, floor and segment size.</param>
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
        _step = Math.Min(LongestStep, options.SegmentBytes);
        _logger = logger;
        Look();
        _timer = time.CreateTimer(static state => ((DiskSpace)state!).Look(), this, options.SpaceCheckInterval, options.SpaceCheckInterval);
    }

    /// <summary>Whether messages are refused for want of space.</summary>
    public bool IsFull => _reason is not null;

    /// <summary>A sentence when it is full.</summary>
    public string? Reason => _reason;

    /// <summary>Bytes on disk at the last look.</summary>
    public long UsedBytes => Volatile.Read(ref _usedBytesSeen);

    /// <summary>Bytes free on the file system at the last look, −1 if it could not be asked.</summary>
    public long FreeBytes => Volatile.Read(ref _freeBytesSeen);

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
            (long used, int partitions) = _usage();
            long free = Free();
            Volatile.Write(ref _usedBytesSeen, used);
            Volatile.Write(ref _freeBytesSeen, free);
            string? reason = null;
            if (used > _options.MaxDiskBytes - ((long)Math.Max(1, partitions) * _options.SegmentBytes))
            {
                reason = $"the buffer takes {used} bytes on disk, and another segment of {_options.SegmentBytes} bytes for each of its "
                    + $"{partitions} partitions would not fit in its quota of {_options.MaxDiskBytes} (setting buffer:maxDiskBytes)";
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
                _logger.DiskHasRoom(used, free);
            }
            _reason = reason;
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

/// <summary>What the buffer takes.</summary>
/// <param name="Bytes">Bytes on disk, everything counted.</param>
/// <param name="Partitions">Partitions that may take another segment at any time.</param>
internal readonly record struct DiskUsage(long Bytes, int Partitions);
