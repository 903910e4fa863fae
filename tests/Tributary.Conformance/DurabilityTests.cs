using System.Net;
using System.Net.Sockets;
using Confluent.Kafka;
using Tributary.Conformance.Clients;
using Tributary.Conformance.Harness;
using Xunit;

namespace Tributary.Conformance;

/// <summary>
/// Durable before acknowledged, seen from outside by the system calls, with many connections that have many messages in flight. The same
/// look at the same programs with their flush disabled finds what it looks for.
/// </summary>
public sealed class DurabilityTests
{
    private const int Alone = 20;
    private const int Together = 100;
    private const int Connections = 6;

    /// <summary>Numbers from one connection's to the next one's.</summary>
    private const int Apart = 1000;

    [Fact]
    public async Task No_PUBACK_leaves_the_edge_before_a_flush_that_covers_its_message_has_returned()
    {
        (IReadOnlyList<int> acknowledged, IReadOnlyList<int> early) = await WatchEdgeAsync(flushes: true);
        Assert.Equal(Numbers(), acknowledged.Order());
        Assert.Empty(early);
    }

    [Fact]
    public async Task An_edge_whose_flush_is_disabled_is_found_out()
    {
        (_, IReadOnlyList<int> early) = await WatchEdgeAsync(flushes: false);
        Assert.Equal(Numbers(), early.Order());
    }

    [Theory]
    [InlineData(Acks.Leader)]
    [InlineData(Acks.All)]
    public async Task No_answer_to_Produce_leaves_the_cloud_before_a_flush_that_covers_its_records_has_returned(Acks acks)
    {
        (IReadOnlyList<int> acknowledged, IReadOnlyList<int> early) = await WatchCloudAsync(acks, flushes: true);
        Assert.Equal(Numbers(), acknowledged.Order());
        Assert.Empty(early);
    }

    [Fact]
    public async Task A_cloud_whose_flush_is_disabled_is_found_out()
    {
        (_, IReadOnlyList<int> early) = await WatchCloudAsync(Acks.All, flushes: false);
        Assert.Equal(Numbers(), early.Order());
    }

    private static IEnumerable<int> Numbers() =>
        Enumerable.Range(0, Connections).SelectMany(connection => Enumerable.Range((connection * Apart) + 1, Alone + Together));

    private static async Task<(IReadOnlyList<int> Acknowledged, IReadOnlyList<int> Early)> WatchEdgeAsync(bool flushes)
    {
        using TempDirectory directory = TempDirectory.Create();
        string file = directory.At("edge.trace");
        await using (EdgeNode edge = await EdgeNode.StartAsync(directory.At("data"), "127.0.0.1:1", prefix: Trace.Command(file, flushes)))
        {
            await Task.WhenAll(Enumerable.Range(0, Connections).Select(connection => PublishAsync(edge.Mqtt, connection)));
            await edge.StopAsync();
        }
        var trace = Trace.Parse(File.ReadLines(file));
        List<(int Marker, int Line)> acknowledgements = Acknowledgements(trace);
        return ([.. acknowledgements.Select(ack => ack.Marker)], trace.FindEarly(acknowledgements));
    }

    private static async Task<(IReadOnlyList<int> Acknowledged, IReadOnlyList<int> Early)> WatchCloudAsync(Acks acks, bool flushes)
    {
        using TempDirectory directory = TempDirectory.Create();
        string file = directory.At("cloud.trace");
        string[] command = Trace.Command(file, flushes);
        await using var cloud = RunningProcess.Start(
            "cloud", command[0],
            [.. command[1..], "dotnet", "exec", Programs.Cloud, "serve", "--data", directory.At("data"), "--kafka", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
        ReadyLine ready = await cloud.ReadyAsync();
        await Task.WhenAll(Enumerable.Range(0, Connections).Select(connection => ProduceAsync(ready["kafka"].ToString(), acks, connection)));
        cloud.Stop();
        Assert.Equal(0, await cloud.ExitAsync());

        var trace = Trace.Parse(File.ReadLines(file));
        List<(int Marker, int Line)> answers = TracedProduce.Answers(trace);
        return ([.. answers.Select(answer => answer.Marker)], trace.FindEarly(answers));
    }

    /// <summary>Some messages one after the other, each when the last one is acknowledged; then many at once, which share flushes.</summary>
    private static async Task PublishAsync(IPEndPoint edge, int connection)
    {
        using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        await socket.ConnectAsync(edge);
        await using var stream = new NetworkStream(socket);
        await stream.WriteAsync(MqttWire.Connect($"traced-{connection}"));
        Assert.Equal(((byte)0x20, (ushort)0), await ReadAsync(stream));
        for (int i = 1; i <= Alone; i++)
        {
            await stream.WriteAsync(Publish(connection, i));
            Assert.Equal(((byte)0x40, (ushort)i), await ReadAsync(stream));
        }
        await stream.WriteAsync(Enumerable.Range(Alone + 1, Together).SelectMany(i => Publish(connection, i)).ToArray());
        for (int i = Alone + 1; i <= Alone + Together; i++)
        {
            Assert.Equal(((byte)0x40, (ushort)i), await ReadAsync(stream));
        }
    }

    private static byte[] Publish(int connection, int i) =>
        MqttWire.Publish($"devices/traced-{connection}/value", (ushort)i, Marker.Of((connection * Apart) + i));

    /// <summary>As above: then several requests are on their way at once.</summary>
    private static async Task ProduceAsync(string bootstrap, Acks acks, int connection)
    {
        var config = new ProducerConfig { BootstrapServers = bootstrap, Acks = acks, LingerMs = 0, BatchNumMessages = 5 };
        using IProducer<Null, byte[]> producer = new ProducerBuilder<Null, byte[]>(config).SetLogHandler((_, _) => { }).Build();
        var partition = new TopicPartition("durable", connection % 2);
        for (int i = 1; i <= Alone; i++)
        {
            await producer.ProduceAsync(partition, new Message<Null, byte[]> { Value = Marker.Of((connection * Apart) + i) });
        }
        await Task.WhenAll(Enumerable.Range(Alone + 1, Together).Select(
            i => producer.ProduceAsync(partition, new Message<Null, byte[]> { Value = Marker.Of((connection * Apart) + i) })));
    }

    private static async Task<(byte Type, ushort Value)> ReadAsync(Stream stream)
    {
        using var timeout = new CancellationTokenSource(Until.Deadline);
        return await MqttWire.ReadShortAsync(stream, new byte[4], timeout.Token) ?? throw new EndOfStreamException("the edge closed the connection");
    }

    /// <summary>
    /// Messages with the lines at which their PUBACKs left. What the edge sends to a client is CONNACK and PUBACKs, four bytes each, one or
    /// more in a call; which connection it is follows from what was received on it.
    /// </summary>
    private static List<(int Marker, int Line)> Acknowledgements(Trace trace)
    {
        var connections = new Dictionary<string, int>();
        foreach (SystemCall received in trace.Received)
        {
            if (Marker.In(received.Data) is [int number, ..])
            {
                connections[received.Target] = number / Apart;
            }
        }
        var acks = new List<(int, int)>();
        foreach (SystemCall sent in trace.Sent.Where(call => connections.ContainsKey(call.Target)))
        {
            foreach (byte[] packet in sent.Data.Chunk(4).Where(packet => packet is [0x40, 2, _, _]))
            {
                acks.Add(((connections[sent.Target] * Apart) + ((packet[2] << 8) | packet[3]), sent.Enter));
            }
        }
        return acks;
    }
}
