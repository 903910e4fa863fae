using Tributary.Contracts.Kafka;

namespace Tributary.Broker.Transactions;

/// <summary>What is to be done about a request.</summary>
/// <param name="Error">The answer, once <paramref name="Next"/> is stored.</param>
/// <param name="Next">What is to be stored first; null if nothing changes.</param>
/// <param name="NeedsProducerId">It can't be said without a producer id that nobody has had: ask again with one.</param>
internal readonly record struct TransactionStep(ErrorCode Error, TransactionRecord? Next = null, bool NeedsProducerId = false);

/// <summary>
/// Decides on one transactional id: given what is stored, a request and the time, it says what to store next and what to answer. Pure: no
/// I/O, no clock, no memory of its own.
/// </summary>
/// <remarks>
/// The states are Kafka's, of the transaction protocol before KIP-890's second part, with two differences. A retried EndTxn is answered with
/// the decision as soon as that is stored, not only when it is completed. And a transaction that is aborted in place of its producer (by
/// timeout, or because a new one has come) takes the raised epoch and the decision in one write, so there is no moment between them and the
/// state PrepareEpochFence is never stored.
/// <code>
/// (nothing) ─init─▶ Empty ─add─▶ Ongoing ─end─▶ PrepareCommit ─markers─▶ CompleteCommit ─add─▶ Ongoing …
///                     ▲             └─end, timeout, init─▶ PrepareAbort ─▶ CompleteAbort ─┘
///                     └───────────────────────────init───────────────────────────────────────────┘
/// </code>
/// Methods are virtual so that tests can plant bugs.
/// </remarks>
internal class TransactionMachine(TransactionOptions options)
{
    /// <summary>The last epoch that a producer is given: the one above is left for aborting in its place (as in Kafka).</summary>
    public const short LastEpoch = short.MaxValue - 1;

    private const short NoEpoch = -1;
    private const long NoProducerId = -1;

    private readonly int _maxTimeoutMs = (int)options.MaxTimeout.TotalMilliseconds;

    /// <summary>How what a client says that it has had stands to what is stored.</summary>
    private enum Standing
    {
        /// <summary>It says nothing: it is a new producer.</summary>
        New,

        /// <summary>It is the one that may write.</summary>
        Current,

        /// <summary>It has asked before, and not learned the answer.</summary>
        Retrying,

        /// <summary>Another one has come since.</summary>
        Fenced,
    }

    /// <inheritdoc cref="ITransactionCoordinator.InitializeAsync"/>
    /// <param name="record">What is stored.</param>
    /// <param name="timeoutMs">The timeout that is asked for.</param>
    /// <param name="current">What the client has had so far, null if it doesn't say.</param>
    /// <param name="newProducerId">A producer id that nobody has had, for when one is needed.</param>
    /// <param name="now">Unix milliseconds.</param>
    public virtual TransactionStep Initialize(
        TransactionRecord? record, int timeoutMs, ProducerIdentity? current, long? newProducerId, long now)
    {
        if (timeoutMs <= 0 || timeoutMs > _maxTimeoutMs)
        {
            return new TransactionStep(ErrorCode.InvalidTransactionTimeout);
        }
        if (record is null)
        {
            return newProducerId is { } id
                ? Begin(new TransactionRecord { ProducerId = id, Epoch = 0, TimeoutMs = timeoutMs, UpdatedMs = now })
                : new TransactionStep(ErrorCode.None, NeedsProducerId: true);
        }
        Standing standing = StandingOf(record, current);
        return standing == Standing.Fenced ? new TransactionStep(ErrorCode.ProducerFenced)
            : record.IsEnding ? new TransactionStep(ErrorCode.ConcurrentTransactions)
            : record.State != TransactionState.Ongoing ? Renew(record, standing, timeoutMs, newProducerId, now)
            : standing == Standing.Retrying ? new TransactionStep(ErrorCode.ProducerFenced) // a late repetition: its sender has gone on
            : new TransactionStep(ErrorCode.ConcurrentTransactions, Fence(record, standing == Standing.Current, now));
    }

    /// <inheritdoc cref="ITransactionCoordinator.AddPartitionsAsync"/>
    public virtual TransactionStep AddPartitions(
        TransactionRecord? record, ProducerIdentity producer, IReadOnlyCollection<TransactionPartition> partitions, long now)
    {
        if (CheckOpen(record, producer) is var error && error != ErrorCode.None)
        {
            return new TransactionStep(error);
        }
        TransactionRecord next = Open(record!, now).With(partitions);
        return record!.State == TransactionState.Ongoing && next.PartitionCount == record.PartitionCount
            ? new TransactionStep(ErrorCode.None)
            : next.PartitionCount > options.MaxPartitions ? new TransactionStep(ErrorCode.PolicyViolation)
            : new TransactionStep(ErrorCode.None, next);
    }

    /// <inheritdoc cref="ITransactionCoordinator.AddGroupAsync"/>
    public virtual TransactionStep AddGroup(TransactionRecord? record, ProducerIdentity producer, string groupId, long now)
    {
        if (CheckOpen(record, producer) is var error && error != ErrorCode.None)
        {
            return new TransactionStep(error);
        }
        if (record!.State == TransactionState.Ongoing && record.Groups.Contains(groupId, StringComparer.Ordinal))
        {
            return new TransactionStep(ErrorCode.None);
        }
        return record.Groups.Length >= options.MaxGroups
            ? new TransactionStep(ErrorCode.PolicyViolation)
            : new TransactionStep(ErrorCode.None, Open(record, now) with { Groups = [.. record.Groups, groupId] });
    }

    /// <inheritdoc cref="ITransactionCoordinator.EndAsync"/>
    public virtual TransactionStep End(TransactionRecord? record, ProducerIdentity producer, bool commit, long now)
    {
        if (Check(record, producer) is var error && error != ErrorCode.None)
        {
            return new TransactionStep(error);
        }
        return record!.State switch
        {
            TransactionState.Ongoing => new TransactionStep(ErrorCode.None, Decide(record, commit, now)),
            TransactionState.PrepareCommit or TransactionState.CompleteCommit when commit => new TransactionStep(ErrorCode.None),
            TransactionState.PrepareAbort or TransactionState.CompleteAbort when !commit => new TransactionStep(ErrorCode.None),
            _ => new TransactionStep(ErrorCode.InvalidTxnState),
        };
    }

    /// <inheritdoc cref="ITransactionCoordinator.VerifyAsync"/>
    public virtual ErrorCode Verify(TransactionRecord? record, ProducerIdentity producer, TransactionPartition partition) =>
        Check(record, producer) is var error && error != ErrorCode.None ? error
        : record!.State == TransactionState.Ongoing && record.Has(partition) ? ErrorCode.None
        : ErrorCode.InvalidTxnState;

    /// <inheritdoc cref="ITransactionCoordinator.VerifyGroupAsync"/>
    public virtual VerifiedGroup VerifyGroup(TransactionRecord? record, ProducerIdentity producer, string groupId) =>
        Check(record, producer) is var error && error != ErrorCode.None ? new VerifiedGroup(error, 0)
        : record!.State == TransactionState.Ongoing && record.Groups.Contains(groupId, StringComparer.Ordinal)
            ? new VerifiedGroup(ErrorCode.None, record.Number)
        : new VerifiedGroup(ErrorCode.InvalidTxnState, 0);

    /// <summary>Aborts a transaction that has been open for longer than its timeout; its producer is fenced.</summary>
    /// <returns>What to store; null if it isn't time.</returns>
    public virtual TransactionRecord? TimeOut(TransactionRecord? record, long now) =>
        record is { State: TransactionState.Ongoing } && now >= record.DueMs ? Fence(record, isCurrent: false, now) : null;

    /// <summary>A transaction that was decided has ended everywhere.</summary>
    public virtual TransactionRecord Complete(TransactionRecord record, long now) => record with
    {
        State = record.State == TransactionState.PrepareCommit ? TransactionState.CompleteCommit : TransactionState.CompleteAbort,
        Topics = [],
        Groups = [],
        StartMs = -1,
        UpdatedMs = now,
    };

    /// <summary>Whether a transactional id is to be forgotten.</summary>
    public bool HasExpired(TransactionRecord record, long now) =>
        record.DueMs is null && now - record.UpdatedMs >= options.IdExpiration.TotalMilliseconds;

    /// <summary>The decision on an open transaction.</summary>
    protected static TransactionRecord Decide(TransactionRecord record, bool commit, long now) => record with
    {
        State = commit ? TransactionState.PrepareCommit : TransactionState.PrepareAbort,
        Number = record.Number + 1,
        UpdatedMs = now,
    };

    private static TransactionStep Begin(TransactionRecord next) => new(ErrorCode.None, next);

    private static Standing StandingOf(TransactionRecord record, ProducerIdentity? current) =>
        current is not { } claimed ? Standing.New
        : claimed == record.Producer ? Standing.Current
        : record.LastEpoch >= 0 && claimed == new ProducerIdentity(record.LastProducerId, record.LastEpoch) ? Standing.Retrying
        : Standing.Fenced;

    /// <summary>Aborts an open transaction in place of its producer, under the next epoch, so that nothing of it can come later.</summary>
    private static TransactionRecord Fence(TransactionRecord record, bool isCurrent, long now) =>
        Decide(record, commit: false, now) with
        {
            Epoch = checked((short)(record.Epoch + 1)),
            LastProducerId = isCurrent ? record.ProducerId : NoProducerId,
            LastEpoch = isCurrent ? record.Epoch : NoEpoch,
        };

    /// <summary>Gives a producer its next epoch, or a producer id if there are no more epochs, while no transaction is open.</summary>
    private static TransactionStep Renew(TransactionRecord record, Standing standing, int timeoutMs, long? newProducerId, long now)
    {
        if (standing == Standing.Retrying && record.Epoch <= LastEpoch)
        {
            // The state stays: should this be a late repetition, its sender may have ended a transaction since, and ask again how.
            return record.TimeoutMs == timeoutMs
                ? new TransactionStep(ErrorCode.None)
                : new TransactionStep(ErrorCode.None, record with { TimeoutMs = timeoutMs, UpdatedMs = now });
        }
        bool isNew = standing == Standing.New;
        TransactionRecord next = record with
        {
            State = TransactionState.Empty,
            TimeoutMs = timeoutMs,
            StartMs = -1,
            UpdatedMs = now,
            LastProducerId = isNew ? NoProducerId : standing == Standing.Retrying ? record.LastProducerId : record.ProducerId,
            LastEpoch = isNew ? NoEpoch : standing == Standing.Retrying ? record.LastEpoch : record.Epoch,
        };
        if (record.Epoch < LastEpoch && record.Number < int.MaxValue)
        {
            return new TransactionStep(ErrorCode.None, next with { Epoch = (short)(record.Epoch + 1) });
        }
        if (newProducerId is not { } id)
        {
            return new TransactionStep(ErrorCode.None, NeedsProducerId: true);
        }
        return new TransactionStep(ErrorCode.None, next with { ProducerId = id, Epoch = 0, Number = 0 });
    }

    /// <summary>The record with an open transaction.</summary>
    private static TransactionRecord Open(TransactionRecord record, long now) => record with
    {
        State = TransactionState.Ongoing,
        StartMs = record.State == TransactionState.Ongoing ? record.StartMs : now,
        UpdatedMs = now,
    };

    /// <summary>Whether a producer may write at all.</summary>
    private static ErrorCode Check(TransactionRecord? record, ProducerIdentity producer) =>
        record is null || record.ProducerId != producer.ProducerId ? ErrorCode.InvalidProducerIdMapping
        : record.Epoch != producer.Epoch ? ErrorCode.ProducerFenced
        : ErrorCode.None;

    /// <summary>Whether a producer may add to a transaction.</summary>
    private static ErrorCode CheckOpen(TransactionRecord? record, ProducerIdentity producer) =>
        Check(record, producer) is var error && error != ErrorCode.None ? error
        : record!.IsEnding ? ErrorCode.ConcurrentTransactions
        : record is { Number: int.MaxValue, State: not TransactionState.Ongoing } ? ErrorCode.ProducerFenced // numbers have run out
        : ErrorCode.None;
}
