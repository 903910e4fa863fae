using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Tributary.Contracts.Telemetry;
using Tributary.Edge.Buffer;
using Tributary.Edge.Ingest;
using Tributary.Edge.Mqtt;
using Tributary.Edge.Mqtt.Sessions;
using Tributary.Edge.Status;
using Tributary.Edge.Uplink;
using Tributary.Log.Storage;
using Tributary.Tests.Edge.Ingest;
using Tributary.Tests.Log.Support;
using Xunit;

namespace Tributary.Tests.Edge.Status;

/// <summary>What the backlog means, as the README tells it: in records, bytes and age.</summary>
public sealed class BacklogTests : IAsyncDisposable
{
    private readonly FakeTimeProvider _time = new(new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero));
    private readonly EdgeBuffer _buffer;
    private readonly StatusReader _reader;
    private readonly Acknowledged _uplink = new();

    public BacklogTests()
    {
        EdgeBufferOptions options = IngestBench.SmallBuffer with { Keep = TimeSpan.FromHours(1) };
        _buffer = EdgeBuffer.Open(new MemoryStorage(), "data", options, _time, NullLoggerFactory.Instance);
        var ingest = new Ingestor(RouteTable.Default, _buffer, IngestBench.SmallIngest, _time, NullLoggerFactory.Instance);
        _reader = new StatusReader(
            "e", "c:1", options, _buffer, ingest, new MqttMetrics(), static () => new SessionCounts(0, 0, 0, 0, 0, 0, 0, null), _uplink, _time);
    }

    public ValueTask DisposeAsync()
    {
        _reader.Dispose();
        return _buffer.DisposeAsync();
    }

    [Fact]
    public async Task It_is_what_is_flushed_and_not_acknowledged_in_records_bytes_of_the_log_and_age_of_the_oldest_batch()
    {
        BufferPartition telemetry = _buffer.OpenPartition("telemetry", 0);
        Assert.Equal(new BacklogStatus(0, 0, 0), _reader.Read().Backlog);
        int first = await AppendAsync(telemetry, records: 3, valueSize: 100);
        _time.Advance(TimeSpan.FromSeconds(10));
        int second = await AppendAsync(telemetry, records: 2, valueSize: 50);
        _time.Advance(TimeSpan.FromSeconds(5));

        // More than their payloads: keys, headers of the batches.
        Assert.InRange(first, (3 * 100) + 61, 3 * 150);
        Assert.Equal(new BacklogStatus(5, first + second, 15), _reader.Read().Backlog);
        // A batch that is acknowledged in part is as old as its oldest record.
        _uplink.Below = 1;
        Assert.Equal((4L, 15.0), RecordsAndAge());
        Assert.InRange(_reader.Read().Backlog.Bytes, second, first + second);
        _uplink.Below = 3;
        Assert.Equal((2L, 5.0), RecordsAndAge());
        // What is kept for a time after its acknowledgement does not wait for anything.
        _uplink.Below = 5;
        Assert.Equal(new BacklogStatus(0, 0, 0), _reader.Read().Backlog);
        Assert.Equal(0, telemetry.Log.StartOffset);
    }

    [Fact]
    public async Task Over_partitions_records_and_bytes_add_up_and_the_age_is_that_of_the_oldest()
    {
        int first = await AppendAsync(_buffer.OpenPartition("telemetry", 0), records: 1, valueSize: 10);
        _time.Advance(TimeSpan.FromSeconds(7));
        int second = await AppendAsync(_buffer.OpenPartition("alarms", 0), records: 2, valueSize: 10);
        Assert.Equal(new BacklogStatus(3, first + second, 7), _reader.Read().Backlog);
    }

    [Fact]
    public async Task A_clock_that_is_set_back_makes_nothing_younger_than_new()
    {
        await AppendAsync(_buffer.OpenPartition("telemetry", 0), records: 1, valueSize: 10, ahead: TimeSpan.FromDays(1));
        Assert.Equal((1L, 0.0), RecordsAndAge());
    }

    private (long Records, double Age) RecordsAndAge() => _reader.Read().Backlog is var backlog ? (backlog.Records, backlog.AgeSeconds) : default;

    /// <returns>Bytes of the batch.</returns>
    private async Task<int> AppendAsync(BufferPartition partition, int records, int valueSize, TimeSpan ahead = default)
    {
        // Its records are a millisecond apart.
        byte[] batch = LogHarness.Batch(records, valueSize, (_time.GetUtcNow() + ahead).ToUnixTimeMilliseconds());
        await LogHarness.AppendAsync(partition.Log, batch);
        return batch.Length;
    }

    private sealed class Acknowledged : IUplinkStatus
    {
        public long Below { get; set; }

        public UplinkLinkStatus Link { get; } = new(false, null, null, null, 0, 0, 0, 0, default);

        public IReadOnlyList<UplinkPartitionStatus> Partitions =>
            [new("telemetry", 0, 5, "sending", null, Below, 1, 0, 0, 0, 0, 0, DeliveryPromise.ExactlyOnce)];
    }
}
