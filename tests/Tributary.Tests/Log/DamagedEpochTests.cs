using System.Buffers.Binary;
using Tributary.Contracts.Records;
using Tributary.Log;
using Tributary.Tests.Log.Support;
using Xunit;
using static Tributary.Tests.Log.Support.LogHarness;

namespace Tributary.Tests.Log;

/// <summary>A batch's leader epoch lies outside of its checksum.</summary>
public sealed class DamagedEpochTests : IAsyncDisposable
{
    private const string Segment = "00000000000000000000";
    private readonly LogHarness _harness = new();

    public ValueTask DisposeAsync() => _harness.DisposeAsync();

    [Theory]
    [InlineData(9, 1 << 30)] // the last batch, far above the recovery point
    [InlineData(9, 1)]
    [InlineData(4, 1 << 22)]
    [InlineData(4, -1)]
    [InlineData(0, 7)]
    public async Task An_epoch_that_nobody_can_have_appointed_is_not_believed_and_keeps_nobody_from_appending(long offset, int damaged)
    {
        _harness.Options = _harness.Options with { SegmentBytes = 1 << 20, MaxLeaderEpoch = 0 };
        await FillAsync(10, static _ => 0);
        PartitionLog log = await _harness.KillAsync(() => Stamp(offset, damaged));
        Assert.Equal(0, log.LeaderEpoch);
        Assert.Equal(10, (await AppendAsync(log, Batch())).BaseOffset);
        LogEvent told = Assert.Single(_harness.Events);
        Assert.Equal((LogEventKind.Rebuilt, offset), (told.Kind, told.FromOffset));
        log = await _harness.ReopenAsync();
        AssertEpochs(log, Enumerable.Repeat(0, 11));
    }

    [Theory]
    [InlineData(14, 5)] // above all that follow
    [InlineData(14, 0)] // below those before
    [InlineData(29, 0)]
    [InlineData(29, 9)]
    [InlineData(0, 2)]
    public async Task An_epoch_out_of_order_is_not_believed(long offset, int damaged)
    {
        _harness.Options = _harness.Options with { SegmentBytes = 1 << 20, MaxLeaderEpoch = 6 };
        await FillAsync(30, static i => 1 + (i / 10));
        PartitionLog log = await _harness.KillAsync(() => Stamp(offset, damaged));
        Assert.Equal(3, log.LeaderEpoch);
        Assert.Equal((1, 10L), log.EndOffsetForEpoch(1));
        Assert.Equal((2, 20L), log.EndOffsetForEpoch(2));
        Assert.Equal(30, (await AppendAsync(log, Batch(), leaderEpoch: 3)).BaseOffset);
        log = await _harness.ReopenAsync();
        AssertEpochs(log, Enumerable.Range(0, 31).Select(i => Math.Min(3, 1 + (i / 10))));
    }

    [Fact]
    public async Task Without_the_file_of_epochs_they_follow_from_the_log_but_for_what_is_damaged()
    {
        _harness.Options = _harness.Options with { SegmentBytes = 1 << 20, MaxLeaderEpoch = 3 };
        await FillAsync(30, static i => 1 + (i / 10));
        PartitionLog log = await _harness.KillAsync(() =>
        {
            _harness.Storage.Delete(_harness.PathOf(LeaderEpochs.FileName));
            Stamp(5, 3);
            Stamp(15, 0);
            Stamp(29, 1 << 20);
        });
        Assert.Equal(3, log.LeaderEpoch);
        Assert.Equal((1, 10L), log.EndOffsetForEpoch(1));
        Assert.Equal((2, 20L), log.EndOffsetForEpoch(2));
        AssertEpochs(log, Enumerable.Range(0, 30).Select(i => 1 + (i / 10)));
        Assert.Contains(_harness.Events, told => told is { Kind: LogEventKind.Rebuilt, FromOffset: 5 });
    }

    [Fact]
    public async Task Readers_get_the_right_epoch_of_a_batch_that_says_another_and_it_is_reported_once()
    {
        PartitionLog log = await FillAsync(100, static i => i / 40);
        log = await _harness.ReopenAsync();
        Stamp(3, 77);
        for (int pass = 0; pass < 2; pass++)
        {
            AssertEpochs(log, Enumerable.Range(0, 100).Select(i => i / 40));
        }
        LogEvent told = Assert.Single(_harness.Events);
        Assert.Equal((LogEventKind.Rebuilt, 3L), (told.Kind, told.FromOffset));
        Assert.Contains("77", told.Message);
    }

    [Fact]
    public async Task A_read_ends_where_the_next_epoch_begins()
    {
        PartitionLog log = await FillAsync(100, static i => i / 40);
        log = await _harness.ReopenAsync();
        using LogRead read = log.Read(39, 1 << 20, long.MaxValue);
        Assert.Equal(40, read.NextOffset);
    }

    private async Task<PartitionLog> FillAsync(int batches, Func<int, int> epoch)
    {
        PartitionLog log = _harness.Open();
        for (int i = 0; i < batches; i++)
        {
            await AppendAsync(log, Batch(), epoch(i));
        }
        return log;
    }

    private void Stamp(long offset, int epoch)
    {
        Span<byte> bytes = stackalloc byte[sizeof(int)];
        BinaryPrimitives.WriteInt32BigEndian(bytes, epoch);
        string path = _harness.PathOf(Segment);
        _harness.Damage(path, _harness.PositionOf(path, offset) + BatchLayout.LeaderEpoch, bytes);
    }

    private static void AssertEpochs(PartitionLog log, IEnumerable<int> expected)
    {
        var found = new List<int>();
        for (long at = 0; at < log.FlushedEnd;)
        {
            using LogRead read = log.Read(at, 1 << 20, long.MaxValue);
            found.AddRange(Batches(read).Select(batch => batch.LeaderEpoch));
            at = read.NextOffset;
        }
        Assert.Equal(expected, found);
    }
}
