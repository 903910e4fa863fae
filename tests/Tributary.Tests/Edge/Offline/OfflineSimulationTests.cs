using Xunit;

namespace Tributary.Tests.Edge.Offline;

/// <summary>
/// Thirty days offline in random schedules. More seeds when the environment variable <c>TRIBUTARY_SEEDS</c> says so; one alone, with its
/// story, by <c>TRIBUTARY_SEED</c>.
/// </summary>
public sealed class OfflineSimulationTests(ITestOutputHelper output)
{
    private const int MutantSeeds = 60;
    private static readonly int Seeds = Math.Max(1, (Setting("TRIBUTARY_SEEDS") ?? 2000) / 100);

    [Fact]
    public void After_thirty_days_everything_is_in_the_cloud_once_in_order_and_at_its_time_but_for_what_is_reported()
    {
        (int from, int count) = Setting("TRIBUTARY_SEED") is { } one ? (one, 1) : (1, Seeds);
        long began = TimeProvider.System.GetTimestamp();
        var totals = new long[8];
        double bounds = 0;
        string? wrong = null;
        Parallel.For(from, from + count, (seed, loop) =>
        {
            var simulation = new OfflineSimulation(seed);
            if (simulation.Run() is { } fault)
            {
                wrong = $"seed {seed} (alone: TRIBUTARY_SEED={seed}): {fault}\n{simulation.Story}";
                loop.Stop();
            }
            int[] numbers =
            [
                simulation.Delivered, simulation.Missing, simulation.Refused, simulation.Corrected, simulation.Estimated, simulation.Crashes,
                simulation.Boots, simulation.Untrusted,
            ];
            lock (totals)
            {
                for (int i = 0; i < numbers.Length; i++)
                {
                    totals[i] += numbers[i];
                }
                bounds += simulation.BoundHours;
            }
        });
        Assert.True(wrong is null, wrong);
        TimeSpan took = TimeProvider.System.GetElapsedTime(began);
        output.WriteLine(
            $"{count} seeds in {took.TotalSeconds:F1} s: {totals[0]} messages delivered ({totals[3]} corrected, {totals[4]} estimated within {bounds / count:F1} h), "
            + $"{totals[1]} dropped and reported, {totals[2]} refused, {totals[5]} crashes, {totals[6]} boots");
        Assert.True(
            count == 1 || (totals[1] > 10 * count && totals[2] > 10 * count && totals[3] > 10 * count && totals[4] > 10 * count && totals[5] > 5 * count),
            "too little of it happened");
    }

    [Fact]
    public void A_seed_does_the_same_again()
    {
        OfflineSimulation first = new(7);
        OfflineSimulation second = new(7);
        Assert.Null(first.Run());
        Assert.Null(second.Run());
        Assert.Equal(first.Story, second.Story);
        Assert.Equal((first.Delivered, first.Missing, first.Estimated), (second.Delivered, second.Missing, second.Estimated));
    }

    [Theory]
    [InlineData(nameof(PlantedBug.BelievesTheClock))]
    [InlineData(nameof(PlantedBug.ForgetsBoots))]
    [InlineData(nameof(PlantedBug.IgnoresDrift))]
    [InlineData(nameof(PlantedBug.SendsAtOnce))]
    [InlineData(nameof(PlantedBug.HidesGaps))]
    [InlineData(nameof(PlantedBug.DropsWhatIsPromised))]
    [InlineData(nameof(PlantedBug.LosesCheckpoint))]
    public void A_planted_bug_is_found(string bug)
    {
        PlantedBug planted = Enum.Parse<PlantedBug>(bug);
        for (int seed = 1; seed <= MutantSeeds; seed++)
        {
            if (Fault(seed, planted) is { } fault)
            {
                output.WriteLine($"found by seed {seed}: {fault}");
                return;
            }
        }
        Assert.Fail($"{bug} is not found by {MutantSeeds} seeds");
    }

    private static string? Fault(int seed, PlantedBug bug)
    {
        try
        {
            return new OfflineSimulation(seed, bug).Run();
        }
        catch (Exception e) when (e is InvalidOperationException or IOException or KeyNotFoundException)
        {
            return e.Message;
        }
    }

    private static int? Setting(string name) => int.TryParse(Environment.GetEnvironmentVariable(name), out int value) ? value : null;
}
