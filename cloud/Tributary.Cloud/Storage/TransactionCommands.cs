using Microsoft.Data.Sqlite;
using Tributary.Broker.Transactions;

namespace Tributary.Cloud.Storage;

/// <summary>The statements about transactional ids on one connection.</summary>
internal sealed class TransactionCommands(SqliteConnection connection) : ControlCommands(connection)
{
    private static readonly RecordSerializer Records = new();
    private long? _ids;

    /// <summary>Reads what is decided on a transactional id.</summary>
    /// <exception cref="StoredRecordException">It is damaged.</exception>
    public StoredTransaction? Read(string id)
    {
        using SqliteDataReader row = Prepare(TransactionSchema.Read, ("$id", id)).ExecuteReader();
        return row.Read()
            ? new StoredTransaction(row.GetInt64(0), Records.Deserialize<TransactionRecord>(new BinaryData(row.GetFieldValue<byte[]>(1))))
            : null;
    }

    /// <summary>The version of a transactional id, 0 if there is none.</summary>
    public long ReadVersion(string id) => (long?)Prepare(TransactionSchema.ReadVersion, ("$id", id)).ExecuteScalar() ?? 0;

    /// <summary>Writes within the transaction that was begun.</summary>
    /// <returns>The new version, or why it isn't written.</returns>
    public (long Version, Exception? Refusal) Write(string id, long version, TransactionRecord record, byte[] payload, int maxIds)
    {
        _ids ??= (long)Prepare(TransactionSchema.Count).ExecuteScalar()!;
        if (version == 0 && _ids >= maxIds && ReadVersion(id) == 0)
        {
            return (0, new TransactionLimitException(id, maxIds));
        }
        long next = version == 0
            ? Random.Shared.NextInt64(1, long.MaxValue / 2) // not one that a forgotten id of this name has had
            : version + 1;
        int written = Execute(
            version == 0 ? TransactionSchema.Insert : TransactionSchema.Update,
            [
                ("$id", id), ("$next", next), ("$state", (int)record.State), ("$producerId", record.ProducerId), ("$started", record.StartMs),
                ("$updated", record.UpdatedMs), ("$due", (object?)record.DueMs ?? DBNull.Value), ("$payload", payload),
                .. version == 0 ? [] : new[] { ("$version", (object)version) },
            ]);
        _ids += version == 0 ? written : 0;
        return written == 1 ? (next, null) : (0, new TransactionConflictException(id));
    }

    /// <summary>Forgets an id within the transaction that was begun.</summary>
    /// <returns>Why it isn't forgotten.</returns>
    public Exception? Delete(string id, long version)
    {
        int deleted = Execute(TransactionSchema.Delete, ("$id", id), ("$version", version));
        _ids -= deleted;
        return deleted == 1 ? null : new TransactionConflictException(id);
    }
}
