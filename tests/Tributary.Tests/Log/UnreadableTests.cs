using Tributary.Log;
using Tributary.Tests.Log.Support;
using Xunit;
using static Tributary.Tests.Log.Support.LogHarness;

namespace Tributary.Tests.Log;

/// <summary>Sectors that the disk can't read, and bytes that it gives and that are wrong.</summary>
public sealed class UnreadableTests : IAsyncDisposable
{
    private const int Batches = 200;
    private const int Block = 4096;
    private static readonly string FirstSegment = 0.ToString("D20");
    private readonly UnreadableStorage _storage;
    private readonly LogHarness _harness = new()
    {
        Options = new PartitionLogOptions { SegmentBytes = 16 << 10, IndexIntervalBytes = 256 },
        DirectoryOptions = new LogDirectoryOptions { TailCacheBytes = 0 },
    };

    public UnreadableTests()
    {
        _storage = new UnreadableStorage(_harness.Storage);
        _harness.Wrap = _ => _storage;
    }

    public ValueTask DisposeAsync() => _harness.DisposeAsync();

    [Fact]
    public async Task A_reader_steps_over_a_sector_that_cannot_be_read_and_gets_all_the_rest()
    {
        PartitionLog log = await FillAsync();
        _storage.Spoil(_harness.PathOf(FirstSegment), Block, Block + 1);

        AssertAllButSome(ReadAll(log, 0), log);
        LogEvent hole = Assert.Single(_harness.EventsOf(LogEventKind.Hole));
        Assert.InRange(hole.ToOffset - hole.FromOffset, 1, 2 * Block / Batch(valueSize: 200).Length + 2);
        Assert.Contains("kept in", Assert.Single(_harness.EventsOf(LogEventKind.Quarantined)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Sectors_that_cannot_be_read_do_not_keep_a_partition_from_being_opened_and_used()
    {
        await FillAsync();
        await _harness.Directory.DisposeAsync();
        foreach (string file in _harness.Files().Where(file => file.Length != FirstSegment.Length))
        {
            _storage.Spoil(_harness.PathOf(file), 0, 1); // manifest and indexes
        }
        _storage.Spoil(_harness.PathOf(FirstSegment), Block, Block + 1);
        PartitionLog log = _harness.Open();

        Assert.Equal(Batches, log.FlushedEnd);
        Assert.Equal(Batches, (await AppendAsync(log, Batch())).BaseOffset);
        List<long> offsets = ReadAll(log, 0);
        Assert.InRange(offsets.Count, Batches / 2, Batches);
        Assert.Equal(Batches, offsets[^1]);
        Assert.NotEmpty(_harness.EventsOf(LogEventKind.Hole));
    }

    [Fact]
    public async Task A_segment_of_which_nothing_can_be_read_is_a_disk_that_is_away_and_no_hole()
    {
        await FillAsync();
        await _harness.Directory.DisposeAsync();
        string last = _harness.Files().Where(file => file.Length == FirstSegment.Length).Max()!;
        _storage.Spoil(_harness.PathOf(last));
        _storage.Spoil(_harness.PathOf(LogFiles.Manifest), 0, 1);
        Assert.Contains("nothing can be read", Assert.Throws<IOException>(() => _harness.Open()).Message, StringComparison.Ordinal);
        await _harness.Directory.DisposeAsync();

        _storage.Heal();
        PartitionLog log = _harness.Open();
        Assert.Equal(Batches, log.FlushedEnd);
        Assert.Equal(Batches, ReadAll(log, 0).Count);
    }

    [Fact]
    public async Task Damage_that_a_reader_reports_becomes_a_hole_if_it_is_on_disk_and_nothing_if_not()
    {
        PartitionLog log = await FillAsync();
        log.ReportDamage(7);
        log.ReportDamage(log.FlushedEnd + 1);
        Assert.Empty(_harness.Events);

        string path = _harness.PathOf(FirstSegment);
        _harness.Damage(path, _harness.PositionOf(path, 7) + 100, 0xFF); // in the value: a read alone does not see it
        log.ReportDamage(7);
        Assert.Equal((7L, 8L), (Assert.Single(_harness.EventsOf(LogEventKind.Hole)).FromOffset, _harness.Events[^1].ToOffset));
        Assert.Equal(Enumerable.Range(0, Batches).Select(i => (long)i).Where(i => i != 7), ReadAll(log, 0));
    }

    private async Task<PartitionLog> FillAsync()
    {
        PartitionLog log = _harness.Open();
        for (int i = 0; i < Batches; i++)
        {
            await AppendAsync(log, Batch(valueSize: 200));
        }
        return log;
    }

    private static void AssertAllButSome(List<long> offsets, PartitionLog log)
    {
        Assert.InRange(offsets.Count, Batches - (2 * Block / 256) - 2, Batches - 1);
        Assert.Equal(0, offsets[0]);
        Assert.Equal(log.FlushedEnd - 1, offsets[^1]);
        Assert.Equal(offsets.Distinct().Order(), offsets);
    }
}
