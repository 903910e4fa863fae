using Tributary.Broker.Groups.Modern;
using Xunit;

namespace Tributary.Tests.Broker.Groups.Modern;

public sealed class AssignorTests
{
    private static readonly Guid[] Ids = [.. Enumerable.Range(0, 4).Select(_ => Guid.NewGuid())];

    [Fact]
    public void Range_cuts_topics_of_as_many_partitions_at_the_same_places()
    {
        AssignableTopic[] topics = [new(Ids[0], 5), new(Ids[1], 5)];
        HashSet<AssignedPartition>[] assigned = new RangeAssignor().Assign([Reader(0, 1), Reader(0, 1)], topics);
        Assert.Equal([0, 1, 2, 0, 1, 2], Numbers(assigned[0]));
        Assert.Equal([3, 4, 3, 4], Numbers(assigned[1]));
    }

    [Fact]
    public void Range_gives_a_topic_to_its_readers_only()
    {
        HashSet<AssignedPartition>[] assigned = new RangeAssignor().Assign([Reader(), Reader(1), Reader(1)], [new(Ids[1], 1)]);
        Assert.Equal([0, 1, 0], assigned.Select(of => of.Count));
    }

    [Fact]
    public void Uniform_gives_equal_shares_and_takes_away_no_more_than_that_needs()
    {
        AssignableTopic[] topics = [new(Ids[0], 7), new(Ids[1], 6)];
        HashSet<AssignedPartition>[] one = new UniformAssignor().Assign([Reader(0, 1)], topics);
        HashSet<AssignedPartition>[] two = new UniformAssignor().Assign([Reader(0, 1) with { Current = one[0] }, Reader(0, 1)], topics);
        Assert.Equal([7, 6], two.Select(of => of.Count));
        Assert.Subset(one[0], two[0]);
        HashSet<AssignedPartition>[] three = new UniformAssignor().Assign(
            [Reader(0, 1) with { Current = two[0] }, Reader(0, 1) with { Current = two[1] }, Reader(0, 1)], topics);
        Assert.Equal([5, 4, 4], three.Select(of => of.Count));
        Assert.Subset(two[0], three[0]);
        Assert.Subset(two[1], three[1]);
    }

    [Fact]
    public void Whatever_members_read_uniform_assigns_each_partition_once_and_evens_out_and_is_at_rest_then()
    {
        for (int seed = 0; seed < 500; seed++)
        {
            var random = new Random(seed);
            AssignableTopic[] topics = [.. Ids.Select(id => new AssignableTopic(id, random.Next(0, 9)))];
            AssignorMember[] members =
            [
                .. Enumerable.Range(0, random.Next(1, 6)).Select(_ => new AssignorMember(
                    [.. Ids.Where(_ => random.Next(3) > 0)],
                    [.. Enumerable.Range(0, random.Next(12)).Select(_ => new AssignedPartition(Ids[random.Next(4)], random.Next(-2, 10)))])),
            ];
            AssignableTopic[] read = [.. topics.Where(topic => members.Any(member => member.Topics.Contains(topic.Id)))];
            HashSet<AssignedPartition>[] assigned = new UniformAssignor().Assign(members, read);
            Assert.Equal(
                read.SelectMany(topic => Enumerable.Range(0, topic.Partitions).Select(partition => new AssignedPartition(topic.Id, partition))).Order(),
                assigned.SelectMany(of => of).Order());
            for (int i = 0; i < members.Length; i++)
            {
                Assert.All(assigned[i], partition => Assert.Contains(partition.Topic, members[i].Topics));
                // Nobody has two more than somebody who could have one of them.
                Assert.All(assigned[i], partition => Assert.All(
                    Enumerable.Range(0, members.Length).Where(other => members[other].Topics.Contains(partition.Topic)),
                    other => Assert.True(assigned[i].Count - assigned[other].Count < 2, $"seed {seed}: {i} has {assigned[i].Count}, {other} {assigned[other].Count}")));
            }
            HashSet<AssignedPartition>[] again = new UniformAssignor().Assign(
                [.. members.Select((member, i) => member with { Current = assigned[i] })], read);
            Assert.All(assigned.Zip(again), pair => Assert.True(pair.First.SetEquals(pair.Second), $"seed {seed}"));
        }
    }

    private static AssignorMember Reader(params int[] topics) => new([.. topics.Select(topic => Ids[topic])], []);

    /// <summary>The numbers, topic by topic.</summary>
    private static int[] Numbers(HashSet<AssignedPartition> partitions) =>
        [.. partitions.OrderBy(partition => Array.IndexOf(Ids, partition.Topic)).ThenBy(partition => partition.Partition).Select(partition => partition.Partition)];
}
