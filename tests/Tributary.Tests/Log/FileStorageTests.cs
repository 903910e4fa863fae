using Tributary.Log;
using Tributary.Log.Storage;
using Tributary.Tests.Log.Support;
using Xunit;
using static Tributary.Tests.Log.Support.LogHarness;

namespace Tributary.Tests.Log;

/// <summary>The log on the real file system.</summary>
public sealed class FileStorageTests : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("tributary-log-").FullName;
    private readonly LogHarness _harness = new();

    public void Dispose() => Directory.Delete(_root, recursive: true);

    [Fact]
    public async Task Records_outlive_the_process_and_trimmed_segments_are_used_again()
    {
        var options = new PartitionLogOptions { SegmentBytes = 32 << 10 };
        for (int start = 0; start < 3; start++)
        {
            await using LogDirectory directory = Open();
            Assert.Throws<LogException>(Open);
            PartitionLog log = directory.OpenPartition("p-0", options);
            Assert.Equal(500 * start, log.FlushedEnd);
            for (int i = 0; i < 500; i++)
            {
                await AppendAsync(log, Batch(records: 1, valueSize: 400));
            }
            Assert.Equal(500 * (start + 1), log.FlushedEnd);
            Assert.Equal(log.FlushedEnd - log.StartOffset, ReadAll(log, log.StartOffset).Count);
            log.AdvanceStart(log.FlushedEnd - 10);
            await UntilAsync(() => BytesOnDisk() < 5 * options.SegmentBytes, "space is given back");
            Assert.InRange(log.SizeBytes, 1, 5 * options.SegmentBytes);
        }
        Assert.NotEmpty(Directory.GetFiles($"{_root}/data/p-0", "spare-*"));
        Assert.Empty(_harness.Events);
    }

    [Fact]
    public async Task An_idle_partition_takes_kilobytes()
    {
        await using LogDirectory directory = Open();
        PartitionLog log = directory.OpenPartition("p-0", new PartitionLogOptions());
        await AppendAsync(log, Batch());
        Assert.InRange(log.SizeBytes, 1, 20 << 10);
        Assert.InRange(BytesOnDisk(), 1, 20 << 10);
    }

    private long BytesOnDisk() =>
        Directory.GetFiles($"{_root}/data/p-0").Sum(static file => new FileInfo(file) is { Exists: true } found ? found.Length : 0);

    private LogDirectory Open() =>
        LogDirectory.Open(new FileStorage(), $"{_root}/data", new LogDirectoryOptions(), TimeProvider.System, _harness);
}
