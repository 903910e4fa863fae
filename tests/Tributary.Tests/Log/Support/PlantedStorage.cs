using Tributary.Log;
using Tributary.Log.Storage;

namespace Tributary.Tests.Log.Support;

/// <summary>A bug of a storage or of what uses it, planted to see whether a simulation notices.</summary>
internal enum PlantedBug
{
    None,

    /// <summary>What was written is taken for durable without a flush.</summary>
    FlushesNothing,

    /// <summary>Names are never made durable.</summary>
    SyncsNoDirectory,

    /// <summary>What lies behind the end of a file stays there.</summary>
    CutsNothing,

    /// <summary>A small file is replaced before its content is durable.</summary>
    FlushesNoState,

    /// <summary>The checkpoint is replaced before its content is durable.</summary>
    FlushesNoCheckpoint,

    /// <summary>A failed flush is tried again, and its success believed.</summary>
    RetriesFlush,

    /// <summary>The manifest names a recovery point above what was flushed.</summary>
    RaisesRecoveryPoint,

    /// <summary>Recovery takes any whole batch at the end for the next one, whatever its offset.</summary>
    TakesStaleBatches,

    /// <summary>Recovery ends the log at the recovery point.</summary>
    CutsAtRecoveryPoint,

    /// <summary>Recovery ends the log where the bytes end, although more was durable once: offsets are given again.</summary>
    ReusesOffsets,

    /// <summary>A broker answers when it has appended.</summary>
    AcknowledgesAppends,

    /// <summary>A broker tells of sequences that are not committed, and an edge trims by them.</summary>
    TellsUncommitted,

    /// <summary>A broker takes for duplicates what it lost with a failed flush.</summary>
    KeepsLostProducers,

    /// <summary>Nobody is told of offsets that can't be read any more.</summary>
    HidesHoles,

    /// <summary>A compacted segment takes the place of others before it is durable.</summary>
    FlushesNothingCompacted,

    /// <summary>The manifest does not say that a compacted segment is taking the place of others.</summary>
    ForgetsSwap,

    /// <summary>What belongs to transactions that are not ended is compacted too.</summary>
    CompactsUnstable,

    /// <summary>What a full disk does not take is thought to be written.</summary>
    IgnoresFullDisk,
}

/// <summary>A storage that is used wrongly: it stands between the code and its storage, and leaves out or adds what a bug would.</summary>
internal sealed class PlantedStorage(IStorage inner, PlantedBug bug) : IStorage
{
    private const string CheckpointPrefix = "uplink.checkpoint";
    private const int RaisedBy = 4;

    public IStorageFile Open(string path, bool create) => new PlantedFile(inner.Open(path, create), path, bug);

    public bool Exists(string path) => inner.Exists(path);

    public IReadOnlyList<string> List(string directory) => inner.List(directory);

    public void CreateDirectory(string path) => inner.CreateDirectory(path);

    public void Rename(string from, string to)
    {
        inner.Rename(from, to);
        string directory = Path.GetDirectoryName(to)!;
        if (bug == PlantedBug.RaisesRecoveryPoint && Path.GetFileName(to) == LogFiles.Manifest
            && Manifest.Load(inner, directory, out Manifest manifest) == StateStatus.Ok && !manifest.IsClean)
        {
            var raised = new SnapshotPoint(manifest.RecoveryOffset + RaisedBy, 0);
            (manifest with { Snapshots = manifest.Snapshots.Add(raised) }).Save(inner, directory);
        }
        if (bug == PlantedBug.ForgetsSwap && Path.GetFileName(to) == LogFiles.Manifest
            && Manifest.Load(inner, directory, out Manifest forgetful) == StateStatus.Ok && forgetful.Swap is not null)
        {
            (forgetful with { Swap = null }).Save(inner, directory);
        }
    }

    public void Delete(string path) => inner.Delete(path);

    public void DeleteDirectory(string path) => inner.DeleteDirectory(path);

    public void SyncDirectory(string path)
    {
        if (bug != PlantedBug.SyncsNoDirectory)
        {
            inner.SyncDirectory(path);
        }
    }

    public long FreeBytes(string path) => inner.FreeBytes(path);

    public IDisposable? TryLock(string path) => inner.TryLock(path);

    public IFileSystemFlush? OpenFileSystem(string path) =>
        inner.OpenFileSystem(path) is { } flush ? new PlantedFileSystem(flush, bug) : null;

    private static void Retry(Action flush)
    {
        try
        {
            flush();
        }
        catch (IOException)
        {
            flush();
        }
    }

    private sealed class PlantedFileSystem(IFileSystemFlush inner, PlantedBug bug) : IFileSystemFlush
    {
        public void Flush()
        {
            switch (bug)
            {
                case PlantedBug.FlushesNothing:
                    return;
                case PlantedBug.RetriesFlush:
                    Retry(inner.Flush);
                    return;
                default:
                    inner.Flush();
                    return;
            }
        }

        public void Dispose() => inner.Dispose();
    }

    private sealed class PlantedFile(IStorageFile inner, string path, PlantedBug bug) : IStorageFile
    {
        private readonly string _name = Path.GetFileName(path);

        private bool IsSegment => char.IsAsciiDigit(_name[0]);

        public long Length => inner.Length;

        public int Read(long position, Span<byte> into) => inner.Read(position, into);

        public void Write(long position, ReadOnlySpan<byte> bytes) => inner.Write(position, bytes);

        public void Write(long position, IReadOnlyList<ReadOnlyMemory<byte>> pieces) => Try(() => inner.Write(position, pieces));

        public void Flush()
        {
            switch (bug)
            {
                case PlantedBug.FlushesNothing when IsSegment:
                case PlantedBug.FlushesNoState when !IsSegment:
                case PlantedBug.FlushesNothingCompacted when LogFiles.IsCompacted(_name):
                case PlantedBug.FlushesNoCheckpoint when _name.StartsWith(CheckpointPrefix, StringComparison.Ordinal):
                    return;
                case PlantedBug.RetriesFlush when IsSegment:
                    Retry(inner.Flush);
                    return;
                default:
                    inner.Flush();
                    return;
            }
        }

        public void SetLength(long length)
        {
            if (bug != PlantedBug.CutsNothing || !IsSegment)
            {
                inner.SetLength(length);
            }
        }

        public void Allocate(long length) => Try(() => inner.Allocate(length));

        public void Dispose() => inner.Dispose();

        private void Try(Action write)
        {
            try
            {
                write();
            }
            catch (IOException e) when (bug == PlantedBug.IgnoresFullDisk && IsSegment && SpaceReserve.IsDiskFull(e))
            {
            }
        }
    }
}
