using System.Globalization;
using System.Net;
using Xunit;

namespace Tributary.Tests.Fuzz;

/// <summary>
/// How much is tried. Inputs come in rounds, each made from its own seed: a failure names the seed, and
/// <c>TRIBUTARY_FUZZ_SEED</c> runs that round alone. <c>TRIBUTARY_FUZZ</c> sets the inputs to both ports together.
/// </summary>
internal static class FuzzRun
{
    public const int InputsPerRound = 500;
    private const int DefaultInputs = 300_000;
    private const int FirstSeed = 1;
    private const int RoundsAtATime = 6;

    /// <summary>Inputs to each of the two ports.</summary>
    public static int InputsPerPort { get; } = Read("TRIBUTARY_FUZZ", DefaultInputs) / 2;

    /// <summary>Inputs to each entry point of a decoder.</summary>
    public static int InputsPerTarget { get; } = Math.Max(InputsPerRound, InputsPerPort / 30);

    /// <summary>The seeds of a run.</summary>
    public static IEnumerable<int> Seeds(int inputs)
    {
        int alone = Read("TRIBUTARY_FUZZ_SEED", 0);
        return alone > 0 ? [alone] : Enumerable.Range(FirstSeed, Math.Max(1, inputs / InputsPerRound));
    }

    /// <summary>
    /// Sends all inputs of one port, a few rounds at a time, while a neighbour is served there; it must be served to the end.
    /// </summary>
    public static async Task AgainstPortAsync(string what, IPEndPoint port, Neighbour neighbour, Func<Random, Task> round)
    {
        await using (neighbour)
        {
            neighbour.Start(port);
            await Parallel.ForEachAsync(
                Seeds(InputsPerPort), new ParallelOptions { MaxDegreeOfParallelism = RoundsAtATime },
                async (seed, _) => await RoundAsync(what, seed, round));
            await neighbour.StopAsync();
            Assert.True(neighbour.Served > 0, "the other client was never served");
        }
    }

    /// <summary>Runs a round and says its seed when it fails.</summary>
    public static async Task RoundAsync(string what, int seed, Func<Random, Task> round)
    {
        try
        {
            await round(new Random(seed));
        }
        catch (Exception e)
        {
            throw new FuzzException($"{what}, seed {seed} (alone: TRIBUTARY_FUZZ_SEED={seed}): {e.Message}", e);
        }
    }

    private static int Read(string variable, int otherwise) =>
        Environment.GetEnvironmentVariable(variable) is { Length: > 0 } text ? int.Parse(text, CultureInfo.InvariantCulture) : otherwise;

    private sealed class FuzzException(string message, Exception inner) : Exception(message, inner);
}

/// <summary>Tests that load the machine and look at the memory of the whole process run by themselves.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public static class FuzzCollection
{
    public const string Name = "fuzz";
}
