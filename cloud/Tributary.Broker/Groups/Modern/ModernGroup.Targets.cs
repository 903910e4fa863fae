using System.Buffers.Binary;
using System.Security.Cryptography;
using Tributary.Broker.Metadata;

namespace Tributary.Broker.Groups.Modern;

/// <content>What the members read, what each shall have, and the books.</content>
internal sealed partial class ModernGroup
{
    private static readonly HashSet<string> Nothing = [];

    private readonly Dictionary<string, (TopicPattern? Pattern, HashSet<string> Topics)> _patterns = new(StringComparer.Ordinal);
    private IReadOnlyDictionary<string, TopicInfo> _topics = new Dictionary<string, TopicInfo>();
    private IReadOnlyDictionary<string, TopicInfo>? _hashedTopics;
    private IReadOnlyDictionary<string, TopicInfo>? _matchedTopics;
    private long _matchedAt;
    private long _topicsHash;

    /// <summary>These topics exist now. To be told before each event.</summary>
    public void See(IReadOnlyDictionary<string, TopicInfo> topics) => _topics = topics;

    private static string[] Sorted(string[] names)
    {
        string[] sorted = [.. names.Distinct(StringComparer.Ordinal)];
        Array.Sort(sorted, StringComparer.Ordinal);
        return sorted;
    }

    /// <summary>Raises the group's epoch if there is reason to, makes targets of it, and takes the member one step towards its own.</summary>
    /// <returns>Whether what the member may use has changed.</returns>
    private bool Follow(Moment now, ModernMember member, bool isNews, HashSet<AssignedPartition>? owned)
    {
        isNews |= RefreshPatterns(now);
        if (isNews || !ReferenceEquals(_topics, _hashedTopics))
        {
            _hashedTopics = _topics;
            long hash = HashTopics();
            if (isNews || hash != _topicsHash)
            {
                _topicsHash = hash;
                Raise();
            }
        }
        if (Generation > TargetEpoch)
        {
            MakeTargets();
        }
        HashSet<AssignedPartition> before = member.Assigned;
        Unbook(member);
        bool hasMoved = Reconciliation.Advance(member, TargetEpoch, owned, partition => !_owners.ContainsKey(partition));
        Book(member);
        if (hasMoved)
        {
            Change(member);
            if (member.State == MemberState.Revoking)
            {
                ExpectRebalance(now, member);
            }
            else if (!member.IsClassic)
            {
                member.RebalanceDeadline = ConsumerGroup.Never;
            }
        }
        return !ReferenceEquals(before, member.Assigned) && !before.SetEquals(member.Assigned);
    }

    private void Raise()
    {
        Generation++;
        Changed();
    }

    private void MakeTargets()
    {
        ModernMember[] members =
        [
            .. _members.Values.OrderBy(member => member.InstanceId is null)
                .ThenBy(member => member.InstanceId ?? member.Id, StringComparer.Ordinal),
        ];
        var sets = new Dictionary<(string, string), HashSet<Guid>>();
        var read = new Dictionary<Guid, TopicInfo>();
        AssignorMember[] asked = [.. members.Select(member => new AssignorMember(TopicIdsOf(member, sets, read), member.Target))];
        AssignableTopic[] topics =
        [
            .. read.Values.OrderBy(topic => topic.Name, StringComparer.Ordinal)
                .Select(topic => new AssignableTopic(topic.Id, topic.Partitions.Length)),
        ];
        HashSet<AssignedPartition>[] targets = Assignor.Assign(asked, topics);
        for (int i = 0; i < members.Length; i++)
        {
            members[i].Target = targets[i];
        }
        TargetEpoch = Generation;
        Changed();
    }

    private HashSet<Guid> TopicIdsOf(
        ModernMember member, Dictionary<(string Names, string Pattern), HashSet<Guid>> sets, Dictionary<Guid, TopicInfo> read)
    {
        (string, string) key = (string.Concat(member.Topics.Select(name => $"{name.Length}:{name}")), member.Pattern);
        if (!sets.TryGetValue(key, out HashSet<Guid>? ids))
        {
            ids = [];
            foreach (string name in member.Topics.Concat(MatchesOf(member.Pattern)))
            {
                if (_topics.TryGetValue(name, out TopicInfo? topic))
                {
                    ids.Add(topic.Id);
                    read[topic.Id] = topic;
                }
            }
            sets.Add(key, ids);
        }
        return ids;
    }

    private HashSet<string> MatchesOf(string pattern)
    {
        if (pattern.Length == 0)
        {
            return Nothing;
        }
        if (!_patterns.TryGetValue(pattern, out (TopicPattern? Pattern, HashSet<string> Topics) known))
        {
            _ = TopicPattern.TryParse(pattern, out TopicPattern? parsed, out _); // one that can't be read any more matches nothing
            known = (parsed, Match(parsed));
            ForgetUnused();
            _patterns.Add(pattern, known);
        }
        return known.Topics;
    }

    private HashSet<string> Match(TopicPattern? pattern) => pattern is null ? Nothing : [.. _topics.Keys.Where(pattern.Matches)];

    /// <summary>Forgets expressions that nobody uses any more.</summary>
    private void ForgetUnused()
    {
        if (_patterns.Count == 0)
        {
            return;
        }
        var used = _members.Values.Select(member => member.Pattern).ToHashSet(StringComparer.Ordinal);
        foreach (string expression in _patterns.Keys.Where(expression => !used.Contains(expression)).ToArray())
        {
            _patterns.Remove(expression);
        }
    }

    /// <summary>Looks which topics match now, if there may be others.</summary>
    /// <returns>Whether others do.</returns>
    private bool RefreshPatterns(Moment now)
    {
        if (ReferenceEquals(_topics, _matchedTopics) || (_matchedTopics is not null && now.Elapsed < _matchedAt + PatternRefreshMs))
        {
            return false;
        }
        (_matchedTopics, _matchedAt) = (_topics, now.Elapsed);
        ForgetUnused();
        bool isNews = false;
        foreach ((string expression, (TopicPattern? Pattern, HashSet<string> Topics) known) in _patterns.ToArray())
        {
            HashSet<string> matches = Match(known.Pattern);
            isNews |= !matches.SetEquals(known.Topics);
            _patterns[expression] = (known.Pattern, matches);
        }
        _hashedTopics = null; // what they match counts in the hash
        return isNews;
    }

    /// <summary>Of all that members read: the same topics with as many partitions have the same hash.</summary>
    private long HashTopics()
    {
        var sets = new Dictionary<(string, string), HashSet<Guid>>();
        var read = new Dictionary<Guid, TopicInfo>();
        foreach (ModernMember member in _members.Values)
        {
            TopicIdsOf(member, sets, read);
        }
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Span<byte> entry = stackalloc byte[20];
        foreach (TopicInfo topic in read.Values.OrderBy(topic => topic.Id))
        {
            topic.Id.TryWriteBytes(entry);
            BinaryPrimitives.WriteInt32BigEndian(entry[16..], topic.Partitions.Length);
            hash.AppendData(entry);
        }
        return BinaryPrimitives.ReadInt64BigEndian(hash.GetHashAndReset());
    }

    private void Add(ModernMember member)
    {
        _members.Add(member.Id, member);
        Count(member);
    }

    /// <summary>Keeps the books on a member's words; to be called after they have changed, and <see cref="Uncount"/> before.</summary>
    private void Count(ModernMember member)
    {
        if (_members.GetValueOrDefault(member.Id) == member)
        {
            _bytes += member.Bytes;
            if (member.InstanceId is { } instance)
            {
                _statics[instance] = member;
            }
        }
    }

    private void Uncount(ModernMember member)
    {
        if (_members.GetValueOrDefault(member.Id) == member)
        {
            _bytes -= member.Bytes;
            if (member.InstanceId is { } instance)
            {
                _statics.Remove(instance);
            }
        }
    }

    private void Book(ModernMember member)
    {
        foreach (AssignedPartition partition in member.Assigned.Concat(member.Revoking))
        {
            if (!_owners.TryAdd(partition, member))
            {
                throw new InvalidOperationException(
                    $"partition {partition.Partition} of topic {partition.Topic} would have two owners: {_owners[partition].Id} and {member.Id}");
            }
        }
    }

    private void Unbook(ModernMember member)
    {
        foreach (AssignedPartition partition in member.Assigned.Concat(member.Revoking))
        {
            _owners.Remove(partition);
        }
    }

    /// <summary>Puts a static member that is back in the place of the one that it was.</summary>
    private ModernMember Replace(ModernMember before, string id)
    {
        ModernMember member = before.Under(id);
        Take(before);
        Add(member);
        Book(member);
        Change(member);
        return member;
    }

    private void Remove(Moment now, ModernMember member)
    {
        Take(member);
        Generation++;
        if (_members.Count == 0)
        {
            (TargetEpoch, Since) = (Generation, now.Unix);
        }
        Changed();
    }

    private void Take(ModernMember member)
    {
        Unbook(member);
        Uncount(member);
        _members.Remove(member.Id);
    }

    private GroupState FindState() =>
        _members.Count == 0 ? GroupState.Empty
        : Generation > TargetEpoch ? GroupState.Assigning
        : _members.Values.Any(member => member.State != MemberState.Stable || member.Epoch != TargetEpoch) ? GroupState.Reconciling
        : GroupState.Stable;

    /// <summary>Something has changed that must be stored.</summary>
    private void Changed()
    {
        UnstoredNumber++;
        (_unstored, _state) = (null, null);
    }

    /// <summary>Something of a member has, so it is told nothing before that is.</summary>
    private void Change(ModernMember member)
    {
        Changed();
        member.ChangedIn = UnstoredNumber;
    }

    private GroupRecord ToRecord() => new()
    {
        Generation = Generation,
        ProtocolType = ProtocolType,
        Since = Since,
        Modern = new ModernGroupRecord
        {
            Epoch = Generation,
            TargetEpoch = TargetEpoch,
            TopicsHash = _topicsHash,
            Members = [.. _members.Values.Select(member => member.ToRecord())],
        },
    };

    private void Touch(Moment now, ModernMember member)
    {
        member.SessionDeadline = now.Elapsed + (member.Classic?.SessionTimeoutMs ?? (long)_options.ConsumerSessionTimeout.TotalMilliseconds);
        WakeBy(member.SessionDeadline);
    }

    private void ExpectRebalance(Moment now, ModernMember member)
    {
        member.RebalanceDeadline = now.Elapsed + member.RebalanceTimeoutMs;
        WakeBy(member.RebalanceDeadline);
    }

    private void WakeBy(long deadline) => NextDeadline = Math.Min(NextDeadline, deadline);
}
