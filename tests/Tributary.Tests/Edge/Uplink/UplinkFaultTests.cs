using Tributary.Edge.Uplink;
using Xunit;

namespace Tributary.Tests.Edge.Uplink;

/// <summary>What the uplink does after faults that must not happen, one by one.</summary>
public sealed partial class UplinkFaultTests
{
    private static readonly TimeSpan Long = TimeSpan.FromMinutes(10);

    [Fact]
    public void Records_that_the_cloud_lost_and_that_are_still_held_are_sent_again()
    {
        UplinkSimulation simulation = Running(partitions: 3);
        simulation.Options = simulation.Options with { CheckpointInterval = TimeSpan.FromHours(1) };
        simulation.Kill();
        simulation.Start();
        Send(simulation, 100);
        simulation.Cloud.Partitions[1].LoseFrom(simulation.Cloud.Partitions[1].CommittedEnd / 2);
        simulation.Cloud.Partitions[2].LoseFrom(0);
        simulation.CutLink(TimeSpan.FromMilliseconds(10));
        Send(simulation, 100);

        Assert.Null(simulation.FindFault());
        Assert.Equal(0, simulation.State.GapTotal);
        Assert.Contains(simulation.Notices, notice => notice.Kind == UplinkNoticeKind.Gap && notice.Records == 0);
    }

    [Theory]
    [InlineData(10_000)]
    [InlineData(4_000)]
    public void A_link_that_carries_little_gets_rounds_that_it_can_carry(int bytesPerSecond)
    {
        UplinkSimulation simulation = Running(partitions: 2);
        simulation.Options = simulation.Options with { MaxBatchBytes = 1 << 20, MaxRoundBytes = 4 << 20 };
        simulation.Kill();
        simulation.Start();
        simulation.BytesPerSecond = bytesPerSecond;
        for (int i = 0; i < 100; i++)
        {
            simulation.Ingest(200);
        }
        simulation.FlushLog();
        simulation.RunUntil(simulation.IsSettled, TimeSpan.FromHours(1));

        Assert.Null(simulation.FindFault());
        Assert.True(simulation.IsSettled());
        Assert.InRange(simulation.State.Retries, 0, 10);
    }

    [Fact]
    public void A_record_that_needs_longer_than_the_timeouts_on_the_link_arrives()
    {
        UplinkSimulation simulation = Running(partitions: 2);
        simulation.Options = simulation.Options with { MaxBatchBytes = 1 << 20, MaxRoundBytes = 4 << 20 };
        simulation.Kill();
        simulation.Start();
        simulation.BytesPerSecond = 5_000;
        simulation.Edge.IngestLarge(100_000); // 20 s, and progress is waited for for 5
        simulation.Ingest(20);
        simulation.FlushLog();
        Settle(simulation);

        Assert.Null(simulation.FindFault());
        Assert.InRange(simulation.State.Retries, 0, 1);
    }

    [Fact]
    public void A_node_that_names_fewer_partitions_lags_behind_and_is_asked_again()
    {
        UplinkSimulation simulation = Running(partitions: 2);
        simulation.Cloud.SetPartitions(4);
        Send(simulation, 40);
        simulation.Run(TimeSpan.FromSeconds(5));
        Send(simulation, 40);
        simulation.Cloud.ToldPartitions = 2;
        simulation.CutLink(TimeSpan.FromMilliseconds(10));
        simulation.Run(TimeSpan.FromSeconds(20));
        Assert.NotEqual(UplinkPhase.Stopped, simulation.State.Phase);
        simulation.Cloud.ToldPartitions = int.MaxValue;
        Send(simulation, 40);

        Assert.Null(simulation.FindFault());
    }

    [Fact]
    public void A_trickle_of_records_is_saved_now_and_then_and_much_of_them_each_second()
    {
        UplinkSimulation simulation = Running(partitions: 1);
        simulation.Options = simulation.Options with { CheckpointInterval = TimeSpan.FromSeconds(30), MaxBatchBytes = 1 << 20, MaxRoundBytes = 4 << 20 };
        simulation.Kill();
        simulation.Start();
        Send(simulation, 10);
        Assert.InRange(SavesIn(seconds: 300, recordsEach: 10), 9, 11);
        // More than a mebibyte each second.
        Assert.InRange(SavesIn(seconds: 5, recordsEach: 20_000), 3, 7);
        simulation.Run(TimeSpan.FromSeconds(31));
        Assert.Equal(simulation.Flushed.Count, simulation.Log.StartOffset);
        Assert.Null(simulation.FindFault());

        int SavesIn(int seconds, int recordsEach)
        {
            int before = simulation.Edge.Saves;
            for (int i = 0; i < seconds; i++)
            {
                for (int left = recordsEach; left > 0; left -= 20)
                {
                    simulation.Ingest(Math.Min(20, left));
                    simulation.FlushLog();
                }
                simulation.Run(TimeSpan.FromSeconds(1));
            }
            return simulation.Edge.Saves - before;
        }
    }

    [Fact]
    public void A_gap_in_the_cloud_begins_a_new_epoch_and_nothing_comes_twice()
    {
        UplinkSimulation simulation = Running(partitions: 3);
        Send(simulation, 300);
        simulation.Run(TimeSpan.FromSeconds(5));
        Assert.Equal(300, simulation.Log.StartOffset);
        simulation.Cloud.Partitions[1].LoseFrom(0);
        int lost = simulation.Flushed.Count - Ids(simulation).Count;
        simulation.CutLink(TimeSpan.FromMilliseconds(10));
        Send(simulation, 300);

        Assert.Equal(1, simulation.State.ProducerEpoch);
        Assert.Equal(lost, simulation.State.GapTotal);
        Assert.Equal(600 - lost, Ids(simulation).Count);
        AssertNothingTwice(simulation);
    }

    [Fact]
    public void A_cluster_that_forgot_the_producer_but_not_its_records_gets_no_record_twice()
    {
        UplinkSimulation simulation = Running(partitions: 3);
        Send(simulation, 200);
        simulation.Kill();
        simulation.Cloud.Partitions.ForEach(partition => partition.ForgetProducers());
        simulation.Start();
        Send(simulation, 200);

        Assert.Null(simulation.FindFault());
        Assert.Equal(0, simulation.State.GapTotal);
    }

    [Fact]
    public void A_disk_that_went_back_in_time_does_not_make_new_records_pass_for_old_ones()
    {
        UplinkSimulation simulation = Running(partitions: 3);
        Send(simulation, 100);
        simulation.Kill();
        simulation.Log.CutTo(60);
        simulation.Start();
        simulation.CutLink(TimeSpan.FromSeconds(1));
        simulation.Ingest(80);
        simulation.FlushLog();
        simulation.Kill();
        simulation.Start();
        Send(simulation, 50);

        Assert.Null(simulation.FindFault());
        Assert.Equal(1, simulation.State.ProducerEpoch);
        Assert.Contains(simulation.Notices, notice => notice.Message.Contains("back in time", StringComparison.Ordinal));
    }

    [Fact]
    public void A_checkpoint_and_log_of_before_are_told_by_the_position_in_the_cloud()
    {
        UplinkSimulation simulation = Running(partitions: 1);
        Send(simulation, 40);
        simulation.Kill();
        simulation.RememberCheckpoint();
        simulation.Start();
        Send(simulation, 60);
        simulation.Kill();
        simulation.RestoreCheckpoint();
        simulation.Log.CutTo(70);
        simulation.Start();
        Send(simulation, 50);

        Assert.Null(simulation.FindFault());
        Assert.Equal(1, simulation.State.ProducerEpoch);
    }

    [Fact]
    public void A_hole_that_was_never_sent_is_a_gap_and_nothing_else_is_lost()
    {
        UplinkSimulation simulation = Running(partitions: 3);
        Send(simulation, 50);
        simulation.CutLink(TimeSpan.FromSeconds(1));
        long first = simulation.Log.AppendedEnd;
        simulation.Ingest(10);
        simulation.Ingest(10);
        simulation.Ingest(10);
        simulation.FlushLog();
        simulation.Log.Quarantine(first + 15);
        Settle(simulation);

        Assert.Equal(10, simulation.State.GapTotal);
        Assert.Equal(70, Ids(simulation).Count);
        AssertNothingTwice(simulation);
    }

    [Fact]
    public void A_batch_with_a_flipped_bit_is_not_sent()
    {
        UplinkSimulation simulation = Running(partitions: 2);
        simulation.CutLink(TimeSpan.FromSeconds(1));
        simulation.Ingest(10);
        simulation.Ingest(10);
        simulation.Ingest(10);
        simulation.FlushLog();
        simulation.Log.Damage(15);
        Settle(simulation);

        Assert.Equal(10, simulation.State.GapTotal);
        Assert.Equal(20, Ids(simulation).Count);
        AssertNothingTwice(simulation);
    }

    [Fact]
    public void A_hole_that_opens_in_what_was_sent_already_is_no_gap_when_all_of_it_is_in_the_cloud()
    {
        UplinkSimulation simulation = Running(partitions: 1);
        simulation.Kill();
        simulation.RememberCheckpoint();
        simulation.Start();
        simulation.Options = simulation.Options with { CheckpointInterval = TimeSpan.FromHours(1) };
        simulation.Kill();
        simulation.Start();
        for (int i = 0; i < 6; i++)
        {
            Send(simulation, 10);
        }
        simulation.Kill();
        simulation.Log.Quarantine(25);
        simulation.Start();
        Send(simulation, 10);

        Assert.Null(simulation.FindFault());
        Assert.Equal(0, simulation.State.GapTotal);
    }

    [Fact]
    public void A_later_epoch_in_the_cloud_takes_a_new_producer_id()
    {
        UplinkSimulation simulation = Running(partitions: 1);
        Send(simulation, 40);
        simulation.Kill();
        simulation.RememberCheckpoint();
        simulation.Start();
        simulation.CutLink(TimeSpan.FromSeconds(1));
        simulation.Ingest(10);
        simulation.Ingest(10);
        simulation.FlushLog();
        simulation.Log.Quarantine(45);
        Settle(simulation);
        long id = simulation.State.ProducerId;
        simulation.Kill();
        simulation.RestoreCheckpoint();
        simulation.Start();
        Settle(simulation);

        Assert.NotEqual(id, simulation.State.ProducerId);
        Assert.Contains(simulation.Notices, notice => notice.Kind == UplinkNoticeKind.MayRepeat);
    }

    [Fact]
    public void A_second_agent_on_a_copy_takes_over_and_the_first_one_goes_on_under_another_producer_id()
    {
        UplinkSimulation simulation = Running(partitions: 2);
        Send(simulation, 40);
        simulation.Run(TimeSpan.FromSeconds(1));
        long id = simulation.State.ProducerId;
        SimulatedEdge copy = simulation.Clone(simulation.Edge.Image());
        copy.Start();
        copy.Ingest(30, isPoisoned: false);
        copy.FlushLog();
        Settle(simulation);
        Send(simulation, 50);

        Assert.Null(simulation.FindFault(isOrdered: false));
        Assert.Equal(id, copy.State.ProducerId);
        Assert.NotEqual(id, simulation.State.ProducerId);
        Assert.Equal((1, 0), (simulation.State.ConflictTotal, copy.State.ConflictTotal));
        Assert.Contains(simulation.Notices, notice => notice.Message.Contains("in use twice", StringComparison.Ordinal));
    }

    [Fact]
    public void An_epoch_that_nothing_was_sent_in_tells_of_another_process_by_what_was_there_before()
    {
        UplinkSimulation simulation = Running(partitions: 1);
        Send(simulation, 20);
        SimulatedEdge copy = simulation.Clone(simulation.Edge.Image());
        copy.Start();
        Settle(simulation);
        copy.Kill();
        simulation.FailOver(); // nobody knows any more who has claimed what
        Send(simulation, 20);
        Assert.Equal(0, simulation.State.ConflictTotal);
        copy.Start();
        copy.Ingest(20);
        copy.FlushLog();
        Settle(simulation);

        Assert.Null(simulation.FindFault(isOrdered: false));
        Assert.Equal(1, copy.State.ConflictTotal);
    }

    [Fact]
    public void Epochs_beyond_32767_take_a_new_producer_id()
    {
        UplinkSimulation simulation = Running(partitions: 2);
        Send(simulation, 20);
        long id = simulation.State.ProducerId;
        simulation.EditCheckpoint(checkpoint => checkpoint with { ProducerEpoch = short.MaxValue });
        simulation.Ingest(5, isPoisoned: true);
        simulation.FlushLog();
        Settle(simulation);

        Assert.NotEqual(id, simulation.State.ProducerId);
        Assert.Null(simulation.FindFault());
    }

    [Fact]
    public void Sequences_wrap_after_two_to_the_31()
    {
        UplinkSimulation simulation = Running(partitions: 1);
        simulation.Cloud.KnowsClaims = false; // or each start would begin at 0 again
        Send(simulation, 10);
        simulation.Cloud.Partitions[0].ForgetProducers();
        simulation.EditCheckpoint(checkpoint => checkpoint with
        {
            Targets = [checkpoint.Targets[0] with { NextOrdinal = int.MaxValue - 100L, CloudEnd = 0 }],
            ProducerEpoch = 7,
        }, last: int.MaxValue - 101);
        for (int i = 0; i < 30; i++)
        {
            simulation.Ingest(10);
            simulation.FlushLog();
            simulation.Run(TimeSpan.FromMilliseconds(30));
            if (i % 7 == 6)
            {
                simulation.Kill();
                simulation.Start();
            }
        }
        Settle(simulation);

        Assert.Null(simulation.FindFault());
        Assert.Equal(7, simulation.State.ProducerEpoch);
    }

    [Fact]
    public void A_recreated_topic_stops_the_uplink_until_the_setting_says_to_follow()
    {
        UplinkSimulation simulation = Running(partitions: 2);
        Send(simulation, 50);
        simulation.Kill();
        simulation.Cloud.Recreate();
        simulation.Start();
        simulation.Ingest(30);
        simulation.FlushLog();
        simulation.Run(Long);
        Assert.Equal(UplinkPhase.Stopped, simulation.State.Phase);
        Assert.Contains("onTopicRecreated", simulation.State.Reason, StringComparison.Ordinal);
        Assert.Empty(Ids(simulation));

        simulation.Kill();
        simulation.Options = simulation.Options with { OnTopicRecreated = OnReplaced.Follow };
        simulation.Start();
        Settle(simulation);
        Assert.Equal(30, Ids(simulation).Count);
        AssertNothingTwice(simulation);
    }

    [Fact]
    public void Another_cluster_stops_the_uplink_until_the_setting_says_to_follow()
    {
        UplinkSimulation simulation = Running(partitions: 2);
        Send(simulation, 50);
        simulation.Kill();
        simulation.Cloud.ClusterId = "cluster-b";
        simulation.Cloud.Recreate();
        simulation.Start();
        simulation.Ingest(30);
        simulation.FlushLog();
        simulation.Run(Long);
        Assert.Equal(UplinkPhase.Stopped, simulation.State.Phase);
        Assert.Contains("cluster-b", simulation.State.Reason, StringComparison.Ordinal);

        simulation.Kill();
        simulation.Options = simulation.Options with { OnClusterReplaced = OnReplaced.Follow };
        simulation.Start();
        Settle(simulation);
        Assert.Equal(30, Ids(simulation).Count);
    }

    [Fact]
    public void A_topic_that_is_recreated_while_the_uplink_runs_stops_it_too()
    {
        UplinkSimulation simulation = Running(partitions: 2);
        Send(simulation, 50);
        simulation.Cloud.Recreate();
        simulation.Ingest(30);
        simulation.FlushLog();
        simulation.Run(Long);

        Assert.Equal(UplinkPhase.Stopped, simulation.State.Phase);
    }

    [Fact]
    public void Without_answers_the_link_is_dropped_and_the_position_is_looked_up_again()
    {
        UplinkSimulation simulation = Running(partitions: 2);
        Send(simulation, 50);
        simulation.AnswersAreLost = true;
        simulation.Ingest(30);
        simulation.FlushLog();
        simulation.Run(TimeSpan.FromSeconds(30));
        Assert.True(simulation.State.Retries > 0);
        simulation.AnswersAreLost = false;
        Settle(simulation);

        Assert.Null(simulation.FindFault());
    }

    [Fact]
    public void A_cloud_that_is_away_at_the_start_gets_everything_later()
    {
        var simulation = new UplinkSimulation(seed: 1);
        simulation.CutLink(TimeSpan.FromMinutes(5));
        simulation.Start();
        for (int i = 0; i < 50; i++)
        {
            simulation.Ingest(20);
            simulation.FlushLog();
            simulation.Run(TimeSpan.FromSeconds(1));
        }
        Assert.Equal(0, simulation.State.Acked);
        Settle(simulation);

        Assert.Null(simulation.FindFault());
    }

    [Theory]
    [InlineData(0, -1, 0)]
    [InlineData(0, 9, 10)]
    [InlineData(10, 9, 10)]
    [InlineData(10, 4, 5)]
    [InlineData(int.MaxValue, int.MaxValue, 1L << 31)]
    [InlineData((1L << 31) - 5, 4, (1L << 31) + 5)]
    [InlineData((1L << 31) + 5, int.MaxValue - 1, (1L << 31) - 1)]
    [InlineData((1L << 33) + 5, 20, (1L << 33) + 21)]
    public void The_covered_ordinal_is_the_one_nearest_to_what_was_acknowledged(long next, int lastSequence, long covered) =>
        Assert.Equal(covered, UplinkState.CoveredOrdinal(next, lastSequence));

    private static UplinkSimulation Running(int partitions, bool tells = true)
    {
        var simulation = new UplinkSimulation(seed: 4, partitions: partitions);
        (simulation.Cloud.KnowsClaims, simulation.Cloud.TellsOfProducers) = (tells, tells);
        simulation.Start();
        Assert.True(simulation.RunUntil(() => simulation.State.Phase == UplinkPhase.Sending, Long));
        return simulation;
    }

    private static void Send(UplinkSimulation simulation, int records)
    {
        for (int left = records; left > 0; left -= 10)
        {
            simulation.Ingest(Math.Min(10, left));
            simulation.FlushLog();
        }
        Settle(simulation);
        simulation.Run(TimeSpan.FromSeconds(1));
    }

    private static void Settle(UplinkSimulation simulation) => Assert.True(
        simulation.RunUntil(simulation.IsSettled, Long),
        $"{simulation.State.Phase} ({simulation.State.Reason}) at {simulation.State.Acked} of {simulation.Log.FlushedEnd}");

    private static List<long> Ids(UplinkSimulation simulation) =>
        [.. Enumerable.Range(0, simulation.Cloud.Partitions.Count).SelectMany(simulation.Cloud.Committed).Select(record => record.Id)];

    private static void AssertNothingTwice(UplinkSimulation simulation)
    {
        List<long> ids = Ids(simulation);
        Assert.Equal(ids.Distinct().Count(), ids.Count);
    }
}
