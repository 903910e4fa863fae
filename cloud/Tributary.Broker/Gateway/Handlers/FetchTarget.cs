using System.Buffers;
using Microsoft.Extensions.Logging;
using Tributary.Broker.Partitions;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Records;
using Tributary.Log;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>
/// One partition of a Fetch: what is asked, what is found, and in the end the batches read, which go into the response without a copy.
/// Owns its read until it is written or disposed. Used by one request.
/// </summary>
internal sealed class FetchTarget : RecordsSource, IDisposable
{
    /// <summary>Damaged batches that are made holes of for one fetch; more of them wait for the next one.</summary>
    private const int MaxDamaged = 16;

    private readonly FetchWish _wish;
    private LogRead? _read;
    private long _measuredTo;
    private long _measured;
    private int _size;

    /// <summary>Takes what the client asks of one partition.</summary>
    public FetchTarget(in FetchWish wish)
    {
        _wish = wish;
        _measuredTo = wish.Offset;
    }

    /// <summary>What the client asks.</summary>
    public ref readonly FetchWish Wish => ref _wish;

    /// <summary>Number of the partition.</summary>
    public int Index => _wish.Key.Partition;

    /// <summary>The partition, null if there is none: then <see cref="Error"/> says why.</summary>
    public Partition? Partition { get; init; }

    /// <summary>Whether only records of committed transactions, and of none, are asked for.</summary>
    public bool IsCommittedOnly { get; init; }

    /// <summary>What the client is told.</summary>
    public ErrorCode Error { get; set; }

    /// <summary>The high watermark when it was last looked at, −1 with an error.</summary>
    public long HighWatermark { get; private set; } = -1;

    /// <summary>The last stable offset when it was last looked at, −1 with an error.</summary>
    public long LastStableOffset { get; private set; } = -1;

    /// <summary>The log's start when it was last looked at, −1 with an error.</summary>
    public long StartOffset { get; private set; } = -1;

    /// <summary>Where the client's log departs from this one: it must cut its own there (KIP-595).</summary>
    public (int Epoch, long EndOffset)? Diverging { get; private set; }

    /// <summary>The aborted transactions that have part in what was read, if the client asks for committed records only.</summary>
    public IReadOnlyList<AbortedTransaction> Aborted { get; private set; } = [];

    /// <summary>Whether there are records to read.</summary>
    public bool HasRecords => Error == ErrorCode.None && Diverging is null && ReadableEnd > _wish.Offset;

    /// <summary>Whether more would exceed what is wanted of this partition.</summary>
    public bool IsFull { get; private set; }

    /// <inheritdoc/>
    public override int Size => _size;

    /// <summary>Looks where the partition is now.</summary>
    public void Look()
    {
        if (Error != ErrorCode.None)
        {
            return;
        }
        Partition partition = Partition!;
        LastStableOffset = partition.LastStableOffset; // before the high watermark, which only moves on
        HighWatermark = partition.HighWatermark;
        StartOffset = partition.Log.StartOffset;
        ErrorCode error = partition.Unavailable;
        if (error == ErrorCode.None)
        {
            error = TopicLookup.CheckEpoch(partition, _wish.ClientEpoch);
        }
        if (error == ErrorCode.None && (_wish.Offset < StartOffset || _wish.Offset > partition.Log.AppendedEnd))
        {
            error = ErrorCode.OffsetOutOfRange;
        }
        if (error == ErrorCode.None && _wish.LastFetchedEpoch >= 0)
        {
            error = CheckDivergence(partition);
        }
        if (error != ErrorCode.None)
        {
            Fail(error);
        }
    }

    /// <summary>
    /// Learns how many bytes there are to read, as far as it isn't known yet: what was measured before is not read again, however many
    /// small batches come until there are enough.
    /// </summary>
    /// <param name="most">More than this doesn't matter.</param>
    public long Measure(long most, ILogger logger)
    {
        while (HasRecords && !IsFull && _measured < most && _measuredTo < ReadableEnd)
        {
            long room = Math.Min(MaxBytes, most) - _measured;
            using LogRead? read = TryRead(_measuredTo, room, logger);
            if (read is null || read.NextOffset <= _measuredTo)
            {
                break;
            }
            _measured += read.Size;
            _measuredTo = read.NextOffset;
            IsFull = _measured >= MaxBytes;
        }
        return _measured;
    }

    /// <summary>Reads the batches.</summary>
    /// <param name="room">Most bytes; below 1 nothing is read unless it is <paramref name="first"/>.</param>
    /// <param name="first">Whether nothing was read of another partition: then one batch is read whatever its size (KIP-74).</param>
    public void Read(long room, bool first, ILogger logger)
    {
        if (!HasRecords || (!first && room < 1))
        {
            return;
        }
        long most = Math.Min(room, MaxBytes);
        LogRead? read = TryReadWhole(_wish.Offset, most, logger);
        for (long at = _wish.Offset; read is not null && HasNoRecord(read) && read.NextOffset < ReadableEnd && read.NextOffset > at;)
        {
            at = read.NextOffset;
            read.Dispose();
            read = TryReadWhole(at, most, logger);
        }
        if (read is null || read.Size == 0 || (!first && read.Size > most) || !TryFindAborted(read, logger))
        {
            read?.Dispose();
            return;
        }
        _read = read;
        _size = read.Size;
    }

    /// <inheritdoc/>
    public override void WriteTo(IBufferWriter<byte> output)
    {
        LogRead read = _read ?? throw new InvalidOperationException("the batches were written before");
        _read = null;
        ((ResponseFrame)output).Splice(read);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _read?.Dispose();
        _read = null;
        _size = 0;
    }

    /// <summary>What the client may see ends here.</summary>
    private long ReadableEnd => IsCommittedOnly ? LastStableOffset : HighWatermark;

    private int MaxBytes => Math.Max(_wish.MaxBytes, 0);

    private ErrorCode CheckDivergence(Partition partition)
    {
        if (partition.Log.EndOffsetForEpoch(_wish.LastFetchedEpoch) is not { } common)
        {
            return ErrorCode.OffsetOutOfRange;
        }
        if (common.Epoch < _wish.LastFetchedEpoch || common.EndOffset < _wish.Offset)
        {
            Diverging = common;
        }
        return ErrorCode.None;
    }

    /// <summary>
    /// Reads batches whose checksums fit. One that doesn't would hold its readers up for ever: it becomes a hole that they step over, with
    /// an event.
    /// </summary>
    private LogRead? TryReadWhole(long offset, long maxBytes, ILogger logger)
    {
        for (int tries = 0; ; tries++)
        {
            LogRead? read = TryRead(offset, maxBytes, logger);
            if (read is null || FindDamage(read) is not { } damaged)
            {
                return read;
            }
            read.Dispose();
            try
            {
                Partition!.Log.ReportDamage(damaged);
            }
            catch (IOException e)
            {
                Fail(TopicLookup.ReadFailure(Partition!, e, logger));
                return null;
            }
            if (tries == MaxDamaged)
            {
                Fail(ErrorCode.CorruptMessage);
                return null;
            }
        }
    }

    /// <returns>The offset of the first batch that is not what was written, null if all are.</returns>
    private static long? FindDamage(LogRead read)
    {
        if (!read.IsFromFile)
        {
            return null;
        }
        ReadOnlySpan<byte> rest = read.Bytes.FirstSpan;
        while (RecordBatch.TryRead(rest, out RecordBatch batch) == BatchStatus.Ok)
        {
            if (!batch.IsCrcValid())
            {
                return batch.BaseOffset;
            }
            rest = rest[batch.Size..];
        }
        return null;
    }

    /// <summary>
    /// Whether compaction has left nothing, or a hole is here. Some clients go on behind the last record that they got: one that gets batches
    /// without any asks for the same again.
    /// </summary>
    private static bool HasNoRecord(LogRead read)
    {
        if (read.Size > 0 && !read.IsFromFile)
        {
            return false;
        }
        ReadOnlySpan<byte> rest = read.Bytes.FirstSpan;
        while (RecordBatch.TryRead(rest, out RecordBatch batch) == BatchStatus.Ok)
        {
            if (batch.RecordCount > 0)
            {
                return false;
            }
            rest = rest[batch.Size..];
        }
        return true;
    }

    private LogRead? TryRead(long offset, long maxBytes, ILogger logger)
    {
        Partition partition = Partition!;
        try
        {
            return partition.Log.Read(offset, (int)Math.Clamp(maxBytes, 0, int.MaxValue), ReadableEnd);
        }
        catch (OffsetOutOfRangeException)
        {
            Fail(ErrorCode.OffsetOutOfRange); // retention was faster
        }
        catch (IOException e)
        {
            Fail(TopicLookup.ReadFailure(partition, e, logger));
        }
        return null;
    }

    private bool TryFindAborted(LogRead read, ILogger logger)
    {
        if (!IsCommittedOnly)
        {
            return true;
        }
        try
        {
            Aborted = AbortedOrder.Of(Partition!.Log.AbortedBetween(_wish.Offset, read.NextOffset), read);
            return true;
        }
        catch (IOException e)
        {
            Fail(TopicLookup.ReadFailure(Partition!, e, logger));
            return false;
        }
    }

    private void Fail(ErrorCode error)
    {
        Error = error;
        HighWatermark = LastStableOffset = StartOffset = -1;
    }
}
