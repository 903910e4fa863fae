namespace Tributary.Broker.Transactions;

/// <summary>
/// Where transactional ids are kept. Only a compare-and-swap on a record's version decides: whoever writes says which version it has read.
/// Callable from any thread.
/// </summary>
public interface ITransactionStore
{
    /// <summary>Reads what is decided on a transactional id; null if nothing is.</summary>
    Task<StoredTransaction?> LoadAsync(string id);

    /// <summary>The version of what is decided on a transactional id now, 0 if nothing is.</summary>
    Task<long> ReadVersionAsync(string id);

    /// <summary>Writes a record. When it returns, it is durable.</summary>
    /// <param name="id">The transactional id.</param>
    /// <param name="version">The version that the writer has read, 0 if there must be none yet.</param>
    /// <param name="record">What it shall be.</param>
    /// <returns>The new version.</returns>
    /// <exception cref="TransactionConflictException">
    /// Somebody else has written it: what the caller knows of it is out of date.
    /// </exception>
    /// <exception cref="TransactionLimitException">The transactional id would be one too many.</exception>
    Task<long> WriteAsync(string id, long version, TransactionRecord record);

    /// <summary>Forgets a transactional id, durably.</summary>
    /// <exception cref="TransactionConflictException">Somebody else has written it.</exception>
    Task DeleteAsync(string id, long version);

    /// <summary>Up to <paramref name="count"/> transactional ids in the order of their names, those behind <paramref name="after"/>.</summary>
    Task<IReadOnlyList<TransactionListing>> ListAsync(string? after, int count);

    /// <summary>
    /// Those whose <see cref="TransactionRecord.DueMs"/> is at most <paramref name="until"/>, as <see cref="ListAsync"/>.
    /// </summary>
    Task<IReadOnlyList<string>> ListDueAsync(long until, string? after, int count);

    /// <summary>
    /// Those without an open transaction on which nothing was decided since <paramref name="since"/> (Unix milliseconds), as
    /// <see cref="ListAsync"/>.
    /// </summary>
    Task<IReadOnlyList<string>> ListIdleAsync(long since, string? after, int count);
}

/// <summary>A transactional id as it is stored.</summary>
public sealed record StoredTransaction(long Version, TransactionRecord Record);

/// <summary>Somebody else has written a transactional id.</summary>
public sealed class TransactionConflictException(string id) : Exception($"transactional id '{id}' was changed by somebody else");

/// <summary>There are as many transactional ids as allowed.</summary>
public sealed class TransactionLimitException(string id, int most)
    : Exception($"transactional id '{id}' would be one too many: transactions:maxIds is {most}");
