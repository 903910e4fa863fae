using System.Data.Common;
using System.Diagnostics.CodeAnalysis;
using Microsoft.Data.Sqlite;

namespace Tributary.Cloud.Storage;

/// <summary>
/// Statements on one connection to the control database, prepared once. The connection is the caller's. Used by one thread at a time.
/// </summary>
internal abstract class ControlCommands(SqliteConnection connection) : IDisposable
{
    private readonly Dictionary<string, SqliteCommand> _prepared = [];
    private SqliteTransaction? _transaction;

    /// <summary>Whether the transaction is one of this connection.</summary>
    public bool IsOn(SqliteTransaction transaction) => ReferenceEquals(transaction.Connection, connection);

    /// <summary>From now on statements are part of this transaction.</summary>
    public void Enter(SqliteTransaction transaction) => _transaction = transaction;

    /// <summary>Reads rows.</summary>
    public List<T> List<T>(string sql, Func<DbDataReader, T> read, (string Name, object Value)[] parameters)
    {
        var found = new List<T>();
        using SqliteDataReader rows = Prepare(sql, parameters).ExecuteReader();
        while (rows.Read())
        {
            found.Add(read(rows));
        }
        return found;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (SqliteCommand command in _prepared.Values)
        {
            command.Dispose();
        }
    }

    /// <summary>Begins a transaction in which everything is read as of one moment.</summary>
    protected SqliteTransaction Begin() => _transaction = connection.BeginTransaction(deferred: true);

    protected int Execute(string sql, params (string Name, object Value)[] parameters) => Prepare(sql, parameters).ExecuteNonQuery();

    [SuppressMessage("Security", "CA2100", Justification = "All texts are constants of this assembly")]
    protected SqliteCommand Prepare(string sql, params ReadOnlySpan<(string Name, object Value)> parameters)
    {
        if (!_prepared.TryGetValue(sql, out SqliteCommand? command))
        {
            command = connection.CreateCommand();
            command.CommandText = sql;
            foreach ((string name, object value) in parameters)
            {
                command.Parameters.AddWithValue(name, value);
            }
            _prepared.Add(sql, command);
        }
        for (int i = 0; i < parameters.Length; i++)
        {
            command.Parameters[i].ResetSqliteType();
            command.Parameters[i].Value = parameters[i].Value;
        }
        command.Transaction = _transaction;
        return command;
    }
}
