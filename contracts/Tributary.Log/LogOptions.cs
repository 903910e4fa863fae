namespace Tributary.Log;

/// <summary>Settings of a data directory.</summary>
public sealed record LogDirectoryOptions
{
    /// <summary>Most bytes that may be appended and not yet flushed; beyond it <see cref="LogDirectory.WaitForRoomAsync"/> waits.</summary>
    public long MaxUnflushedBytes { get; init; } = 64L << 20;

    /// <summary>Most bytes of batches kept in memory after their flush, over all partitions, for readers at the tail.</summary>
    public long TailCacheBytes { get; init; } = 32L << 20;

    /// <summary>How long the writer thread waits for more before it flushes. Zero: as soon as the flush before is done.</summary>
    public TimeSpan CommitWindow { get; init; } = TimeSpan.Zero;

    /// <summary>
    /// Dirty files from which one flush of the whole file system replaces one of each, where the system can and tells its errors; 0: never.
    /// It also writes what others have on that file system, and its failure is shared by all that it covered.
    /// </summary>
    public int FlushTogetherFrom { get; init; } = 4;

    /// <summary>Bytes taken in vain, for what must be saved on a disk that is full before space can be given back; 0: none.</summary>
    public int ReserveBytes { get; init; } = 256 << 10;

    /// <summary>Whether a directory is taken that can't keep what is flushed: on a tmpfs, an overlay that is volatile, a mount without barriers.</summary>
    public bool AllowVolatile { get; init; }

    /// <summary>Checks every setting.</summary>
    /// <exception cref="ArgumentOutOfRangeException">One is out of range; the exception names it.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(MaxUnflushedBytes);
        ArgumentOutOfRangeException.ThrowIfNegative(TailCacheBytes);
        ArgumentOutOfRangeException.ThrowIfNegative(ReserveBytes);
        ArgumentOutOfRangeException.ThrowIfNegative(FlushTogetherFrom);
        ArgumentOutOfRangeException.ThrowIfLessThan(CommitWindow, TimeSpan.Zero);
    }
}

/// <summary>Settings of one partition's log.</summary>
public sealed record PartitionLogOptions
{
    private const int SmallestSegment = 1 << 10;
    private const int LargestSegment = 1 << 30;

    /// <summary>Size of a segment file, bytes.</summary>
    public int SegmentBytes { get; init; } = 64 << 20;

    /// <summary>Most bytes of a batch. One must also fit a segment.</summary>
    public int MaxBatchBytes { get; init; } = 16 << 20;

    /// <summary>Bytes of log between two entries of an index.</summary>
    public int IndexIntervalBytes { get; init; } = 16 << 10;

    /// <summary>
    /// Bytes flushed between two recovery points: recovery after a crash reads about as many, and each point flushes a few small files.
    /// </summary>
    public int RecoveryStepBytes { get; init; } = 16 << 20;

    /// <summary>
    /// A log that grows by a step in less time gets its recovery points farther apart, up to four steps: what they cost stays a small part
    /// of what is written at any speed.
    /// </summary>
    public TimeSpan RecoveryStepTime { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>
    /// Age of a segment that is written, from its making, after which it is closed: retention gives up whole closed segments. Null: never.
    /// After a restart it counts from the last append to the segment before, or anew if there is none.
    /// </summary>
    public TimeSpan? SegmentTime { get; init; }

    /// <summary>Age of a segment, from its last append, after which it may be removed; null: never.</summary>
    public TimeSpan? RetentionTime { get; init; }

    /// <summary>Bytes above which the oldest segments may be removed; null: never.</summary>
    public long? RetentionBytes { get; init; }

    /// <summary>When the log is compacted; null: never.</summary>
    public CompactionPolicy? Compaction { get; init; }

    /// <summary>Idle time after which a producer is forgotten; null: never.</summary>
    public TimeSpan? ProducerExpiration { get; init; } = TimeSpan.FromDays(1);

    /// <summary>
    /// The latest leader epoch that anybody can have appointed when the log is opened: a stored batch that says a later one is damaged.
    /// </summary>
    public int MaxLeaderEpoch { get; init; } = int.MaxValue;

    /// <summary>Checks every setting.</summary>
    /// <exception cref="ArgumentOutOfRangeException">One is out of range; the exception names it.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfNegative(MaxLeaderEpoch);
        ArgumentOutOfRangeException.ThrowIfLessThan(SegmentBytes, SmallestSegment);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(SegmentBytes, LargestSegment);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(MaxBatchBytes);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(RecoveryStepBytes);
        ArgumentOutOfRangeException.ThrowIfLessThan(RecoveryStepTime, TimeSpan.Zero);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(IndexIntervalBytes);
        ArgumentOutOfRangeException.ThrowIfNegative(RetentionBytes ?? 0);
        ArgumentOutOfRangeException.ThrowIfLessThan(SegmentTime ?? TimeSpan.Zero, TimeSpan.Zero);
        ArgumentOutOfRangeException.ThrowIfLessThan(RetentionTime ?? TimeSpan.Zero, TimeSpan.Zero);
        ArgumentOutOfRangeException.ThrowIfLessThan(ProducerExpiration ?? TimeSpan.Zero, TimeSpan.Zero);
        Compaction?.Validate();
    }
}
