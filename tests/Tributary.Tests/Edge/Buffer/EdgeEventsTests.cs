using System.Text.Json;
using Microsoft.Extensions.Logging.Abstractions;
using Tributary.Edge.Buffer;
using Tributary.Tests.Edge.Ingest;
using Xunit;

namespace Tributary.Tests.Edge.Buffer;

/// <summary>Events on their way to the topic of their own.</summary>
public sealed class EdgeEventsTests : IAsyncDisposable
{
    private readonly IngestBench _bench = IngestBench.Open(buffer: IngestBench.SmallBuffer with { SegmentBytes = 64 << 10 });
    private readonly EdgeEvents _events;

    public EdgeEventsTests() => _events = new EdgeEvents(_bench.Buffer, "edge-1", NullLogger.Instance);

    private string Topic => _bench.Buffer.Options.EventsTopic;

    public ValueTask DisposeAsync() => _bench.DisposeAsync();

    [Fact]
    public async Task As_many_as_wait_are_stored_in_their_order_however_small_segments_are()
    {
        for (int i = 0; i < EdgeEvents.MostWaiting; i++)
        {
            Add("gap", "telemetry", i, new string('ü', 1500));
        }
        await _events.StoreAsync();
        Assert.Equal(Enumerable.Range(0, EdgeEvents.MostWaiting), _bench.Stored(Topic).Select(record => Offset(record.Value)));
    }

    [Fact]
    public async Task Whoever_stores_waits_for_what_another_is_storing()
    {
        _bench.Buffer.OpenPartition(Topic, 0);
        _bench.Storage.Hold();
        Add("gap", "telemetry", 1, "a gap");
        Task first = _events.StoreAsync().AsTask();
        _bench.Storage.WaitForFlush();
        Task second = _events.StoreAsync().AsTask();
        Assert.False(first.IsCompleted || second.IsCompleted);

        _bench.Storage.Release();
        await Task.WhenAll(first, second);
        Assert.Single(_bench.Stored(Topic));
    }

    [Fact]
    public async Task An_event_that_is_refused_makes_no_other_one()
    {
        Add("refused", Topic, 0, "the cloud refused a record");
        Add("refused", "telemetry", 7, "the cloud refused a record");
        await _events.StoreAsync();
        Assert.Equal(7, Offset(Assert.Single(_bench.Stored(Topic)).Value));
    }

    private static int Offset(string value)
    {
        using var json = JsonDocument.Parse(value);
        return json.RootElement.GetProperty("from").GetInt32();
    }

    private void Add(string kind, string topic, int offset, string message) =>
        _events.Add(new EdgeEvent(_bench.Time.GetUtcNow().ToUnixTimeMilliseconds(), kind, topic, 0, offset, offset + 1, 1, message));
}
