using System.Globalization;
using Tributary.Contracts.Records;
using Tributary.Log;
using Tributary.Log.Compaction;
using Tributary.Log.Storage;
using Tributary.Tests.Log.Support;
using Xunit;
using static Tributary.Tests.Log.Support.LogHarness;

namespace Tributary.Tests.Log.Compaction;

/// <summary>What stays of a log, and when.</summary>
public sealed class CompactionTests : IAsyncDisposable
{
    private readonly LogHarness _harness = new()
    {
        DirectoryOptions = new LogDirectoryOptions { TailCacheBytes = 0 },
        Options = new PartitionLogOptions
        {
            SegmentBytes = 1024,
            IndexIntervalBytes = 128,
            RecoveryStepBytes = 1,
            RecoveryStepTime = TimeSpan.Zero,
            Compaction = new CompactionPolicy { DirtyRatio = 0 },
        },
    };

    private LogCompactor _compactor;

    public CompactionTests() => _compactor = new LogCompactor(new LogCompactorOptions(), _harness.Time);

    public ValueTask DisposeAsync() => _harness.DisposeAsync();

    [Fact]
    public async Task Of_each_key_the_last_record_stays_with_its_offset_and_time()
    {
        PartitionLog log = _harness.Open();
        await FillAsync(log, 300, keys: 7);
        long closed = ClosedEnd(log);
        List<KeyedRecord> before = KeyedBatch.Records(log, 0);
        CompactionResult result = Compact(log);
        Assert.Equal((CompactionOutcome.Done, closed), (result.Outcome, result.CleanOffset));
        Assert.Equal(Last(before, closed), KeyedBatch.Records(log, 0));
        Assert.True(result.BytesAfter < result.BytesBefore / 10);
        log = await _harness.ReopenAsync();
        Assert.Equal(closed, log.CleanOffset);
        Assert.Equal(Last(before, closed), KeyedBatch.Records(log, 0));
        Assert.DoesNotContain(_harness.Files(), file => file.StartsWith("compacted", StringComparison.Ordinal));
        Assert.Empty(_harness.Events);
    }

    [Theory]
    [InlineData(CompressionCodec.None)]
    [InlineData(CompressionCodec.Gzip)]
    [InlineData(CompressionCodec.Lz4)]
    [InlineData(CompressionCodec.Snappy)]
    [InlineData(CompressionCodec.Zstd)]
    public async Task Batches_of_many_records_lose_some_and_keep_their_codec(CompressionCodec codec)
    {
        PartitionLog log = _harness.Open();
        for (int i = 0; i < 60; i++)
        {
            (string?, string?)[] records = [.. Enumerable.Range(0, 9).Select(n => ((string?)$"k{(i + n) % 31}", (string?)$"value {i} {n}"))];
            await AppendAsync(log, KeyedBatch.Of(records, BatchProducer.None, codec, isTransactional: false, i * 100));
        }
        long closed = ClosedEnd(log);
        List<KeyedRecord> before = KeyedBatch.Records(log, 0);
        Compact(log);
        Assert.Equal(Last(before, closed), KeyedBatch.Records(log, 0));
        foreach (RecordBatchCopy copy in KeyedBatch.Batches(log, 0))
        {
            RecordBatch.TryRead(copy.Bytes, out RecordBatch batch);
            Assert.Equal(batch.RecordCount == 0 ? CompressionCodec.None : codec, batch.Codec);
        }
    }

    [Fact]
    public async Task Batches_of_which_all_stays_are_the_same_bytes()
    {
        PartitionLog log = _harness.Open();
        for (int i = 0; i < 40; i++)
        {
            await AppendAsync(log, KeyedBatch.Of((i % 2 == 0 ? $"once {i}" : "again", $"{i}")));
        }
        Dictionary<long, byte[]> before = KeyedBatch.Batches(log, 0).ToDictionary(batch => batch.BaseOffset, batch => batch.Bytes);
        Compact(log);
        foreach (RecordBatchCopy batch in KeyedBatch.Batches(log, 0))
        {
            // But for where it ends: it may span what was taken out behind it.
            byte[] was = before[batch.BaseOffset];
            if (batch.Bytes.Length == EmptyBatch.Size)
            {
                continue;
            }
            Assert.Equal(was[BatchLayout.RecordCount..], batch.Bytes[BatchLayout.RecordCount..]);
            Assert.Equal(was[BatchLayout.BaseTimestamp..BatchLayout.RecordCount], batch.Bytes[BatchLayout.BaseTimestamp..BatchLayout.RecordCount]);
        }
    }

    [Fact]
    public async Task Small_segments_become_one()
    {
        PartitionLog log = _harness.Open();
        await FillAsync(log, 400, keys: 3);
        int before = Segments();
        Compact(log);
        Assert.Equal(2, Segments());
        Assert.True(before > 10);
    }

    [Fact]
    public async Task A_log_with_more_keys_than_the_map_holds_is_compacted_in_passes()
    {
        _compactor = new LogCompactor(new LogCompactorOptions { KeyMapBytes = 1024 }, _harness.Time);
        PartitionLog log = _harness.Open();
        await FillAsync(log, 600, keys: 200);
        long closed = ClosedEnd(log);
        List<KeyedRecord> before = KeyedBatch.Records(log, 0);
        int passes = 0;
        for (long clean = 0; clean < closed; passes++)
        {
            CompactionResult result = Compact(log);
            Assert.Equal(CompactionOutcome.Done, result.Outcome);
            Assert.True(result.CleanOffset > clean);
            clean = result.CleanOffset;
            Assert.InRange(_compactor.KeyBytes, 1, 1024);
        }
        Assert.True(passes > 3);
        Assert.Equal(Last(before, closed), KeyedBatch.Records(log, 0));
    }

    [Fact]
    public async Task Only_closed_segments_below_the_given_offset_and_older_than_the_least_lag_are_touched()
    {
        _harness.Options = _harness.Options with { Compaction = new CompactionPolicy { DirtyRatio = 0, MinLag = TimeSpan.FromMinutes(10) } };
        PartitionLog log = _harness.Open();
        await FillAsync(log, 100, keys: 2);
        long old = ClosedEnd(log);
        Assert.Equal(CompactionOutcome.Nothing, Compact(log).Outcome);
        _harness.Time.Advance(TimeSpan.FromMinutes(11));
        await FillAsync(log, 100, keys: 2);
        Assert.Equal(CompactionOutcome.Nothing, _compactor.Compact(log, 3, CancellationToken.None).Outcome);
        CompactionResult result = Compact(log);
        Assert.Equal(CompactionOutcome.Done, result.Outcome);
        Assert.InRange(result.CleanOffset, 1, old);
        Assert.Equal(CompactionOutcome.Nothing, Compact(log).Outcome);
    }

    [Fact]
    public async Task A_log_waits_until_enough_of_it_is_dirty_or_some_of_it_too_old()
    {
        _harness.Options = _harness.Options with
        {
            Compaction = new CompactionPolicy { DirtyRatio = 0.6, MaxLag = TimeSpan.FromHours(1) },
        };
        PartitionLog log = _harness.Open();
        for (int i = 0; i < 200; i++)
        {
            await AppendAsync(log, KeyedBatch.Of(($"only {i}", "value")));
        }
        Assert.Equal(CompactionOutcome.Done, Compact(log).Outcome);
        await FillAsync(log, 100, keys: 5);
        CompactionNeed need = log.NeedOfCompaction(long.MaxValue);
        Assert.InRange(need.DirtyRatio, 0.1, 0.6);
        Assert.False(need.IsDue);
        Assert.Equal(CompactionOutcome.Nothing, Compact(log).Outcome);
        _harness.Time.Advance(TimeSpan.FromMinutes(61));
        Assert.True(log.NeedOfCompaction(long.MaxValue).IsOverdue);
        await UntilAsync(() => ClosedEnd(log) == log.FlushedEnd, "the segment that was written is closed");
        Assert.Equal(log.FlushedEnd, Compact(log).CleanOffset);
    }

    [Fact]
    public async Task Tombstones_go_the_given_time_after_they_were_compacted_first()
    {
        PartitionLog log = _harness.Open();
        await AppendAsync(log, KeyedBatch.Of(("gone", "a value"), ("stays", "another")));
        await AppendAsync(log, KeyedBatch.Of(("gone", null)));
        await FillAsync(log, 60, keys: 2);
        _harness.Time.Advance(TimeSpan.FromDays(30)); // how old it is doesn't count
        Compact(log);
        Assert.Equal(["stays", "gone"], KeyedBatch.Records(log, 0).Take(2).Select(record => record.Key));
        Assert.Equal([1_001L, 1_000L], KeyedBatch.Records(log, 0).Take(2).Select(record => record.Timestamp));
        _harness.Time.Advance(TimeSpan.FromHours(23));
        log = await _harness.ReopenAsync();
        Assert.False(log.NeedOfCompaction(long.MaxValue).IsDue);
        _harness.Time.Advance(TimeSpan.FromHours(2));
        Assert.True(log.NeedOfCompaction(long.MaxValue).IsDue); // without anything new
        Compact(log);
        Assert.DoesNotContain(KeyedBatch.Records(log, 0), record => record.Key == "gone");
        Assert.Contains(KeyedBatch.Records(log, 0), record => record.Key == "stays");
        Assert.False(log.NeedOfCompaction(long.MaxValue).IsDue);
    }

    [Fact]
    public async Task A_horizon_that_a_producer_has_set_is_not_believed()
    {
        PartitionLog log = _harness.Open();
        byte[] batch = KeyedBatch.Of(("gone", null));
        batch[BatchLayout.Attributes + 1] |= (byte)BatchAttributes.DeleteHorizon;
        System.Buffers.Binary.BinaryPrimitives.WriteUInt32BigEndian(
            batch.AsSpan(BatchLayout.Crc), Crc32C.Compute(batch.AsSpan(BatchLayout.Attributes)));
        await AppendAsync(log, batch);
        await FillAsync(log, 60, keys: 2);
        Compact(log);
        Assert.Equal("gone", KeyedBatch.Records(log, 0)[0].Key);
    }

    [Fact]
    public async Task Records_without_a_key_go()
    {
        PartitionLog log = _harness.Open();
        await AppendAsync(log, KeyedBatch.Of((null, "of a time when the topic was not compacted"), ("key", "value")));
        await FillAsync(log, 60, keys: 2);
        Compact(log);
        Assert.Equal("key", KeyedBatch.Records(log, 0)[0].Key);
    }

    [Fact]
    public async Task Producers_are_known_again_from_what_is_left()
    {
        PartitionLog log = _harness.Open();
        await AppendAsync(log, KeyedBatch.Of(new BatchProducer(9, 3, 0), ("k1", "early"), ("k2", "early")));
        for (int i = 0; i < 80; i++)
        {
            await AppendAsync(log, KeyedBatch.Of(new BatchProducer(5, 1, i), ("k1", $"value {i}")));
            await AppendAsync(log, KeyedBatch.Of(("k2", $"value {i}")));
        }
        Compact(log);
        log = await _harness.KillAsync(ForgetSnapshots);
        ProducerSummary nine = log.FindProducer(9)!.Value;
        Assert.Equal((3, 1, 1L), ((int)nine.Epoch, nine.LastSequence, nine.LastOffset));
        Assert.Equal(79, log.FindProducer(5)!.Value.LastSequence);
        Assert.True(log.Append(KeyedBatch.Of(new BatchProducer(9, 3, 0), ("k1", "early"), ("k2", "early"))).IsDuplicate);
        Assert.Equal(AppendError.OutOfOrderSequence, log.Append(KeyedBatch.Of(new BatchProducer(9, 3, 1), ("k1", "late"))).Error);
    }

    [Fact]
    public async Task A_reader_steps_from_one_leader_epoch_to_the_next_where_all_was_taken_out()
    {
        PartitionLog log = _harness.Open();
        for (int epoch = 1; epoch <= 5; epoch++)
        {
            log.BeginLeaderEpoch(epoch);
            for (int i = 0; i < 30; i++)
            {
                await AppendAsync(log, KeyedBatch.Of(("k", $"value {epoch} {i}")), epoch);
            }
        }
        log.BeginLeaderEpoch(9);
        await AppendAsync(log, KeyedBatch.Of(("other", "value")), 9);
        var epochs = Enumerable.Range(1, 9).Select(log.EndOffsetForEpoch).ToList();
        Compact(log);
        Assert.Equal(["k", "other"], KeyedBatch.Records(log, 0).Select(record => record.Key).Distinct());
        log = await _harness.KillAsync(() => _harness.Damage(_harness.PathOf("epochs"), 20, 99));
        Assert.Equal(epochs, Enumerable.Range(1, 9).Select(log.EndOffsetForEpoch));
    }

    [Fact]
    public async Task Damaged_offsets_stay_a_hole_and_what_is_behind_them_is_compacted()
    {
        PartitionLog log = _harness.Open();
        await FillAsync(log, 200, keys: 4);
        long closed = ClosedEnd(log);
        List<KeyedRecord> before = KeyedBatch.Records(log, 0);
        string segment = _harness.PathOf(0.ToString("D20", CultureInfo.InvariantCulture));
        log = await _harness.KillAsync(() => _harness.Damage(segment, _harness.PositionOf(segment, 3) + BatchLayout.HeaderSize, 0xFF, 0xFE));
        Assert.Equal(CompactionOutcome.Nothing, Try(() => Compact(log)).Outcome);
        Assert.Contains(_harness.Events, e => e.Kind == LogEventKind.Hole && e.FromOffset == 3);
        Assert.Equal(CompactionOutcome.Done, Compact(log).Outcome);
        Assert.Equal(Last([.. before.Where(record => record.Offset != 3)], closed), KeyedBatch.Records(log, 0));
        using LogRead read = log.Read(3, 1_000, long.MaxValue);
        Assert.Equal((0, 4L), (read.Size, read.NextOffset));
        log = await _harness.ReopenAsync();
        Assert.Equal(Last([.. before.Where(record => record.Offset != 3)], closed), KeyedBatch.Records(log, 0));
    }

    [Fact]
    public async Task What_can_not_be_decoded_stays_as_it_is()
    {
        PartitionLog log = _harness.Open();
        byte[] batch = KeyedBatch.Of(("k", "value"));
        batch[BatchLayout.Attributes + 1] |= (byte)CompressionCodec.Zstd; // which it is not
        System.Buffers.Binary.BinaryPrimitives.WriteUInt32BigEndian(
            batch.AsSpan(BatchLayout.Crc), Crc32C.Compute(batch.AsSpan(BatchLayout.Attributes)));
        await AppendAsync(log, batch);
        await FillAsync(log, 60, keys: 2);
        Compact(log);
        Assert.Equal(batch[BatchLayout.BaseTimestamp..], KeyedBatch.Batches(log, 0)[0].Bytes[BatchLayout.BaseTimestamp..]);
    }

    private static CompactionResult Try(Func<CompactionResult> compact)
    {
        try
        {
            return compact();
        }
        catch (IOException)
        {
            return default;
        }
    }

    private void ForgetSnapshots()
    {
        foreach (string file in _harness.Files().Where(file => file.StartsWith("producers-", StringComparison.Ordinal)))
        {
            _harness.Storage.Delete(_harness.PathOf(file));
        }
    }

    /// <summary>Once the state of producers is saved behind the last closed segment.</summary>
    private CompactionResult Compact(PartitionLog log)
    {
        long last = LastBase();
        Assert.True(SpinWait.SpinUntil(
            () => Manifest.Load(_harness.Storage, $"{Root}/{log.Name}", out Manifest manifest) == StateStatus.Ok
                && manifest.Snapshots.Any(point => point.Offset >= last), Deadline));
        return _compactor.Compact(log, log.LastStableOffset(log.FlushedEnd), CancellationToken.None);
    }

    private int Segments() => _harness.Files().Count(file => char.IsAsciiDigit(file[0]));

    /// <summary>Where the last closed segment ends.</summary>
    private long ClosedEnd(PartitionLog log)
    {
        CompactionNeed need = log.NeedOfCompaction(long.MaxValue);
        return need.CleanBytes + need.DirtyBytes >= log.BytesBetween(log.StartOffset, log.FlushedEnd) ? log.FlushedEnd : LastBase();
    }

    private long LastBase() =>
        _harness.Files().Where(file => char.IsAsciiDigit(file[0])).Select(file => long.Parse(file, CultureInfo.InvariantCulture)).Max();

    private static List<KeyedRecord> Last(List<KeyedRecord> records, long below)
    {
        HashSet<string> later = [];
        List<KeyedRecord> last = [];
        foreach (KeyedRecord record in Enumerable.Reverse(records))
        {
            if (record.Offset >= below || later.Add(record.Key!))
            {
                last.Insert(0, record);
            }
        }
        return last;
    }

    private static async Task FillAsync(PartitionLog log, int records, int keys)
    {
        for (int i = 0; i < records; i++)
        {
            await AppendAsync(log, KeyedBatch.Of(($"key {i % keys}", $"value {i}")));
        }
    }
}
