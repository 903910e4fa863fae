using Tributary.Contracts.Records;
using Tributary.Log;
using Tributary.Log.Storage;
using Tributary.Tests.Log.Support;

namespace Tributary.Tests.Crash;

/// <summary>
/// Bugs of recovery, planted without touching it: before a partition is opened, its files are made what a recovery with the bug would take
/// them for.
/// </summary>
internal static class PlantedRecovery
{
    public static void Apply(PlantedBug bug, MemoryStorage disk, string directory)
    {
        if (bug is not (PlantedBug.TakesStaleBatches or PlantedBug.CutsAtRecoveryPoint or PlantedBug.ReusesOffsets)
            || !disk.Exists(directory) || Manifest.Load(disk, directory, out Manifest manifest) != StateStatus.Ok)
        {
            return;
        }
        if (bug == PlantedBug.ReusesOffsets)
        {
            (manifest with { Snapshots = [], IsClean = false }).Save(disk, directory);
            return;
        }
        if (manifest.IsClean || disk.List(directory).Where(name => LogFiles.IsSegment(name, out _)).Order().LastOrDefault() is not { } last)
        {
            return;
        }
        using IStorageFile file = disk.Open($"{directory}/{last}", create: false);
        if (bug == PlantedBug.TakesStaleBatches)
        {
            Renumber(file, long.Parse(last));
        }
        else
        {
            Cut(file, long.Parse(last), manifest.RecoveryOffset);
        }
        file.Flush();
    }

    private static void Renumber(IStorageFile file, long offset)
    {
        byte[] bytes = new byte[file.Length];
        file.Read(0, bytes);
        for (int at = 0; RecordBatch.TryRead(bytes.AsSpan(at), out RecordBatch batch) == BatchStatus.Ok && batch.IsCrcValid();)
        {
            if (batch.BaseOffset < offset)
            {
                RecordBatch.Stamp(bytes.AsSpan(at, batch.Size), offset, batch.LeaderEpoch);
                file.Write(at, bytes.AsSpan(at, batch.Size));
            }
            offset += batch.LastOffsetDelta + 1;
            at += batch.Size;
        }
    }

    private static void Cut(IStorageFile file, long offset, long end)
    {
        byte[] bytes = new byte[file.Length];
        file.Read(0, bytes);
        int at = 0;
        while (offset < end && RecordBatch.TryRead(bytes.AsSpan(at), out RecordBatch batch) == BatchStatus.Ok && batch.BaseOffset == offset)
        {
            offset = batch.NextOffset;
            at += batch.Size;
        }
        file.SetLength(at);
    }
}
