using Tributary.Contracts.Records;
using Tributary.Log.Storage;

namespace Tributary.Log;

/// <summary>
/// Visits the durable batches of a log in order, to make state anew that follows from them. Steps over what can't be read. Opens the
/// files for itself; nothing may be removed meanwhile.
/// </summary>
internal static class LogReplay
{
    public delegate void Visitor(RecordBatch batch);

    /// <param name="files">The partition's files.</param>
    /// <param name="segments">Its segments, in order.</param>
    /// <param name="from">Where to begin: the start of a batch.</param>
    /// <param name="visit">Called with each batch that ends above <paramref name="from"/>.</param>
    public static void Run(PartitionFiles files, IEnumerable<LogSegment> segments, long from, Visitor visit)
    {
        foreach (LogSegment segment in segments)
        {
            if (segment.EndOffset > from && segment.EndOffset > segment.BaseOffset)
            {
                Run(files, segment, from, visit);
            }
        }
    }

    private static void Run(PartitionFiles files, LogSegment segment, long from, Visitor visit)
    {
        SegmentIndex? index = segment.Index;
        if (index is null && segment.BaseOffset < from
            && SegmentIndex.Load(files.Storage, files.Directory, segment.BaseOffset, out SegmentIndex saved, out SegmentInfo info) == StateStatus.Ok
            && (info.EndOffset, info.EndPosition) == (segment.EndOffset, segment.EndPosition))
        {
            index = saved;
        }
        IndexEntry entry = index?.Find(from, segment.BaseOffset) ?? new IndexEntry(segment.BaseOffset, 0, long.MinValue);
        (long offset, int position) = (entry.Offset, entry.Position);
        using IStorageFile file = files.Open(segment);
        using var reader = new BatchFileReader(file, segment.EndPosition);
        while (offset < segment.EndOffset)
        {
            if (!reader.TryReadWhole(position, offset, out RecordBatch batch))
            {
                position = reader.FindNext(position + 1, segment.EndPosition, offset, segment.EndOffset - 1, out offset);
                if (position < 0)
                {
                    return;
                }
                continue;
            }
            if (batch.NextOffset > from)
            {
                visit(batch);
            }
            offset = batch.NextOffset;
            position += batch.Size;
        }
    }
}
