using System.Buffers;
using System.Buffers.Binary;
using Tributary.Contracts.Records;
using Tributary.Log.Storage;

namespace Tributary.Log;

/// <summary>
/// Reading: the tail from memory, the rest from segments. A reader holds its segment, so that the file is neither recycled nor closed
/// under it. Damage that is met is looked into once, under the files lock, and becomes a hole.
/// </summary>
public sealed partial class PartitionLog
{
    /// <summary>Closed segments whose file and index stay loaded. Readers of old records mostly follow one another.</summary>
    private const int MaxLoaded = 4;

    private const int SmallestRead = 4 << 10;

    // Under _lock, least lately used first.
    private readonly List<LogSegment> _loaded = [];

    /// <summary>
    /// About how many bytes of batches lie between two offsets, headers included. Nothing is read from disk, so it is cheap enough for
    /// every look at a backlog: at segment borders it is exact; within a segment it goes by the index, if that is loaded, else by the
    /// share of its offsets. Offsets outside of the log are taken as its nearest end.
    /// </summary>
    public long BytesBetween(long from, long to)
    {
        lock (_lock)
        {
            long first = Math.Clamp(from, _start, _appendedEnd);
            long last = Math.Clamp(to, first, _appendedEnd);
            long bytes = 0;
            foreach (LogSegment segment in _segments)
            {
                bytes += PositionIn(segment, last) - PositionIn(segment, first);
            }
            return bytes + UnflushedBelow(last) - UnflushedBelow(first);
        }
    }

    /// <summary>
    /// Reads whole batches from the one that contains <paramref name="offset"/>, as they are stored, at most <paramref name="maxBytes"/>
    /// (the first batch is returned whatever its size) and none that reaches to <paramref name="upTo"/> or beyond (a batch whose last
    /// offset is ≥ upTo), all of one leader epoch. Their CRC is not checked; their leader epochs, which it does not cover, are right.
    /// </summary>
    /// <returns>
    /// Bytes that must be disposed; empty at the end. Empty with a later <see cref="LogRead.NextOffset"/> if the offsets up to there
    /// can't be read.
    /// </returns>
    /// <exception cref="OffsetOutOfRangeException">Below <see cref="StartOffset"/> or above <see cref="AppendedEnd"/>.</exception>
    /// <exception cref="IOException">The disk can't be read, or the log is closed.</exception>
    public LogRead Read(long offset, int maxBytes, long upTo)
    {
        while (true)
        {
            LogSegment segment;
            Place? place = null;
            long end;
            int epoch;
            lock (_lock)
            {
                ThrowIfClosed();
                if (offset < _start || offset > _appendedEnd)
                {
                    throw new OffsetOutOfRangeException(offset, _start, _appendedEnd);
                }
                end = Math.Min(upTo, _appendedEnd);
                _tail.NoteReader(offset);
                if (offset >= end || offset >= MemoryStart)
                {
                    LogRead read = LogRead.At(offset);
                    if (offset < end)
                    {
                        _tail.Read(offset, maxBytes, end, read);
                    }
                    return read;
                }
                segment = FindSegment(offset, ref end, out long holeEnd)!;
                if (holeEnd > offset)
                {
                    return LogRead.At(holeEnd);
                }
                (epoch, long epochEnd) = _epochs.At(offset);
                end = Math.Min(end, epochEnd);
                segment.Holds++;
                if (segment.File is not null)
                {
                    Touch(segment);
                    place = Place.In(segment, offset, maxBytes);
                }
            }
            try
            {
                if (ReadBatches(place ?? Load(segment, offset, maxBytes), offset, maxBytes, end, out long suspect) is { } read)
                {
                    CorrectEpochs(read, epoch);
                    return read;
                }
                Repair(segment, suspect);
            }
            // Opened too late: the segment was removed meanwhile, and the next look says so.
            catch (FileNotFoundException) when (segment.IsRemoved)
            {
            }
            finally
            {
                Release(segment);
            }
        }
    }

    /// <summary>
    /// The segment that holds the offset, and the hole that does. <paramref name="end"/> is lowered to where the segment or the next hole
    /// bounds a read. Called under the lock.
    /// </summary>
    private LogSegment? FindSegment(long offset, ref long end, out long holeEnd)
    {
        holeEnd = -1;
        foreach (Hole hole in _holes)
        {
            if (hole.From <= offset && offset < hole.To)
            {
                holeEnd = hole.To;
                return null;
            }
            if (hole.From > offset)
            {
                end = Math.Min(end, hole.From);
                break;
            }
        }
        int low = 0;
        int high = _segments.Count;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (_segments[middle].BaseOffset <= offset)
            {
                low = middle + 1;
            }
            else
            {
                high = middle;
            }
        }
        LogSegment? found = low == 0 ? null : _segments[low - 1];
        if (found is null || offset >= found.EndOffset)
        {
            throw new InvalidOperationException($"no segment of {Name} holds offset {offset}");
        }
        end = Math.Min(end, found.EndOffset);
        return found;
    }

    /// <summary>File and index of a segment that the caller holds.</summary>
    private Place Load(LogSegment segment, long offset, int maxBytes = 0)
    {
        lock (_lock)
        {
            if (segment.File is not null)
            {
                Touch(segment);
                return Place.In(segment, offset, maxBytes);
            }
        }
        IStorageFile file = _store.Open(segment);
        StateStatus status = SegmentIndex.Load(
            _store.Storage, _store.Directory, segment.BaseOffset, out SegmentIndex index, out SegmentInfo info);
        bool isSaved = status == StateStatus.Ok && (info.EndOffset, info.EndPosition) == (segment.EndOffset, segment.EndPosition);
        if (!isSaved)
        {
            index = Reindex(segment, file);
        }
        if (status == StateStatus.Bad)
        {
            Report(LogEventKind.Rebuilt, segment.BaseOffset, segment.EndOffset, $"the index of segment {segment.BaseOffset} is damaged and was made anew");
        }
        IStorageFile? unneeded = file;
        IStorageFile? evicted = null;
        try
        {
            lock (_lock)
            {
                if (segment.File is null)
                {
                    segment.File = file;
                    segment.Index = index;
                    segment.IsIndexSaved = isSaved;
                    unneeded = null;
                    evicted = segment.IsRemoved ? null : KeepLoadedLocked(segment);
                }
                return Place.In(segment, offset, maxBytes);
            }
        }
        finally
        {
            unneeded?.Dispose();
            evicted?.Dispose();
        }
    }

    /// <summary>An index made anew of the batch headers; what can't be read is met, and repaired, by whoever reads there.</summary>
    private SegmentIndex Reindex(LogSegment segment, IStorageFile file)
    {
        using var reader = new BatchFileReader(file, segment.EndPosition);
        var scan = new SegmentScan(reader, _options.IndexIntervalBytes);
        scan.StartAt(segment.BaseOffset);
        scan.Run(segment.EndOffset, segment.EndOffset, segment.EndPosition);
        return scan.Index;
    }

    /// <returns>Null if on the way to <paramref name="suspect"/> there is not the batch that should be there.</returns>
    private LogRead? ReadBatches(Place place, long offset, int maxBytes, long end, out long suspect)
    {
        (IStorageFile file, IndexEntry entry, IndexEntry last, int limit) = place;
        int border = last.Position;
        (long Offset, int Position) at = (entry.Offset, entry.Position);
        suspect = offset;
        byte[] buffer = ArrayPool<byte>.Shared.Rent(
            border > entry.Position
                ? border - entry.Position
                : (int)Math.Clamp((long)maxBytes + _options.IndexIntervalBytes, SmallestRead, Math.Max(SmallestRead, limit - entry.Position)));
        bool taken = false;
        SalvagingFile? salvaged = null;
        try
        {
            while (true)
            {
                int from = at.Position;
                // Up to the last batch that begins within what was asked for: what would be cut off is not read.
                int asked = Math.Min(buffer.Length, (border > from ? border : limit) - from);
                border = -1;
                int read = Read(file, from, buffer.AsSpan(0, asked), ref salvaged);
                BatchWalk walk = Walk(buffer.AsSpan(0, read), ref at, last, limit, offset, maxBytes, end);
                bool isCutShort = walk.MissingBytes > 0 && walk.MissingBytes <= asked && at.Position == from;
                bool isSpoiled = salvaged is not null && walk.Size > 0
                    && !AreWhole(buffer.AsSpan(walk.Position, walk.Size), ref suspect);
                if (walk.IsDamaged || isCutShort || isSpoiled)
                {
                    return null;
                }
                if (walk.MissingBytes > buffer.Length)
                {
                    ArrayPool<byte>.Shared.Return(buffer);
                    buffer = ArrayPool<byte>.Shared.Rent(walk.MissingBytes);
                }
                if (walk.MissingBytes > 0)
                {
                    continue;
                }
                LogRead result = LogRead.At(offset);
                if (walk.Size > 0)
                {
                    result.Own(buffer, walk.Position, walk.Size, walk.Next);
                    taken = true;
                }
                return result;
            }
        }
        finally
        {
            if (!taken)
            {
                ArrayPool<byte>.Shared.Return(buffer);
            }
        }
    }

    /// <summary>
    /// Walks over batches in <paramref name="bytes"/>, which begin at <paramref name="at"/>, to the ones that are asked for. Where one ends,
    /// the next begins, with the next offset: that is looked at for each, since a batch whose offsets are damaged would lead over good ones.
    /// </summary>
    /// <param name="at">Moved to the batch of which more bytes are needed.</param>
    /// <param name="border">A batch that the index knows, behind those that are asked for.</param>
    private static BatchWalk Walk(
        ReadOnlySpan<byte> bytes, ref (long Offset, int Position) at, IndexEntry border, int limit, long offset, int maxBytes, long end)
    {
        int first = -1;
        int position = 0;
        (int Position, long Offset) last = default;
        long next = at.Offset;
        bool isDamaged = false;
        while (true)
        {
            ReadOnlySpan<byte> rest = bytes[position..];
            bool any = first >= 0 && position > first;
            if (next >= end || (any && rest.Length < BatchLayout.HeaderSize))
            {
                break;
            }
            long size = rest.Length < BatchLayout.HeaderSize ? BatchLayout.HeaderSize : RecordBatch.PeekSize(rest);
            bool isHere = rest.Length >= size;
            RecordBatch batch = default;
            bool isBad = size < BatchLayout.HeaderSize || size > limit - at.Position
                || (rest.Length >= BatchLayout.HeaderSize && BinaryPrimitives.ReadInt64BigEndian(rest) != next)
                || (isHere && RecordBatch.TryRead(rest, out batch) != BatchStatus.Ok)
                || (isHere && batch.NextOffset > end && !any && !batch.IsCrcValid());
            if (isBad || (any && !isHere))
            {
                isDamaged = isBad;
                break;
            }
            if (!isHere)
            {
                return new BatchWalk { MissingBytes = (int)size };
            }
            if (batch.NextOffset > offset)
            {
                if (batch.NextOffset > end || (any && (long)position - first + size > maxBytes))
                {
                    break;
                }
                first = first < 0 ? position : first;
            }
            last = (position, next);
            next = batch.NextOffset;
            position += (int)size;
            at = (next, at.Position + (int)size);
        }
        if (position > 0 && !(at.Position == border.Position && next == border.Offset)
            && !IsConfirmed(bytes, last.Position, position, next))
        {
            isDamaged = true;
            (position, next) = last;
        }
        return first >= 0 && position > first
            ? new BatchWalk { Position = first, Size = position - first, Next = next }
            : new BatchWalk { IsDamaged = isDamaged };
    }

    /// <summary>Whether the next batch begins where one ends; if that is not among the bytes, whether its checksum is right.</summary>
    private static bool IsConfirmed(ReadOnlySpan<byte> bytes, int from, int to, long next) =>
        (bytes.Length - to >= sizeof(long) && BinaryPrimitives.ReadInt64BigEndian(bytes[to..]) == next)
        || (RecordBatch.TryRead(bytes[from..], out RecordBatch batch) == BatchStatus.Ok && batch.IsCrcValid());

    private void Release(LogSegment segment)
    {
        IStorageFile? file = null;
        lock (_lock)
        {
            if (--segment.Holds == 0 && segment.IsRemoved)
            {
                (file, segment.File) = (segment.File, null);
            }
        }
        file?.Dispose();
    }

    /// <summary>A segment leaves the log: its file is closed now, or by its last reader. Called under the lock.</summary>
    private void RemoveLocked(LogSegment segment)
    {
        segment.IsRemoved = true;
        _loaded.Remove(segment);
        if (segment.Holds == 0)
        {
            segment.File?.Dispose();
            segment.File = null;
        }
    }

    private void KeepLoaded(LogSegment segment)
    {
        IStorageFile? evicted;
        lock (_lock)
        {
            evicted = KeepLoadedLocked(segment);
        }
        evicted?.Dispose();
    }

    /// <returns>The file of a segment that gave way.</returns>
    private IStorageFile? KeepLoadedLocked(LogSegment segment)
    {
        _loaded.Add(segment);
        if (_loaded.Count <= MaxLoaded || _loaded.Find(loaded => loaded.Holds == 0 && loaded.IsIndexSaved) is not { } idle)
        {
            return null;
        }
        _loaded.Remove(idle);
        IStorageFile? file = idle.File;
        idle.File = null;
        idle.Index = null;
        return file;
    }

    private void Touch(LogSegment segment)
    {
        if (segment != _active && _loaded.Count > 1 && _loaded[^1] != segment)
        {
            _loaded.Remove(segment);
            _loaded.Add(segment);
        }
    }

    /// <summary>Where to read in a segment.</summary>
    /// <param name="File">Its file.</param>
    /// <param name="Entry">A batch at the offset or before.</param>
    /// <param name="Border">The last batch that begins within what is asked for, as far as the index knows; at −1 if it doesn't.</param>
    /// <param name="Limit">Where the segment ends.</param>
    private readonly record struct Place(IStorageFile File, IndexEntry Entry, IndexEntry Border, int Limit)
    {
        /// <summary>In a segment that is loaded. Called under the lock.</summary>
        public static Place In(LogSegment segment, long offset, int maxBytes)
        {
            IndexEntry entry = segment.Index!.FindRange(offset, segment.BaseOffset, maxBytes, out IndexEntry border);
            return new Place(segment.File!, entry, border, segment.EndPosition);
        }
    }

    /// <summary>What a walk over batches found.</summary>
    private readonly ref struct BatchWalk
    {
        public int Position { get; init; }

        public int Size { get; init; }

        public long Next { get; init; }

        /// <summary>More bytes than there were are needed for the first batch.</summary>
        public int MissingBytes { get; init; }

        public bool IsDamaged { get; init; }
    }

    /// <summary>Where a batch of that offset begins in the segment, about; its ends for offsets before and behind it.</summary>
    private static long PositionIn(LogSegment segment, long offset)
    {
        if (offset <= segment.BaseOffset)
        {
            return 0;
        }
        if (offset >= segment.EndOffset)
        {
            return segment.EndPosition;
        }
        return segment.Index is { } index
            ? index.Find(offset, segment.BaseOffset).Position
            : (long)((double)segment.EndPosition * (offset - segment.BaseOffset) / (segment.EndOffset - segment.BaseOffset));
    }

    private long UnflushedBelow(long offset) => offset <= _flushedEnd
        ? 0
        : (long)((double)_unflushedBytes * (offset - _flushedEnd) / (_appendedEnd - _flushedEnd));
}
