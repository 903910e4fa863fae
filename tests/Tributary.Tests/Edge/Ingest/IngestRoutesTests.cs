using System.Buffers;
using System.Text;
using Microsoft.Extensions.Time.Testing;
using Tributary.Contracts.Telemetry;
using Tributary.Edge.Buffer;
using Tributary.Edge.Ingest;
using Tributary.Edge.Routes;
using Tributary.Tests.Edge.Mqtt.Support;
using Tributary.Tests.Edge.Support;
using Tributary.Tests.Support;
using Xunit;

namespace Tributary.Tests.Edge.Ingest;

/// <summary>What routes of a file do with messages: time, key and headers of their own, drops, samples, deadbands, limits.</summary>
public sealed class IngestRoutesTests
{
    private readonly RecordingListener _listener = new();

    [Fact]
    public async Task Records_have_the_time_of_their_payload_and_the_batch_that_of_its_arrival()
    {
        await using IngestBench bench = Open("""{ "match": "a/{device}", "topic": "t", "timestamp": { "path": "ts", "format": "unix_ms" } }""");
        long now = bench.Time.GetUtcNow().ToUnixTimeMilliseconds();
        long[] times = [now - 86_400_000, now + 1000, now - 5, now + 86_400_000];
        bench.Storage.Hold();
        Accept(bench, "a/d", "first");
        bench.Storage.WaitForFlush();
        IngestTicket last = default;
        foreach (long time in times)
        {
            last = Accept(bench, "a/d", $"{{\"ts\":{time}}}");
        }
        bench.Storage.Release();
        _listener.WaitForCommit(last);

        List<StoredRecord> stored = bench.Stored("t");
        Assert.Equal([now, now - 86_400_000, now + 1000, now - 5, now], stored.Select(record => record.Timestamp));
        Assert.Single(stored.Skip(1).Select(record => record.BatchOffset).Distinct());
        using Tributary.Log.LogRead read = bench.Log("t").Read(1, 1 << 20, 5);
        Tributary.Contracts.Records.RecordBatch.TryRead(read.Bytes.ToArray(), out Tributary.Contracts.Records.RecordBatch batch);
        Assert.Equal((now, now + 1000), (batch.BaseTimestamp, batch.MaxTimestamp));
        Assert.Equal(2, Counts(bench, "a/{device}").TimestampFallbacks);
    }

    [Fact]
    public async Task User_properties_become_headers_behind_those_of_the_agent_which_none_can_name()
    {
        await using IngestBench bench = Open(
            """{ "match": "a/{x}", "topic": "t", "headers": { "x": "{x}" } }, { "match": "b", "topic": "u", "userProperties": false }""");
        byte[] properties =
        [
            0x02, 0, 0, 0, 38, .. User("traceparent", "00-1-2-01"), .. User("site", "übel"), .. User("edge", "e2"), .. User("x", "other"),
            .. User("mqtt.topic", "b"), .. User("tributary.mqtt.receipt", new string('r', 18)), .. User("site", "again"), .. User("empty", ""),
        ];
        _listener.WaitForCommit(Accept(bench, "a/1", "v", properties));
        _listener.WaitForCommit(Accept(bench, "b", "v", properties));

        Assert.Equal("mqtt.topic=a/1 x=1 edge=e1 traceparent=00-1-2-01 site=übel site=again empty=", bench.Stored("t").Single().Headers);
        Assert.Equal("mqtt.topic=b edge=e1", bench.Stored("u").Single().Headers);
        Assert.Equal(4, Counts(bench, "a/{x}").PropertiesLeftOut);
    }

    [Fact]
    public async Task User_properties_are_bounded_in_number_and_bytes()
    {
        await using IngestBench bench = Open("""{ "match": "a", "topic": "t" }""");
        byte[] many = [.. Enumerable.Range(0, UserPropertyHeaders.MaxCount + 3).SelectMany(i => User($"n{i}", "v"))];
        byte[] large = [.. User("large", new string('x', UserPropertyHeaders.MaxBytes)), .. User("small", "v")];
        _listener.WaitForCommit(Accept(bench, "a", "1", many));
        _listener.WaitForCommit(Accept(bench, "a", "2", large));

        List<StoredRecord> stored = bench.Stored("t");
        Assert.Equal(UserPropertyHeaders.MaxCount, stored[0].Headers.Split(' ').Count(header => header.StartsWith('n')));
        Assert.Equal("mqtt.topic=a edge=e1 small=v", stored[1].Headers);
        Assert.Equal(4, Counts(bench, "a").PropertiesLeftOut);
    }

    [Fact]
    public async Task A_key_out_of_the_payload_chooses_the_partition_and_falls_back_to_the_device()
    {
        await using IngestBench bench = Open("""{ "match": "a/{device}", "topic": "t", "key": { "path": "id" } }""");
        Accept(bench, "a/d", """{ "id": "one" }""");
        Accept(bench, "a/d", """{ "id": 2 }""");
        Accept(bench, "a/d", """{ "id": "" }""");
        _listener.WaitForCommit(Accept(bench, "a/d", "none"));

        Assert.Equal(["one", "2", "d", "d"], bench.Stored("t").Select(record => record.Key));
        Assert.Equal(2, Counts(bench, "a/{device}").KeyFallbacks);
    }

    [Fact]
    public async Task What_a_route_drops_is_taken_and_not_stored()
    {
        await using IngestBench bench = Open("""{ "name": "noise", "match": "a/{x}", "drop": true }""", "drop");
        Assert.Equal(IngestTicket.NotStored, Accept(bench, "a/1", "v"));
        Assert.Equal(IngestTicket.NotStored, Accept(bench, "other", "v"));
        Assert.Empty(bench.Buffer.Partitions);
        Assert.Equal((1, 1), (Counts(bench, "noise").Dropped, Counts(bench, "unrouted").Dropped));
    }

    [Fact]
    public async Task Of_a_sample_every_so_many_go_on_for_each_topic_by_itself()
    {
        await using IngestBench bench = Open("""{ "match": "a/{device}", "topic": "t", "sample": { "every": 3 } }""");
        for (int i = 0; i < 7; i++)
        {
            Accept(bench, "a/x", $"x{i}");
        }
        _listener.WaitForCommit(Accept(bench, "a/y", "y0"));
        Assert.Equal(["x0", "x3", "x6", "y0"], bench.Stored("t").Select(record => record.Value));
        Assert.Equal((4, 4), (Counts(bench, "a/{device}").Stored, Counts(bench, "a/{device}").Sampled));
    }

    [Fact]
    public async Task Of_a_sample_by_time_one_goes_on_in_each_period()
    {
        await using IngestBench bench = Open("""{ "match": "a", "topic": "t", "sample": { "period": "1s" } }""");
        for (int i = 0; i < 9; i++)
        {
            IngestTicket ticket = Accept(bench, "a", $"{i * 250}");
            Assert.Equal(i % 4 == 0, ticket.Stream is not null);
            bench.Time.Advance(TimeSpan.FromMilliseconds(250));
        }
        _listener.WaitForCommit(Accept(bench, "a", "late", advance: TimeSpan.FromSeconds(1)));
        Assert.Equal(["0", "1000", "2000", "late"], bench.Stored("t").Select(record => record.Value));
    }

    [Theory]
    [InlineData("\"change\": 0.5", "20 20.4 20.5 20.1 20.0 x 20.1 20.2", "20 20.5 20.0 x 20.1")]
    [InlineData("\"change\": 0", "1 1 2 2 1.0 1", "1 2 1.0")]
    [InlineData("\"percent\": 10", "100 109 110 100 99 0 0 0.1", "100 110 99 0 0.1")]
    [InlineData("\"change\": 0.5", "20.1 20.6", "20.1 20.6")]
    [InlineData("\"change\": 100, \"atLeastEvery\": \"3s\"", "1 2 3 4 5 6 7 8", "1 4 7")]
    public async Task Of_a_deadband_goes_on_what_differs_enough_from_the_last_that_did(string rule, string values, string expected)
    {
        await using IngestBench bench = Open($$"""{ "match": "a", "topic": "t", "deadband": { "path": "", {{rule}} } }""");
        IngestTicket last = default;
        foreach (string value in values.Split(' '))
        {
            IngestTicket ticket = Accept(bench, "a", value);
            last = ticket.Stream is null ? last : ticket;
            bench.Time.Advance(TimeSpan.FromSeconds(1));
        }
        _listener.WaitForCommit(last);
        Assert.Equal(expected, string.Join(' ', bench.Stored("t").Select(record => record.Value)));
        RouteCounts counts = Counts(bench, "a");
        Assert.Equal((expected.Split(' ').Length, values.Split(' ').Length), (counts.Stored, counts.Stored + counts.Deadband));
    }

    [Fact]
    public async Task A_value_that_was_refused_or_lost_is_not_the_last_one_of_a_deadband()
    {
        await using IngestBench bench = Open("""{ "match": "a", "topic": "t", "deadband": { "path": "v", "change": 1 } }""");
        _listener.WaitForCommit(Accept(bench, "a", """{"v":1}"""));
        string large = $$"""{"v":5,"x":"{{new string('x', 70_000)}}"}""";
        Assert.Equal(IngestRefusal.TooLarge, Accept(bench, "a", large).Refusal);
        Assert.Equal(IngestTicket.NotStored, Accept(bench, "a", """{"v":1.5}"""));
        bench.Storage.FailNextFlush();
        IngestTicket lost = Accept(bench, "a", """{"v":9}""");
        _listener.WaitForLoss();
        Assert.True(lost.Stream!.IsLost);

        IngestTicket again;
        do
        {
            bench.Time.Advance(TimeSpan.FromSeconds(1));
            again = Accept(bench, "a", """{"v":9}""");
        }
        while (again.Refusal == IngestRefusal.Offline);
        _listener.WaitForCommit(again);

        Assert.Equal("""{"v":9}""", bench.Stored("t")[^1].Value);
        Assert.Equal(IngestTicket.NotStored, Accept(bench, "a", """{"v":9.5}"""));
    }

    [Fact]
    public async Task A_topic_that_captures_make_and_that_is_one_too_many_is_unrouted_and_counted()
    {
        await using IngestBench bench = Open(
            """{ "name": "sites", "match": "{site}/{device}/x", "topic": "site.{site}" }, { "match": "f", "topic": "fixed" }""");
        Accept(bench, "berlin/d/x", "1");
        Accept(bench, "Köln/d/x", "2"); // the third and fourth are kept free for 'fixed' and 'unrouted'
        Accept(bench, "rom/d/x", "3");
        Accept(bench, "rom/d/x", "4");
        Accept(bench, "f", "5");
        _listener.WaitForCommit(Accept(bench, "berlin/e/x", "6"));
        Blocking.Until(() => bench.Buffer.Partitions.Sum(partition => partition.Log.FlushedEnd) == 6, "all is flushed");

        Assert.Equal(["fixed", "site.K_ln", "site.berlin", "unrouted"], bench.Buffer.Partitions.Select(p => p.Topic).Order(StringComparer.Ordinal));
        Assert.Equal(["c=3", "c=4"], bench.Stored("unrouted").Select(record => $"{record.Key}={record.Value}"));
        Assert.Equal("mqtt.topic=rom/d/x edge=e1", bench.Stored("unrouted")[0].Headers);
        Assert.Equal((3, 2), (Counts(bench, "sites").Stored, Counts(bench, "sites").Unrouted));
    }

    [Fact]
    public async Task The_topic_of_events_takes_no_room_from_those_of_routes()
    {
        const string Routes =
            """{ "match": "1", "topic": "t1" }, { "match": "2", "topic": "t2" }, { "match": "3", "topic": "t3" }""";
        await using IngestBench bench = Open(Routes);
        bench.Buffer.OpenPartition(bench.Buffer.Options.EventsTopic, 0);
        bench.Ingestor.Use(Table(Routes, "keep"));
        foreach (string topic in new[] { "1", "2", "other", "3" })
        {
            _listener.WaitForCommit(Accept(bench, topic, topic));
        }
        Assert.Equal(["3"], bench.Stored("t3").Select(record => record.Value));
        Assert.Equal(["other"], bench.Stored("unrouted").Select(record => record.Value));
    }

    [Fact]
    public async Task A_device_cannot_choose_the_topic_of_events()
    {
        await using IngestBench bench = Open("""{ "name": "sites", "match": "{site}/x", "topic": "{site}" }""");
        _listener.WaitForCommit(Accept(bench, $"{bench.Buffer.Options.EventsTopic}/x", "forged"));
        Assert.Equal(["forged"], bench.Stored("unrouted").Select(record => record.Value));
        Assert.Equal(1, Counts(bench, "sites").Unrouted);
    }

    [Fact]
    public async Task Other_routes_that_lead_to_too_many_topics_are_refused_and_the_former_stay()
    {
        await using IngestBench bench = Open("""{ "match": "a", "topic": "t1" }""");
        _listener.WaitForCommit(Accept(bench, "a", "1"));
        RouteTable tooMany = RoutesFile.Parse(
            """{ "routes": [ { "match": "a", "topic": "t2" }, { "match": "b", "topic": "t3" }, { "match": "c", "topic": "t4" } ] }"""u8, "f");
        string message = Assert.Throws<ArgumentException>(() => bench.Ingestor.Use(tooMany)).Message;
        Assert.Contains("'buffer:maxTopics' is 4", message, StringComparison.Ordinal);
        Assert.Contains("it would be 5: t1, t2, t3, t4, unrouted", message, StringComparison.Ordinal);
        _listener.WaitForCommit(Accept(bench, "a", "2"));
        Assert.Equal(["1", "2"], bench.Stored("t1").Select(record => record.Value));
    }

    [Fact]
    public async Task Routes_of_the_same_name_go_on_counting_and_filters_begin_anew()
    {
        await using IngestBench bench = Open("""{ "name": "n", "match": "a", "topic": "t", "sample": { "every": 100 } }""");
        Accept(bench, "a", "1");
        Accept(bench, "a", "2");
        bench.Ingestor.Use(RoutesFile.Parse("""{ "routes": [ { "name": "n", "match": "{x}", "topic": "t", "sample": { "every": 100 } } ] }"""u8, "f"));
        _listener.WaitForCommit(Accept(bench, "a", "3"));
        Assert.Equal((2, 1), (Counts(bench, "n").Stored, Counts(bench, "n").Sampled));
        Assert.Equal(["1", "3"], bench.Stored("t").Select(record => record.Value));
    }

    [Theory]
    [InlineData("\"timestamp\": { \"path\": \"ts\", \"format\": \"iso8601\" }")]
    [InlineData("\"key\": { \"path\": \"id\" }")]
    [InlineData("\"sample\": { \"every\": 2 }")]
    [InlineData("\"deadband\": { \"path\": \"v\", \"change\": 0.1, \"atLeastEvery\": \"1min\" }")]
    public async Task A_route_allocates_nothing_for_a_message_in_steady_state(string member)
    {
        await using IngestBench bench = IngestBench.Open(
            IngestBench.SmallIngest with { MaxBatchBytes = 200_000 }, routes: Table($$"""{ "match": "a/{device}", "topic": "t", {{member}} }""", "keep"));
        IngestClient client = bench.Ingestor.Connect("c");
        byte[] topic = "a/d"u8.ToArray();
        byte[][] payloads =
        [
            """{ "id": "one", "v": 1, "ts": "2026-05-04T03:00:00Z" }"""u8.ToArray(), """{ "id": "two", "v": 1.05, "ts": "x" }"""u8.ToArray(), "none"u8.ToArray(),
        ];
        byte[] properties = [.. User("traceparent", "00-1-2-01"), .. User("edge", "no")];
        IngestTicket last = default;
        long least = long.MaxValue;
        for (int round = 0; round < 20; round++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int i = 0; i < 300; i++)
            {
                var message = new IngestMessage(topic, payloads[i % payloads.Length]) { Properties = properties };
                IngestTicket ticket = bench.Ingestor.Accept(client, message, _listener);
                last = ticket.Stream is null ? last : ticket;
            }
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
            _listener.WaitForCommit(last);
        }
        Assert.Equal(0, least);
    }

    [Fact]
    public async Task Topics_beyond_the_memory_for_filters_are_forgotten_and_let_through()
    {
        const int Topics = 2000;
        await using IngestBench bench = IngestBench.Open(
            IngestBench.SmallIngest with { TopicCacheBytes = 64 << 10 },
            routes: Table("""{ "match": "a/{device}", "topic": "t", "deadband": { "path": "", "change": 1 } }""", "keep"));
        for (int round = 0; round < 2; round++)
        {
            for (int i = 0; i < Topics; i++)
            {
                Accept(bench, $"a/{i}", "1");
            }
        }
        Assert.Equal(2 * Topics, Counts(bench, "a/{device}").Stored);
        Accept(bench, $"a/{Topics - 1}", "1");
        Assert.Equal(1, Counts(bench, "a/{device}").Deadband);
    }

    internal static byte[] User(string name, string value) => [0x26, .. Packets.Text(name), .. Packets.Text(value)];

    internal static RouteTable Table(string routes, string unrouted) =>
        RoutesFile.Parse(Encoding.UTF8.GetBytes($$"""{ "routes": [ {{routes}} ], "unrouted": "{{unrouted}}" }"""), "routes.json");

    private static IngestBench Open(string routes, string unrouted = "keep") => IngestBench.Open(routes: Table(routes, unrouted));

    private static RouteCounts Counts(IngestBench bench, string route) => bench.Ingestor.RouteCounts.Single(counts => counts.Name == route);

    private IngestTicket Accept(IngestBench bench, string topic, string payload, byte[]? properties = null, TimeSpan? advance = null)
    {
        bench.Time.Advance(advance ?? TimeSpan.Zero);
        var message = new IngestMessage(Encoding.UTF8.GetBytes(topic), Encoding.UTF8.GetBytes(payload)) { Properties = properties };
        return bench.Ingestor.Accept(bench.Ingestor.Connect("c"), message, _listener);
    }
}
