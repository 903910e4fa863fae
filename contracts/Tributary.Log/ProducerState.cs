using System.Runtime.CompilerServices;
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

    /// <summary>The producer has an open transaction, and the batch belongs to none.</summary>
    OutsideTransaction,
}

/// <summary>What a transaction's marker means to its producer's state.</summary>
internal enum MarkerCheck
{
    Accepted,

    /// <summary>What the marker says was done: it was appended before.</summary>
    Done,

    /// <summary>A newer epoch of the producer has written, or a newer one of the coordinator has decided.</summary>
    Stale,
}

/// <summary>
/// What one partition knows of its producers: epoch, the last five batches and the open transaction of each (KIP-98), as of the appended
/// end. A pure state machine: <see cref="Check"/> decides, <see cref="Apply"/> records; replaying the log gives the same state. What batches that are not
/// durable yet have changed is kept (<see cref="Settle"/>, <see cref="Revert"/>), so that a failed flush and a snapshot of the durable
/// state need no look at the disk. Called under the partition's lock. A crash leaves the last snapshot and the batches after it.
/// </summary>
internal sealed class ProducerState
{
    private const int FirstUndos = 16;
    private readonly UnstableTransactions _transactions = new();
    private Dictionary<long, Producer>? _producers;

    // A ring of what unsettled batches have changed, oldest first. As many as there are batches that wait for their flush.
    private Undo[] _undos = [];
    private int _firstUndo;
    private int _undoCount;

    // Producers of whom all that was known is lost. What they had sent behind it may still come: it is not the first of somebody unknown.
    private Dictionary<long, Lost>? _lost;

    public int Count => _producers?.Count ?? 0;

    public IEnumerable<Producer> All => _producers?.Values ?? Enumerable.Empty<Producer>();

    /// <summary>Whether no transaction is open or has ended lately.</summary>
    public bool IsStable => _transactions.IsEmpty;

    /// <summary>The first offset of a transaction whose end isn't below <paramref name="highWatermark"/>; null if there is none.</summary>
    public long? FirstUnstable(long highWatermark) => _transactions.FirstUnstable(highWatermark);

    public Producer? Find(long producerId) =>
        _producers is not null && _producers.TryGetValue(producerId, out Producer producer) ? producer : null;

    /// <summary>Whether the batch may be appended; for a duplicate, where the original is.</summary>
    public SequenceCheck Check(RecordBatch batch, out long originalBase, out long originalLast)
    {
        originalBase = originalLast = -1;
        if (batch.ProducerId < 0 || _producers is null)
        {
            return SequenceCheck.Accepted;
        }
        ref Producer producer = ref CollectionsMarshal.GetValueRefOrNullRef(_producers, batch.ProducerId);
        if (Unsafe.IsNullRef(ref producer))
        {
            return _lost is not null && _lost.TryGetValue(batch.ProducerId, out Lost lost) ? lost.Check(batch) : SequenceCheck.Accepted;
        }
        if (batch.ProducerEpoch < producer.Epoch)
        {
            return SequenceCheck.StaleEpoch;
        }
        if (batch.IsControl)
        {
            return SequenceCheck.Accepted;
        }
        bool isOutside = producer.TransactionStart >= 0 && !batch.IsTransactional;
        if (batch.BaseSequence < 0)
        {
            return isOutside ? SequenceCheck.OutsideTransaction : SequenceCheck.Accepted;
        }
        if (batch.ProducerEpoch > producer.Epoch)
        {
            return batch.BaseSequence != 0 ? SequenceCheck.OutOfOrder
                : isOutside ? SequenceCheck.OutsideTransaction
                : SequenceCheck.Accepted;
        }
        if (producer.TryFind(batch.BaseSequence, batch.LastSequence, out originalBase, out originalLast))
        {
            return SequenceCheck.Duplicate;
        }
        int expected = producer.LastSequence < 0 ? 0 : Sequence.Add(producer.LastSequence, 1);
        return batch.BaseSequence != expected ? SequenceCheck.OutOfOrder
            : isOutside ? SequenceCheck.OutsideTransaction
            : SequenceCheck.Accepted;
    }

    /// <summary>
    /// Whether a marker may be appended. Each decision of the coordinator has an epoch of its own, so the same one again is a repetition,
    /// and it can't end the producer's next transaction.
    /// </summary>
    /// <param name="first">Where the transaction began that it ends, −1 if the producer has none open.</param>
    public MarkerCheck Check(in TransactionMarker marker, out long first)
    {
        first = -1;
        if (Find(marker.ProducerId) is not { } producer)
        {
            return MarkerCheck.Accepted;
        }
        if (marker.ProducerEpoch < producer.Epoch || marker.CoordinatorEpoch < producer.CoordinatorEpoch)
        {
            return MarkerCheck.Stale;
        }
        first = producer.TransactionStart;
        return marker.CoordinatorEpoch == producer.CoordinatorEpoch ? MarkerCheck.Done : MarkerCheck.Accepted;
    }

    /// <summary>Records a batch that was appended.</summary>
    /// <param name="batch">The batch.</param>
    /// <param name="baseOffset">Its offset.</param>
    /// <param name="nowMs">When, Unix ms, for expiry.</param>
    /// <param name="isDurable">False if it may yet be lost: then it can be reverted until it is settled.</param>
    public void Apply(RecordBatch batch, long baseOffset, long nowMs, bool isDurable)
    {
        if (batch.ProducerId < 0)
        {
            return;
        }
        _producers ??= [];
        ref Producer producer = ref CollectionsMarshal.GetValueRefOrAddDefault(_producers, batch.ProducerId, out bool exists);
        if (!exists)
        {
            producer = new Producer(batch.ProducerId, batch.ProducerEpoch);
            _lost?.Remove(batch.ProducerId);
        }
        int baseSequence = !batch.IsControl ? batch.BaseSequence : -1;
        ProducerChange change = producer.Add(batch.ProducerEpoch, baseSequence, batch.LastOffsetDelta, baseOffset, nowMs);
        if (batch.IsTransactional)
        {
            FollowTransaction(ref producer, batch, baseOffset);
        }
        if (!isDurable)
        {
            AddUndo(new Undo(baseOffset, batch.ProducerId, !exists, change));
        }
    }

    private void FollowTransaction(ref Producer producer, RecordBatch batch, long baseOffset)
    {
        long open = producer.TransactionStart;
        if (ControlBatch.TryRead(batch, out ControlBatch marker))
        {
            producer.EndTransaction(marker.CoordinatorEpoch);
            if (open >= 0)
            {
                _transactions.End(producer.Id, open, baseOffset);
            }
        }
        else if (!batch.IsControl && open < 0)
        {
            producer.BeginTransaction(baseOffset);
            _transactions.Begin(producer.Id, baseOffset);
        }
    }

    /// <summary>Batches below <paramref name="flushedEnd"/> are durable.</summary>
    public void Settle(long flushedEnd)
    {
        while (_undoCount > 0 && _undos[_firstUndo].Offset < flushedEnd)
        {
            _firstUndo = (_firstUndo + 1) & (_undos.Length - 1);
            _undoCount--;
        }
    }

    /// <summary>Takes back all batches that are not settled.</summary>
    public void Revert()
    {
        long lostFrom = _undoCount > 0 ? _undos[_firstUndo].Offset : long.MaxValue;
        while (_undoCount > 0)
        {
            Undo undo = _undos[(_firstUndo + --_undoCount) & (_undos.Length - 1)];
            if (undo.IsNew)
            {
                if (_producers!.Remove(undo.ProducerId, out Producer first) && first.BatchCount > 0)
                {
                    (_lost ??= [])[undo.ProducerId] = new Lost(first.Epoch, first.At(0).BaseSequence, first.LastTimestamp);
                }
                continue;
            }
            ref Producer producer = ref CollectionsMarshal.GetValueRefOrNullRef(_producers!, undo.ProducerId);
            if (!Unsafe.IsNullRef(ref producer))
            {
                producer.TakeBack(undo.Change);
            }
        }
        if (!_transactions.IsEmpty)
        {
            _transactions.Rebuild(All, lostFrom);
        }
    }

    /// <summary>The producers as they would be after <see cref="Revert"/>.</summary>
    public List<Producer> Settled()
    {
        Dictionary<long, Producer>? changed = null;
        for (int age = _undoCount - 1; age >= 0; age--)
        {
            Undo undo = _undos[(_firstUndo + age) & (_undos.Length - 1)];
            changed ??= [];
            ref Producer before = ref CollectionsMarshal.GetValueRefOrAddDefault(changed, undo.ProducerId, out bool exists);
            if (!exists && !_producers!.TryGetValue(undo.ProducerId, out before))
            {
                continue;
            }
            before.TakeBack(undo.Change);
            before.IsNew = undo.IsNew;
        }
        var settled = new List<Producer>(Count);
        foreach (Producer producer in All)
        {
            if (changed is null || !changed.TryGetValue(producer.Id, out Producer before))
            {
                settled.Add(producer);
            }
            else if (!before.IsNew)
            {
                settled.Add(before);
            }
        }
        return settled;
    }

    /// <summary>Puts a producer in as a snapshot has it.</summary>
    public void Restore(Producer producer)
    {
        (_producers ??= [])[producer.Id] = producer;
        if (producer.TransactionStart >= 0)
        {
            _transactions.Begin(producer.Id, producer.TransactionStart);
        }
    }

    /// <summary>Forgets producers that were idle since before <paramref name="beforeMs"/> and have no transaction open.</summary>
    public void Expire(long beforeMs)
    {
        foreach ((long id, Producer producer) in _producers ?? [])
        {
            if (producer.LastTimestamp < beforeMs && producer.TransactionStart < 0)
            {
                _producers!.Remove(id);
            }
        }
        foreach ((long id, Lost lost) in _lost ?? [])
        {
            if (lost.Timestamp < beforeMs)
            {
                _lost!.Remove(id);
            }
        }
    }

    public void Clear()
    {
        _producers = null;
        _lost = null;
        _undoCount = 0;
        _transactions.Clear();
    }

    private void AddUndo(Undo undo)
    {
        if (_undoCount == _undos.Length)
        {
            var larger = new Undo[Math.Max(FirstUndos, 2 * _undoCount)];
            for (int i = 0; i < _undoCount; i++)
            {
                larger[i] = _undos[(_firstUndo + i) & (_undos.Length - 1)];
            }
            _undos = larger;
            _firstUndo = 0;
        }
        _undos[(_firstUndo + _undoCount++) & (_undos.Length - 1)] = undo;
    }

    private readonly record struct Undo(long Offset, long ProducerId, bool IsNew, ProducerChange Change);

    /// <summary>Where a producer must go on whose first batch was lost.</summary>
    private readonly record struct Lost(short Epoch, int Sequence, long Timestamp)
    {
        public SequenceCheck Check(RecordBatch batch)
        {
            if (batch.ProducerEpoch < Epoch)
            {
                return SequenceCheck.StaleEpoch;
            }
            int expected = batch.ProducerEpoch > Epoch ? 0 : Sequence;
            return batch.IsControl || batch.BaseSequence < 0 || batch.BaseSequence == expected
                ? SequenceCheck.Accepted
                : SequenceCheck.OutOfOrder;
        }
    }
}

/// <summary>What a batch has overwritten in its producer's state.</summary>
internal readonly record struct ProducerChange(
    ProducerBatch Overwritten, short Epoch, byte Next, byte BatchCount, long LastOffset, long LastTimestamp, bool HasBatch,
    long TransactionStart, int CoordinatorEpoch);

/// <summary>One producer: its epoch, its last five batches in a ring, and its open transaction.</summary>
internal struct Producer(long id, short epoch)
{
    /// <summary>As many as an idempotent producer may have in flight (KIP-98).</summary>
    public const int MaxBatches = 5;

    private Batches _batches;
    private byte _next;
    private byte _count;

    public long Id { get; } = id;

    public short Epoch { get; private set; } = epoch;

    /// <summary>It is known of by batches only that are not durable. Set by <see cref="ProducerState.Settled"/>.</summary>
    public bool IsNew { get; set; }

    /// <summary>Batches remembered of this epoch.</summary>
    public readonly int BatchCount => _count;

    /// <summary>Sequence of the last record, −1 if this epoch has none.</summary>
    public readonly int LastSequence => _count == 0 ? -1 : At(0).LastSequence;

    /// <summary>Offset of the last record, −1 if none.</summary>
    public long LastOffset { get; private set; } = -1;

    /// <summary>Unix ms of the last append.</summary>
    public long LastTimestamp { get; private set; }

    /// <summary>Offset of the first batch of its open transaction, −1 if none is open.</summary>
    public long TransactionStart { get; private set; } = -1;

    /// <summary>The coordinator's epoch of the last marker, −1 if there was none.</summary>
    public int CoordinatorEpoch { get; private set; } = -1;

    public readonly ProducerSummary Summary =>
        new(Id, Epoch, LastSequence, LastOffset, LastTimestamp, TransactionStart, CoordinatorEpoch);

    public readonly bool TryFind(int baseSequence, int lastSequence, out long baseOffset, out long lastOffset)
    {
        for (int age = 0; age < _count; age++)
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
    public readonly ProducerBatch At(int age) => _batches[(_next + (2 * MaxBatches) - 1 - age) % MaxBatches];

    /// <returns>What <see cref="TakeBack"/> needs.</returns>
    public ProducerChange Add(short epoch, int baseSequence, int lastDelta, long baseOffset, long nowMs)
    {
        var change = new ProducerChange(
            _batches[_next], Epoch, _next, _count, LastOffset, LastTimestamp, baseSequence >= 0, TransactionStart, CoordinatorEpoch);
        if (epoch > Epoch)
        {
            Epoch = epoch;
            _count = 0;
        }
        if (baseSequence >= 0)
        {
            _batches[_next] = new ProducerBatch(baseSequence, lastDelta, baseOffset);
            _next = (byte)((_next + 1) % MaxBatches);
            _count = (byte)Math.Min(MaxBatches, _count + 1);
        }
        LastOffset = baseOffset + lastDelta;
        LastTimestamp = nowMs;
        return change;
    }

    /// <summary>Takes the latest batch back that was not taken back yet.</summary>
    public void TakeBack(in ProducerChange change)
    {
        (Epoch, _next, _count, LastOffset, LastTimestamp, TransactionStart, CoordinatorEpoch) =
            (change.Epoch, change.Next, change.BatchCount, change.LastOffset, change.LastTimestamp, change.TransactionStart,
                change.CoordinatorEpoch);
        if (change.HasBatch)
        {
            _batches[_next] = change.Overwritten;
        }
    }

    /// <summary>A transaction begins with the batch that was just added.</summary>
    public void BeginTransaction(long firstOffset) => TransactionStart = firstOffset;

    /// <summary>Its transaction, if one is open, ends with the marker that was just added.</summary>
    public void EndTransaction(int coordinatorEpoch)
    {
        TransactionStart = -1;
        CoordinatorEpoch = Math.Max(CoordinatorEpoch, coordinatorEpoch);
    }

    /// <summary>Sets what follows from no remembered batch.</summary>
    public void SetLast(long lastOffset, long lastTimestamp, long transactionStart, int coordinatorEpoch)
    {
        LastOffset = lastOffset;
        LastTimestamp = lastTimestamp;
        TransactionStart = transactionStart;
        CoordinatorEpoch = coordinatorEpoch;
    }

    [InlineArray(MaxBatches)]
    private struct Batches
    {
        private ProducerBatch _first;
    }
}

/// <summary>A batch as its producer's state remembers it.</summary>
internal readonly record struct ProducerBatch(int BaseSequence, int LastDelta, long BaseOffset)
{
    public readonly int LastSequence => Sequence.Add(BaseSequence, LastDelta);
}
