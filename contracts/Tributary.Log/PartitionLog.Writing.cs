using System.Buffers;
using System.Buffers.Binary;
using Tributary.Contracts.Records;
using Tributary.Log.Storage;

namespace Tributary.Log;

/// <summary>
/// What the writer thread does for a partition in each round: <see cref="Write"/>, then <see cref="Flush"/>. Between the two others may
/// take <c>_files</c>; whoever does finishes the round first (<see cref="CompleteRound"/>).
/// </summary>
public sealed partial class PartitionLog
{
    /// <summary>Failed flushes in a row after which the partition goes offline.</summary>
    private const int MaxFailures = 3;

    // Under _files; lists are kept between rounds.
    private readonly List<ReadOnlyMemory<byte>> _pieces = [];
    private readonly List<ReadOnlyMemory<byte>> _run = [];
    private readonly List<TailChunk> _held = [];
    private readonly List<IndexEntry> _newEntries = [];
    private readonly List<AbortedTransaction> _newAborted = [];
    private readonly Batches _round = new();
    private int _failures;

    // Under _lock.
    private readonly List<FlushWaiter> _lostWaiters = [];
    private Exception? _loss;
    private long _lossFrom = long.MaxValue;

    // On the writer thread.
    private readonly List<FlushWaiter> _done = [];
    private readonly List<FlushWaiter> _failed = [];
    private long _toldEnd;

    /// <summary>Gathers what was appended and writes it.</summary>
    /// <returns>Whether something is to be flushed.</returns>
    internal bool Write()
    {
        lock (_files)
        {
            CompleteRound(); // queued twice, because a truncation looked after it in between
            lock (_lock)
            {
                _queued = false;
                if (_closed)
                {
                    return false;
                }
                _tail.CollectUnflushed(_pieces, _held);
                _round.End = _appendedEnd;
            }
            if (_pieces.Count == 0)
            {
                return false;
            }
            try
            {
                MarkUnclean();
                WritePieces();
            }
            // Whatever is wrong with this partition must not keep the others from their disk.
            catch (Exception e)
            {
                _round.Failure = e;
            }
            return _round.Failure is null;
        }
    }

    /// <summary>What was written and isn't durable yet is covered by a flush that is about to be made for several partitions.</summary>
    internal void Share(SharedFlush flush)
    {
        lock (_files)
        {
            _round.Shared = _pieces.Count > 0 ? flush : null;
        }
    }

    /// <summary>Makes durable what was written, tells those who wait, and looks after files.</summary>
    internal void Flush()
    {
        lock (_files)
        {
            CompleteRound();
        }
        Tell();
        lock (_files)
        {
            Maintain();
        }
    }

    /// <summary>Called under the files lock.</summary>
    private void CompleteRound()
    {
        if (_pieces.Count == 0)
        {
            return;
        }
        if (_round.Failure is null)
        {
            try
            {
                if (_round.Shared is { } shared)
                {
                    shared.Wait();
                }
                else
                {
                    _active!.File!.Flush();
                }
                SaveEpochs();
                Advance(_round.Bytes, _round.End);
                _failures = 0;
            }
            catch (Exception e)
            {
                _round.Failure = e;
            }
        }
        if (_round.Failure is { } failure)
        {
            Fail(failure);
        }
        foreach (TailChunk chunk in _held)
        {
            chunk.Release();
        }
        _held.Clear();
        _pieces.Clear();
        _newEntries.Clear();
        _newAborted.Clear();
        _round.Reset();
    }

    private void WritePieces()
    {
        long now = NowMs;
        _active ??= NewSegment(_flushedEnd);
        foreach (ReadOnlyMemory<byte> piece in _pieces)
        {
            ReadOnlySpan<byte> bytes = piece.Span;
            int from = 0;
            int at = 0;
            while (at < bytes.Length)
            {
                ReadOnlySpan<byte> header = bytes[at..];
                int size = (int)RecordBatch.PeekSize(header);
                long end = (long)_active.WritePosition + _round.RunBytes + size;
                if (end > _options.SegmentBytes && _active.WritePosition + _round.RunBytes > 0)
                {
                    AddToRun(piece, from, at);
                    Roll(BinaryPrimitives.ReadInt64BigEndian(header));
                    from = at;
                }
                Note(_active, header);
                _active.LastWriteMs = now;
                _round.RunBytes += size;
                at += size;
            }
            AddToRun(piece, from, at);
        }
        WriteRun();
    }

    /// <summary>Keeps what the index and the segment need to know of a batch.</summary>
    private void Note(LogSegment segment, ReadOnlySpan<byte> header)
    {
        int position = segment.WritePosition + _round.RunBytes;
        if (position >= segment.NextIndexPosition)
        {
            _newEntries.Add(new IndexEntry(BinaryPrimitives.ReadInt64BigEndian(header), position, segment.WriteMaxTimestamp));
            segment.NextIndexPosition = position + (long)_options.IndexIntervalBytes;
        }
        if ((header[BatchLayout.Attributes + 1] & (byte)BatchAttributes.Control) != 0
            && RecordBatch.TryRead(header, out RecordBatch control) == BatchStatus.Ok && SegmentScan.AbortedBy(control) is { } aborted)
        {
            _newAborted.Add(aborted);
        }
        long timestamp = BinaryPrimitives.ReadInt64BigEndian(header[BatchLayout.MaxTimestamp..]);
        segment.WriteMaxTimestamp = Math.Max(segment.WriteMaxTimestamp, timestamp);
    }

    private void AddToRun(ReadOnlyMemory<byte> piece, int from, int to)
    {
        if (to > from)
        {
            _run.Add(from == 0 && to == piece.Length ? piece : piece[from..to]);
        }
    }

    private void WriteRun()
    {
        if (_round.RunBytes == 0)
        {
            return;
        }
        LogSegment segment = _active!;
        _store.Reserve(segment, segment.WritePosition + _round.RunBytes);
        _round.IsTouched = true;
        segment.File!.Write(segment.WritePosition, _run);
        segment.WritePosition += _round.RunBytes;
        _round.Bytes += _round.RunBytes;
        _round.RunBytes = 0;
        _run.Clear();
    }

    /// <summary>
    /// Closes the active segment, durably, and makes the next one: recovery takes the next one's existence to mean that all before it
    /// was flushed.
    /// </summary>
    private void Roll(long baseOffset)
    {
        WriteRun();
        _active!.File!.Flush();
        SaveEpochs();
        Advance(_round.Bytes, baseOffset);
        _round.Bytes = 0;
        _round.IsTouched = false;
        _newEntries.Clear();
        _newAborted.Clear();
        LogSegment closed = _active;
        _active = null;
        KeepLoaded(closed);
        _active = NewSegment(baseOffset);
    }

    private LogSegment NewSegment(long baseOffset)
    {
        LogSegment segment = _store.Create(baseOffset);
        segment.MadeMs = NowMs;
        lock (_lock)
        {
            _segments.Add(segment);
            if (_snapshots.Count == MaxUnsaved)
            {
                _snapshots.RemoveAt(0);
            }
            _snapshots.Add(TakeSnapshot());
        }
        return segment;
    }

    /// <summary>Moves the flushed end. Called under the files lock, after the flush.</summary>
    private void Advance(long bytes, long end)
    {
        lock (_lock)
        {
            LogSegment segment = _active!;
            segment.EndOffset = end;
            segment.EndPosition = segment.WritePosition;
            segment.MaxTimestamp = segment.WriteMaxTimestamp;
            segment.LastAppendMs = segment.LastWriteMs;
            segment.IsIndexSaved = false;
            segment.Index!.AddRange(_newEntries);
            foreach (AbortedTransaction aborted in _newAborted)
            {
                segment.Index.AddAborted(aborted);
                segment.AbortedFrom = Math.Min(segment.AbortedFrom, aborted.FirstOffset);
            }
            _tail.MarkFlushed(bytes);
            _producers.Settle(end);
            _unflushedBytes -= bytes;
            _bytesSinceSave += bytes;
            Volatile.Write(ref _flushedEnd, end);
        }
        _newEntries.Clear();
        _newAborted.Clear();
        _directory.AddUnflushed(-bytes);
    }

    /// <summary>
    /// What was not durable is gone. If anything of it was written, the segment is never written or believed beyond its durable end
    /// again: the kernel may have dropped the pages and marked them clean.
    /// </summary>
    private void Fail(Exception reason)
    {
        long from;
        LogSegment? empty;
        LogSegment? touched = _round.IsTouched ? _active : null;
        lock (_lock)
        {
            from = _flushedEnd;
            _tail.DropUnflushed(from);
            _producers.Revert();
            _epochs.ClampToEnd(from);
            Volatile.Write(ref _appendedEnd, from);
            _directory.AddUnflushed(-_unflushedBytes);
            _unflushedBytes = 0;
            LoseLocked(from, new LogException(
                $"a write to the log of {Name} failed and what was appended from offset {from} on is lost: {reason.Message}", reason));
            empty = Seal();
        }
        _run.Clear();
        Report(LogEventKind.SegmentSealed, from, -1,
            $"a write failed and what was appended from offset {from} on is lost, unacknowledged: {reason.Message}");
        if (_round.IsTouched && ++_failures >= MaxFailures)
        {
            GoOffline($"writes failed {_failures} times in a row; check the disk, then restart. The last error: {reason.Message}");
        }
        try
        {
            if (empty is not null)
            {
                _store.Discard(empty, recycle: false);
            }
            else if (touched is not null)
            {
                // Whoever is killed before the manifest says where the segment ends must not find readable what is not on the disk.
                touched.File?.SetLength(touched.EndPosition);
                touched.FileBytes = touched.EndPosition;
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            GoOffline($"a write failed, and what it left could not be removed: {e.Message}. Check the disk, then restart");
        }
    }

    /// <summary>Whoever waits for what was appended from an offset on is told that it is gone. Called under the lock.</summary>
    private void LoseLocked(long fromOffset, LogException reason)
    {
        _losses.Add(fromOffset);
        _waiters.TakeLost(fromOffset, _lostWaiters);
        _lossFrom = Math.Min(_lossFrom, fromOffset);
        _loss = reason;
    }

    /// <summary>Called under both locks.</summary>
    /// <returns>A segment that has nothing durable in it and whose name is needed for the next one.</returns>
    private LogSegment? Seal()
    {
        if (_active is not { } segment)
        {
            return null;
        }
        if (!_round.IsTouched)
        {
            segment.WriteMaxTimestamp = segment.MaxTimestamp;
            segment.NextIndexPosition = segment.EndPosition;
            return null;
        }
        segment.IsRecyclable = false;
        _active = null;
        _saveWanted = true;
        if (segment.EndOffset > segment.BaseOffset)
        {
            return null;
        }
        _segments.Remove(segment);
        RemoveLocked(segment);
        return segment;
    }

    /// <summary>
    /// Tells listeners and waiters, on the writer thread and without a lock. A loss before what was flushed since: an append that got the
    /// offset of a lost one must not acknowledge that.
    /// </summary>
    private void Tell()
    {
        long flushed;
        long lossFrom;
        Exception? loss;
        ILogListener[] listeners;
        lock (_lock)
        {
            flushed = _flushedEnd;
            (loss, lossFrom) = (_loss, _lossFrom);
            (_loss, _lossFrom) = (null, long.MaxValue);
            listeners = _listeners;
            _waiters.TakeFlushed(flushed, _done);
            _failed.AddRange(_lostWaiters);
            _lostWaiters.Clear();
        }
        if (loss is not null)
        {
            TellFlushed(listeners, lossFrom);
            foreach (ILogListener listener in listeners)
            {
                listener.OnFailed(this, lossFrom, loss);
            }
            _toldEnd = lossFrom;
        }
        TellFlushed(listeners, flushed);
        FlushWaiters.Complete(_done, null);
        FlushWaiters.Complete(_failed, loss);
    }

    private void TellFlushed(ILogListener[] listeners, long end)
    {
        if (end <= _toldEnd)
        {
            return;
        }
        foreach (ILogListener listener in listeners)
        {
            listener.OnFlushed(this, end);
        }
        _toldEnd = end;
    }

    /// <summary>One round: what was gathered and how far it came.</summary>
    private sealed class Batches
    {
        /// <summary>Appended end when it was gathered.</summary>
        public long End { get; set; }

        /// <summary>Bytes written to the active segment and not flushed.</summary>
        public long Bytes { get; set; }

        /// <summary>Bytes that go out with the next write.</summary>
        public int RunBytes { get; set; }

        /// <summary>Whether a write to the active segment was begun and has not been flushed.</summary>
        public bool IsTouched { get; set; }

        public Exception? Failure { get; set; }

        /// <summary>What makes it durable together with others, null for a flush of its own.</summary>
        public SharedFlush? Shared { get; set; }

        public void Reset()
        {
            Bytes = 0;
            RunBytes = 0;
            IsTouched = false;
            Failure = null;
            Shared = null;
        }
    }
}
