using Tributary.Contracts.Records;
using Tributary.Log;

namespace Tributary.Tests.Log.Support;

/// <summary>A batch as the model has it: the bytes that must come back.</summary>
internal sealed record ModelBatch(long BaseOffset, long NextOffset, byte[] Bytes, BatchProducer Producer, int LeaderEpoch)
{
    /// <summary>Whether it ends a transaction.</summary>
    public bool IsMarker => Producer is { Id: >= 0, BaseSequence: < 0 };

    public int LastSequence => Sequence.Add(Producer.BaseSequence, (int)(NextOffset - 1 - BaseOffset));
}

/// <summary>
/// What one partition must hold: every batch that was ever appended and, of those that are not acknowledged, what may have become of them.
/// </summary>
internal sealed class PartitionModel : ILogListener
{
    private const int RememberedBatches = 5;
    private const int SecondLooks = 3;

    /// <summary>The writer thread may still tell of a truncation when the simulation goes on.</summary>
    private readonly Lock _lock = new();

    /// <summary>Batches that a failed write took back; until their place is taken durably, a crash may bring them back.</summary>
    private readonly List<List<ModelBatch>> _takenBack = [];

    /// <summary>All batches from offset 0 on, trimmed ones too.</summary>
    public List<ModelBatch> Batches { get; private set; } = [];

    /// <summary>Everything below was acknowledged.</summary>
    public long Acked { get; private set; }

    /// <summary>The highest start that was asked for.</summary>
    public long AskedStart { get; set; }

    /// <summary>Epochs that were begun, and whether that was durable.</summary>
    public int DurableEpoch { get; set; } = -1;

    public int LatestEpoch { get; set; } = -1;

    public string? Fault { get; private set; }

    /// <summary>First offsets of batches whose bytes on disk were damaged: they may be gone.</summary>
    public HashSet<long> Damaged { get; } = [];

    /// <summary>Offsets that were reported as lost.</summary>
    public List<(long From, long To)> Reported { get; } = [];

    /// <summary>Whether state beside the records was damaged that can be made anew.</summary>
    public bool IsStateDamaged { get; set; }

    public long End => Batches.Count == 0 ? 0 : Batches[^1].NextOffset;

    public void OnFlushed(PartitionLog log, long flushedEnd)
    {
        lock (_lock)
        {
            if (flushedEnd > End || flushedEnd <= Acked)
            {
                Fault ??= $"told that {flushedEnd} is flushed after {Acked}, while the log ends at {End}";
            }
            Acked = flushedEnd;
            _takenBack.RemoveAll(batches => batches[0].BaseOffset < flushedEnd);
        }
    }

    public void OnFailed(PartitionLog log, long fromOffset, Exception reason)
    {
        lock (_lock)
        {
            if (fromOffset != Acked)
            {
                Fault ??= $"told that {fromOffset} failed while {Acked} is flushed";
            }
            TakeBackFrom(fromOffset);
        }
    }

    /// <summary>The log was asked to end at or before an offset, and may or may not have done so yet.</summary>
    public long BeginTruncation(long offset)
    {
        long end = Batches.FirstOrDefault(batch => batch.NextOffset > offset)?.BaseOffset ?? End;
        Acked = Math.Min(Acked, end);
        return end;
    }

    public void EndTruncation(long end)
    {
        lock (_lock)
        {
            Batches.RemoveAll(batch => batch.BaseOffset >= end);
            AskedStart = Math.Min(AskedStart, end);
            _takenBack.RemoveAll(batches => batches[0].BaseOffset >= end);
        }
    }

    /// <summary>Compares a log that was opened anew and takes over what became of the batches in doubt.</summary>
    public string? Adopt(PartitionLog log)
    {
        (long start, long end) = (log.StartOffset, log.FlushedEnd);
        if (end != log.AppendedEnd || end < Acked || start > AskedStart)
        {
            return $"opened with {start} to {end} and {log.AppendedEnd}, while {Acked} was acknowledged and {AskedStart} asked for as start";
        }
        List<ModelBatch>? match = Histories().FirstOrDefault(history => Matches(history, end));
        if (match is null)
        {
            return $"ends at {end}, where no batch ends that it may hold; {Acked} was acknowledged";
        }
        Batches = [.. match.Where(batch => batch.NextOffset <= end)];
        Acked = end;
        _takenBack.Clear();
        if (log.LeaderEpoch < DurableEpoch || log.LeaderEpoch > LatestEpoch)
        {
            return $"leader epoch {log.LeaderEpoch}, while {DurableEpoch} was durable and {LatestEpoch} begun";
        }
        DurableEpoch = LatestEpoch = log.LeaderEpoch;
        return CheckRecords(log) ?? CheckProducers(log) ?? CheckTransactions(log) ?? CheckEpochs(log);

        bool Matches(List<ModelBatch> history, long at)
        {
            if (!(at == 0 || history.Any(batch => batch.NextOffset == at)))
            {
                return false;
            }
            // Only what was never acknowledged can differ between histories.
            ModelBatch? last = history.LastOrDefault(batch => batch.NextOffset == at);
            return last is null || last.NextOffset <= Acked || last.BaseOffset < log.StartOffset || IsStored(log, last);
        }
    }

    /// <summary>Every batch from the start on reads back, byte by byte, but for what was damaged, and that is reported.</summary>
    public string? CheckRecords(PartitionLog log)
    {
        long at = log.StartOffset;
        int index = Batches.FindIndex(batch => batch.NextOffset > at);
        int secondLooks = SecondLooks + Damaged.Count;
        while (at < log.AppendedEnd)
        {
            using LogRead read = log.Read(at, 3_000, long.MaxValue);
            List<RecordBatchCopy> batches = LogHarness.Batches(read);
            if (batches.Find(static batch => !batch.IsCrcValid) is { } bad && secondLooks-- > 0)
            {
                log.ReportDamage(bad.BaseOffset); // as whoever reads does, and reads again
                continue;
            }
            if (read.Size == 0 && !Reported.Exists(hole => hole.From <= at && hole.To >= read.NextOffset))
            {
                return $"offsets {at} to {read.NextOffset} are gone, and nobody was told";
            }
            if (read.Size == 0 && !StepOver(ref index, read.NextOffset))
            {
                return $"nothing at {at}; the next is {read.NextOffset}";
            }
            foreach (RecordBatchCopy batch in batches)
            {
                if (index < 0 || index >= Batches.Count || batch.BaseOffset != Batches[index].BaseOffset
                    || !batch.Bytes.AsSpan().SequenceEqual(Batches[index].Bytes))
                {
                    string wanted = index >= 0 && index < Batches.Count ? Describe(Batches[index].Bytes) : "nothing";
                    return $"reading at {at} of {log.StartOffset} to {log.AppendedEnd}: {Describe(batch.Bytes)} where {wanted} was appended";
                }
                index++;
            }
            at = read.NextOffset;
        }
        return at == End ? null : $"reading ends at {at} and not at {End}";
    }

    /// <summary>Producers are known by their last sequence, and their last five batches as duplicates.</summary>
    public string? CheckProducers(PartitionLog log)
    {
        foreach (IGrouping<long, ModelBatch> group in Batches.Where(batch => batch.Producer.Id >= 0).GroupBy(batch => batch.Producer.Id))
        {
            short epoch = group.Max(batch => batch.Producer.Epoch);
            var expected = (
                epoch, group.LastOrDefault(batch => !batch.IsMarker && batch.Producer.Epoch == epoch)?.LastSequence ?? -1,
                group.Last().NextOffset - 1);
            if (log.FindProducer(group.Key) is not { } found)
            {
                return $"producer {group.Key} is forgotten";
            }
            if ((found.Epoch, found.LastSequence, found.LastOffset) != expected)
            {
                return $"producer {group.Key} is {found} and not {expected}: {string.Join(", ", group.TakeLast(6).Select(b => $"{b.Producer} at {b.BaseOffset}"))}";
            }
            foreach (ModelBatch batch in group.Where(batch => batch.Producer.Epoch == epoch && !batch.IsMarker).TakeLast(RememberedBatches))
            {
                var wanted = new AppendResult(AppendError.None, batch.BaseOffset, batch.NextOffset - 1, IsDuplicate: true);
                AppendResult again = log.Append(batch.Bytes, Math.Max(0, log.LeaderEpoch)) with { Losses = 0 };
                if (again != wanted)
                {
                    return $"a duplicate of {batch.BaseOffset} is {again}";
                }
            }
        }
        HashSet<long> known = [.. Batches.Select(batch => batch.Producer.Id)];
        return log.ListProducers().Any(producer => !known.Contains(producer.ProducerId)) ? "a producer that never was" : null;
    }

    /// <summary>The last stable offset and the aborted transactions follow from the batches.</summary>
    public string? CheckTransactions(PartitionLog log)
    {
        var open = new Dictionary<long, long>();
        var aborted = new List<AbortedTransaction>();
        foreach (ModelBatch batch in Batches)
        {
            RecordBatch.TryRead(batch.Bytes, out RecordBatch read);
            if (ControlBatch.TryRead(read, out ControlBatch marker))
            {
                if (open.Remove(batch.Producer.Id, out long first) && !marker.IsCommit)
                {
                    aborted.Add(new AbortedTransaction(batch.Producer.Id, first, batch.BaseOffset));
                }
            }
            else if (read.IsTransactional)
            {
                open.TryAdd(batch.Producer.Id, batch.BaseOffset);
            }
        }
        long stable = Math.Max(open.Count == 0 ? End : open.Values.Min(), log.StartOffset);
        if (log.LastStableOffset(End) is var found && found != stable)
        {
            return $"the last stable offset is {found} and not {stable}";
        }
        long to = Math.Min(stable, log.FlushedEnd);
        foreach (long from in new[] { log.StartOffset, (log.StartOffset + to) / 2 })
        {
            AbortedTransaction[] wanted = [.. aborted.Where(one => one.FirstOffset < to && one.MarkerOffset >= from && one.MarkerOffset < log.FlushedEnd)];
            AbortedTransaction[] told = [.. log.AbortedBetween(from, to)];
            if (!told.SequenceEqual(wanted))
            {
                return $"aborted from {from} to {to} are {string.Join(", ", told)} and not {string.Join(", ", wanted)}";
            }
        }
        return null;
    }

    /// <summary>The epochs of what can be read are known with the offsets where they end.</summary>
    private string? CheckEpochs(PartitionLog log)
    {
        List<ModelBatch> held = [.. Batches.Where(batch => batch.NextOffset > log.StartOffset)];
        foreach (int epoch in held.Select(batch => batch.LeaderEpoch).Distinct())
        {
            long end = held.FirstOrDefault(batch => batch.LeaderEpoch > epoch)?.BaseOffset ?? log.AppendedEnd;
            (int Epoch, long EndOffset)? found = log.EndOffsetForEpoch(epoch);
            if (found != (epoch, end))
            {
                return $"leader epoch {epoch} ends at {found} and not at {end}";
            }
        }
        return null;
    }

    /// <summary>Whether the batches up to <paramref name="next"/> were damaged, all of them.</summary>
    private bool StepOver(ref int index, long next)
    {
        int from = index;
        while (index >= 0 && index < Batches.Count && Batches[index].BaseOffset < next && Damaged.Contains(Batches[index].BaseOffset))
        {
            index++;
        }
        return index > from && Batches[index - 1].NextOffset == next;
    }

    private IEnumerable<List<ModelBatch>> Histories() => _takenBack
        .Select(taken => (List<ModelBatch>)[.. Batches.Where(batch => batch.NextOffset <= taken[0].BaseOffset), .. taken])
        .Prepend(Batches);

    private void TakeBackFrom(long offset)
    {
        List<ModelBatch> lost = Batches.FindAll(batch => batch.BaseOffset >= offset);
        if (lost.Count > 0)
        {
            Batches.RemoveAll(lost.Contains);
            _takenBack.Add(lost);
        }
    }

    private static string Describe(byte[] bytes)
    {
        RecordBatch.TryRead(bytes, out RecordBatch batch);
        return $"{batch.BaseOffset}-{batch.LastOffset} epoch {batch.LeaderEpoch} size {batch.Size} crc {batch.Crc} ok {batch.IsCrcValid()}";
    }

    private static bool IsStored(PartitionLog log, ModelBatch batch)
    {
        using LogRead read = log.Read(batch.BaseOffset, 1, long.MaxValue);
        return LogHarness.Batches(read) is [var only] && only.Bytes.AsSpan().SequenceEqual(batch.Bytes);
    }
}
