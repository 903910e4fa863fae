namespace Tributary.Broker.Groups.Modern;

/// <summary>
/// Gives each reader of a topic a range of its partitions, in the members' order: topics with the same readers and as many partitions are
/// cut at the same places, so that what has the same key is read by the same member.
/// </summary>
internal sealed class RangeAssignor : IPartitionAssignor
{
    /// <inheritdoc/>
    public string Name => "range";

    /// <inheritdoc/>
    public HashSet<AssignedPartition>[] Assign(IReadOnlyList<AssignorMember> members, IReadOnlyList<AssignableTopic> topics)
    {
        HashSet<AssignedPartition>[] assigned = [.. members.Select(_ => new HashSet<AssignedPartition>())];
        Dictionary<Guid, List<int>> readersOf = AssignorMember.ReadersOf(members);
        foreach (AssignableTopic topic in topics)
        {
            List<int> readers = readersOf.GetValueOrDefault(topic.Id, []);
            int next = 0;
            for (int i = 0; i < readers.Count; i++)
            {
                int count = (topic.Partitions / readers.Count) + (i < topic.Partitions % readers.Count ? 1 : 0);
                for (int end = next + count; next < end; next++)
                {
                    assigned[readers[i]].Add(new AssignedPartition(topic.Id, next));
                }
            }
        }
        return assigned;
    }
}
