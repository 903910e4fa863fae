using System.Collections.Concurrent;

namespace Tributary.Broker.Groups;

/// <summary>What the groups that this process works for are doing at this moment. Callable from any thread.</summary>
public sealed class GroupDirectory
{
    private readonly ConcurrentDictionary<string, GroupListing> _active = new(StringComparer.Ordinal);

    /// <summary>How many there are.</summary>
    public int Count => _active.Count;

    /// <summary>What a group does; null if nobody here works for it.</summary>
    public GroupListing? Find(string group) => _active.TryGetValue(group, out GroupListing listing) ? listing : null;

    /// <summary>How many of them are in a state.</summary>
    public int CountOf(GroupState state) => _active.Values.Count(group => group.State == state);

    internal void Set(GroupListing listing) => _active[listing.Id] = listing;

    internal void Remove(string group) => _active.TryRemove(group, out _);
}
