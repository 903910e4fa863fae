using System.Buffers;
using System.Buffers.Binary;
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
/// the first batch behind a hole; and the transactions whose abort is in the segment. Called under the partition's lock (or by whoever builds it, before anybody else knows it). A copy
/// is saved with each recovery point and when the segment is closed; without it, the segment is scanned. In memory an entry is what it is in
/// the file: a reader that goes from segment to segment loads an index by reading it.
/// </summary>
internal sealed class SegmentIndex
{
    internal const ushort Version = 2;
    private const int EntrySize = 20;
    private const int AbortedSize = 24;
    private const int PositionField = 8;
    private const int TimestampField = 12;

    private byte[] _bytes = [];

    /// <summary>Where the first entry begins.</summary>
    private int _from;

    /// <summary>The entry where what was asked for last ended.</summary>
    private int _nextRead;

    private List<AbortedTransaction>? _aborted;

    /// <summary>The transactions whose abort is in the segment, in the order of their markers.</summary>
    public ReadOnlySpan<AbortedTransaction> Aborted => CollectionsMarshal.AsSpan(_aborted);

    /// <summary>The first offset of any of them, <see cref="long.MaxValue"/> if there is none.</summary>
    public long AbortedFrom
    {
        get
        {
            long from = long.MaxValue;
            foreach (ref readonly AbortedTransaction aborted in Aborted)
            {
                from = Math.Min(from, aborted.FirstOffset);
            }
            return from;
        }
    }

    public int Count { get; private set; }

    private Span<byte> Entries => _bytes.AsSpan(_from, Count * EntrySize);

    /// <summary>About how large a saved index is.</summary>
    public static int EstimateBytes(int segmentBytes, int intervalBytes) =>
        StateFile.HeaderSize + SegmentInfo.EncodedSize + (EntrySize * (1 + (segmentBytes / intervalBytes)));

    /// <summary>Adds an entry behind the last.</summary>
    public void Add(IndexEntry entry)
    {
        if (Count > 0 && (entry.Offset <= OffsetAt(Count - 1) || entry.Position <= PositionAt(Count - 1)))
        {
            throw new InvalidOperationException($"index entry {entry} does not follow {At(Count - 1)}");
        }
        Put(Count, entry);
    }

    /// <summary>Takes note of an abort, behind those that are known.</summary>
    public void AddAborted(AbortedTransaction aborted) => (_aborted ??= []).Add(aborted);

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
        if (at < 0 || OffsetAt(at) != entry.Offset)
        {
            Put(at + 1, entry);
        }
    }

    /// <summary>The last entry whose offset is at most <paramref name="offset"/>; the segment's first byte if there is none.</summary>
    public IndexEntry Find(long offset, long baseOffset)
    {
        int at = LastAtMost(offset);
        return at < 0 ? new IndexEntry(baseOffset, 0, long.MinValue) : At(at);
    }

    /// <summary>
    /// What <see cref="Find"/> finds, and the last batch that has an entry and begins at most <paramref name="bytes"/> behind it; at
    /// position −1 if no batch has an entry.
    /// </summary>
    public IndexEntry FindRange(long offset, long baseOffset, int bytes, out IndexEntry border)
    {
        int at = LastAtMost(offset);
        IndexEntry first = at < 0 ? new IndexEntry(baseOffset, 0, long.MinValue) : At(at);
        long position = (long)first.Position + bytes;
        // The two are near each other in a large index.
        int low = Math.Max(at, 0);
        int high = Count;
        for (int step = 1; low + step < high; step *= 2)
        {
            if (PositionAt(low + step) > position)
            {
                high = low + step;
            }
        }
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (PositionAt(middle) <= position)
            {
                low = middle + 1;
            }
            else
            {
                high = middle;
            }
        }
        _nextRead = Math.Max(low - 1, 0);
        border = low == 0 ? new IndexEntry(-1, -1, long.MinValue) : At(low - 1);
        return first;
    }

    /// <summary>The last entry before which all timestamps are below <paramref name="timestamp"/>.</summary>
    public IndexEntry FindTimestamp(long timestamp, long baseOffset)
    {
        int low = 0;
        int high = Count;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (At(middle).MaxTimestampBefore < timestamp)
            {
                low = middle + 1;
            }
            else
            {
                high = middle;
            }
        }
        return low == 0 ? new IndexEntry(baseOffset, 0, long.MinValue) : At(low - 1);
    }

    /// <summary>Forgets entries at or above <paramref name="offset"/>.</summary>
    public void TruncateFrom(long offset)
    {
        Count = LastAtMost(offset - 1) + 1;
        _aborted?.RemoveAll(aborted => aborted.MarkerOffset >= offset);
    }

    public ArrayBufferWriter<byte> Encode(LogSegment segment)
    {
        ArrayBufferWriter<byte> content = StateFile.Begin(StateKind.SegmentIndex, Version);
        segment.Info.Encode(content);
        content.WriteInt32(Aborted.Length);
        foreach (ref readonly AbortedTransaction aborted in Aborted)
        {
            content.WriteInt64(aborted.ProducerId);
            content.WriteInt64(aborted.FirstOffset);
            content.WriteInt64(aborted.MarkerOffset);
        }
        content.WriteInt32(Count);
        content.Write(Entries);
        return content;
    }

    /// <summary>Loads the index of a segment and what it says of the segment's end when it was saved.</summary>
    public static StateStatus Load(IStorage storage, string directory, long baseOffset, out SegmentIndex index, out SegmentInfo info)
    {
        index = new SegmentIndex();
        info = default;
        string path = $"{directory}/{LogFiles.Index(baseOffset)}";
        StateStatus status = StateFile.Read(storage, path, StateKind.SegmentIndex, Version, out Memory<byte> payload);
        if (status != StateStatus.Ok)
        {
            return status;
        }
        var reader = new StateReader(payload.Span);
        info = SegmentInfo.Decode(ref reader);
        for (int left = reader.ReadCount(AbortedSize); left > 0; left--)
        {
            index.AddAborted(new AbortedTransaction(reader.ReadInt64(), reader.ReadInt64(), reader.ReadInt64()));
        }
        int count = reader.ReadCount(EntrySize);
        if (info.BaseOffset != baseOffset || reader.Left != count * EntrySize || !MemoryMarshal.TryGetArray(payload, out ArraySegment<byte> file))
        {
            return StateStatus.Bad;
        }
        index._bytes = file.Array!;
        index._from = file.Offset + file.Count - reader.Left;
        index.Count = count;
        return StateStatus.Ok;
    }

    private long OffsetAt(int index) => BinaryPrimitives.ReadInt64BigEndian(_bytes.AsSpan(_from + (index * EntrySize)));

    private int PositionAt(int index) => BinaryPrimitives.ReadInt32BigEndian(_bytes.AsSpan(_from + (index * EntrySize) + PositionField));

    private IndexEntry At(int index) => new(
        OffsetAt(index), PositionAt(index),
        BinaryPrimitives.ReadInt64BigEndian(_bytes.AsSpan(_from + (index * EntrySize) + TimestampField)));

    private void Put(int at, IndexEntry entry)
    {
        int end = _from + (Count * EntrySize);
        if (end + EntrySize > _bytes.Length)
        {
            byte[] larger = new byte[Math.Max(4 * EntrySize, 2 * Count * EntrySize)];
            Entries.CopyTo(larger);
            (_bytes, _from) = (larger, 0);
        }
        Count++;
        Span<byte> moved = Entries[(at * EntrySize)..];
        moved[..^EntrySize].CopyTo(moved[EntrySize..]);
        BinaryPrimitives.WriteInt64BigEndian(moved, entry.Offset);
        BinaryPrimitives.WriteInt32BigEndian(moved[PositionField..], entry.Position);
        BinaryPrimitives.WriteInt64BigEndian(moved[TimestampField..], entry.MaxTimestampBefore);
    }

    private int LastAtMost(long offset)
    {
        int next = _nextRead; // a reader goes on where the last read ended
        if (next < Count && OffsetAt(next) <= offset && (next + 1 == Count || offset < OffsetAt(next + 1)))
        {
            return next;
        }
        int low = 0;
        int high = Count;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (OffsetAt(middle) <= offset)
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
