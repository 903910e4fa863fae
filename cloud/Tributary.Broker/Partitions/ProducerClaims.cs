using System.Runtime.InteropServices;
using Tributary.Log;

namespace Tributary.Broker.Partitions;

/// <summary>
/// Which process may write to a partition under which producer id, as far as processes claim theirs. A producer id stands in a data
/// directory; that can be copied, and then two processes would number different records alike, and those of one would pass for duplicates
/// of the other's. Here the later one wins, and the other one is refused until it has asked and learned of it. It also keeps out what a
/// dead process has left in a socket. Called under the partition's lock. A crash leaves nothing, and neither does a change of leader:
/// whoever has claimed is refused then, and claims again.
/// </summary>
internal sealed class ProducerClaims
{
    /// <summary>Claims of one partition; when there are more, all must claim again.</summary>
    internal const int MaxClaims = 65_536;

    private Dictionary<long, Claimant>? _claimants;

    /// <summary>Gives the producer id to <paramref name="claimant"/>, unless another process has it that isn't an earlier one.</summary>
    /// <returns>Who has it now.</returns>
    public Guid Claim(long producerId, Claimant claimant)
    {
        _claimants ??= [];
        if (_claimants.Count >= MaxClaims && !_claimants.ContainsKey(producerId))
        {
            _claimants.Clear();
        }
        ref Claimant holder = ref CollectionsMarshal.GetValueRefOrAddDefault(_claimants, producerId, out bool exists);
        if (!exists || claimant.Start > holder.Start)
        {
            holder = claimant;
        }
        return holder.Incarnation;
    }

    /// <summary>
    /// Whether a batch may be appended: its sender has claimed its producer id, or nobody has and the sender claims none at all.
    /// </summary>
    public bool Allow(BatchSender sender)
    {
        if (sender.ProducerId < 0 || (_claimants is null && sender.Incarnation == Guid.Empty))
        {
            return true;
        }
        return _claimants is not null && _claimants.TryGetValue(sender.ProducerId, out Claimant holder)
            ? holder.Incarnation == sender.Incarnation
            : sender.Incarnation == Guid.Empty;
    }

    /// <summary>Forgets all claims: another node may have given them to others since.</summary>
    public void Clear() => _claimants = null;
}

/// <summary>A process that claims producer ids.</summary>
/// <param name="Incarnation">The process, chosen at random.</param>
/// <param name="Start">How often its data directory was in use by then.</param>
internal readonly record struct Claimant(Guid Incarnation, long Start);

/// <summary>Who sends a batch.</summary>
/// <param name="ProducerId">Producer id, −1 for none.</param>
/// <param name="Incarnation">The process, zero if it doesn't claim its producer ids.</param>
/// <param name="IsTransactional">Whether the batch belongs to a transaction.</param>
/// <param name="ProducerEpoch">The batch's producer epoch.</param>
/// <param name="Verification">What <see cref="Partition.BeginVerification"/> gave out, 0 for nothing.</param>
internal readonly record struct BatchSender(
    long ProducerId, Guid Incarnation, bool IsTransactional = false, short ProducerEpoch = -1, long Verification = 0);

/// <summary>What a partition tells of producers.</summary>
/// <param name="Producers">What the log knows of them.</param>
/// <param name="ClaimedBy">Who may write under them, if somebody claimed them: another one than the claimant if any of them is
/// another's.</param>
internal readonly record struct DescribedProducers(ProducerSummary[] Producers, Guid ClaimedBy);
