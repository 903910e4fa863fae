using System.Runtime.InteropServices;

namespace Tributary.Broker.Groups;

/// <summary>Whose transaction is to commit an offset, and of which partition.</summary>
/// <param name="ProducerId">The producer.</param>
/// <param name="Partition">The partition.</param>
public readonly record struct PendingKey(long ProducerId, GroupPartition Partition);

/// <summary>An offset that becomes the group's when its transaction commits.</summary>
/// <param name="Offset">The offset.</param>
/// <param name="TransactionVersion">The coordinator's version of the transaction by then: only a later decision ends it.</param>
public sealed record PendingOffset(CommittedOffset Offset, int TransactionVersion);

/// <summary>
/// The offsets of a group that open transactions are to commit, as they are stored. Used by one thread at a time, as
/// <see cref="GroupOffsets"/> is.
/// </summary>
internal sealed class PendingOffsets
{
    private const int EntryBytes = 32;
    private readonly Dictionary<PendingKey, PendingOffset> _pending = [];

    /// <summary>How many transactions are to commit an offset of a partition.</summary>
    private readonly Dictionary<GroupPartition, int> _partitions = [];

    public int Count => _pending.Count;

    /// <summary>About what they take, as <see cref="GroupOffsets.Bytes"/>.</summary>
    public long Bytes { get; private set; }

    public static long BytesOf(PendingKey key, PendingOffset offset) => EntryBytes + GroupOffsets.BytesOf(key.Partition, offset.Offset);

    /// <summary>Whether an open transaction is to commit an offset of a partition (KIP-447).</summary>
    public bool Has(GroupPartition partition) => _partitions.ContainsKey(partition);

    public bool Has(PendingKey key) => _pending.ContainsKey(key);

    /// <summary>What transactions are to commit of partitions.</summary>
    public List<PendingKey> KeysOf(Func<GroupPartition, PendingOffset, bool> isWanted) =>
        [.. _pending.Where(one => isWanted(one.Key.Partition, one.Value)).Select(one => one.Key)];

    /// <summary>What a producer's transaction is to commit, if a decision of a coordinator's version is on it.</summary>
    public List<KeyValuePair<PendingKey, PendingOffset>> Of(long producerId, int decision) =>
        [.. _pending.Where(one => one.Key.ProducerId == producerId && one.Value.TransactionVersion < decision)];

    public void Set(PendingKey key, PendingOffset offset)
    {
        ref PendingOffset? entry = ref CollectionsMarshal.GetValueRefOrAddDefault(_pending, key, out bool isThere);
        Bytes += BytesOf(key, offset) - (isThere ? BytesOf(key, entry!) : 0);
        entry = offset;
        if (!isThere)
        {
            CollectionsMarshal.GetValueRefOrAddDefault(_partitions, key.Partition, out _)++;
        }
    }

    /// <summary>Takes changes over; null is for one that is gone.</summary>
    public void Apply(IEnumerable<KeyValuePair<PendingKey, PendingOffset?>> changes)
    {
        foreach ((PendingKey key, PendingOffset? offset) in changes)
        {
            if (offset is not null)
            {
                Set(key, offset);
            }
            else if (_pending.Remove(key, out PendingOffset? gone))
            {
                Bytes -= BytesOf(key, gone);
                ref int count = ref CollectionsMarshal.GetValueRefOrNullRef(_partitions, key.Partition);
                if (--count == 0)
                {
                    _partitions.Remove(key.Partition);
                }
            }
        }
    }

    public void Clear()
    {
        _pending.Clear();
        _partitions.Clear();
        Bytes = 0;
    }
}
