namespace Tributary.Log.Compaction;

/// <summary>
/// Finishes what a process that was killed has begun: to put a compacted segment in the place of those that it was made of. May be killed
/// and begun again.
/// </summary>
internal static class SwapRecovery
{
    /// <summary>
    /// A compacted segment was to take the place of others, and everything of it was durable before the manifest said so: whatever was not
    /// done of it, or is not durable, is done now.
    /// </summary>
    public static void Finish(PartitionFiles files, SegmentSwap swap, IReadOnlyList<string> names)
    {
        string compacted = LogFiles.Compacted(swap.BaseOffset);
        string compactedIndex = LogFiles.CompactedIndex(swap.BaseOffset);
        string index = $"{files.Directory}/{LogFiles.Index(swap.BaseOffset)}";
        if (names.Contains(compactedIndex))
        {
            files.Storage.Rename($"{files.Directory}/{compactedIndex}", index);
        }
        else if (names.Contains(compacted))
        {
            files.Storage.Delete(index); // it may be the one of before
        }
        if (names.Contains(compacted))
        {
            files.Storage.Rename($"{files.Directory}/{compacted}", $"{files.Directory}/{LogFiles.Segment(swap.BaseOffset)}");
        }
        foreach (string file in names)
        {
            if (LogFiles.IsSegment(file, out long baseOffset) && baseOffset > swap.BaseOffset && baseOffset < swap.EndOffset)
            {
                files.Discard(new LogSegment(files.Directory, baseOffset), recycle: false);
            }
        }
        files.Sync();
    }
}
