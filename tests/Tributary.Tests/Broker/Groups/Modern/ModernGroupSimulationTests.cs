using Xunit;

namespace Tributary.Tests.Broker.Groups.Modern;

public sealed class ModernGroupSimulationTests
{
    /// <summary>More of them when the environment variable <c>TRIBUTARY_SEEDS</c> says so.</summary>
    private static readonly int Seeds = int.TryParse(Environment.GetEnvironmentVariable("TRIBUTARY_SEEDS"), out int seeds) ? seeds : 100;

    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    [InlineData(5)]
    public void Whatever_members_do_nobody_reads_what_another_reads_and_in_the_end_everything_is_read(int classics)
    {
        (int epochs, int commits, int refused, int migrations) = (0, 0, 0, 0);
        for (int seed = 0; seed < Seeds; seed++)
        {
            var simulation = new ModernGroupSimulation(seed, classics);
            try
            {
                simulation.Run();
            }
            catch (Exception)
            {
                Exception told = Assert.ThrowsAny<Exception>(new ModernGroupSimulation(seed, classics, tells: true).Run);
                throw new InvalidOperationException($"seed {seed}: {told.Message}", told);
            }
            epochs += simulation.Epochs;
            commits += simulation.Commits;
            refused += simulation.Refused;
            migrations += simulation.Migrations;
        }
        Assert.True(epochs > Seeds * 10, $"only {epochs} epochs");
        Assert.True(commits > Seeds * 100, $"only {commits} commits");
        Assert.True(refused > Seeds, $"only {refused} commits were refused");
        Assert.True(classics == 0 || migrations > Seeds / 2, $"only {migrations} migrations");
    }
}
