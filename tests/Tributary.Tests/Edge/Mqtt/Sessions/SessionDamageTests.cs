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

    [Fact]
    public void What_was_damaged_on_its_way_from_the_disk_is_read_again()
    {
        var disk = new FlippingStorage(new MemoryStorage());
        SessionBench bench = WithMessages(disk, "one", "two");
        disk.Flip("one"u8, times: 1);
        bench = bench.Restart();
        Assert.Equal(1, disk.Flips);
        Assert.Equal(["one", "two"], bench.Connect("absent").Take());
    }

    [Fact]
    public async Task What_is_written_after_the_journal_has_lost_what_the_snapshot_knows_is_not_lost_too()
    {
        SessionBench bench = WithMessages(new MemoryStorage(), "first");
        BenchClient publisher = bench.Connect("publisher");
        long cut = bench.Store.Committed;
        bench.Publish(publisher, "t", "lost", 1);
        bench.Publish(publisher, "t", "lost too", 2, id: 7);
        bench.Write();
        await bench.Store.DisposeAsync(); // writes a snapshot
        bench.Buffer.OpenJournal().Truncate(cut);
        bench = bench.Restart();
        publisher = bench.Connect("publisher");
        Publication again = bench.Publish(publisher, "t", "lost too", 2, id: 7);
        Assert.True(again.IsRepeated);
        Assert.True(again.Stream is null || again.Stream.Committed > again.Number);
        string[] later = [.. Enumerable.Range(0, 5).Select(i => $"new {i}")];
        foreach (string payload in later)
        {
            bench.Publish(publisher, "t", payload, 1);
        }
        bench.Write();
        bench = bench.Restart();
        Assert.Equal(["first", .. later], bench.Connect("absent").Take());
    }

    [Fact]
    public void A_session_is_not_taken_for_one_that_a_damaged_snapshot_knew()
    {
        var disk = new FlippingStorage(new MemoryStorage());
        var bench = new SessionBench(new MqttOptions { SnapshotBytes = 4 << 10 }, disk);
        BenchClient client = bench.Connect("client");
        bench.Publish(client, "t", "old", 2, id: 7);
        bench.Write();
        for (int i = 0; i < 2; i++)
        {
            bench.Publish(client, "r", new string('r', 3800), 1, retain: true);
            bench.Write();
        }
        bench.Sweep(3);
        Assert.True(bench.Buffer.OpenJournal().StartOffset > 2, "there is no snapshot");
        disk.Flip("TRBS"u8);
        bench = bench.Restart();
        client = bench.Connect("client");
        Assert.False(client.Given.IsPresent);
        bench.Publish(client, "t", "other", 2, id: 1);
        bench.Write();
        bench = bench.Restart();
        client = bench.Connect("client");
        Assert.True(client.Given.IsPresent);
        bench.Publish(client, "t", "new", 2, id: 7);
        bench.Write();
        Assert.Equal(1, bench.Buffer.Partitions.Sum(partition => SimulatedBroker.Records(partition, 0).Count(record => record.Payload == "new")));
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
