using System.Text;
using Tributary.Edge.Buffer;
using Tributary.Edge.Mqtt;
using Tributary.Edge.Mqtt.Protocol;
using Tributary.Edge.Mqtt.Sessions;
using Tributary.Log;
using Tributary.Log.Storage;
using Tributary.Tests.Edge.Mqtt.Support;
using Tributary.Tests.Log.Support;
using Xunit;
using BenchClient = Tributary.Tests.Edge.Mqtt.Sessions.SessionBench.BenchClient;

namespace Tributary.Tests.Edge.Mqtt.Sessions;

/// <summary>How the journal is kept short, what is ended by time, and what is bound to a user.</summary>
public sealed class SessionUpkeepTests
{
    private static readonly string Filling = new('x', 900);
    private static readonly MqttOptions Small = new() { MaxJournalBytes = 256 << 10, SnapshotBytes = 32L << 20 };

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Messages_that_wait_for_long_do_not_fill_the_journal_with_what_nobody_needs(int qos)
    {
        var bench = new SessionBench(Small, new MemoryStorage());
        BenchClient absent = bench.Connect("absent");
        absent.Subscribe("old/#", 1);
        absent.Leave();
        BenchClient reader = bench.Connect("reader");
        reader.Subscribe("new/#", 1);
        BenchClient publisher = bench.Connect("publisher");
        List<string> old = [.. Enumerable.Range(0, 60).Select(i => $"{i}")];
        foreach (string payload in old)
        {
            bench.Publish(publisher, "old/t", payload, 1);
        }
        for (int i = 0; i < 4000; i++)
        {
            // With QoS 2 nobody gets them, and they stand in the journal all the same.
            bench.Publish(publisher, qos == 2 ? "other/t" : "new/t", $"{i} {Filling}", qos, id: (i % 100) + 1, retain: qos == 2);
            if (qos == 2)
            {
                bench.Store.TryRelease(publisher.Session, (ushort)((i % 100) + 1), out _, out _);
            }
            if (i % 10 == 9)
            {
                bench.Write();
                Assert.Equal(qos == 2 ? 0 : 10, reader.Take().Count);
                bench.Sweep();
                Assert.True(bench.Store.Count().JournalBytes < Small.MaxJournalBytes, $"{i}: {bench.Store.Count()}");
            }
        }
        Assert.Equal(0, bench.Store.Metrics.Dropped(MqttDropReason.SessionFull));
        bench = bench.Restart();
        absent = bench.Connect("absent");
        Assert.True(absent.Given.IsPresent);
        Assert.Equal(old, absent.Take());
    }

    [Fact]
    public void A_journal_that_is_full_takes_messages_again_when_those_who_waited_have_taken_theirs()
    {
        var bench = new SessionBench(Small, new MemoryStorage());
        BenchClient absent = bench.Connect("absent");
        absent.Subscribe("#", 1);
        absent.Leave();
        BenchClient publisher = bench.Connect("publisher");
        int published = 0;
        while (bench.Store.Metrics.Dropped(MqttDropReason.SessionFull) == 0)
        {
            bench.Publish(publisher, "t", $"{published++} {Filling}", 1);
            bench.Write();
        }
        bench.Sweep(30);
        bench.Publish(publisher, "t", "one more", 1);
        Assert.Equal(2, bench.Store.Metrics.Dropped(MqttDropReason.SessionFull));
        absent = bench.Connect("absent");
        Assert.Equal(published - 1, absent.Take().Count);
        bench.Sweep(15);
        bench.Publish(publisher, "t", "again", 1);
        bench.Write();
        Assert.Equal(["again"], absent.Take());
        Assert.True(bench.Store.Count().JournalBytes < Small.MaxJournalBytes / 4);
    }

    [Fact]
    public void What_is_damaged_does_not_keep_the_journal_from_getting_shorter()
    {
        var disk = new UnreadableStorage(new MemoryStorage());
        var bench = new SessionBench(Small, disk);
        BenchClient absent = bench.Connect("absent");
        absent.Subscribe("old", 1);
        absent.Leave();
        BenchClient publisher = bench.Connect("publisher");
        bench.Publish(publisher, "old", "lost", 1);
        bench.Write();
        long damaged = bench.Store.Committed - 1;
        for (int i = 0; i < 40; i++)
        {
            bench.Publish(publisher, "r", $"{i} {Filling}", 1, retain: true);
        }
        bench.Write();
        bench.Publish(publisher, "old", "kept", 1);
        bench.Write();
        bench.Buffer.OpenJournal().AdvanceStart(damaged + 1); // as if the segment were gone
        for (int i = 0; i < 400; i++)
        {
            bench.Publish(publisher, "r", $"{i} {Filling}", 1, retain: true);
            bench.Write();
            bench.Sweep(i % 10 == 0 ? 1 : 0);
        }
        bench.Sweep(10);
        Assert.Equal(1, bench.Store.Metrics.Dropped(MqttDropReason.Unreadable));
        Assert.True(bench.Store.Count().JournalBytes < Small.MaxJournalBytes / 2, $"{bench.Store.Count()}");
        Assert.Equal(["kept"], bench.Connect("absent").Take());
    }

    [Fact]
    public void A_message_that_cannot_be_read_now_is_not_taken_for_one_that_is_lost()
    {
        var disk = new UnreadableStorage(new MemoryStorage());
        var bench = new SessionBench(new MqttOptions(), disk);
        BenchClient absent = bench.Connect("absent");
        absent.Subscribe("t", 1);
        absent.Leave();
        bench.Publish(bench.Connect("publisher"), "t", "x", 1);
        bench.Write();
        bench = bench.Restart();
        absent = bench.Connect("absent");
        foreach (string file in disk.List("data/_sessions"))
        {
            disk.Spoil($"data/_sessions/{file}");
        }
        Assert.ThrowsAny<IOException>(() => absent.Take());
        absent.Leave();
        disk.Heal();
        Assert.Equal(["x"], bench.Connect("absent").Take());
    }

    [Fact]
    public void A_snapshot_that_is_taken_between_a_flush_and_its_news_does_not_lose_a_receipt()
    {
        var disk = new MemoryStorage();
        SessionBench? bench = null;
        var flushed = new Flushed(() => bench!.Store.KeepUp());
        bench = new SessionBench(new MqttOptions { SnapshotBytes = 4 << 10 }, disk, opened: partition => partition.Log.Subscribe(flushed));
        BenchClient client = bench.Connect("client");
        bench.Publish(client, "t", "before", 2, id: 6);
        bench.Publish(client, "r", Filling, 1, retain: true);
        bench.Write();
        bench.Sweep(3);
        for (int i = 0; i < 6; i++)
        {
            bench.Publish(client, "r", Filling, 1, retain: true);
        }
        flushed.IsArmed = true;
        bench.Publish(client, "t", "once", 2, id: 7);
        bench.Write();
        Assert.False(flushed.IsArmed, "no flush was seen");
        bench.Store.KeepUp(); // the snapshot that was begun then
        Assert.True(bench.Buffer.OpenJournal().StartOffset > 6, "there is no snapshot");
        bench = bench.Restart();
        client = bench.Connect("client");
        Assert.True(client.Given.IsPresent);
        Assert.True(bench.Publish(client, "t", "once", 2, id: 7).IsRepeated);
        bench.Write();
        Assert.Equal(1, bench.Buffer.Partitions.Sum(partition => SimulatedBroker.Records(partition, 0).Count(record => record.Payload == "once")));
    }

    [Fact]
    public void Everything_is_read_anew_only_when_no_record_is_on_its_way()
    {
        var ingest = new TestIngest();
        var bench = new SessionBench(new MqttOptions(), new MemoryStorage(), ingest: ingest);
        BenchClient client = bench.Connect("client");
        bench.Publish(client, "t", "before", 2, id: 6);
        bench.Write();
        bench.Buffer.OpenJournal().Append(Foreign()); // and the journal ends: its next entry does not stand where it has to
        bench.Publish(client, "t", "once", 2, id: 7);
        bench.Write();
        Assert.NotNull(bench.Store.Count().Unavailable);
        client.Leave();
        ingest.Commit(count: 1);
        bench.Sweep(5);
        Assert.NotNull(bench.Store.Count().Unavailable);
        ingest.Commit();
        bench.Sweep();
        Assert.Null(bench.Store.Count().Unavailable);
        Assert.True(bench.Connect("client").Given.IsPresent);
    }

    [Fact]
    public void A_session_belongs_to_its_user_and_nobody_else_gets_what_waits_there()
    {
        var disk = new MemoryStorage();
        var bench = new SessionBench(new MqttOptions(), disk);
        foreach (string? other in new[] { "eve", null, "Ann" })
        {
            BenchClient first = bench.Connect("dev", "ann");
            first.Subscribe("t", 1);
            first.Leave();
            bench.Publish(bench.Connect("publisher"), "t", "secret", 1);
            bench.Write();
            bench = bench.Restart(); // what is known of it comes out of the journal
            BenchClient second = bench.Connect("dev", other);
            Assert.False(second.Given.IsPresent);
            Assert.Empty(second.Take());
            Assert.Equal(0, bench.Store.Count().QueuedMessages);
            second.Leave();
            Assert.True(bench.Connect("dev", other).Given.IsPresent);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void The_age_of_a_session_goes_on_when_the_agent_is_started_again(bool hasSnapshot)
    {
        var bench = new SessionBench(new MqttOptions { SnapshotBytes = 4 << 10 }, new MemoryStorage());
        bench.Connect("away", expiry: 100).Leave();
        BenchClient there = bench.Connect("there", expiry: 100);
        there.Leave();
        bench.Sweep(60);
        there = bench.Connect("there", expiry: 100);
        Assert.True(there.Given.IsPresent);
        if (hasSnapshot)
        {
            bench.Publish(there, "r", new string('r', 3800), 1, retain: true);
            bench.Publish(there, "r", new string('r', 3800), 1, retain: true);
            bench.Write();
            bench.Sweep(3);
            Assert.True(bench.Buffer.OpenJournal().StartOffset > 3, "there is no snapshot");
        }
        bench = bench.Restart();
        bench.Sweep(30);
        bench = bench.Restart();
        bench.Sweep(5);
        Assert.Equal(2, bench.Store.Count().Sessions);
        bench.Sweep(20);
        Assert.Equal(1, bench.Store.Count().Sessions);
        Assert.True(bench.Connect("there").Given.IsPresent);
    }

    [Theory]
    [InlineData(-7200, 100)]
    [InlineData(-7200, 7000)]
    public void The_age_of_a_session_begins_anew_when_the_clock_was_set_back(int jump, int expiry)
    {
        var clock = new SetClock(new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero));
        var bench = new SessionBench(new MqttOptions(), new MemoryStorage(), clock);
        bench.Connect("away", expiry: (uint)expiry).Leave();
        bench.Sweep();
        clock.Jump(TimeSpan.FromSeconds(jump));
        bench = bench.Restart();
        bench.Sweep(99);
        Assert.Equal(1, bench.Store.Count().Sessions);
    }

    [Theory]
    [InlineData(1970)]
    [InlineData(2025)]
    public void A_clock_that_is_set_while_a_session_is_away_does_not_end_it(int year)
    {
        var clock = new SetClock(new DateTimeOffset(year, 1, 1, 0, 0, 0, TimeSpan.Zero));
        var bench = new SessionBench(new MqttOptions(), new MemoryStorage(), clock);
        bench.Sweep();
        bench.Connect("away", expiry: 1000).Leave();
        bench.Sweep(10);
        clock.Jump(new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero) - clock.GetUtcNow());
        bench.Sweep(3);
        bench = bench.Restart();
        bench.Sweep(900);
        Assert.Equal(1, bench.Store.Count().Sessions);
        bench.Sweep(100);
        Assert.Equal(0, bench.Store.Count().Sessions);
    }

    [Fact]
    public void A_snapshot_knows_whose_a_session_is()
    {
        var bench = new SessionBench(new MqttOptions { SnapshotBytes = 4 << 10 }, new MemoryStorage());
        bench.Connect("ann's", "ann").Leave();
        bench.Connect("nobody's").Leave();
        bench.Publish(bench.Connect("publisher"), "r", new string('r', 3800), 1, retain: true);
        bench.Publish(bench.Connect("publisher"), "r", new string('r', 3800), 1, retain: true);
        bench.Write();
        bench.Sweep(3);
        Assert.True(bench.Buffer.OpenJournal().StartOffset > 3, "there is no snapshot");
        bench = bench.Restart();
        Assert.True(bench.Connect("ann's", "ann").Given.IsPresent);
        Assert.True(bench.Connect("nobody's").Given.IsPresent);
    }

    [Fact]
    public void A_will_that_was_due_is_not_published_when_its_client_has_come_back_and_does_not_take_the_new_one_away()
    {
        var bench = new SessionBench(new MqttOptions(), new MemoryStorage());
        bench.Connect("dev", will: WillOf("old")).Leave(keepsWill: true);
        bench.Time.Advance(TimeSpan.FromSeconds(11));
        DueWill due = Assert.Single(bench.Store.Sweep());
        Assert.True(bench.Store.IsStillDue(due));
        BenchClient back = bench.Connect("dev", will: WillOf("new"));
        Assert.False(bench.Store.IsStillDue(due));
        bench.Store.WillPublished(due);
        Assert.Equal("new", Encoding.UTF8.GetString(back.Session.Will!.Payload));
        back.Leave(keepsWill: true);
        bench.Time.Advance(TimeSpan.FromSeconds(11));
        due = Assert.Single(bench.Store.Sweep());
        Assert.True(bench.Store.IsStillDue(due));
        bench.Store.WillPublished(due);
        Assert.Null(back.Session.Will);
        Assert.False(bench.Store.IsStillDue(due));
    }

    [Fact]
    public void Wills_of_sessions_without_a_connection_count_as_memory_of_clients()
    {
        var bench = new SessionBench(new MqttOptions { MaxClientBytes = 1 << 20 }, new MemoryStorage());
        string large = new('w', 60_000);
        int kept = 0;
        MqttProtocolException? refused = null;
        while (refused is null)
        {
            try
            {
                bench.Connect($"c{kept}", will: WillOf(large)).Leave(keepsWill: true);
                kept++;
            }
            catch (MqttProtocolException e)
            {
                refused = e;
            }
        }
        Assert.Equal(MqttCloseReason.ClientMemory, refused.Reason);
        Assert.Equal((1 << 20) / 60_000, kept);
        Assert.Equal(kept, bench.Store.Count().Sessions);
        long bytes = bench.Store.Metrics.ClientBytes;
        bench = bench.Restart();
        Assert.Equal(bytes, bench.Store.Metrics.ClientBytes);
        bench.Connect("c0", isClean: true);
        Assert.Equal(bytes / kept * (kept - 1), bench.Store.Metrics.ClientBytes);
        bench.Connect("c1", will: WillOf(large)); // in place of its own
    }

    [Fact]
    public void A_retained_message_is_forgotten_when_its_time_is_over()
    {
        var bench = new SessionBench(new MqttOptions { MaxRetained = 2 }, new MemoryStorage());
        BenchClient publisher = bench.Connect("publisher");
        bench.Publish(publisher, "for/ever", "x", 1, retain: true);
        for (int i = 0; i < 1000; i++)
        {
            bench.Publish(publisher, "short", $"{i}", 1, retain: true, properties: [0x02, 0, 0, 0, 10]);
        }
        bench.Publish(publisher, "short", "1000", 1, retain: true, properties: [0x02, 0, 0, 0, 20]);
        Assert.Equal(0, bench.Refused);
        bench.Sweep(15);
        Assert.Equal(2, bench.Store.Count().Retained);
        bench.Publish(publisher, "more", "x", 1, retain: true);
        Assert.Equal(1, bench.Refused);
        bench.Sweep(6);
        Assert.Equal(1, bench.Store.Count().Retained);
        bench.Publish(publisher, "more", "x", 1, retain: true, properties: [0x02, 0, 0, 0, 10]);
        bench.Time.Advance(TimeSpan.FromSeconds(11));
        bench.Publish(publisher, "yet/another", "x", 1, retain: true); // no sweep has come between
        Assert.Equal(1, bench.Refused);
        bench.Write();
        bench = bench.Restart();
        bench.Sweep();
        Assert.Equal(2, bench.Store.Count().Retained);
    }

    private static Will WillOf(string payload) => new("w"u8.ToArray(), Encoding.UTF8.GetBytes(payload), 1, false, [], 10);

    private static byte[] Foreign()
    {
        using var builder = new Tributary.Contracts.Records.RecordBatchBuilder();
        builder.Add(0, default, hasKey: false, "?"u8, hasValue: true, default, headerCount: 0);
        return builder.Build(Tributary.Contracts.Records.BatchProducer.None).ToArray();
    }

    /// <summary>A clock that somebody sets; the one that never jumps goes on.</summary>
    private sealed class SetClock(DateTimeOffset start) : Microsoft.Extensions.Time.Testing.FakeTimeProvider(start)
    {
        private TimeSpan _jumped;

        public void Jump(TimeSpan by) => _jumped += by;

        public override DateTimeOffset GetUtcNow() => base.GetUtcNow() + _jumped;

        public override long GetTimestamp() => base.GetUtcNow().Ticks;

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;
    }

    /// <summary>Does something once, when a flush is done and nobody else knows of it.</summary>
    private sealed class Flushed(Action then) : ILogListener
    {
        public bool IsArmed { get; set; }

        public void OnFlushed(PartitionLog log, long flushedEnd)
        {
            if (IsArmed)
            {
                IsArmed = false;
                then();
            }
        }

        public void OnFailed(PartitionLog log, long fromOffset, Exception reason)
        {
        }
    }
}
