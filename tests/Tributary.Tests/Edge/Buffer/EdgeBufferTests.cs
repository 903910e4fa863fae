using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Tributary.Contracts.Telemetry;
using Tributary.Edge.Buffer;
using Tributary.Edge.Ingest;
using Tributary.Log;
using Tributary.Log.Storage;
using Tributary.Tests.Edge.Ingest;
using Tributary.Tests.Edge.Support;
using Tributary.Tests.Log.Support;
using Xunit;

namespace Tributary.Tests.Edge.Buffer;

public sealed class EdgeBufferTests
{
    private const string Topic = "devices/d1/temperature";

    [Fact]
    public async Task Partitions_of_the_last_start_are_open_again_whatever_the_settings_say()
    {
        var memory = new MemoryStorage();
        await using (IngestBench first = IngestBench.Open(memory: memory))
        {
            first.Buffer.OpenPartition("topic-with-dash", 3);
            first.Buffer.OpenPartition("b", 0);
            first.Buffer.OpenPartition("c", 0);
        }
        memory.CreateDirectory($"{IngestBench.Directory}/no partition");
        memory.CreateDirectory($"{IngestBench.Directory}/b-01");
        memory.CreateDirectory($"{IngestBench.Directory}/b-x");

        await using IngestBench again = IngestBench.Open(memory: memory, buffer: IngestBench.SmallBuffer with { MaxTopics = 2 });

        Assert.Equal(
            ["b/0", "c/0", "topic-with-dash/3"],
            again.Buffer.Partitions.Select(partition => $"{partition.Topic}/{partition.Index}").Order(StringComparer.Ordinal));
        Assert.Equal("data/topic-with-dash-3", again.Buffer.Partitions.Single(partition => partition.Index == 3).Directory);
        Assert.True(memory.Exists($"{IngestBench.Directory}/no partition"));
    }

    [Fact]
    public async Task A_subscriber_hears_of_each_partition_once()
    {
        await using IngestBench bench = IngestBench.Open();
        var heard = new List<string>();
        bench.Buffer.OpenPartition("a", 0);
        bench.Buffer.Subscribe(partition => heard.Add(partition.Topic));
        bench.Buffer.OpenPartition("b", 0);
        bench.Buffer.OpenPartition("b", 0);

        Assert.Equal(["a", "b"], heard);
    }

    [Fact]
    public async Task More_topics_than_the_setting_allows_are_refused_by_name()
    {
        await using IngestBench bench = IngestBench.Open(buffer: IngestBench.SmallBuffer with { MaxTopics = 2 });
        bench.Buffer.OpenPartition("a", 0);
        bench.Buffer.OpenPartition("b", 0);
        bench.Buffer.OpenPartition("b", 1);

        LogException refused = Assert.Throws<LogException>(() => bench.Buffer.OpenPartition("c", 0));

        Assert.Contains("buffer:maxTopics", refused.Message, StringComparison.Ordinal);
        Assert.Equal(3, bench.Buffer.Partitions.Count);
    }

    [Fact]
    public async Task A_directory_in_use_is_refused()
    {
        await using IngestBench bench = IngestBench.Open();

        Assert.Throws<LogException>(() => EdgeBuffer.Open(
            bench.Memory, IngestBench.Directory, IngestBench.SmallBuffer, bench.Time, NullLoggerFactory.Instance));
    }

    [Fact]
    public async Task Below_the_floor_of_free_space_messages_are_refused_until_there_is_more()
    {
        await using IngestBench bench = IngestBench.Open(buffer: IngestBench.SmallBuffer with { MinFreeBytes = 1000 });
        IngestClient client = bench.Ingestor.Connect("c");
        var listener = new RecordingListener();
        bench.Storage.Free = 999;
        bench.Time.Advance(IngestBench.SmallBuffer.SpaceCheckInterval);

        Assert.True(bench.Buffer.Space.IsFull);
        Assert.Equal(IngestRefusal.Full, bench.Accept(client, Topic, "x", listener).Refusal);
        Assert.Contains("buffer:minFreeBytes", bench.Buffer.Space.Reason, StringComparison.Ordinal);
        Assert.Equal(999, bench.Buffer.Space.FreeBytes);

        bench.Storage.Free = 1000;
        bench.Time.Advance(IngestBench.SmallBuffer.SpaceCheckInterval);

        listener.WaitForCommit(bench.Accept(client, Topic, "y", listener));
        Assert.Null(bench.Buffer.Space.Reason);
        Assert.Equal(1, bench.Ingestor.Refused(IngestRefusal.Full));
    }

    [Fact]
    public async Task A_file_system_that_cannot_be_asked_does_not_stop_ingest()
    {
        await using IngestBench bench = IngestBench.Open();
        var listener = new RecordingListener();
        bench.Storage.Free = -1;
        bench.Time.Advance(IngestBench.SmallBuffer.SpaceCheckInterval);

        listener.WaitForCommit(bench.Accept(bench.Ingestor.Connect("c"), Topic, "x", listener));
        Assert.Equal(-1, bench.Buffer.Space.FreeBytes);
    }

    [Fact]
    public async Task The_quota_holds_and_trimming_makes_room_again()
    {
        EdgeBufferOptions buffer = IngestBench.SmallBuffer with { SegmentBytes = 64 << 10, MaxTopics = 2, MaxDiskBytes = 2 << 20 };
        await using IngestBench bench = IngestBench.Open(buffer: buffer);
        IngestClient client = bench.Ingestor.Connect("c");
        var listener = new RecordingListener();
        string payload = new('x', 1000);
        for (int round = 0; round < 3; round++)
        {
            IngestTicket ticket;
            int taken = 0;
            while ((ticket = bench.Accept(client, taken % 2 == 0 ? Topic : "other", payload, listener)).Refusal == IngestRefusal.None)
            {
                taken++;
                listener.WaitForCommit(ticket);
                Assert.InRange(bench.Buffer.Partitions.Sum(partition => partition.Log.SizeBytes), 0, buffer.MaxDiskBytes);
            }
            Assert.Equal(IngestRefusal.Full, ticket.Refusal);
            Assert.Contains("buffer:maxDiskBytes", bench.Buffer.Space.Reason, StringComparison.Ordinal);
            Assert.InRange(taken, 200, 2000);

            foreach (BufferPartition partition in bench.Buffer.Partitions)
            {
                partition.Log.AdvanceStart(partition.Log.FlushedEnd);
            }
            Blocking.Until(
                () =>
                {
                    bench.Time.Advance(buffer.SpaceCheckInterval);
                    return !bench.Buffer.Space.IsFull;
                },
                "space is given back");
        }
    }

    [Fact]
    public async Task What_is_committed_survives_a_power_cut()
    {
        var memory = new MemoryStorage();
        IngestBench bench = IngestBench.Open(memory: memory);
        IngestClient client = bench.Ingestor.Connect("c");
        var listener = new RecordingListener();
        for (int i = 0; i < 50; i++)
        {
            listener.WaitForCommit(bench.Accept(client, Topic, $"{i}", listener));
        }
        bench.Storage.Hold();
        bench.Accept(client, Topic, "not committed", listener);
        bench.Storage.WaitForFlush();

        MemoryStorage left = memory.Crash();

        await bench.DisposeAsync();
        await using IngestBench restarted = IngestBench.Open(memory: left);
        IEnumerable<string> stored = restarted.Stored(RouteTable.TelemetryTopic).Select(record => record.Value);
        Assert.Equal(Enumerable.Range(0, 50).Select(i => $"{i}"), stored);
    }

    [Fact]
    public async Task A_partition_that_cannot_be_opened_does_not_keep_the_others_from_being_there_and_is_tried_again()
    {
        var memory = new MemoryStorage();
        var time = new FakeTimeProvider();
        var storage = new UnreadableStorage(memory);
        await using (EdgeBuffer first = EdgeBuffer.Open(storage, "data", IngestBench.SmallBuffer, time, NullLoggerFactory.Instance))
        {
            foreach (string topic in (string[])["a", "b"])
            {
                PartitionLog log = first.OpenPartition(topic, 0).Log;
                await log.WaitFlushedAsync(log.Append(LogHarness.Batch()));
            }
        }
        memory.Delete("data/a-0/manifest");
        storage.Spoil("data/a-0/" + 0.ToString("D20"));
        await using EdgeBuffer buffer = EdgeBuffer.Open(storage, "data", IngestBench.SmallBuffer, time, NullLoggerFactory.Instance);
        Assert.Equal("b", Assert.Single(buffer.Partitions).Topic);
        Assert.Equal("a", Assert.Single(buffer.Unopened).Topic);

        time.Advance(TimeSpan.FromMinutes(1));
        Assert.Single(buffer.Unopened);
        storage.Heal();
        time.Advance(TimeSpan.FromMinutes(1));
        Assert.Empty(buffer.Unopened);
        Assert.All(buffer.Partitions, partition => Assert.Equal(1, partition.Log.FlushedEnd));
        Assert.Equal(2, buffer.Partitions.Count);
    }
}
