namespace Tributary.Broker.Groups.Modern;

/// <summary>
/// Gives everybody as much as everybody else, and takes as little away as that needs. Where all members read the same topics, their shares
/// differ by at most one partition. Where they don't, partitions move from readers of a topic that have more to readers of it that have
/// less, until no such move helps or <see cref="MaxRounds"/> are over.
/// </summary>
internal sealed class UniformAssignor : IPartitionAssignor
{
    private const int MaxRounds = 16;

    /// <inheritdoc/>
    public string Name => "uniform";

    /// <inheritdoc/>
    public HashSet<AssignedPartition>[] Assign(IReadOnlyList<AssignorMember> members, IReadOnlyList<AssignableTopic> topics)
    {
        HashSet<AssignedPartition>[] assigned = [.. members.Select(_ => new HashSet<AssignedPartition>())];
        if (members.Count == 0)
        {
            return assigned;
        }
        Keep(members, topics, assigned);
        bool isSame = members.All(member => member.Topics.SetEquals(members[0].Topics));
        if (isSame)
        {
            Share(topics, assigned);
        }
        else
        {
            Spread(members, topics, assigned);
        }
        return assigned;
    }

    /// <summary>Everybody keeps what it may; of two that were to have the same, the first does.</summary>
    private static void Keep(
        IReadOnlyList<AssignorMember> members, IReadOnlyList<AssignableTopic> topics, HashSet<AssignedPartition>[] assigned)
    {
        var counts = topics.ToDictionary(topic => topic.Id, topic => topic.Partitions);
        var taken = new HashSet<AssignedPartition>();
        for (int i = 0; i < assigned.Length; i++)
        {
            foreach (AssignedPartition partition in members[i].Current)
            {
                bool isThere = (uint)partition.Partition < (uint)counts.GetValueOrDefault(partition.Topic);
                if (isThere && members[i].Topics.Contains(partition.Topic) && taken.Add(partition))
                {
                    assigned[i].Add(partition);
                }
            }
        }
    }

    private static IEnumerable<AssignedPartition> PartitionsOf(AssignableTopic topic) =>
        Enumerable.Range(0, topic.Partitions).Select(partition => new AssignedPartition(topic.Id, partition));

    /// <summary>Equal shares where everybody may have everything.</summary>
    private static void Share(IReadOnlyList<AssignableTopic> topics, HashSet<AssignedPartition>[] assigned)
    {
        int all = topics.Sum(topic => topic.Partitions);
        int share = all / assigned.Length;
        int larger = all % assigned.Length; // so many have one more
        foreach (HashSet<AssignedPartition> of in assigned)
        {
            int most = share;
            if (of.Count > share && larger > 0)
            {
                most++;
                larger--;
            }
            if (of.Count > most)
            {
                of.ExceptWith(of.Order().Skip(most).ToArray());
            }
        }
        var taken = assigned.SelectMany(of => of).ToHashSet();
        var free = new Queue<AssignedPartition>(topics.SelectMany(PartitionsOf).Where(partition => !taken.Contains(partition)));
        foreach (HashSet<AssignedPartition> of in assigned)
        {
            while (of.Count < share)
            {
                of.Add(free.Dequeue());
            }
        }
        foreach (HashSet<AssignedPartition> of in assigned.Where(of => of.Count == share))
        {
            if (!free.TryDequeue(out AssignedPartition partition))
            {
                return;
            }
            of.Add(partition);
        }
    }

    /// <summary>Shares as equal as the subscriptions allow.</summary>
    private static void Spread(
        IReadOnlyList<AssignorMember> members, IReadOnlyList<AssignableTopic> topics, HashSet<AssignedPartition>[] assigned)
    {
        Dictionary<Guid, List<int>> readersOf = AssignorMember.ReadersOf(members);
        var readers = topics
            .Select(topic => (Topic: topic, Members: readersOf.GetValueOrDefault(topic.Id, []).ToArray()))
            .Where(topic => topic.Members.Length > 0)
            .OrderBy(topic => topic.Members.Length) // whom few may have goes first, others make up for it
            .ToArray();
        var taken = assigned.SelectMany(of => of).ToHashSet();
        foreach ((AssignableTopic topic, int[] may) in readers)
        {
            foreach (AssignedPartition partition in PartitionsOf(topic).Where(partition => !taken.Contains(partition)))
            {
                assigned[may.MinBy(i => assigned[i].Count)].Add(partition);
            }
        }
        bool hasMoved = true;
        for (int round = 0; hasMoved && round < MaxRounds; round++)
        {
            hasMoved = false;
            foreach ((AssignableTopic topic, int[] may) in readers)
            {
                hasMoved |= Balance(topic, may, assigned);
            }
        }
    }

    /// <summary>Moves partitions of one topic from its reader with the most to the one with the least, while that makes them more equal.</summary>
    private static bool Balance(AssignableTopic topic, int[] may, HashSet<AssignedPartition>[] assigned)
    {
        bool hasMoved = false;
        var owned = may.ToDictionary(i => i, i => new Stack<AssignedPartition>(assigned[i].Where(partition => partition.Topic == topic.Id).Order()));
        while (true)
        {
            int least = may.MinBy(i => assigned[i].Count);
            int[] givers = [.. may.Where(i => owned[i].Count > 0)];
            if (givers.Length == 0)
            {
                return hasMoved;
            }
            int most = givers.MaxBy(i => assigned[i].Count);
            if (assigned[most].Count - assigned[least].Count < 2)
            {
                return hasMoved;
            }
            AssignedPartition partition = owned[most].Pop();
            assigned[most].Remove(partition);
            assigned[least].Add(partition);
            owned[least].Push(partition);
            hasMoved = true;
        }
    }
}
