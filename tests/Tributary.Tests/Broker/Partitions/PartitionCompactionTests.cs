using System.Collections.Immutable;
using Tributary.Broker;
using Tributary.Broker.Metadata;
using Tributary.Broker.Partitions;
using Tributary.Log;
using Tributary.Log.Compaction;
using Tributary.Log.Storage;
using Tributary.Tests.Broker.Support;
using Tributary.Tests.Log.Support;
using Tributary.Tests.Support;
using Xunit;
using static Tributary.Tests.Log.Support.LogHarness;

namespace Tributary.Tests.Broker.Partitions;

/// <summary>Which partition is compacted when, at what rate, and what becomes of one that fails.</summary>
public sealed class PartitionCompactionTests : IAsyncDisposable
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(10);
    private readonly RecordingLogger _logger = new();
    private readonly List<PartitionCompaction> _running = [];
    private readonly RefusingStorage _storage;
    private readonly LogHarness _harness;
    private volatile Partition[] _partitions = [];

    public PartitionCompactionTests()
    {
        _harness = new LogHarness { Wrap = _ => _storage!, DirectoryOptions = new LogDirectoryOptions { TailCacheBytes = 0 } };
        _storage = new RefusingStorage(_harness.Storage);
        _harness.Open("unused");
    }

    public async ValueTask DisposeAsync()
    {
        foreach (PartitionCompaction compaction in _running)
        {
            await compaction.DisposeAsync();
        }
        await _harness.DisposeAsync();
    }

    [Fact]
    public async Task What_is_overdue_comes_first_and_then_the_dirtiest()
    {
        Partition[] partitions =
        [
            await MakeAsync("little", cleanBatches: 200, dirtyBatches: 60), await MakeAsync("much", cleanBatches: 40, dirtyBatches: 200),
            await MakeAsync("overdue", cleanBatches: 200, dirtyBatches: 40, ("max.compaction.lag.ms", "1000")),
            await MakeAsync("enough", cleanBatches: 200, dirtyBatches: 40, ("min.cleanable.dirty.ratio", "0.9")),
            await MakeAsync("other", cleanBatches: 0, dirtyBatches: 0, ("cleanup.policy", "delete")),
        ];
        _harness.Time.Advance(TimeSpan.FromSeconds(2));
        PartitionCompaction compaction = Start();
        Assert.Empty(Compacted);
        _partitions = partitions;
        await PassAsync(() => compaction.Rounds >= 3);
        await PassAsync(Interval * 3);
        Assert.Equal(["overdue-0", "much-0", "little-0"], Compacted.Take(3));
        Assert.All(Compacted.Skip(3), name => Assert.Equal("overdue-0", name)); // whose last segment is closed by its age
        Assert.InRange(compaction.DirtyRatio, 0.01, 0.9); // that of the one whose ratio isn't reached
    }

    [Fact]
    public async Task One_that_fails_is_left_alone_for_a_while_and_the_others_go_on()
    {
        Partition good = await MakeAsync("good", cleanBatches: 0, dirtyBatches: 100);
        Partition bad = await MakeAsync("bad", cleanBatches: 0, dirtyBatches: 200);
        _storage.Refused = "/bad-0/";
        TimeSpan retry = Interval * 10;
        _partitions = [bad, good];
        PartitionCompaction compaction = Start(new BrokerOptions { CompactionRetry = retry });
        await PassAsync(() => compaction is { Rounds: 1, Failures: 1 });
        await PassAsync(retry / 2);
        Assert.Equal(1, compaction.Failures);
        await PassAsync(() => compaction.Failures == 2);
        _storage.Refused = null;
        await PassAsync(() => compaction.Rounds == 2);
        Assert.Equal(["good-0", "bad-0"], Compacted);
        Assert.Equal(2, compaction.Failures);
        Assert.Equal(0, compaction.SetAside);
    }

    [Fact]
    public async Task One_that_failed_is_forgotten_with_its_topic()
    {
        Partition gone = await MakeAsync("t", cleanBatches: 0, dirtyBatches: 100);
        _storage.Refused = "/t-0/";
        _partitions = [gone];
        PartitionCompaction compaction = Start(new BrokerOptions { CompactionRetry = TimeSpan.FromDays(1) });
        await PassAsync(() => compaction.SetAside == 1);
        Assert.Equal(1, compaction.Failures);
        _partitions = [];
        await PassAsync(() => compaction.SetAside == 0);
        _storage.Refused = null;
        _harness.Directory.DeletePartition("t-0");
        _partitions = [await MakeAsync("t", cleanBatches: 0, dirtyBatches: 100)]; // a topic of the same name
        await PassAsync(() => compaction.Rounds == 1);
    }

    [Fact]
    public async Task It_reads_and_writes_no_more_in_a_time_than_it_may()
    {
        const int BytesPerSecond = 10_000;
        _partitions = [await MakeAsync("t", cleanBatches: 0, dirtyBatches: 3_000, segmentBytes: 64 << 10)];
        DateTimeOffset began = _harness.Time.GetUtcNow();
        PartitionCompaction compaction = Start(new BrokerOptions { CompactionBytesPerSecond = BytesPerSecond });
        await PassAsync(() => compaction.Rounds == 1);
        long bytes = compaction.BytesRead + compaction.BytesWritten;
        Assert.True(bytes > 20 * BytesPerSecond);
        // It looks at the clock after each 64 KiB.
        Assert.InRange((_harness.Time.GetUtcNow() - began).TotalSeconds, ((bytes - (64 << 10)) / BytesPerSecond) - 1, double.MaxValue);
    }

    [Fact]
    public async Task It_ends_though_it_waits_for_its_rate()
    {
        _partitions = [await MakeAsync("t", cleanBatches: 0, dirtyBatches: 2_000, segmentBytes: 64 << 10)];
        PartitionCompaction compaction = Start(new BrokerOptions { CompactionBytesPerSecond = 1 });
        await UntilAsync(() => compaction.BytesRead > 64 << 10, "it has read as much as it may for long");
        await compaction.DisposeAsync();
        Assert.Equal((0, 0), (compaction.Rounds, compaction.Failures));
    }

    private string[] Compacted =>
    [
        .. _logger.Lines.Where(line => line.Text.Contains("compacted up to", StringComparison.Ordinal)).Select(line => line.Text.Split(' ')[1]),
    ];

    private PartitionCompaction Start(BrokerOptions? options = null)
    {
        var compaction = new PartitionCompaction(
            () => _partitions, (options ?? new BrokerOptions()) with { CompactionInterval = Interval }, _harness.Time, _logger);
        _running.Add(compaction);
        return compaction;
    }

    /// <summary>Lets time pass until something has come true.</summary>
    private Task PassAsync(Func<bool> condition) => UntilAsync(
        () =>
        {
            _harness.Time.Advance(TimeSpan.FromMilliseconds(100));
            return condition();
        },
        "what is waited for");

    private async Task PassAsync(TimeSpan time)
    {
        DateTimeOffset end = _harness.Time.GetUtcNow() + time;
        await PassAsync(() => _harness.Time.GetUtcNow() >= end);
    }

    /// <summary>A partition of which some is compacted already, if it is to be, and the rest, in closed segments, isn't.</summary>
    private async Task<Partition> MakeAsync(
        string topic, int cleanBatches, int dirtyBatches, (string Name, string Value)? config = null, int segmentBytes = 2048)
    {
        var set = new Dictionary<string, string> { ["cleanup.policy"] = "compact", ["min.cleanable.dirty.ratio"] = "0" };
        if (config is { } asked)
        {
            set[asked.Name] = asked.Value;
        }
        var settings = TopicSettings.From(set);
        PartitionLogOptions options = settings.ToLogOptions(TimeSpan.FromDays(1)) with
        {
            SegmentBytes = segmentBytes,
            RecoveryStepBytes = 1,
            RecoveryStepTime = TimeSpan.Zero,
        };
        PartitionLog log = _harness.Directory.OpenPartition($"{topic}-0", options);
        ImmutableArray<int> nodes = [1];
        var partition = new Partition(topic, Guid.NewGuid(), log, settings, new PartitionAssignment(0, 1, 0, nodes, nodes), 1);
        if (cleanBatches > 0)
        {
            await FillAsync(log, cleanBatches, i => $"only {i}");
            CompactOnce(log);
        }
        if (settings.Compact)
        {
            await FillAsync(log, dirtyBatches, i => $"key {i % 3}");
        }
        return partition;
    }

    private static void CompactOnce(PartitionLog log)
    {
        var compactor = new LogCompactor(new LogCompactorOptions(), TimeProvider.System);
        Assert.Equal(
            CompactionOutcome.Done, compactor.Compact(log, log.FlushedEnd, CancellationToken.None).Outcome);
    }

    /// <summary>Appends records and waits until all but the last segment can be compacted.</summary>
    private static async Task FillAsync(PartitionLog log, int batches, Func<int, string> keyOf)
    {
        long bytes = log.BytesBetween(0, log.FlushedEnd);
        for (int i = 0; i < batches; i++)
        {
            await AppendAsync(log, KeyedBatch.Of((keyOf(i), $"value {i}")));
        }
        await UntilAsync(
            () =>
            {
                CompactionNeed need = log.NeedOfCompaction(log.FlushedEnd);
                return need.CleanBytes + need.DirtyBytes > bytes;
            },
            "closed segments can be compacted");
    }

    /// <summary>Makes no compacted segment where it is told so.</summary>
    private sealed class RefusingStorage(IStorage inner) : IStorage
    {
        public volatile string? Refused;

        public IStorageFile Open(string path, bool create) =>
            create && Refused is { } refused && path.Contains(refused, StringComparison.Ordinal)
                ? throw new IOException($"no file is made at '{path}'")
                : inner.Open(path, create);

        public bool Exists(string path) => inner.Exists(path);

        public IReadOnlyList<string> List(string directory) => inner.List(directory);

        public void CreateDirectory(string path) => inner.CreateDirectory(path);

        public void Rename(string from, string to) => inner.Rename(from, to);

        public void Delete(string path) => inner.Delete(path);

        public void DeleteDirectory(string path) => inner.DeleteDirectory(path);

        public void SyncDirectory(string path) => inner.SyncDirectory(path);

        public long FreeBytes(string path) => inner.FreeBytes(path);

        public IDisposable? TryLock(string path) => inner.TryLock(path);
    }
}
