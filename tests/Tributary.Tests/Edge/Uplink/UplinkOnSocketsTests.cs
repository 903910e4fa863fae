using Microsoft.Extensions.Logging.Abstractions;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Edge.Buffer;
using Tributary.Edge.Uplink;
using Tributary.Log.Storage;
using Tributary.Tests.Edge.Support;
using Xunit;

namespace Tributary.Tests.Edge.Uplink;

/// <summary>The uplink of a partition over real sockets, to brokers that spoil what they can.</summary>
public sealed class UplinkOnSocketsTests
{
    private const int Devices = 10;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task Whatever_befalls_connections_and_leaders_each_record_comes_once_and_in_order(int seed)
    {
        const int records = 2000;
        await using var cluster = new FakeCluster(brokers: 3, partitions: 4);
        var random = new Random(seed);
        var log = new SharedLog();
        var counters = new UplinkCounters();
        await using var cloud = new KafkaCloud(OptionsFor(cluster), counters, TimeProvider.System, NullLoggerFactory.Instance);
        await using var dead = new DeadLetterHarness();
        PartitionUplink uplink = Begin(cluster, log, dead, cloud, counters, random);
        cluster.Script = request => Spoil(cluster, request, random);
        for (int sent = 0; sent < records; sent += Devices)
        {
            log.Append([.. Enumerable.Range(1, Devices).Select(device => ($"device-{device}", (long)(sent + device), ""))]);
            if (random.Next(20) == 0)
            {
                await Waiting.Until(() => uplink.Status.AckedOffset > sent / 2);
            }
        }
        await Waiting.Until(() => uplink.Status.AckedOffset == records);
        await uplink.DisposeAsync();

        List<(string Key, long Id)> committed = cluster.Committed();
        Assert.Equal(Enumerable.Range(1, records).Select(id => (long)id), committed.Select(record => record.Id).Order());
        Assert.All(
            committed.GroupBy(record => record.Key), device => Assert.Equal(device.Select(r => r.Id).Order(), device.Select(r => r.Id)));
        Assert.True(uplink.Retries > 0);
    }

    private static PartitionUplink Begin(
        FakeCluster cluster, SharedLog log, DeadLetterHarness dead, KafkaCloud cloud, UplinkCounters counters, Random random)
    {
        var storage = new MemoryStorage();
        storage.CreateDirectory("telemetry-0");
        storage.SyncDirectory("");
        var uplink = new PartitionUplink(
            new BufferPartition(FakeCluster.Topic, 0, null!, "telemetry-0"), log, log.FlushedEnd, new CheckpointFile(
                storage, "telemetry-0"),
            dead.Letters, null, cloud, new LinkShare(CapSchedule.Always(null), TimeProvider.System), LinkShare.DefaultPriority, OptionsFor(cluster), TimeProvider.System, counters, NullLogger.Instance, new Random(random.Next()));
        log.Flushed = uplink.Wake;
        uplink.Start();
        return uplink;
    }

    private static UplinkOptions OptionsFor(FakeCluster cluster) => UplinkSimulation.DefaultOptions with
    {
        CloudHost = "127.0.0.1",
        CloudPort = cluster.Brokers[0].Port,
        FirstBackoff = TimeSpan.FromMilliseconds(1),
        MaxBackoff = TimeSpan.FromMilliseconds(20),
        QuietPeriod = TimeSpan.FromMilliseconds(20),
        CheckpointInterval = TimeSpan.FromMilliseconds(5),
        RequestTimeout = TimeSpan.FromMilliseconds(300),
        ProgressTimeout = TimeSpan.FromMilliseconds(200),
        Codec = Contracts.Records.CompressionCodec.None,
    };

    private static Fault Spoil(FakeCluster cluster, FakeRequest request, Random random)
    {
        lock (random)
        {
            if (request.ApiKey == ProduceRequest.ApiKey && random.Next(15) == 0)
            {
                cluster.Leaders[random.Next(cluster.Leaders.Length)] = random.Next(cluster.Brokers.Count);
            }
            int draw = random.Next(request.ApiKey == ProduceRequest.ApiKey ? 40 : 150);
            return draw < 8 ? (Fault)(draw + 1) : Fault.None;
        }
    }
}
