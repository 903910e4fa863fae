using Tributary.Log.Storage;

namespace Tributary.Log;

/// <summary>
/// A data directory: the partitions in it and the one thread that writes and flushes them (group commit). Whatever is appended
/// while one flush is under way is covered by the next. Callable from any thread, for one partition by one at a time: several may be
/// opened and deleted beside each other.
/// A crash leaves the partitions' files, and perhaps a half-deleted partition, which the next start removes.
/// </summary>
public sealed class LogDirectory : IAsyncDisposable
{
    private const string LockFile = "lock";
    private const string DeletedSuffix = ".deleted";
    private readonly IStorage _storage;
    private readonly LogDirectoryOptions _options;
    private readonly TimeProvider _time;
    private readonly ILogEvents _events;
    private readonly IDisposable _held;
    private readonly TailCache _cache;
    private readonly Lock _opening = new();

    // Under _opening; null while it is being opened.
    private readonly Dictionary<string, PartitionLog?> _open = new(StringComparer.Ordinal);
    private bool _closed;
    private long _unflushed;
    private TaskCompletionSource? _waitingForRoom;

    private LogDirectory(
        IStorage storage, string path, LogDirectoryOptions options, TimeProvider time, ILogEvents events, IDisposable held, bool hasThread)
    {
        _storage = storage;
        _options = options;
        _time = time;
        _events = events;
        _held = held;
        Path = path;
        _cache = new TailCache(options.TailCacheBytes);
        Reserve = new SpaceReserve(storage, path, options.ReserveBytes);
        Reserve.TryTake();
        IFileSystemFlush? together = options.FlushTogetherFrom > 0 ? storage.OpenFileSystem(path) : null;
        Gathered = new GatheredStorage(
            storage, options.FlushTogetherFrom > 0 ? storage.OpenFileSystem(path) : null, options.FlushTogetherFrom);
        Writer = new LogWriter(_cache, options.CommitWindow, together, options.FlushTogetherFrom, time, path, hasThread);
    }

    /// <summary>Opens (or creates) the directory and takes its lock; a second process that tries gets a sentence.</summary>
    /// <exception cref="LogException">It is in use, belongs to another user, or lies where nothing can be made durable.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A setting is out of range.</exception>
    public static LogDirectory Open(IStorage storage, string path, LogDirectoryOptions options, TimeProvider time, ILogEvents events) =>
        Open(storage, path, options, time, events, hasThread: true);

    /// <summary>Without a thread, the caller runs the rounds of <see cref="Writer"/>, so that what happens when follows from a seed.</summary>
    internal static LogDirectory Open(
        IStorage storage, string path, LogDirectoryOptions options, TimeProvider time, ILogEvents events, bool hasThread)
    {
        options.Validate();
        IDisposable held;
        try
        {
            CreateDirectories(storage, path);
            if (!options.AllowVolatile && storage.WhyVolatile(path) is { } why)
            {
                throw new LogException($"the data directory '{path}' {why}: what is acknowledged would not outlive a power cut. Choose another "
                    + "directory, or say that this is wanted: buffer:allowVolatile=true for an agent, log:allowVolatile=true for a broker");
            }
            held = storage.TryLock($"{path}/{LockFile}")
                ?? throw new LogException($"the data directory '{path}' is in use by another process; end it, or choose another directory");
        }
        catch (UnauthorizedAccessException e)
        {
            throw new LogException($"the data directory '{path}' can't be written by this user: {e.Message}", e);
        }
        try
        {
            foreach (string name in storage.List(path))
            {
                if (name.EndsWith(DeletedSuffix, StringComparison.Ordinal))
                {
                    storage.DeleteDirectory($"{path}/{name}");
                }
            }
            storage.SyncDirectory(path); // names that a killed process made are visible, and perhaps not durable
            return new LogDirectory(storage, path, options, time, events, held, hasThread);
        }
        catch
        {
            held.Dispose();
            throw;
        }
    }

    /// <summary>Where the directory is.</summary>
    public string Path { get; }

    /// <summary>
    /// The storage that it lies in, with flushes that are shared by whoever flushes at the same time: for what is done for many partitions
    /// by many threads.
    /// </summary>
    public IStorage Shared => Gathered;

    /// <summary>So many threads more, or fewer, open partitions at the same time: flushes of <see cref="Shared"/> wait a little for all.</summary>
    public void Expect(int change) => Gathered.Expect(change);

    /// <summary>Bytes that can still be written to its file system.</summary>
    public long FreeBytes => _storage.FreeBytes(Path);

    /// <summary>Space for what must be saved on a disk that is full.</summary>
    internal SpaceReserve Reserve { get; }

    /// <inheritdoc cref="Shared"/>
    internal GatheredStorage Gathered { get; }

    /// <summary>Who writes.</summary>
    internal LogWriter Writer { get; }

    /// <summary>
    /// Does what needs a little space to be done, such as saving how far a log may be trimmed; on a disk that is full, in the place of
    /// the reserve.
    /// </summary>
    /// <exception cref="IOException">It could not be done.</exception>
    public void Save(Action save)
    {
        try
        {
            save();
        }
        catch (IOException e) when (TryFreeReserve(e))
        {
            save();
        }
    }

    /// <summary>Whether what failed may be tried again, since the reserve has made room for it.</summary>
    internal bool TryFreeReserve(IOException failure) => SpaceReserve.IsDiskFull(failure) && Reserve.Release();

    /// <summary>Names of the partitions that exist, open or not.</summary>
    public IReadOnlyList<string> List() =>
        [.. _storage.List(Path).Where(name => name is not (LockFile or SpaceReserve.FileName) && !name.EndsWith(DeletedSuffix, StringComparison.Ordinal))];

    /// <summary>Opens or creates the log in the subdirectory <paramref name="name"/>, after recovery. At most once per name.</summary>
    /// <exception cref="ArgumentException">The name can't be a directory's, or a setting is out of range.</exception>
    /// <exception cref="IOException">Its files can't be read.</exception>
    public PartitionLog OpenPartition(string name, PartitionLogOptions options)
    {
        CheckName(name);
        options.Validate();
        lock (_opening)
        {
            ObjectDisposedException.ThrowIf(_closed, this);
            if (!_open.TryAdd(name, null))
            {
                throw new LogException($"the log of {name} is open already");
            }
        }
        PartitionLog? log = null;
        try
        {
            log = Recover(name, options);
        }
        finally
        {
            Settle(name, log);
        }
        return log;
    }

    /// <summary>
    /// Closes the partition, if it is open, and removes its files, crash-safely: it is renamed first, and what is left of it is removed
    /// at the next start. Nothing happens if it does not exist.
    /// </summary>
    public void DeletePartition(string name)
    {
        CheckName(name);
        PartitionLog? log;
        lock (_opening)
        {
            _open.Remove(name, out log);
        }
        log?.Close(save: false);
        string directory = $"{Path}/{name}";
        if (!_storage.Exists(directory))
        {
            return;
        }
        int number = 0;
        string doomed;
        while (_storage.Exists(doomed = $"{Path}/{name}.{number}{DeletedSuffix}"))
        {
            number++;
        }
        _storage.Rename(directory, doomed);
        _storage.SyncDirectory(Path);
        _storage.DeleteDirectory(doomed);
    }

    /// <summary>
    /// Asks the writer thread to call <paramref name="source"/> once at the start of its next round, before it gathers what to write.
    /// Cheap, callable from any thread.
    /// </summary>
    public void Schedule(IAppendSource source) => Writer.Schedule(source);

    /// <summary>Whether less than <see cref="LogDirectoryOptions.MaxUnflushedBytes"/> wait for their flush.</summary>
    public bool HasRoom => Interlocked.Read(ref _unflushed) < _options.MaxUnflushedBytes;

    /// <summary>Completes when <see cref="HasRoom"/> is true: producers stop reading from their sockets until then.</summary>
    public async ValueTask WaitForRoomAsync(CancellationToken cancellation)
    {
        while (!HasRoom)
        {
            var made = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            TaskCompletionSource waiting = Interlocked.CompareExchange(ref _waitingForRoom, made, null) ?? made;
            // Room that came before the wait was published told nobody.
            if (HasRoom)
            {
                Interlocked.Exchange(ref _waitingForRoom, null)?.TrySetResult();
            }
            await waiting.Task.WaitAsync(cancellation).ConfigureAwait(false);
        }
    }

    /// <summary>Writes and flushes what was appended, saves snapshots, closes all partitions and ends the thread.</summary>
    public async ValueTask DisposeAsync()
    {
        lock (_opening)
        {
            if (_closed)
            {
                return;
            }
            _closed = true;
        }
        await Writer.StopAsync().ConfigureAwait(false);
        lock (_opening)
        {
            foreach (PartitionLog log in _open.Values.OfType<PartitionLog>())
            {
                CloseQuietly(log);
            }
            _open.Clear();
        }
        Gathered.Dispose();
        _held.Dispose();
    }

    /// <summary>Counts bytes that were appended (or, negative, flushed or lost). Called from any thread, under any lock of a partition.</summary>
    internal void AddUnflushed(long bytes)
    {
        if (Interlocked.Add(ref _unflushed, bytes) < _options.MaxUnflushedBytes && bytes < 0)
        {
            Interlocked.Exchange(ref _waitingForRoom, null)?.TrySetResult();
        }
    }

    private PartitionLog Recover(string name, PartitionLogOptions options)
    {
        string directory = $"{Path}/{name}";
        if (!_storage.Exists(directory))
        {
            _storage.CreateDirectory(directory);
            Gathered.SyncDirectory(Path);
        }
        var files = new PartitionFiles(_storage, Gathered, directory, options.SegmentBytes);
        var quarantine = new Quarantine(_storage, directory);
        long now = _time.GetUtcNow().ToUnixTimeMilliseconds();
        RecoveredLog recovered = new LogRecovery(files, name, options, quarantine, _events, now).Run();
        var log = new PartitionLog(this, _cache, files, name, options, quarantine, recovered, _time, _events);
        files.Opened();
        return log;
    }

    /// <summary>A partition is open, or could not be opened. One that comes when everything is closed is closed too.</summary>
    private void Settle(string name, PartitionLog? log)
    {
        lock (_opening)
        {
            if (log is not null && !_closed)
            {
                _open[name] = log;
                return;
            }
            _open.Remove(name);
        }
        if (log is not null)
        {
            CloseQuietly(log);
            throw new ObjectDisposedException(nameof(LogDirectory));
        }
    }

    private void CloseQuietly(PartitionLog log)
    {
        try
        {
            log.Close(save: true);
        }
        // Records are safe; the next start scans instead.
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            _events.Report(new LogEvent(LogEventKind.SaveFailed, log.Name, -1, -1, $"{log.Name}: its state could not be saved at the end: {e.Message}"));
        }
    }

    private static void CheckName(string name)
    {
        if (name.Length == 0 || name.Contains('/') || name.Contains('\0') || name is "." or ".." or LockFile
            || name.EndsWith(DeletedSuffix, StringComparison.Ordinal))
        {
            throw new ArgumentException($"'{name}' can't be the name of a partition", nameof(name));
        }
    }

    /// <summary>Creates the directory; each new name on the way is made durable in its parent.</summary>
    private static void CreateDirectories(IStorage storage, string path)
    {
        var created = new Stack<string>();
        for (string at = path.TrimEnd('/'); at.Length > 0 && !storage.Exists(at); at = Parent(at))
        {
            created.Push(at);
        }
        if (created.Count == 0)
        {
            return;
        }
        storage.CreateDirectory(path);
        foreach (string directory in created)
        {
            storage.SyncDirectory(Parent(directory) is { Length: > 0 } parent ? parent : directory[0] == '/' ? "/" : "");
        }
    }

    private static string Parent(string path)
    {
        int slash = path.LastIndexOf('/');
        return slash < 0 ? "" : path[..slash];
    }
}
