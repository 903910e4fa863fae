using System.Net;
using System.Net.Sockets;
using System.Text;
using Confluent.Kafka;
using Tributary.Conformance.Clients;
using Tributary.Conformance.Harness;
using Xunit;

namespace Tributary.Conformance;

/// <summary>Durable before acknowledged, seen from outside by the system calls.</summary>
public sealed class DurabilityTests
{
    private const int Alone = 20;
    private const int Together = 200;

    [Fact]
    public async Task No_PUBACK_leaves_the_edge_before_a_flush_that_covers_its_message_has_returned()
    {
        await using var system = new TestSystem();
        system.Link.State = LinkState.Cut;
        string file = system.At("edge.trace");
        await using RunningProcess edge = system.StartEdge(Trace.Command(file));
        ReadyLine ready = await edge.ReadyAsync();
        await PublishAsync(ready["mqtt"]);
        edge.Stop();
        Assert.Equal(0, await edge.ExitAsync());

        Trace trace = Trace.Parse(File.ReadLines(file));
        Dictionary<int, SystemCall> acks = Acknowledgements(trace);
        Assert.Equal(Enumerable.Range(1, Alone + Together), acks.Keys.Order());
        int[] early = [.. acks.Where(ack => !trace.IsDurableBefore(Marker(ack.Key), ack.Value.Enter)).Select(ack => ack.Key)];
        Assert.Empty(early);
    }

    [Theory]
    [InlineData(Acks.Leader)]
    [InlineData(Acks.All)]
    public async Task No_answer_to_Produce_leaves_the_cloud_before_a_flush_that_covers_its_records_has_returned(Acks acks)
    {
        using TempDirectory directory = TempDirectory.Create();
        string file = directory.At("cloud.trace");
        string[] command = Trace.Command(file);
        await using var cloud = RunningProcess.Start(
            "cloud", command[0],
            [.. command[1..], "dotnet", "exec", Programs.Cloud, "serve", "--data", directory.At("data"), "--kafka", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
        ReadyLine ready = await cloud.ReadyAsync();
        var config = new ProducerConfig { BootstrapServers = ready["kafka"].ToString(), Acks = acks, LingerMs = 0 };
        using (IProducer<Null, byte[]> producer = new ProducerBuilder<Null, byte[]>(config).SetLogHandler((_, _) => { }).Build())
        {
            for (int i = 0; i <= Alone; i++) // the first one also creates the topic and asks where it is
            {
                await producer.ProduceAsync(new TopicPartition("durable", 0), new Message<Null, byte[]> { Value = Marker(i) });
            }
        }
        cloud.Stop();
        Assert.Equal(0, await cloud.ExitAsync());

        Trace trace = Trace.Parse(File.ReadLines(file));
        for (int i = 1; i <= Alone; i++)
        {
            SystemCall? answer = trace.AnswerTo(Marker(i));
            Assert.True(answer is not null, $"the trace has no answer to message {i}");
            Assert.True(trace.IsDurableBefore(Marker(i), answer.Enter), $"the answer to message {i} left before its flush");
        }
    }

    private static byte[] Marker(int number) => Encoding.ASCII.GetBytes($"<message {number:D6}>");

    /// <summary>Some messages one after the other, each when the last one is acknowledged; then many at once, which share flushes.</summary>
    private static async Task PublishAsync(IPEndPoint edge)
    {
        using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        await socket.ConnectAsync(edge);
        await using var stream = new NetworkStream(socket);
        await stream.WriteAsync(MqttWire.Connect("traced"));
        Assert.Equal(((byte)0x20, (ushort)0), await ReadAsync(stream));
        for (int number = 1; number <= Alone; number++)
        {
            await stream.WriteAsync(Publish(number));
            Assert.Equal(((byte)0x40, (ushort)number), await ReadAsync(stream));
        }
        await stream.WriteAsync(Enumerable.Range(Alone + 1, Together).SelectMany(Publish).ToArray());
        for (int number = Alone + 1; number <= Alone + Together; number++)
        {
            Assert.Equal(((byte)0x40, (ushort)number), await ReadAsync(stream));
        }
    }

    private static byte[] Publish(int number) => MqttWire.Publish("devices/traced/value", (ushort)number, Marker(number));

    private static async Task<(byte Type, ushort Value)> ReadAsync(Stream stream)
    {
        using var timeout = new CancellationTokenSource(Until.Deadline);
        return await MqttWire.ReadShortAsync(stream, new byte[4], timeout.Token) ?? throw new EndOfStreamException("the edge closed the connection");
    }

    /// <summary>PUBACKs by packet id. What the edge sends to a client is CONNACK and PUBACKs, four bytes each, one or more in a call.</summary>
    private static Dictionary<int, SystemCall> Acknowledgements(Trace trace)
    {
        var acks = new Dictionary<int, SystemCall>();
        foreach (SystemCall sent in trace.Sent)
        {
            byte[][] packets = [.. sent.Data.Chunk(4)];
            if (packets.All(packet => packet is [0x20 or 0x40, 2, _, _]))
            {
                foreach (byte[] packet in packets.Where(packet => packet[0] == 0x40))
                {
                    acks.Add((packet[2] << 8) | packet[3], sent);
                }
            }
        }
        return acks;
    }
}
