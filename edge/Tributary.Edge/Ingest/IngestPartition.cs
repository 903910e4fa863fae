using Microsoft.Extensions.Logging;
using Tributary.Contracts.Records;
using Tributary.Edge.Buffer;
using Tributary.Edge.Clock;
using Tributary.Log;

namespace Tributary.Edge.Ingest;

/// <summary>
/// Gathers the messages of one local partition and appends them, a batch at a time, when the log's writer thread asks.
/// <para>Invariants: messages have consecutive numbers in a stream and go to the log in their order; a number is committed only after
/// the flush that covers its record; after a failure the stream ends where it is, and everybody who has messages in it hears of it.</para>
/// <para>Threads: <see cref="Accept"/> from any; everything else on the log's writer thread. One lock, under which nothing else is
/// called. What is gathered here is lost in a crash; nobody was told otherwise.</para>
/// </summary>
internal sealed class IngestPartition : IAppendSource, ILogListener
{
    /// <summary>Attributes and six varints of a record, at most.</summary>
    private const int RecordOverhead = 1 + 5 + 10 + 5 + 5 + 5 + 5;

    private const int SpareBatches = 2;

    private readonly Lock _lock = new();
    private readonly BufferPartition _partition;
    private readonly EdgeBuffer _buffer;
    private readonly TopicSpace _space;
    private readonly IngestOptions _options;
    private readonly IngestRoom _room;
    private readonly EdgeClock _time;
    private readonly ILogger _logger;

    // Under the lock.
    private readonly Queue<IngestBatch> _full = new();
    private readonly Stack<IngestBatch> _spare = new(SpareBatches);
    private IngestBatch _filling = new();
    private CommitStream _stream = new();
    private long _next;
    private bool _scheduled;
    private long _messages;
    private long _payloadBytes;

    // On the writer thread.
    private readonly Queue<IngestBatch> _taken = new();
    private readonly Queue<IngestBatch> _appended = new();
    private long _lost;
    private long _batches;
    private long _offlineSince;

    public IngestPartition(
        BufferPartition partition, EdgeBuffer buffer, IngestOptions options, IngestRoom room, EdgeClock time, ILogger logger)
    {
        _partition = partition;
        _buffer = buffer;
        _space = buffer.Space.Of(partition.Topic);
        _options = options;
        _room = room;
        _time = time;
        _logger = logger;
        partition.Log.Subscribe(this);
    }

    /// <summary>Counts since the start.</summary>
    public IngestPartitionCounts Counts
    {
        get
        {
            lock (_lock)
            {
                return new IngestPartitionCounts(
                    _partition.Topic, _partition.Index, _messages, _payloadBytes, Volatile.Read(ref _batches), Volatile.Read(ref _lost));
            }
        }
    }

    /// <summary>Takes a message.</summary>
    /// <param name="record">The message as a record.</param>
    /// <param name="stored">Where it is counted, which belongs to this partition.</param>
    /// <param name="listener">Who hears of its commit.</param>
    public IngestTicket Accept(in IngestRecord record, StoredCount stored, ICommitListener listener)
    {
        long size = (long)record.Key.Length + record.Payload.Length + record.Headers.Bytes.Length + record.More.Length + RecordOverhead;
        long now = _time.Stamp();
        // A record that waits for its time will have headers that tell of it.
        bool isUndated = record.Timestamp is null && BootStamp.IsIn(now);
        if (size + BatchLayout.HeaderSize + (isUndated ? RecordTime.MaxHeaderBytes : 0) > _options.MaxRecordBytes)
        {
            return new IngestTicket(null, -1, IngestRefusal.TooLarge);
        }
        if (_partition.Log.OfflineReason is not null
            || (Volatile.Read(ref _offlineSince) is not 0 and long since && _time.GetElapsedTime(since) < _options.OfflineRetry))
        {
            return new IngestTicket(null, -1, IngestRefusal.Offline);
        }
        if (_space.Reason is not null)
        {
            return new IngestTicket(null, -1, IngestRefusal.Full);
        }
        IngestTicket ticket;
        bool schedule;
        lock (_lock)
        {
            if (_filling.Records.Count > 0 && _filling.Records.Size + size > _options.MaxBatchBytes)
            {
                _full.Enqueue(_filling);
                _filling = RentBatch();
            }
            int before = _filling.Records.Count == 0 ? 0 : _filling.Records.Size;
            _filling.Add(_next, now, record, listener);
            _filling.HasUndated |= isUndated;
            _room.Take(_filling.Records.Size - before);
            ticket = new IngestTicket(_stream, _next++, IngestRefusal.None);
            schedule = !_scheduled;
            _scheduled = true;
            _messages++;
            _payloadBytes += record.Payload.Length;
            stored.Add();
        }
        if (schedule)
        {
            _buffer.Directory.Schedule(this);
        }
        return ticket;
    }

    /// <inheritdoc/>
    public void AppendPending()
    {
        lock (_lock)
        {
            TakeGathered();
        }
        long bytes = 0;
        while (_taken.TryPeek(out IngestBatch? batch))
        {
            if (Append(batch) is { } failure)
            {
                Lose(failure);
                break;
            }
            _taken.Dequeue();
            _appended.Enqueue(batch);
            bytes += batch.Records.Size;
        }
        if (bytes > 0)
        {
            _room.Give(bytes);
            _buffer.Space.Appended(bytes);
        }
    }

    /// <inheritdoc/>
    public void OnFlushed(PartitionLog log, long flushedEnd)
    {
        IngestBatch? told = null;
        while (_appended.TryPeek(out IngestBatch? batch) && batch.EndOffset <= flushedEnd)
        {
            _appended.Dequeue();
            _stream.Advance(batch.EndNumber);
            if (told is null)
            {
                told = batch;
                continue;
            }
            foreach (ICommitListener listener in batch.Listeners)
            {
                told.Listeners.Add(listener);
            }
            ReturnBatch(batch);
        }
        _partition.ToldEnd = flushedEnd;
        if (told is not null)
        {
            foreach (ICommitListener listener in told.Listeners)
            {
                listener.OnCommitted(_stream);
            }
            ReturnBatch(told);
        }
    }

    /// <inheritdoc/>
    public void OnFailed(PartitionLog log, long fromOffset, Exception reason)
    {
        OnFlushed(log, fromOffset);
        Lose(reason.Message);
    }

    /// <summary>Called under the lock.</summary>
    private void TakeGathered()
    {
        _scheduled = false;
        while (_full.TryDequeue(out IngestBatch? batch))
        {
            _taken.Enqueue(batch);
        }
        if (_filling.Records.Count > 0)
        {
            _taken.Enqueue(_filling);
            _filling = RentBatch();
        }
    }

    /// <returns>Why it was not appended, null if it was.</returns>
    private string? Append(IngestBatch batch)
    {
        try
        {
            AppendResult result = _partition.Log.Append(batch.Records.Build(BatchProducer.None).Span);
            if (result.Error == AppendError.None)
            {
                batch.EndOffset = result.LastOffset + 1;
                if (batch.HasUndated)
                {
                    _partition.NoteUndated(result.BaseOffset, batch.EndOffset);
                }
                Volatile.Write(ref _batches, _batches + 1);
                return null;
            }
            return _partition.Log.OfflineReason ?? $"the log refused a batch: {result.Error}";
        }
        // The writer thread serves all partitions: whatever is wrong with this one must not end it.
        catch (Exception e)
        {
            return e.Message;
        }
    }

    /// <summary>Ends the stream: what is not committed is lost, wherever it stands.</summary>
    private void Lose(string reason)
    {
        CommitStream ended = _stream;
        long unappended = 0;
        long count = 0;
        var listeners = new HashSet<ICommitListener>(ReferenceEqualityComparer.Instance);
        lock (_lock)
        {
            TakeGathered();
            count = _next - ended.Committed;
            ended.End();
            _stream = new CommitStream();
            _next = 0;
            // Also keeps clients that come back at once from being told and closed again and again.
            Volatile.Write(ref _offlineSince, _time.GetTimestamp());
        }
        foreach (IngestBatch batch in _taken)
        {
            unappended += batch.Records.Size;
        }
        foreach (IngestBatch batch in _taken.Concat(_appended))
        {
            listeners.UnionWith(batch.Listeners);
            ReturnBatch(batch);
        }
        _taken.Clear();
        _appended.Clear();
        _room.Give(unappended);
        if (count > 0)
        {
            Volatile.Write(ref _lost, _lost + count);
            _logger.MessagesLost(_partition.Topic, _partition.Index, count, reason);
        }
        foreach (ICommitListener listener in listeners)
        {
            listener.OnLost(ended, reason);
        }
    }

    /// <summary>Called under the lock.</summary>
    private IngestBatch RentBatch() => _spare.TryPop(out IngestBatch? batch) ? batch : new IngestBatch();

    private void ReturnBatch(IngestBatch batch)
    {
        batch.Reset();
        lock (_lock)
        {
            if (_spare.Count < SpareBatches)
            {
                _spare.Push(batch);
                return;
            }
        }
        batch.Dispose();
    }
}

/// <summary>What went through a partition since the start.</summary>
/// <param name="Messages">Messages accepted, committed or not.</param>
/// <param name="PayloadBytes">Bytes of their payloads.</param>
/// <param name="Batches">Batches that they were appended in.</param>
/// <param name="Lost">Messages accepted and lost to a failed write; none of them was acknowledged.</param>
internal readonly record struct IngestPartitionCounts(string Topic, int Index, long Messages, long PayloadBytes, long Batches, long Lost);
