using System.Data.Common;
using Microsoft.Data.Sqlite;
using Tributary.Cloud.Storage;
using Tributary.Tests.Cloud.Support;
using Xunit;

namespace Tributary.Tests.Cloud.Storage;

public sealed class ControlWriterTests : IAsyncDisposable
{
    private readonly TemporaryDirectory _directory = new();
    private readonly ControlDatabase _database;

    public ControlWriterTests()
    {
        _database = ControlDatabase.Open(_directory.File(ControlDatabase.FileName));
        using DbConnection connection = _database.OpenConnection();
        Execute((SqliteConnection)connection, null, "CREATE TABLE kept (number INTEGER PRIMARY KEY)");
    }

    public async ValueTask DisposeAsync()
    {
        await _database.DisposeAsync();
        _directory.Dispose();
    }

    [Fact]
    public async Task What_gathers_during_a_write_is_flushed_at_once()
    {
        using var gate = new ManualResetEventSlim();
        Task first = await HoldUpAsync(gate);
        Task<int>[] others = [.. Enumerable.Range(1, 100).Select(i => _database.Writer.WriteAsync(transaction => Keep(transaction, i)))];
        gate.Set();
        await first;
        Assert.Equal(Enumerable.Range(1, 100), await Task.WhenAll(others));
        Assert.Equal(2, _database.Writer.Commits);
        Assert.Equal(101L, Count());
    }

    [Fact]
    public async Task One_that_throws_is_alone_in_that()
    {
        using var gate = new ManualResetEventSlim();
        Task first = await HoldUpAsync(gate);
        Task<int> bad = _database.Writer.WriteAsync<int>(_ => throw new InvalidOperationException("the test throws"));
        Task<int> twice = _database.Writer.WriteAsync(transaction => Keep(transaction, 0));
        Task<int> good = _database.Writer.WriteAsync(transaction => Keep(transaction, 1));
        gate.Set();
        await first;
        await Assert.ThrowsAsync<InvalidOperationException>(() => bad);
        await Assert.ThrowsAsync<SqliteException>(() => twice);
        Assert.Equal(1, await good);
        Assert.Equal(2L, Count());
    }

    [Fact]
    public async Task It_ends_when_what_it_took_is_written_and_takes_no_more()
    {
        Task<int>[] taken = [.. Enumerable.Range(0, 20).Select(i => _database.Writer.WriteAsync(transaction => Keep(transaction, i)))];
        await _database.Writer.DisposeAsync();
        Assert.All(taken, write => Assert.True(write.IsCompletedSuccessfully));
        await Assert.ThrowsAsync<ObjectDisposedException>(() => _database.Writer.WriteAsync(transaction => Keep(transaction, 99)));
    }

    /// <summary>Begins a write that goes on when the gate is opened.</summary>
    private async Task<Task> HoldUpAsync(ManualResetEventSlim gate)
    {
        var begun = new TaskCompletionSource();
        Task<int> write = _database.Writer.WriteAsync(transaction =>
        {
            begun.TrySetResult();
            gate.Wait();
            return Keep(transaction, 0);
        });
        await begun.Task;
        return write;
    }

    private static int Keep(SqliteTransaction transaction, int number)
    {
        Execute(transaction.Connection!, transaction, $"INSERT INTO kept VALUES ({number})");
        return number;
    }

    private static void Execute(SqliteConnection connection, SqliteTransaction? transaction, string sql)
    {
        using SqliteCommand command = ControlDatabase.Command(connection, sql, transaction);
        command.ExecuteNonQuery();
    }

    private long Count()
    {
        using DbConnection connection = _database.OpenConnection();
        using SqliteCommand command = ControlDatabase.Command((SqliteConnection)connection, "SELECT count(*) FROM kept", null);
        return (long)command.ExecuteScalar()!;
    }
}
