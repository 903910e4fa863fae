using Tributary.Contracts.Records;
using Tributary.Log;
using Tributary.Log.Storage;
using Xunit;
using static Tributary.Tests.Log.Support.LogHarness;

namespace Tributary.Tests.Log.Support;

/// <summary>Provokes each thing that can befall a log, whoever holds the log, to see where it is told.</summary>
/// <param name="open">Opens what holds the log <c>p-0</c> in a directory <c>data</c>, with segments of <see cref="SegmentBytes"/>.</param>
/// <param name="log">Its log.</param>
internal sealed class Mishap<T>(Func<IStorage, T> open, Func<T, PartitionLog> log)
    where T : IAsyncDisposable
{
    public const int SegmentBytes = 64 << 10;
    private const string Directory = "data/p-0";
    private const string Segment = "00000000000000000000";
    private const int Batches = 10;
    private readonly MemoryStorage _disk = new();

    /// <returns>What holds the log that told of it, open.</returns>
    public async Task<T> ProvokeAsync(LogEventKind kind)
    {
        var storage = new FaultyStorage(_disk);
        T holder = open(storage);
        PartitionLog opened = log(holder);
        for (int i = 0; i < Batches; i++)
        {
            await AppendAsync(opened, Batch());
        }
        switch (kind)
        {
            case LogEventKind.TailCut:
                return await AfterKillAsync(holder, storage, disk => Damage(disk, Segment, Batches - 1));
            case LogEventKind.Quarantined or LogEventKind.Hole:
                holder = await AfterEndAsync(holder, disk => Damage(disk, Segment, 4));
                log(holder).ReportDamage(4);
                return holder;
            case LogEventKind.SegmentSealed:
                await FailFlushesAsync(storage, opened, 1);
                return holder;
            case LogEventKind.Offline:
                await FailFlushesAsync(storage, opened, 3);
                return holder;
            case LogEventKind.Rebuilt:
                return await AfterEndAsync(holder, static disk => Overwrite(disk, LogFiles.Manifest, 20));
            case LogEventKind.SaveFailed:
                await FillSegmentAsync(opened);
                storage.Fail(FaultPoint.StateFlush);
                opened.AdvanceStart(opened.FlushedEnd);
                return holder;
            case LogEventKind.Expired:
                await FillSegmentAsync(opened);
                opened.ApplyRetention();
                return holder;
            default:
                throw new ArgumentOutOfRangeException(nameof(kind), $"nothing provokes {kind}");
        }
    }

    private async Task<T> AfterEndAsync(T holder, Action<MemoryStorage> damage)
    {
        await holder.DisposeAsync();
        damage(_disk);
        return open(_disk);
    }

    private async Task<T> AfterKillAsync(T holder, FaultyStorage storage, Action<MemoryStorage> damage)
    {
        storage.CrashNow(PowerCut.LosesNothing);
        await holder.DisposeAsync();
        damage(storage.Left!);
        return open(storage.Left!);
    }

    private static void Damage(MemoryStorage disk, string segment, int batch) =>
        Overwrite(disk, segment, (batch * Batch().Length) + BatchLayout.HeaderSize + 1);

    private static void Overwrite(MemoryStorage disk, string name, long position)
    {
        using IStorageFile file = disk.Open($"{Directory}/{name}", create: false);
        file.Write(position, [0xEE, 0xEE]);
        file.Flush();
    }

    private static async Task FailFlushesAsync(FaultyStorage storage, PartitionLog log, int times)
    {
        for (int i = 0; i < times; i++)
        {
            storage.Fail(FaultPoint.SegmentFlush);
            AppendResult lost = log.Append(Batch());
            Assert.Equal(AppendError.None, lost.Error);
            await Assert.ThrowsAsync<LogException>(async () => await log.WaitFlushedAsync(lost).AsTask().WaitAsync(Deadline));
        }
    }

    private static async Task FillSegmentAsync(PartitionLog log)
    {
        for (int i = 0; i < 3; i++)
        {
            await AppendAsync(log, Batch(valueSize: SegmentBytes / 2));
        }
    }
}
