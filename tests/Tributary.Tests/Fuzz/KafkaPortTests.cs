using System.Buffers;
using System.Buffers.Binary;
using System.Net;
using Tributary.Broker;
using Tributary.Tests.Broker.Support;
using Tributary.Tests.Support;
using Xunit;

namespace Tributary.Tests.Fuzz;

/// <summary>Whatever is sent to the Kafka port, the broker lives, its memory is bounded, and others are served.</summary>
[Collection(FuzzCollection.Name)]
public sealed class KafkaPortTests
{
    private const int InputsPerConnection = 25;
    private const long MostGrowth = 96L << 20;

    private static readonly BrokerOptions Limits = new()
    {
        MaxFrameBytes = 1 << 20,
        MaxListenerRequestBytes = 16 << 20,
        MaxListenerResponseBytes = 16 << 20,
        MaxFetchBytes = 1 << 20,
        MaxDecompressedBytes = 1 << 20,
        MaxPartitionsPerTopic = 4,
        MaxTopicsPerCreate = 4,
        MaxFetchWait = TimeSpan.FromMilliseconds(20),
        RetentionInterval = TimeSpan.FromSeconds(1),
    };

    [Fact]
    public async Task No_input_harms_the_broker_or_another_client()
    {
        await using var broker = new TestBroker(Limits, TimeProvider.System, tailCacheBytes: 1 << 20) { Control = { MostTopics = 40 } };
        Guid id = await broker.CreateTopicAsync("t", 2, ("segment.bytes", "1048576"), ("retention.bytes", "1048576"));
        await broker.CreateTopicAsync("neighbour", 1, ("segment.bytes", "1048576"), ("retention.bytes", "4194304"));
        await using LoopbackPort port = await LoopbackPort.OpenAsync(broker.Server.Connections, Limits.ConnectionReadBytes);
        var inputs = new KafkaInputs("t", id);
        await FuzzRun.AgainstPortAsync(
            "Kafka port", port.EndPoint, new KafkaNeighbour("neighbour"), random => RoundAsync(port.EndPoint, inputs, random, broker));
        await Eventually.HoldsAsync(() => broker.Server.Metrics.Connections == 0);
        Assert.Equal(0, broker.Server.Metrics.RequestBytesHeld);
        Assert.Equal(0, broker.Server.Metrics.ResponseBytesHeld);
        Assert.Equal((0, 0), broker.Partition("t").Waiters);
        Assert.Equal(0, broker.Server.Metrics.Closed(CloseReason.InternalError));
        Assert.True(broker.Server.Metrics.ProducedRecords > 0, "no input was taken");
    }

    private static async Task RoundAsync(IPEndPoint port, KafkaInputs inputs, Random random, TestBroker broker)
    {
        long faults = broker.Server.Metrics.Closed(CloseReason.InternalError);
        byte[][] contents = [.. Enumerable.Range(0, FuzzRun.InputsPerRound).Select(i => inputs.Next(random, i))];
        for (int next = 0; next < contents.Length;)
        {
            int until = Math.Min(next + InputsPerConnection, contents.Length);
            var frames = new ArrayBufferWriter<byte>(4096);
            foreach (byte[] content in contents.AsSpan(next..until))
            {
                KafkaInputs.WriteFrame(frames, content, random);
            }
            byte[] answered = await HostilePeer.FeedAsync(port, frames.WrittenMemory);
            // What comes behind the input that the connection was closed for is sent again.
            next = Math.Min(until, LastAnswered(answered, next, until) + 2);
        }
        Assert.Equal(faults, broker.Server.Metrics.Closed(CloseReason.InternalError));
        Assert.InRange(broker.Server.Metrics.RequestBytesHeld, 0, 2 * Limits.MaxListenerRequestBytes);
        Assert.InRange(broker.Server.Metrics.ResponseBytesHeld, 0, 2 * Limits.MaxListenerResponseBytes);
        AssertMemory();
    }

    /// <summary>Memory is looked at for what it grows to while all this goes on, not for what a collection would leave.</summary>
    private static void AssertMemory() => Assert.InRange(GC.GetTotalMemory(forceFullCollection: false), 0, Before + (8 * MostGrowth));

    private static long Before { get; } = GC.GetTotalMemory(forceFullCollection: true);

    /// <summary>Answers are whole, and come in the order of the requests.</summary>
    private static int LastAnswered(ReadOnlySpan<byte> answered, int first, int until)
    {
        int last = first - 1;
        while (answered.Length >= 2 * sizeof(int))
        {
            int length = BinaryPrimitives.ReadInt32BigEndian(answered);
            int id = BinaryPrimitives.ReadInt32BigEndian(answered[sizeof(int)..]);
            Assert.InRange(length, sizeof(int), 4 << 20);
            Assert.InRange(id, last + 1, until - 1);
            if (answered.Length < sizeof(int) + length)
            {
                break; // aborted within
            }
            answered = answered[(sizeof(int) + length)..];
            last = id;
        }
        return last;
    }
}
