using Tributary.Contracts.Records;
using Tributary.Log;
using Tributary.Tests.Log.Support;
using Xunit;
using static Tributary.Tests.Log.Support.LogHarness;

namespace Tributary.Tests.Log;

/// <summary>What recovery makes of a directory after particular damage. <see cref="LogSimulationTests"/> has the crashes.</summary>
public sealed class LogRecoveryTests : IAsyncDisposable
{
    private static readonly PartitionLogOptions OneSegment = new() { SegmentBytes = 1 << 20, IndexIntervalBytes = 256 };
    private static readonly string FirstSegment = 0.ToString("D20");
    private readonly LogHarness _harness = new();

    public ValueTask DisposeAsync() => _harness.DisposeAsync();

    [Fact]
    public async Task A_batch_that_was_not_written_to_its_end_is_cut_off_as_after_any_crash()
    {
        await FillAsync(OneSegment, batches: 10);
        string path = _harness.PathOf(FirstSegment);
        PartitionLog log = await _harness.KillAsync(() => _harness.Damage(path, _harness.PositionOf(path, 9) + 65, 0xFF));
        Assert.Equal(9, log.FlushedEnd);
        Assert.Equal(9, Assert.Single(_harness.Events).FromOffset);
        Assert.Equal(LogEventKind.TailCut, _harness.Events[0].Kind);
        Assert.Equal(9, (await AppendAsync(log, Batch())).BaseOffset);
        Assert.Equal(Offsets(0, 10), ReadAll(log, 0));
    }

    [Fact]
    public async Task Good_batches_behind_a_bad_one_that_was_not_known_to_be_flushed_are_kept_and_reported_and_never_come_back()
    {
        await FillAsync(OneSegment, batches: 10);
        string path = _harness.PathOf(FirstSegment);
        int position = _harness.PositionOf(path, 4);
        byte[] cutOff = [];
        PartitionLog log = await _harness.KillAsync(() =>
        {
            int end = _harness.PositionOf(path, 9) + Batch().Length;
            _harness.Damage(path, position + 62, 0xFF);
            cutOff = _harness.Bytes(path)[position..end];
        });
        Assert.Equal(4, log.FlushedEnd);
        LogEvent told = Assert.Single(_harness.Events);
        Assert.Equal((LogEventKind.Quarantined, 4L, 10L), (told.Kind, told.FromOffset, told.ToOffset));
        Assert.Equal(cutOff, _harness.Bytes(_harness.PathOf($"quarantine/{4:D20}-{10:D20}")));

        // The same batch in the same place: what followed it then must not follow it now.
        await AppendAsync(log, Batch());
        log = await _harness.KillAsync();
        Assert.Equal(5, log.FlushedEnd);
    }

    [Fact]
    public async Task Damage_below_the_recovery_point_becomes_a_hole_and_no_offset_is_given_twice()
    {
        await FillAsync(OneSegment, batches: 10);
        await _harness.KillAsync(); // a recovery point at 10
        string path = _harness.PathOf(FirstSegment);
        PartitionLog log = await _harness.KillAsync(() =>
        {
            _harness.Storage.Delete(_harness.PathOf($"index-{FirstSegment}"));
            _harness.Damage(path, _harness.PositionOf(path, 4) + 62, 0xFF);
            _harness.Damage(path, _harness.PositionOf(path, 8) + BatchLayout.Length, 0x7F);
        });
        Assert.Equal(10, log.FlushedEnd);
        Assert.Equal([(4L, 5L), (8L, 9L)], _harness.EventsOf(LogEventKind.Hole).Select(e => (e.FromOffset, e.ToOffset)));
        Assert.Equal(2, _harness.EventsOf(LogEventKind.Quarantined).Count());
        Assert.Equal([0, 1, 2, 3, 5, 6, 7, 9], ReadAll(log, 0));
        using (LogRead hole = log.Read(4, 1 << 20, long.MaxValue))
        {
            Assert.Equal((0, 5L), (hole.Size, hole.NextOffset));
        }
        log = await _harness.ReopenAsync();
        Assert.Equal([0, 1, 2, 3, 5, 6, 7, 9], ReadAll(log, 0));
        Assert.Equal(2, _harness.EventsOf(LogEventKind.Hole).Count());
    }

    [Fact]
    public async Task When_the_end_below_the_recovery_point_is_damaged_the_log_goes_on_behind_it()
    {
        await FillAsync(OneSegment, batches: 10);
        await _harness.KillAsync();
        string path = _harness.PathOf(FirstSegment);
        PartitionLog log = await _harness.KillAsync(() =>
        {
            using Tributary.Log.Storage.IStorageFile file = _harness.Storage.Open(path, create: false);
            file.SetLength(_harness.PositionOf(path, 7) + 5);
            file.Flush();
        });
        Assert.Equal((10L, 10L), (log.FlushedEnd, log.AppendedEnd));
        Assert.Equal((7L, 10L), _harness.EventsOf(LogEventKind.Hole).Select(e => (e.FromOffset, e.ToOffset)).Single());
        Assert.Equal(10, (await AppendAsync(log, Batch())).BaseOffset);
        log = await _harness.CrashAsync();
        Assert.Equal([.. Offsets(0, 7), 10], ReadAll(log, 0));
    }

    [Fact]
    public async Task Damage_that_a_reader_meets_becomes_a_hole_once()
    {
        PartitionLog log = await FillAsync(_harness.Options, batches: 100);
        log = await _harness.ReopenAsync();
        string path = _harness.PathOf(FirstSegment);
        byte[] damaged = _harness.Bytes(path);
        int position = _harness.PositionOf(path, 11);
        _harness.Damage(path, position + BatchLayout.Length, 0xFF);
        for (int pass = 0; pass < 2; pass++)
        {
            Assert.Equal([.. Offsets(0, 11), .. Offsets(12, 100)], ReadAll(log, 0));
            Assert.Equal((11L, 12L), _harness.EventsOf(LogEventKind.Hole).Select(e => (e.FromOffset, e.ToOffset)).Single());
        }
        damaged[position + BatchLayout.Length] = 0xFF;
        int end = _harness.PositionOf(path, 0) + position + Batch().Length;
        Assert.Equal(damaged[position..end], _harness.Bytes(_harness.PathOf($"quarantine/{11:D20}-{12:D20}")));
        log = await _harness.CrashAsync();
        Assert.Equal([.. Offsets(0, 11), .. Offsets(12, 100)], ReadAll(log, 0));
    }

    [Fact]
    public async Task Damage_of_the_batch_that_the_start_lies_in_becomes_a_hole()
    {
        PartitionLog log = _harness.Open();
        await AppendAsync(log, Batch(records: 5));
        await AppendAsync(log, Batch());
        log.AdvanceStart(2);
        log = await _harness.ReopenAsync();
        _harness.Damage(_harness.PathOf(FirstSegment), BatchLayout.HeaderSize, 0xFF, 0xFF);
        log.ReportDamage(0); // as readers find it: by the batch's first offset
        using LogRead read = log.Read(2, 1 << 20, long.MaxValue);
        Assert.Equal((0, 5L), (read.Size, read.NextOffset));
        Assert.Single(_harness.EventsOf(LogEventKind.Hole));
    }

    [Fact]
    public async Task A_segment_that_is_gone_is_a_hole()
    {
        await FillAsync(_harness.Options, batches: 100);
        string[] segments = Segments();
        PartitionLog log = await _harness.KillAsync(() => _harness.Storage.Delete(_harness.PathOf(segments[1])));
        (long from, long to) = (long.Parse(segments[1]), long.Parse(segments[2]));
        Assert.Equal((from, to), _harness.EventsOf(LogEventKind.Hole).Select(e => (e.FromOffset, e.ToOffset)).Single());
        Assert.Equal([.. Offsets(0, from), .. Offsets(to, 100)], ReadAll(log, 0));
    }

    [Fact]
    public async Task When_all_segments_are_gone_no_offset_is_given_twice()
    {
        await FillAsync(OneSegment, batches: 10);
        PartitionLog log = await _harness.ReopenAsync();
        log = await _harness.KillAsync(() => _harness.Storage.Delete(_harness.PathOf(FirstSegment)));
        Assert.Equal(10, log.FlushedEnd);
        Assert.Single(_harness.EventsOf(LogEventKind.Hole));
        Assert.Equal(10, (await AppendAsync(log, Batch())).BaseOffset);
    }

    [Theory]
    [InlineData("manifest")]
    [InlineData("epochs")]
    [InlineData("index-")]
    [InlineData("producers-")]
    public async Task A_damaged_state_file_is_made_anew_and_reported(string prefix)
    {
        PartitionLog log = _harness.Open();
        for (int i = 0; i < 100; i++)
        {
            await AppendAsync(log, Batch(producer: new BatchProducer(1 + (i % 2), 0, i / 2)), leaderEpoch: i / 30);
        }
        await _harness.KillAsync();
        log = await _harness.KillAsync(() =>
        {
            foreach (string file in _harness.Files().Where(file => file.StartsWith(prefix, StringComparison.Ordinal)))
            {
                _harness.Damage(_harness.PathOf(file), 20, 0xEE, 0xEE, 0xEE);
            }
        });
        Assert.Equal(Offsets(0, 100), ReadAll(log, 0));
        Assert.NotEmpty(_harness.EventsOf(LogEventKind.Rebuilt));
        Assert.DoesNotContain(_harness.Events, e => e.Kind is LogEventKind.Hole or LogEventKind.Quarantined);
        Assert.Equal((0L, 30L), Epoch(log, 0));
        Assert.Equal((2L, 90L), Epoch(log, 2));
        Assert.Equal([49, 49], log.ListProducers().Select(producer => producer.LastSequence));
        Assert.True(log.Append(Batch(producer: new BatchProducer(2, 0, 45)), leaderEpoch: 3).IsDuplicate);
    }

    [Fact]
    public async Task Producers_are_known_by_their_snapshot_when_their_records_are_trimmed_and_the_manifest_is_damaged()
    {
        PartitionLog log = _harness.Open();
        await AppendAsync(log, Batch(producer: new BatchProducer(5, 0, 0)));
        for (int i = 0; i < 100; i++)
        {
            await AppendAsync(log, Batch());
        }
        log.AdvanceStart(90);
        await UntilAsync(() => !Segments().Contains(FirstSegment), "the first segment is recycled");
        log = await _harness.KillAsync(() => _harness.Damage(_harness.PathOf("manifest"), 20, 0xEE, 0xEE));
        Assert.Equal(0, log.FindProducer(5)!.Value.LastSequence);
        Assert.InRange(log.StartOffset, 1, 90);
        Assert.Equal(Offsets(log.StartOffset, 101), ReadAll(log, log.StartOffset));
    }

    [Fact]
    public async Task Bytes_in_quarantine_are_limited_and_count()
    {
        PartitionLog log = await FillAsync(_harness.Options with { SegmentBytes = 16 << 10 }, batches: 200);
        log = await _harness.ReopenAsync();
        string path = _harness.PathOf(FirstSegment);
        long before = log.SizeBytes;
        int batch = Batch().Length;
        for (int i = 0; i < 80; i++)
        {
            _harness.Damage(path, (2 * i * batch) + BatchLayout.Length, 0xFF);
        }
        Assert.Equal(120, ReadAll(log, 0).Count);
        Assert.Equal(Quarantine.MaxFiles, _harness.Files("p-0/quarantine").Count);
        Assert.Equal(80, _harness.EventsOf(LogEventKind.Hole).Count());
        Assert.InRange(log.SizeBytes, before + (Quarantine.MaxFiles * batch), long.MaxValue);
    }

    [Fact]
    public async Task A_clean_end_is_recovered_without_a_write()
    {
        await FillAsync(_harness.Options, batches: 100);
        await _harness.ReopenAsync();
        FaultyStorage? storage = null;
        _harness.Wrap = inner => storage = new FaultyStorage((Tributary.Log.Storage.MemoryStorage)inner);
        PartitionLog log = await _harness.ReopenAsync();
        long changes = storage!.Changes;
        Assert.Equal(Offsets(0, 100), ReadAll(log, 0));
        await _harness.Directory.DisposeAsync();
        Assert.Equal(changes, storage.Changes);
        Assert.InRange(changes, 0, 1); // the directory's names
    }

    private async Task<PartitionLog> FillAsync(PartitionLogOptions options, int batches)
    {
        _harness.Options = options;
        PartitionLog log = _harness.Open();
        for (int i = 0; i < batches; i++)
        {
            await AppendAsync(log, Batch());
        }
        return log;
    }

    private static (long Epoch, long End)? Epoch(PartitionLog log, int epoch) => log.EndOffsetForEpoch(epoch);

    private static IEnumerable<long> Offsets(long from, long to) => Enumerable.Range((int)from, (int)(to - from)).Select(i => (long)i);

    private string[] Segments() => [.. _harness.Files().Where(file => char.IsAsciiDigit(file[0])).Order()];
}
