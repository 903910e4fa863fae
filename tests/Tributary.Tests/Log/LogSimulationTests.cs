using Tributary.Tests.Log.Support;
using Xunit;

namespace Tributary.Tests.Log;

/// <summary>
/// Random lives of a data directory. More seeds when the environment variable <c>TRIBUTARY_SEEDS</c> says so; one alone, with its
/// story, by <c>TRIBUTARY_SEED</c>.
/// </summary>
public sealed class LogSimulationTests
{
    private const int PlantedSeeds = 60;
    private static readonly int Seeds = Setting("TRIBUTARY_SEEDS") ?? 300;

    [Fact]
    public void Everything_acknowledged_is_there_after_every_start_whatever_happens()
    {
        (int from, int count) = Setting("TRIBUTARY_SEED") is { } one ? (one, 1) : (1, Seeds);
        for (int seed = from; seed < from + count; seed++)
        {
            var simulation = new LogSimulation(seed, PlantedBug.None);
            string? fault = simulation.Run();
            Assert.True(fault is null, $"seed {seed} (alone: TRIBUTARY_SEED={seed}): {fault}\n{simulation.Story}");
        }
    }

    [Theory]
    [InlineData(nameof(PlantedBug.FlushesNothing))]
    [InlineData(nameof(PlantedBug.SyncsNoDirectory))]
    [InlineData(nameof(PlantedBug.CutsNothing))]
    [InlineData(nameof(PlantedBug.FlushesNoState))]
    public void The_simulation_finds_a_planted_bug(string bug)
    {
        PlantedBug planted = Enum.Parse<PlantedBug>(bug);
        int found = Enumerable.Range(1, PlantedSeeds).Count(seed => IsFound(seed, planted));
        Assert.True(found > 0, $"{planted} was not noticed");
    }

    private static bool IsFound(int seed, PlantedBug bug)
    {
        try
        {
            return new LogSimulation(seed, bug).Run() is not null;
        }
        catch (Exception e) when (e is InvalidOperationException or IOException or InvalidDataException)
        {
            return true;
        }
    }

    private static int? Setting(string name) => int.TryParse(Environment.GetEnvironmentVariable(name), out int value) ? value : null;
}
