using System.Text;
using Tributary.Contracts.Telemetry;
using Tributary.Edge.Buffer;
using Tributary.Edge.Ingest;
using Tributary.Log.Storage;
using Tributary.Tests.Edge.Support;
using Tributary.Tests.Support;
using Xunit;

namespace Tributary.Tests.Edge.Ingest;

public sealed class IngestorTests
{
    private const string Topic = "devices/d1/temperature";
    private const string UnroutedTopic = "other/topic";

    [Fact]
    public async Task A_routed_message_is_stored_with_its_devices_key_and_its_headers()
    {
        await using IngestBench bench = IngestBench.Open();
        var listener = new RecordingListener();

        listener.WaitForCommit(bench.Accept(bench.Ingestor.Connect("client-1"), "devices/d1/motor/1/speed", "21.5", listener));

        StoredRecord record = Assert.Single(bench.Stored(RouteTable.TelemetryTopic));
        Assert.Equal(("d1", "21.5"), (record.Key, record.Value));
        Assert.Equal("mqtt.topic=devices/d1/motor/1/speed metric=motor/1/speed edge=e1", record.Headers);
        Assert.Equal(bench.Time.GetUtcNow().ToUnixTimeMilliseconds(), record.Timestamp);
    }

    [Fact]
    public async Task What_no_route_takes_is_stored_under_the_clients_id()
    {
        await using IngestBench bench = IngestBench.Open();
        var listener = new RecordingListener();
        IngestClient first = bench.Ingestor.Connect("Gerät 1");
        IngestClient second = bench.Ingestor.Connect("client-2");

        bench.Accept(first, UnroutedTopic, "a", listener);
        bench.Accept(second, UnroutedTopic, "b", listener);
        listener.WaitForCommit(bench.Accept(first, UnroutedTopic, "", listener));

        List<StoredRecord> stored = bench.Stored(RouteTable.UnroutedTopic);
        Assert.Equal(["Gerät 1=a", "client-2=b", "Gerät 1="], stored.Select(record => $"{record.Key}={record.Value}"));
        Assert.All(stored, record => Assert.Equal("mqtt.topic=other/topic edge=e1", record.Headers));
    }

    [Fact]
    public async Task A_number_is_committed_only_after_the_flush_that_covers_it()
    {
        await using IngestBench bench = IngestBench.Open();
        IngestClient client = bench.Ingestor.Connect("c");
        var listener = new RecordingListener();
        bench.Storage.Hold();

        IngestTicket first = bench.Accept(client, Topic, "0", listener);
        bench.Storage.WaitForFlush();
        IngestTicket second = bench.Accept(client, Topic, "1", listener); // comes while the flush is under way
        Assert.Equal((0, 1), (first.Number, second.Number));
        Assert.Same(first.Stream, second.Stream);
        Assert.Equal(0, first.Stream!.Committed);

        bench.Storage.LetThrough();
        listener.WaitForCommit(first);
        bench.Storage.WaitForFlush();
        Assert.Equal(1, second.Stream!.Committed);

        bench.Storage.LetThrough();
        listener.WaitForCommit(second);
        Assert.Equal(2, second.Stream.Committed);
        Assert.Equal(["0", "1"], bench.Stored(RouteTable.TelemetryTopic).Select(record => record.Value));
    }

    [Fact]
    public async Task Whoever_has_messages_in_a_flush_is_told_once_of_it()
    {
        await using IngestBench bench = IngestBench.Open();
        RecordingListener[] listeners = [.. Enumerable.Range(0, 20).Select(_ => new RecordingListener())];
        var first = new RecordingListener();
        var uninvolved = new RecordingListener();
        bench.Storage.Hold();
        bench.Accept(bench.Ingestor.Connect("first"), Topic, "0", first);
        bench.Storage.WaitForFlush();
        IngestTicket last = default;
        for (int i = 0; i < 3000; i++)
        {
            last = bench.Accept(bench.Ingestor.Connect($"c{i % 20}"), Topic, $"{i}", listeners[i % 20]); // several batches
        }

        bench.Storage.LetThrough();
        bench.Storage.WaitForFlush();
        Assert.Equal(1, first.CommittedCalls);
        Assert.All(listeners, listener => Assert.Equal(0, listener.CommittedCalls));
        bench.Storage.LetThrough();
        listeners[^1].WaitForCommit(last);

        Blocking.Until(() => listeners.All(listener => listener.CommittedCalls == 1), "everybody is told");
        Assert.Equal((1, 0), (first.CommittedCalls, uninvolved.CommittedCalls));
    }

    [Fact]
    public async Task Messages_that_come_during_a_flush_share_batches_that_are_closed_at_their_size()
    {
        await using IngestBench bench = IngestBench.Open();
        IngestClient client = bench.Ingestor.Connect("c");
        var listener = new RecordingListener();
        bench.Storage.Hold();
        bench.Accept(client, Topic, "first", listener);
        bench.Storage.WaitForFlush();
        IngestTicket last = default;
        string payload = new('x', 900);
        for (int i = 0; i < 100; i++)
        {
            last = bench.Accept(client, Topic, payload, listener);
        }
        last = bench.Accept(client, Topic, new string('y', 50_000), listener); // larger than a batch, not than a record may be
        last = bench.Accept(client, Topic, "after", listener);

        bench.Storage.Release();
        listener.WaitForCommit(last);

        List<StoredRecord> stored = bench.Stored(RouteTable.TelemetryTopic);
        Assert.Equal(103, stored.Count);
        Assert.Equal(Enumerable.Range(0, 103).Select(i => (long)i), stored.Select(record => record.Offset));
        List<IGrouping<long, StoredRecord>> batches = [.. stored.GroupBy(record => record.BatchOffset)];
        Assert.All(batches.SkipLast(2), batch => Assert.InRange(batch.First().BatchSize, 1, IngestBench.SmallIngest.MaxBatchBytes));
        int nearlyFull = IngestBench.SmallIngest.MaxBatchBytes - 1100;
        Assert.All(batches.Skip(1).SkipLast(3), batch => Assert.True(batch.First().BatchSize > nearlyFull));
        Assert.Single(batches[^2]); // the large one
        Assert.Equal("after", Assert.Single(batches[^1]).Value);
    }

    [Fact]
    public async Task A_record_larger_than_the_bound_is_refused_and_disturbs_nothing()
    {
        await using IngestBench bench = IngestBench.Open();
        IngestClient client = bench.Ingestor.Connect("c");
        var listener = new RecordingListener();
        int most = IngestBench.SmallIngest.MaxRecordBytes;

        Assert.Equal(IngestRefusal.TooLarge, bench.Accept(client, Topic, new string('x', most), listener).Refusal);
        Assert.Equal(IngestRefusal.TooLarge, bench.Accept(client, Topic, new string('x', most - 100), listener).Refusal);
        listener.WaitForCommit(bench.Accept(client, Topic, new string('x', most - 250), listener));

        Assert.InRange(Assert.Single(bench.Stored(RouteTable.TelemetryTopic)).BatchSize, most - 250, most);
        Assert.Equal(2, bench.Ingestor.Refused(IngestRefusal.TooLarge));
        Assert.Equal(0, bench.Ingestor.Refused(IngestRefusal.Full));
    }

    [Fact]
    public async Task Connections_stop_reading_while_too_much_is_gathered()
    {
        IngestOptions options = IngestBench.SmallIngest with { MaxGatheredBytes = 64 << 10 };
        await using IngestBench bench = IngestBench.Open(options);
        IngestClient client = bench.Ingestor.Connect("c");
        var listener = new RecordingListener();
        bench.Storage.Hold();
        bench.Accept(client, Topic, "first", listener);
        bench.Storage.WaitForFlush();
        IngestTicket last = default;
        while (bench.Ingestor.HasRoom)
        {
            last = bench.Accept(client, Topic, new string('x', 1000), listener);
        }
        Assert.InRange(bench.Ingestor.GatheredBytes, options.MaxGatheredBytes, options.MaxGatheredBytes + 1500);
        last = bench.Accept(client, Topic, "in hand", listener); // still taken
        Task room = bench.Ingestor.WaitForRoomAsync(CancellationToken.None).AsTask();
        Assert.False(room.IsCompleted);

        bench.Storage.Release();

        await room.WaitAsync(Blocking.Deadline);
        listener.WaitForCommit(last);
        Assert.Equal(0, bench.Ingestor.GatheredBytes);
    }

    [Fact]
    public async Task Connections_stop_reading_while_too_much_waits_for_its_flush()
    {
        EdgeBufferOptions options = IngestBench.SmallBuffer with { MaxUnflushedBytes = 64 << 10 };
        await using IngestBench bench = IngestBench.Open(buffer: options);
        IngestClient client = bench.Ingestor.Connect("c");
        var listener = new RecordingListener();
        bench.Storage.Hold();
        bench.Accept(client, Topic, new string('x', 60_000), listener);
        bench.Storage.WaitForFlush();
        Assert.True(bench.Ingestor.HasRoom);
        IngestTicket last = bench.Accept(client, Topic, new string('y', 60_000), listener);
        bench.Accept(client, UnroutedTopic, new string('z', 60_000), listener);
        bench.Storage.LetThrough(); // of the first; the others are appended next

        bench.Storage.WaitForFlush();
        Blocking.Until(() => !bench.Ingestor.HasRoom, "no room");
        Task room = bench.Ingestor.WaitForRoomAsync(CancellationToken.None).AsTask();
        Assert.False(room.IsCompleted);
        bench.Storage.Release();

        await room.WaitAsync(Blocking.Deadline);
        listener.WaitForCommit(last);
    }

    [Fact]
    public async Task A_key_always_goes_to_the_same_partition()
    {
        IngestOptions ingest = IngestBench.SmallIngest with { PartitionsPerTopic = 4 };
        var first = new Dictionary<string, int>();
        var memory = new MemoryStorage();
        for (int start = 0; start < 2; start++)
        {
            await using IngestBench bench = IngestBench.Open(ingest, memory: memory);
            IngestClient client = bench.Ingestor.Connect("c");
            var listener = new RecordingListener();
            for (int i = 0; i < 200; i++)
            {
                listener.WaitForCommit(bench.Accept(client, $"devices/d{i % 50}/{(i < 100 ? "a" : "b")}", "x", listener));
            }
            Assert.Equal(4, bench.Buffer.Partitions.Count);
            foreach (BufferPartition partition in bench.Buffer.Partitions)
            {
                List<StoredRecord> stored = IngestBench.ReadAll(partition.Log);
                Assert.InRange(stored.Count, 1, 200 * (start + 1));
                foreach (string key in stored.Select(record => record.Key))
                {
                    Assert.True(first.TryAdd(key, partition.Index) || first[key] == partition.Index, $"{key} is in two partitions");
                }
            }
        }
        Assert.Equal(50, first.Count);
    }

    [Fact]
    public async Task What_went_through_is_counted()
    {
        await using IngestBench bench = IngestBench.Open();
        IngestClient client = bench.Ingestor.Connect("c");
        var listener = new RecordingListener();
        for (int i = 0; i < 10; i++)
        {
            listener.WaitForCommit(bench.Accept(client, Topic, "12345", listener));
        }
        listener.WaitForCommit(bench.Accept(client, UnroutedTopic, "1", listener));

        Assert.Equal(
            [
                new IngestPartitionCounts(RouteTable.TelemetryTopic, 0, 10, 50, 10, 0),
                new IngestPartitionCounts(RouteTable.UnroutedTopic, 0, 1, 1, 1, 0),
            ],
            bench.Ingestor.Counts.OrderBy(counts => counts.Topic));
    }

    [Fact]
    public async Task Accepting_allocates_nothing_in_steady_state()
    {
        await using IngestBench bench = IngestBench.Open(IngestBench.SmallIngest with { MaxBatchBytes = 200_000 });
        IngestClient client = bench.Ingestor.Connect("c");
        var listener = new RecordingListener();
        byte[] routed = Encoding.UTF8.GetBytes(Topic);
        byte[] unrouted = Encoding.UTF8.GetBytes(UnroutedTopic);
        byte[] payload = new byte[100];
        IngestTicket last = default;
        long allocated = long.MaxValue; // the least of the rounds, see Allocations
        for (int round = 0; round < 20; round++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int i = 0; i < 500; i++)
            {
                bench.Ingestor.Accept(client, new IngestMessage(unrouted, payload), listener);
                last = bench.Ingestor.Accept(client, new IngestMessage(routed, payload), listener);
            }
            allocated = Math.Min(allocated, GC.GetAllocatedBytesForCurrentThread() - before);
            listener.WaitForCommit(last);
            Blocking.Until(() => bench.Ingestor.GatheredBytes == 0, "all is appended");
        }

        Assert.InRange(allocated, 0, 0);
    }

    [Fact]
    public async Task Settings_that_do_not_go_together_are_refused_at_start()
    {
        await using IngestBench bench = IngestBench.Open();

        AssertRefused("'ingest:maxBatchBytes'", IngestBench.SmallIngest with { MaxBatchBytes = 1 << 20 }, RouteTable.Default);
        AssertRefused("'ingest:maxRecordBytes'", IngestBench.SmallIngest with { MaxRecordBytes = 1 << 20 }, RouteTable.Default);
        AssertRefused("'buffer:maxTopics' is 4; the routes lead to 5 topics", IngestBench.SmallIngest, new RouteTable(
            [.. Enumerable.Range(0, 4).Select(i => new Route(TopicPattern.Parse($"t{i}/{{device}}"), $"topic-{i}", "device"))]));

        void AssertRefused(string text, IngestOptions options, RouteTable routes) => Assert.Contains(
            text,
            Assert.Throws<ArgumentException>(() => new Ingestor(
                routes, bench.Buffer, options, bench.Time, Microsoft.Extensions.Logging.Abstractions.NullLoggerFactory.Instance)).Message,
            StringComparison.Ordinal);
    }
}
