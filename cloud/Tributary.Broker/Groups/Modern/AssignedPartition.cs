namespace Tributary.Broker.Groups.Modern;

/// <summary>A partition as groups of the newer protocol know it: a topic that is made anew under its name is another one.</summary>
/// <param name="Topic">Id of its topic.</param>
/// <param name="Partition">Its number.</param>
internal readonly record struct AssignedPartition(Guid Topic, int Partition) : IComparable<AssignedPartition>
{
    public int CompareTo(AssignedPartition other) =>
        Topic.CompareTo(other.Topic) is not 0 and var order ? order : Partition.CompareTo(other.Partition);
}
