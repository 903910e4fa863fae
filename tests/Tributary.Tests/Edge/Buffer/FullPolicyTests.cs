using Microsoft.Extensions.Logging.Abstractions;
using Tributary.Contracts.Telemetry;
using Tributary.Edge.Buffer;
using Tributary.Edge.Ingest;
using Tributary.Edge.Uplink;
using Tributary.Log;
using Tributary.Tests.Edge.Ingest;
using Tributary.Tests.Edge.Support;
using Tributary.Tests.Edge.Uplink;
using Xunit;

namespace Tributary.Tests.Edge.Buffer;

/// <summary>What becomes of messages, and of what is stored, when there is no room.</summary>
public sealed class FullPolicyTests
{
    private const int Segment = 64 << 10;
    private const string Telemetry = RouteTable.TelemetryTopic;
    private const string Unrouted = RouteTable.UnroutedTopic;
    private static readonly string Payload = new('x', 1000);

    private static readonly EdgeBufferOptions Small = IngestBench.SmallBuffer with
    {
        SegmentBytes = Segment,
        MaxTopics = 2,
        MaxDiskBytes = 1 << 20,
    };

    [Fact]
    public async Task Dropping_the_oldest_takes_every_message_and_stays_within_the_quota()
    {
        await using IngestBench bench = Open(Small with { Policy = FullPolicy.DropOldest });
        Fill(bench, "devices/d1/level", 3000);

        PartitionLog log = bench.Log(Telemetry);
        Assert.InRange(log.SizeBytes, 1, Small.MaxDiskBytes);
        Assert.Equal(log.StartOffset, bench.Buffer.Partitions.Single().Hold.Dropped);
        Assert.InRange(log.StartOffset, 2000, 2900);
        Assert.Equal(3000, log.FlushedEnd);
        Assert.Contains(bench.Buffer.Events.Latest, e => e.What.Kind == LogEventKind.Expired && e.What.Message.Contains("buffer:maxDiskBytes"));
    }

    [Fact]
    public async Task A_topic_that_refuses_is_not_dropped_and_those_that_drop_make_room_for_it()
    {
        await using IngestBench bench = Open(Small with { Topics = Own(Telemetry, new(FullPolicy.DropOldest, null, null)) });
        Fill(bench, "devices/d1/level", 1500);
        int taken = 0;
        while (Accept(bench, "other") == IngestRefusal.None)
        {
            taken++;
        }
        Assert.InRange(taken, 400, 1500);
        Assert.Equal(0, bench.Log(Unrouted).StartOffset);
        Assert.InRange(bench.Buffer.Partitions.Sum(partition => partition.Log.SizeBytes), 1, Small.MaxDiskBytes);
    }

    [Theory]
    [InlineData("reject")]
    [InlineData("dropOldest")]
    public async Task A_topics_own_quota_holds_for_it_alone(string word)
    {
        FullPolicy policy = Enum.Parse<FullPolicy>(word, ignoreCase: true);
        const long Most = 6 * Segment;
        await using IngestBench bench = Open(
            Small with { MaxDiskBytes = 8 << 20, Topics = Own(Telemetry, new(policy, Most, null)) });
        int refused = 0;
        for (int i = 0; i < 1000; i++)
        {
            refused += Accept(bench, "devices/d1/level") == IngestRefusal.Full ? 1 : 0;
            Assert.Equal(IngestRefusal.None, Accept(bench, "other"));
            Assert.InRange(bench.Log(Telemetry).SizeBytes, 0, Most);
        }
        PartitionLog log = bench.Log(Telemetry);
        Assert.Equal(policy == FullPolicy.Reject, refused > 0);
        Assert.Equal(policy == FullPolicy.DropOldest, log.StartOffset > 0);
        Assert.Equal(1000 - refused, log.FlushedEnd);
        Assert.Equal(policy == FullPolicy.Reject, bench.Buffer.Space.FullTopics.Any());
        Assert.Equal(1000, bench.Log(Unrouted).FlushedEnd);

        log.AdvanceStart(log.FlushedEnd);
        Blocking.Until(
            () =>
            {
                bench.Time.Advance(Small.SpaceCheckInterval);
                return !bench.Buffer.Space.FullTopics.Any();
            },
            "space is given back");
        Assert.Equal(IngestRefusal.None, Accept(bench, "devices/d1/level"));
    }

    [Fact]
    public async Task What_is_acknowledged_stays_for_its_time_and_goes_first_when_room_is_needed()
    {
        await using IngestBench bench = Open(Small with { Keep = TimeSpan.FromHours(1) });
        Fill(bench, "devices/d1/level", 200);
        BufferPartition partition = bench.Buffer.Partitions.Single();
        partition.Hold.Advance(partition.Log.FlushedEnd);
        bench.Time.Advance(TimeSpan.FromMinutes(59));
        Assert.Equal(0, partition.Log.StartOffset);
        bench.Time.Advance(TimeSpan.FromMinutes(2));
        Assert.InRange(partition.Log.StartOffset, 100, 200);

        for (int i = 0; i < 30; i++)
        {
            Fill(bench, "devices/d1/level", 100);
            partition.Hold.Advance(partition.Log.FlushedEnd);
        }
        Assert.InRange(partition.Log.SizeBytes, Small.MaxDiskBytes / 2, Small.MaxDiskBytes);
        Assert.Equal(0, partition.Hold.Dropped);
    }

    [Fact]
    public async Task After_a_start_what_was_acknowledged_before_makes_room_though_the_cloud_does_not_answer()
    {
        await using IngestBench bench = Open(Small with { Keep = TimeSpan.FromHours(1) });
        Fill(bench, "devices/d1/level", 700);
        BufferPartition partition = bench.Buffer.Partitions.Single();
        var file = new CheckpointFile(bench.Storage, partition.Directory);
        file.Save(new UplinkCheckpoint { Acked = 700, EpochStart = 700 });
        await using var dead = new DeadLetterHarness();
        await using var neverStarted = new PartitionUplink(
            partition, new LogSource(partition.Log, partition.Hold), 700, file, dead.Letters, null, null!,
            new LinkShare(CapSchedule.Always(null), bench.Time), LinkShare.DefaultPriority, UplinkSimulation.DefaultOptions,
            bench.Time, new UplinkCounters(), NullLogger.Instance, new Random(1));

        Fill(bench, "devices/d1/level", 700);
        Assert.InRange(partition.Log.StartOffset, 1, 700);
        Assert.Equal(0, partition.Hold.Dropped);
    }

    [Fact]
    public async Task What_may_be_looked_for_after_a_crash_is_not_dropped()
    {
        await using IngestBench bench = Open(Small with { Policy = FullPolicy.DropOldest });
        Fill(bench, "devices/d1/level", 100);
        BufferPartition partition = bench.Buffer.Partitions.Single();
        partition.Hold.Release(50);
        int taken = 0;
        while (Accept(bench, "devices/d1/level") == IngestRefusal.None)
        {
            taken++;
        }
        Assert.InRange(taken, 100, 1000);
        Assert.Equal(0, partition.Log.StartOffset);
        Assert.True(partition.Hold.IsHolding && bench.Buffer.Space.NeedsRoom);

        partition.Hold.Release(partition.Log.FlushedEnd);
        Blocking.Until(
            () =>
            {
                bench.Time.Advance(Small.SpaceCheckInterval);
                return !bench.Buffer.Space.IsFull;
            },
            "room is made");
        Assert.True(partition.Hold.Dropped > 0);
    }

    [Fact]
    public async Task Nothing_is_dropped_before_everybody_has_said_what_he_holds_back()
    {
        await using IngestBench bench = IngestBench.Open(buffer: Small with { Policy = FullPolicy.DropOldest });
        while (Accept(bench, "devices/d1/level") == IngestRefusal.None)
        {
        }
        Assert.Equal(0, bench.Log(Telemetry).StartOffset);
        bench.Buffer.Space.BeginToDrop();
        Blocking.Until(
            () =>
            {
                bench.Time.Advance(Small.SpaceCheckInterval);
                return !bench.Buffer.Space.IsFull;
            },
            "room is made");
        Assert.True(bench.Buffer.Partitions.Single().Hold.Dropped > 0);
    }

    [Fact]
    public async Task A_topic_near_its_own_quota_asks_those_who_hold_its_records_back()
    {
        await using IngestBench bench = Open(
            Small with { MaxDiskBytes = 8 << 20, Keep = TimeSpan.FromDays(1), Topics = Own(Telemetry, new(null, 6 * Segment, null)) });
        Fill(bench, "devices/d1/level", 1);
        BufferPartition partition = bench.Buffer.Partitions.Single();
        partition.Hold.Release(0);
        Assert.False(partition.Hold.IsHolding || bench.Buffer.Space.NeedsRoom);
        while (Accept(bench, "devices/d1/level") == IngestRefusal.None)
        {
            partition.Hold.Advance(partition.Log.FlushedEnd);
        }
        Assert.True(partition.Hold.IsHolding && bench.Buffer.Space.NeedsRoom);
        partition.Hold.Release(partition.Log.FlushedEnd);
        Blocking.Until(
            () =>
            {
                bench.Time.Advance(Small.SpaceCheckInterval);
                return !bench.Buffer.Space.FullTopics.Any();
            },
            "room is made");
        Assert.Equal(0, partition.Hold.Dropped);
    }

    [Fact]
    public async Task What_can_not_go_for_another_reason_is_not_asked_for()
    {
        await using IngestBench bench = Open(Small with { Policy = FullPolicy.DropOldest, MinFreeBytes = 1000 });
        Fill(bench, "devices/d1/level", 1);
        BufferPartition partition = bench.Buffer.Partitions.Single();
        partition.Hold.Release(0);
        bench.Storage.Free = 999;
        bench.Time.Advance(Small.SpaceCheckInterval);
        Assert.True(bench.Buffer.Space.IsFull);
        Assert.False(partition.Hold.IsHolding);
    }

    private static IngestBench Open(EdgeBufferOptions buffer)
    {
        IngestBench bench = IngestBench.Open(buffer: buffer);
        bench.Buffer.Space.BeginToDrop();
        return bench;
    }

    private static Dictionary<string, TopicOptions> Own(string topic, TopicOptions options) => new() { [topic] = options };

    private static void Fill(IngestBench bench, string topic, int messages)
    {
        for (int i = 0; i < messages; i++)
        {
            Assert.Equal(IngestRefusal.None, Accept(bench, topic));
        }
    }

    private static IngestRefusal Accept(IngestBench bench, string topic)
    {
        var listener = new RecordingListener();
        IngestTicket ticket = bench.Accept(bench.Ingestor.Connect("c"), topic, Payload, listener);
        if (ticket.Refusal == IngestRefusal.None)
        {
            listener.WaitForCommit(ticket);
        }
        return ticket.Refusal;
    }
}
