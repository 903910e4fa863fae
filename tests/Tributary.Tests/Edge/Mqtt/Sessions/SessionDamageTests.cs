using System.Text;
using Tributary.Edge.Mqtt;
using Tributary.Edge.Mqtt.Sessions;
using Tributary.Log.Storage;
using Tributary.Tests.Log.Support;
using Xunit;
using BenchClient = Tributary.Tests.Edge.Mqtt.Sessions.SessionBench.BenchClient;

namespace Tributary.Tests.Edge.Mqtt.Sessions;

/// <summary>What sessions are when something of the journal or the snapshot is damaged: all of it but that.</summary>
public sealed class SessionDamageTests
{
    [Fact]
    public void An_entry_that_cannot_be_read_does_not_change_which_messages_the_answers_after_it_belong_to()
    {
        var disk = new FlippingStorage(new MemoryStorage());
        SessionBench bench = WithMessages(disk, "one", "two", "three");
        Assert.Equal(["one", "two"], bench.Connect("absent").Take(2));
        bench.Sweep();
        disk.Flip("one"u8);
        bench = bench.Restart();
        Assert.NotEqual(0, disk.Flips);
        Assert.Equal(["three"], bench.Connect("absent").Take());
    }

    /// <summary>A session that is away, with messages that wait, each in a batch of its own.</summary>
    private static SessionBench WithMessages(IStorage disk, params string[] payloads)
    {
        var bench = new SessionBench(new MqttOptions(), disk);
        BenchClient absent = bench.Connect("absent");
        absent.Subscribe("t", 1);
        absent.Leave();
        BenchClient publisher = bench.Connect("publisher");
        foreach (string payload in payloads)
        {
            bench.Publish(publisher, "t", payload, 1);
            bench.Write();
        }
        return bench;
    }
}
