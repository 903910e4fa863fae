using System.Collections.Immutable;
using Tributary.Broker.Metadata;
using Tributary.Contracts.Kafka;
using Tributary.Log;

namespace Tributary.Broker.Partitions;

/// <summary>
/// One partition on this broker: its log, who leads it and in which epoch, its high watermark, and those who wait for it to move on.
/// </summary>
/// <remarks>
/// Invariants: last stable offset ≤ high watermark ≤ flushed end ≤ appended end; neither of the first two ever goes back; nothing is appended while
/// the node doesn't lead, and nothing is acknowledged that isn't flushed. Callable from any thread; the log's listener calls come on
/// its writer thread. Lock order: this partition's lock, then the log's. Waiters are completed outside of it. An append and the
/// registration of its waiter happen under one hold of the lock, so that a failed flush can't slip between them. A crash leaves the
/// log; everything else here is made anew.
/// </remarks>
public sealed partial class Partition : ILogListener
{
    private readonly Lock _lock = new();
    private readonly int _localNode;
    private readonly List<Waiting> _waiting = [];
    private readonly HashSet<ProgressWait> _readers = [];
    private readonly ProducerClaims _claims = new();
    private InSyncSet _inSync;
    private long _highWatermark;
    private long _lastStable;
    private long _epochStart;
    private int _leaderEpoch;
    private ErrorCode _unavailable;
    private TopicSettings _settings;

    internal Partition(string topic, Guid topicId, PartitionLog log, TopicSettings settings, PartitionAssignment assignment, int localNode)
    {
        Topic = topic;
        TopicId = topicId;
        Index = assignment.Index;
        Log = log;
        _settings = settings;
        _localNode = localNode;
        _inSync = new InSyncSet(localNode, assignment.InSync);
        _leaderEpoch = assignment.LeaderEpoch;
        _highWatermark = _lastStable = log.StartOffset;
        log.Subscribe(this);
        Advance(log.FlushedEnd);
    }

    /// <summary>Name of its topic.</summary>
    public string Topic { get; }

    /// <summary>Id of its topic.</summary>
    public Guid TopicId { get; }

    /// <summary>Its number.</summary>
    public int Index { get; }

    /// <summary>Its log. Append only through the partition.</summary>
    public PartitionLog Log { get; }

    /// <summary>The epoch in which this node leads it.</summary>
    public int LeaderEpoch => Volatile.Read(ref _leaderEpoch);

    /// <summary>Where the epoch began; until the high watermark is there, the last offset isn't known to consumers (KIP-207).</summary>
    internal long EpochStart => Volatile.Read(ref _epochStart);

    /// <summary>The offset below which every in-sync replica has everything durably; what consumers may see.</summary>
    public long HighWatermark => Volatile.Read(ref _highWatermark);

    /// <summary>Its topic's configs.</summary>
    public TopicSettings Settings => Volatile.Read(ref _settings);

    /// <summary>None while this node serves it, otherwise what clients are told.</summary>
    internal ErrorCode Unavailable
    {
        get
        {
            lock (_lock)
            {
                return _unavailable;
            }
        }
    }

    /// <summary>This node goes on leading, in the epoch and with the in-sync set that the topic's controller decided.</summary>
    internal void Lead(PartitionAssignment assignment, TopicSettings settings)
    {
        var woken = new Woken();
        lock (_lock)
        {
            if (assignment.LeaderEpoch < _leaderEpoch)
            {
                return;
            }
            if (assignment.LeaderEpoch > Log.LeaderEpoch)
            {
                Log.BeginLeaderEpoch(assignment.LeaderEpoch);
                Volatile.Write(ref _epochStart, Log.AppendedEnd);
                _claims.Clear();
                _verified.Clear();
            }
            Volatile.Write(ref _leaderEpoch, assignment.LeaderEpoch);
            Volatile.Write(ref _settings, settings);
            _unavailable = ErrorCode.None;
            _inSync = new InSyncSet(_localNode, assignment.InSync);
            AdvanceLocked(Log.FlushedEnd, ref woken);
        }
        woken.Wake();
    }

    /// <summary>This node doesn't serve the partition any more: whoever waits is told <paramref name="reason"/>.</summary>
    internal void Resign(ErrorCode reason)
    {
        var woken = new Woken();
        lock (_lock)
        {
            _unavailable = reason;
            _claims.Clear();
            _verified.Clear();
            TakeWaiting(long.MaxValue, long.MaxValue, reached: true, reason, ref woken);
            woken.AddReaders(_readers);
        }
        woken.Wake();
    }

    /// <summary>
    /// Appends one whole batch, whose CRC was verified, and completes the slot of <paramref name="wait"/> when it may be acknowledged.
    /// The bytes are the caller's again at return.
    /// </summary>
    /// <param name="batch">The batch.</param>
    /// <param name="sender">Who sends it.</param>
    /// <param name="wait">Who waits, null for nobody.</param>
    /// <param name="slot">The waiter's slot.</param>
    /// <param name="committed">Wait until all in-sync replicas have it (acks=all), not only for the local flush.</param>
    /// <param name="result">What the log said, when the answer is <see cref="ErrorCode.None"/>.</param>
    /// <returns>An error if nothing was appended; then the slot is left alone.</returns>
    internal ErrorCode Append(
        ReadOnlySpan<byte> batch, BatchSender sender, CommitWait? wait, int slot, bool committed, out AppendResult result)
    {
        lock (_lock)
        {
            result = new AppendResult(AppendError.None, -1, -1, IsDuplicate: false);
            if (_unavailable != ErrorCode.None)
            {
                return _unavailable;
            }
            if (committed && _inSync.Count < _settings.MinInSyncReplicas)
            {
                return ErrorCode.NotEnoughReplicas;
            }
            if (!_claims.Allow(sender))
            {
                return ErrorCode.InvalidProducerEpoch;
            }
            if (sender.IsTransactional && !MayWriteInTransaction(sender))
            {
                return ErrorCode.InvalidTxnState;
            }
            result = Log.Append(batch, _leaderEpoch);
            if (result.Error != AppendError.None)
            {
                return ErrorOf(result.Error);
            }
            if (wait is null || WaitLocked(result, wait, slot, committed))
            {
                return ErrorCode.None;
            }
        }
        wait.Complete(slot, ErrorCode.None);
        return ErrorCode.None;
    }

    private static ErrorCode ErrorOf(AppendError error) => error switch
    {
        AppendError.TooLarge => ErrorCode.MessageTooLarge,
        AppendError.Malformed => ErrorCode.CorruptMessage,
        AppendError.OutOfOrderSequence => ErrorCode.OutOfOrderSequenceNumber,
        AppendError.InvalidProducerEpoch => ErrorCode.InvalidProducerEpoch,
        AppendError.OutsideTransaction => ErrorCode.InvalidTxnState,
        AppendError.StaleMarker => ErrorCode.TransactionCoordinatorFenced,
        AppendError.StaleLeaderEpoch => ErrorCode.NotLeaderOrFollower,
        AppendError.Offline => ErrorCode.KafkaStorageError,
        _ => ErrorCode.UnknownServerError,
    };

    /// <returns>Whether there is something to wait for. Called under the lock.</returns>
    private bool WaitLocked(AppendResult appended, CommitWait wait, int slot, bool committed)
    {
        long end = appended.LastOffset + 1;
        if (end <= (committed ? _highWatermark : Log.FlushedEnd))
        {
            return false;
        }
        _waiting.Add(new Waiting(end, wait, slot, committed));
        return true;
    }

    /// <summary>
    /// What the log knows of producers, which is true once the slot of <paramref name="wait"/> completes without error: everything that it
    /// tells of is committed then. It is looked up and registered under one hold of the lock: a failed flush takes both back or neither.
    /// </summary>
    /// <param name="producerIds">Whom to look for, each once, and few: the partition stands still meanwhile. All, if empty.</param>
    /// <param name="claimant">Who wants to be the only one to write under them from now on, null for nobody.</param>
    /// <param name="wait">Who waits.</param>
    /// <param name="slot">The waiter's slot.</param>
    internal DescribedProducers DescribeProducers(long[] producerIds, Claimant? claimant, CommitWait wait, int slot)
    {
        ProducerSummary[] producers;
        Guid claimedBy = Guid.Empty;
        ErrorCode outcome;
        lock (_lock)
        {
            if (claimant is { } claims && _unavailable == ErrorCode.None)
            {
                claimedBy = Claim(producerIds, claims);
            }
            producers = producerIds.Length == 0
                ? [.. Log.ListProducers()]
                : [.. producerIds.Select(Log.FindProducer).OfType<ProducerSummary>()];
            long end = producers.Length == 0 ? 0 : producers.Max(producer => producer.LastOffset) + 1;
            outcome = _unavailable;
            if (outcome == ErrorCode.None && end > _highWatermark)
            {
                _waiting.Add(new Waiting(end, wait, slot, Committed: true));
                return new DescribedProducers(producers, claimedBy);
            }
        }
        wait.Complete(slot, outcome);
        return new DescribedProducers(producers, claimedBy);
    }

    /// <summary>
    /// Signals <paramref name="reader"/> whenever the high watermark moves or the node stops serving, until it is removed.
    /// </summary>
    internal void AddReader(ProgressWait reader)
    {
        lock (_lock)
        {
            _readers.Add(reader);
        }
    }

    /// <summary>The reader waits no longer.</summary>
    internal void RemoveReader(ProgressWait reader)
    {
        lock (_lock)
        {
            _readers.Remove(reader);
        }
    }

    /// <summary>How many wait for their batches and how many for news. Those who gave up are swept out with the next move.</summary>
    internal (int Waiting, int Readers) Waiters
    {
        get
        {
            lock (_lock)
            {
                return (_waiting.Count, _readers.Count);
            }
        }
    }

    /// <inheritdoc/>
    void ILogListener.OnFlushed(PartitionLog log, long flushedEnd) => Advance(flushedEnd);

    /// <inheritdoc/>
    void ILogListener.OnFailed(PartitionLog log, long fromOffset, Exception reason)
    {
        var woken = new Woken();
        lock (_lock)
        {
            // An append made between the failure and this call may be failed too: its client tries again and learns better.
            TakeWaiting(fromOffset, fromOffset, reached: false, ErrorCode.KafkaStorageError, ref woken);
        }
        woken.Wake();
    }

    /// <summary>Called under the lock.</summary>
    private Guid Claim(long[] producerIds, Claimant claimant)
    {
        Guid claimedBy = claimant.Incarnation;
        foreach (long producerId in producerIds)
        {
            Guid holder = _claims.Claim(producerId, claimant);
            claimedBy = holder == claimant.Incarnation ? claimedBy : holder;
        }
        return claimedBy;
    }

    private void Advance(long flushedEnd)
    {
        var woken = new Woken();
        lock (_lock)
        {
            AdvanceLocked(flushedEnd, ref woken);
        }
        woken.Wake();
    }

    private void AdvanceLocked(long flushedEnd, ref Woken woken)
    {
        long before = _highWatermark;
        long now = _inSync.CommonEnd(flushedEnd, before);
        if (now < before)
        {
            throw new InvalidOperationException($"the high watermark of {Log.Name} would go back from {before} to {now}");
        }
        Volatile.Write(ref _highWatermark, now);
        Volatile.Write(ref _lastStable, Log.LastStableOffset(now));
        TakeWaiting(now, flushedEnd, reached: true, ErrorCode.None, ref woken);
        if (now > before)
        {
            woken.AddReaders(_readers);
        }
    }

    /// <summary>Takes those whose batch is below the end that they wait for, or those whose batch is not. Called under the lock.</summary>
    private void TakeWaiting(long committedEnd, long flushedEnd, bool reached, ErrorCode outcome, ref Woken woken)
    {
        if (_waiting.Count == 0)
        {
            return;
        }
        int kept = 0;
        for (int i = 0; i < _waiting.Count; i++)
        {
            Waiting waiting = _waiting[i];
            if (waiting.End <= (waiting.Committed ? committedEnd : flushedEnd) == reached)
            {
                woken.Add(waiting, outcome);
            }
            else if (!waiting.Wait.IsOver)
            {
                _waiting[kept++] = waiting;
            }
        }
        _waiting.RemoveRange(kept, _waiting.Count - kept);
    }

    /// <summary>A slot that waits for <paramref name="End"/>, the offset after its batch.</summary>
    private readonly record struct Waiting(long End, CommitWait Wait, int Slot, bool Committed);

    /// <summary>Those to wake once the lock is released.</summary>
    private struct Woken
    {
        private List<(Waiting Waiting, ErrorCode Outcome)>? _waiting;
        private ProgressWait[]? _readers;

        public void Add(Waiting waiting, ErrorCode outcome) => (_waiting ??= []).Add((waiting, outcome));

        public void AddReaders(HashSet<ProgressWait> readers) => _readers = readers.Count == 0 ? null : [.. readers];

        public readonly void Wake()
        {
            foreach ((Waiting waiting, ErrorCode outcome) in _waiting ?? [])
            {
                waiting.Wait.Complete(waiting.Slot, outcome);
            }
            foreach (ProgressWait reader in _readers ?? [])
            {
                reader.Signal();
            }
        }
    }
}
