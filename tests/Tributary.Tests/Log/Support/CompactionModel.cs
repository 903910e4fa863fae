using Tributary.Contracts.Records;
using Tributary.Log;

namespace Tributary.Tests.Log.Support;

/// <summary>A batch that was appended to a log that is compacted.</summary>
internal sealed record AppendedBatch(
    long BaseOffset, long NextOffset, byte[] Bytes, List<KeyedRecord> Records, BatchProducer Producer, bool IsTransactional, ControlBatch? Marker);

/// <summary>
/// What a log that is compacted must hold: everything that was acknowledged, except what compaction may take out. Compared with what a
/// reader sees.
/// </summary>
internal sealed class CompactionModel : ILogListener
{
    private const int RememberedBatches = 5;

    // When tombstones were compacted first, by offset.
    private readonly Dictionary<long, long> _firstCompactedMs = [];

    public List<AppendedBatch> Batches { get; private set; } = [];

    public long End => Batches.Count == 0 ? 0 : Batches[^1].NextOffset;

    public long Acked { get; private set; }

    public long AskedStart { get; set; }

    /// <summary>Below it compaction may have been at work.</summary>
    public long TouchedEnd { get; set; }

    public void OnFlushed(PartitionLog log, long flushedEnd) => Acked = flushedEnd;

    /// <summary>Writes fail with the power only, and what was written then may be there; truncations are known of.</summary>
    public void OnFailed(PartitionLog log, long fromOffset, Exception reason)
    {
    }

    /// <summary>The log is asked to end at an offset, and may or may not have done so yet.</summary>
    public void BeginTruncation(long end) => Acked = Math.Min(Acked, end);

    public void EndTruncation(long end) => Batches.RemoveAll(batch => batch.NextOffset > end);

    /// <summary>A round was done up to an offset.</summary>
    public void Compacted(long cleanOffset, long nowMs)
    {
        foreach (KeyedRecord record in Batches.SelectMany(batch => batch.Records).Where(record => record.Value is null && record.Offset < cleanOffset))
        {
            _firstCompactedMs.TryAdd(record.Offset, nowMs);
        }
    }

    /// <summary>Compares a log that was opened anew and takes over what became of what was in doubt.</summary>
    public string? Adopt(PartitionLog log, TimeSpan deleteRetention, long nowMs)
    {
        (long start, long end) = (log.StartOffset, log.FlushedEnd);
        if (end < Acked || start > AskedStart || !(end == 0 || end == start || Batches.Exists(batch => batch.NextOffset == end)))
        {
            return $"opened with {start} to {end}, while {Acked} was acknowledged, {AskedStart} asked for as start and {End} appended";
        }
        Batches.RemoveAll(batch => batch.BaseOffset >= end);
        Acked = end;
        TouchedEnd = Math.Min(TouchedEnd, end);
        return Check(log, deleteRetention, nowMs) ?? CheckClean(log);
    }

    public string? Check(PartitionLog log, TimeSpan deleteRetention, long nowMs) =>
        CheckReader(log, log.StartOffset, 2_000) ?? CheckLast(log, deleteRetention, nowMs) ?? CheckCommitted(log) ?? CheckProducers(log);

    /// <summary>A reader from an offset on gets what was appended, in its order, with nothing twice.</summary>
    public string? CheckReader(PartitionLog log, long from, int maxBytes)
    {
        Dictionary<long, KeyedRecord> appended = Batches.SelectMany(batch => batch.Records).ToDictionary(record => record.Offset);
        long before = -1;
        foreach (KeyedRecord record in KeyedBatch.Records(log, from, maxBytes))
        {
            if (record.Offset <= before || !appended.TryGetValue(record.Offset, out KeyedRecord? was) || was != record)
            {
                return $"{record} is read after {before} where {appended.GetValueOrDefault(record.Offset)} was appended";
            }
            before = record.Offset;
        }
        return null;
    }

    /// <summary>The last record of each key is there, and all that was not compacted.</summary>
    private string? CheckLast(PartitionLog log, TimeSpan deleteRetention, long nowMs)
    {
        HashSet<long> read = [.. KeyedBatch.Records(log, log.StartOffset).Select(record => record.Offset)];
        HashSet<long> aborted = Aborted();
        HashSet<string> later = [];
        foreach (KeyedRecord record in Batches.SelectMany(batch => batch.Records).Reverse())
        {
            bool isLast = !aborted.Contains(record.Offset) && later.Add(record.Key!);
            bool mayBeGone = record.Offset < log.StartOffset
                || (record.Offset < TouchedEnd && !isLast)
                || (record.Offset < TouchedEnd && record.Value is null && _firstCompactedMs.TryGetValue(record.Offset, out long at)
                    && at + (long)deleteRetention.TotalMilliseconds <= nowMs);
            if (!mayBeGone && !read.Contains(record.Offset))
            {
                return $"{record} is gone; compaction came to {log.CleanOffset} of {TouchedEnd}";
            }
        }
        return null;
    }

    /// <summary>Below the clean offset there is one record of each key, and none of aborted transactions.</summary>
    private string? CheckClean(PartitionLog log)
    {
        long clean = log.CleanOffset;
        HashSet<long> aborted = Aborted();
        HashSet<string> keys = [];
        foreach (KeyedRecord record in KeyedBatch.Records(log, log.StartOffset).Where(record => record.Offset < clean))
        {
            if (aborted.Contains(record.Offset) || !keys.Add(record.Key!))
            {
                return $"{record} is there below {clean}, and {(aborted.Contains(record.Offset) ? "was aborted" : "is not the only one of its key")}";
            }
        }
        return null;
    }

    /// <summary>Who reads what is committed never gets a record that was aborted, and the last stable offset is right.</summary>
    private string? CheckCommitted(PartitionLog log)
    {
        var open = new Dictionary<long, long>();
        foreach (AppendedBatch batch in Batches)
        {
            if (batch.Marker is not null)
            {
                open.Remove(batch.Producer.Id);
            }
            else if (batch.IsTransactional)
            {
                open.TryAdd(batch.Producer.Id, batch.BaseOffset);
            }
        }
        long stable = Math.Max(open.Count == 0 ? End : open.Values.Min(), log.StartOffset);
        if (log.LastStableOffset(End) is var found && found != stable)
        {
            return $"the last stable offset is {found} and not {stable}";
        }
        HashSet<long> aborted = Aborted();
        for (long at = log.StartOffset; at < stable;)
        {
            using LogRead read = log.Read(at, 700, stable);
            if (read.NextOffset == at)
            {
                return $"nothing stable at {at} of {stable}";
            }
            IReadOnlyList<AbortedTransaction> told = log.AbortedBetween(at, read.NextOffset);
            foreach (RecordBatchCopy copy in LogHarness.Batches(read))
            {
                RecordBatch.TryRead(copy.Bytes, out RecordBatch batch);
                (long producer, long offset) = (batch.ProducerId, batch.BaseOffset);
                bool isTold = batch.IsTransactional
                    && told.Any(one => one.ProducerId == producer && one.FirstOffset <= offset && offset < one.MarkerOffset);
                if (KeyedBatch.Records(copy).Find(record => aborted.Contains(record.Offset) != isTold) is { } wrong)
                {
                    return $"{wrong} was {(isTold ? "not " : "")}aborted, and readers are told {string.Join(", ", told)}";
                }
            }
            at = read.NextOffset;
        }
        return null;
    }

    /// <summary>Producers are known by their last sequence, and their last five batches as duplicates.</summary>
    private string? CheckProducers(PartitionLog log)
    {
        foreach (IGrouping<long, AppendedBatch> group in Batches.Where(batch => batch.Producer.Id >= 0).GroupBy(batch => batch.Producer.Id))
        {
            short epoch = group.Max(batch => batch.Producer.Epoch);
            AppendedBatch[] ofEpoch = [.. group.Where(batch => batch.Marker is null && batch.Producer.Epoch == epoch)];
            int last = ofEpoch.Length == 0 ? -1 : Sequence.Add(ofEpoch[^1].Producer.BaseSequence, (int)(ofEpoch[^1].NextOffset - ofEpoch[^1].BaseOffset - 1));
            if (log.FindProducer(group.Key) is not { } found || (found.Epoch, found.LastSequence, found.LastOffset) != (epoch, last, group.Last().NextOffset - 1))
            {
                return $"producer {group.Key} is {log.FindProducer(group.Key)} and not of epoch {epoch} with sequence {last} at {group.Last().NextOffset - 1}";
            }
            int coordinator = group.Max(batch => batch.Marker?.CoordinatorEpoch ?? -1);
            if (found.CoordinatorEpoch != coordinator)
            {
                return $"producer {group.Key} has coordinator epoch {found.CoordinatorEpoch} and not {coordinator}";
            }
            foreach (AppendedBatch batch in ofEpoch.TakeLast(RememberedBatches))
            {
                AppendResult again = log.Append(batch.Bytes, Math.Max(0, log.LeaderEpoch));
                if (!again.IsDuplicate || again.BaseOffset != batch.BaseOffset)
                {
                    return $"a duplicate of {batch.BaseOffset} is {again}";
                }
            }
        }
        return null;
    }

    private HashSet<long> Aborted()
    {
        var aborted = new HashSet<long>();
        var open = new Dictionary<long, List<long>>();
        foreach (AppendedBatch batch in Batches)
        {
            if (batch.Marker is { } marker)
            {
                if (open.Remove(batch.Producer.Id, out List<long>? offsets) && !marker.IsCommit)
                {
                    aborted.UnionWith(offsets);
                }
            }
            else if (batch.IsTransactional)
            {
                open.TryAdd(batch.Producer.Id, []);
                open[batch.Producer.Id].AddRange(batch.Records.Select(record => record.Offset));
            }
        }
        return aborted;
    }
}
