using Tributary.Broker.Metadata;

namespace Tributary.Broker.Groups.Modern;

/// <content>What the members read, what each shall have, and the books.</content>
internal sealed partial class ModernGroup
{
    private readonly Subscriptions _subscriptions = new();

    /// <summary>In the order in which assignors see them: static members by name, then the others by id.</summary>
    private readonly SortedSet<ModernMember> _ordered = new(Comparer<ModernMember>.Create(Compare));
    private IReadOnlyDictionary<string, TopicInfo>? _hashedTopics;
    private long _topicsHash;

    private IReadOnlyDictionary<string, TopicInfo> _topics => _subscriptions.Topics;

    /// <summary>These topics exist now. To be told before each event.</summary>
    public void See(IReadOnlyDictionary<string, TopicInfo> topics) => _subscriptions.Topics = topics;

    private static int Compare(ModernMember a, ModernMember b) =>
        (a.InstanceId is null).CompareTo(b.InstanceId is null) is not 0 and var kind
            ? kind
            : string.CompareOrdinal(a.InstanceId ?? a.Id, b.InstanceId ?? b.Id);

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
        isNews |= _subscriptions.Refresh(now);
        if (isNews || !ReferenceEquals(_topics, _hashedTopics))
        {
            _hashedTopics = _topics;
            long hash = _subscriptions.Hash;
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
        ModernMember[] members = [.. _ordered];
        AssignorMember[] asked =
            [.. members.Select(member => new AssignorMember(_subscriptions.IdsOf(member.Subscription!), member.Target))];
        HashSet<AssignedPartition>[] targets = Assignor.Assign(asked, _subscriptions.Read);
        for (int i = 0; i < members.Length; i++)
        {
            if (!targets[i].SetEquals(members[i].Target))
            {
                members[i].Target = targets[i];
            }
        }
        TargetEpoch = Generation;
        Changed();
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
            member.Subscription = _subscriptions.Take(member.Topics, member.Pattern);
            _ordered.Add(member);
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
            _subscriptions.Release(member.Subscription!);
            member.Subscription = null;
            _ordered.Remove(member);
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
