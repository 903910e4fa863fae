using System.Buffers;
using Tributary.Log.Storage;

namespace Tributary.Log;

/// <summary>What is known of a segment without looking into it.</summary>
/// <param name="BaseOffset">Its first offset; its name too.</param>
/// <param name="EndOffset">The offset after its last durable record.</param>
/// <param name="EndPosition">The byte after its last durable batch. What follows is zero or of a former life.</param>
/// <param name="LastAppendMs">When it was last appended to, Unix ms.</param>
/// <param name="MaxTimestamp">The greatest timestamp in it, <see cref="long.MinValue"/> if it is empty.</param>
/// <param name="AbortedFrom">The first offset of any transaction whose abort is in the segment, <see cref="long.MaxValue"/> if none is:
/// whoever reads below needn't look into its index for aborted transactions.</param>
/// <param name="IsRecyclable">False if it may hold batches with offsets that were given again: after a failed flush.</param>
internal readonly record struct SegmentInfo(
    long BaseOffset, long EndOffset, int EndPosition, long LastAppendMs, long MaxTimestamp, long AbortedFrom, bool IsRecyclable)
{
    public const int EncodedSize = 46;

    public void Encode(ArrayBufferWriter<byte> to)
    {
        to.WriteInt64(BaseOffset);
        to.WriteInt64(EndOffset);
        to.WriteInt32(EndPosition);
        to.WriteInt64(LastAppendMs);
        to.WriteInt64(MaxTimestamp);
        to.WriteInt64(AbortedFrom);
        to.WriteInt16((short)(IsRecyclable ? 1 : 0));
    }

    public static SegmentInfo Decode(ref StateReader from) => new(
        from.ReadInt64(), from.ReadInt64(), from.ReadInt32(), from.ReadInt64(), from.ReadInt64(), from.ReadInt64(),
        from.ReadInt16() != 0);
}

/// <summary>
/// One segment of a partition: the last one is written, those before it are closed. Fields are guarded by the partition's lock, those
/// marked so by its files lock. A reader raises <see cref="Holds"/> before it leaves the lock; a file that is held is neither
/// recycled nor closed.
/// </summary>
internal sealed class LogSegment(string directory, long baseOffset)
{
    public long BaseOffset { get; } = baseOffset;

    public string Path { get; } = $"{directory}/{LogFiles.Segment(baseOffset)}";

    public long EndOffset { get; set; } = baseOffset;

    public int EndPosition { get; set; }

    public long LastAppendMs { get; set; }

    public long MaxTimestamp { get; set; } = long.MinValue;

    /// <summary>The first offset of any transaction whose abort is in the segment, <see cref="long.MaxValue"/> if none is.</summary>
    public long AbortedFrom { get; set; } = long.MaxValue;

    public bool IsRecyclable { get; set; } = true;

    /// <summary>Bytes of the file.</summary>
    public long FileBytes { get; set; }

    /// <summary>Bytes of its saved index.</summary>
    public int IndexBytes { get; set; }

    /// <summary>Whether the saved index covers all of the segment. Under the files lock.</summary>
    public bool IsIndexSaved { get; set; }

    /// <summary>Readers at work.</summary>
    public int Holds { get; set; }

    /// <summary>It is not part of the log any more.</summary>
    public bool IsRemoved { get; set; }

    /// <summary>The open file; null for a closed segment that nobody has read lately.</summary>
    public IStorageFile? File { get; set; }

    /// <summary>The index, loaded together with <see cref="File"/>.</summary>
    public SegmentIndex? Index { get; set; }

    /// <summary>Where the next batch is written: ahead of <see cref="EndPosition"/> until the flush. Under the files lock.</summary>
    public int WritePosition { get; set; }

    /// <summary>The greatest timestamp written. Under the files lock.</summary>
    public long WriteMaxTimestamp { get; set; } = long.MinValue;

    /// <summary>When it was made, Unix ms, as far as that is known.</summary>
    public long MadeMs { get; set; }

    /// <summary>When it was last written, Unix ms. Under the files lock.</summary>
    public long LastWriteMs { get; set; }

    /// <summary>A batch that is written here or beyond gets an index entry. Under the files lock.</summary>
    public long NextIndexPosition { get; set; }

    public SegmentInfo Info => new(BaseOffset, EndOffset, EndPosition, LastAppendMs, MaxTimestamp, AbortedFrom, IsRecyclable);

    /// <summary>A closed segment as the manifest knows it.</summary>
    public static LogSegment From(string directory, SegmentInfo info) => new(directory, info.BaseOffset)
    {
        EndOffset = info.EndOffset,
        EndPosition = info.EndPosition,
        LastAppendMs = info.LastAppendMs,
        MaxTimestamp = info.MaxTimestamp,
        AbortedFrom = info.AbortedFrom,
        IsRecyclable = info.IsRecyclable,
        WritePosition = info.EndPosition,
        WriteMaxTimestamp = info.MaxTimestamp,
    };
}
