using System.Data.Common;
using Tributary.Cloud;
using Tributary.Cloud.Storage;
using Tributary.Tests.Cloud.Support;
using Xunit;

namespace Tributary.Tests.Cloud.Storage;

public sealed class ControlDatabaseTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    private string DatabaseFile => _directory.File(ControlDatabase.FileName);

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task A_new_file_gets_its_tables_and_keeps_them()
    {
        await ExecuteAsync("INSERT INTO grain_record VALUES ('s', 'k', 0, 0, 7, 'now', x'01')");

        Assert.Equal(7L, await ScalarAsync("SELECT version FROM grain_record"));
    }

    [Fact]
    public async Task Every_connection_flushes_each_commit_even_one_that_was_used_otherwise_before()
    {
        await using ControlDatabase database = ControlDatabase.Open(DatabaseFile);
        await using (DbConnection used = await database.OpenConnectionAsync())
        {
            await ExecuteAsync(used, "PRAGMA synchronous = OFF");
        }

        await using DbConnection connection = await database.OpenConnectionAsync();

        Assert.Equal(2L, await ScalarAsync(connection, "PRAGMA synchronous"));
        Assert.Equal("wal", await ScalarAsync(connection, "PRAGMA journal_mode"));
    }

    [Fact]
    public async Task A_file_that_is_no_database_is_refused_with_a_sentence()
    {
        await File.WriteAllTextAsync(DatabaseFile, new string('x', 4096));

        string message = Assert.Throws<StartupException>(() => ControlDatabase.Open(DatabaseFile)).Message;

        Assert.Contains(DatabaseFile, message, StringComparison.Ordinal);
        Assert.Contains("not a database", message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("PRAGMA application_id = 1", "not a control database of Tributary")]
    [InlineData("PRAGMA user_version = 5", "has format 5; this program reads format 4")]
    public async Task A_database_of_another_program_or_format_is_refused_and_left_alone(string change, string expected)
    {
        await ExecuteAsync(change);
        byte[] before = await File.ReadAllBytesAsync(DatabaseFile);

        string message = Assert.Throws<StartupException>(() => ControlDatabase.Open(DatabaseFile)).Message;

        Assert.Contains(expected, message, StringComparison.Ordinal);
        Assert.Equal(before, await File.ReadAllBytesAsync(DatabaseFile));
    }

    [Fact]
    public async Task A_database_of_before_there_were_groups_gets_their_tables_and_keeps_its_records()
    {
        await ExecuteAsync("INSERT INTO grain_record VALUES ('topic', 'k', 0, 0, 1, 'now', x'00')");
        await ExecuteAsync("DROP TABLE consumer_group; DROP TABLE group_offset; DROP TABLE group_pending_offset; DROP TABLE transactional_id; PRAGMA user_version = 1");

        Assert.Equal(0L, await ScalarAsync("SELECT count(*) FROM consumer_group"));
        Assert.Equal(0L, await ScalarAsync("SELECT count(*) FROM group_offset"));
        Assert.Equal(1L, await ScalarAsync("SELECT count(*) FROM grain_record"));
        Assert.Equal(4L, await ScalarAsync("PRAGMA user_version"));
    }

    [Fact]
    public async Task Groups_of_before_there_were_two_protocols_are_of_the_classic_one()
    {
        await ExecuteAsync("INSERT INTO consumer_group (id, version, protocol_type, members, payload) VALUES ('g', 7, 'consumer', 2, x'00')");
        await ExecuteAsync("ALTER TABLE consumer_group DROP COLUMN modern; DROP TABLE group_pending_offset; DROP TABLE transactional_id; PRAGMA user_version = 2");

        Assert.Equal(0L, await ScalarAsync("SELECT modern FROM consumer_group WHERE id = 'g' AND members = 2"));
        Assert.Equal(4L, await ScalarAsync("PRAGMA user_version"));
    }

    [Fact]
    public async Task A_database_of_before_there_were_transactions_gets_their_tables_and_keeps_its_groups()
    {
        await ExecuteAsync("INSERT INTO consumer_group (id, version, protocol_type, members, payload) VALUES ('g', 7, 'consumer', 2, x'00')");
        await ExecuteAsync("DROP TABLE group_pending_offset; DROP TABLE transactional_id; PRAGMA user_version = 3");

        Assert.Equal(0L, await ScalarAsync("SELECT count(*) FROM transactional_id"));
        Assert.Equal(0L, await ScalarAsync("SELECT count(*) FROM group_pending_offset"));
        Assert.Equal(1L, await ScalarAsync("SELECT count(*) FROM consumer_group"));
        Assert.Equal(4L, await ScalarAsync("PRAGMA user_version"));
    }

    [Fact]
    public void A_directory_that_is_not_there_is_refused_with_a_sentence()
    {
        string file = _directory.File("missing/control.db");

        Assert.Contains(file, Assert.Throws<StartupException>(() => ControlDatabase.Open(file)).Message, StringComparison.Ordinal);
    }

    private async Task ExecuteAsync(string sql)
    {
        await using ControlDatabase database = ControlDatabase.Open(DatabaseFile);
        await using DbConnection connection = await database.OpenConnectionAsync();
        await ExecuteAsync(connection, sql);
    }

    private async Task<object?> ScalarAsync(string sql)
    {
        await using ControlDatabase database = ControlDatabase.Open(DatabaseFile);
        await using DbConnection connection = await database.OpenConnectionAsync();
        return await ScalarAsync(connection, sql);
    }

    private static async Task ExecuteAsync(DbConnection connection, string sql)
    {
        await using DbCommand command = connection.CreateCommand();
        command.CommandText = sql;
        await command.ExecuteNonQueryAsync();
    }

    private static async Task<object?> ScalarAsync(DbConnection connection, string sql)
    {
        await using DbCommand command = connection.CreateCommand();
        command.CommandText = sql;
        return await command.ExecuteScalarAsync();
    }
}
