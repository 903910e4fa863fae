using Tributary.Tests.Edge.Mqtt.Support;
using Xunit;

namespace Tributary.Tests.Edge.Mqtt.Sessions;

/// <summary>
/// Sessions in random schedules. More seeds when the environment variable <c>TRIBUTARY_SEEDS</c> says so; one alone, with its story, by
/// <c>TRIBUTARY_SEED</c>. Not beside tests that read an agent's metrics: those of all its lives have the same names.
/// </summary>
[Collection(AloneCollection.Name)]
public sealed class SessionSimulationTests(ITestOutputHelper output)
{
    private const int MutantSeeds = 10_000;
    private static readonly int Seeds = Setting("TRIBUTARY_SEEDS") ?? 10_000;

    [Fact]
    public void Clients_get_what_they_were_promised_whatever_happens()
    {
        (int from, int count) = Setting("TRIBUTARY_SEED") is { } one ? (one, 1) : (1, Seeds);
        long began = TimeProvider.System.GetTimestamp();
        (long delivered, long crashes, int full) = (0, 0, 0);
        string? wrong = null;
        Parallel.For(from, from + count, (seed, loop) =>
        {
            var simulation = new SessionSimulation(seed);
            if (simulation.Run() is { } fault)
            {
                wrong = $"seed {seed} (alone: TRIBUTARY_SEED={seed}): {fault}\n{simulation.Story}";
                loop.Stop();
            }
            Interlocked.Add(ref delivered, simulation.Delivered);
            Interlocked.Add(ref crashes, simulation.Crashes);
            Interlocked.Add(ref full, simulation.WasFull ? 1 : 0);
        });
        Assert.True(wrong is null, wrong);
        TimeSpan took = TimeProvider.System.GetElapsedTime(began);
        output.WriteLine($"{count} seeds in {took.TotalSeconds:F1} s: {delivered} messages delivered, {crashes} crashes, {full} times full");
        Assert.True(
            count == 1 || (delivered > count && crashes > count / 2 && full > count / 100),
            $"only {delivered} messages were delivered, with {crashes} crashes and {full} full journals");
    }

    [Fact]
    public void A_seed_does_the_same_again()
    {
        SessionSimulation first = new(17);
        SessionSimulation second = new(17);
        Assert.Null(first.Run());
        Assert.Null(second.Run());
        Assert.Equal(first.Story, second.Story);
        Assert.Equal((first.Delivered, first.Crashes, first.Step), (second.Delivered, second.Crashes, second.Step));
    }

    [Theory]
    [InlineData(nameof(PlantedBug.FlushesNothing))]
    [InlineData(nameof(PlantedBug.FlushesNoSnapshot))]
    [InlineData(nameof(PlantedBug.ForgetsJournal))]
    [InlineData(nameof(PlantedBug.AcknowledgesAtOnce))]
    [InlineData(nameof(PlantedBug.CompletesAtOnce))]
    [InlineData(nameof(PlantedBug.ConfirmsAgainAtOnce))]
    [InlineData(nameof(PlantedBug.MissesItsSession))]
    [InlineData(nameof(PlantedBug.ReleasesAtOnce))]
    [InlineData(nameof(PlantedBug.TrimsWhatIsHeld))]
    [InlineData(nameof(PlantedBug.StoresNoReceipt))]
    [InlineData(nameof(PlantedBug.ForgetsReceipts))]
    [InlineData(nameof(PlantedBug.ForgetsQueue))]
    [InlineData(nameof(PlantedBug.TakesBeforeMarked))]
    [InlineData(nameof(PlantedBug.TakesFlushedForTold))]
    [InlineData(nameof(PlantedBug.NeverKeepsUp))]
    [InlineData(nameof(PlantedBug.HidesLosses))]
    [InlineData(nameof(PlantedBug.RetainsNothing))]
    [InlineData(nameof(PlantedBug.ForgetsToClear))]
    [InlineData(nameof(PlantedBug.ForgetsWill))]
    [InlineData(nameof(PlantedBug.PublishesWillAtOnce))]
    [InlineData(nameof(PlantedBug.EndsWhatIsShared))]
    [InlineData(nameof(PlantedBug.LosesCheckpoint))]
    [InlineData(nameof(PlantedBug.EndsWhatIsLent))]
    [InlineData(nameof(PlantedBug.GivesToTheGone))]
    [InlineData(nameof(PlantedBug.MarksNoPieces))]
    [InlineData(nameof(PlantedBug.ReadsOnFromTheEnd))]
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
            return new SessionSimulation(seed, bug).Run();
        }
        catch (Exception e) when (e is InvalidOperationException or IOException or InvalidDataException or KeyNotFoundException)
        {
            return e.Message;
        }
    }

    private static int? Setting(string name) => int.TryParse(Environment.GetEnvironmentVariable(name), out int value) ? value : null;
}
