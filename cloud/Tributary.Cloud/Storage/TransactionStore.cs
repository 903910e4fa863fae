using System.Data.Common;
using Microsoft.Data.Sqlite;
using Tributary.Broker.Transactions;

namespace Tributary.Cloud.Storage;

/// <summary>
/// Transactional ids in the control database. A flush serves the writes of many (<see cref="ControlWriter"/>); each one's compare-and-swap is
/// for itself. When a write has returned it survives power loss. Callable from any thread.
/// </summary>
internal sealed class TransactionStore(ControlDatabase database, TransactionOptions options) : ITransactionStore
{
    private static readonly RecordSerializer Records = new();
    private readonly int _maxIds = options.MaxIds;

    /// <summary>Statements on the writer's connection. Used on its thread.</summary>
    private TransactionCommands? _writing;

    /// <inheritdoc/>
    public Task<StoredTransaction?> LoadAsync(string id) => Task.Run(() =>
    {
        using DbConnection connection = database.OpenConnection();
        using var reading = new TransactionCommands((SqliteConnection)connection);
        return reading.Read(id);
    });

    /// <inheritdoc/>
    public Task<long> ReadVersionAsync(string id) => Task.Run(() =>
    {
        using DbConnection connection = database.OpenConnection();
        using var reading = new TransactionCommands((SqliteConnection)connection);
        return reading.ReadVersion(id);
    });

    /// <inheritdoc/>
    public async Task<long> WriteAsync(string id, long version, TransactionRecord record)
    {
        byte[] payload = Records.Serialize(record).ToArray();
        (long next, Exception? refusal) = await database.Writer.WriteAsync(
            transaction => CommandsFor(transaction).Write(id, version, record, payload, _maxIds));
        return refusal is null ? next : throw refusal;
    }

    /// <inheritdoc/>
    public async Task DeleteAsync(string id, long version)
    {
        if (await database.Writer.WriteAsync(transaction => CommandsFor(transaction).Delete(id, version)) is { } refusal)
        {
            throw refusal;
        }
    }

    /// <inheritdoc/>
    public Task<IReadOnlyList<TransactionListing>> ListAsync(string? after, int count) => ListAsync(
        TransactionSchema.List,
        row => new TransactionListing(row.GetString(0), (TransactionState)row.GetByte(1), row.GetInt64(2), row.GetInt64(3)),
        ("$after", after ?? ""), ("$count", count));

    /// <inheritdoc/>
    public Task<IReadOnlyList<string>> ListDueAsync(long until, string? after, int count) => ListAsync(
        TransactionSchema.ListDue, row => row.GetString(0), ("$until", until), ("$after", after ?? ""), ("$count", count));

    /// <inheritdoc/>
    public Task<IReadOnlyList<string>> ListIdleAsync(long since, string? after, int count) => ListAsync(
        TransactionSchema.ListIdle, row => row.GetString(0), ("$since", since), ("$after", after ?? ""), ("$count", count));

    private Task<IReadOnlyList<T>> ListAsync<T>(string sql, Func<DbDataReader, T> read, params (string Name, object Value)[] parameters) =>
        Task.Run<IReadOnlyList<T>>(() =>
        {
            using DbConnection connection = database.OpenConnection();
            using var reading = new TransactionCommands((SqliteConnection)connection);
            return reading.List(sql, read, parameters);
        });

    private TransactionCommands CommandsFor(SqliteTransaction transaction)
    {
        if (_writing?.IsOn(transaction) != true)
        {
            _writing?.Dispose(); // a transaction failed, and with it the connection went and what was counted on it
            _writing = new TransactionCommands(transaction.Connection!);
        }
        _writing.Enter(transaction);
        return _writing;
    }
}
