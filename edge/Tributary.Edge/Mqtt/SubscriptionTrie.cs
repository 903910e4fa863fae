using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using Tributary.Edge.Ingest;
using Tributary.Edge.Mqtt.Protocol;

namespace Tributary.Edge.Mqtt;

/// <summary>
/// All subscriptions, by the levels of their filters.
/// <para>Invariants: a node without subscriptions and children is not in the tree, except for the root; a session has at most one
/// subscription at a node, and one in each of its groups that share one.</para>
/// <para>Threads: any. Changes are made under a lock; matching takes none, and sees each change either whole or not at all. It visits at
/// most the nodes whose filters begin like the topic, whatever the number of subscriptions.</para>
/// </summary>
internal sealed class SubscriptionTrie
{
    /// <summary>About what a subscription takes, and what a level of its filter takes if no other filter has it.</summary>
    private const int SubscriptionBytes = 256;
    private const int LevelBytes = 448;

    private readonly Lock _lock = new();
    private readonly Node _root = new();
    private int _count;
    private int _special;

    /// <summary>Bytes that a subscription to the filter takes at most, about.</summary>
    public static long CostOf(ReadOnlySpan<byte> filter) =>
        SubscriptionBytes + (2L * filter.Length) + (LevelBytes * (1L + filter.Count(TopicRules.Separator)));

    /// <summary>Subscriptions.</summary>
    public int Count => Volatile.Read(ref _count);

    /// <summary>Whether there are subscriptions that have to be looked at when a message comes: durable or shared ones.</summary>
    public bool HasSpecial => Volatile.Read(ref _special) > 0;

    /// <summary>Adds a subscription in place of the session's one with the same filter.</summary>
    public void Add(Subscription subscription)
    {
        lock (_lock)
        {
            Node node = _root;
            ReadOnlySpan<byte> rest = subscription.Filter;
            for (bool more = true; more;)
            {
                node = node.GetOrAdd(TopicRules.NextLevel(ref rest, out more));
            }
            if (subscription.IsShared)
            {
                SharedGroup group = node.GetOrAddGroup(subscription.Group);
                group.Members = Replace(group.Members, subscription);
            }
            else
            {
                node.Subscriptions = Replace(node.Subscriptions, subscription);
            }
        }
    }

    /// <summary>Removes a subscription.</summary>
    /// <returns>Whether one of its session was there.</returns>
    public bool Remove(Subscription subscription)
    {
        lock (_lock)
        {
            return Remove(_root, subscription.Filter, more: true, subscription);
        }
    }

    /// <summary>The group that shares a subscription, null if nobody does.</summary>
    public SharedGroup? FindGroup(ReadOnlySpan<byte> filter, ReadOnlySpan<byte> name)
    {
        Node? node = _root;
        for (bool more = true; more && node is not null;)
        {
            node = node.FindLiterally(TopicRules.NextLevel(ref filter, out more));
        }
        foreach (SharedGroup group in node?.Groups ?? [])
        {
            if (name.SequenceEqual(group.Name))
            {
                return group;
            }
        }
        return null;
    }

    /// <summary>Whether anybody subscribed to the topic.</summary>
    public bool HasMatch(ReadOnlySpan<byte> topic) =>
        Count > 0 && Match(_root, topic, more: true, wildcards: topic[0] != TopicRules.Reserved, null);

    /// <summary>Adds all subscriptions that match the topic.</summary>
    public void Match(ReadOnlySpan<byte> topic, Matches matches)
    {
        if (Count > 0)
        {
            Match(_root, topic, more: true, wildcards: topic[0] != TopicRules.Reserved, matches);
        }
    }

    /// <param name="node">Matches the levels before <paramref name="rest"/>.</param>
    /// <param name="rest">The levels that are left.</param>
    /// <param name="more">Whether there are any; an empty rest with more to come is an empty level.</param>
    /// <param name="wildcards">Whether wildcards may match the next level.</param>
    /// <param name="matches">Where matches go; null to stop at the first one.</param>
    private static bool Match(Node node, ReadOnlySpan<byte> rest, bool more, bool wildcards, Matches? matches)
    {
        // "a/#" matches "a" too.
        if (wildcards && node.MultiLevel is { } all && Found(all, matches))
        {
            return true;
        }
        if (!more)
        {
            return Found(node, matches);
        }
        ReadOnlySpan<byte> level = TopicRules.NextLevel(ref rest, out more);
        if (node.Find(level) is { } same && Match(same, rest, more, wildcards: true, matches))
        {
            return true;
        }
        return wildcards && node.SingleLevel is { } any && Match(any, rest, more, wildcards: true, matches);
    }

    /// <returns>Whether it is enough.</returns>
    private static bool Found(Node node, Matches? matches)
    {
        Subscription[] subscriptions = node.Subscriptions;
        SharedGroup[] groups = node.Groups;
        if (subscriptions.Length == 0 && groups.Length == 0)
        {
            return false;
        }
        matches?.Add(subscriptions, groups);
        return matches is null;
    }

    private bool Remove(Node node, ReadOnlySpan<byte> rest, bool more, Subscription subscription)
    {
        if (!more)
        {
            return RemoveHere(node, subscription);
        }
        ReadOnlySpan<byte> level = TopicRules.NextLevel(ref rest, out more);
        if (node.FindLiterally(level) is not { } child || !Remove(child, rest, more, subscription))
        {
            return false;
        }
        if (child.IsEmpty)
        {
            node.Remove(level);
        }
        return true;
    }

    private bool RemoveHere(Node node, Subscription subscription)
    {
        if (!subscription.IsShared)
        {
            Subscription[] left = Without(node.Subscriptions, subscription);
            bool found = left.Length < node.Subscriptions.Length;
            node.Subscriptions = left;
            return found;
        }
        if (Array.Find(node.Groups, group => group.Name.AsSpan().SequenceEqual(subscription.Group)) is not { } group)
        {
            return false;
        }
        Subscription[] members = Without(group.Members, subscription);
        bool wasMember = members.Length < group.Members.Length;
        group.Members = members;
        if (members.Length == 0)
        {
            node.Groups = Array.FindAll(node.Groups, other => !ReferenceEquals(other, group));
        }
        return wasMember;
    }

    /// <summary>Called under the lock.</summary>
    private Subscription[] Replace(Subscription[] before, Subscription subscription)
    {
        int at = Array.FindIndex(before, other => ReferenceEquals(other.Session, subscription.Session));
        Changed(subscription, 1);
        if (at < 0)
        {
            return [.. before, subscription];
        }
        Changed(before[at], -1);
        Subscription[] after = [.. before];
        after[at] = subscription;
        return after;
    }

    /// <summary>Called under the lock.</summary>
    private Subscription[] Without(Subscription[] before, Subscription subscription)
    {
        Subscription? removed = Array.Find(before, other => ReferenceEquals(other.Session, subscription.Session));
        if (removed is not null)
        {
            Changed(removed, -1);
        }
        return Array.FindAll(before, other => !ReferenceEquals(other, removed));
    }

    private void Changed(Subscription subscription, int change)
    {
        Volatile.Write(ref _count, _count + change);
        if (subscription.IsDurable || subscription.IsShared)
        {
            Volatile.Write(ref _special, _special + change);
        }
    }

    /// <summary>A level of filters that begin alike.</summary>
    private sealed class Node
    {
        private ConcurrentDictionary<byte[], Node>? _children;
        private volatile Node? _singleLevel;
        private volatile Node? _multiLevel;
        private volatile Subscription[] _subscriptions = [];
        private volatile SharedGroup[] _groups = [];

        /// <summary>Subscriptions whose filter ends here.</summary>
        public Subscription[] Subscriptions
        {
            get => _subscriptions;
            set => _subscriptions = value;
        }

        /// <summary>Groups that share a subscription whose filter ends here.</summary>
        public SharedGroup[] Groups
        {
            get => _groups;
            set => _groups = value;
        }

        /// <summary>The next level <c>+</c>.</summary>
        public Node? SingleLevel => _singleLevel;

        /// <summary>The next level <c>#</c>.</summary>
        public Node? MultiLevel => _multiLevel;

        public bool IsEmpty =>
            _subscriptions.Length == 0 && _groups.Length == 0 && _singleLevel is null && _multiLevel is null && (_children is null || _children.IsEmpty);

        /// <summary>The next level of that name, wildcards not among them.</summary>
        public Node? Find(ReadOnlySpan<byte> level)
        {
            ConcurrentDictionary<byte[], Node>? children = Volatile.Read(ref _children);
            return children is not null && children.GetAlternateLookup<ReadOnlySpan<byte>>().TryGetValue(level, out Node? child)
                ? child : null;
        }

        /// <summary>The next level, a wildcard standing for itself.</summary>
        public Node? FindLiterally(ReadOnlySpan<byte> level) => level switch
        {
            [TopicRules.SingleLevel] => _singleLevel,
            [TopicRules.MultiLevel] => _multiLevel,
            _ => Find(level),
        };

        public SharedGroup GetOrAddGroup(byte[] name)
        {
            if (Array.Find(_groups, group => group.Name.AsSpan().SequenceEqual(name)) is { } known)
            {
                return known;
            }
            var made = new SharedGroup(name);
            _groups = [.. _groups, made];
            return made;
        }

        public Node GetOrAdd(ReadOnlySpan<byte> level)
        {
            switch (level)
            {
                case [TopicRules.SingleLevel]:
                    return _singleLevel ??= new Node();
                case [TopicRules.MultiLevel]:
                    return _multiLevel ??= new Node();
            }
            if (_children is null)
            {
                Volatile.Write(ref _children, new ConcurrentDictionary<byte[], Node>(1, 4, TopicComparer.Instance));
            }
            if (Find(level) is not { } child)
            {
                child = new Node();
                _children!.TryAdd(level.ToArray(), child);
            }
            return child;
        }

        public void Remove(ReadOnlySpan<byte> level)
        {
            switch (level)
            {
                case [TopicRules.SingleLevel]:
                    _singleLevel = null;
                    break;
                case [TopicRules.MultiLevel]:
                    _multiLevel = null;
                    break;
                default:
                    _children!.TryRemove(level.ToArray(), out _);
                    break;
            }
        }
    }
}

/// <summary>The subscriptions that a topic matched, used again and again by one thread.</summary>
internal sealed class Matches
{
    private const int KeptCapacity = 1024;
    private readonly List<Subscription> _subscriptions = [];
    private readonly List<SharedGroup> _groups = [];
    private int _nodes;

    /// <summary>What was found; each session's together after <see cref="Group"/>. Valid until the next change.</summary>
    public ReadOnlySpan<Subscription> Subscriptions => CollectionsMarshal.AsSpan(_subscriptions);

    /// <summary>Groups of which one member gets the message.</summary>
    public IReadOnlyList<SharedGroup> Groups => _groups;

    /// <summary>Adds the subscriptions of one filter.</summary>
    public void Add(Subscription[] subscriptions, SharedGroup[] groups)
    {
        if (subscriptions.Length > 0)
        {
            _nodes++;
            _subscriptions.AddRange(subscriptions);
        }
        if (groups.Length > 0)
        {
            _groups.AddRange(groups);
        }
    }

    /// <summary>Puts subscriptions of the same session beside each other.</summary>
    public void Group()
    {
        // Those of one filter are all of different sessions.
        if (_nodes > 1)
        {
            _subscriptions.Sort(static (one, other) => one.Session.Number.CompareTo(other.Session.Number));
        }
    }

    public void Clear()
    {
        _nodes = 0;
        _groups.Clear();
        _subscriptions.Clear();
        if (_subscriptions.Capacity > KeptCapacity)
        {
            _subscriptions.Capacity = 0;
        }
    }
}
