using Tributary.Log.Storage;

namespace Tributary.Log;

/// <summary>
/// The files of one partition as files: makes, recycles and removes segments. Names are durable when a call returns. Called under the
/// partition's files lock, except <see cref="Open"/>.
/// </summary>
/// <param name="storage">Where its files are.</param>
/// <param name="opening">The same, with flushes that are shared by all partitions that are opened at the same time.</param>
/// <param name="directory">Its directory.</param>
/// <param name="segmentBytes">Size of a segment.</param>
internal sealed class PartitionFiles(IStorage storage, IStorage opening, string directory, int segmentBytes)
{
    /// <summary>Bytes that a segment takes at first; doubled until the segment's size.</summary>
    public const int FirstStep = 16 << 10;

    /// <summary>Trimmed segments kept for use again; a partition that is trimmed as it is written needs no more.</summary>
    private const int MaxSpares = 2;

    private readonly List<(string Path, long Bytes)> _spares = [];
    private int _segmentBytes = segmentBytes;
    private long _nextSpare;
    private long _spareBytes;

    /// <summary>Size of the segments that are made from now on, and most that a spare may have. Set by any thread.</summary>
    public int SegmentBytes
    {
        set => Volatile.Write(ref _segmentBytes, value);
    }

    /// <summary>Where small files go.</summary>
    public IStorage Storage { get; private set; } = opening;

    public string Directory { get; } = directory;

    /// <summary>Bytes of the segments kept for use again.</summary>
    public long SpareBytes => Volatile.Read(ref _spareBytes);

    /// <summary>The partition is open: from now on the writer thread flushes, which has its own way to do it for many at once.</summary>
    public void Opened() => Storage = storage;

    /// <summary>A spare that was there when the partition was opened.</summary>
    public void AddSpare(long number)
    {
        string path = $"{Directory}/{LogFiles.Spare(number)}";
        _nextSpare = Math.Max(_nextSpare, number + 1);
        long bytes;
        using (IStorageFile file = Storage.Open(path, create: false))
        {
            bytes = file.Length;
        }
        if (_spares.Count >= MaxSpares || bytes > _segmentBytes)
        {
            Storage.Delete(path);
            return;
        }
        _spares.Add((path, bytes));
        Volatile.Write(ref _spareBytes, _spareBytes + bytes);
    }

    /// <summary>Makes a segment, of a spare if there is one.</summary>
    public LogSegment Create(long baseOffset)
    {
        var segment = new LogSegment(Directory, baseOffset) { Index = new SegmentIndex() };
        Storage.Delete(segment.Path); // one that failed before anything in it was durable
        if (_spares.Count > 0)
        {
            (string spare, long bytes) = _spares[^1];
            Storage.Rename(spare, segment.Path);
            _spares.RemoveAt(_spares.Count - 1);
            Volatile.Write(ref _spareBytes, _spareBytes - bytes);
            segment.FileBytes = bytes;
        }
        IStorageFile file = storage.Open(segment.Path, create: true);
        try
        {
            Storage.SyncDirectory(Directory);
        }
        catch
        {
            file.Dispose();
            throw;
        }
        segment.File = file;
        return segment;
    }

    public IStorageFile Open(LogSegment segment) => storage.Open(segment.Path, create: false);

    /// <summary>Takes space for <paramref name="end"/> bytes, in steps that double.</summary>
    public void Reserve(LogSegment segment, int end)
    {
        if (end <= segment.FileBytes)
        {
            return;
        }
        long step = Math.Max(segment.FileBytes, FirstStep);
        while (step < end)
        {
            step *= 2;
        }
        step = Math.Max(Math.Min(step, _segmentBytes), end);
        try
        {
            segment.File!.Allocate(step);
        }
        catch (IOException) when (step > end)
        {
            step = end; // a disk that is nearly full may still have room for what there is
            segment.File!.Allocate(step);
        }
        segment.FileBytes = step;
    }

    /// <summary>Keeps a segment's file for use again, or deletes it. The caller syncs the directory.</summary>
    public void Discard(LogSegment segment, bool recycle)
    {
        Storage.Delete($"{Directory}/{LogFiles.Index(segment.BaseOffset)}");
        if (!recycle || _spares.Count >= MaxSpares || segment.FileBytes > _segmentBytes)
        {
            Storage.Delete(segment.Path);
            return;
        }
        string spare = $"{Directory}/{LogFiles.Spare(_nextSpare++)}";
        Storage.Rename(segment.Path, spare);
        _spares.Add((spare, segment.FileBytes));
        Volatile.Write(ref _spareBytes, _spareBytes + segment.FileBytes);
    }

    /// <summary>Makes sure that nothing follows the segment's end, durably. Its saved index is of more and goes first.</summary>
    public void Cut(LogSegment segment)
    {
        Storage.Delete($"{Directory}/{LogFiles.Index(segment.BaseOffset)}");
        Storage.SyncDirectory(Directory);
        using IStorageFile file = Open(segment);
        file.SetLength(segment.EndPosition);
        file.Flush();
        segment.FileBytes = segment.EndPosition;
    }

    /// <summary>Saves the index of a segment; its name becomes durable with the next sync.</summary>
    /// <returns>Bytes of the file.</returns>
    public int SaveIndex(LogSegment segment, System.Buffers.ArrayBufferWriter<byte> content) =>
        StateFile.Replace(Storage, Directory, LogFiles.Index(segment.BaseOffset), content, syncDirectory: false);

    public void Sync() => Storage.SyncDirectory(Directory);
}
