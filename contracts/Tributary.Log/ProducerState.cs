using System.Runtime.InteropServices;
using Tributary.Contracts.Records;

namespace Tributary.Log;

/// <summary>What a batch means to its producer's state.</summary>
internal enum SequenceCheck
{
    Accepted,
    Duplicate,
    OutOfOrder,
    StaleEpoch,
}

/// <summary>
/// What one partition knows of its producers: epoch and the last five batches of each (KIP-98), as of the appended end. A pure state
/// machine: <see cref="Check"/> decides, <see cref="Apply"/> records; replaying the log gives the same state. Called under the
/// partition's lock. A crash leaves the last snapshot and the batches after it.
/// </summary>
internal sealed class ProducerState
{
    private Dictionary<long, Producer>? _producers;

    public int Count => _producers?.Count ?? 0;

    public IEnumerable<Producer> All => _producers?.Values ?? Enumerable.Empty<Producer>();

    public Producer? Find(long producerId) => _producers?.GetValueOrDefault(producerId);

    /// <summary>Whether the batch may be appended; for a duplicate, where the original is.</summary>
    public SequenceCheck Check(RecordBatch batch, out long originalBase, out long originalLast)
    {
        originalBase = originalLast = -1;
        if (batch.ProducerId < 0 || _producers is null || !_producers.TryGetValue(batch.ProducerId, out Producer? producer))
        {
            return SequenceCheck.Accepted;
        }
        if (batch.ProducerEpoch < producer.Epoch)
        {
            return SequenceCheck.StaleEpoch;
        }
        if (batch.IsControl || batch.BaseSequence < 0)
        {
            return SequenceCheck.Accepted;
        }
        if (batch.ProducerEpoch > producer.Epoch)
        {
            return batch.BaseSequence == 0 ? SequenceCheck.Accepted : SequenceCheck.OutOfOrder;
        }
        if (producer.TryFind(batch.BaseSequence, batch.LastSequence, out originalBase, out originalLast))
        {
            return SequenceCheck.Duplicate;
        }
        int expected = producer.LastSequence < 0 ? 0 : Sequence.Add(producer.LastSequence, 1);
        return batch.BaseSequence == expected ? SequenceCheck.Accepted : SequenceCheck.OutOfOrder;
    }

    /// <summary>Records a batch that was appended.</summary>
    /// <param name="nowMs">When, Unix ms, for expiry.</param>
    public void Apply(RecordBatch batch, long baseOffset, long nowMs)
    {
        if (batch.ProducerId < 0)
        {
            return;
        }
        _producers ??= [];
        ref Producer? producer = ref CollectionsMarshal.GetValueRefOrAddDefault(_producers, batch.ProducerId, out _);
        producer ??= new Producer(batch.ProducerId, batch.ProducerEpoch);
        bool hasSequence = !batch.IsControl && batch.BaseSequence >= 0;
        producer.Add(batch.ProducerEpoch, hasSequence ? batch.BaseSequence : -1, batch.LastOffsetDelta, baseOffset, nowMs);
    }

    /// <summary>Puts a producer in as a snapshot has it.</summary>
    public void Restore(Producer producer) => (_producers ??= [])[producer.Id] = producer;

    /// <summary>Forgets producers that were idle since before <paramref name="beforeMs"/>.</summary>
    public void Expire(long beforeMs)
    {
        if (_producers is null)
        {
            return;
        }
        foreach ((long id, Producer producer) in _producers)
        {
            if (producer.LastTimestamp < beforeMs)
            {
                _producers.Remove(id);
            }
        }
    }

    public void Clear() => _producers = null;
}

/// <summary>One producer: its epoch and its last five batches in a ring.</summary>
internal sealed class Producer(long id, short epoch)
{
    /// <summary>As many as an idempotent producer may have in flight (KIP-98).</summary>
    public const int MaxBatches = 5;

    private Batches _batches;
    private int _next;

    public long Id { get; } = id;

    public short Epoch { get; private set; } = epoch;

    /// <summary>Batches remembered of this epoch.</summary>
    public int BatchCount { get; private set; }

    /// <summary>Sequence of the last record, −1 if this epoch has none.</summary>
    public int LastSequence => BatchCount == 0 ? -1 : Last.LastSequence;

    /// <summary>Offset of the last record, −1 if none.</summary>
    public long LastOffset { get; private set; } = -1;

    /// <summary>Unix ms of the last append.</summary>
    public long LastTimestamp { get; private set; }

    public ProducerSummary Summary => new(Id, Epoch, LastSequence, LastOffset, LastTimestamp);

    private ProducerBatch Last => _batches[(_next + MaxBatches - 1) % MaxBatches];

    public bool TryFind(int baseSequence, int lastSequence, out long baseOffset, out long lastOffset)
    {
        for (int age = 0; age < BatchCount; age++)
        {
            ProducerBatch batch = At(age);
            if (batch.BaseSequence == baseSequence && batch.LastSequence == lastSequence)
            {
                baseOffset = batch.BaseOffset;
                lastOffset = batch.BaseOffset + batch.LastDelta;
                return true;
            }
        }
        baseOffset = lastOffset = -1;
        return false;
    }

    /// <summary>The remembered batch that came <paramref name="age"/> before the last one.</summary>
    public ProducerBatch At(int age) => _batches[(_next + (2 * MaxBatches) - 1 - age) % MaxBatches];

    public void Add(short epoch, int baseSequence, int lastDelta, long baseOffset, long nowMs)
    {
        if (epoch > Epoch)
        {
            Epoch = epoch;
            BatchCount = 0;
        }
        if (baseSequence >= 0)
        {
            _batches[_next] = new ProducerBatch(baseSequence, lastDelta, baseOffset);
            _next = (_next + 1) % MaxBatches;
            BatchCount = Math.Min(MaxBatches, BatchCount + 1);
        }
        LastOffset = baseOffset + lastDelta;
        LastTimestamp = nowMs;
    }

    /// <summary>Sets what follows from no remembered batch.</summary>
    public void SetLast(long lastOffset, long lastTimestamp)
    {
        LastOffset = lastOffset;
        LastTimestamp = lastTimestamp;
    }

    [System.Runtime.CompilerServices.InlineArray(MaxBatches)]
    private struct Batches
    {
        private ProducerBatch _first;
    }
}

/// <summary>A batch as its producer's state remembers it.</summary>
internal readonly record struct ProducerBatch(int BaseSequence, int LastDelta, long BaseOffset)
{
    public int LastSequence => Sequence.Add(BaseSequence, LastDelta);
}
