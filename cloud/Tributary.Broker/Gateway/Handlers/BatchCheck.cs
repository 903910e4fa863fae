using System.Buffers;
using System.Buffers.Binary;
using Tributary.Broker.Partitions;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Records;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>
/// What a produced batch must be before it is appended: every consumer will have to read it. The CRC only says that the bytes are those
/// that were sent, so the records are walked, down to their headers; those of a compressed batch are decompressed for it, into pooled
/// memory and no further than a limit.
/// </summary>
internal static class BatchCheck
{
    private const short ZstdSince = 7;

    /// <summary>Checks the records of one partition of a Produce request.</summary>
    /// <param name="records">The field as it came.</param>
    /// <param name="version">Version of the request.</param>
    /// <param name="settings">Configs of the topic.</param>
    /// <param name="nowMs">The broker's time, Unix milliseconds.</param>
    /// <param name="maxDecompressedBytes">Most bytes that compressed records may have.</param>
    /// <param name="batch">The batch, when there is no error.</param>
    /// <param name="message">What is wrong, for the client.</param>
    /// <param name="recordFaults">What is wrong with single records, null if nothing is.</param>
    public static ErrorCode Check(
        ReadOnlySpan<byte> records, short version, TopicSettings settings, long nowMs, int maxDecompressedBytes, out RecordBatch batch,
        out string? message, out List<RecordFault>? recordFaults)
    {
        message = null;
        recordFaults = null;
        BatchStatus status = RecordBatch.TryRead(records, out batch);
        if (status != BatchStatus.Ok || batch.Size != records.Length)
        {
            return CheckShape(records, status, out message);
        }
        if (batch.Size > settings.MaxMessageBytes)
        {
            message = $"the batch has {batch.Size} bytes; max.message.bytes is {settings.MaxMessageBytes}";
            return ErrorCode.MessageTooLarge;
        }
        if (!batch.IsCrcValid())
        {
            message = "the batch fails its CRC";
            return ErrorCode.CorruptMessage;
        }
        ErrorCode error = CheckHeader(batch, version, out message);
        if (error != ErrorCode.None)
        {
            return error;
        }
        var rules = new RecordRules(settings, nowMs, batch.BaseTimestamp);
        if (FindFault(batch, maxDecompressedBytes, ref rules) is { } fault)
        {
            message = fault;
            return ErrorCode.InvalidRecord;
        }
        (recordFaults, message) = (rules.Faults, rules.Message);
        return rules.Error;
    }

    /// <summary>Stamps the broker's time on a batch, as <c>message.timestamp.type=LogAppendTime</c> asks for.</summary>
    public static void StampAppendTime(Span<byte> batch, long nowMs)
    {
        short attributes = BinaryPrimitives.ReadInt16BigEndian(batch[BatchLayout.Attributes..]);
        BinaryPrimitives.WriteInt16BigEndian(batch[BatchLayout.Attributes..], (short)(attributes | (short)BatchAttributes.LogAppendTime));
        BinaryPrimitives.WriteInt64BigEndian(batch[BatchLayout.MaxTimestamp..], nowMs);
        BinaryPrimitives.WriteUInt32BigEndian(batch[BatchLayout.Crc..], Crc32C.Compute(batch[BatchLayout.Attributes..]));
    }

    private static ErrorCode CheckShape(ReadOnlySpan<byte> records, BatchStatus status, out string message)
    {
        if (records.IsEmpty)
        {
            message = "a partition must come with exactly one record batch, and none is there";
            return ErrorCode.InvalidRecord;
        }
        if (status == BatchStatus.Ok)
        {
            message = "a partition must come with exactly one record batch, and more bytes follow it";
            return ErrorCode.InvalidRecord;
        }
        if (records.Length > BatchLayout.Magic && records[BatchLayout.Magic] != BatchLayout.CurrentMagic)
        {
            message = $"message format {(sbyte)records[BatchLayout.Magic]} is not served, only 2";
            return ErrorCode.InvalidRecord;
        }
        message = "the record batch is malformed or ends early";
        return ErrorCode.CorruptMessage;
    }

    private static ErrorCode CheckHeader(RecordBatch batch, short version, out string? message)
    {
        (ErrorCode error, message) = 0 switch
        {
            _ when batch.RecordCount <= 0 || batch.RecordCount - 1 != batch.LastOffsetDelta =>
                (ErrorCode.InvalidRecord, $"the batch says it has {batch.RecordCount} records and last offset delta {batch.LastOffsetDelta}"),
            _ when batch.IsControl => (ErrorCode.InvalidRecord, "clients may not write control records"),
            _ when batch.IsTransactional && batch.ProducerId < 0 => (ErrorCode.InvalidRecord, "a transactional batch needs a producer id"),
            _ when batch.Codec > CompressionCodec.Zstd =>
                (ErrorCode.UnsupportedCompressionType, $"compression codec {(byte)batch.Codec} is unknown"),
            _ when batch.Codec == CompressionCodec.Zstd && version < ZstdSince =>
                (ErrorCode.UnsupportedCompressionType, $"zstd needs Produce version {ZstdSince}"),
            _ when (batch.Attributes & BatchAttributes.LogAppendTime) != 0 =>
                (ErrorCode.InvalidTimestamp, "producers must send batches with CreateTime"),
            _ when batch.ProducerId >= 0 && (batch.BaseSequence < 0 || batch.ProducerEpoch < 0) =>
                (ErrorCode.InvalidRecord, "the batch has a producer id, and no epoch or sequence"),
            _ when batch.Codec != CompressionCodec.None && batch.Payload.IsEmpty => (ErrorCode.InvalidRecord, "the batch has no payload"),
            _ => (ErrorCode.None, (string?)null),
        };
        return error;
    }

    /// <returns>What is wrong with the batch's records, null if nothing is.</returns>
    private static string? FindFault(RecordBatch batch, int maxDecompressedBytes, ref RecordRules rules)
    {
        if (batch.Codec == CompressionCodec.None)
        {
            return FindFault(batch.Payload, batch.RecordCount, ref rules);
        }
        byte[]? decompressed = null;
        try
        {
            int size = Compression.Decompress(batch.Codec, batch.Payload, ref decompressed, maxDecompressedBytes);
            return FindFault(decompressed.AsSpan(0, size), batch.RecordCount, ref rules);
        }
        catch (InvalidDataException e)
        {
            return $"the batch's records can't be decompressed within {maxDecompressedBytes} bytes (broker:maxDecompressedBytes): "
                + e.Message;
        }
        finally
        {
            if (decompressed is not null)
            {
                ArrayPool<byte>.Shared.Return(decompressed);
            }
        }
    }

    private static string? FindFault(ReadOnlySpan<byte> records, int count, ref RecordRules rules)
    {
        var reader = new RecordReader(records, count);
        int expected = 0;
        while (reader.Read(out Record record))
        {
            if (record.OffsetDelta != expected)
            {
                return $"record {expected} of the batch has offset delta {record.OffsetDelta}";
            }
            HeaderReader headers = record.ReadHeaders();
            while (headers.Read(out _, out _, out _))
            {
                // Walked to its end.
            }
            if (headers.IsMalformed)
            {
                return $"the headers of record {expected} of the batch are malformed, or bytes follow them";
            }
            rules.Check(record, expected);
            expected++;
        }
        return !reader.IsMalformed && expected == count ? null
            : $"the batch says it has {count} records; behind {expected} the bytes are no record";
    }
}
