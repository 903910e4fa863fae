using System.Buffers;
using System.Data.Common;
using System.Diagnostics.CodeAnalysis;
using Microsoft.Data.Sqlite;
using Tributary.Broker.Groups;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Records;

namespace Tributary.Cloud.Storage;

/// <summary>
/// The statements about groups on one connection, prepared once. The connection is the caller's. Used by one thread at a time.
/// </summary>
/// <remarks>
/// A row of an offset carries a CRC32C of its fields, as records do of theirs: SQLite would hand a flipped bit over as an offset.
/// </remarks>
internal sealed class GroupCommands(SqliteConnection connection) : IDisposable
{
    private static readonly RecordSerializer Records = new();
    private readonly Dictionary<string, SqliteCommand> _prepared = [];
    private readonly ArrayBufferWriter<byte> _sealed = new();
    private SqliteTransaction? _transaction;
    private long? _groups;

    /// <summary>Whether the transaction is one of this connection.</summary>
    public bool IsOn(SqliteTransaction transaction) => ReferenceEquals(transaction.Connection, connection);

    /// <summary>From now on statements are part of this transaction.</summary>
    public void Enter(SqliteTransaction transaction) => _transaction = transaction;

    /// <summary>Reads a group and its offsets as of one moment.</summary>
    /// <exception cref="StoredRecordException">Something of it is damaged.</exception>
    public StoredGroup? Read(string group)
    {
        using SqliteTransaction transaction = connection.BeginTransaction(deferred: true);
        _transaction = transaction;
        long number;
        long version;
        GroupRecord record;
        using (SqliteDataReader row = Prepare(GroupSchema.ReadGroup, ("$group", group)).ExecuteReader())
        {
            if (!row.Read())
            {
                return null;
            }
            (number, version) = (row.GetInt64(0), row.GetInt64(1));
            record = Records.Deserialize<GroupRecord>(new BinaryData(row.GetFieldValue<byte[]>(2)));
        }
        var offsets = new List<KeyValuePair<GroupPartition, CommittedOffset>>();
        using SqliteDataReader rows = Prepare(GroupSchema.ReadOffsets, ("$number", number)).ExecuteReader();
        while (rows.Read())
        {
            offsets.Add(ReadOffset(rows));
        }
        return new StoredGroup(version, record, offsets);
    }

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

    /// <summary>Writes within the transaction that was begun.</summary>
    /// <returns>The group's version, or why it isn't written.</returns>
    public (long Version, Exception? Refusal) Write(GroupWrite write, int maxGroups)
    {
        (long number, long version) = Find(write.Group);
        if (version != write.Version)
        {
            return (0, new GroupConflictException(write.Group));
        }
        _groups ??= (long)Prepare(GroupSchema.CountGroups).ExecuteScalar()!;
        if (write.Deletes)
        {
            Execute(GroupSchema.DeleteOffsets, ("$number", number));
            Execute(GroupSchema.DeleteGroup, ("$number", number));
            _groups--;
            return (0, null);
        }
        if (version == 0)
        {
            if (_groups >= maxGroups)
            {
                return (0, new GroupLimitException(write.Group, maxGroups));
            }
            version = Random.Shared.NextInt64(1, long.MaxValue / 2); // not one that a deleted group of this name has had
            number = (long)Prepare(GroupSchema.InsertGroup, [("$group", write.Group), ("$version", version), .. Of(write.Record!)]).ExecuteScalar()!;
            _groups++;
        }
        else if (write.Record is not null)
        {
            version++;
            Execute(GroupSchema.UpdateGroup, [("$number", number), .. Of(write.Record)]);
        }
        else if (write.IsFirst)
        {
            version++;
            Execute(GroupSchema.RaiseVersion, ("$number", number));
        }
        WriteOffsets(number, write);
        return (version, null);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (SqliteCommand command in _prepared.Values)
        {
            command.Dispose();
        }
    }

    private static (string Name, object Value)[] Of(GroupRecord record) =>
    [
        ("$protocolType", record.ProtocolType ?? ""), ("$members", record.MemberCount), ("$modern", record.Modern is null ? 0 : 1),
        ("$payload", Records.Serialize(record).ToArray()),
    ];

    private (long Number, long Version) Find(string group)
    {
        using SqliteDataReader row = Prepare(GroupSchema.FindGroup, ("$group", group)).ExecuteReader();
        return row.Read() ? (row.GetInt64(0), row.GetInt64(1)) : default;
    }

    private void WriteOffsets(long number, GroupWrite write)
    {
        foreach (GroupPartition partition in write.Removed)
        {
            Execute(GroupSchema.DeleteOffset, ("$number", number), ("$topic", partition.Topic), ("$partition", partition.Partition));
        }
        foreach ((GroupPartition partition, CommittedOffset offset) in write.Offsets)
        {
            Execute(
                GroupSchema.SetOffset,
                ("$number", number), ("$topic", partition.Topic), ("$partition", partition.Partition), ("$offset", offset.Offset),
                ("$epoch", offset.LeaderEpoch), ("$metadata", offset.Metadata), ("$topicId", offset.TopicId.ToByteArray(bigEndian: true)),
                ("$committed", offset.CommittedAt), ("$expires", (object?)offset.ExpiresAt ?? DBNull.Value), ("$seal", Seal(partition, offset)));
        }
    }

    private KeyValuePair<GroupPartition, CommittedOffset> ReadOffset(SqliteDataReader row)
    {
        var partition = new GroupPartition(row.GetString(0), row.GetInt32(1));
        var offset = new CommittedOffset(
            row.GetInt64(2), row.GetInt32(3), row.GetString(4), new Guid(row.GetFieldValue<byte[]>(5), bigEndian: true), row.GetInt64(6),
            row.IsDBNull(7) ? null : row.GetInt64(7));
        return row.GetInt64(8) == Seal(partition, offset)
            ? KeyValuePair.Create(partition, offset)
            : throw new StoredRecordException(typeof(CommittedOffset), $"the one of {partition.Topic}-{partition.Partition} does not match its checksum");
    }

    private long Seal(GroupPartition partition, CommittedOffset offset)
    {
        _sealed.ResetWrittenCount();
        var writer = new KafkaWriter(_sealed);
        writer.WriteString(nameof(partition.Topic), partition.Topic, compact: false);
        writer.WriteInt32(partition.Partition);
        writer.WriteInt64(offset.Offset);
        writer.WriteInt32(offset.LeaderEpoch);
        writer.WriteString(nameof(offset.Metadata), offset.Metadata, compact: false);
        writer.WriteUuid(offset.TopicId);
        writer.WriteInt64(offset.CommittedAt);
        writer.WriteInt64(offset.ExpiresAt ?? -1);
        return Crc32C.Compute(_sealed.WrittenSpan);
    }

    private void Execute(string sql, params (string Name, object Value)[] parameters) => Prepare(sql, parameters).ExecuteNonQuery();

    [SuppressMessage("Security", "CA2100", Justification = "All texts are constants of this assembly")]
    private SqliteCommand Prepare(string sql, params ReadOnlySpan<(string Name, object Value)> parameters)
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
