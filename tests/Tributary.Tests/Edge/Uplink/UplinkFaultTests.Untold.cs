using Tributary.Edge.Uplink;
using Xunit;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Edge.Uplink;

// Clusters that can't tell what they have of a producer.
public sealed partial class UplinkFaultTests
{
    [Fact]
    public void A_cluster_that_can_not_tell_and_refuses_for_long_gets_no_new_producers_and_nothing_is_said_to_come_twice()
    {
        UplinkSimulation simulation = Running(partitions: 2, tells: false);
        Send(simulation, 40);
        long id = simulation.State.ProducerId;
        simulation.ProduceError = ErrorCode.NotEnoughReplicas;
        simulation.Ingest(20);
        simulation.FlushLog();
        simulation.Run(TimeSpan.FromMinutes(10));
        simulation.ProduceError = ErrorCode.None;
        Settle(simulation);

        Assert.Null(simulation.FindFault());
        Assert.Equal(id, simulation.State.ProducerId);
        Assert.DoesNotContain(simulation.Notices, notice => notice.Kind is UplinkNoticeKind.MayRepeat or UplinkNoticeKind.NewEpoch);
    }

    [Fact]
    public void What_a_cluster_that_can_not_tell_loses_is_sent_again_as_far_as_it_is_held_and_no_more_is_reported()
    {
        UplinkSimulation simulation = Running(partitions: 1, tells: false);
        Send(simulation, 300);
        SimulatedCloud.SimulatedPartition partition = simulation.Cloud.Partitions[0];
        partition.LoseFrom(partition.CommittedEnd - 1);
        int lost = simulation.Flushed.Count - Ids(simulation).Count;
        Assert.InRange(lost, 1, 100);
        simulation.CutLink(TimeSpan.FromMilliseconds(10));
        simulation.Ingest(10);
        simulation.FlushLog();
        Settle(simulation);

        Assert.Equal(lost, simulation.State.GapTotal);
        Assert.Equal(300 + 10 - lost, Ids(simulation).Distinct().Count());
    }
}
