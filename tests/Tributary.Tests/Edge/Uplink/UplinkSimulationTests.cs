using Tributary.Edge.Uplink;
using Xunit;

namespace Tributary.Tests.Edge.Uplink;

/// <summary>Runs the uplink's state machine against a simulated cloud, network and disk.</summary>
public sealed class UplinkSimulationTests
{
    /// <summary>More of them when the environment variable <c>TRIBUTARY_SEEDS</c> says so.</summary>
    private static readonly int Seeds = int.TryParse(Environment.GetEnvironmentVariable("TRIBUTARY_SEEDS"), out int seeds) ? seeds : 400;

    private const int Steps = 60;

    [Fact]
    public void Every_flushed_record_is_in_the_cloud_exactly_once_and_in_order_whatever_happens()
    {
        for (int seed = 1; seed <= Seeds; seed++)
        {
            string? fault = Play(seed, Planted.Nothing);
            Assert.True(fault is null, $"seed {seed}: {fault}");
        }
    }

    [Fact]
    public void What_the_disk_loses_is_reported_and_nothing_comes_twice_unannounced_whatever_the_cloud_loses()
    {
        for (int seed = 1; seed <= Seeds; seed++)
        {
            string? fault = PlayLosses(seed);
            Assert.True(fault is null, $"seed {seed}: {fault}");
        }
    }

    [Fact]
    public void A_cluster_that_can_not_tell_what_it_has_gets_every_flushed_record_in_order_and_what_may_come_twice_is_reported()
    {
        int repeated = 0;
        for (int seed = 1; seed <= Seeds; seed++)
        {
            var simulation = new UplinkSimulation(seed);
            (simulation.Cloud.KnowsClaims, simulation.Cloud.TellsOfProducers) = (false, false);
            string? fault = Play(seed, simulation, () => simulation.Notices.Any(notice => notice.Kind == UplinkNoticeKind.MayRepeat));
            Assert.True(fault is null, $"seed {seed}: {fault}");
            Assert.Equal(DeliveryPromise.AtLeastOnce, simulation.State.Promise);
            repeated += simulation.FindFault() is null ? 0 : 1;
        }
        Assert.True(repeated > Seeds / 2, $"only in {repeated} of {Seeds} lives a record came twice");
    }

    [Fact]
    public void Of_two_living_copies_of_a_directory_every_record_of_both_is_in_the_cloud_and_it_is_reported()
    {
        for (int seed = 1; seed <= Seeds; seed++)
        {
            string? fault = PlayCopies(seed, Planted.Nothing, RunBoth);
            Assert.True(fault is null, $"seed {seed}: {fault}");
        }
    }

    [Fact]
    public void When_an_old_copy_of_the_directory_is_put_back_every_new_record_is_in_the_cloud_and_it_is_reported()
    {
        for (int seed = 1; seed <= Seeds; seed++)
        {
            string? fault = PlayCopies(seed, Planted.Nothing, PutBack);
            Assert.True(fault is null, $"seed {seed}: {fault}");
        }
    }

    [Fact]
    public void The_simulation_finds_what_copies_lose_where_nobody_can_claim_a_producer_id() =>
        Assert.Contains(Enumerable.Range(1, 20), seed => PlayCopies(seed, Planted.NoClaims, RunBoth) is not null);

    [Theory]
    [InlineData(nameof(Planted.PositionOneTooHigh))]
    [InlineData(nameof(Planted.OrdinalOneTooLowAfterRestart))]
    [InlineData(nameof(Planted.CheckpointNotDurable))]
    [InlineData(nameof(Planted.TrimsWhatWasSent))]
    [InlineData(nameof(Planted.NoSequences))]
    public void The_simulation_finds_a_planted_bug(string bug)
    {
        Planted planted = Enum.Parse<Planted>(bug);
        int found = Enumerable.Range(1, 20).Count(seed => Play(seed, planted) is not null);
        Assert.True(found > 0, $"{planted} was not noticed");
    }

    /// <summary>One life of a system, with faults. Returns what was wrong with it.</summary>
    private static string? Play(int seed, Planted planted)
    {
        var simulation = new UplinkSimulation(seed, planted);
        simulation.Cloud.KnowsClaims = seed % 3 != 0;
        return Play(seed, simulation, () => false);
    }

    private static string? Play(int seed, UplinkSimulation simulation, Func<bool> mayRepeat)
    {
        var random = new Random(seed * 7919);
        try
        {
            simulation.Start();
            for (int step = 0; step < Steps; step++)
            {
                Step(simulation, random);
            }
            simulation.ErrorRate = 0;
            if (!simulation.RunUntil(simulation.IsSettled, TimeSpan.FromMinutes(20)))
            {
                UplinkState state = simulation.State;
                return $"not settled: {state.Phase} ({state.Reason}) at {state.Acked} of {simulation.Log.FlushedEnd}";
            }
            return (simulation.FindFault(mayRepeat()) ?? Counts(simulation)) is { } fault ? fault + Story(simulation) : null;
        }
        catch (InvalidOperationException e)
        {
            return e + Story(simulation);
        }
    }

    /// <summary>One life of a system in which the cloud loses committed records and the disk damages flushed ones.</summary>
    private static string? PlayLosses(int seed)
    {
        var random = new Random(seed * 104729);
        var simulation = new UplinkSimulation(seed);
        simulation.Cloud.KnowsClaims = seed % 3 != 0;
        try
        {
            return PlayLosses(seed, random, simulation) is { } fault ? fault + Story(simulation) : null;
        }
        catch (InvalidOperationException e)
        {
            return e + Story(simulation);
        }
    }

    /// <summary>
    /// The disk is copied while the agent runs and the cloud comes and goes, and the copy is put to use. Nothing may be missing, and if
    /// something is there twice, somebody must have said so.
    /// </summary>
    private static string? PlayCopies(int seed, Planted planted, Action<Random, UplinkSimulation> use)
    {
        var random = new Random(seed * 15485863);
        var simulation = new UplinkSimulation(seed, planted);
        simulation.Cloud.KnowsClaims = planted != Planted.NoClaims;
        try
        {
            simulation.Start();
            simulation.RunUntil(() => simulation.State.Phase == UplinkPhase.Sending, TimeSpan.FromMinutes(1));
            for (int step = random.Next(Steps); step > 0; step--)
            {
                Step(simulation, random);
            }
            use(random, simulation);
            return FindFaultOfCopies(simulation) is { } fault ? fault + Story(simulation) : null;
        }
        catch (InvalidOperationException e)
        {
            return e + Story(simulation);
        }
    }

    /// <summary>Both take records in and send.</summary>
    private static void RunBoth(Random random, UplinkSimulation simulation)
    {
        SimulatedEdge copy = simulation.Clone(simulation.Edge.Image());
        if (random.Next(2) == 0)
        {
            simulation.Kill();
        }
        for (int step = 0; step < Steps; step++)
        {
            SimulatedEdge edge = simulation.Edges[random.Next(2)];
            if (edge.IsRunning)
            {
                Step(simulation, random, edge);
            }
            else if (random.Next(3) == 0)
            {
                edge.Start();
            }
        }
        foreach (SimulatedEdge edge in simulation.Edges.Where(edge => !edge.IsRunning))
        {
            edge.Start();
        }
    }

    /// <summary>It replaces the disk.</summary>
    private static void PutBack(Random random, UplinkSimulation simulation)
    {
        DiskImage image = simulation.Edge.Image();
        for (int step = random.Next(Steps); step > 0; step--)
        {
            Step(simulation, random);
        }
        simulation.Kill();
        simulation.Edge.Restore(image);
        simulation.Start();
        for (int step = random.Next(Steps); step > 0; step--)
        {
            Step(simulation, random);
        }
    }

    [Fact]
    public void What_is_dropped_to_make_room_is_reported_exactly_and_the_rest_comes_once_and_in_order()
    {
        (int dropped, int exact) = (0, 0);
        for (int seed = 1; seed <= Seeds / 2; seed++)
        {
            var simulation = new UplinkSimulation(seed, partitions: seed % 3 == 0 ? 0 : 1);
            string? fault = PlayDrops(new Random(seed), simulation, out int missing);
            Assert.True(fault is null, $"seed {seed}: {fault}{Story(simulation)}");
            dropped += missing;
            exact += missing == simulation.State.GapTotal ? 1 : 0;
        }
        Assert.True(dropped > Seeds && exact > Seeds / 3, $"{dropped} records dropped, {exact} times told exactly");
    }

    private static string? PlayDrops(Random random, UplinkSimulation simulation, out int missing)
    {
        simulation.Start();
        for (int step = 0; step < Steps; step++)
        {
            if (random.Next(20) == 0 && simulation.Log.FlushedEnd > simulation.Log.StartOffset)
            {
                simulation.Log.Drop(random.NextInt64(simulation.Log.StartOffset, simulation.Log.FlushedEnd + 1));
                continue;
            }
            Step(simulation, random);
        }
        simulation.ErrorRate = 0;
        missing = 0;
        if (!simulation.RunUntil(simulation.IsSettled, TimeSpan.FromMinutes(20)))
        {
            return $"not settled: {simulation.State.Phase} ({simulation.State.Reason}) at {simulation.State.Acked} of {simulation.Log.FlushedEnd}";
        }
        HashSet<long> there = [.. simulation.Cloud.Partitions.SelectMany(partition => partition.Committed).Select(record => record.Id)];
        missing = simulation.Flushed.Keys.Count(id => !there.Contains(id) && !simulation.Poisoned.Contains(id));
        int poisoned = simulation.Poisoned.Count(id => simulation.Flushed.ContainsKey(id) && simulation.Log.LostIds.Contains(id));
        bool isSingle = simulation.Cloud.Partitions.Count == 1;
        bool mayRepeat = simulation.Notices.Any(notice => notice.Kind == UplinkNoticeKind.MayRepeat);
        // A bad record may have been dropped before anybody knew that it is one, and records of several targets may be there already.
        return missing > simulation.State.GapTotal ? $"{missing} records are missing, {simulation.State.GapTotal} are reported"
            : isSingle && !mayRepeat && missing < simulation.State.GapTotal - poisoned ? $"{simulation.State.GapTotal} missing records are reported, {missing} are"
            : simulation.FindFault(mayRepeat, isOrdered: !mayRepeat);
    }

    private static string? FindFaultOfCopies(UplinkSimulation simulation)
    {
        simulation.ErrorRate = 0;
        if (!simulation.RunUntil(simulation.IsSettled, TimeSpan.FromMinutes(20)))
        {
            IEnumerable<string> states = simulation.Edges.Select(
                edge => $"{edge.State.Phase} ({edge.State.Reason}) at {edge.State.Acked} of {edge.Log.FlushedEnd}");
            return $"not settled: {string.Join(", ", states)}";
        }
        bool isReported = simulation.Edges.Any(edge => edge.State.ConflictTotal > 0
            && edge.Notices.Any(notice => notice.Kind is UplinkNoticeKind.MayRepeat or UplinkNoticeKind.Gap));
        return simulation.FindFault(mayRepeat: isReported, isOrdered: false);
    }

    private static string Story(UplinkSimulation simulation) =>
        string.Concat(simulation.Edges.SelectMany(edge => edge.Notices.TakeLast(20)).Select(notice => $"\n{notice}"));

    private static string? PlayLosses(int seed, Random random, UplinkSimulation simulation)
    {
        simulation.Start();
        for (int step = 0; step < Steps; step++)
        {
            switch (random.Next(25))
            {
                case 0 when seed % 2 == 0:
                    SimulatedCloud.SimulatedPartition partition = simulation.Cloud.Partitions[random.Next(simulation.Cloud.Partitions.Count)];
                    partition.LoseFrom(random.NextInt64(partition.CommittedEnd + 1));
                    simulation.FailOver();
                    break;
                case 1 when simulation.Log.FlushedEnd > simulation.Log.StartOffset:
                    simulation.Log.Quarantine(random.NextInt64(simulation.Log.StartOffset, simulation.Log.FlushedEnd));
                    break;
                default:
                    Step(simulation, random);
                    break;
            }
        }
        simulation.ErrorRate = 0;
        if (!simulation.RunUntil(simulation.IsSettled, TimeSpan.FromMinutes(20)))
        {
            return $"not settled: {simulation.State.Phase} ({simulation.State.Reason}) at {simulation.State.Acked} of {simulation.Log.FlushedEnd}";
        }
        List<long> ids = [.. simulation.Cloud.Partitions.SelectMany(partition => partition.Committed).Select(record => record.Id)];
        int missing = simulation.Flushed.Keys.Except(ids).Except(simulation.Poisoned).Count();
        bool isAnnounced = simulation.Notices.Any(notice => notice.Kind == UplinkNoticeKind.MayRepeat);
        return ids.Count != ids.Distinct().Count() && !isAnnounced ? "a record is there twice"
            : !simulation.Cloud.HasLost && missing > simulation.State.GapTotal
                ? $"{missing} records are missing, {simulation.State.GapTotal} are reported"
            : null;
    }

    private static string? Counts(UplinkSimulation simulation)
    {
        int poisoned = simulation.Poisoned.Count(simulation.Flushed.ContainsKey);
        return simulation.State.RefusedTotal != poisoned ? $"{simulation.State.RefusedTotal} records refused of {poisoned} bad ones"
            : simulation.State.GapTotal != 0 ? $"a gap of {simulation.State.GapTotal} records that is not there"
            : null;
    }

    private static void Step(UplinkSimulation simulation, Random random) => Step(simulation, random, simulation.Edge);

    private static void Step(UplinkSimulation simulation, Random random, SimulatedEdge edge)
    {
        switch (random.Next(20))
        {
            case 0:
                edge.CutLink(TimeSpan.FromMilliseconds(random.Next(1500)));
                break;
            case 1:
                simulation.FailOver();
                break;
            case 2 or 3:
                edge.Kill();
                simulation.Run(TimeSpan.FromMilliseconds(random.Next(800)));
                edge.Start();
                break;
            case 4 when random.Next(3) == 0:
                simulation.Cloud.SetPartitions(Math.Min(8, simulation.Cloud.Partitions.Count + 1));
                break;
            case 5 when random.Next(4) == 0:
                edge.Ingest(1 + random.Next(30), isPoisoned: true);
                break;
            case 6:
                simulation.ErrorRate = random.Next(3) == 0 ? 0.1 : 0;
                break;
            case 7:
                simulation.Run(TimeSpan.FromSeconds(random.Next(8)));
                break;
            case 8:
                simulation.Options = simulation.Options with
                {
                    MaxBatchBytes = 1024 + random.Next(2000),
                    PipelineRecords = 1 + random.Next(60),
                };
                break;
            case < 14:
                edge.Ingest(1 + random.Next(40));
                break;
            default:
                edge.FlushLog();
                break;
        }
        simulation.Run(TimeSpan.FromMilliseconds(random.Next(60)));
    }
}
