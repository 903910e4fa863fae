using System.Buffers;
using Tributary.Contracts.Records;
using Tributary.Edge.Buffer;
using Tributary.Edge.Mqtt.Sessions;
using Tributary.Log;

namespace Tributary.Edge.Uplink;

/// <summary>The local log, as far as the uplink needs it.</summary>
internal interface IUplinkSource
{
    /// <summary>The first offset that can be read.</summary>
    long StartOffset { get; }

    /// <summary>The offset after the last durable record.</summary>
    long FlushedEnd { get; }

    /// <inheritdoc cref="PartitionLog.Read"/>
    LogRead Read(long offset, int maxBytes, long upTo);

    /// <inheritdoc cref="PartitionLog.AdvanceStart"/>
    void AdvanceStart(long offset);

    /// <inheritdoc cref="PartitionLog.ReportDamage"/>
    void ReportDamage(long offset);

    /// <inheritdoc cref="PartitionLog.SaveBeside"/>
    void SaveBeside(Action save);
}

/// <summary>A local partition's log.</summary>
/// <param name="log">The log.</param>
/// <param name="hold">What may keep it from being trimmed; null for nothing.</param>
internal sealed class LogSource(PartitionLog log, TrimHold? hold = null) : IUplinkSource
{
    /// <inheritdoc/>
    public long StartOffset => log.StartOffset;

    /// <inheritdoc/>
    public long FlushedEnd => log.FlushedEnd;

    /// <inheritdoc/>
    public LogRead Read(long offset, int maxBytes, long upTo) => log.Read(offset, maxBytes, upTo);

    /// <inheritdoc/>
    public void AdvanceStart(long offset)
    {
        if (hold is null)
        {
            log.AdvanceStart(offset);
            return;
        }
        hold.Advance(offset);
    }

    /// <inheritdoc/>
    public void ReportDamage(long offset) => log.ReportDamage(offset);

    /// <inheritdoc/>
    public void SaveBeside(Action save) => log.SaveBeside(save);
}

/// <summary>Sees the records of a scan, one by one.</summary>
internal interface IRecordVisitor
{
    /// <summary>Takes a record. <paramref name="timestamp"/> is Unix milliseconds.</summary>
    /// <returns>False to end the scan before this record.</returns>
    bool Visit(long offset, long timestamp, in Record record);
}

/// <summary>Where a scan ended.</summary>
/// <param name="Next">The first offset that was not visited.</param>
/// <param name="HoleEnd">Above <paramref name="Next"/> if nothing can be read from there up to here; else equal to it.</param>
/// <param name="IsCorrupt">Whether the hole is a batch that was stored and does not match its checksum.</param>
internal readonly record struct ScanEnd(long Next, long HoleEnd, bool IsCorrupt);

/// <summary>
/// Reads the records of a range of the local log in order, batch by batch, and checks each batch's CRC first: whoever re-encodes must
/// not launder damaged bytes. Stops at the first hole. Not safe for concurrent use; keeps its buffers between scans.
/// </summary>
/// <param name="source">The log.</param>
/// <param name="readBytes">Bytes of a read, about.</param>
/// <param name="keepsReceipts">Whether records keep the header by which QoS 2 messages are found again; it never leaves the agent.</param>
internal sealed class RecordScanner(IUplinkSource source, int readBytes, bool keepsReceipts = false) : IDisposable
{
    private const int MaxDecompressedBytes = 256 << 20;
    private byte[] _contiguous = [];
    private byte[]? _decompressed;

    /// <summary>Visits the records from <paramref name="from"/> up to (not including) <paramref name="upTo"/>, which must be flushed.</summary>
    /// <exception cref="IOException">The log can't be read at the moment.</exception>
    public ScanEnd Scan(long from, long upTo, IRecordVisitor visitor)
    {
        long at = from;
        while (at < upTo)
        {
            if (at < source.StartOffset)
            {
                return new ScanEnd(at, Math.Min(upTo, source.StartOffset), IsCorrupt: false);
            }
            LogRead read;
            try
            {
                read = source.Read(at, readBytes, source.FlushedEnd);
            }
            catch (OffsetOutOfRangeException) when (at < source.StartOffset)
            {
                continue;
            }
            using (read)
            {
                if (read.Size == 0)
                {
                    return read.NextOffset > at
                        ? new ScanEnd(at, Math.Min(upTo, read.NextOffset), IsCorrupt: false)
                        : throw new IOException($"the log gave nothing at offset {at} although it ends at {source.FlushedEnd}");
                }
                if (!ScanBatches(Contiguous(read), ref at, upTo, visitor, out ScanEnd end))
                {
                    return end;
                }
            }
        }
        return new ScanEnd(at, at, IsCorrupt: false);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_contiguous.Length > 0)
        {
            ArrayPool<byte>.Shared.Return(_contiguous);
            _contiguous = [];
        }
        if (_decompressed is not null)
        {
            ArrayPool<byte>.Shared.Return(_decompressed);
            _decompressed = null;
        }
    }

    private bool ScanBatches(ReadOnlySpan<byte> bytes, ref long at, long upTo, IRecordVisitor visitor, out ScanEnd end)
    {
        while (at < upTo && !bytes.IsEmpty)
        {
            BatchStatus status = RecordBatch.TryRead(bytes, out RecordBatch batch);
            if (status != BatchStatus.Ok)
            {
                throw new IOException($"the log gave bytes at offset {at} that are no batch ({status})");
            }
            bytes = bytes[batch.Size..];
            if (batch.BaseOffset > at)
            {
                end = new ScanEnd(at, Math.Min(upTo, batch.BaseOffset), IsCorrupt: false);
                return false;
            }
            if (batch.NextOffset <= at)
            {
                continue;
            }
            if (!ScanBatch(batch, ref at, upTo, visitor, out end))
            {
                return false;
            }
        }
        end = default;
        return true;
    }

    private bool ScanBatch(in RecordBatch batch, ref long at, long upTo, IRecordVisitor visitor, out ScanEnd end)
    {
        if (!batch.IsCrcValid() || !TryPayload(batch, out ReadOnlySpan<byte> payload))
        {
            end = new ScanEnd(at, Math.Min(upTo, batch.NextOffset), IsCorrupt: true);
            return false;
        }
        var reader = new RecordReader(payload, batch.RecordCount);
        while (reader.Read(out Record record))
        {
            long offset = batch.BaseOffset + record.OffsetDelta;
            if (offset < at)
            {
                continue;
            }
            if (offset >= upTo
                || !visitor.Visit(offset, batch.BaseTimestamp + record.TimestampDelta, keepsReceipts ? record : ReceiptHeader.Strip(record)))
            {
                end = new ScanEnd(at, at, IsCorrupt: false);
                return false;
            }
            at = offset + 1;
        }
        if (reader.IsMalformed)
        {
            end = new ScanEnd(at, Math.Min(upTo, batch.NextOffset), IsCorrupt: true);
            return false;
        }
        at = Math.Min(upTo, batch.NextOffset);
        end = default;
        return true;
    }

    private bool TryPayload(in RecordBatch batch, out ReadOnlySpan<byte> payload)
    {
        payload = batch.Payload;
        if (batch.Codec == CompressionCodec.None)
        {
            return true;
        }
        try
        {
            int size = Compression.Decompress(batch.Codec, batch.Payload, ref _decompressed, MaxDecompressedBytes);
            payload = _decompressed.AsSpan(0, size);
            return true;
        }
        catch (Exception e) when (e is InvalidDataException or NotSupportedException)
        {
            return false;
        }
    }

    private ReadOnlySpan<byte> Contiguous(LogRead read)
    {
        ReadOnlySequence<byte> bytes = read.Bytes;
        if (bytes.IsSingleSegment)
        {
            return bytes.FirstSpan;
        }
        if (_contiguous.Length < bytes.Length)
        {
            if (_contiguous.Length > 0)
            {
                ArrayPool<byte>.Shared.Return(_contiguous);
            }
            _contiguous = ArrayPool<byte>.Shared.Rent((int)bytes.Length);
        }
        bytes.CopyTo(_contiguous);
        return _contiguous.AsSpan(0, (int)bytes.Length);
    }
}
