namespace Tributary.Log;

/// <summary>When a partition's log is compacted, so that of each key the last record stays. Ages count from the append.</summary>
public sealed record CompactionPolicy
{
    /// <summary>Age, from the last append to its segment, below which a record is not compacted (<c>min.compaction.lag.ms</c>).</summary>
    public TimeSpan MinLag { get; init; }

    /// <summary>
    /// Age, from the first append to its segment, from which a record is compacted whatever the ratio (<c>max.compaction.lag.ms</c>,
    /// KIP-354); null: never. A segment that is written is closed at that age. After a restart it counts from the last append to the segment
    /// before.
    /// </summary>
    public TimeSpan? MaxLag { get; init; }

    /// <summary>
    /// The share of bytes that were not compacted yet, of all that can be, above which the log is compacted (<c>min.cleanable.dirty.ratio</c>).
    /// </summary>
    public double DirtyRatio { get; init; } = 0.5;

    /// <summary>
    /// How long tombstones and the markers of transactions stay after they were first compacted (<c>delete.retention.ms</c>, KIP-534): a
    /// reader that is not slower sees each of them.
    /// </summary>
    public TimeSpan DeleteRetention { get; init; } = TimeSpan.FromDays(1);

    /// <summary>Checks every setting.</summary>
    /// <exception cref="ArgumentOutOfRangeException">One is out of range; the exception names it.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(MinLag, TimeSpan.Zero);
        ArgumentOutOfRangeException.ThrowIfLessThan(MaxLag ?? TimeSpan.Zero, TimeSpan.Zero);
        ArgumentOutOfRangeException.ThrowIfNegative(DirtyRatio);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(DirtyRatio, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(DeleteRetention, TimeSpan.Zero);
    }
}

/// <summary>How much of a log waits for compaction.</summary>
/// <param name="CleanBytes">Bytes that were compacted, and could be again.</param>
/// <param name="DirtyBytes">Bytes that can be compacted and have not been.</param>
/// <param name="IsDue">Whether the policy asks for it now.</param>
/// <param name="IsOverdue">Whether it does so because of the greatest age, or because tombstones may go.</param>
public readonly record struct CompactionNeed(long CleanBytes, long DirtyBytes, bool IsDue, bool IsOverdue)
{
    /// <summary>The share that is dirty, 0 to 1.</summary>
    public double DirtyRatio => CleanBytes + DirtyBytes == 0 ? 0 : (double)DirtyBytes / (CleanBytes + DirtyBytes);
}
