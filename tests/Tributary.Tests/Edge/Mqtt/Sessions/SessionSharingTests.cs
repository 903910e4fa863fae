using Tributary.Edge.Mqtt;
using Tributary.Log.Storage;
using Xunit;
using BenchClient = Tributary.Tests.Edge.Mqtt.Sessions.SessionBench.BenchClient;

namespace Tributary.Tests.Edge.Mqtt.Sessions;

/// <summary>Shared subscriptions of durable sessions that have no room.</summary>
public sealed class SessionSharingTests
{
    private static readonly MqttOptions FiveEach = new() { MaxQueuedMessages = 5 };

    [Fact]
    public void A_message_is_dropped_only_when_no_member_has_room()
    {
        var bench = new SessionBench(FiveEach, new MemoryStorage());
        Join(bench, "first").Leave();
        Join(bench, "second").Leave();
        BenchClient publisher = bench.Connect("publisher");
        Publish(bench, publisher, 0, 10);
        Assert.Equal(0, bench.Store.Metrics.Dropped(MqttDropReason.SessionFull));
        Publish(bench, publisher, 10, 1);
        Assert.Equal(1, bench.Store.Metrics.Dropped(MqttDropReason.SessionFull));
        BenchClient second = bench.Connect("second");
        Assert.Equal(5, second.Take().Count);
        second.Leave();
        Publish(bench, publisher, 11, 5);
        Assert.Equal(1, bench.Store.Metrics.Dropped(MqttDropReason.SessionFull));
        Assert.Equal(["11", "12", "13", "14", "15"], bench.Connect("second").Take());
        Assert.Equal(5, bench.Connect("first").Take().Count);
    }

    [Fact]
    public void What_a_member_leaves_goes_to_those_who_have_room()
    {
        var bench = new SessionBench(FiveEach, new MemoryStorage());
        BenchClient full = Join(bench, "full");
        BenchClient publisher = bench.Connect("publisher");
        Publish(bench, publisher, 0, 4);
        full.Leave();
        Join(bench, "leaving");
        Publish(bench, publisher, 4, 5);
        Join(bench, "other").Leave();
        bench.Connect("leaving", isClean: true);
        bench.Write();
        Assert.Equal(0, bench.Store.Metrics.Dropped(MqttDropReason.SessionFull));
        List<string> all = [.. bench.Connect("full").Take(), .. bench.Connect("other").Take()];
        Assert.Equal(Enumerable.Range(0, 9).Select(i => $"{i}"), all.Order());
    }

    [Fact]
    public void A_message_is_for_no_absent_member_that_asked_for_QoS_0()
    {
        var bench = new SessionBench(new MqttOptions(), new MemoryStorage());
        Join(bench, "none", qos: 0).Leave();
        Join(bench, "first").Leave();
        BenchClient publisher = bench.Connect("publisher");
        Publish(bench, publisher, 0, 10);
        Assert.Equal(10, bench.Store.Count().QueuedMessages);
        Join(bench, "second").Leave();
        bench.Connect("first", isClean: true);
        bench.Write();
        Assert.Equal(Enumerable.Range(0, 10).Select(i => $"{i}"), bench.Connect("second").Take());
        Assert.Equal(0, bench.Store.Metrics.Dropped(MqttDropReason.SessionFull));
    }

    [Fact]
    public void What_a_member_may_not_have_any_more_goes_to_another_one()
    {
        var bench = new SessionBench(new MqttOptions(), new MemoryStorage());
        BenchClient member = Join(bench, "member");
        BenchClient publisher = bench.Connect("publisher");
        Publish(bench, publisher, 0, 5);
        OutboundKind kind = member.Session.Outbound.TryTake(member, bench.Store.Committed, out OutboundMessage taken, out ushort id);
        Assert.Equal(OutboundKind.Message, kind);
        Assert.False(bench.Store.TryPassOn(member.Session, taken with { Share = null }, id));
        BenchClient other = Join(bench, "other");
        other.Leave();
        Assert.True(bench.Store.TryPassOn(member.Session, taken, id));
        taken.Message!.Release();
        bench.Store.Revoke(member.Session, Assert.Single(member.Session.Subscriptions));
        bench.Write();
        Assert.Empty(member.Take());
        Assert.Equal((0L, 5L), (member.Session.Outbound.StoredMessages, bench.Store.Count().QueuedMessages));
        member.Leave();
        bench = bench.Restart();
        Assert.Equal(["0", "1", "2", "3", "4"], bench.Connect("other").Take());
        Assert.Empty(bench.Connect("member").Take());
    }

    private static BenchClient Join(SessionBench bench, string clientId, int qos = 1)
    {
        BenchClient member = bench.Connect(clientId);
        member.Subscribe("$share/g/t", qos);
        return member;
    }

    private static void Publish(SessionBench bench, BenchClient publisher, int from, int count)
    {
        for (int i = from; i < from + count; i++)
        {
            bench.Publish(publisher, "t", $"{i}", 1);
        }
        bench.Write();
    }
}
