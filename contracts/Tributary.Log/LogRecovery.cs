using System.Collections.Immutable;
using Tributary.Contracts.Records;
using Tributary.Log.Compaction;
using Tributary.Log.Storage;

namespace Tributary.Log;

/// <summary>A partition as recovery found it. Everything below <see cref="End"/> is durable.</summary>
internal sealed class RecoveredLog
{
    public List<LogSegment> Closed { get; } = [];

    /// <summary>The segment to go on writing; null if a new one is to be made.</summary>
    public LogSegment? Active { get; set; }

    public long Start { get; set; }

    public long End { get; set; }

    public List<Hole> Holes { get; } = [];

    public ProducerState Producers { get; } = new();

    public LeaderEpochs Epochs { get; } = new();

    /// <summary>What is on disk now.</summary>
    public Manifest Manifest { get; set; } = new();

    /// <summary>State was made anew, so that it has to be saved.</summary>
    public bool NeedsSave { get; set; }
}

/// <summary>
/// Brings a partition's directory back to a log after whatever happened to it. Runs before anybody else knows the partition, on one
/// thread. Invariants when it is done: offsets are contiguous from start to end except for recorded holes; everything below the end is
/// flushed and named durably; no bytes behind the end can be taken for batches that follow it. A crash during recovery is recovered
/// from in the same way. (The counterpart of Kafka's LogLoader.)
/// <para>All segments but the last were flushed before the next one was made, so damage in them is corruption. In the last one, damage
/// below the recovery point is corruption, and above it the log ends.</para>
/// </summary>
internal sealed class LogRecovery(
    PartitionFiles files, string name, PartitionLogOptions options, Quarantine quarantine, ILogEvents events, long nowMs)
{
    /// <summary>How far behind a bad batch at the end valid ones are looked for.</summary>
    private const int SearchBytes = 4 << 20;

    private readonly RecoveredLog _log = new();
    private readonly List<LogSegment> _opened = [];
    private Manifest _manifest = new();
    private StateStatus _manifestStatus;

    /// <exception cref="IOException">The disk is away, or can't be written.</exception>
    public RecoveredLog Run()
    {
        try
        {
            return Recover();
        }
        catch
        {
            _opened.ForEach(segment => segment.File?.Dispose());
            throw;
        }
    }

    private RecoveredLog Recover()
    {
        IReadOnlyList<string> names = files.Storage.List(files.Directory);
        if (!names.Contains(LogFiles.Manifest))
        {
            _manifestStatus = StateStatus.Missing; // as in each partition that is empty: an exception for each would take seconds of a start
        }
        else
        {
            _manifestStatus = Manifest.Load(files.Storage, files.Directory, out _manifest);
        }
        if (_manifestStatus == StateStatus.Bad)
        {
            Report(LogEventKind.Rebuilt, -1, -1, "its manifest is damaged and is made anew by scanning all segments");
        }
        if (_manifest.Swap is { } swap)
        {
            SwapRecovery.Finish(files, swap, names);
            names = files.Storage.List(files.Directory);
            _log.NeedsSave = true;
        }
        long[] bases = Sweep(names);
        _log.Manifest = _manifest;
        _log.Holes.AddRange(_manifest.Holes);
        _log.Start = Math.Max(_manifest.StartOffset, _manifestStatus == StateStatus.Ok || bases.Length == 0 ? 0 : bases[0]);
        bases = DropTrimmed(bases);
        for (int i = 0; i + 1 < bases.Length; i++)
        {
            RecoverClosed(bases[i], bases[i + 1]);
        }
        if (bases.Length == 0)
        {
            _log.End = _log.Start;
        }
        else if (Known(bases[^1]) is { } closed)
        {
            // Closed after a failed flush, and no other was made: what follows in it is not to be believed.
            RecoverClosed(bases[^1], closed.EndOffset);
            _log.End = closed.EndOffset;
        }
        else
        {
            RecoverLast(bases[^1]);
        }
        if (!_manifest.IsClean && names.Count > 0)
        {
            files.Sync(); // names that a killed process made are visible, and perhaps not durable
        }
        ReachRecoveryPoint();
        FindMissing();
        _log.NeedsSave |= !_manifest.IsClean && _log.End > 0;
        RecoverEpochs();
        new ProducerRecovery(files, name, _log, events).Run(_manifest, _manifestStatus, names);
        Replay(_log.Manifest.RecoveryOffset, (batch, now) => _log.Producers.Apply(batch, batch.BaseOffset, now, isDurable: true));
        return _log;
    }

    /// <summary>Removes what half-finished saves left, takes spares in, and finds the segments in order.</summary>
    private long[] Sweep(IReadOnlyList<string> names)
    {
        var bases = new List<long>();
        foreach (string file in names)
        {
            if (LogFiles.IsSegment(file, out long baseOffset))
            {
                bases.Add(baseOffset);
            }
            else if (LogFiles.IsSpare(file, out long number))
            {
                files.AddSpare(number);
            }
            else if (file.EndsWith(StateFile.TemporarySuffix, StringComparison.Ordinal) && IsOurs(file[..^StateFile.TemporarySuffix.Length]))
            {
                files.Storage.Delete($"{files.Directory}/{file}");
            }
            else if (LogFiles.IsCompacted(file))
            {
                files.Storage.Delete($"{files.Directory}/{file}"); // not finished, or replaced
            }
        }
        bases.Sort();
        foreach (string file in names)
        {
            // Its segment went durably and it did not: it must not speak for a segment that is made there later.
            if (LogFiles.IsIndex(file, out long baseOffset) && bases.BinarySearch(baseOffset) < 0)
            {
                files.Storage.Delete($"{files.Directory}/{file}");
            }
        }
        return [.. bases];
    }

    private static bool IsOurs(string file) => file is LogFiles.Manifest or LeaderEpochs.FileName
        || LogFiles.IsIndex(file, out _) || LogFiles.IsProducers(file, out _);

    /// <summary>A crash may come between the manifest that gives segments up and the removal of their files.</summary>
    private long[] DropTrimmed(long[] bases)
    {
        foreach (long trimmed in bases.Where(IsTrimmed))
        {
            // Whether it may be recycled is not known any more.
            files.Discard(new LogSegment(files.Directory, trimmed), recycle: false);
        }
        return [.. bases.Where(baseOffset => !IsTrimmed(baseOffset))];
    }

    private bool IsTrimmed(long baseOffset) =>
        _manifestStatus == StateStatus.Ok && baseOffset < _manifest.KnownBelow && Known(baseOffset) is null;

    private SegmentInfo? Known(long baseOffset)
    {
        int at = _manifest.Closed.AsSpan().BinarySearch(new ByBase(baseOffset));
        return at < 0 ? null : _manifest.Closed[at];
    }

    private void RecoverClosed(long baseOffset, long endOffset)
    {
        if (Known(baseOffset) is { } known && known.EndOffset <= endOffset && Length(baseOffset) >= known.EndPosition)
        {
            LogSegment segment = LogSegment.From(files.Directory, known);
            segment.FileBytes = Length(baseOffset);
            segment.IndexBytes = SegmentIndex.EstimateBytes(known.EndPosition, options.IndexIntervalBytes);
            segment.IsIndexSaved = true;
            _log.Closed.Add(segment);
            return;
        }
        _log.NeedsSave = true;
        var found = new LogSegment(files.Directory, baseOffset);
        SegmentScan scan = Scan(found, endOffset, endOffset, out StateStatus index);
        // Closed after a failed flush, perhaps: behind its end there may be offsets that were given again.
        found.IsRecyclable = false;
        if (index == StateStatus.Bad)
        {
            Report(LogEventKind.Rebuilt, baseOffset, endOffset, $"the index of segment {baseOffset} is damaged and was made anew");
        }
        if (scan.Offset < endOffset)
        {
            scan.Damages.Add(new Damage(scan.Offset, endOffset, scan.Position, (int)found.FileBytes));
        }
        TakeDamages(found, scan);
        Close(found);
    }

    private void RecoverLast(long baseOffset)
    {
        var segment = new LogSegment(files.Directory, baseOffset);
        long floor = Math.Max(_manifest.RecoveryOffset, baseOffset);
        SegmentScan scan = Scan(segment, _manifest.IsClean ? floor : long.MaxValue, floor, out StateStatus index);
        if (index == StateStatus.Bad)
        {
            Report(LogEventKind.Rebuilt, baseOffset, scan.Offset, $"the index of segment {baseOffset} is damaged and was made anew");
        }
        if (scan.Offset < floor)
        {
            scan.Damages.Add(new Damage(scan.Offset, floor, scan.Position, (int)segment.FileBytes));
        }
        TakeDamages(segment, scan);
        _log.Active = segment;
        _log.End = scan.Offset;
        if (_manifest.IsClean && scan.Offset == floor)
        {
            return;
        }
        InspectTail(segment);
        // What a kill left in the page cache becomes durable, and nothing behind the end can ever be taken for what follows it. It is written
        // again, since after a failed flush the kernel takes pages for clean that never reached the disk.
        WriteAgain(segment, floor);
        segment.File!.SetLength(segment.EndPosition);
        segment.File.Flush();
        segment.FileBytes = segment.EndPosition;
    }

    /// <summary>Each batch is checked on the way: what was read wrong must not be written.</summary>
    private static void WriteAgain(LogSegment segment, long floor)
    {
        using var reader = new BatchFileReader(segment.File!, segment.EndPosition);
        IndexEntry from = segment.Index!.Find(floor, segment.BaseOffset);
        (long offset, int position) = (from.Offset, from.Position);
        while (offset < segment.EndOffset)
        {
            if (reader.TryReadWhole(position, offset, out RecordBatch batch))
            {
                if (batch.NextOffset > floor)
                {
                    segment.File!.Write(position, batch.Bytes);
                }
                (offset, position) = (batch.NextOffset, position + batch.Size);
                continue;
            }
            if (offset >= floor)
            {
                throw new IOException($"segment {segment.BaseOffset} can't be read at offset {offset}, where it was read before");
            }
            // Below the recovery point it was not looked at, or is a hole by now.
            position = reader.FindNext(position + 1, segment.EndPosition, offset, segment.EndOffset - 1, out offset);
            if (position < 0)
            {
                return;
            }
        }
    }

    /// <summary>Scans a segment behind what its saved index covers, or from its start, and leaves it loaded.</summary>
    private SegmentScan Scan(LogSegment segment, long endOffset, long floor, out StateStatus indexStatus)
    {
        segment.File = files.Open(segment);
        _opened.Add(segment);
        segment.FileBytes = segment.File.Length;
        int limit = (int)Math.Min(segment.FileBytes, int.MaxValue);
        using var reader = new BatchFileReader(segment.File, limit);
        var scan = new SegmentScan(reader, options.IndexIntervalBytes);
        indexStatus = SegmentIndex.Load(files.Storage, files.Directory, segment.BaseOffset, out SegmentIndex index, out SegmentInfo info);
        segment.LastAppendMs = nowMs;
        if (indexStatus == StateStatus.Ok && info.EndPosition <= limit && info.EndOffset <= endOffset)
        {
            scan.StartAfter(index, info);
            segment.LastAppendMs = info.LastAppendMs;
        }
        else
        {
            scan.StartAt(segment.BaseOffset);
        }
        long before = scan.Offset;
        scan.Run(endOffset, floor, limit);
        if (scan.Offset > before)
        {
            segment.LastAppendMs = nowMs; // not known: a reading is kept too long rather than not long enough
        }
        segment.EndOffset = scan.Offset;
        segment.EndPosition = segment.WritePosition = scan.Position;
        segment.MaxTimestamp = segment.WriteMaxTimestamp = scan.MaxTimestamp;
        segment.NextIndexPosition = scan.Index.Count == 0
            ? 0
            : scan.Index.Find(long.MaxValue, segment.BaseOffset).Position + (long)options.IndexIntervalBytes;
        segment.Index = scan.Index;
        segment.AbortedFrom = scan.Index.AbortedFrom;
        return scan;
    }

    private void TakeDamages(LogSegment segment, SegmentScan scan)
    {
        foreach (Damage damage in scan.Damages)
        {
            _log.NeedsSave = true;
            string kept = quarantine.Keep(segment.File!, damage.FromPosition, damage.ToPosition, damage.FromOffset, damage.ToOffset);
            Report(LogEventKind.Quarantined, damage.FromOffset, damage.ToOffset,
                $"{damage.ToPosition - damage.FromPosition} damaged bytes of segment {segment.BaseOffset} were {kept}");
            AddHole(damage.FromOffset, damage.ToOffset, "its bytes are damaged");
        }
    }

    /// <summary>What follows the end may be worth a look, although it was never known to be flushed.</summary>
    private void InspectTail(LogSegment segment)
    {
        int limit = (int)Math.Min(segment.FileBytes, int.MaxValue);
        using var reader = new BatchFileReader(segment.File!, limit);
        bool torn = reader.TryRead(segment.EndPosition, segment.EndOffset, out RecordBatch batch);
        int searchEnd = (int)Math.Min(limit, (long)segment.EndPosition + options.MaxBatchBytes + SearchBytes);
        int found = reader.FindNext(segment.EndPosition, searchEnd, segment.EndOffset + 1, long.MaxValue - int.MaxValue, out long offset);
        int end = segment.EndPosition;
        long endOffset = -1;
        while (found >= 0 && reader.TryRead(found, offset, out batch) && batch.IsCrcValid())
        {
            found = end = found + batch.Size;
            offset = endOffset = batch.NextOffset;
        }
        if (endOffset >= 0)
        {
            string kept = quarantine.Keep(segment.File!, segment.EndPosition, end, segment.EndOffset, endOffset);
            Report(LogEventKind.Quarantined, segment.EndOffset, endOffset,
                $"a bad batch ends the log at offset {segment.EndOffset}; {end - segment.EndPosition} bytes from there on, which hold later "
                + $"batches and were never acknowledged as far as is known, were {kept}");
        }
        else if (torn)
        {
            Report(LogEventKind.TailCut, segment.EndOffset, -1, "a batch that was not written to its end was cut off");
        }
    }

    /// <summary>Offsets that were durable once are never given again, whatever became of their bytes.</summary>
    private void ReachRecoveryPoint()
    {
        long reached = Math.Max(_manifest.RecoveryOffset, _manifest.StartOffset);
        if (_log.End >= reached)
        {
            return;
        }
        if (_log.Active is { } last)
        {
            _log.Active = null;
            last.IsRecyclable = false;
            Close(last);
        }
        AddHole(_log.End, reached, "nothing of what was stored is left");
        _log.End = reached;
        _log.NeedsSave = true;
    }

    /// <summary>Gaps between the segments, and before the first: whole files that are gone.</summary>
    private void FindMissing()
    {
        long expected = _log.Start;
        foreach (LogSegment segment in _log.Closed)
        {
            if (segment.BaseOffset > expected)
            {
                AddHole(expected, segment.BaseOffset, "a segment is missing");
            }
            expected = Math.Max(expected, segment.EndOffset);
        }
        if (_log.Active is { } active && active.BaseOffset > expected)
        {
            AddHole(expected, active.BaseOffset, "a segment is missing");
        }
        _log.Holes.RemoveAll(hole => hole.To <= _log.Start);
        _log.Holes.Sort((a, b) => a.From.CompareTo(b.From));
    }

    private void AddHole(long from, long to, string why)
    {
        if (from >= to || _log.Holes.Any(hole => hole.From <= from && hole.To >= to))
        {
            return;
        }
        _log.Holes.Add(new Hole(from, to));
        _log.NeedsSave = true;
        Report(LogEventKind.Hole, from, to, $"offsets {from} to {to} can't be read any more: {why}");
    }

    private void RecoverEpochs()
    {
        StateStatus status = _log.Epochs.Load(files.Storage, $"{files.Directory}/{LeaderEpochs.FileName}");
        if (status == StateStatus.Bad)
        {
            Report(LogEventKind.Rebuilt, -1, -1, "its leader epochs are damaged and are made anew from the log");
        }
        // Epochs are saved before anything of them is acknowledged; a batch in doubt may be of a later one.
        var inDoubt = new EpochRecovery(_log.Epochs, options.MaxLeaderEpoch);
        Replay(status == StateStatus.Ok ? _manifest.RecoveryOffset : 0, (batch, _) => inDoubt.Add(batch.LeaderEpoch, batch.BaseOffset));
        inDoubt.Complete();
        if (inDoubt.Impossible > 0)
        {
            Report(LogEventKind.Rebuilt, inDoubt.FirstImpossible, -1, $"the leader epoch of {inDoubt.Impossible} batches from offset "
                + $"{inDoubt.FirstImpossible} on is damaged, and nothing else of them; readers get the one that follows from the others");
        }
        _log.Epochs.ClampToEnd(_log.End);
        _log.Epochs.TruncateFromStart(_log.Start);
    }

    private void Replay(long from, BatchVisitor visit)
    {
        if (from >= _log.End)
        {
            return;
        }
        IEnumerable<LogSegment> segments = _log.Active is null ? _log.Closed : _log.Closed.Append(_log.Active);
        LogReplay.Run(files, segments, from, batch => visit(batch, nowMs));
    }

    private delegate void BatchVisitor(RecordBatch batch, long nowMs);

    private readonly struct ByBase(long baseOffset) : IComparable<SegmentInfo>
    {
        public int CompareTo(SegmentInfo other) => baseOffset.CompareTo(other.BaseOffset);
    }

    private long Length(long baseOffset)
    {
        using IStorageFile file = files.Storage.Open($"{files.Directory}/{LogFiles.Segment(baseOffset)}", create: false);
        return file.Length;
    }

    private void Close(LogSegment segment)
    {
        segment.IndexBytes = files.SaveIndex(segment, segment.Index!.Encode(segment));
        segment.IsIndexSaved = true;
        _log.Closed.Add(segment);
        segment.File?.Dispose();
        segment.File = null;
        segment.Index = null;
    }

    private void Report(LogEventKind kind, long from, long to, string message) =>
        events.Report(new LogEvent(kind, name, from, to, $"{name}: {message}"));
}
