using Tributary.Broker.Transactions;

namespace Tributary.Tests.Broker.Support;

/// <summary>Keeps transactional ids in memory, with writes that a test can hold up or fail. Callable from any thread.</summary>
internal sealed class MemoryTransactionStore : ITransactionStore
{
    private readonly Lock _lock = new();
    private readonly SortedDictionary<string, StoredTransaction> _records = new(StringComparer.Ordinal);
    private TaskCompletionSource _open = Opened();
    private long _lastVersion;
    private int _waiting;

    public int MaxIds { get; set; } = int.MaxValue;

    /// <summary>What was written, in order.</summary>
    public List<TransactionRecord> Written { get; } = [];

    /// <summary>What every write fails with, if anything.</summary>
    public Exception? Failure { get; set; }

    /// <summary>Called with each record that was written, before its writer learns of it.</summary>
    public Action<TransactionRecord>? Stored { get; set; }

    /// <summary>Writes that wait.</summary>
    public int Waiting => Volatile.Read(ref _waiting);

    /// <summary>Writes wait from now on.</summary>
    public void Hold() => _open = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Writes go on.</summary>
    public void Release() => _open.TrySetResult();

    public Task<StoredTransaction?> LoadAsync(string id)
    {
        lock (_lock)
        {
            return Task.FromResult(_records.GetValueOrDefault(id));
        }
    }

    public Task<long> ReadVersionAsync(string id)
    {
        lock (_lock)
        {
            return Task.FromResult(_records.GetValueOrDefault(id)?.Version ?? 0);
        }
    }

    public async Task<long> WriteAsync(string id, long version, TransactionRecord record)
    {
        Interlocked.Increment(ref _waiting);
        await _open.Task;
        Interlocked.Decrement(ref _waiting);
        lock (_lock)
        {
            Check(id, version);
            if (version == 0 && _records.Count >= MaxIds)
            {
                throw new TransactionLimitException(id, MaxIds);
            }
            Written.Add(record);
            _records[id] = new StoredTransaction(++_lastVersion, record);
            Stored?.Invoke(record);
            return _lastVersion;
        }
    }

    public async Task DeleteAsync(string id, long version)
    {
        await _open.Task;
        lock (_lock)
        {
            Check(id, version);
            _records.Remove(id);
        }
    }

    public Task<IReadOnlyList<TransactionListing>> ListAsync(string? after, int count) => ListAsync(
        after, count, _ => true, (id, record) => new TransactionListing(id, record.State, record.ProducerId, record.StartMs));

    public Task<IReadOnlyList<string>> ListDueAsync(long until, string? after, int count) =>
        ListAsync(after, count, record => record.DueMs <= until, (id, _) => id);

    public Task<IReadOnlyList<string>> ListIdleAsync(long since, string? after, int count) =>
        ListAsync(after, count, record => record.DueMs is null && record.UpdatedMs <= since, (id, _) => id);

    private static TaskCompletionSource Opened()
    {
        var open = new TaskCompletionSource();
        open.SetResult();
        return open;
    }

    private void Check(string id, long version)
    {
        if (Failure is not null)
        {
            throw Failure;
        }
        if ((_records.GetValueOrDefault(id)?.Version ?? 0) != version)
        {
            throw new TransactionConflictException(id);
        }
    }

    private Task<IReadOnlyList<T>> ListAsync<T>(
        string? after, int count, Func<TransactionRecord, bool> isWanted, Func<string, TransactionRecord, T> read)
    {
        lock (_lock)
        {
            return Task.FromResult<IReadOnlyList<T>>([
                .. _records.Where(one => string.CompareOrdinal(one.Key, after ?? "") > 0 && isWanted(one.Value.Record)).Take(count)
                    .Select(one => read(one.Key, one.Value.Record)),
            ]);
        }
    }
}
