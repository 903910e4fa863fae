using Tributary.Broker.Metadata;
using Tributary.Contracts.Records;
using Tributary.Contracts.Telemetry;
using Tributary.Edge.Uplink;
using Tributary.Log.Storage;
using Tributary.Tests.Broker.Support;
using Tributary.Tests.Edge.Support;
using Xunit;

namespace Tributary.Tests.Edge;

// Over a link that delays, throttles, loses one way, resets and damages what it carries.
public sealed partial class EdgeToBrokerTests
{
    private static readonly UplinkOptions Impatient = EdgeParts.Uplink with
    {
        ConnectTimeout = TimeSpan.FromSeconds(1),
        RequestTimeout = TimeSpan.FromSeconds(1),
        ProgressTimeout = TimeSpan.FromMilliseconds(700),
        QuietPeriod = TimeSpan.FromSeconds(1),
    };

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public async Task Over_a_bad_link_each_message_comes_once_and_in_order(int seed)
    {
        var random = new Random(seed);
        await using var broker = new TestBroker(time: TimeProvider.System);
        await broker.CreateTopicAsync(RouteTable.TelemetryTopic, Partitions);
        await using BrokerLink gateway = await BrokerLink.StartAsync(broker);
        await using BadLink link = await PutBetweenAsync(broker, gateway, seed);
        var sent = new Sent();
        await using (EdgeParts edge = EdgeParts.Start(new MemoryStorage(), link.Port, uplinkOptions: Impatient))
        {
            for (int step = 0; step < 24; step++)
            {
                for (int i = random.Next(1, 200); i > 0; i--)
                {
                    sent.Publish(edge.Ingest, random.Next(Devices));
                }
                await DisturbAsync(link, edge, sent, step, random);
            }
            link.Fault = LinkFault.None;
            await Waiting.Until(() => sent.AllCommitted && edge.IsDrained);
            sent.Settle();
            Assert.Equal((0L, 0L), edge.Losses);
        }
        Assert.NotEqual(0, link.Damaged);

        sent.Check([.. ReadAll(broker, RouteTable.TelemetryTopic, Partitions).Select(record => (record.Key, int.Parse(record.Value)))]);
    }

    [Fact]
    public async Task A_backlog_uses_what_a_throttled_link_carries()
    {
        const int messages = 12_000;
        await using var broker = new TestBroker(time: TimeProvider.System);
        await broker.CreateTopicAsync(RouteTable.TelemetryTopic, Partitions);
        await using BrokerLink gateway = await BrokerLink.StartAsync(broker);
        await using BadLink link = await PutBetweenAsync(broker, gateway, seed: 1);
        link.BytesPerSecond = 200_000;
        link.DelayMs = 20;
        link.Fault = LinkFault.Silence;
        var sent = new Sent();
        UplinkOptions options = new() { CloudHost = "127.0.0.1", CloudPort = link.Port, Codec = CompressionCodec.None };
        await using EdgeParts edge = EdgeParts.Start(new MemoryStorage(), link.Port, EdgeParts.Buffer with { SegmentBytes = 1 << 20 }, options);
        for (int i = 0; i < messages; i++)
        {
            sent.Publish(edge.Ingest, i % Devices);
            if (i % 500 == 0)
            {
                await Waiting.Until(() => sent.AllCommitted);
            }
        }
        await Waiting.Until(() => sent.AllCommitted);
        link.Fault = LinkFault.None;
        await Waiting.Until(() => edge.Acked > messages * 3 / 10);
        (long bytesBefore, TimeSpan idleBefore) = link.Use;
        await Waiting.Until(() => edge.Acked > messages * 8 / 10);
        (long bytes, TimeSpan idle) = link.Use;
        Assert.False(edge.IsDrained);

        double carried = bytes - bytesBefore;
        double could = carried + ((idle - idleBefore).TotalSeconds * link.BytesPerSecond);
        Assert.True(carried >= 0.8 * could, $"{carried} bytes of {could:0}");
        await Waiting.Until(() => edge.IsDrained);
    }

    private static async Task<BadLink> PutBetweenAsync(TestBroker broker, BrokerLink gateway, int seed)
    {
        var link = new BadLink(gateway.Port, seed);
        await broker.Control.ApplyAsync(
            broker.Control.Snapshot with { Brokers = [new BrokerNode(TestControlPlane.NodeId, "127.0.0.1", link.Port)] });
        return link;
    }

    private static async Task DisturbAsync(BadLink link, EdgeParts edge, Sent sent, int step, Random random)
    {
        link.Fault = LinkFault.None;
        switch (step % 8)
        {
            case 0:
                link.BytesPerSecond = random.Next(50_000, 500_000);
                link.DelayMs = random.Next(30);
                break;
            case 1:
                link.Fault = (LinkFault)random.Next((int)LinkFault.Silence, (int)LinkFault.NoRequests + 1);
                await Task.Delay(random.Next(1200)); // how long it lasts: shorter or longer than the edge waits
                link.Fault = LinkFault.None;
                break;
            case 2 or 5:
                await Waiting.Until(() => sent.AllCommitted && edge.IsDrained);
                break;
            case 3 or 6:
                link.Fault = LinkFault.Damage;
                for (int damaged = link.Damaged; link.Damaged < damaged + 3;)
                {
                    sent.Publish(edge.Ingest, random.Next(Devices));
                    await Task.Yield();
                    await Waiting.Until(() => sent.AllCommitted);
                }
                break;
            case 4:
                link.Reset();
                break;
            default:
                link.BytesPerSecond = 0;
                break;
        }
    }
}
