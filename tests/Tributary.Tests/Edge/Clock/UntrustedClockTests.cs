using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using Tributary.Edge.Buffer;
using Tributary.Edge.Clock;
using Tributary.Edge.Ingest;
using Tributary.Edge.Mqtt;
using Tributary.Edge.Uplink;
using Tributary.Log.Storage;
using Tributary.Tests.Edge.Ingest;
using Tributary.Tests.Edge.Mqtt.Sessions;
using Xunit;

namespace Tributary.Tests.Edge.Clock;

/// <summary>What the parts of the agent do while nobody knows the time.</summary>
public sealed class UntrustedClockTests : IDisposable
{
    private static readonly DateTimeOffset Start = new(2026, 5, 4, 3, 2, 1, TimeSpan.Zero);
    private readonly SimulatedDevice _device = new(Start);
    private readonly MemoryStorage _disk = new();
    private EdgeClock? _clock;

    public UntrustedClockTests()
    {
        _device.SetWall(DateTimeOffset.UnixEpoch);
        _disk.CreateDirectory("clock");
        _disk.SyncDirectory("");
    }

    public void Dispose() => _clock?.Dispose();

    [Fact]
    public async Task Records_are_stored_with_the_uptime_and_read_with_the_time()
    {
        EdgeClock clock = OpenClock();
        await using IngestBench bench = IngestBench.Open(time: clock);
        long truth = _device.TrueMs;
        await StoreAsync(bench, "21.5");
        StoredRecord stored = Assert.Single(bench.Stored("telemetry"));
        Assert.True(BootStamp.IsIn(stored.Timestamp));
        Assert.Equal(new OffsetRange(0, 1), bench.Buffer.Partitions.Single().Undated);

        Round held = Read(bench, clock);
        Assert.True(held.IsHeld);
        Assert.Equal((0, 0), (held.End, held.Batches.Count));
        _device.Pass(TimeSpan.FromHours(2));
        _device.Synchronize();
        _device.Pass(TimeSpan.FromSeconds(1));
        Round round = Read(bench, clock);
        Assert.Equal((1, false), (round.End, round.IsHeld));
        Assert.Equal(new DatedCounts(1, 0, 0), round.Batches[0].Dated);
        (long timestamp, string headers) = Decode(round);
        Assert.InRange(Math.Abs(timestamp - truth), 0, 1000);
        Assert.Contains("edge.time=corrected edge.time.bound.ms=", headers, StringComparison.Ordinal);
    }

    [Fact]
    public async Task After_a_wait_they_are_read_with_what_the_clock_said_and_say_so()
    {
        EdgeClock clock = OpenClock();
        await using IngestBench bench = IngestBench.Open(time: clock);
        await StoreAsync(bench, "21.5");

        Round round = Read(bench, clock, sendsUndated: true);
        (long timestamp, string headers) = Decode(round);
        Assert.Equal((1, 0L), (round.End, timestamp));
        Assert.EndsWith("edge.time=untrusted", headers, StringComparison.Ordinal);
        Assert.Equal(new DatedCounts(0, 0, 1), round.Batches[0].Dated);
    }

    [Fact]
    public void A_state_that_waits_for_the_clock_sends_after_the_wait_or_when_the_time_is_known()
    {
        foreach (bool isLearned in new[] { true, false })
        {
            UplinkOptions options = Uplink.UplinkSimulation.DefaultOptions with { ClockWait = TimeSpan.FromMinutes(5) };
            var simulation = new Uplink.UplinkSimulation(1, partitions: 1) { Options = options };
            simulation.Start();
            simulation.Run(TimeSpan.FromSeconds(10));
            UplinkState state = simulation.State;
            simulation.Ingest(1);
            simulation.Log.Flush();
            state.OnLog(0, simulation.Log.FlushedEnd);
            TimeSpan now = simulation.Now;
            RoundRequest first = Assert.IsType<UplinkAction.ReadRound>(state.Next(now)).Request;
            Assert.False(first.SendsUndated);
            state.OnRound(now, new Round(first.From, first.From, [], first.NextOrdinals, first.From, 0) { IsHeld = true });
            Assert.IsNotType<UplinkAction.ReadRound>(Drain(state, now));
            Assert.Equal(1, state.Held);
            if (isLearned)
            {
                state.OnClock();
            }
            else
            {
                now += TimeSpan.FromMinutes(5);
            }
            Assert.Equal(!isLearned, Assert.IsType<UplinkAction.ReadRound>(Drain(state, now)).Request.SendsUndated);
        }
    }

    [Fact]
    public async Task What_is_kept_for_a_time_does_not_expire_by_a_clock_that_was_set()
    {
        EdgeClock clock = OpenClock();
        await using IngestBench bench = IngestBench.Open(
            time: clock, buffer: IngestBench.SmallBuffer with { SegmentBytes = 64 << 10, Keep = TimeSpan.FromHours(10) });
        for (int i = 0; i < 200; i++)
        {
            await StoreAsync(bench, new string('x', 1000));
        }
        BufferPartition partition = bench.Buffer.Partitions.Single();
        partition.Hold.Advance(partition.Log.FlushedEnd);
        _device.Pass(TimeSpan.FromHours(1));
        partition.Hold.Look();
        Assert.Equal(0, partition.Log.StartOffset);
        _device.Synchronize(); // fifty-six years later, by the clock
        _device.Pass(TimeSpan.FromHours(1));
        Assert.True(clock.IsTrusted);
        partition.Hold.Look();
        Assert.Equal(0, partition.Log.StartOffset);

        _device.Pass(TimeSpan.FromHours(9)); // since they were acknowledged
        partition.Hold.Look();
        Assert.Equal(200, partition.Log.StartOffset);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_session_does_not_end_early_by_a_clock_that_is_ahead_at_the_start(bool isSynchronized)
    {
        _device.Synchronize();
        var bench = new SessionBench(new MqttOptions { SnapshotBytes = 4 << 10 }, _disk, _device, clock: OpenClock());
        bench.Sweep();
        bench.Connect("away", expiry: 3600).Leave();
        bench.Sweep(3);
        _clock!.Dispose();
        _device.Restart(TimeSpan.FromMinutes(10), _device.True + TimeSpan.FromDays(300));
        if (isSynchronized)
        {
            _device.Synchronize();
        }
        bench = bench.Restart(clock: OpenClock());
        bench.Sweep(2900);
        Assert.Equal(1, bench.Store.Count().Sessions);
        bench.Sweep(150); // the ten minutes count if they are known
        Assert.Equal(isSynchronized ? 0 : 1, bench.Store.Count().Sessions);
        bench.Sweep(600);
        Assert.Equal(0, bench.Store.Count().Sessions);
    }

    [Fact]
    public void The_age_of_a_session_is_known_within_a_boot_though_the_time_is_not()
    {
        var bench = new SessionBench(new MqttOptions { SnapshotBytes = 4 << 10 }, _disk, _device, clock: OpenClock());
        bench.Sweep();
        bench.Connect("away", expiry: 3600).Leave();
        bench.Sweep(3);
        _clock!.Dispose();
        bench.Sweep(3000);
        bench = bench.Restart(clock: OpenClock());
        bench.Sweep(500);
        Assert.Equal(1, bench.Store.Count().Sessions);
        bench.Sweep(150);
        Assert.Equal(0, bench.Store.Count().Sessions);
    }

    private static UplinkAction? Drain(UplinkState state, TimeSpan now)
    {
        while (true)
        {
            switch (state.Next(now))
            {
                case UplinkAction.Save save:
                    state.OnSaved(now, save.Ticket, save.Checkpoint);
                    break;
                case UplinkAction.Trim or UplinkAction.AskMetadata:
                    break;
                case var other:
                    return other;
            }
        }
    }

    private static async Task StoreAsync(IngestBench bench, string payload)
    {
        var listener = new RecordingListener();
        IngestTicket ticket = bench.Accept(bench.Ingestor.Connect("c"), "devices/d1/level", payload, listener);
        Assert.Equal(IngestRefusal.None, ticket.Refusal);
        await Waiting.Until(() => ticket.Stream!.Committed > ticket.Number);
    }

    private static Round Read(IngestBench bench, EdgeClock clock, bool sendsUndated = false)
    {
        using var reader = new RoundReader(
            new LogSource(bench.Log("telemetry")), Uplink.UplinkSimulation.DefaultOptions, clock);
        return reader.Read(new RoundRequest(
            0, bench.Log("telemetry").FlushedEnd, new Numbering([new CountInForce(0, 1)], [0], []), [0], [0], 1, 0, int.MaxValue, 1 << 20, SendsUndated: sendsUndated));
    }

    private static (long Timestamp, string Headers) Decode(Round round)
    {
        Assert.Equal(
            Contracts.Records.BatchStatus.Ok,
            Contracts.Records.RecordBatch.TryRead(round.Batches[0].Bytes.Span, out Contracts.Records.RecordBatch batch));
        var reader = new Contracts.Records.RecordReader(batch.Payload, batch.RecordCount);
        Assert.True(reader.Read(out Contracts.Records.Record record));
        var headers = new List<string>();
        Contracts.Records.HeaderReader header = record.ReadHeaders();
        while (header.Read(out ReadOnlySpan<byte> name, out ReadOnlySpan<byte> value, out _))
        {
            headers.Add($"{Encoding.UTF8.GetString(name)}={Encoding.UTF8.GetString(value)}");
        }
        Assert.False(header.IsMalformed);
        return (batch.BaseTimestamp + record.TimestampDelta, string.Join(' ', headers));
    }

    private EdgeClock OpenClock()
    {
        _clock = new EdgeClock(_device, new ClockOptions(), _device, NullLogger.Instance);
        _clock.Open(_disk, "clock", hasRecords: false);
        return _clock;
    }
}
