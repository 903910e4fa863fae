using Tributary.Edge.Ingest;
using Tributary.Edge.Mqtt;
using Tributary.Edge.Mqtt.Sessions;
using Tributary.Edge.Routes;
using Tributary.Log.Storage;
using Xunit;

namespace Tributary.Tests.Edge.Mqtt.Sessions;

/// <summary>QoS 2 messages that a route leaves out of its topic: once to subscribers, and never in the topic twice.</summary>
public sealed class FilteredMessageTests
{
    private readonly MemoryStorage _storage = new();

    [Theory]
    [InlineData(uint.MaxValue)]
    [InlineData(0)]
    public void One_that_is_left_out_is_that_message_again_until_it_is_released(uint expiry)
    {
        SessionBench bench = Open();
        SessionBench.BenchClient sub = bench.Connect("sub");
        sub.Subscribe("#", 2);
        SessionBench.BenchClient pub = bench.Connect("pub", expiry: expiry);

        Assert.False(bench.Publish(pub, "a", "1", 2, id: 1).IsRepeated);
        Publication second = bench.Publish(pub, "a", "2", 2, id: 2);
        Assert.False(second.IsRepeated);
        Assert.True(bench.Publish(pub, "a", "2", 2, id: 2).IsRepeated); // the third message would be stored
        bench.Write();
        Assert.True(second.Stream is null || second.Stream.Committed > second.Number);
        Assert.True(bench.Store.TryRelease(pub.Session, 2, out _, out _));
        bench.Write();
        Assert.False(bench.Publish(pub, "a", "3", 2, id: 2).IsRepeated);
        bench.Write();

        Assert.Equal(["1", "2", "3"], sub.Take());
        Assert.Equal(2, bench.Buffer.Partitions.Single(partition => partition.Topic == "t").Log.FlushedEnd);
        Assert.Equal(1, ((Ingestor)bench.Ingest).RouteCounts[0].Sampled);
    }

    [Fact]
    public void One_that_is_left_out_comes_to_subscribers_once_when_it_is_repeated_after_a_crash()
    {
        SessionBench bench = Open();
        SessionBench.BenchClient sub = bench.Connect("sub");
        sub.Subscribe("#", 2);
        SessionBench.BenchClient pub = bench.Connect("pub");
        bench.Publish(pub, "a", "1", 2, id: 1);
        bench.Publish(pub, "a", "2", 2, id: 2); // left out
        bench.Publish(pub, "b", "3", 2, id: 3); // dropped
        bench.Write();

        bench = bench.Restart();
        Use(bench);
        pub = bench.Connect("pub");
        Assert.True(bench.Publish(pub, "a", "1", 2, id: 1).IsRepeated);
        bench.Publish(pub, "a", "2", 2, id: 2); // what was decided is forgotten: it is stored, once
        Assert.True(bench.Publish(pub, "a", "2", 2, id: 2).IsRepeated);
        bench.Publish(pub, "b", "3", 2, id: 3);
        bench.Write();
        foreach (ushort id in new ushort[] { 1, 2, 3 })
        {
            Assert.True(bench.Store.TryRelease(pub.Session, id, out _, out _));
        }
        bench.Write();

        sub = bench.Connect("sub");
        Assert.Equal(["1", "2", "3"], sub.Take());
        Assert.Equal(2, bench.Buffer.Partitions.Single(partition => partition.Topic == "t").Log.FlushedEnd);
    }

    private SessionBench Open()
    {
        var bench = new SessionBench(new MqttOptions(), _storage);
        Use(bench);
        return bench;
    }

    private static void Use(SessionBench bench) => ((Ingestor)bench.Ingest).Use(RoutesFile.Parse(
        """{ "routes": [ { "match": "a", "topic": "t", "sample": { "every": 2 } }, { "match": "b", "drop": true } ] }"""u8, "routes.json"));
}
