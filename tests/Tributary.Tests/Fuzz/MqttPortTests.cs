using System.Buffers;
using System.Net;
using Microsoft.Extensions.Logging.Abstractions;
using Tributary.Contracts.Telemetry;
using Tributary.Edge.Ingest;
using Tributary.Edge.Mqtt;
using Tributary.Tests.Edge.Mqtt.Support;
using Tributary.Tests.Support;
using Xunit;

namespace Tributary.Tests.Fuzz;

/// <summary>Whatever is sent to the MQTT port, the agent lives, its memory is bounded, and other clients are served.</summary>
[Collection(FuzzCollection.Name)]
public sealed class MqttPortTests
{
    private const int InputsPerConnection = 25;
    private const long MostGrowth = 512L << 20;

    private static readonly MqttOptions Limits = new()
    {
        MaxPacketBytes = 64 << 10,
        MaxClientBytes = 1 << 20,
        MaxDeliveryBytes = 4 << 20,
        MaxSubscriptionBytes = 1 << 20,
        MaxOutboundBytes = 64 << 10,
        MaxSessionExpiry = TimeSpan.FromSeconds(1),
        ShutdownGrace = TimeSpan.Zero,
    };

    [Fact]
    public async Task No_input_harms_the_agent_or_another_client()
    {
        await using var sessions = new TestSessions(Limits, TimeProvider.System);
        await using var server = new MqttServer(Limits, new RoutingIngest(), sessions.Store, TimeProvider.System, NullLoggerFactory.Instance);
        await using LoopbackPort port = await LoopbackPort.OpenAsync(server.Connections, Limits.ReadBufferBytes);
        long before = GC.GetTotalMemory(forceFullCollection: true);
        await FuzzRun.AgainstPortAsync(
            "MQTT port", port.EndPoint, new MqttNeighbour(), random => RoundAsync(port.EndPoint, server, before, random));
        await Wait.Until(() => server.Metrics.Connections == 0 && server.Sessions.Count().Sessions == 0);
        Assert.Equal((0, 0), (server.Metrics.Subscriptions, server.Metrics.SubscriptionBytes));
        Assert.Equal((0, 0), (server.Metrics.ClientBytes, server.Metrics.DeliveryBytes));
        Assert.Equal(0, server.Metrics.Closed(MqttCloseReason.InternalError));
        Assert.True(server.Metrics.Acknowledged > 0, "no input was taken");
    }

    /// <summary>
    /// Behind each input goes a ping: as many answers as there are, as many inputs were survived. The next one is what the connection was
    /// closed for, and what comes behind it is sent again.
    /// </summary>
    private static async Task RoundAsync(IPEndPoint port, MqttServer server, long before, Random random)
    {
        int level = random.Next(4, 6);
        IReadOnlyList<byte[]> beginnings = MqttInputs.Beginnings(level);
        IReadOnlyList<byte[]> packets = MqttInputs.Packages(level);
        byte[][] inputs = [.. Enumerable.Range(0, FuzzRun.InputsPerRound).Select(_ => MqttInputs.Next(packets, random))];
        for (int next = 0; next < inputs.Length;)
        {
            bool isBadBeginning = random.Next(8) == 0;
            var bytes = new ArrayBufferWriter<byte>(4096);
            bytes.Write(isBadBeginning ? MqttInputs.Next(beginnings, random) : Packets.Connect(level, $"c{random.Next(8)}"));
            next += isBadBeginning ? 1 : 0; // that was one too
            int until = Math.Min(next + InputsPerConnection, inputs.Length);
            foreach (byte[] input in inputs.AsSpan(Math.Min(next, until)..until))
            {
                bytes.Write(input);
                bytes.Write(Packets.PingReq);
            }
            byte[] answered = await HostilePeer.FeedAsync(port, bytes.WrittenMemory);
            next = Math.Min(until, next + CountPings(answered) + 1);
        }
        Assert.Equal(0, server.Metrics.Closed(MqttCloseReason.InternalError));
        Assert.InRange(server.Metrics.ClientBytes, 0, Limits.MaxClientBytes);
        Assert.InRange(server.Metrics.SubscriptionBytes, 0, 2 * Limits.MaxSubscriptionBytes);
        Assert.InRange(server.Metrics.DeliveryBytes, 0, 2 * Limits.MaxDeliveryBytes);
        Assert.InRange(GC.GetTotalMemory(forceFullCollection: false), 0, before + MostGrowth);
    }

    /// <summary>Counts PINGRESP. What the broker sends is packets, one behind the other.</summary>
    private static int CountPings(ReadOnlySpan<byte> answered)
    {
        int pings = 0;
        while (answered.Length >= 2)
        {
            int length = 0;
            int at = 1;
            for (int shift = 0; at < answered.Length; shift += 7)
            {
                Assert.InRange(shift, 0, 21);
                length |= (answered[at] & 0x7F) << shift;
                if (answered[at++] < 0x80)
                {
                    break;
                }
            }
            Assert.Contains(answered[0] >> 4, (int[])[2, 3, 4, 5, 6, 7, 9, 11, 13, 14]);
            pings += answered[0] == Packets.PingResp[0] ? 1 : 0;
            if (answered.Length < at + length)
            {
                break; // aborted within
            }
            answered = answered[(at + length)..];
        }
        return pings;
    }

    /// <summary>Routes each message as the agent does, and commits it at once.</summary>
    private sealed class RoutingIngest : IIngest, ICommitStream
    {
        private long _committed;

        public bool HasRoom => true;

        public long Committed => Volatile.Read(ref _committed);

        public ValueTask WaitForRoomAsync(CancellationToken cancellation) => ValueTask.CompletedTask;

        public IngestClient Connect(string clientId) => new(clientId);

        public IngestTicket Accept(IngestClient client, in IngestMessage message, ICommitListener listener)
        {
            RoutedTopic routed = RouteTable.Default.Resolve(message.Topic, "edge");
            Assert.True(KafkaTopicName.IsValid(routed.Topic));
            var ticket = new IngestTicket(this, Interlocked.Increment(ref _committed) - 1, IngestRefusal.None);
            listener.OnCommitted(this);
            return ticket;
        }
    }
}
