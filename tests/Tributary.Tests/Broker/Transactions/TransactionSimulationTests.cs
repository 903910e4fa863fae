using System.Text;
using Xunit;

namespace Tributary.Tests.Broker.Transactions;

/// <summary>
/// The protocol of transactions in random schedules. More seeds when the environment variable <c>TRIBUTARY_SEEDS</c> says so; one alone by
/// <c>TRIBUTARY_SEED</c>.
/// </summary>
public sealed class TransactionSimulationTests(ITestOutputHelper output)
{
    private const int MutantSeeds = 2_000;
    private static readonly int Seeds = Setting("TRIBUTARY_SEEDS") ?? 10_000;

    [Fact]
    public void Every_transaction_ends_by_itself_everywhere_alike_and_as_its_producer_was_told()
    {
        (int from, int count) = Setting("TRIBUTARY_SEED") is { } one ? (one, 1) : (1, Seeds);
        long began = TimeProvider.System.GetTimestamp();
        (long transactions, long committed, long crashes, long markers) = (0, 0, 0, 0);
        string? wrong = null;
        Parallel.For(from, from + count, (seed, loop) =>
        {
            var simulation = new TransactionSimulation(seed) { Story = count == 1 ? new StringBuilder() : null };
            if (simulation.Run() is { } fault)
            {
                wrong = $"seed {seed} (alone, with its story: TRIBUTARY_SEED={seed}): {fault}\n{simulation.Story}";
                loop.Stop();
            }
            Interlocked.Add(ref transactions, simulation.Count);
            Interlocked.Add(ref committed, simulation.Committed);
            Interlocked.Add(ref crashes, simulation.Crashes);
            Interlocked.Add(ref markers, simulation.Markers);
        });
        Assert.True(wrong is null, wrong);
        TimeSpan took = TimeProvider.System.GetElapsedTime(began);
        output.WriteLine($"{count} seeds in {took.TotalSeconds:F1} s: {transactions} transactions, {committed} committed, {markers} markers, {crashes} crashes");
        Assert.True(count == 1 || (committed > count && crashes > count / 2), $"only {committed} were committed, with {crashes} crashes");
    }

    [Fact]
    public void A_seed_does_the_same_again()
    {
        TransactionSimulation first = new(17);
        TransactionSimulation second = new(17);
        Assert.Null(first.Run());
        Assert.Null(second.Run());
        Assert.Equal(
            first.Targets.SelectMany(target => target.Entries).ToArray(), second.Targets.SelectMany(target => target.Entries).ToArray());
        Assert.Equal((first.Crashes, first.Markers, first.Clock.Now), (second.Crashes, second.Markers, second.Clock.Now));
    }

    /// <summary>Whatever changes in the code changes all schedules: then another seed finds the bug, and the output says which.</summary>
    [Theory]
    [InlineData(nameof(PlantedBug.ActsBeforeStored), 2)]
    [InlineData(nameof(PlantedBug.AnswersBeforeStored), 3)]
    [InlineData(nameof(PlantedBug.TimesOutWithoutFencing), 20)]
    [InlineData(nameof(PlantedBug.TakesLateMarkers), 6)]
    [InlineData(nameof(PlantedBug.VerifiesNothing), 85)]
    [InlineData(nameof(PlantedBug.LetsFormerEpochsEnd), 6)]
    [InlineData(nameof(PlantedBug.ForgetsWhatWasBegun), 3)]
    [InlineData(nameof(PlantedBug.ComparesNoVersions), 2)]
    [InlineData(nameof(PlantedBug.TrustsItsMemory), 53)]
    [InlineData(nameof(PlantedBug.GivesUpOnMarkers), 3)]
    [InlineData(nameof(PlantedBug.AbortsWhatItLoads), 6)]
    [InlineData(nameof(PlantedBug.NumbersNothing), 1)]
    public void A_planted_bug_is_found(string bug, int seed)
    {
        PlantedBug planted = Enum.Parse<PlantedBug>(bug);
        int first = Enumerable.Range(1, MutantSeeds).Prepend(seed)
            .FirstOrDefault(other => new TransactionSimulation(other, planted).Run() is not null);
        Assert.True(first > 0, $"{bug} is not found by {MutantSeeds} seeds");
        output.WriteLine($"found by seed {first}: {new TransactionSimulation(first, planted).Run()}");
    }

    private static int? Setting(string name) => int.TryParse(Environment.GetEnvironmentVariable(name), out int value) ? value : null;
}
