using Tributary.Log;
using Tributary.Log.Storage;

namespace Tributary.Cloud.Storage;

/// <summary>
/// Everything the program keeps: the directory with the partitions' logs, whose lock makes this process the only one, and the control
/// database beside it. Opened by one thread, disposed when nothing uses it any more; a crash leaves what was flushed.
/// </summary>
internal sealed class DataDirectory : IAsyncDisposable
{
    private const string LogDirectoryName = "log";

    private DataDirectory(string path, IStorage storage, LogDirectory logs, ControlDatabase control)
    {
        Path = path;
        Storage = storage;
        Logs = logs;
        Control = control;
    }

    /// <summary>Where it is.</summary>
    public string Path { get; }

    /// <summary>The file system it lies in.</summary>
    public IStorage Storage { get; }

    /// <summary>The partitions' logs.</summary>
    public LogDirectory Logs { get; }

    /// <summary>What grains have stored.</summary>
    public ControlDatabase Control { get; }

    /// <summary>Opens the directory, or makes it.</summary>
    /// <param name="options">What was set.</param>
    /// <param name="time">The log's time.</param>
    /// <param name="events">Hears what befalls the log.</param>
    /// <exception cref="StartupException">It can't be used; the message says why.</exception>
    public static DataDirectory Open(CloudOptions options, TimeProvider time, ILogEvents events)
    {
        string path = System.IO.Path.GetFullPath(options.DataDirectory);
        if (File.Exists(path))
        {
            throw new StartupException($"the data directory {path} can't be opened: it is a file");
        }
        var storage = new FileStorage();
        try
        {
            storage.CreateDirectory(path);
            if (System.IO.Path.GetDirectoryName(path) is { } parent)
            {
                storage.SyncDirectory(parent);
            }
            LogDirectory logs = LogDirectory.Open(storage, $"{path}/{LogDirectoryName}", options.Log, time, events);
            return new DataDirectory(path, storage, logs, OpenControl(storage, path, logs));
        }
        catch (LogException e)
        {
            throw new StartupException(e.Message, e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new StartupException($"the data directory {path} can't be opened: {e.Message}", e);
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await Logs.DisposeAsync();
        await Control.DisposeAsync();
    }

    private static ControlDatabase OpenControl(FileStorage storage, string path, LogDirectory logs)
    {
        try
        {
            string database = $"{path}/{ControlDatabase.FileName}";
            if (logs.List() is { Count: > 0 } partitions && new FileInfo(database) is not { Exists: true, Length: > 0 })
            {
                throw new StartupException(
                    $"the control database {database} is missing or empty, and {partitions.Count} partitions lie beside it: without it nobody "
                    + "knows of what topics. Put it back from a backup, or begin anew in another directory");
            }
            ControlDatabase control = ControlDatabase.Open(database);
            storage.SyncDirectory(path);
            return control;
        }
        catch
        {
            logs.DisposeAsync().AsTask().GetAwaiter().GetResult();
            throw;
        }
    }
}
