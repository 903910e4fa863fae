using System.Buffers;
using System.Globalization;
using Tributary.Log.Storage;

namespace Tributary.Log;

/// <summary>
/// Keeps bytes that were taken out of a partition's log, each range in a file <c>FROM-TO</c> (offsets) in the directory
/// <c>quarantine</c>, until an operator removes them. Never read by the log. Called under the partition's files lock.
/// </summary>
internal sealed class Quarantine
{
    /// <summary>Most files kept; what comes beyond is reported and not kept, or broken hardware would fill the disk.</summary>
    public const int MaxFiles = 64;

    private const int CopyBytes = 256 << 10;
    private readonly IStorage _storage;
    private readonly string _partition;
    private readonly string _directory;
    private int _files;
    private long _bytes;

    public Quarantine(IStorage storage, string partitionDirectory)
    {
        _storage = storage;
        _partition = partitionDirectory;
        _directory = $"{partitionDirectory}/{LogFiles.Quarantine}";
        if (!storage.Exists(_directory))
        {
            return;
        }
        foreach (string name in storage.List(_directory))
        {
            using IStorageFile file = storage.Open($"{_directory}/{name}", create: false);
            _bytes += file.Length;
            _files++;
        }
    }

    /// <summary>Bytes of all files in it.</summary>
    public long Bytes => Volatile.Read(ref _bytes);

    /// <summary>Copies bytes of a segment, durably. A disk that has no place for them must not keep the log from going on.</summary>
    /// <returns>What became of them, for the report.</returns>
    public string Keep(IStorageFile file, int from, int to, long fromOffset, long toOffset)
    {
        if (_files >= MaxFiles)
        {
            return $"not kept, since '{_directory}' holds {_files} files already";
        }
        try
        {
            string path = Copy(file, from, to, fromOffset, toOffset);
            _files++;
            Volatile.Write(ref _bytes, _bytes + to - from);
            return $"kept in '{path}'";
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return $"not kept: {e.Message}";
        }
    }

    private string Copy(IStorageFile file, int from, int to, long fromOffset, long toOffset)
    {
        if (!_storage.Exists(_directory))
        {
            _storage.CreateDirectory(_directory);
            _storage.SyncDirectory(_partition);
        }
        string path = string.Create(CultureInfo.InvariantCulture, $"{_directory}/{fromOffset:D20}-{toOffset:D20}");
        byte[] buffer = ArrayPool<byte>.Shared.Rent(CopyBytes);
        try
        {
            using IStorageFile kept = _storage.Open(path, create: true);
            kept.SetLength(0);
            var source = new SalvagingFile(file);
            for (int at = from; at < to;)
            {
                int read = source.Read(at, buffer.AsSpan(0, Math.Min(CopyBytes, to - at)));
                if (read == 0)
                {
                    break;
                }
                kept.Write(at - from, buffer.AsSpan(0, read));
                at += read;
            }
            kept.Flush();
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
        _storage.SyncDirectory(_directory);
        return path;
    }
}
