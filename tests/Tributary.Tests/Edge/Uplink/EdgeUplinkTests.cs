using Microsoft.Extensions.Logging.Abstractions;
using Tributary.Edge.Buffer;
using Tributary.Edge.Uplink;
using Tributary.Log.Storage;
using Tributary.Tests.Edge.Ingest;
using Tributary.Tests.Log.Support;
using Xunit;
using static Tributary.Tests.Edge.Waiting;

namespace Tributary.Tests.Edge.Uplink;

/// <summary>The uplinks of all partitions together.</summary>
public sealed class EdgeUplinkTests
{
    private static readonly UplinkOptions Options = UplinkSimulation.DefaultOptions with
    {
        FirstBackoff = TimeSpan.FromMilliseconds(1),
        MaxBackoff = TimeSpan.FromMilliseconds(20),
    };

    [Fact]
    public async Task A_partition_whose_uplink_ended_by_a_defect_goes_on_from_its_checkpoint()
    {
        await using IngestBench bench = IngestBench.Open(time: TimeProvider.System);
        var cloud = new SurprisingCloud { Surprises = 2 };
        await using var uplink = new EdgeUplink(
            bench.Buffer, bench.Memory, bench.Buffer.DeadLetters, Options, cloud, new UplinkCounters(), TimeProvider.System,
            NullLoggerFactory.Instance);
        uplink.Start();
        bench.Buffer.OpenPartition("telemetry", 0);
        await Until(() => cloud.Surprises < 0);
        await Until(() => uplink.Partitions.Single() is { State: "backoff", Reason: "away" });
    }

    [Fact]
    public async Task A_defect_of_one_that_is_stopped_at_once_does_not_keep_it_from_stopping()
    {
        await using IngestBench bench = IngestBench.Open(time: TimeProvider.System);
        var cloud = new SurprisingCloud { Surprises = int.MaxValue };
        var uplink = new EdgeUplink(
            bench.Buffer, bench.Memory, bench.Buffer.DeadLetters, Options, cloud, new UplinkCounters(), TimeProvider.System,
            NullLoggerFactory.Instance);
        uplink.Start();
        bench.Buffer.OpenPartition("telemetry", 0);
        await Until(() => uplink.Partitions.Single() is { State: "stopped" });
        await uplink.DisposeAsync();
    }

    [Fact]
    public async Task An_uplink_begins_on_a_disk_that_others_have_filled_since_only_what_it_sends_makes_room()
    {
        var disk = new SmallStorage(new MemoryStorage());
        await using EdgeBuffer buffer = EdgeBuffer.Open(disk, "data", IngestBench.SmallBuffer, TimeProvider.System, NullLoggerFactory.Instance);
        string directory = buffer.OpenPartition("telemetry", 0).Directory;
        new CheckpointFile(disk, directory).Save(new UplinkCheckpoint { ProducerId = 7, ProducerEpoch = 0 });
        disk.Capacity = disk.Used;
        await using var uplink = new EdgeUplink(
            buffer, disk, buffer.DeadLetters, Options, new SurprisingCloud(), new UplinkCounters(), TimeProvider.System,
            NullLoggerFactory.Instance);
        uplink.Start();
        Assert.NotEqual("stopped", uplink.Partitions.Single().State);
        await Until(() => uplink.Partitions.Single() is { State: "backoff", Reason: "away" });
    }

    /// <summary>Is away, and fails as nothing should at first.</summary>
    private sealed class SurprisingCloud : ICloud
    {
        private int _surprises;

        public int Surprises { get => Volatile.Read(ref _surprises); set => _surprises = value; }

        public bool IsConnected => false;

        public Task<TopicMetadata> GetMetadataAsync(string topic, bool allowCreate, CancellationToken cancellation) =>
            throw (Interlocked.Decrement(ref _surprises) >= 0 ? new InvalidOperationException("a surprise") : new CloudException("away"));

        public Task<(long ProducerId, short ProducerEpoch)> InitProducerIdAsync(CancellationToken cancellation) =>
            throw new CloudException("away");

        public Task<CloudPosition[]> GetPositionsAsync(
            string topic, long producerId, ProducerClaim claim, int targets, CancellationToken cancellation) =>
            throw new CloudException("away");

        public ValueTask<ICloudNode> GetLeaderAsync(string topic, int target, CancellationToken cancellation) =>
            throw new CloudException("away");

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
