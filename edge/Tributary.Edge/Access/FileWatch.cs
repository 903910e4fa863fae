using Microsoft.Extensions.Logging;

namespace Tributary.Edge.Access;

/// <summary>
/// Looks now and then whether files have changed: by size and time of their content, through links. Polling works on every file system,
/// and with files that are replaced by renaming, which watchers of directories tell in many ways. The callback is never called twice at a
/// time.
/// </summary>
internal sealed class FileWatch : IDisposable
{
    private readonly string[] _paths;
    private readonly TimeSpan _interval;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly Lock _lock = new();
    private Stamp[] _stamps;
    private Action? _changed;
    private ITimer? _timer;

    /// <summary>Remembers how the files are now.</summary>
    public FileWatch(IReadOnlyList<string> paths, TimeSpan interval, TimeProvider time, ILogger logger)
    {
        _logger = logger;
        _paths = [.. paths];
        _interval = interval;
        _time = time;
        _stamps = Look();
    }

    /// <summary>Begins to look.</summary>
    /// <param name="changed">Called after each change, on a thread of the pool; it throws nothing.</param>
    public void Start(Action changed)
    {
        _changed = changed;
        _timer = _time.CreateTimer(_ => Poll(), null, _interval, _interval);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _timer?.Dispose();
        lock (_lock)
        {
            _changed = null; // and a call that is going on has ended
        }
    }

    private void Poll()
    {
        if (!_lock.TryEnter())
        {
            return; // the file system takes its time, or somebody ends
        }
        try
        {
            Stamp[] now = Look();
            if (!now.AsSpan().SequenceEqual(_stamps))
            {
                _changed?.Invoke();
                _stamps = now;
            }
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            _logger.FileChangeFailed(e, string.Join(", ", _paths)); // it would end the process; the stamps are the old ones, so it is tried again
        }
        finally
        {
            _lock.Exit();
        }
    }

    private Stamp[] Look() => [.. _paths.Select(Stamp.Of)];

    private readonly record struct Stamp(long Length, DateTime ChangedAt)
    {
        public static Stamp Of(string path)
        {
            try
            {
                using Microsoft.Win32.SafeHandles.SafeFileHandle file = File.OpenHandle(path);
                return new Stamp(RandomAccess.GetLength(file), File.GetLastWriteTimeUtc(file));
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                return new Stamp(-1, default); // not there, for the time being
            }
        }
    }
}
