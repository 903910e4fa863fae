using System.Buffers;
using Tributary.Contracts.Records;
using Tributary.Log;

namespace Tributary.Edge.Status;

/// <summary>
/// When the record at an offset was stored, remembered until another offset is asked for, so that a backlog that stands still is read
/// once. Callable from any thread.
/// </summary>
internal sealed class OldestRecord(PartitionLog log)
{
    private readonly Lock _lock = new();
    private long _offset = -1;
    private long? _timestamp;

    /// <summary>
    /// Unix milliseconds, null if it can't be read now. It is the time of the batch that holds the record: the messages of a batch were
    /// gathered between two flushes, so their own times differ by no more than that.
    /// </summary>
    public long? StoredAt(long offset)
    {
        lock (_lock)
        {
            if (offset == _offset && _timestamp is not null)
            {
                return _timestamp;
            }
            _offset = offset;
            _timestamp = Read(offset);
            return _timestamp;
        }
    }

    private long? Read(long offset)
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
            return System.Buffers.Binary.BinaryPrimitives.ReadInt64BigEndian(header[BatchLayout.BaseTimestamp..]);
        }
        // Trimmed in between, or a disk that can't be read: then nothing is known at the moment.
        catch (Exception e) when (e is IOException or OffsetOutOfRangeException or ObjectDisposedException)
        {
            return null;
        }
    }
}
