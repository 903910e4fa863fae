using Tributary.Contracts.Telemetry;
using Tributary.Edge.Ingest;
using Tributary.Tests.Edge.Support;
using Xunit;

namespace Tributary.Tests.Edge.Ingest;

/// <summary>What ingest does when a disk fails under it.</summary>
public sealed class IngestLossTests
{
    private const string Topic = "devices/d1/temperature";

    [Fact]
    public async Task Everybody_with_messages_in_a_failed_flush_or_behind_it_hears_of_it_once()
    {
        await using IngestBench bench = IngestBench.Open();
        var committed = new RecordingListener();
        var inFlush = new RecordingListener();
        var gathered = new RecordingListener();
        var elsewhere = new RecordingListener();
        IngestTicket good = bench.Accept(bench.Ingestor.Connect("a"), Topic, "good", committed);
        committed.WaitForCommit(good);
        bench.Storage.Hold();
        IngestTicket lost = bench.Accept(bench.Ingestor.Connect("b"), Topic, "lost", inFlush);
        bench.Storage.WaitForFlush();
        IngestTicket behind = bench.Accept(bench.Ingestor.Connect("c"), Topic, "behind", gathered);
        IngestTicket other = bench.Accept(bench.Ingestor.Connect("d"), "unrouted/topic", "other", elsewhere);

        bench.Storage.FailNextFlush();
        bench.Storage.LetThrough();
        gathered.WaitForLoss();
        bench.Storage.Release();
        elsewhere.WaitForCommit(other);

        Assert.Same(lost.Stream, Assert.Single(inFlush.Lost).Stream);
        Assert.Same(behind.Stream, Assert.Single(gathered.Lost).Stream);
        Assert.Contains("the test failed this flush", gathered.Reason, StringComparison.Ordinal);
        Assert.Empty(committed.Lost);
        Assert.Empty(elsewhere.Lost);
        Assert.Equal(1, good.Stream!.Committed);
        Assert.Equal(2, bench.Ingestor.Counts.Single(counts => counts.Topic == RouteTable.TelemetryTopic).Lost);
        Assert.Equal(0, bench.Ingestor.GatheredBytes);
    }

    [Fact]
    public async Task Nothing_lost_is_ever_committed_later()
    {
        await using IngestBench bench = IngestBench.Open();
        IngestClient client = bench.Ingestor.Connect("a");
        var listener = new RecordingListener();
        bench.Storage.FailNextFlush();
        IngestTicket lost = bench.Accept(client, Topic, "lost", listener);
        listener.WaitForLoss();

        Assert.Equal(IngestRefusal.Offline, bench.Accept(client, Topic, "too soon", listener).Refusal);
        bench.Time.Advance(IngestBench.SmallIngest.OfflineRetry);
        for (int i = 0; i < 100; i++)
        {
            IngestTicket later = bench.Accept(client, Topic, $"{i}", listener);
            Assert.NotSame(lost.Stream, later.Stream);
            listener.WaitForCommit(later);
        }

        Assert.Equal(0, lost.Stream!.Committed);
        Assert.Equal(Enumerable.Range(0, 100).Select(i => $"{i}"), bench.Stored(RouteTable.TelemetryTopic).Select(record => record.Value));
        Assert.Equal(1, bench.Ingestor.Refused(IngestRefusal.Offline));
    }

    [Fact]
    public async Task What_was_flushed_before_the_failure_in_one_round_is_committed()
    {
        // Rolling to the next segment flushes the one before, so one round can end half way.
        await using IngestBench bench = IngestBench.Open(buffer: IngestBench.SmallBuffer with { SegmentBytes = 64 << 10 });
        IngestClient client = bench.Ingestor.Connect("a");
        var listener = new RecordingListener();
        bench.Storage.Hold();
        bench.Accept(client, Topic, "first", listener);
        bench.Storage.WaitForFlush();
        IngestTicket[] tickets = [.. Enumerable.Range(0, 100).Select(i => bench.Accept(client, Topic, $"{i:D1000}", listener))];

        bench.Storage.LetThrough(); // the first message
        bench.Storage.WaitForFlush();
        bench.Storage.LetThrough(); // the full segment
        bench.Storage.WaitForFlush();
        bench.Storage.FailNextFlush();
        bench.Storage.Release();
        listener.WaitForLoss();

        (ICommitStream stream, long committed) = Assert.Single(listener.Lost);
        Assert.Same(tickets[0].Stream, stream);
        Assert.InRange(committed, 2, 100);
        Assert.Equal(committed, stream.Committed);
        Assert.Equal(committed, bench.Stored(RouteTable.TelemetryTopic).Count);
    }

    [Fact]
    public async Task An_offline_partition_refuses_at_once_and_the_others_go_on()
    {
        await using IngestBench bench = IngestBench.Open();
        IngestClient client = bench.Ingestor.Connect("a");
        var listener = new RecordingListener();
        var elsewhere = new RecordingListener();
        int losses = 0;
        while (bench.Buffer.Partitions.Count == 0 || bench.Log(RouteTable.TelemetryTopic).OfflineReason is null)
        {
            bench.Storage.FailNextFlush();
            Assert.Equal(IngestRefusal.None, bench.Accept(client, Topic, "lost", listener).Refusal);
            listener.WaitForLoss(++losses);
            bench.Time.Advance(IngestBench.SmallIngest.OfflineRetry);
        }

        Assert.Equal(IngestRefusal.Offline, bench.Accept(client, Topic, "refused", listener).Refusal);
        elsewhere.WaitForCommit(bench.Accept(client, "unrouted/topic", "taken", elsewhere));

        Assert.Equal(losses, listener.Lost.Count);
        Assert.Empty(bench.Stored(RouteTable.TelemetryTopic));
    }
}
