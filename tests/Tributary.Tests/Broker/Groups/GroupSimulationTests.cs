using Xunit;

namespace Tributary.Tests.Broker.Groups;

public sealed class GroupSimulationTests
{
    /// <summary>More of them when the environment variable <c>TRIBUTARY_SEEDS</c> says so.</summary>
    private static readonly int Seeds = int.TryParse(Environment.GetEnvironmentVariable("TRIBUTARY_SEEDS"), out int seeds) ? seeds : 150;

    [Fact]
    public void Whatever_members_do_each_partition_has_one_owner_in_a_generation_and_the_group_settles_without_storms()
    {
        int generations = 0;
        int commits = 0;
        int left = 0;
        for (int seed = 0; seed < Seeds; seed++)
        {
            var simulation = new GroupSimulation(seed);
            try
            {
                simulation.Run();
            }
            catch (Exception e)
            {
                throw new InvalidOperationException($"seed {seed}: {e.Message}", e);
            }
            Assert.True(simulation.Rebalances <= simulation.Changes, $"seed {seed}: {simulation.Rebalances} for {simulation.Changes} changes");
            generations += simulation.Generations;
            commits += simulation.Commits;
            left += simulation.Left;
        }
        Assert.True(generations > Seeds * 5, $"only {generations} generations");
        Assert.True(commits > Seeds * 100, $"only {commits} commits");
        Assert.True(left > Seeds, $"only {left} left");
    }
}
