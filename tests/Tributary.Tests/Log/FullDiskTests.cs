using Tributary.Log;
using Tributary.Tests.Log.Support;
using Xunit;
using static Tributary.Tests.Log.Support.LogHarness;

namespace Tributary.Tests.Log;

/// <summary>A disk that others have filled to its last byte.</summary>
public sealed class FullDiskTests : IAsyncDisposable
{
    private readonly SmallStorage _storage;
    private readonly LogHarness _harness = new()
    {
        Options = new PartitionLogOptions { SegmentBytes = 16 << 10 },
        DirectoryOptions = new LogDirectoryOptions { ReserveBytes = 16 << 10 },
    };

    public FullDiskTests()
    {
        _storage = new SmallStorage(_harness.Storage);
        _harness.Wrap = _ => _storage;
    }

    public ValueTask DisposeAsync() => _harness.DisposeAsync();

    [Fact]
    public async Task What_was_trimmed_gives_its_space_back_although_there_is_none_to_save_that()
    {
        PartitionLog log = await FillAsync();
        long before = _storage.Used;
        _storage.Capacity = before;
        log.AdvanceStart(150);
        await UntilAsync(() => _storage.Used < before - (32 << 10), "space is given back");

        Assert.True(_harness.Storage.Exists($"{Root}/reserve"), "the reserve is taken again");
        Assert.Empty(_harness.EventsOf(LogEventKind.SaveFailed));
        Assert.Equal(200, (await AppendAsync(log, Batch(valueSize: 900))).BaseOffset);
        log = await _harness.ReopenAsync();
        Assert.InRange(log.StartOffset, 150, 200);
        Assert.Equal(201, log.FlushedEnd);
    }

    [Fact]
    public async Task A_full_disk_without_the_reserve_is_tried_again_when_there_is_room()
    {
        PartitionLog log = await FillAsync();
        int tries = 0;
        Assert.Throws<IOException>(() => _harness.Directory.Save(() => throw new IOException($"no space {++tries}", 28)));
        Assert.Equal(2, tries); // the reserve is gone
        _storage.Capacity = _storage.Used;
        log.AdvanceStart(150);
        await UntilAsync(() => _harness.EventsOf(LogEventKind.SaveFailed).Any(), "the failure is reported");

        _storage.Capacity = long.MaxValue;
        await AppendAsync(log, Batch());
        await UntilAsync(() => log.SizeBytes < 100 << 10, "space is given back");
    }

    private async Task<PartitionLog> FillAsync()
    {
        PartitionLog log = _harness.Open();
        for (int i = 0; i < 200; i++)
        {
            await AppendAsync(log, Batch(valueSize: 900));
        }
        return log;
    }
}
