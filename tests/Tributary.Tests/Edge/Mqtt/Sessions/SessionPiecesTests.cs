using Tributary.Edge.Mqtt;
using Tributary.Edge.Mqtt.Sessions;
using Tributary.Log.Storage;
using Xunit;
using BenchClient = Tributary.Tests.Edge.Mqtt.Sessions.SessionBench.BenchClient;

namespace Tributary.Tests.Edge.Mqtt.Sessions;

/// <summary>Snapshots that are taken a piece at a time, while all goes on.</summary>
public sealed class SessionPiecesTests
{
    private const int PieceBytes = 256;
    private static readonly MqttOptions Small = new() { SnapshotBytes = 4 << 10 };

    [Fact]
    public void Nobody_waits_for_more_than_a_piece_of_a_snapshot()
    {
        var disk = new MemoryStorage();
        SessionBench bench = WithState(disk, sessions: 5, messages: 200, retained: 50);
        long size = SizeOfSnapshot(disk, bench, out int pieces);
        Assert.True(size > 20 * PieceBytes, $"{size} bytes");
        Assert.True(pieces >= size / (2 * PieceBytes), $"{size} bytes in {pieces} pieces");
    }

    [Fact]
    public void What_changes_between_two_pieces_is_as_it_was()
    {
        for (int before = 1; before < 60; before++)
        {
            var disk = new MemoryStorage();
            SessionBench bench = WithState(disk, sessions: 3, messages: 30, retained: 6);
            bench.Store.KeepUp(before);
            bench.Write(); // messages may have been moved
            Change(bench);
            long size = SizeOfSnapshot(disk, bench, out _);
            Assert.NotEqual(0, size);
            bench.Sweep(); // what was taken is written down
            Check(bench.Restart(), $"changed after {before} pieces");
        }
    }

    [Fact]
    public void A_message_that_is_passed_on_between_two_pieces_is_not_given_up()
    {
        for (int before = 1; before < 30; before++)
        {
            var disk = new MemoryStorage();
            var bench = new SessionBench(Small, disk);
            bench.Store.PieceBytes = PieceBytes;
            BenchClient heir = bench.Connect("heir");
            BenchClient leaving = bench.Connect("leaving");
            leaving.Subscribe("$share/g/t", 1);
            BenchClient publisher = bench.Connect("publisher");
            for (int i = 0; i < 10; i++)
            {
                bench.Publish(publisher, "t", $"{i}", 1);
            }
            heir.Subscribe("$share/g/t", 1);
            Grow(bench, publisher);
            bench.Store.KeepUp(before);
            bench.Connect("leaving", isClean: true);
            bench.Write();
            SizeOfSnapshot(disk, bench, out _);
            bench = bench.Restart();
            Assert.Equal(Enumerable.Range(0, 10).Select(i => $"{i}"), bench.Connect("heir").Take());
        }
    }

    [Fact]
    public void A_snapshot_of_the_version_before_is_read()
    {
        var disk = new MemoryStorage();
        var bench = new SessionBench(Small, disk);
        BenchClient client = bench.Connect("client");
        EntryWriter content = new EntryWriter().Begin().Number(bench.Store.Committed).Number(10).Number(1).Text("topic").Number(0).Number(0)
            .Number(1).Byte(1).Number(0).Bytes("r"u8).Bytes([]).Bytes("kept"u8)
            .Number(1).Number(7).Text("old").Flag(false).Number(uint.MaxValue).Flag(false).Number(0).Number(3).Flag(false)
            .Number(1).Bytes("t"u8).Byte(1).Number(0).Number(0).Flag(false);
        using (IStorageFile file = disk.Open("data/_sessions/sessions.snapshot", create: true))
        {
            byte[] bytes = [0x54, 0x52, 0x42, 0x53, 0, 1, 0, 0, 0, 0, 0, (byte)content.Written.Length, 0, 0, 0, 0, .. content.Written];
            uint crc = Tributary.Contracts.Records.Crc32C.Append(
                Tributary.Contracts.Records.Crc32C.Compute(bytes.AsSpan(0, 12)), bytes.AsSpan(16));
            System.Buffers.Binary.BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(12), crc);
            file.Write(0, bytes);
            file.Flush();
        }
        bench = bench.Restart();
        Assert.Equal((1, 1), (bench.Store.Count().Sessions, bench.Store.Count().Retained));
        BenchClient old = bench.Connect("old");
        Assert.True(old.Given.IsPresent);
        bench.Publish(old, "t", "new", 1);
        bench.Write();
        Assert.Equal(["new"], old.Take());
    }

    /// <summary>Sessions away with messages, and retained messages, of which a snapshot is due.</summary>
    private static SessionBench WithState(IStorage disk, int sessions, int messages, int retained)
    {
        var bench = new SessionBench(Small, disk);
        bench.Store.PieceBytes = PieceBytes;
        for (int i = 0; i < sessions; i++)
        {
            BenchClient away = bench.Connect($"away{i}");
            away.Subscribe("t", 1);
            away.Subscribe($"other/{i}", 1);
            away.Leave();
        }
        BenchClient publisher = bench.Connect("publisher");
        for (int i = 0; i < retained; i++)
        {
            bench.Publish(publisher, $"r/{i}", $"retained {i}", 1, retain: true);
        }
        for (int i = 0; i < messages; i++)
        {
            bench.Publish(publisher, "t", $"{i}", 1);
        }
        Grow(bench, publisher);
        return bench;
    }

    private static void Grow(SessionBench bench, BenchClient publisher)
    {
        for (int i = 0; i < 2; i++)
        {
            bench.Publish(publisher, "r/growth", new string('g', 3800), 1, retain: true);
        }
        bench.Publish(publisher, "r/growth", "", 1, retain: true);
        bench.Write();
    }

    private static void Change(SessionBench bench)
    {
        BenchClient first = bench.Connect("away0");
        Assert.Equal(10, first.Take(10).Count);
        bench.Store.Unsubscribe(first.Session, "other/0"u8);
        first.Subscribe("more", 1);
        bench.Connect("away1", isClean: true);
        BenchClient begun = bench.Connect("begun");
        begun.Subscribe("t", 1);
        BenchClient publisher = bench.Connect("publisher");
        bench.Publish(publisher, "t", "later", 1);
        bench.Publish(publisher, "t", "once", 2, id: 7);
        bench.Publish(publisher, "r/0", "", 1, retain: true);
        bench.Publish(publisher, "r/1", "changed", 1, retain: true);
        bench.Publish(publisher, "r/new", "new", 1, retain: true);
        bench.Write();
        Assert.Equal(["later"], begun.Take(1));
    }

    private static void Check(SessionBench bench, string what)
    {
        List<string> rest = [.. Enumerable.Range(0, 30).Select(i => $"{i}"), "later", "once"];
        BenchClient first = bench.Connect("away0");
        Assert.True(first.Session.HasSubscription("more"u8) && !first.Session.HasSubscription("other/0"u8), what);
        Assert.Equal(rest[10..], first.Take());
        Assert.Empty(bench.Connect("away1").Take());
        Assert.Equal(rest, bench.Connect("away2").Take());
        Assert.Equal(["once"], bench.Connect("begun").Take());
        Assert.True(bench.Publish(bench.Connect("publisher"), "t", "once", 2, id: 7).IsRepeated, what);
        BenchClient reader = bench.Connect("reader", isClean: true, expiry: 0);
        reader.Subscribe("r/#", 0);
        Assert.Equal(["changed", "new", "retained 2", "retained 3", "retained 4", "retained 5"], reader.Take().Order());
    }

    /// <summary>Lets the snapshot that is due, or begun, be saved.</summary>
    private static long SizeOfSnapshot(MemoryStorage disk, SessionBench bench, out int pieces)
    {
        const string Name = "data/_sessions/sessions.snapshot";
        for (pieces = 0; pieces < 10_000 && !disk.Exists(Name); pieces++)
        {
            bench.Store.KeepUp(1);
            bench.Write();
        }
        using IStorageFile file = disk.Open(Name, create: false);
        return file.Length;
    }
}
