using Microsoft.Extensions.Time.Testing;
using Tributary.Contracts.Records;
using Tributary.Log;
using Tributary.Log.Compaction;
using Tributary.Log.Storage;
using Tributary.Tests.Edge.Mqtt.Support;
using Tributary.Tests.Log.Support;
using Xunit;
using static Tributary.Tests.Log.Support.LogHarness;

namespace Tributary.Tests.Log.Compaction;

/// <summary>
/// What a round of compaction may allocate, however many records it is about. On files: those in memory grow by what is written. Alone:
/// what others allocate has the pools of all give their buffers up.
/// </summary>
[Collection(AloneCollection.Name)]
public sealed class CompactionAllocationTests : IDisposable
{
    private const int FewBatches = 20;
    private const int ManyBatches = 2_000;
    private const int RecordsInBatch = 10;

    /// <summary>The least of some counts: a pooled buffer may be with another thread.</summary>
    private const int Rounds = 5;

    /// <summary>Less than a byte for each of the records by which the rounds differ.</summary>
    private const int Budget = 16 << 10;

    private readonly string _root = Directory.CreateTempSubdirectory("tributary-compaction-").FullName;
    private readonly LogHarness _events = new();
    private readonly FakeTimeProvider _time = new(new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero));

    public void Dispose() => Directory.Delete(_root, recursive: true);

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_round_allocates_for_its_segments_and_not_for_its_records(bool isTransactional)
    {
        var compactor = new LogCompactor(new LogCompactorOptions(), _time);
        await using LogDirectory directory = LogDirectory.Open(
            new FileStorage(), Path.Combine(_root, "data"), new LogDirectoryOptions { TailCacheBytes = 0 }, _time, _events);
        await MeasureAsync("warm-0", ManyBatches); // the map of keys, buffers, code
        (long few, long many) = (long.MaxValue, long.MaxValue);
        for (int round = 0; round < Rounds && (round == 0 || many - few > Budget); round++)
        {
            few = Math.Min(few, await MeasureAsync($"few{round}-0", FewBatches));
            many = Math.Min(many, await MeasureAsync($"many{round}-0", ManyBatches));
        }
        Assert.InRange(many - few, long.MinValue, Budget);

        async Task<long> MeasureAsync(string name, int batches)
        {
            PartitionLog log = directory.OpenPartition(name, new PartitionLogOptions
            {
                SegmentBytes = 8 << 20,
                IndexIntervalBytes = 8 << 20,
                Compaction = new CompactionPolicy { DirtyRatio = 0, MaxLag = TimeSpan.FromMinutes(1) },
            });
            for (int i = 0; i < batches; i++)
            {
                Assert.Equal(AppendError.None, log.Append(Batch(i, isTransactional)).Error);
            }
            if (isTransactional)
            {
                log.AppendMarker(new TransactionMarker(7, 0, IsCommit: true, CoordinatorEpoch: 1), 0);
            }
            await UntilAsync(() => log.FlushedEnd == log.AppendedEnd, "all is flushed");
            _time.Advance(TimeSpan.FromMinutes(2));
            await UntilAsync(() => log.NeedOfCompaction(log.FlushedEnd).IsDue, "the segment is closed");
            long before = GC.GetAllocatedBytesForCurrentThread();
            CompactionResult result = compactor.Compact(log, log.FlushedEnd, CancellationToken.None);
            long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            Assert.Equal((CompactionOutcome.Done, log.FlushedEnd), (result.Outcome, result.CleanOffset));
            Assert.True(result.RemovedRecords > (batches - 10) * RecordsInBatch / 2);
            return allocated;
        }
    }

    /// <summary>Some of its records are the last of their keys, so it is written anew, and there are batches of which nothing stays.</summary>
    private static byte[] Batch(int i, bool isTransactional)
    {
        (string?, string?)[] records =
        [
            .. Enumerable.Range(0, RecordsInBatch).Select(n => ((string?)(n < 4 && i % 3 > 0 ? $"only {i} {n}" : $"key {n}"), (string?)"value")),
        ];
        BatchProducer producer = isTransactional ? new BatchProducer(7, 0, i * RecordsInBatch) : BatchProducer.None;
        return KeyedBatch.Of(records, producer, CompressionCodec.None, isTransactional, 1_000);
    }
}
