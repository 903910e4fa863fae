using System.Data.Common;
using System.Globalization;
using Microsoft.Data.Sqlite;
using Orleans.Storage;

namespace Tributary.Cloud.Storage;

/// <summary>
/// Grains' records in the control database: a row of <c>grain_record</c> for each. Its primary key makes the first write of a record a race
/// with one winner; later writes are a compare-and-swap on <c>version</c>, the record's ETag. A cleared record keeps its row and version, so
/// whoever still holds the old one can't write it again. Writes of many grains share a flush (<see cref="ControlWriter"/>). Callable from
/// any thread; nothing of it runs in the turn of a grain, since SQLite's calls block.
/// </summary>
internal sealed class RecordStore(ControlDatabase database) : IGrainStorage
{
    private static readonly RecordSerializer Records = new();

    /// <inheritdoc/>
    public Task ReadStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState) => Task.Run(() =>
    {
        using DbConnection connection = database.OpenConnection();
        using SqliteCommand command = Command((SqliteConnection)connection, ControlSchema.ReadRecord, stateName, grainId);
        using SqliteDataReader row = command.ExecuteReader();
        byte[]? payload = null;
        string? tag = null;
        if (row.Read())
        {
            payload = row.IsDBNull(0) ? null : row.GetFieldValue<byte[]>(0);
            tag = row.GetInt64(1).ToString(CultureInfo.InvariantCulture);
        }
        grainState.State = payload is null ? New<T>() : Records.Deserialize<T>(new BinaryData(payload));
        grainState.ETag = tag;
        grainState.RecordExists = payload is not null;
    });

    /// <inheritdoc/>
    public async Task WriteStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
    {
        T? state = grainState.State;
        byte[] payload = await Task.Run(() => Records.Serialize(state).ToArray());
        grainState.ETag = await ReplaceAsync(stateName, grainId, grainState.ETag, payload);
        grainState.RecordExists = true;
    }

    /// <inheritdoc/>
    public async Task ClearStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
    {
        if (grainState.ETag is not null)
        {
            grainState.ETag = await ReplaceAsync(stateName, grainId, grainState.ETag, null);
        }
        grainState.State = New<T>();
        grainState.RecordExists = false;
    }

    private static T New<T>() => Activator.CreateInstance<T>();

    /// <returns>The new version.</returns>
    /// <exception cref="InconsistentStateException">Somebody else has written the record since it was read.</exception>
    private async Task<string> ReplaceAsync(string state, GrainId grain, string? tag, byte[]? payload)
    {
        long? before = tag is null ? null : long.Parse(tag, CultureInfo.InvariantCulture);
        long? version = await database.Writer.WriteAsync(transaction =>
        {
            using SqliteCommand command = Command(
                transaction.Connection!, before is null ? ControlSchema.InsertRecord : ControlSchema.UpdateRecord, state, grain);
            command.Transaction = transaction;
            command.Parameters.AddWithValue("$payload", (object?)payload ?? DBNull.Value);
            if (before is not null)
            {
                command.Parameters.AddWithValue("$version", before);
            }
            return (long?)command.ExecuteScalar();
        });
        return version?.ToString(CultureInfo.InvariantCulture) ?? throw new InconsistentStateException(
            $"the record '{state}' of {grain} was written by somebody else since it was read in version {tag ?? "none"}");
    }

    private static SqliteCommand Command(SqliteConnection connection, string sql, string state, GrainId grain)
    {
        SqliteCommand command = ControlDatabase.Command(connection, sql, null);
        (string key, long number) = grain.TryGetIntegerKey(out long integer, out string? extension)
            ? (extension ?? "", integer)
            : (grain.Key.ToString() ?? "", 0);
        command.Parameters.AddWithValue("$state", state);
        command.Parameters.AddWithValue("$key", key);
        command.Parameters.AddWithValue("$number", number);
        return command;
    }
}
