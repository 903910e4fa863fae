using System.Buffers;
using System.Runtime.InteropServices;
using Tributary.Log.Storage;

namespace Tributary.Log;

/// <summary>Where a batch begins.</summary>
/// <param name="Offset">Its base offset.</param>
/// <param name="Position">Its first byte in the segment.</param>
/// <param name="MaxTimestampBefore">The greatest timestamp of all batches before it in the segment.</param>
internal readonly record struct IndexEntry(long Offset, int Position, long MaxTimestampBefore);

/// <summary>
/// Sparse index of one segment, by offset and by time: an entry for the first batch, for one batch in each interval of bytes, and for
/// the first batch behind a hole. Called under the partition's lock (or by whoever builds it, before anybody else knows it). A copy
/// is saved with each recovery point and when the segment is closed; without it, the segment is scanned.
/// </summary>
internal sealed class SegmentIndex
{
    private const ushort Version = 1;
    private const int EntrySize = 20;
    private readonly List<IndexEntry> _entries = [];

    /// <summary>About how large a saved index is.</summary>
    public static int EstimateBytes(int segmentBytes, int intervalBytes) =>
        StateFile.HeaderSize + SegmentInfo.EncodedSize + (EntrySize * (1 + (segmentBytes / intervalBytes)));

    public int Count => _entries.Count;

    /// <summary>Adds an entry behind the last.</summary>
    public void Add(IndexEntry entry)
    {
        if (_entries.Count > 0 && (entry.Offset <= _entries[^1].Offset || entry.Position <= _entries[^1].Position))
        {
            throw new InvalidOperationException($"index entry {entry} does not follow {_entries[^1]}");
        }
        _entries.Add(entry);
    }

    public void AddRange(List<IndexEntry> entries)
    {
        foreach (ref readonly IndexEntry entry in CollectionsMarshal.AsSpan(entries))
        {
            Add(entry);
        }
    }

    /// <summary>Puts an entry in its place, unless there is one for that offset.</summary>
    public void Insert(IndexEntry entry)
    {
        int at = LastAtMost(entry.Offset);
        if (at < 0 || _entries[at].Offset != entry.Offset)
        {
            _entries.Insert(at + 1, entry);
        }
    }

    /// <summary>The last entry whose offset is at most <paramref name="offset"/>; the segment's first byte if there is none.</summary>
    public IndexEntry Find(long offset, long baseOffset)
    {
        int at = LastAtMost(offset);
        return at < 0 ? new IndexEntry(baseOffset, 0, long.MinValue) : _entries[at];
    }

    /// <summary>
    /// What <see cref="Find"/> finds, and the last batch that has an entry and begins at most <paramref name="bytes"/> behind it; at
    /// position −1 if no batch has an entry.
    /// </summary>
    public IndexEntry FindRange(long offset, long baseOffset, int bytes, out IndexEntry border)
    {
        int at = LastAtMost(offset);
        IndexEntry first = at < 0 ? new IndexEntry(baseOffset, 0, long.MinValue) : _entries[at];
        long position = (long)first.Position + bytes;
        // The two are near each other in a large index.
        int low = Math.Max(at, 0);
        int high = _entries.Count;
        for (int step = 1; low + step < high; step *= 2)
        {
            if (_entries[low + step].Position > position)
            {
                high = low + step;
            }
        }
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (_entries[middle].Position <= position)
            {
                low = middle + 1;
            }
            else
            {
                high = middle;
            }
        }
        border = low == 0 ? new IndexEntry(-1, -1, long.MinValue) : _entries[low - 1];
        return first;
    }

    /// <summary>The last entry before which all timestamps are below <paramref name="timestamp"/>.</summary>
    public IndexEntry FindTimestamp(long timestamp, long baseOffset)
    {
        int low = 0;
        int high = _entries.Count;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (_entries[middle].MaxTimestampBefore < timestamp)
            {
                low = middle + 1;
            }
            else
            {
                high = middle;
            }
        }
        return low == 0 ? new IndexEntry(baseOffset, 0, long.MinValue) : _entries[low - 1];
    }

    /// <summary>Forgets entries at or above <paramref name="offset"/>.</summary>
    public void TruncateFrom(long offset)
    {
        int keep = LastAtMost(offset - 1) + 1;
        _entries.RemoveRange(keep, _entries.Count - keep);
    }

    public ArrayBufferWriter<byte> Encode(LogSegment segment)
    {
        ArrayBufferWriter<byte> content = StateFile.Begin(StateKind.SegmentIndex, Version);
        segment.Info.Encode(content);
        content.WriteInt32(_entries.Count);
        foreach (ref readonly IndexEntry entry in CollectionsMarshal.AsSpan(_entries))
        {
            content.WriteInt64(entry.Offset);
            content.WriteInt32(entry.Position);
            content.WriteInt64(entry.MaxTimestampBefore);
        }
        return content;
    }

    /// <summary>Loads the index of a segment and what it says of the segment's end when it was saved.</summary>
    public static StateStatus Load(IStorage storage, string directory, long baseOffset, out SegmentIndex index, out SegmentInfo info)
    {
        index = new SegmentIndex();
        info = default;
        string path = $"{directory}/{LogFiles.Index(baseOffset)}";
        StateStatus status = StateFile.Read(storage, path, StateKind.SegmentIndex, Version, out ReadOnlyMemory<byte> payload);
        if (status != StateStatus.Ok)
        {
            return status;
        }
        var reader = new StateReader(payload.Span);
        info = SegmentInfo.Decode(ref reader);
        int count = reader.ReadCount(EntrySize);
        index._entries.EnsureCapacity(count);
        for (int left = count; left > 0; left--)
        {
            index._entries.Add(new IndexEntry(reader.ReadInt64(), reader.ReadInt32(), reader.ReadInt64()));
        }
        return info.BaseOffset == baseOffset && reader.AtEnd ? StateStatus.Ok : StateStatus.Bad;
    }

    private int LastAtMost(long offset)
    {
        int low = 0;
        int high = _entries.Count;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (_entries[middle].Offset <= offset)
            {
                low = middle + 1;
            }
            else
            {
                high = middle;
            }
        }
        return low - 1;
    }
}
