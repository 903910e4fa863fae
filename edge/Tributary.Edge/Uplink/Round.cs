using System.Buffers;
using Tributary.Edge.Clock;

namespace Tributary.Edge.Uplink;

/// <summary>A batch of a round: consecutive ordinals of one target. Its bytes come from the shared array pool.</summary>
internal sealed class RoundBatch(int target, long baseOrdinal, int records, long firstOffset, long lastOffset, byte[] pooled, int size)
{
    private byte[]? _pooled = pooled;

    /// <summary>Cloud partition.</summary>
    public int Target { get; } = target;

    /// <summary>Ordinal of the first record.</summary>
    public long BaseOrdinal { get; } = baseOrdinal;

    /// <summary>Number of records.</summary>
    public int Records { get; } = records;

    /// <summary>Local offset of the first record.</summary>
    public long FirstOffset { get; } = firstOffset;

    /// <summary>Local offset of the last record.</summary>
    public long LastOffset { get; } = lastOffset;

    /// <summary>Records whose time was not known when they were stored.</summary>
    public DatedCounts Dated { get; init; }

    /// <summary>Bytes of the batch.</summary>
    public int Size { get; } = size;

    /// <summary>Whether the cloud has answered, whatever it said.</summary>
    public bool IsAnswered { get; set; }

    /// <summary>Whether the cloud has answered with an error and may have it nevertheless.</summary>
    public bool MayBeThere { get; set; }

    /// <summary>Whether the cloud has acknowledged it.</summary>
    public bool IsAcked { get; set; }

    /// <summary>Cloud offset of the first record once it is acknowledged, −1 if the answer did not say.</summary>
    public long CloudOffset { get; set; } = -1;

    /// <summary>The batch, as it is sent; until <see cref="ReleaseBytes"/>.</summary>
    public ReadOnlyMemory<byte> Bytes => (_pooled ?? throw new InvalidOperationException("the bytes were given back")).AsMemory(0, Size);

    /// <summary>Hands the pooled bytes over: who takes them gives them back to the shared pool.</summary>
    public byte[] TakeBytes()
    {
        byte[] taken = _pooled ?? throw new InvalidOperationException("the bytes were given back");
        _pooled = null;
        return taken;
    }

    /// <summary>
    /// Gives the bytes back to the pool, unless they were taken over, once they are on their way: a retry reads the log again.
    /// </summary>
    public void ReleaseBytes()
    {
        if (_pooled is { } bytes)
        {
            _pooled = null;
            ArrayPool<byte>.Shared.Return(bytes);
        }
    }
}

/// <summary>Records whose time was not known when they were stored, by how it was told.</summary>
/// <param name="Corrected">Counted from a boot whose time was learned.</param>
/// <param name="Estimated">By the boots around.</param>
/// <param name="Untrusted">By what the clock said.</param>
internal readonly record struct DatedCounts(long Corrected, long Estimated, long Untrusted)
{
    /// <summary>These and one more.</summary>
    public DatedCounts With(TimeMark mark) => mark switch
    {
        TimeMark.Corrected => this with { Corrected = Corrected + 1 },
        TimeMark.Estimated => this with { Estimated = Estimated + 1 },
        TimeMark.Untrusted => this with { Untrusted = Untrusted + 1 },
        _ => this,
    };
}

/// <summary>
/// A contiguous range of the local log on its way to the cloud, with at most one batch for each target. It is acknowledged when all of
/// its batches are; one without batches (everything was there already) at once.
/// </summary>
/// <param name="From">First local offset.</param>
/// <param name="End">The offset after the last one.</param>
/// <param name="Batches">The batches, by target.</param>
/// <param name="NextOrdinals">Next ordinal of each target behind this round.</param>
/// <param name="HoleEnd">Beyond <paramref name="End"/> if nothing can be read from there up to here.</param>
/// <param name="Bytes">Bytes of its records in the local log, those that were not sent among them.</param>
internal sealed record Round(
    long From, long End, IReadOnlyList<RoundBatch> Batches, long[] NextOrdinals, long HoleEnd, long Bytes)
{
    /// <summary>What it is on the link; null before it is sent, and if nothing of it needs to be.</summary>
    public SentRound? OnLink { get; set; }

    /// <summary>Whether it ended before a record whose time is not known.</summary>
    public bool IsHeld { get; init; }

    /// <summary>Set when the round was given up: answers to it mean nothing any more.</summary>
    public bool IsDropped { get; set; }

    /// <summary>Batches that wait for their answer.</summary>
    public int Unanswered { get; set; } = Batches.Count;

    /// <summary>Whether the cloud has acknowledged all batches.</summary>
    public bool IsAcked => Batches.All(batch => batch.IsAcked);

    /// <summary>Gives all bytes back.</summary>
    public void ReleaseBytes()
    {
        foreach (RoundBatch batch in Batches)
        {
            batch.ReleaseBytes();
        }
    }
}

/// <summary>How records are numbered: everything that a record's target and ordinal follow from.</summary>
/// <param name="Counts">The partition counts in force, by offset.</param>
/// <param name="Resume">By target, the offset below which records are not counted.</param>
/// <param name="Refused">Offsets that are not counted, ascending.</param>
internal sealed record Numbering(IReadOnlyList<CountInForce> Counts, long[] Resume, IReadOnlyList<long> Refused)
{
    /// <summary>Number of targets.</summary>
    public int Targets => Resume.Length;

    /// <summary>The target of the record, or −1 if it is not counted. Calls come with rising offsets.</summary>
    public int Target(long offset, bool hasKey, ReadOnlySpan<byte> key)
    {
        int at = Counts.Count - 1;
        while (at > 0 && Counts[at].FromOffset > offset)
        {
            at--;
        }
        int count = Counts[at].Count;
        int target = hasKey ? Partitioner.Target(key, count) : (int)(offset % count);
        return offset < Resume[target] || IsRefused(offset) ? -1 : target;
    }

    private bool IsRefused(long offset)
    {
        int low = 0;
        int high = Refused.Count;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (Refused[middle] < offset)
            {
                low = middle + 1;
            }
            else
            {
                high = middle;
            }
        }
        return low < Refused.Count && Refused[low] == offset;
    }
}
