namespace Tributary.Broker.Groups.Modern;

/// <summary>Says which member of a group shall have which partition. Pure; the same input has the same outcome.</summary>
internal interface IPartitionAssignor
{
    /// <summary>What clients call it.</summary>
    string Name { get; }

    /// <summary>Assigns every partition of every topic that somebody reads.</summary>
    /// <param name="members">The members in a fixed order.</param>
    /// <param name="topics">All topics that they read.</param>
    /// <returns>What each member shall have, in their order.</returns>
    HashSet<AssignedPartition>[] Assign(IReadOnlyList<AssignorMember> members, IReadOnlyList<AssignableTopic> topics);
}

/// <summary>A member as assignors see it.</summary>
/// <param name="Topics">Ids of the topics that it reads.</param>
/// <param name="Current">What it was to have before.</param>
internal readonly record struct AssignorMember(HashSet<Guid> Topics, HashSet<AssignedPartition> Current)
{
    /// <summary>The numbers of the members that read each topic, in their order.</summary>
    public static Dictionary<Guid, List<int>> ReadersOf(IReadOnlyList<AssignorMember> members)
    {
        var readers = new Dictionary<Guid, List<int>>();
        for (int i = 0; i < members.Count; i++)
        {
            foreach (Guid topic in members[i].Topics)
            {
                if (!readers.TryGetValue(topic, out List<int>? of))
                {
                    readers.Add(topic, of = []);
                }
                of.Add(i);
            }
        }
        return readers;
    }
}

/// <summary>A topic to be assigned.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Partitions">How many partitions it has.</param>
internal readonly record struct AssignableTopic(Guid Id, int Partitions);

/// <summary>The assignors that clients may choose from (<c>group.consumer.assignors</c>), the default first.</summary>
internal static class PartitionAssignors
{
    private static readonly IPartitionAssignor[] All = [new UniformAssignor(), new RangeAssignor()];

    public static IPartitionAssignor Default => All[0];

    public static string Names => string.Join(", ", All.Select(assignor => assignor.Name));

    public static IPartitionAssignor? Find(string name) => All.FirstOrDefault(assignor => assignor.Name == name);
}
