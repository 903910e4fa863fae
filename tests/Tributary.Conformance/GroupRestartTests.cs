using System.Globalization;
using Confluent.Kafka;
using Tributary.Conformance.Clients;
using Xunit;

namespace Tributary.Conformance;

/// <summary>Groups of real consumers on a server that is killed.</summary>
public sealed class GroupRestartTests : GroupScenario
{
    [Theory]
    [InlineData(PartitionAssignmentStrategy.Range)]
    [InlineData(null)]
    public async Task Members_go_on_in_their_generation_after_the_server_was_killed(PartitionAssignmentStrategy? strategy)
    {
        var all = new List<GroupConsumer>();
        try
        {
            GroupConsumer first = Join(all, strategy);
            GroupConsumer second = Join(all, strategy);
            await SharedByAsync(first, second);
            await ProduceAsync(100);
            await AllReadAsync(all);
            string[] members = strategy is null ? [] : await MembersAsync(); // the client's admin knows the classic API alone
            int[] changes = [first.Changes, second.Changes];
            await Server.KillCloudAsync();
            await Server.StartCloudAsync();
            await ProduceAsync(100);
            await AllReadAsync(all);
            Assert.Equal(members, strategy is null ? [] : await MembersAsync());
            Assert.Equal((changes[0], changes[1]), (first.Changes, second.Changes));
            await AssertCommittedAsync(all);
        }
        finally
        {
            await LeaveAsync(all);
        }
    }

    [Theory]
    [InlineData(PartitionAssignmentStrategy.CooperativeSticky)]
    [InlineData(null)]
    public async Task Whenever_the_server_is_killed_acknowledged_commits_are_there_afterwards_and_every_record_is_read(
        PartitionAssignmentStrategy? strategy)
    {
        int kills = int.TryParse(Environment.GetEnvironmentVariable("TRIBUTARY_KILLS"), CultureInfo.InvariantCulture, out int set) ? set : 3;
        var random = new Random(848);
        var all = new List<GroupConsumer>();
        try
        {
            for (int i = 0; i < kills; i++)
            {
                GroupConsumer joining = Join(all, strategy);
                Task producing = ProduceAsync(100);
                await Task.Delay(random.Next(50, 1500), TestContext.Current.CancellationToken); // somewhere in the rebalance or the commits
                await Server.KillCloudAsync();
                IReadOnlyDictionary<int, long> acknowledged = Latest(all);
                await Server.StartCloudAsync();
                await producing;
                IReadOnlyDictionary<int, long> committed = await CommittedAsync();
                Assert.All(acknowledged, one => Assert.True(
                    committed.GetValueOrDefault(one.Key, -1) >= one.Value, $"partition {one.Key}: {one.Value} was acknowledged, {joining.Story()}"));
                if (i % 2 == 1)
                {
                    await all[i - 1].DisposeAsync();
                }
            }
            await AllReadAsync(all);
            await AssertCommittedAsync(all);
        }
        finally
        {
            await LeaveAsync(all);
        }
    }
}
