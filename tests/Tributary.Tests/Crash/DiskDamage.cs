using Tributary.Log;
using Tributary.Log.Storage;
using Tributary.Tests.Log.Support;

namespace Tributary.Tests.Crash;

/// <summary>What goes bad on a disk whose process does not run: only in places that were durable, since all else may go anyway.</summary>
internal sealed class DiskDamage(MemoryStorage disk, string directory, Manifest manifest, PartitionModel model, Random random)
{
    /// <returns>What was done, null if there was nothing to damage.</returns>
    public string? Inflict()
    {
        List<ModelBatch> below = model.Batches.FindAll(
            batch => batch.NextOffset > manifest.StartOffset && batch.NextOffset <= manifest.RecoveryOffset);
        long[] segments = [.. disk.List(directory).Where(name => LogFiles.IsSegment(name, out _)).Select(long.Parse).Order()];
        if (below.Count == 0 || segments.Length == 0 || manifest.RecoveryOffset > model.Acked)
        {
            return null;
        }
        if (segments[^1] < manifest.RecoveryOffset && model.End == manifest.RecoveryOffset && random.Next(2) == 0)
        {
            model.Damaged.UnionWith(below.Where(batch => batch.BaseOffset >= segments[^1]).Select(batch => batch.BaseOffset));
            disk.Delete($"{directory}/{LogFiles.Segment(segments[^1])}");
            disk.SyncDirectory(directory);
            return $"loses the segment {segments[^1]}";
        }
        return random.Next(4) == 0 ? FlipIndex() : FlipBatch(segments, below[random.Next(below.Count)]);
    }

    private string? FlipIndex()
    {
        string[] indexes = [.. disk.List(directory).Where(name => LogFiles.IsIndex(name, out _)).Order(StringComparer.Ordinal)];
        if (indexes.Length == 0)
        {
            return null;
        }
        string name = indexes[random.Next(indexes.Length)];
        using IStorageFile file = disk.Open($"{directory}/{name}", create: false);
        Flip(file, random.NextInt64(file.Length));
        model.IsStateDamaged = true;
        return $"flips a bit of {name}";
    }

    private string? FlipBatch(long[] segments, ModelBatch batch)
    {
        int at = Array.FindLastIndex(segments, baseOffset => baseOffset <= batch.BaseOffset);
        if (at < 0)
        {
            return null;
        }
        using IStorageFile file = disk.Open($"{directory}/{LogFiles.Segment(segments[at])}", create: false);
        byte[] bytes = new byte[file.Length];
        file.Read(0, bytes);
        int position = bytes.AsSpan().IndexOf(batch.Bytes);
        if (position < 0)
        {
            return null;
        }
        Flip(file, position + random.Next(batch.Bytes.Length));
        model.Damaged.Add(batch.BaseOffset);
        return $"flips a bit at {batch.BaseOffset}";
    }

    private void Flip(IStorageFile file, long position)
    {
        Span<byte> one = stackalloc byte[1];
        file.Read(position, one);
        one[0] ^= (byte)(1 << random.Next(8));
        file.Write(position, one);
        file.Flush();
    }
}
