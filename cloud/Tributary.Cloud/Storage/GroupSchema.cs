namespace Tributary.Cloud.Storage;

/// <summary>
/// The tables of consumer groups in the control database. A group's record (its last generation) is JSON as grains' records are; its
/// offsets have rows of their own, so that a commit writes what it changes and not all that the group ever committed. Changed columns need
/// a new <see cref="ControlSchema.Version"/>.
/// </summary>
internal static class GroupSchema
{
    public const string CreateTables = """
        CREATE TABLE consumer_group
        (
            number        INTEGER PRIMARY KEY,
            id            TEXT NOT NULL UNIQUE,
            version       INTEGER NOT NULL,
            protocol_type TEXT NOT NULL,
            members       INTEGER NOT NULL,
            payload       BLOB NOT NULL,
            modern        INTEGER NOT NULL DEFAULT 0
        ) STRICT;

        CREATE TABLE group_offset
        (
            group_number INTEGER NOT NULL,
            topic        TEXT NOT NULL,
            partition    INTEGER NOT NULL,
            next_offset  INTEGER NOT NULL,
            leader_epoch INTEGER NOT NULL,
            metadata     TEXT NOT NULL,
            topic_id     BLOB NOT NULL,
            committed    INTEGER NOT NULL,
            expires      INTEGER,
            seal         INTEGER NOT NULL,
            PRIMARY KEY (group_number, topic, partition)
        ) STRICT, WITHOUT ROWID;

        CREATE INDEX group_offset_topic ON group_offset (topic, group_number);
        """;

    /// <summary>What open transactions are to commit.</summary>
    public const string CreatePending = """
        CREATE TABLE group_pending_offset
        (
            group_number INTEGER NOT NULL,
            producer_id  INTEGER NOT NULL,
            topic        TEXT NOT NULL,
            partition    INTEGER NOT NULL,
            next_offset  INTEGER NOT NULL,
            leader_epoch INTEGER NOT NULL,
            metadata     TEXT NOT NULL,
            topic_id     BLOB NOT NULL,
            committed    INTEGER NOT NULL,
            transaction_version INTEGER NOT NULL,
            seal         INTEGER NOT NULL,
            PRIMARY KEY (group_number, producer_id, topic, partition)
        ) STRICT, WITHOUT ROWID;
        """;

    /// <summary>Whether a group is of the newer protocol.</summary>
    public const string AddType = "ALTER TABLE consumer_group ADD COLUMN modern INTEGER NOT NULL DEFAULT 0;";

    public const string CountGroups = "SELECT count(*) FROM consumer_group;";

    public const string FindGroup = "SELECT number, version FROM consumer_group WHERE id = $group;";

    public const string ReadGroup = "SELECT number, version, payload FROM consumer_group WHERE id = $group;";

    public const string ReadOffsets = """
        SELECT topic, partition, next_offset, leader_epoch, metadata, topic_id, committed, expires, seal
        FROM group_offset WHERE group_number = $number;
        """;

    public const string ReadPending = """
        SELECT topic, partition, next_offset, leader_epoch, metadata, topic_id, committed, seal, producer_id, transaction_version
        FROM group_pending_offset WHERE group_number = $number;
        """;

    public const string SetPending = """
        INSERT OR REPLACE INTO group_pending_offset
            (group_number, producer_id, topic, partition, next_offset, leader_epoch, metadata, topic_id, committed, transaction_version, seal)
        VALUES ($number, $producer, $topic, $partition, $offset, $epoch, $metadata, $topicId, $committed, $version, $seal);
        """;

    public const string DeletePending = """
        DELETE FROM group_pending_offset
        WHERE group_number = $number AND producer_id = $producer AND topic = $topic AND partition = $partition;
        """;

    public const string DeleteAllPending = "DELETE FROM group_pending_offset WHERE group_number = $number;";

    public const string InsertGroup = """
        INSERT INTO consumer_group (id, version, protocol_type, members, modern, payload)
        VALUES ($group, $version, $protocolType, $members, $modern, $payload) RETURNING number;
        """;

    public const string RaiseVersion = "UPDATE consumer_group SET version = version + 1 WHERE number = $number;";

    public const string UpdateGroup = """
        UPDATE consumer_group SET version = version + 1, protocol_type = $protocolType, members = $members, modern = $modern,
            payload = $payload
        WHERE number = $number;
        """;

    public const string DeleteGroup = "DELETE FROM consumer_group WHERE number = $number;";

    public const string DeleteOffsets = "DELETE FROM group_offset WHERE group_number = $number;";

    public const string DeleteOffset = "DELETE FROM group_offset WHERE group_number = $number AND topic = $topic AND partition = $partition;";

    public const string SetOffset = """
        INSERT INTO group_offset
            (group_number, topic, partition, next_offset, leader_epoch, metadata, topic_id, committed, expires, seal)
        VALUES ($number, $topic, $partition, $offset, $epoch, $metadata, $topicId, $committed, $expires, $seal)
        ON CONFLICT (group_number, topic, partition) DO UPDATE SET
            next_offset = excluded.next_offset, leader_epoch = excluded.leader_epoch, metadata = excluded.metadata,
            topic_id = excluded.topic_id, committed = excluded.committed, expires = excluded.expires, seal = excluded.seal;
        """;

    public const string ListGroups = """
        SELECT id, protocol_type, members, modern FROM consumer_group WHERE id > $after ORDER BY id LIMIT $count;
        """;

    public const string ListReaders = """
        SELECT id FROM consumer_group AS g
        WHERE id > $after AND
            (EXISTS (SELECT 1 FROM group_offset WHERE topic = $topic AND group_number = g.number)
            OR EXISTS (SELECT 1 FROM group_pending_offset WHERE topic = $topic AND group_number = g.number))
        ORDER BY id LIMIT $count;
        """;

    public const string ListAged = """
        SELECT id FROM consumer_group AS g
        WHERE id > $after AND
            (NOT EXISTS (SELECT 1 FROM group_offset WHERE group_number = g.number)
                AND NOT EXISTS (SELECT 1 FROM group_pending_offset WHERE group_number = g.number)
            OR EXISTS (SELECT 1 FROM group_offset WHERE group_number = g.number AND (committed < $before OR expires IS NOT NULL)))
        ORDER BY id LIMIT $count;
        """;
}
