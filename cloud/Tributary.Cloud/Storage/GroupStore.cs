using System.Data.Common;
using Microsoft.Data.Sqlite;
using Tributary.Broker.Groups;

namespace Tributary.Cloud.Storage;

/// <summary>
/// Groups and their offsets in the control database. A flush serves the writes of many groups (<see cref="ControlWriter"/>); each one's
/// compare-and-swap is for itself. When a write has returned it survives power loss. Callable from any thread.
/// </summary>
internal sealed class GroupStore(ControlDatabase database, GroupOptions options) : IGroupStore
{
    private readonly int _maxGroups = options.MaxGroups;

    /// <summary>Statements on the writer's connection. Used on its thread.</summary>
    private GroupCommands? _writing;

    /// <inheritdoc/>
    public Task<StoredGroup?> LoadAsync(string group) => Task.Run(() =>
    {
        using DbConnection connection = database.OpenConnection();
        using var reading = new GroupCommands((SqliteConnection)connection);
        return reading.Read(group);
    });

    /// <inheritdoc/>
    public async Task<long> WriteAsync(GroupWrite write)
    {
        (long version, Exception? refusal) = await database.Writer.WriteAsync(transaction => CommandsFor(transaction).Write(write, _maxGroups));
        return refusal is null ? version : throw refusal;
    }

    /// <inheritdoc/>
    public Task<IReadOnlyList<GroupListing>> ListAsync(string? after, int count) => ListAsync(
        GroupSchema.ListGroups,
        row => new GroupListing(
            row.GetString(0), row.GetString(1), row.GetInt64(2) > 0 ? GroupState.Stable : GroupState.Empty, row.GetInt64(3) > 0),
        ("$after", after ?? ""), ("$count", count));

    /// <inheritdoc/>
    public Task<IReadOnlyList<string>> ListReadersAsync(string topic, string? after, int count) => ListAsync(
        GroupSchema.ListReaders, row => row.GetString(0), ("$topic", topic), ("$after", after ?? ""), ("$count", count));

    /// <inheritdoc/>
    public Task<IReadOnlyList<string>> ListAgedAsync(long committedBefore, string? after, int count) => ListAsync(
        GroupSchema.ListAged, row => row.GetString(0), ("$before", committedBefore), ("$after", after ?? ""), ("$count", count));

    private Task<IReadOnlyList<T>> ListAsync<T>(string sql, Func<DbDataReader, T> read, params (string Name, object Value)[] parameters) =>
        Task.Run<IReadOnlyList<T>>(() =>
        {
            using DbConnection connection = database.OpenConnection();
            using var reading = new GroupCommands((SqliteConnection)connection);
            return reading.List(sql, read, parameters);
        });

    private GroupCommands CommandsFor(SqliteTransaction transaction)
    {
        if (_writing?.IsOn(transaction) != true)
        {
            _writing?.Dispose(); // a transaction failed, and with it the connection went and what was counted on it
            _writing = new GroupCommands(transaction.Connection!);
        }
        _writing.Enter(transaction);
        return _writing;
    }
}
