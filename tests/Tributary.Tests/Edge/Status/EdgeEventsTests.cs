using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Time.Testing;
using Tributary.Contracts.Records;
using Tributary.Contracts.Telemetry;
using Tributary.Edge.Buffer;
using Tributary.Edge.Ingest;
using Tributary.Edge.Mqtt;
using Tributary.Edge.Mqtt.Sessions;
using Tributary.Edge.Status;
using Tributary.Log;
using Tributary.Tests.Edge.Ingest;
using Tributary.Tests.Log.Support;
using Tributary.Tests.Support;
using Xunit;

namespace Tributary.Tests.Edge.Status;

/// <summary>Whatever befalls a local log is to be seen in all three places.</summary>
public sealed class EdgeEventsTests
{
    private static readonly EdgeBufferOptions Options = IngestBench.SmallBuffer with { SegmentBytes = Mishap<EdgeBuffer>.SegmentBytes };
    private readonly RecordingLogger _logger = new();
    private readonly FakeTimeProvider _time = new(new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero));

    public static TheoryData<LogEventKind> Kinds => [.. Enum.GetValues<LogEventKind>().Where(kind => kind != LogEventKind.Expired)];

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task Whatever_befalls_a_log_is_in_the_status_the_metrics_and_the_log(LogEventKind kind)
    {
        var mishap = new Mishap<EdgeBuffer>(
            storage => EdgeBuffer.Open(storage, "data", Options, _time, _logger), static buffer => buffer.OpenPartition("p", 0).Log);
        await using EdgeBuffer buffer = await mishap.ProvokeAsync(kind);
        await LogHarness.UntilAsync(() => buffer.Events.Count(kind) > 0, $"{kind} is reported");
        string name = char.ToLowerInvariant(kind.ToString()[0]) + kind.ToString()[1..];

        StatusReader reader = Reader(buffer);
        using EdgeMetrics metrics = Measured.Watch(() => new EdgeMetrics(reader), out Measured measured);
        using (measured)
        {
            EventsStatus events = reader.Read().Events;
            EventStatus shown = Assert.Single(events.Latest, e => e.Kind == name);
            Assert.Equal((1, "p-0", _time.GetUtcNow()), (events.Counts[name], shown.Partition, shown.At));
            Assert.Equal(1, measured["tributary.edge.log.events", name]);
            Assert.Contains(_logger.Lines, line => line.Level >= LogLevel.Information && line.Text.Contains(shown.Message, StringComparison.Ordinal));
        }
    }

    [Fact]
    public async Task Refused_records_that_are_given_up_for_want_of_room_are_told()
    {
        await using EdgeBuffer buffer = EdgeBuffer.Open(
            new Tributary.Log.Storage.MemoryStorage(), "data", Options with { DeadLetterBytes = Mishap<EdgeBuffer>.SegmentBytes }, _time, _logger);
        BufferPartition from = buffer.OpenPartition("p", 0);
        for (int i = 0; buffer.Events.Count(LogEventKind.Expired) == 0; i++)
        {
            Assert.InRange(i, 0, 5_000);
            await buffer.DeadLetters.FlushAsync(Refuse(buffer.DeadLetters, from, i));
        }
        EventStatus shown = Assert.Single(Reader(buffer).Read().Events.Latest);
        Assert.Equal(("expired", DeadLetters.DirectoryName, 0L), (shown.Kind, shown.Partition, shown.FromOffset));
        Assert.Equal(buffer.DeadLetters.First, shown.ToOffset);
    }

    [Fact]
    public void Only_the_last_events_are_kept()
    {
        var events = new BufferEvents(_time, _logger);
        for (int i = 0; i < BufferEvents.MostKept + 5; i++)
        {
            events.Report(new LogEvent(LogEventKind.Hole, "p-0", i, i + 1, "p-0: gone"));
        }
        Assert.Equal(BufferEvents.MostKept + 5, events.Count(LogEventKind.Hole));
        Assert.Equal(Enumerable.Range(5, BufferEvents.MostKept), events.Latest.Select(e => (int)e.What.FromOffset));
    }

    private static AppendResult Refuse(DeadLetters letters, BufferPartition from, long offset)
    {
        RecordBatch.TryRead(LogHarness.Batch(valueSize: 1000), out RecordBatch batch);
        var records = new RecordReader(batch.Payload, batch.RecordCount);
        Assert.True(records.Read(out Contracts.Records.Record record));
        return letters.Add(from, offset, 0, record, "too large");
    }

    private StatusReader Reader(EdgeBuffer buffer)
    {
        var ingest = new Ingestor(RouteTable.Default, buffer, IngestBench.SmallIngest, _time, _logger);
        return new StatusReader("e", "c:1", Options, buffer, ingest, new MqttMetrics(), static () => new SessionCounts(0, 0, 0, 0, 0, 0, 0, null), new NoUplink(), _time);
    }

    private sealed class NoUplink : IUplinkStatus
    {
        public UplinkLinkStatus Link { get; } = new(false, null, null, null, 0, 0, 0, 0, default);

        public IReadOnlyList<UplinkPartitionStatus> Partitions => [];
    }
}
