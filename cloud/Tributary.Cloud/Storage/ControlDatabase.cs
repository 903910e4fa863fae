using System.Data.Common;
using System.Diagnostics.CodeAnalysis;
using Microsoft.Data.Sqlite;

namespace Tributary.Cloud.Storage;

/// <summary>
/// The SQLite file with everything that grains decide. A write that has returned survives power loss: the journal is a write-ahead log
/// and each connection flushes it at each commit (<c>synchronous=FULL</c>). Callable from any thread. A crash leaves the file and its
/// journal, which the next open reads back. One process has it open: the lock of the log directory beside it sees to that.
/// </summary>
/// <remarks>All calls block, asynchronous ones too. Whoever writes does it by <see cref="Writer"/>.</remarks>
internal sealed class ControlDatabase : DbDataSource
{
    /// <summary>Its name in the data directory.</summary>
    public const string FileName = "control.db";

    private const int BusySeconds = 30;
    private readonly string _path;

    private ControlDatabase(string path)
    {
        _path = path;
        ConnectionString = new SqliteConnectionStringBuilder
        {
            DataSource = path,
            Mode = SqliteOpenMode.ReadWriteCreate,
            DefaultTimeout = BusySeconds,
        }.ToString();
        Writer = new ControlWriter(OpenSqlite);
    }

    /// <summary>Takes all writes.</summary>
    public ControlWriter Writer { get; }

    /// <inheritdoc/>
    public override string ConnectionString { get; }

    /// <summary>Opens the file, or makes it with its tables.</summary>
    /// <exception cref="StartupException">It can't be used; the message says why.</exception>
    public static ControlDatabase Open(string path)
    {
        var database = new ControlDatabase(path);
        try
        {
            database.Prepare();
            return database;
        }
        catch (SqliteException e)
        {
            database.Dispose();
            throw new StartupException($"the control database {path} can't be opened: {e.Message}", e);
        }
        catch
        {
            database.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    protected override DbConnection CreateDbConnection() => new SqliteConnection(ConnectionString);

    /// <inheritdoc/>
    protected override DbConnection OpenDbConnection() => OpenSqlite();

    /// <inheritdoc/>
    protected override ValueTask<DbConnection> OpenDbConnectionAsync(CancellationToken cancellationToken = default) => new(OpenSqlite());

    /// <summary>Closes the connections that are kept open; the last one folds the journal into the file.</summary>
    protected override void Dispose(bool disposing)
    {
        Writer.DisposeAsync().AsTask().GetAwaiter().GetResult(); // a thread of its own ends
        using var connection = new SqliteConnection(ConnectionString);
        SqliteConnection.ClearPool(connection);
    }

    /// <inheritdoc/>
    protected override ValueTask DisposeAsyncCore()
    {
        Dispose(disposing: true);
        return ValueTask.CompletedTask;
    }

    private SqliteConnection OpenSqlite()
    {
        var connection = new SqliteConnection(ConnectionString);
        try
        {
            connection.Open();
            Execute(connection, "PRAGMA synchronous = FULL;"); // not kept in the file, unlike the journal's mode
            return connection;
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }

    private void Prepare()
    {
        using SqliteConnection connection = OpenSqlite();
        if (Scalar<string>(connection, "PRAGMA journal_mode = WAL;") is var mode && mode != "wal")
        {
            throw new StartupException(
                $"the control database {_path} can't have a write-ahead log (journal mode '{mode}'): use a local file system");
        }
        if (Scalar<string>(connection, "PRAGMA integrity_check(1);") is var found && found != "ok")
        {
            throw new StartupException($"the control database {_path} is damaged ({found?.ReplaceLineEndings(" ")}): put it back from a backup");
        }
        using SqliteTransaction transaction = connection.BeginTransaction(deferred: false);
        long application = Scalar<long>(connection, "PRAGMA application_id;", transaction);
        long version = Scalar<long>(connection, "PRAGMA user_version;", transaction);
        long tables = Scalar<long>(connection, "SELECT count(*) FROM sqlite_master;", transaction);
        if (application == 0 && version == 0 && tables == 0)
        {
            Execute(connection, ControlSchema.CreateTables, transaction);
            Execute(connection, $"PRAGMA application_id = {ControlSchema.ApplicationId};", transaction);
            version = ControlSchema.VersionWithoutGroups;
        }
        else if (application != ControlSchema.ApplicationId)
        {
            throw new StartupException($"{_path} is not a control database of Tributary");
        }
        else if (version is < ControlSchema.VersionWithoutGroups or > ControlSchema.Version)
        {
            throw new StartupException(
                $"the control database {_path} has format {version}; this program reads format {ControlSchema.Version}");
        }
        Raise(connection, version, transaction);
        transaction.Commit();
    }

    /// <summary>Brings the tables of an older version to the present one.</summary>
    private static void Raise(SqliteConnection connection, long version, SqliteTransaction transaction)
    {
        if (version == ControlSchema.VersionWithoutGroups)
        {
            Execute(connection, GroupSchema.CreateTables, transaction);
        }
        if (version == ControlSchema.VersionWithoutTypes)
        {
            Execute(connection, GroupSchema.AddType, transaction);
        }
        if (version <= ControlSchema.VersionWithoutTransactions)
        {
            Execute(connection, TransactionSchema.CreateTables, transaction);
            Execute(connection, GroupSchema.CreatePending, transaction);
        }
        if (version < ControlSchema.Version)
        {
            Execute(connection, $"PRAGMA user_version = {ControlSchema.Version};", transaction);
        }
    }

    private static void Execute(SqliteConnection connection, string sql, SqliteTransaction? transaction = null)
    {
        using SqliteCommand command = Command(connection, sql, transaction);
        command.ExecuteNonQuery();
    }

    private static T? Scalar<T>(SqliteConnection connection, string sql, SqliteTransaction? transaction = null)
    {
        using SqliteCommand command = Command(connection, sql, transaction);
        return (T?)command.ExecuteScalar();
    }

    [SuppressMessage("Security", "CA2100", Justification = "All texts are constants of this assembly")]
    internal static SqliteCommand Command(SqliteConnection connection, string sql, SqliteTransaction? transaction)
    {
        SqliteCommand command = connection.CreateCommand();
        command.CommandText = sql;
        command.Transaction = transaction;
        return command;
    }
}
