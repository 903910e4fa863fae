using System.Buffers;
using System.Buffers.Binary;
using Tributary.Contracts.Records;
using Tributary.Log;

namespace Tributary.Edge.Buffer;

/// <summary>When records of a log were stored.</summary>
internal static class StoredTime
{
    /// <summary>
    /// As <see cref="Clock.EdgeClock.Stamp"/> told it, null if it can't be read now. It is the time of the batch that holds the record: the
    /// messages of a batch were gathered between two flushes, so their own times differ by no more than that.
    /// </summary>
    public static long? Of(PartitionLog log, long offset)
    {
        try
        {
            using LogRead read = log.Read(offset, 1, log.FlushedEnd);
            Span<byte> header = stackalloc byte[BatchLayout.HeaderSize];
            if (read.Size < header.Length)
            {
                return null;
            }
            read.Bytes.Slice(0, header.Length).CopyTo(header);
            return BinaryPrimitives.ReadInt64BigEndian(header[BatchLayout.BaseTimestamp..]);
        }
        // Trimmed in between, or a disk that can't be read: then nothing is known at the moment.
        catch (Exception e) when (e is IOException or OffsetOutOfRangeException or ObjectDisposedException)
        {
            return null;
        }
    }
}
