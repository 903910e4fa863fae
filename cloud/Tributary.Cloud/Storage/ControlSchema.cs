namespace Tributary.Cloud.Storage;

/// <summary>
/// What the control database holds: grains' records in <c>grain_record</c>, groups in the tables of <see cref="GroupSchema"/>,
/// transactional ids in those of <see cref="TransactionSchema"/>. Each write of a record is one statement, so it happens as a whole or not at
/// all. A changed table needs a new <see cref="Version"/>.
/// </summary>
/// <remarks><c>key_high</c> is always zero and <c>OrleansQuery</c> empty or old: both were needed by a storage of Orleans once.</remarks>
internal static class ControlSchema
{
    /// <summary>"TRBC": marks the file as a control database of Tributary.</summary>
    public const int ApplicationId = 0x54524243;

    /// <summary>Version of the tables, in the file's <c>user_version</c>.</summary>
    public const int Version = 4;

    /// <summary>The version that had no tables of groups yet; they are added to such a file.</summary>
    public const int VersionWithoutGroups = 1;

    /// <summary>The version whose groups were all of the classic protocol; a column is added to such a file.</summary>
    public const int VersionWithoutTypes = 2;

    /// <summary>The version that had no tables of transactions yet; they are added to such a file.</summary>
    public const int VersionWithoutTransactions = 3;

    public const string CreateTables = """
        CREATE TABLE OrleansQuery
        (
            QueryKey  TEXT NOT NULL PRIMARY KEY,
            QueryText TEXT NOT NULL
        ) STRICT;

        CREATE TABLE grain_record
        (
            state    TEXT NOT NULL,
            key      TEXT NOT NULL,
            key_high INTEGER NOT NULL,
            key_low  INTEGER NOT NULL,
            version  INTEGER NOT NULL,
            modified TEXT NOT NULL,
            payload  BLOB,
            PRIMARY KEY (state, key, key_high, key_low)
        ) STRICT;
        """;

    private const string Now = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')";

    private const string IsRecord = "state = $state AND key = $key AND key_high = 0 AND key_low = $number";

    public const string ReadRecord = $"SELECT payload, version FROM grain_record WHERE {IsRecord};";

    /// <summary>The first write: its version, or no row if somebody else was first.</summary>
    public const string InsertRecord = $"""
        INSERT INTO grain_record (state, key, key_high, key_low, version, modified, payload)
        VALUES ($state, $key, 0, $number, 1, {Now}, $payload)
        ON CONFLICT (state, key, key_high, key_low) DO NOTHING
        RETURNING version;
        """;

    /// <summary>A later write: its version, or no row if it isn't <c>$version</c> that it replaces.</summary>
    public const string UpdateRecord = $"""
        UPDATE grain_record SET version = version + 1, modified = {Now}, payload = $payload
        WHERE {IsRecord} AND version = $version
        RETURNING version;
        """;
}
