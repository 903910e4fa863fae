namespace Tributary.Broker.Groups;

/// <summary>
/// Where groups and their offsets are kept. Only a compare-and-swap on a group's version decides: whoever writes says which version it
/// has read. Callable from any thread.
/// </summary>
public interface IGroupStore
{
    /// <summary>Reads a group with all its offsets; null if there is none.</summary>
    Task<StoredGroup?> LoadAsync(string group);

    /// <summary>Writes a group's changes, all or none. When it returns they are durable.</summary>
    /// <returns>The group's new version.</returns>
    /// <exception cref="GroupConflictException">Somebody else has written the group: what the caller knows of it is out of date.</exception>
    /// <exception cref="GroupLimitException">The group would be one too many.</exception>
    Task<long> WriteAsync(GroupWrite write);

    /// <summary>Up to <paramref name="count"/> groups in the order of their ids, those behind <paramref name="after"/>.</summary>
    Task<IReadOnlyList<GroupListing>> ListAsync(string? after, int count);

    /// <summary>Groups that have an offset of a topic, or shall have one if a transaction commits, as <see cref="ListAsync"/>.</summary>
    Task<IReadOnlyList<string>> ListReadersAsync(string topic, string? after, int count);

    /// <summary>
    /// Groups that have nothing, or an offset that was committed before a time (Unix milliseconds) or has its own expiry: those to look at
    /// for what is kept no longer.
    /// </summary>
    Task<IReadOnlyList<string>> ListAgedAsync(long committedBefore, string? after, int count);
}

/// <summary>A group as it is stored.</summary>
public sealed record StoredGroup(long Version, GroupRecord Record, IReadOnlyList<KeyValuePair<GroupPartition, CommittedOffset>> Offsets)
{
    /// <summary>What open transactions are to commit.</summary>
    public IReadOnlyList<KeyValuePair<PendingKey, PendingOffset>> Pending { get; init; } = [];
}

/// <summary>Changes of a group.</summary>
/// <param name="Group">Its id.</param>
/// <param name="Version">The version that the writer has read, 0 if there must be none yet.</param>
public sealed record GroupWrite(string Group, long Version)
{
    /// <summary>
    /// The writer's first write since it has read the group: the version rises, so that another one that has read the same fails.
    /// </summary>
    public bool IsFirst { get; init; }

    /// <summary>The new record; null if it stays as it is.</summary>
    public GroupRecord? Record { get; init; }

    /// <summary>Offsets that are new or changed.</summary>
    public IReadOnlyCollection<KeyValuePair<GroupPartition, CommittedOffset>> Offsets { get; init; } = [];

    /// <summary>Offsets that are to go.</summary>
    public IReadOnlyCollection<GroupPartition> Removed { get; init; } = [];

    /// <summary>What transactions are to commit, new or changed.</summary>
    public IReadOnlyCollection<KeyValuePair<PendingKey, PendingOffset>> Pending { get; init; } = [];

    /// <summary>What transactions that have ended were to commit.</summary>
    public IReadOnlyCollection<PendingKey> RemovedPending { get; init; } = [];

    /// <summary>The group is to go, with all it has.</summary>
    public bool Deletes { get; init; }
}

/// <summary>Somebody else has written a group.</summary>
public sealed class GroupConflictException(string group) : Exception($"group '{group}' was changed by somebody else");

/// <summary>There are as many groups as allowed.</summary>
public sealed class GroupLimitException(string group, int most)
    : Exception($"group '{group}' would be one too many: groups:maxGroups is {most}");
