namespace Tributary.Cloud.Storage;

/// <summary>
/// What the control database holds. <c>OrleansQuery</c> is where Orleans' ADO.NET provider looks up, once at its start, the three
/// statements it works with; the table <c>grain_record</c> behind them is ours. Its primary key makes the first write of a record a
/// race with one winner; later writes are a compare-and-swap on <c>version</c>, the record's ETag. Each write is one statement, so it
/// happens as a whole or not at all. A changed table needs a new <see cref="Version"/>; changed queries do not.
/// </summary>
/// <remarks>
/// The provider's contract: a write answers one row with the new version; when it lost, it answers the version it came with, or no row
/// if it came with none. Parameters are named by the provider: GrainTypeString is the state's name, GrainIdN0, GrainIdN1 and
/// GrainIdExtensionString are the grain's key.
/// </remarks>
internal static class ControlSchema
{
    /// <summary>"TRBC": marks the file as a control database of Tributary.</summary>
    public const int ApplicationId = 0x54524243;

    /// <summary>Version of the tables, in the file's <c>user_version</c>.</summary>
    public const int Version = 3;

    /// <summary>The version that had no tables of groups yet; they are added to such a file.</summary>
    public const int VersionWithoutGroups = 1;

    /// <summary>The version whose groups were all of the classic protocol; a column is added to such a file.</summary>
    public const int VersionWithoutTypes = 2;

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

    public const string SetQuery = """
        INSERT INTO OrleansQuery (QueryKey, QueryText) VALUES ($key, $text)
        ON CONFLICT (QueryKey) DO UPDATE SET QueryText = excluded.QueryText WHERE QueryText <> excluded.QueryText;
        """;

    private const string Now = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')";

    private const string IsRecord = """
        state = @GrainTypeString AND key = ifnull(@GrainIdExtensionString, '') AND key_high = @GrainIdN0 AND key_low = @GrainIdN1
        """;

    private const string AnswerConflict = """
        SELECT @GrainStateVersion AS NewGrainStateVersion WHERE @GrainStateVersion IS NOT NULL AND changes() = 0;
        """;

    /// <summary>The provider's statements by its keys.</summary>
    public static readonly IReadOnlyDictionary<string, string> Queries = new Dictionary<string, string>
    {
        ["ReadFromStorageKey"] = $"SELECT payload AS PayloadBinary, version AS Version FROM grain_record WHERE {IsRecord};",

        ["WriteToStorageKey"] = $"""
            INSERT INTO grain_record (state, key, key_high, key_low, version, modified, payload)
            SELECT @GrainTypeString, ifnull(@GrainIdExtensionString, ''), @GrainIdN0, @GrainIdN1, 1, {Now}, @PayloadBinary
            WHERE @GrainStateVersion IS NULL
            ON CONFLICT (state, key, key_high, key_low) DO NOTHING
            RETURNING version AS NewGrainStateVersion;

            UPDATE grain_record SET version = version + 1, modified = {Now}, payload = @PayloadBinary
            WHERE {IsRecord} AND version = @GrainStateVersion
            RETURNING version AS NewGrainStateVersion;

            {AnswerConflict}
            """,

        ["ClearStorageKey"] = $"""
            UPDATE grain_record SET version = version + 1, modified = {Now}, payload = NULL
            WHERE {IsRecord} AND version = @GrainStateVersion
            RETURNING version AS NewGrainStateVersion;

            {AnswerConflict}
            """,
    };
}
