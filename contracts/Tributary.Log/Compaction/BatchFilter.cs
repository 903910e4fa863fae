using System.Buffers;
using System.Buffers.Binary;
using Tributary.Contracts.Records;

namespace Tributary.Log.Compaction;

/// <summary>What becomes of a batch.</summary>
internal enum BatchFate
{
    /// <summary>It stays, byte for byte.</summary>
    Kept,

    /// <summary>Other bytes take its place, over the same offsets.</summary>
    Rewritten,

    /// <summary>Nothing is left of it.</summary>
    Removed,
}

/// <summary>What a round of compaction goes by.</summary>
internal sealed record FilterRules
{
    /// <summary>The last offset of each key up to <see cref="MappedEnd"/>.</summary>
    public required KeyMap Keys { get; init; }

    /// <summary>Records from here on stay: no later value of their key is known.</summary>
    public required long MappedEnd { get; init; }

    /// <summary>Up to here a round before was done: delete horizons below were set by it and no producer.</summary>
    public required long CleanOffset { get; init; }

    public required AbortedRanges Aborted { get; init; }

    /// <summary>The producers that are known, who must be known again when all is made anew from the log.</summary>
    public required IReadOnlyDictionary<long, Producer> Producers { get; init; }

    /// <summary>Markers from here on stay: what they ended may still be read as it was.</summary>
    public required long MarkersFrom { get; init; }

    /// <summary>Unix ms.</summary>
    public required long NowMs { get; init; }

    /// <summary>What tombstones and markers get that have no delete horizon yet, Unix ms.</summary>
    public required long HorizonMs { get; init; }
}

/// <summary>
/// Decides for each batch of a log, from its start on and in order, which of its records stay (KIP-58, KIP-534): the last of each key, no
/// aborted ones, and tombstones and markers until their delete horizon. A marker stays as long as any batch of its transaction does, and
/// whatever its producer's state follows from stays too, without its records. What can't be decoded stays as it is. Used by one thread; its
/// buffers grow to the largest batch.
/// </summary>
internal sealed class BatchFilter(FilterRules rules) : IDisposable
{
    /// <summary>Most bytes that a batch may decompress to.</summary>
    public const int MaxDecompressedBytes = 256 << 20;

    // Producers of whose transaction that is not yet ended there was a batch on the way.
    private readonly HashSet<long> _inTransaction = [];
    private byte[]? _decompressed;
    private byte[]? _encoded;
    private byte[]? _compressed;
    private bool[] _stays = [];

    /// <summary>The latest delete horizon of what stays, 0 if there is none that lies ahead.</summary>
    public long LatestHorizonMs { get; private set; }

    /// <summary>Records that were taken out.</summary>
    public long RemovedRecords { get; private set; }

    /// <param name="batch">The next batch, whose checksum is right.</param>
    /// <param name="bytes">What takes its place; valid until the next call.</param>
    public BatchFate Filter(RecordBatch batch, out ReadOnlySpan<byte> bytes)
    {
        bytes = batch.Bytes;
        if (batch.BaseOffset >= rules.MappedEnd)
        {
            return BatchFate.Kept;
        }
        if (batch.IsControl)
        {
            return FilterMarker(batch, ref bytes);
        }
        if (batch.IsTransactional)
        {
            _inTransaction.Add(batch.ProducerId);
        }
        bool isAborted = batch.IsTransactional && rules.Aborted.Contain(batch.ProducerId, batch.BaseOffset);
        if (isAborted || batch.RecordCount == 0)
        {
            return RemoveRecords(batch, ref bytes);
        }
        if (!TryPayload(batch, out ReadOnlySpan<byte> payload) || !TryChoose(batch, payload, out int stay, out bool hasTombstone))
        {
            return BatchFate.Kept;
        }
        if (stay == 0)
        {
            return RemoveRecords(batch, ref bytes);
        }
        bool isWhole = batch.NextOffset <= rules.MappedEnd;
        long? horizon = hasTombstone && isWhole && HorizonOf(batch) is null ? rules.HorizonMs : null;
        if (hasTombstone && isWhole)
        {
            NoteHorizon(HorizonOf(batch) ?? rules.HorizonMs);
        }
        if (stay == batch.RecordCount && horizon is null)
        {
            return BatchFate.Kept;
        }
        RemovedRecords += batch.RecordCount - stay;
        bytes = Encode(batch, payload, stay, horizon);
        return BatchFate.Rewritten;
    }

    /// <summary>Gives the buffers back.</summary>
    public void Dispose()
    {
        Return(ref _decompressed);
        Return(ref _encoded);
        Return(ref _compressed);
        if (_stays.Length > 0)
        {
            ArrayPool<bool>.Shared.Return(_stays);
            _stays = [];
        }
    }

    private BatchFate FilterMarker(RecordBatch batch, ref ReadOnlySpan<byte> bytes)
    {
        if (!ControlBatch.TryRead(batch, out ControlBatch marker))
        {
            return batch.RecordCount > 0 ? BatchFate.Kept : BatchFate.Removed;
        }
        if (_inTransaction.Remove(batch.ProducerId) || batch.NextOffset > rules.MappedEnd)
        {
            return BatchFate.Kept; // without it the transaction would be open again
        }
        long? horizon = HorizonOf(batch);
        bool isLast = rules.Producers.TryGetValue(batch.ProducerId, out Producer producer)
            && (producer.CoordinatorEpoch == marker.CoordinatorEpoch || producer.LastOffset == batch.LastOffset);
        if (!isLast && horizon <= rules.NowMs && batch.BaseOffset < rules.MarkersFrom)
        {
            RemovedRecords++;
            return BatchFate.Removed;
        }
        NoteHorizon(horizon ?? rules.HorizonMs);
        if (horizon is not null)
        {
            return BatchFate.Kept;
        }
        _stays = Grow(_stays, 1);
        _stays[0] = true;
        bytes = Encode(batch, batch.Payload, 1, rules.HorizonMs);
        return BatchFate.Rewritten;
    }

    /// <summary>No record stays; what the producer's state follows from does.</summary>
    private BatchFate RemoveRecords(RecordBatch batch, ref ReadOnlySpan<byte> bytes)
    {
        RemovedRecords += batch.RecordCount;
        if (!IsRemembered(batch))
        {
            return BatchFate.Removed;
        }
        if (batch.RecordCount == 0)
        {
            return BatchFate.Kept;
        }
        RecordEncoding.Reserve(ref _encoded, 0, EmptyBatch.Size);
        EmptyBatch.WriteRest(_encoded, batch);
        bytes = _encoded.AsSpan(0, EmptyBatch.Size);
        return BatchFate.Rewritten;
    }

    private bool IsRemembered(RecordBatch batch) => batch.ProducerId >= 0
        && rules.Producers.TryGetValue(batch.ProducerId, out Producer producer)
        && (producer.LastOffset == batch.LastOffset
            || (batch.BaseSequence >= 0 && batch.ProducerEpoch == producer.Epoch
                && producer.TryFind(batch.BaseSequence, batch.LastSequence, out long baseOffset, out _) && baseOffset == batch.BaseOffset));

    /// <summary>The delete horizon that a round before has set, null if none has.</summary>
    private long? HorizonOf(RecordBatch batch) =>
        (batch.Attributes & BatchAttributes.DeleteHorizon) != 0 && batch.NextOffset <= rules.CleanOffset ? batch.BaseTimestamp : null;

    private void NoteHorizon(long horizonMs)
    {
        if (horizonMs > rules.NowMs)
        {
            LatestHorizonMs = Math.Max(LatestHorizonMs, horizonMs);
        }
    }

    private bool TryPayload(RecordBatch batch, out ReadOnlySpan<byte> payload)
    {
        payload = batch.Payload;
        if (batch.Codec == CompressionCodec.None)
        {
            return true;
        }
        try
        {
            int size = Compression.Decompress(batch.Codec, payload, ref _decompressed, MaxDecompressedBytes);
            payload = _decompressed.AsSpan(0, size);
            return true;
        }
        catch (Exception e) when (e is InvalidDataException or NotSupportedException)
        {
            return false;
        }
    }

    /// <summary>Says of each record whether it stays.</summary>
    /// <returns>False if the records can't be read.</returns>
    private bool TryChoose(RecordBatch batch, ReadOnlySpan<byte> payload, out int stay, out bool hasTombstone)
    {
        (stay, hasTombstone) = (0, false);
        _stays = Grow(_stays, batch.RecordCount);
        bool isExpired = HorizonOf(batch) <= rules.NowMs;
        var reader = new RecordReader(payload, batch.RecordCount);
        int at = 0;
        for (; reader.Read(out Record record); at++)
        {
            long offset = batch.BaseOffset + record.OffsetDelta;
            bool stays = offset >= rules.MappedEnd
                || (record.HasKey && rules.Keys.Get(record.Key) <= offset && (record.HasValue || !isExpired));
            _stays[at] = stays;
            stay += stays ? 1 : 0;
            hasTombstone |= stays && !record.HasValue;
        }
        return !reader.IsMalformed && at == batch.RecordCount;
    }

    /// <summary>The batch with the records that stay, and perhaps with a delete horizon, which the timestamps then count from.</summary>
    private ReadOnlySpan<byte> Encode(RecordBatch batch, ReadOnlySpan<byte> payload, int stay, long? horizon)
    {
        long baseTimestamp = horizon ?? batch.BaseTimestamp;
        long moved = unchecked(batch.BaseTimestamp - baseTimestamp);
        long maxTimestamp = long.MinValue;
        int size = BatchLayout.HeaderSize;
        var reader = new RecordReader(payload, batch.RecordCount);
        for (int at = 0; reader.Read(out Record record); at++)
        {
            if (!_stays[at])
            {
                continue;
            }
            maxTimestamp = Math.Max(maxTimestamp, unchecked(batch.BaseTimestamp + record.TimestampDelta));
            size = RecordEncoding.Write(ref _encoded, size, record, unchecked(record.TimestampDelta + moved));
        }
        byte[] bytes = _encoded!;
        if (batch.Codec != CompressionCodec.None)
        {
            ReadOnlySpan<byte> records = _encoded.AsSpan(BatchLayout.HeaderSize..size);
            size = Compression.Compress(batch.Codec, records, ref _compressed, BatchLayout.HeaderSize, level: 0);
            bytes = _compressed!;
        }
        Span<byte> to = bytes.AsSpan(0, size);
        batch.Bytes[..BatchLayout.HeaderSize].CopyTo(to);
        BinaryPrimitives.WriteInt32BigEndian(to[BatchLayout.Length..], size - BatchLayout.LengthOverhead);
        BatchAttributes attributes = batch.Attributes | (horizon is null ? BatchAttributes.None : BatchAttributes.DeleteHorizon);
        BinaryPrimitives.WriteInt16BigEndian(to[BatchLayout.Attributes..], (short)attributes);
        BinaryPrimitives.WriteInt64BigEndian(to[BatchLayout.BaseTimestamp..], baseTimestamp);
        BinaryPrimitives.WriteInt64BigEndian(
            to[BatchLayout.MaxTimestamp..], (batch.Attributes & BatchAttributes.LogAppendTime) != 0 ? batch.MaxTimestamp : maxTimestamp);
        BinaryPrimitives.WriteInt32BigEndian(to[BatchLayout.RecordCount..], stay);
        BinaryPrimitives.WriteUInt32BigEndian(to[BatchLayout.Crc..], Crc32C.Compute(to[BatchLayout.Attributes..]));
        return to;
    }

    private static bool[] Grow(bool[] stays, int count)
    {
        if (stays.Length >= count)
        {
            return stays;
        }
        if (stays.Length > 0)
        {
            ArrayPool<bool>.Shared.Return(stays);
        }
        return ArrayPool<bool>.Shared.Rent(count);
    }

    private static void Return(ref byte[]? buffer)
    {
        if (buffer is not null)
        {
            ArrayPool<byte>.Shared.Return(buffer);
            buffer = null;
        }
    }
}
