using System.Buffers;
using Microsoft.Data.Sqlite;
using Tributary.Broker.Groups;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Records;

namespace Tributary.Cloud.Storage;

/// <summary>The statements about groups on one connection.</summary>
/// <remarks>
/// A row of an offset carries a CRC32C of its fields, as records do of theirs: SQLite would hand a flipped bit over as an offset.
/// </remarks>
internal sealed class GroupCommands(SqliteConnection connection) : ControlCommands(connection)
{
    private static readonly RecordSerializer Records = new();
    private readonly ArrayBufferWriter<byte> _sealed = new();
    private long? _groups;

    /// <summary>Reads a group and its offsets as of one moment.</summary>
    /// <exception cref="StoredRecordException">Something of it is damaged.</exception>
    public StoredGroup? Read(string group)
    {
        using SqliteTransaction transaction = Begin();
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
        using (SqliteDataReader rows = Prepare(GroupSchema.ReadOffsets, ("$number", number)).ExecuteReader())
        {
            while (rows.Read())
            {
                offsets.Add(ReadOffset(rows));
            }
        }
        return new StoredGroup(version, record, offsets) { Pending = ReadPending(number) };
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
            Execute(GroupSchema.DeleteAllPending, ("$number", number));
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
        WritePending(number, write);
        return (version, null);
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

    private void WritePending(long number, GroupWrite write)
    {
        foreach ((long producer, GroupPartition partition) in write.RemovedPending)
        {
            Execute(
                GroupSchema.DeletePending,
                ("$number", number), ("$producer", producer), ("$topic", partition.Topic), ("$partition", partition.Partition));
        }
        foreach ((PendingKey key, PendingOffset pending) in write.Pending)
        {
            (GroupPartition partition, CommittedOffset offset) = (key.Partition, pending.Offset);
            Execute(
                GroupSchema.SetPending,
                ("$number", number), ("$producer", key.ProducerId), ("$topic", partition.Topic), ("$partition", partition.Partition),
                ("$offset", offset.Offset), ("$epoch", offset.LeaderEpoch), ("$metadata", offset.Metadata),
                ("$topicId", offset.TopicId.ToByteArray(bigEndian: true)), ("$committed", offset.CommittedAt),
                ("$version", pending.TransactionVersion), ("$seal", Seal(key, pending)));
        }
    }

    private List<KeyValuePair<PendingKey, PendingOffset>> ReadPending(long number)
    {
        var found = new List<KeyValuePair<PendingKey, PendingOffset>>();
        using SqliteDataReader row = Prepare(GroupSchema.ReadPending, ("$number", number)).ExecuteReader();
        while (row.Read())
        {
            var key = new PendingKey(row.GetInt64(8), new GroupPartition(row.GetString(0), row.GetInt32(1)));
            var offset = new CommittedOffset(
                row.GetInt64(2), row.GetInt32(3), row.GetString(4), new Guid(row.GetFieldValue<byte[]>(5), bigEndian: true), row.GetInt64(6),
                ExpiresAt: null);
            var pending = new PendingOffset(offset, row.GetInt32(9));
            if (row.GetInt64(7) != Seal(key, pending))
            {
                throw new StoredRecordException(
                    typeof(PendingOffset), $"the one of {key.Partition.Topic}-{key.Partition.Partition} does not match its checksum");
            }
            found.Add(KeyValuePair.Create(key, pending));
        }
        return found;
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
        Write(ref writer, partition, offset);
        return Crc32C.Compute(_sealed.WrittenSpan);
    }

    private long Seal(PendingKey key, PendingOffset pending)
    {
        _sealed.ResetWrittenCount();
        var writer = new KafkaWriter(_sealed);
        Write(ref writer, key.Partition, pending.Offset);
        writer.WriteInt64(key.ProducerId);
        writer.WriteInt32(pending.TransactionVersion);
        return Crc32C.Compute(_sealed.WrittenSpan);
    }

    private static void Write(ref KafkaWriter writer, GroupPartition partition, CommittedOffset offset)
    {
        writer.WriteString(nameof(partition.Topic), partition.Topic, compact: false);
        writer.WriteInt32(partition.Partition);
        writer.WriteInt64(offset.Offset);
        writer.WriteInt32(offset.LeaderEpoch);
        writer.WriteString(nameof(offset.Metadata), offset.Metadata, compact: false);
        writer.WriteUuid(offset.TopicId);
        writer.WriteInt64(offset.CommittedAt);
        writer.WriteInt64(offset.ExpiresAt ?? -1);
    }
}
