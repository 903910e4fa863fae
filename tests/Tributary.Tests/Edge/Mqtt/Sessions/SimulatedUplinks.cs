using Tributary.Edge.Buffer;
using Tributary.Edge.Uplink;
using Tributary.Tests.Crash;
using Tributary.Tests.Edge.Uplink;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Edge.Mqtt.Sessions;

/// <summary>
/// The uplinks of one life of the agent: they ship its topics to a cloud that outlives it, over a link that loses requests and answers,
/// write their checkpoints beside the segments, and trim what the cloud has, as far as sessions let them.
/// </summary>
internal sealed class SimulatedUplinks(SimulatedNetwork network, ShippedTopic cloud, Random random, Func<bool> isAlive)
{
    private readonly List<(BufferPartition Partition, UplinkDriver Driver)> _uplinks = [];

    /// <summary>Whether the cloud has everything that is there.</summary>
    public bool IsSettled => _uplinks.TrueForAll(uplink =>
        uplink.Driver.State is { IsIdle: true } state && state.Acked == uplink.Partition.Log.AppendedEnd);

    public string Where => string.Join(", ", _uplinks.Select(uplink =>
        $"{uplink.Driver.State?.Phase} ({uplink.Driver.State?.Reason}) at {uplink.Driver.State?.Acked} of {uplink.Partition.Log.AppendedEnd}"));

    /// <summary>Begins to ship a partition.</summary>
    /// <param name="partition">The partition.</param>
    /// <param name="source">What the uplink reads and trims.</param>
    /// <param name="file">Its checkpoint.</param>
    /// <exception cref="IOException">The storage crashed.</exception>
    public void Start(BufferPartition partition, IUplinkSource source, CheckpointFile file)
    {
        var driver = new UplinkDriver(network, cloud, random) { IsAlive = isAlive };
        _uplinks.Add((partition, driver));
        driver.Start(source, file, UplinkSimulation.DefaultOptions);
    }

    public void Pump() => _uplinks.ForEach(uplink => uplink.Driver.Pump());

    public void LoseLink()
    {
        network.Cut(network.Delay(1500));
        foreach ((_, UplinkDriver driver) in _uplinks)
        {
            driver.State?.OnLinkLost(network.Now, "the link was cut");
        }
    }

    /// <summary>The process ends.</summary>
    public void End()
    {
        network.Break();
        _uplinks.ForEach(uplink => uplink.Driver.Kill());
    }
}

/// <summary>The cloud topic that an agent ships to: one partition, in memory, which never loses anything.</summary>
internal sealed class ShippedTopic : ISimulatedTopic
{
    private readonly SimulatedCloud _cloud = new();

    public ShippedTopic() => _cloud.SetPartitions(1);

    /// <summary>The values of its records, in their order.</summary>
    public IEnumerable<string> Values => _cloud.Committed(0).Select(record => record.Value);

    public void Describe(Action<TopicMetadata> answer) => answer(new TopicMetadata(_cloud.ClusterId, _cloud.TopicId, 1));

    public void MakeProducerId(Action<long> answer) => answer(_cloud.NewProducerId());

    public void Claim(long producerId, Guid incarnation, long start, int targets, Action<CloudPosition[]> answer) =>
        answer(_cloud.Describe(producerId, incarnation, start, targets));

    public void Produce(int target, Guid incarnation, byte[] batch, Action<ErrorCode, long> answer)
    {
        SimulatedCloud.SimulatedPartition partition = _cloud.Partitions[target];
        (ErrorCode error, long offset, long end) = partition.Append(batch, incarnation);
        partition.Commit(Math.Max(end, partition.CommittedEnd));
        answer(error, offset);
    }
}
