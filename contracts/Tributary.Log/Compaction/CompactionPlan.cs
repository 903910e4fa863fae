namespace Tributary.Log.Compaction;

/// <summary>What a round of compaction works on, as it was when the round began.</summary>
internal sealed record CompactionPlan
{
    /// <summary>Closed segments one behind the other, from the log's start on.</summary>
    public required IReadOnlyList<PlannedSegment> Segments { get; init; }

    /// <summary>Below it every record was compared with all others below.</summary>
    public required long CleanOffset { get; init; }

    /// <summary>Where the last segment ends.</summary>
    public required long Limit { get; init; }

    /// <summary>
    /// From here on batches are in memory as they were appended, those of aborted transactions too: readers must be told of these.
    /// </summary>
    public required long MemoryStart { get; init; }

    /// <summary>Offsets among them that can't be read.</summary>
    public required IReadOnlyList<Hole> Holes { get; init; }

    /// <summary>The producers that are known.</summary>
    public required IReadOnlyDictionary<long, Producer> Producers { get; init; }

    public required CompactionPolicy Policy { get; init; }

    /// <summary>Unix ms.</summary>
    public required long NowMs { get; init; }

    /// <summary>Changes when what is in a segment does.</summary>
    public required int Cuts { get; init; }

    public required int IndexIntervalBytes { get; init; }

    public required int SegmentBytes { get; init; }

    /// <summary>The aborted transactions that have batches in the segments.</summary>
    public IReadOnlyList<AbortedTransaction> Aborted { get; init; } = [];
}

/// <summary>A segment as a plan knows it.</summary>
internal readonly record struct PlannedSegment(LogSegment Segment, long EndOffset, int EndPosition)
{
    public long BaseOffset => Segment.BaseOffset;
}

/// <summary>Segments of which one file was made that takes their place.</summary>
/// <param name="BaseOffset">Where the first one begins.</param>
/// <param name="EndOffset">Where the last one ends.</param>
internal readonly record struct SegmentSwap(long BaseOffset, long EndOffset);

/// <summary>The log has changed in a way that makes a round of no use: it was trimmed, cut, damaged or closed.</summary>
internal sealed class CompactionGivenUpException(string why) : IOException(why);
