using System.Text;
using Tributary.Edge.Buffer;
using Tributary.Edge.Mqtt;
using Tributary.Log.Storage;
using Tributary.Tests.Log.Support;
using Xunit;
using BenchClient = Tributary.Tests.Edge.Mqtt.Sessions.SessionBench.BenchClient;

namespace Tributary.Tests.Edge.Mqtt.Sessions;

/// <summary>What sessions take of the disk: when snapshots are made, what becomes of one that does not fit, and how large an entry is.</summary>
public sealed class SessionSpaceTests
{
    private const int MinFreeBytes = 1 << 20;
    private static readonly string Filling = new('x', 3500);
    private static readonly MqttOptions Small = new() { SnapshotBytes = 128 << 10 };

    [Fact]
    public void Records_that_are_shipped_one_by_one_do_not_cost_a_snapshot_each()
    {
        var disk = new WatchedStorage(new MemoryStorage());
        var bench = new SessionBench(Small, disk);
        BenchClient client = bench.Connect("client");
        PublishTwice(bench, client, 1);
        for (int i = 0; i < 120; i++)
        {
            bench.Publish(client, "t", $"{i}", 1);
            bench.Write();
            Ship(bench);
            bench.Sweep();
        }
        Assert.Equal(0, disk.Saves);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Topics_that_have_grown_get_a_snapshot_although_the_journal_has_not(bool isShipped)
    {
        var disk = new WatchedStorage(new MemoryStorage());
        var bench = new SessionBench(Small, disk);
        BenchClient client = bench.Connect("client");
        PublishTwice(bench, client, 1);
        for (int i = 0; i < 400; i++)
        {
            bench.Publish(client, "t", $"{i} {Filling}", 1);
            bench.Write();
            if (isShipped)
            {
                Ship(bench);
            }
            bench.Sweep();
        }
        Assert.InRange(disk.Saves, 8, 11); // 1.4 MB in steps of 128 KiB
        Ship(bench);
        BufferPartition topic = Assert.Single(bench.Buffer.Partitions);
        Assert.InRange(topic.Log.BytesBetween(topic.Log.StartOffset, topic.Log.FlushedEnd), 1, 2 * Small.SnapshotBytes);
    }

    [Fact]
    public void What_is_held_is_given_up_soon_when_there_is_no_room()
    {
        var small = new SmallStorage(new MemoryStorage());
        var disk = new WatchedStorage(small);
        var bench = new SessionBench(Small, disk, minFreeBytes: MinFreeBytes);
        BenchClient client = bench.Connect("client");
        PublishTwice(bench, client, 1);
        small.Capacity = small.Used + MinFreeBytes - 1;
        bench.Sweep(15);
        Assert.True(bench.Buffer.Space.IsFull);
        Assert.Equal(0, disk.Saves); // nobody waits for it
        Ship(bench);
        bench.Sweep(15);
        Assert.Equal(1, disk.Saves);
        BufferPartition topic = Assert.Single(bench.Buffer.Partitions);
        Assert.Equal(topic.Log.FlushedEnd, topic.Log.StartOffset);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_snapshot_that_does_not_fit_leaves_the_disk_as_it_was_and_is_tried_again_later(bool tellsFree)
    {
        var small = new SmallStorage(new MemoryStorage());
        var disk = new WatchedStorage(small) { TellsFree = tellsFree };
        var bench = new SessionBench(Small, disk, reserveBytes: 256 << 10);
        BenchClient client = bench.Connect("client");
        PublishTwice(bench, client, 1);
        for (int i = 0; i < 200; i++)
        {
            bench.Publish(client, $"r/{i}", Filling, 1, retain: true);
            bench.Write();
        }
        Ship(bench);
        small.Capacity = small.Used + (100 << 10);
        long used = small.Used;
        bench.Sweep(60);
        Assert.Equal(0, disk.Saves);
        Assert.Equal(used, small.Used);
        Assert.True(disk.Exists("data/reserve"), "the reserve is for what is small");
        Assert.InRange(disk.Tries, 0, tellsFree ? 0 : 4);

        small.Capacity = long.MaxValue;
        bench.Sweep(300);
        Assert.Equal(1, disk.Saves);
        BufferPartition topic = Assert.Single(bench.Buffer.Partitions);
        Assert.Equal(topic.Log.FlushedEnd, topic.Log.StartOffset);
        bench = bench.Restart();
        Assert.Equal(200, bench.Store.Count().Retained);
    }

    [Fact]
    public void A_snapshot_that_a_crash_left_unfinished_takes_no_room_after_the_next_start()
    {
        var disk = new MemoryStorage();
        var bench = new SessionBench(Small, disk);
        using (IStorageFile file = disk.Open("data/_sessions/sessions.snapshot.tmp", create: true))
        {
            file.Write(0, new byte[100]);
        }
        _ = bench.Restart();
        Assert.False(disk.Exists("data/_sessions/sessions.snapshot.tmp"));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void A_message_with_many_properties_gets_its_entry_whatever_the_size_of_a_segment(int qos)
    {
        var bench = new SessionBench(new MqttOptions { MaxPacketBytes = 4 << 20 }, new MemoryStorage());
        BenchClient client = bench.Connect("client");
        client.Subscribe("t", 1);
        byte[] property = [0x26, 0, 1, (byte)'n', 0xFF, 0xFF, .. Encoding.UTF8.GetBytes(new string('v', ushort.MaxValue))];
        byte[] properties = [.. Enumerable.Repeat(property, 60).SelectMany(static bytes => bytes)];
        bench.Publish(client, "t", "x", qos, retain: true, properties: properties);
        bench.Write();
        Assert.Null(bench.Store.Count().Unavailable);
        bench = bench.Restart();
        Assert.Equal(1, bench.Store.Count().Retained);
        Assert.Equal(["x"], bench.Connect("client").Take());
    }

    [Fact]
    public void Messages_of_a_time_when_larger_packets_were_taken_are_kept_and_delivered()
    {
        var bench = new SessionBench(new MqttOptions { MaxPacketBytes = 4 << 20, SnapshotBytes = 4 << 10 }, new MemoryStorage());
        BenchClient client = bench.Connect("client");
        client.Subscribe("t", 1);
        byte[] property = [0x26, 0, 1, (byte)'n', 0xFF, 0xFF, .. Encoding.UTF8.GetBytes(new string('v', ushort.MaxValue))];
        byte[] properties = [.. Enumerable.Repeat(property, 40).SelectMany(static bytes => bytes)];
        bench.Publish(client, "t", "x", 1, retain: true, properties: properties);
        bench.Write();
        client.Leave();
        bench = bench.Restart(options: new MqttOptions { MaxPacketBytes = 1 << 10, SnapshotBytes = 4 << 10, MaxJournalBytes = 8 << 20 });
        Assert.Equal(1, bench.Store.Count().Retained);
        BenchClient other = bench.Connect("other");
        other.Subscribe("t", 1);
        Assert.Equal(0, other.Session.Outbound.NextSequence); // nothing of it is in the journal, so no packet identifier is used up either
        Assert.Equal(["x"], other.Take());
        for (int i = 0; i < 2000; i++)
        {
            bench.Publish(other, "r", Filling, 1, retain: true); // so that what is old would be moved
            bench.Write();
            bench.Sweep(i % 100 == 0 ? 3 : 0);
        }
        Assert.Null(bench.Store.Count().Unavailable);
        bench = bench.Restart();
        Assert.Equal(["x"], bench.Connect("client").Take());
    }

    [Fact]
    public void Names_of_shared_subscriptions_count_in_the_size_of_an_entry()
    {
        const int Sessions = 6;
        const int Groups = 250;
        var bench = new SessionBench(new MqttOptions { MaxPacketBytes = 1 << 10 }, new MemoryStorage());
        for (int session = 0; session < Sessions; session++)
        {
            BenchClient member = bench.Connect($"m{session}");
            for (int group = 0; group < Groups; group++)
            {
                member.Subscribe($"$share/{session}-{group}-{new string('n', 990)}/t", 1);
            }
        }
        bench.Publish(bench.Connect("publisher"), "t", "x", 1);
        bench.Write();
        Assert.Null(bench.Store.Count().Unavailable);
        long queued = bench.Store.Count().QueuedMessages;
        Assert.InRange(queued, 400, 520); // half a MiB of names
        Assert.Equal((Sessions * Groups) - queued, bench.Store.Metrics.Dropped(MqttDropReason.SessionFull));
    }

    [Fact]
    public void Names_of_shared_subscriptions_count_in_the_size_of_an_entry_that_passes_on()
    {
        const int Messages = 900;
        string filter = $"$share/{new string('n', 4000)}/t";
        var bench = new SessionBench(new MqttOptions { MaxPacketBytes = 1 << 10 }, new MemoryStorage());
        BenchClient leaving = bench.Connect("leaving");
        leaving.Subscribe(filter, 1);
        leaving.Leave();
        BenchClient publisher = bench.Connect("publisher");
        for (int i = 0; i < Messages; i++)
        {
            bench.Publish(publisher, "t", $"{i}", 1);
            bench.Write();
        }
        BenchClient other = bench.Connect("other");
        other.Subscribe(filter, 1);
        bench.Connect("leaving", isClean: true);
        bench.Write();
        Assert.Null(bench.Store.Count().Unavailable);
        other.Leave();
        bench = bench.Restart();
        other = bench.Connect("other");
        var all = new List<string>();
        while (other.Take() is { Count: > 0 } some)
        {
            all.AddRange(some);
        }
        Assert.Equal(Enumerable.Range(0, Messages).Select(i => $"{i}"), all);
    }

    private static void PublishTwice(SessionBench bench, BenchClient client, int id)
    {
        bench.Publish(client, "t", "first", 2, id);
        bench.Publish(client, "t", "second", 1, id + 1);
        bench.Write();
    }

    /// <summary>The cloud has everything.</summary>
    private static void Ship(SessionBench bench)
    {
        foreach (BufferPartition partition in bench.Buffer.Partitions)
        {
            partition.Hold.Advance(partition.Log.FlushedEnd);
        }
    }

    /// <summary>A storage that counts snapshots.</summary>
    private sealed class WatchedStorage(IStorage inner) : IStorage
    {
        private const string Snapshot = "data/_sessions/sessions.snapshot";

        /// <summary>Snapshots that were begun.</summary>
        public int Tries { get; private set; }

        /// <summary>Snapshots that are whole.</summary>
        public int Saves { get; private set; }

        public bool TellsFree { get; init; } = true;

        public IStorageFile Open(string path, bool create)
        {
            Tries += path == Snapshot + ".tmp" ? 1 : 0;
            return inner.Open(path, create);
        }

        public bool Exists(string path) => inner.Exists(path);

        public IReadOnlyList<string> List(string directory) => inner.List(directory);

        public void CreateDirectory(string path) => inner.CreateDirectory(path);

        public void Rename(string from, string to)
        {
            inner.Rename(from, to);
            Saves += to == Snapshot ? 1 : 0;
        }

        public void Delete(string path) => inner.Delete(path);

        public void DeleteDirectory(string path) => inner.DeleteDirectory(path);

        public void SyncDirectory(string path) => inner.SyncDirectory(path);

        public long FreeBytes(string path) => TellsFree ? inner.FreeBytes(path) : throw new IOException("it is not known");

        public IDisposable? TryLock(string path) => inner.TryLock(path);
    }
}
