using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;

namespace Tributary.Broker.Groups;

/// <summary>A partition that a group reads.</summary>
/// <param name="Topic">Name of its topic.</param>
/// <param name="Partition">Its number.</param>
public readonly record struct GroupPartition(string Topic, int Partition);

/// <summary>How far a group has read a partition.</summary>
/// <param name="Offset">The next offset to read.</param>
/// <param name="LeaderEpoch">Leader epoch of the record before it, −1 if unknown.</param>
/// <param name="Metadata">What the client wanted to find with it.</param>
/// <param name="TopicId">Id of the topic by then: a topic that was made anew under the name begins without offsets.</param>
/// <param name="CommittedAt">Unix milliseconds.</param>
/// <param name="ExpiresAt">Unix milliseconds, if the client said so (OffsetCommit up to version 4); null for the broker's retention.</param>
public sealed record CommittedOffset(long Offset, int LeaderEpoch, string Metadata, Guid TopicId, long CommittedAt, long? ExpiresAt);

/// <summary>
/// The stored offsets of a group in memory. Used by one thread at a time; what is in it is durable, since its host puts in what is stored.
/// </summary>
internal sealed class GroupOffsets
{
    private const int EntryBytes = 64;
    private readonly Dictionary<GroupPartition, CommittedOffset> _offsets = [];

    /// <summary>How many there are.</summary>
    public int Count => _offsets.Count;

    /// <summary>About what they take: as <see cref="GroupOptions.MaxOffsetBytes"/> counts it.</summary>
    public long Bytes { get; private set; }

    public IReadOnlyDictionary<GroupPartition, CommittedOffset> All => _offsets;

    public static long BytesOf(GroupPartition partition, CommittedOffset offset) =>
        EntryBytes + partition.Topic.Length + offset.Metadata.Length;

    public bool TryGet(GroupPartition partition, [NotNullWhen(true)] out CommittedOffset? offset) =>
        _offsets.TryGetValue(partition, out offset);

    public void Set(GroupPartition partition, CommittedOffset offset)
    {
        ref CommittedOffset? entry = ref CollectionsMarshal.GetValueRefOrAddDefault(_offsets, partition, out bool isThere);
        Bytes += BytesOf(partition, offset) - (isThere ? BytesOf(partition, entry!) : 0);
        entry = offset;
    }

    /// <summary>Takes changes over; null is for an offset that is gone.</summary>
    public void Apply(IEnumerable<KeyValuePair<GroupPartition, CommittedOffset?>> changes)
    {
        foreach ((GroupPartition partition, CommittedOffset? offset) in changes)
        {
            if (offset is not null)
            {
                Set(partition, offset);
            }
            else if (_offsets.Remove(partition, out CommittedOffset? gone))
            {
                Bytes -= BytesOf(partition, gone);
            }
        }
    }

    public void Clear()
    {
        _offsets.Clear();
        Bytes = 0;
    }

    /// <summary>
    /// The offsets that are kept no longer, by Kafka's rules (KIP-211): of an empty group that had members those of retention since it
    /// became empty; of a group that never had any, and of topics that the members of a stable group don't read, retention since the
    /// commit. A client's own expiry goes before.
    /// </summary>
    public List<GroupPartition> FindExpired(IGroupMachine group, TimeSpan retention, long now)
    {
        bool hadMembers = group.ProtocolType is not null;
        bool isEmpty = group.State == GroupState.Empty;
        if (!isEmpty && !(group.State == GroupState.Stable && group.KnowsSubscriptions))
        {
            return [];
        }
        var expired = new List<GroupPartition>();
        foreach ((GroupPartition partition, CommittedOffset offset) in _offsets)
        {
            long since = isEmpty && hadMembers ? Math.Max(group.Since, offset.CommittedAt) : offset.CommittedAt;
            long end = offset.ExpiresAt ?? since + (long)retention.TotalMilliseconds;
            if (end <= now && !group.MayRead(partition.Topic))
            {
                expired.Add(partition);
            }
        }
        return expired;
    }
}
