using Tributary.Contracts.Kafka;

namespace Tributary.Broker.Transactions;

/// <summary>
/// Decides on transactions (KIP-98): who may write under a transactional id, which partitions and groups belong to its open transaction, and
/// how that ends. What is answered without an error is stored. The silo answers from grains; a test from memory.
/// </summary>
/// <remarks>
/// A call that is cancelled, or fails by an exception, may have had its effect. Errors are those of Kafka's newest versions; handlers
/// translate them for older ones.
/// </remarks>
public interface ITransactionCoordinator
{
    /// <summary>
    /// Gives a transactional id its producer id and a new epoch: whoever wrote under it before is fenced, and what it had begun is aborted.
    /// While that is under way the answer is <see cref="ErrorCode.ConcurrentTransactions"/>, and the client asks again.
    /// </summary>
    /// <param name="transactionalId">Whose.</param>
    /// <param name="timeoutMs">Milliseconds after which an open transaction is aborted.</param>
    /// <param name="current">What the client has had so far (KIP-360), null if it doesn't say.</param>
    /// <param name="cancellation">The caller waits no longer.</param>
    Task<InitializedProducer> InitializeAsync(
        string transactionalId, int timeoutMs, ProducerIdentity? current, CancellationToken cancellation);

    /// <summary>Adds partitions to the open transaction, or begins one with them. All or none.</summary>
    Task<ErrorCode> AddPartitionsAsync(
        string transactionalId, ProducerIdentity producer, IReadOnlyCollection<TransactionPartition> partitions, CancellationToken cancellation);

    /// <summary>Adds a consumer group, whose offsets are to be committed with it, to the open transaction, or begins one with it.</summary>
    Task<ErrorCode> AddGroupAsync(string transactionalId, ProducerIdentity producer, string groupId, CancellationToken cancellation);

    /// <summary>
    /// Ends the open transaction. The decision is stored when this returns; markers and offsets follow by themselves, whatever crashes.
    /// </summary>
    Task<ErrorCode> EndAsync(string transactionalId, ProducerIdentity producer, bool commit, CancellationToken cancellation);

    /// <summary>Whether a partition belongs to the open transaction (KIP-890).</summary>
    /// <returns>None, or <see cref="ErrorCode.InvalidTxnState"/>, or why the producer may not write at all.</returns>
    ValueTask<ErrorCode> VerifyAsync(
        string transactionalId, ProducerIdentity producer, TransactionPartition partition, CancellationToken cancellation);

    /// <summary>Whether a group belongs to the open transaction, and which version of the transaction says so.</summary>
    ValueTask<VerifiedGroup> VerifyGroupAsync(
        string transactionalId, ProducerIdentity producer, string groupId, CancellationToken cancellation);

    /// <summary>What is known of a transactional id, null if nothing is.</summary>
    Task<TransactionDescription?> DescribeAsync(string transactionalId, CancellationToken cancellation);

    /// <summary>Up to <paramref name="count"/> transactional ids in the order of their names, those behind <paramref name="after"/>.</summary>
    Task<IReadOnlyList<TransactionListing>> ListAsync(string? after, int count, CancellationToken cancellation);
}

/// <summary>Who writes: a producer id and how often it was handed on.</summary>
public readonly record struct ProducerIdentity(long ProducerId, short Epoch);

/// <summary>A partition by its topic's name and id: a topic that is made anew has no part in what its predecessor's partitions were in.</summary>
public readonly record struct TransactionPartition(string Topic, Guid TopicId, int Index);

/// <summary>What became of <see cref="ITransactionCoordinator.InitializeAsync"/>.</summary>
/// <param name="Error">None, or why there is no producer.</param>
/// <param name="Producer">The producer id and epoch to write under.</param>
public readonly record struct InitializedProducer(ErrorCode Error, ProducerIdentity Producer);

/// <summary>What became of <see cref="ITransactionCoordinator.VerifyGroupAsync"/>.</summary>
/// <param name="Error">None, or <see cref="ErrorCode.InvalidTxnState"/>, or why the producer may not commit at all.</param>
/// <param name="Version">The transaction's version: the marker that ends it has a greater coordinator epoch, all that ended earlier ones
/// of the same producer have not.</param>
public readonly record struct VerifiedGroup(ErrorCode Error, int Version);

/// <summary>Where a transactional id is, by the names that Kafka's tools show.</summary>
public enum TransactionState : byte
{
    /// <summary>Nothing has been begun.</summary>
    Empty = 0,

    /// <summary>Partitions or groups belong to an open transaction.</summary>
    Ongoing = 1,

    /// <summary>It is decided that it commits; markers are being written.</summary>
    PrepareCommit = 2,

    /// <summary>It is decided that it aborts; markers are being written.</summary>
    PrepareAbort = 3,

    /// <summary>It has committed everywhere.</summary>
    CompleteCommit = 4,

    /// <summary>It has aborted everywhere.</summary>
    CompleteAbort = 5,

    /// <summary>It expired and is being forgotten.</summary>
    Dead = 6,

    /// <summary>The epoch was raised to fence a producer, whose transaction is about to be aborted.</summary>
    PrepareEpochFence = 7,
}

/// <summary>A transactional id as DescribeTransactions tells it.</summary>
/// <param name="TransactionalId">The id.</param>
/// <param name="State">Where it is.</param>
/// <param name="Producer">Who may write.</param>
/// <param name="TimeoutMs">Milliseconds after which an open transaction is aborted.</param>
/// <param name="StartMs">When the transaction began, Unix milliseconds, −1 if none is open.</param>
/// <param name="Partitions">Partitions that belong to it.</param>
public sealed record TransactionDescription(
    string TransactionalId, TransactionState State, ProducerIdentity Producer, int TimeoutMs, long StartMs,
    IReadOnlyList<TransactionPartition> Partitions);

/// <summary>A transactional id as ListTransactions tells it.</summary>
/// <param name="TransactionalId">The id.</param>
/// <param name="State">Where it is.</param>
/// <param name="ProducerId">Its producer id.</param>
/// <param name="StartMs">When its open transaction began, Unix milliseconds, −1 if none is open.</param>
public sealed record TransactionListing(string TransactionalId, TransactionState State, long ProducerId, long StartMs);
