using Tributary.Log.Storage;

namespace Tributary.Log;

/// <summary>
/// A data directory: the partitions in it and the one thread that writes and flushes them (group commit). Whatever is appended
/// while one flush is under way is covered by the next.
/// </summary>
public sealed class LogDirectory : IAsyncDisposable
{
    /// <summary>Opens (or creates) the directory and takes its lock; a second process that tries gets a sentence.</summary>
    /// <exception cref="LogException">It is in use, belongs to another user, or lies where nothing can be made durable.</exception>
    public static LogDirectory Open(IStorage storage, string path, LogDirectoryOptions options, TimeProvider time, ILogEvents events) =>
        throw new NotImplementedException();

    /// <summary>Where the directory is.</summary>
    public string Path => throw new NotImplementedException();

    /// <summary>Names of the partitions that exist, open or not.</summary>
    public IReadOnlyList<string> List() => throw new NotImplementedException();

    /// <summary>Opens or creates the log in the subdirectory <paramref name="name"/>, after recovery. At most once per name.</summary>
    public PartitionLog OpenPartition(string name, PartitionLogOptions options) => throw new NotImplementedException();

    /// <summary>Closes the partition and removes its files, crash-safely (renamed first).</summary>
    public void DeletePartition(string name) => throw new NotImplementedException();

    /// <summary>
    /// Asks the writer thread to call <paramref name="source"/> once at the start of its next round, before it gathers what to write.
    /// Cheap, callable from any thread.
    /// </summary>
    public void Schedule(IAppendSource source) => throw new NotImplementedException();

    /// <summary>Whether less than <see cref="LogDirectoryOptions.MaxUnflushedBytes"/> wait for their flush.</summary>
    public bool HasRoom => throw new NotImplementedException();

    /// <summary>Completes when <see cref="HasRoom"/> is true: producers stop reading from their sockets until then.</summary>
    public ValueTask WaitForRoomAsync(CancellationToken cancellation) => throw new NotImplementedException();

    /// <summary>Writes and flushes what was appended, saves snapshots, closes all partitions and ends the thread.</summary>
    public ValueTask DisposeAsync() => throw new NotImplementedException();
}

/// <summary>Something that gathers records and makes a batch of them only when the writer thread is ready to take it.</summary>
public interface IAppendSource
{
    /// <summary>Appends what was gathered. Called on the writer thread; must not block or throw.</summary>
    void AppendPending();
}

/// <summary>Hears of flushes. Called on the writer thread in order; must return quickly and not throw.</summary>
public interface ILogListener
{
    /// <summary>Everything below <paramref name="flushedEnd"/> is durable now.</summary>
    void OnFlushed(PartitionLog log, long flushedEnd);

    /// <summary>
    /// A write or flush failed: what was appended at <paramref name="fromOffset"/> and beyond is gone and must not be acknowledged.
    /// The next append continues at <paramref name="fromOffset"/>, or fails if the partition went offline.
    /// </summary>
    void OnFailed(PartitionLog log, long fromOffset, Exception reason);
}
