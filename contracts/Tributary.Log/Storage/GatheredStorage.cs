namespace Tributary.Log.Storage;

/// <summary>
/// A storage where flushes of small files and directories are shared: whatever comes while one is under way waits for the next, and from
/// so many on the next is one flush of the file system. For work that many threads do at the same time and that flushes a little for
/// each of many partitions: with thousands of them, a flush of each would take most of a start.
/// </summary>
/// <remarks>
/// Callable from any thread. A call returns when what it is to make durable is, so a crash finds nothing that it wouldn't without; a flush
/// that fails fails all that it covers. Whoever flushes alone goes by a flush of its own.
/// </remarks>
/// <param name="inner">Where everything goes.</param>
/// <param name="together">Flushes everything at once; null if there is no way to, or none that is wanted.</param>
/// <param name="togetherFrom">Flushes from which it does.</param>
internal sealed class GatheredStorage(IStorage inner, IFileSystemFlush? together, int togetherFrom) : IStorage, IDisposable
{
    /// <summary>How long a flush waits for those who are expected: one of them may have a long log to read.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(20);

    private readonly object _gathering = new();

    // Under _gathering.
    private Round _next = new();
    private bool _isFlushing;
    private int _expected;

    /// <summary>
    /// So many threads more, or fewer, work and will flush in a moment: whoever flushes waits a little for them, so that few flushes serve
    /// all of them.
    /// </summary>
    public void Expect(int change)
    {
        lock (_gathering)
        {
            _expected += change;
            _next.CloseIfFull(_expected);
        }
    }

    /// <inheritdoc/>
    public IStorageFile Open(string path, bool create) => new GatheredFile(this, inner.Open(path, create));

    /// <inheritdoc/>
    public bool Exists(string path) => inner.Exists(path);

    /// <inheritdoc/>
    public IReadOnlyList<string> List(string directory) => inner.List(directory);

    /// <inheritdoc/>
    public void CreateDirectory(string path) => inner.CreateDirectory(path);

    /// <inheritdoc/>
    public void Rename(string from, string to) => inner.Rename(from, to);

    /// <inheritdoc/>
    public void Delete(string path) => inner.Delete(path);

    /// <inheritdoc/>
    public void DeleteDirectory(string path) => inner.DeleteDirectory(path);

    /// <inheritdoc/>
    public void SyncDirectory(string path) => Flush(() => inner.SyncDirectory(path));

    /// <inheritdoc/>
    public long FreeBytes(string path) => inner.FreeBytes(path);

    /// <inheritdoc/>
    public string? WhyVolatile(string path) => inner.WhyVolatile(path);

    /// <inheritdoc/>
    public IFileSystemFlush? OpenFileSystem(string path) => inner.OpenFileSystem(path);

    /// <inheritdoc/>
    public IDisposable? TryLock(string path) => inner.TryLock(path);

    /// <inheritdoc/>
    public void Dispose() => together?.Dispose();

    /// <param name="alone">Makes durable what the caller needs and nothing else.</param>
    private void Flush(Action alone)
    {
        if (together is null)
        {
            alone();
            return;
        }
        Round round;
        bool leads;
        bool waits;
        lock (_gathering)
        {
            round = _next;
            round.Count++;
            round.CloseIfFull(_expected);
            while (_isFlushing && !round.IsOver)
            {
                Monitor.Wait(_gathering);
            }
            leads = !round.IsOver;
            _isFlushing |= leads;
            waits = leads && round.Count < _expected;
        }
        if (waits)
        {
            round.Full.Wait(Patience);
        }
        if (leads)
        {
            Lead(round, alone);
        }
        else if (round.IsForEach)
        {
            alone();
        }
        if (round.Failure is { } failure)
        {
            throw new IOException($"the flush of all files failed: {failure.Message}", failure);
        }
    }

    private void Lead(Round round, Action alone)
    {
        lock (_gathering)
        {
            _next = new Round();
        }
        round.IsForEach = round.Count < togetherFrom;
        try
        {
            if (round.IsForEach)
            {
                alone(); // the others of the round do the same beside it, once it is over
            }
            else
            {
                together!.Flush();
            }
        }
        catch (Exception e) when (!round.IsForEach)
        {
            round.Failure = e;
        }
        finally
        {
            lock (_gathering)
            {
                round.IsOver = true;
                _isFlushing = false;
                Monitor.PulseAll(_gathering);
            }
        }
    }

    /// <summary>Those who share a flush.</summary>
    private sealed class Round
    {
        public int Count { get; set; }

        /// <summary>Set when all are there who are expected.</summary>
        public ManualResetEventSlim Full { get; } = new(initialState: false, spinCount: 0);

        public bool IsOver { get; set; }

        /// <summary>They were too few: each flushes for itself.</summary>
        public bool IsForEach { get; set; }

        public Exception? Failure { get; set; }

        public void CloseIfFull(int expected)
        {
            if (Count >= expected)
            {
                Full.Set();
            }
        }
    }

    private sealed class GatheredFile(GatheredStorage storage, IStorageFile file) : IStorageFile
    {
        public long Length => file.Length;

        public int Read(long position, Span<byte> into) => file.Read(position, into);

        public void Write(long position, ReadOnlySpan<byte> bytes) => file.Write(position, bytes);

        public void Write(long position, IReadOnlyList<ReadOnlyMemory<byte>> pieces) => file.Write(position, pieces);

        public void Flush() => storage.Flush(file.Flush);

        public void SetLength(long length) => file.SetLength(length);

        public void Allocate(long length) => file.Allocate(length);

        public void Dispose() => file.Dispose();
    }
}
