using System.Buffers.Binary;
using System.Security.Cryptography;
using Tributary.Broker.Metadata;

namespace Tributary.Broker.Groups.Modern;

/// <summary>What members read, the same for all that say the same.</summary>
/// <param name="topics">Names, sorted.</param>
/// <param name="pattern">An expression of names, empty for none.</param>
internal sealed class Subscription(string[] topics, string pattern)
{
    public string[] Topics { get; } = topics;

    public string Pattern { get; } = pattern;

    /// <summary>Members that have it.</summary>
    public int Members { get; set; }

    /// <summary>Ids of the topics that it is now, as of <see cref="IdsVersion"/>.</summary>
    public HashSet<Guid> Ids { get; set; } = [];

    public long IdsVersion { get; set; } = -1;
}

/// <summary>
/// What the members of a group subscribe to, each different subscription once, and the topics that this is now. A member that comes or goes
/// costs what its own subscription does: what is made of all of them is kept until one is new or the last of its kind, or topics change.
/// Not thread-safe.
/// </summary>
internal sealed class Subscriptions
{
    /// <summary>Shortest time between two looks for topics that expressions match, as they may cost more than a look at names.</summary>
    private const long PatternRefreshMs = 5000;

    private static readonly HashSet<string> Nothing = [];

    private readonly Dictionary<Subscription, Subscription> _subscriptions = new(SameWords.Instance);
    private readonly Dictionary<string, Expression> _expressions = new(StringComparer.Ordinal);

    /// <summary>Names, and how many subscriptions have each.</summary>
    private readonly Dictionary<string, int> _names = new(StringComparer.Ordinal);
    private IReadOnlyDictionary<string, TopicInfo> _topics = new Dictionary<string, TopicInfo>();
    private IReadOnlyDictionary<string, TopicInfo>? _matchedTopics;
    private long _matchedAt;

    /// <summary>Raised whenever a subscription may stand for other topics than before.</summary>
    private long _version;

    /// <summary>The topics that are read, by name, and what stands for them; null when they are to be looked for.</summary>
    private AssignableTopic[]? _read;
    private long _hash;

    /// <summary>Different subscriptions.</summary>
    public int Count => _subscriptions.Count;

    /// <summary>Different expressions.</summary>
    public int Expressions => _expressions.Count;

    /// <summary>The topics that exist now.</summary>
    public IReadOnlyDictionary<string, TopicInfo> Topics
    {
        get => _topics;
        set
        {
            if (!ReferenceEquals(value, _topics))
            {
                _topics = value;
                Renew();
            }
        }
    }

    /// <summary>All topics that are read, in the order of their names.</summary>
    public IReadOnlyList<AssignableTopic> Read
    {
        get
        {
            Look();
            return _read!;
        }
    }

    /// <summary>Stands for the topics that are read: the same topics with as many partitions have the same.</summary>
    public long Hash
    {
        get
        {
            Look();
            return _hash;
        }
    }

    /// <summary>A member subscribes.</summary>
    public Subscription Take(string[] topics, string pattern)
    {
        var taken = new Subscription(topics, pattern);
        if (_subscriptions.TryGetValue(taken, out Subscription? known))
        {
            taken = known;
        }
        else
        {
            _subscriptions.Add(taken, taken);
            Note(taken, 1);
        }
        taken.Members++;
        return taken;
    }

    /// <summary>A member doesn't any more.</summary>
    public void Release(Subscription subscription)
    {
        if (--subscription.Members == 0)
        {
            _subscriptions.Remove(subscription);
            Note(subscription, -1);
        }
    }

    /// <summary>Whether an expression would be one too many.</summary>
    /// <param name="pattern">The expression, empty for none.</param>
    /// <param name="most">So many there may be.</param>
    /// <param name="instead">The subscription that the same member has now, null if it has none.</param>
    public bool WouldExceed(string pattern, int most, Subscription? instead)
    {
        if (pattern.Length == 0 || _expressions.ContainsKey(pattern))
        {
            return false;
        }
        bool givesUp = instead is { Members: 1, Pattern: { Length: > 0 } before } && _expressions[before].Subscriptions == 1;
        return _expressions.Count - (givesUp ? 1 : 0) >= most;
    }

    /// <summary>Ids of the topics that a subscription is now; nobody changes them.</summary>
    public HashSet<Guid> IdsOf(Subscription subscription)
    {
        if (subscription.IdsVersion != _version)
        {
            var ids = new HashSet<Guid>();
            foreach (string name in subscription.Topics.Concat(MatchesOf(subscription.Pattern)))
            {
                if (_topics.TryGetValue(name, out TopicInfo? topic))
                {
                    ids.Add(topic.Id);
                }
            }
            (subscription.Ids, subscription.IdsVersion) = (ids, _version);
        }
        return subscription.Ids;
    }

    /// <summary>Whether somebody reads a topic.</summary>
    public bool Has(string topic) => _names.ContainsKey(topic) || _expressions.Keys.Any(pattern => MatchesOf(pattern).Contains(topic));

    /// <summary>Looks which topics expressions match now, if there may be others.</summary>
    /// <returns>Whether others do.</returns>
    public bool Refresh(Moment now)
    {
        if (ReferenceEquals(_topics, _matchedTopics) || (_matchedTopics is not null && now.Elapsed < _matchedAt + PatternRefreshMs))
        {
            return false;
        }
        (_matchedTopics, _matchedAt) = (_topics, now.Elapsed);
        bool isNews = false;
        foreach (Expression expression in _expressions.Values.Where(expression => expression.Matches is not null))
        {
            HashSet<string> matches = Match(expression.Pattern);
            isNews |= !matches.SetEquals(expression.Matches!);
            expression.Matches = matches;
        }
        if (isNews)
        {
            Renew();
        }
        return isNews;
    }

    private void Note(Subscription subscription, int change)
    {
        foreach (string name in subscription.Topics)
        {
            int count = _names.GetValueOrDefault(name) + change;
            _names[name] = count;
            if (count == 0)
            {
                _names.Remove(name);
            }
            if ((count == 0 || count == change) && _topics.ContainsKey(name))
            {
                _read = null;
            }
        }
        if (subscription.Pattern.Length > 0)
        {
            Note(subscription.Pattern, change);
            _read = null;
        }
    }

    private void Note(string pattern, int change)
    {
        if (!_expressions.TryGetValue(pattern, out Expression? expression))
        {
            _ = TopicPattern.TryParse(pattern, out TopicPattern? parsed, out _); // one that can't be read any more matches nothing
            expression = _expressions[pattern] = new Expression(parsed);
        }
        expression.Subscriptions += change;
        if (expression.Subscriptions == 0)
        {
            _expressions.Remove(pattern);
        }
    }

    private HashSet<string> MatchesOf(string pattern)
    {
        if (pattern.Length == 0)
        {
            return Nothing;
        }
        Expression expression = _expressions[pattern];
        return expression.Matches ??= Match(expression.Pattern);
    }

    private HashSet<string> Match(TopicPattern? pattern) => pattern is null ? Nothing : [.. _topics.Keys.Where(pattern.Matches)];

    private void Renew()
    {
        _version++;
        _read = null;
    }

    private void Look()
    {
        if (_read is not null)
        {
            return;
        }
        TopicInfo[] read =
        [
            .. _names.Keys.Concat(_expressions.Keys.SelectMany(MatchesOf)).Distinct(StringComparer.Ordinal)
                .Select(name => _topics.GetValueOrDefault(name)).OfType<TopicInfo>(),
        ];
        _hash = HashOf(read);
        _read =
        [
            .. read.OrderBy(topic => topic.Name, StringComparer.Ordinal)
                .Select(topic => new AssignableTopic(topic.Id, topic.Partitions.Length)),
        ];
    }

    private static long HashOf(TopicInfo[] read)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Span<byte> entry = stackalloc byte[20];
        foreach (TopicInfo topic in read.OrderBy(topic => topic.Id))
        {
            topic.Id.TryWriteBytes(entry);
            BinaryPrimitives.WriteInt32BigEndian(entry[16..], topic.Partitions.Length);
            hash.AppendData(entry);
        }
        return BinaryPrimitives.ReadInt64BigEndian(hash.GetHashAndReset());
    }

    /// <param name="pattern">What was understood of it, null if nothing was.</param>
    private sealed class Expression(TopicPattern? pattern)
    {
        public TopicPattern? Pattern { get; } = pattern;

        public int Subscriptions { get; set; }

        /// <summary>Names that it matched when they were looked at last; null before.</summary>
        public HashSet<string>? Matches { get; set; }
    }

    private sealed class SameWords : IEqualityComparer<Subscription>
    {
        public static readonly SameWords Instance = new();

        public bool Equals(Subscription? x, Subscription? y) =>
            x!.Pattern == y!.Pattern && x.Topics.AsSpan().SequenceEqual(y.Topics);

        public int GetHashCode(Subscription subscription)
        {
            var hash = new HashCode();
            hash.Add(subscription.Pattern);
            foreach (string topic in subscription.Topics)
            {
                hash.Add(topic);
            }
            return hash.ToHashCode();
        }
    }
}
