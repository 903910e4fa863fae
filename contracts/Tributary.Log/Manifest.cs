using System.Buffers;
using System.Collections.Immutable;
using Tributary.Log.Compaction;
using Tributary.Log.Storage;

namespace Tributary.Log;

/// <summary>Offsets from <paramref name="From"/> up to (not including) <paramref name="To"/> that can't be read.</summary>
internal readonly record struct Hole(long From, long To);

/// <summary>Producer state as it was when the log ended at an offset.</summary>
/// <param name="Offset">The end.</param>
/// <param name="Producers">How many there were; without any there is no file.</param>
internal readonly record struct SnapshotPoint(long Offset, int Producers);

/// <summary>
/// What a partition knows of itself, in one small file that is replaced as a whole: saved lazily, except that it is durable before
/// a segment is recycled or removed and before the first write after a clean shutdown. The directory says which segments exist; the
/// manifest saves looking into them.
/// </summary>
internal sealed record Manifest
{
    internal const ushort Version = 3;
    private const int HoleSize = 16;
    private const int SnapshotSize = 12;

    /// <summary>The partition was closed in order and nothing was written since: nothing needs to be scanned.</summary>
    public bool IsClean { get; init; }

    public long StartOffset { get; init; }

    /// <summary>Known producer snapshots, oldest first.</summary>
    public ImmutableArray<SnapshotPoint> Snapshots { get; init; } = [];

    /// <summary>First offset of the segment that was written when this was saved, −1 if a new one was to be made.</summary>
    public long ActiveBase { get; init; } = -1;

    /// <summary>Closed segments, oldest first.</summary>
    public ImmutableArray<SegmentInfo> Closed { get; init; } = [];

    public ImmutableArray<Hole> Holes { get; init; } = [];

    /// <summary>Up to here the log was compacted.</summary>
    public long CleanOffset { get; init; }

    /// <summary>When tombstones and markers that compaction has kept may go, Unix ms; 0 if there are none.</summary>
    public long HorizonMs { get; init; }

    /// <summary>
    /// A compacted segment, named among the closed ones, whose file may not have its name yet, and whose predecessors may be there yet.
    /// </summary>
    public SegmentSwap? Swap { get; init; }

    /// <summary>A lower bound of what was flushed. Damage below it is corruption; above it the log just ends.</summary>
    public long RecoveryOffset => Snapshots.IsEmpty ? 0 : Snapshots[^1].Offset;

    /// <summary>Segments that begin below were all known when this was saved; those that aren't listed had been given up.</summary>
    public long KnownBelow => ActiveBase >= 0 ? ActiveBase : RecoveryOffset;

    /// <summary>
    /// Whether records below <paramref name="endOffset"/>, the end of a segment, can go: they lie below the start, and the state of
    /// producers, at the start and anywhere above it, follows without them from a snapshot, or there are none. If not, one more segment
    /// stays until the start has passed a snapshot.
    /// </summary>
    public static bool CanSpare(ImmutableArray<SnapshotPoint> snapshots, long endOffset, long startOffset)
    {
        foreach (SnapshotPoint point in snapshots)
        {
            if (point.Offset >= endOffset)
            {
                return point.Offset <= startOffset || point.Producers == 0;
            }
        }
        return false;
    }

    public int Save(IStorage storage, string directory)
    {
        ArrayBufferWriter<byte> content = StateFile.Begin(StateKind.Manifest, Version);
        content.WriteInt16((short)(IsClean ? 1 : 0));
        content.WriteInt64(StartOffset);
        content.WriteInt64(ActiveBase);
        content.WriteInt32(Snapshots.Length);
        foreach (SnapshotPoint snapshot in Snapshots)
        {
            content.WriteInt64(snapshot.Offset);
            content.WriteInt32(snapshot.Producers);
        }
        content.WriteInt32(Closed.Length);
        foreach (SegmentInfo segment in Closed)
        {
            segment.Encode(content);
        }
        content.WriteInt32(Holes.Length);
        foreach (Hole hole in Holes)
        {
            content.WriteInt64(hole.From);
            content.WriteInt64(hole.To);
        }
        content.WriteInt64(CleanOffset);
        content.WriteInt64(HorizonMs);
        content.WriteInt64(Swap?.BaseOffset ?? -1);
        content.WriteInt64(Swap?.EndOffset ?? -1);
        return StateFile.Replace(storage, directory, LogFiles.Manifest, content);
    }

    public static StateStatus Load(IStorage storage, string directory, out Manifest manifest)
    {
        manifest = new Manifest();
        StateStatus status = StateFile.Read(
            storage, $"{directory}/{LogFiles.Manifest}", StateKind.Manifest, Version, out Memory<byte> payload);
        if (status != StateStatus.Ok)
        {
            return status;
        }
        var reader = new StateReader(payload.Span);
        bool clean = reader.ReadInt16() != 0;
        long start = reader.ReadInt64();
        long active = reader.ReadInt64();
        var snapshots = new SnapshotPoint[reader.ReadCount(SnapshotSize)];
        for (int i = 0; i < snapshots.Length; i++)
        {
            snapshots[i] = new SnapshotPoint(reader.ReadInt64(), reader.ReadInt32());
        }
        var closed = new SegmentInfo[reader.ReadCount(SegmentInfo.EncodedSize)];
        for (int i = 0; i < closed.Length; i++)
        {
            closed[i] = SegmentInfo.Decode(ref reader);
        }
        var holes = new Hole[reader.ReadCount(HoleSize)];
        for (int i = 0; i < holes.Length; i++)
        {
            holes[i] = new Hole(reader.ReadInt64(), reader.ReadInt64());
        }
        (long cleanOffset, long horizon) = (reader.ReadInt64(), reader.ReadInt64());
        var swap = new SegmentSwap(reader.ReadInt64(), reader.ReadInt64());
        manifest = new Manifest
        {
            IsClean = clean,
            StartOffset = start,
            ActiveBase = active,
            Snapshots = ImmutableArray.Create(snapshots),
            Closed = ImmutableArray.Create(closed),
            Holes = ImmutableArray.Create(holes),
            CleanOffset = cleanOffset,
            HorizonMs = horizon,
            Swap = swap.BaseOffset < 0 ? null : swap,
        };
        return reader.AtEnd ? StateStatus.Ok : StateStatus.Bad;
    }
}
