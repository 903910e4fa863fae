using Tributary.Tests.Log.Support;
using Xunit;

namespace Tributary.Tests.Crash;

/// <summary>
/// Random lives of an edge and a cloud. More seeds when the environment variable <c>TRIBUTARY_SEEDS</c> says so; one alone, with its
/// story, by <c>TRIBUTARY_SEED</c>.
/// </summary>
public sealed class CrashSimulationTests(ITestOutputHelper output)
{
    private const int MutantSeeds = 5_000;
    private static readonly int Seeds = Setting("TRIBUTARY_SEEDS") ?? 5_000;

    [Fact]
    public void Nothing_acknowledged_is_lost_and_nothing_comes_twice_whatever_crashes()
    {
        (int from, int count) = Setting("TRIBUTARY_SEED") is { } one ? (one, 1) : (1, Seeds);
        long began = TimeProvider.System.GetTimestamp();
        long crashes = 0;
        string? wrong = null;
        Parallel.For(from, from + count, (seed, loop) =>
        {
            var simulation = new CrashSimulation(seed, PlantedBug.None);
            if (Play(simulation) is { } fault)
            {
                wrong = $"seed {seed} (alone: TRIBUTARY_SEED={seed}): {fault}\n{simulation.Story}";
                loop.Stop();
            }
            Interlocked.Add(ref crashes, simulation.Crashes);
        });
        Assert.True(wrong is null, wrong);
        TimeSpan took = TimeProvider.System.GetElapsedTime(began);
        output.WriteLine($"{count} seeds, {crashes} crashes in {took.TotalSeconds:F1} s: {crashes / took.TotalMinutes:F0} a minute on {Environment.ProcessorCount} cores");
    }

    /// <summary>Whatever changes in the code changes the stories of all seeds: then another one finds the bug, and the output says which.</summary>
    [Theory]
    [InlineData(nameof(PlantedBug.AcknowledgesAppends), 4)]
    [InlineData(nameof(PlantedBug.FlushesNothing), 1)]
    [InlineData(nameof(PlantedBug.SyncsNoDirectory), 2)]
    [InlineData(nameof(PlantedBug.FlushesNoState), 1)]
    [InlineData(nameof(PlantedBug.FlushesNoCheckpoint), 4)]
    [InlineData(nameof(PlantedBug.RetriesFlush), 1)]
    [InlineData(nameof(PlantedBug.RaisesRecoveryPoint), 1)]
    [InlineData(nameof(PlantedBug.TakesStaleBatches), 54)]
    [InlineData(nameof(PlantedBug.CutsAtRecoveryPoint), 1)]
    [InlineData(nameof(PlantedBug.ReusesOffsets), 1)]
    [InlineData(nameof(PlantedBug.TellsUncommitted), 55)]
    [InlineData(nameof(PlantedBug.KeepsLostProducers), 1)]
    [InlineData(nameof(PlantedBug.HidesHoles), 1)]
    [InlineData(nameof(PlantedBug.IgnoresFullDisk), 3)]
    public void A_planted_bug_is_found(string bug, int seed)
    {
        PlantedBug planted = Enum.Parse<PlantedBug>(bug);
        int first = Enumerable.Range(1, MutantSeeds).Prepend(seed)
            .FirstOrDefault(other => Play(new CrashSimulation(other, planted)) is not null);
        Assert.True(first > 0, $"{bug} is not found by {MutantSeeds} seeds");
        output.WriteLine($"found by seed {first}, {Play(new CrashSimulation(first, planted))}");
    }

    private static string? Play(CrashSimulation simulation)
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
