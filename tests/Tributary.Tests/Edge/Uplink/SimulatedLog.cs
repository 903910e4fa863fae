using System.Buffers;
using System.Globalization;
using System.Text;
using Tributary.Contracts.Records;
using Tributary.Edge.Uplink;
using Tributary.Log;

namespace Tributary.Tests.Edge.Uplink;

/// <summary>A local log in memory: batches, of which some are flushed.</summary>
internal sealed class SimulatedLog : IUplinkSource
{
    private readonly List<(long BaseOffset, long NextOffset, byte[] Bytes)> _batches = [];
    private readonly RecordBatchBuilder _builder = new();
    private readonly List<long> _ids = [];

    public long StartOffset { get; private set; }

    public long FlushedEnd { get; private set; }

    public long AppendedEnd { get; private set; }

    /// <summary>Ids of records that were damaged.</summary>
    public HashSet<long> LostIds { get; } = [];

    public LogRead Read(long offset, int maxBytes, long upTo)
    {
        if (offset < StartOffset || offset > AppendedEnd)
        {
            throw new OffsetOutOfRangeException(offset, StartOffset, AppendedEnd);
        }
        LogRead read = LogRead.At(offset);
        byte[] bytes = ArrayPool<byte>.Shared.Rent(maxBytes + (64 << 10));
        int size = 0;
        long next = offset;
        foreach ((long baseOffset, long nextOffset, byte[] batch) in _batches)
        {
            if (nextOffset <= offset)
            {
                continue;
            }
            if (nextOffset > upTo || (size > 0 && size + batch.Length > maxBytes))
            {
                break;
            }
            batch.CopyTo(bytes, size);
            size += batch.Length;
            next = nextOffset;
        }
        read.Own(bytes, 0, size, size == 0 && !_batches.Exists(batch => batch.NextOffset > offset && batch.NextOffset <= upTo) ? upTo : next);
        return read;
    }

    public void AdvanceStart(long offset)
    {
        StartOffset = Math.Max(StartOffset, offset);
        _batches.RemoveAll(batch => batch.NextOffset <= StartOffset);
    }

    public void ReportDamage(long offset)
    {
    }

    public void SaveBeside(Action save) => save();

    /// <summary>Appends a batch; each record's value is its id, with a remark.</summary>
    public void Append(IReadOnlyList<(string Key, long Id, string Remark)> records)
    {
        _builder.Reset();
        foreach ((string key, long id, string remark) in records)
        {
            _ids.Add(id);
            string value = string.Create(CultureInfo.InvariantCulture, $"{id} {remark}");
            _builder.Add(1000 + id, Encoding.UTF8.GetBytes(key), Encoding.UTF8.GetBytes(value), EncodedHeaders.None);
        }
        byte[] bytes = _builder.Build(BatchProducer.None).ToArray();
        RecordBatch.Stamp(bytes, AppendedEnd, 0);
        _batches.Add((AppendedEnd, AppendedEnd + records.Count, bytes));
        AppendedEnd += records.Count;
    }

    public void Flush() => FlushedEnd = AppendedEnd;

    /// <summary>Ids of the records from the start of the log up to <paramref name="end"/>.</summary>
    public IEnumerable<long> IdsUpTo(long end) => _ids.Take((int)end).Skip((int)StartOffset);

    /// <summary>Ids of all records that were taken in.</summary>
    public IReadOnlyList<long> Ids => _ids;

    /// <summary>Id of the record at <paramref name="offset"/>.</summary>
    public long IdAt(long offset) => _ids[(int)offset];

    /// <summary>What was not flushed is gone.</summary>
    public void Crash() => CutTo(FlushedEnd);

    /// <summary>A copy of what is flushed.</summary>
    public SimulatedLog CopyFlushed()
    {
        var copy = new SimulatedLog { StartOffset = StartOffset, FlushedEnd = FlushedEnd, AppendedEnd = AppendedEnd };
        copy._batches.AddRange(_batches);
        copy._ids.AddRange(_ids);
        copy.LostIds.UnionWith(LostIds);
        copy.CutTo(FlushedEnd);
        return copy;
    }

    /// <summary>The disk goes back in time: the log ends at <paramref name="end"/>.</summary>
    public void CutTo(long end)
    {
        _batches.RemoveAll(batch => batch.NextOffset > end);
        AppendedEnd = Math.Min(AppendedEnd, end);
        StartOffset = Math.Min(StartOffset, AppendedEnd);
        _ids.RemoveRange((int)AppendedEnd, _ids.Count - (int)AppendedEnd);
        FlushedEnd = Math.Min(FlushedEnd, AppendedEnd);
    }

    /// <summary>Gives up what lies before <paramref name="offset"/>, acknowledged or not.</summary>
    public void Drop(long offset)
    {
        LostIds.UnionWith(IdsUpTo(offset));
        StartOffset = Math.Max(StartOffset, offset);
    }

    /// <summary>Flips a bit in the batch that holds <paramref name="offset"/>.</summary>
    public void Damage(long offset)
    {
        (long from, long to, byte[] bytes) = _batches.Find(batch => batch.BaseOffset <= offset && offset < batch.NextOffset);
        if (bytes is null)
        {
            return;
        }
        bytes[^1] ^= 1;
        LostIds.UnionWith(_ids[(int)from..(int)to]);
    }

    /// <summary>The batch that holds <paramref name="offset"/> can't be read any more.</summary>
    public void Quarantine(long offset)
    {
        Damage(offset);
        _batches.RemoveAll(batch => batch.BaseOffset <= offset && offset < batch.NextOffset);
    }
}
