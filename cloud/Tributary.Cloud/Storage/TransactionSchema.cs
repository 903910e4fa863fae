namespace Tributary.Cloud.Storage;

/// <summary>
/// The table of transactional ids in the control database. What is decided on one is JSON as grains' records are; the columns beside it are
/// for those who look for ids without knowing them, and follow from it. Changed columns need a new <see cref="ControlSchema.Version"/>.
/// </summary>
internal static class TransactionSchema
{
    /// <summary><c>due</c>: when an open transaction must be looked after, Unix milliseconds; null while none is open.</summary>
    public const string CreateTables = """
        CREATE TABLE transactional_id
        (
            number      INTEGER PRIMARY KEY,
            id          TEXT NOT NULL UNIQUE,
            version     INTEGER NOT NULL,
            state       INTEGER NOT NULL,
            producer_id INTEGER NOT NULL,
            started     INTEGER NOT NULL,
            updated     INTEGER NOT NULL,
            due         INTEGER,
            payload     BLOB NOT NULL
        ) STRICT;

        CREATE INDEX transactional_id_due ON transactional_id (due) WHERE due IS NOT NULL;
        """;

    public const string Count = "SELECT count(*) FROM transactional_id;";

    public const string Read = "SELECT version, payload FROM transactional_id WHERE id = $id;";

    public const string ReadVersion = "SELECT version FROM transactional_id WHERE id = $id;";

    public const string Insert = """
        INSERT INTO transactional_id (id, version, state, producer_id, started, updated, due, payload)
        VALUES ($id, $next, $state, $producerId, $started, $updated, $due, $payload)
        ON CONFLICT (id) DO NOTHING;
        """;

    public const string Update = """
        UPDATE transactional_id SET version = $next, state = $state, producer_id = $producerId, started = $started, updated = $updated,
            due = $due, payload = $payload
        WHERE id = $id AND version = $version;
        """;

    public const string Delete = "DELETE FROM transactional_id WHERE id = $id AND version = $version;";

    public const string List = "SELECT id, state, producer_id, started FROM transactional_id WHERE id > $after ORDER BY id LIMIT $count;";

    public const string ListDue = """
        SELECT id FROM transactional_id WHERE due IS NOT NULL AND due <= $until AND id > $after ORDER BY id LIMIT $count;
        """;

    public const string ListIdle = """
        SELECT id FROM transactional_id WHERE due IS NULL AND updated <= $since AND id > $after ORDER BY id LIMIT $count;
        """;
}
