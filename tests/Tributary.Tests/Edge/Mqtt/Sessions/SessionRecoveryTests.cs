using Tributary.Contracts.Records;
using Tributary.Edge.Mqtt;
using Tributary.Edge.Mqtt.Protocol;
using Tributary.Edge.Mqtt.Sessions;
using Tributary.Log.Storage;
using Tributary.Tests.Log.Support;
using Xunit;
using BenchClient = Tributary.Tests.Edge.Mqtt.Sessions.SessionBench.BenchClient;

namespace Tributary.Tests.Edge.Mqtt.Sessions;

/// <summary>The way back after a write that failed, and a start that can't write.</summary>
public sealed class SessionRecoveryTests
{
    private const string Snapshot = "data/_sessions/sessions.snapshot";
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    [Fact]
    public void Nobody_waits_while_everything_is_read_anew()
    {
        var disk = new HookedStorage(new MemoryStorage());
        SessionBench bench = WithLostJournal(disk);
        ReasonCode? retained = null;
        bool isWanted = false;
        bool isDone = false;
        disk.Opening = (path, create) =>
        {
            if (path != Snapshot || create)
            {
                return;
            }
            disk.Opening = null;
            var asking = Task.Run(() =>
            {
                BenchClient other = bench.Connect("other", isClean: true, expiry: 0);
                retained = bench.Publish(other, "r", "x", 1, retain: true).Code;
                isWanted = bench.Store.Subscriptions.HasSpecial && bench.Publish(other, "t", "x", 1).Code != ReasonCode.Success;
                Assert.Throws<SessionsUnavailableException>(() => bench.Connect("away"));
                Assert.NotNull(bench.Store.Count().Unavailable);
            });
            isDone = asking.Wait(Deadline);
        };
        bench.Sweep();
        Assert.True(isDone, "somebody has to wait");
        Assert.Equal(ReasonCode.Unspecified, retained);
        Assert.True(isWanted, "a message is taken that its subscriber would not get");
        Assert.Null(bench.Store.Count().Unavailable);
        Assert.Equal(["kept"], bench.Connect("away").Take());
        Assert.Equal(1, bench.Store.Metrics.Subscriptions);
    }

    [Fact]
    public void What_can_not_be_read_anew_is_tried_again_after_longer_and_longer_pauses()
    {
        var disk = new HookedStorage(new MemoryStorage());
        SessionBench bench = WithLostJournal(disk);
        int tries = 0;
        disk.Opening = (path, create) =>
        {
            if (path == Snapshot && !create)
            {
                tries++;
                throw new IOException("it can't be read");
            }
        };
        bench.Sweep(300);
        Assert.InRange(tries, 5, 12);
        Assert.NotNull(bench.Store.Count().Unavailable);
        disk.Opening = null;
        bench.Sweep(60);
        Assert.Null(bench.Store.Count().Unavailable);
        Assert.Equal(["kept"], bench.Connect("away").Take());
    }

    [Fact]
    public async Task An_agent_starts_although_the_snapshot_that_it_needs_can_not_be_saved()
    {
        var disk = new HookedStorage(new MemoryStorage());
        var bench = new SessionBench(new MqttOptions(), disk);
        BenchClient away = bench.Connect("away");
        away.Subscribe("t", 1);
        BenchClient publisher = bench.Connect("publisher");
        bench.Publish(publisher, "t", "kept", 1);
        bench.Write();
        long cut = bench.Store.Committed;
        bench.Publish(publisher, "t", "lost", 1);
        bench.Write();
        await bench.Store.DisposeAsync(); // writes a snapshot
        bench.Buffer.OpenJournal().Truncate(cut);
        disk.Opening = (path, create) =>
        {
            if (path == Snapshot + ".tmp" && create)
            {
                throw new IOException("the disk is full");
            }
        };
        bench = bench.Restart();
        Assert.NotNull(bench.Store.Count().Unavailable);
        BenchClient other = bench.Connect("other", isClean: true, expiry: 0);
        other.Subscribe("u", 0);
        Assert.Equal(ReasonCode.Success, bench.Publish(other, "u", "x", 1).Code);
        Assert.NotEqual(ReasonCode.Success, bench.Publish(other, "t", "x", 1).Code);
        Assert.Throws<SessionsUnavailableException>(() => bench.Connect("away"));
        bench.Write();
        Assert.Contains(SimulatedBroker.Records(bench.Buffer.Partitions[0], 0), record => record.Payload == "x");
        bench.Sweep(30);
        Assert.NotNull(bench.Store.Count().Unavailable);

        disk.Opening = null;
        bench.Sweep(60);
        Assert.Null(bench.Store.Count().Unavailable);
        Assert.Equal(ReasonCode.Success, bench.Publish(other, "t", "new", 1).Code);
        bench.Write();
        bench = bench.Restart();
        Assert.Equal(["kept", "new"], bench.Connect("away").Take());
    }

    /// <summary>A session that is away and a message for it, and a journal that has ended since.</summary>
    private static SessionBench WithLostJournal(IStorage disk)
    {
        var bench = new SessionBench(new MqttOptions(), disk);
        BenchClient away = bench.Connect("away");
        away.Subscribe("t", 1);
        away.Leave();
        BenchClient publisher = bench.Connect("publisher");
        bench.Publish(publisher, "t", "kept", 1);
        bench.Write();
        using var foreign = new RecordBatchBuilder();
        foreign.Add(0, default, hasKey: false, "?"u8, hasValue: true, default, headerCount: 0);
        bench.Buffer.OpenJournal().Append(foreign.Build(BatchProducer.None).Span); // its next entry does not stand where it has to
        bench.Publish(publisher, "r", "lost", 1, retain: true);
        bench.Write();
        publisher.Leave();
        Assert.NotNull(bench.Store.Count().Unavailable);
        return bench;
    }
}
