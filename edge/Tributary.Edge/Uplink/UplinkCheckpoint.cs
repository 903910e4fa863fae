namespace Tributary.Edge.Uplink;

/// <summary>From <paramref name="FromOffset"/> on, records are spread over <paramref name="Count"/> cloud partitions.</summary>
internal readonly record struct CountInForce(long FromOffset, int Count);

/// <summary>Where one cloud partition (a target) stands at <see cref="UplinkCheckpoint.Acked"/>.</summary>
/// <param name="NextOrdinal">Ordinal of the target's next record since the producer epoch began; its sequence is this mod 2³¹.</param>
/// <param name="ResumeOffset">
/// Records for the target below this local offset came there in an earlier epoch: they are neither counted nor sent.
/// </param>
/// <param name="CloudEnd">The cloud offset after the last record of ours that was acknowledged there; 0 if none was.</param>
/// <param name="Before">What the target had of the producer when the epoch began. If that changes and not to this epoch, somebody else writes.</param>
internal readonly record struct TargetCheckpoint(long NextOrdinal, long ResumeOffset, long CloudEnd, ProducerPosition Before);

/// <summary>What a cloud partition has of a producer.</summary>
/// <param name="Epoch">Producer epoch, −1 if the partition does not know the producer, −2 if nobody has looked.</param>
/// <param name="LastSequence">Sequence of its last record, −1 if it has none.</param>
internal readonly record struct ProducerPosition(short Epoch, int LastSequence)
{
    /// <summary>The partition does not know the producer.</summary>
    public static readonly ProducerPosition None = new(-1, -1);

    /// <summary>Nobody has looked.</summary>
    public static readonly ProducerPosition Unknown = new(-2, -1);

    /// <summary>Whether the producer has written between this and <paramref name="later"/>.</summary>
    public bool IsBehind(ProducerPosition later) => Epoch >= -1
        && (later.Epoch > Epoch || (later.Epoch == Epoch && ((later.LastSequence - LastSequence) & int.MaxValue) is > 0 and < 1 << 30));
}

/// <summary>
/// What the uplink of one local partition must remember so that every record gets the same sequence at every try:
/// a record's sequence is its ordinal among the records for its target that are counted from <see cref="EpochStart"/> on.
/// Which target a record has follows from its key and <see cref="Counts"/>; which records are counted from
/// <see cref="Refused"/> and <see cref="TargetCheckpoint.ResumeOffset"/>. Whatever of these changes is durable before a record
/// is sent that it concerns, and within an epoch it does not change: a copy of the checkpoint numbers alike whatever it still calls by
/// the same epoch. <see cref="Acked"/> alone may lag: an older one only means that more is looked up again.
/// </summary>
internal sealed record UplinkCheckpoint
{
    /// <summary>The cluster that the records go to; empty before its first answer, or if it has none.</summary>
    public string ClusterId { get; init; } = "";

    /// <summary>The topic that they go to; zero before the first answer, or if the cluster has no topic ids.</summary>
    public Guid TopicId { get; init; }

    /// <summary>Producer id, −1 before one was given.</summary>
    public long ProducerId { get; init; } = -1;

    /// <summary>Producer epoch, bumped here after a gap; −1 before an id was given.</summary>
    public short ProducerEpoch { get; init; } = -1;

    /// <summary>Local offset at which the producer epoch began: all ordinals count from there.</summary>
    public long EpochStart { get; init; }

    /// <summary>Local offset below which the cloud has everything durably; the log is trimmed up to here at most.</summary>
    public long Acked { get; init; }

    /// <summary>
    /// End of the local log at the first start whose resolution is not finished, −1 if it is: nothing at or beyond it was sent, so a
    /// cloud position beyond it means that the disk went back in time.
    /// </summary>
    public long UnresolvedEnd { get; init; } = -1;

    /// <summary>The partition counts in force, by offset; the first covers the start of the log.</summary>
    public IReadOnlyList<CountInForce> Counts { get; init; } = [];

    /// <summary>The targets, by partition number.</summary>
    public IReadOnlyList<TargetCheckpoint> Targets { get; init; } = [];

    /// <summary>Offsets at or above <see cref="EpochStart"/> that the cloud refused for good, ascending.</summary>
    public IReadOnlyList<long> Refused { get; init; } = [];

    /// <summary>Records refused for good since the partition was made.</summary>
    public long RefusedTotal { get; init; }

    /// <summary>Records lost between the edge and the cloud since the partition was made, as far as is known.</summary>
    public long GapTotal { get; init; }

    /// <summary>Starts of a process on this directory with a producer id; a copy of the directory goes on counting by itself.</summary>
    public long Starts { get; init; }

    /// <summary>Times that another process was found to have written as this producer: on a copy of this directory, or on its former self.</summary>
    public long ConflictTotal { get; init; }
}
