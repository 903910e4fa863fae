using Tributary.Tests.Log.Support;
using Xunit;

namespace Tributary.Tests.Log.Compaction;

/// <summary>
/// Random lives of a log that is compacted. More seeds when the environment variable <c>TRIBUTARY_SEEDS</c> says so; one alone, with its
/// story, by <c>TRIBUTARY_SEED</c>.
/// </summary>
public sealed class CompactionSimulationTests
{
    private const int PlantedSeeds = 120;
    private static readonly int Seeds = Setting("TRIBUTARY_SEEDS") ?? 200;

    [Fact]
    public void The_last_record_of_each_key_is_there_after_every_start_whatever_happens()
    {
        int rounds = 0;
        (int from, int count) = Setting("TRIBUTARY_SEED") is { } one ? (one, 1) : (1, Seeds);
        for (int seed = from; seed < from + count; seed++)
        {
            var simulation = new CompactionSimulation(seed, PlantedBug.None);
            string? fault = Run(simulation);
            Assert.True(fault is null, $"seed {seed} (alone: TRIBUTARY_SEED={seed}): {fault}\n{simulation.Story}");
            rounds += simulation.Rounds;
        }
        Assert.True(count == 1 || rounds > count, $"{rounds} rounds were done in {count} lives");
    }

    [Theory]
    [InlineData(nameof(PlantedBug.FlushesNothingCompacted))]
    [InlineData(nameof(PlantedBug.ForgetsSwap))]
    [InlineData(nameof(PlantedBug.CompactsUnstable))]
    [InlineData(nameof(PlantedBug.SyncsNoDirectory))]
    public void The_simulation_finds_a_planted_bug(string bug)
    {
        PlantedBug planted = Enum.Parse<PlantedBug>(bug);
        Assert.True(
            Enumerable.Range(1, PlantedSeeds).Any(seed => Run(new CompactionSimulation(seed, planted)) is not null), $"{planted} was not noticed");
    }

    private static string? Run(CompactionSimulation simulation)
    {
        try
        {
            return simulation.Run();
        }
        catch (Exception e) when (e is InvalidOperationException or IOException or InvalidDataException)
        {
            return e.ToString();
        }
    }

    private static int? Setting(string name) => int.TryParse(Environment.GetEnvironmentVariable(name), out int value) ? value : null;
}
